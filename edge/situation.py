"""One moment of the node as numbers and words: what heartbeat, status and alerts are made from. Pure.

No plate, image, key or address has a field here, so none can leak from here.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from edge.changes import Usage
from edge.claim import ClockState
from edge.clock import ClockQuality
from edge.flow import NO_FLOW, Flow

BUFFER_POOR, BUFFER_BAD = 0.5, 0.8  # share of the ledger's room; from the second on it sheds (edge.retention)
AGE_POOR, AGE_BAD = 0.5, 0.8  # share of the lawful age; at 1.0 what was not sent is erased
DISK_BAD_BYTES = 200_000_000
CERTIFICATE_POOR_DAYS, CERTIFICATE_BAD_DAYS = 30, 7
AUTHORISATION_POOR_DAYS = 30
LINK_POOR_S, LINK_BAD_S = 15, 120  # a camera that restarts is back in one to two minutes
SKEW_POOR_MS = 10_000  # the only statutory UK figure found (SI 2022/71, another regime)


@dataclass(frozen=True, slots=True)
class Situation:
    at_ms: int
    session: int
    uptime_s: int
    boot_id: str
    version: str
    config_digest: str
    clock: ClockQuality
    usage: Usage
    disk_free_bytes: int
    certificate_days: int | None
    uplink_up: bool
    uplink_problem: str
    uplink: Mapping[str, int]
    receipt_age_s: int | None
    acknowledge: str
    cameras: Mapping[str, Mapping[str, Any]]
    camera_states: Mapping[str, int]
    authorisation_days: Mapping[str, int]
    flow: Flow = NO_FLOW
    taken_over: bool = False

    def oldest_age_s(self) -> int | None:
        oldest_ms = self.usage.oldest_ms
        return None if oldest_ms is None else max(0, (self.at_ms - oldest_ms) // 1000)


NODE_CODES = (
    "clock",
    "buffer",
    "buffer-age",
    "shedding",
    "damaged",
    "ledger-quarantined",
    "refused-by-store",
    "disk",
    "certificate",
    "client-takeover",
)
CAMERA_CODES = ("camera-down", "camera-silent", "camera-link", "authorisation", "camera-clock")
"""Every code there is; each has its section in docs/field-guide.md."""


@dataclass(frozen=True, slots=True)
class Alert:
    """Something that is wrong now. `camera` is None for the node's own; `began_age_s` says how long it has been so,
    where that is known to be before it was noticed."""

    code: str
    level: str
    sentence: str
    hint: str
    camera: str | None = None
    began_age_s: int | None = None

    def topic(self) -> str:
        return f"alert/{self.code}" + (f"/{self.camera}" if self.camera else "")


def alert_topics(cameras: Iterable[str]) -> list[str]:
    """Every topic on which an alert of this node can stand."""
    of_cameras = (f"alert/{code}/{camera}" for code in CAMERA_CODES for camera in cameras)
    return [*(f"alert/{code}" for code in NODE_CODES), *of_cameras]


def alerts(now: Situation) -> tuple[Alert, ...]:
    """Everything that is wrong at this moment, worst first."""
    found = [*_node_alerts(now), *(a for camera in now.cameras for a in _camera_alerts(now, camera))]
    return tuple(sorted(found, key=lambda a: (a.level != "bad", a.code, a.camera or "")))


def _node_alerts(now: Situation) -> list[Alert]:
    found = []
    if now.clock.state is not ClockState.SYNCHRONISED:
        found.append(
            Alert("clock", "poor", f"the node's clock is {now.clock.state.value}", "see docs/field-guide.md#clock")
        )
    share = now.usage.used_bytes / now.usage.max_bytes
    if share >= BUFFER_POOR:
        level = "bad" if share >= BUFFER_BAD else "poor"
        sentence = f"the ledger is {share:.0%} full"
        found.append(Alert("buffer", level, sentence, "see why records do not leave: docs/field-guide.md#uplink"))
    found += _kept_alerts(now)
    if now.usage.damaged:
        sentence = f"{now.usage.damaged} records in the ledger are not what was written"
        found.append(Alert("damaged", "bad", sentence, "keep the file; see docs/field-guide.md#damaged"))
    if now.usage.refused:
        sentence = f"the store refused {now.usage.refused} records"
        found.append(Alert("refused-by-store", "bad", sentence, "see docs/field-guide.md#refused-by-store"))
    if now.disk_free_bytes < DISK_BAD_BYTES or now.usage.ballast_gone:
        sentence = f"{now.disk_free_bytes // 1_000_000} MB are left on the disk"
        sentence += "; no read is taken until there is more" if now.usage.ballast_gone else ""
        found.append(Alert("disk", "bad", sentence, "see docs/field-guide.md#disk"))
    if now.taken_over:
        sentence = "another client uses this node's name at the broker"
        found.append(Alert("client-takeover", "bad", sentence, "see docs/field-guide.md#client-takeover"))
    days = now.certificate_days
    if days is not None and days < CERTIFICATE_POOR_DAYS:
        level = "bad" if days < CERTIFICATE_BAD_DAYS else "poor"
        found.append(
            Alert(
                "certificate",
                level,
                f"the uplink's certificate ends in {days} days",
                "see docs/field-guide.md#certificate",
            )
        )
    return found


def _kept_alerts(now: Situation) -> list[Alert]:
    """What becomes of records that the node could not send: too old soon, given up, or in a ledger set aside."""
    usage, age_s, found = now.usage, now.oldest_age_s(), []
    if age_s is not None and usage.max_age_ms is not None and age_s * 1000 >= AGE_POOR * usage.max_age_ms:
        level = "bad" if age_s * 1000 >= AGE_BAD * usage.max_age_ms else "poor"
        days = usage.max_age_ms // 86_400_000
        sentence = f"the oldest record waits for {age_s // 3600} h; after {days} days it is erased"
        found.append(Alert("buffer-age", level, sentence, "see docs/field-guide.md#buffer-age", None, age_s))
    if usage.shedding:
        level = "bad" if usage.shedding == "read" else "poor"
        what = "reads" if usage.shedding == "read" else "overviews"
        sentence = f"records are given up, {what} among them: {usage.shed} since the start"
        found.append(Alert("shedding", level, sentence, "see docs/field-guide.md#shedding"))
    if usage.quarantined:
        level = "bad" if usage.unsalvaged else "poor"
        sentence = f"{usage.quarantined} ruined ledgers are set aside, {usage.unsalvaged} not salvaged yet"
        hint = "see docs/field-guide.md#ledger-quarantined"
        found.append(Alert("ledger-quarantined", level, sentence, hint))
    return found


def _camera_alerts(now: Situation, camera: str) -> list[Alert]:
    report, found = now.cameras[camera], []
    quiet_s = report["last_delivery_age_s"]
    if report["state"] == "down":
        hint = "see docs/field-guide.md#camera-down"
        found.append(Alert("camera-down", "bad", "the camera does not answer", hint, camera, quiet_s))
    link = report["link"]
    if link is not None and not link["up"] and link["age_s"] >= LINK_POOR_S:
        level = "bad" if link["age_s"] >= LINK_BAD_S else "poor"
        sentence = f"the line to the camera is down: {link['why']}"
        found.append(
            Alert("camera-link", level, sentence, "see docs/field-guide.md#camera-link", camera, link["age_s"])
        )
    if report["state"] == "silent":
        hint = "see docs/field-guide.md#camera-silent"
        found.append(Alert("camera-silent", "bad", "the camera delivers nothing", hint, camera, quiet_s))
    if not report["authorised"]:
        hint = "nothing of it is kept; see docs/field-guide.md#authorisation"
        found.append(Alert("authorisation", "bad", "the camera is not authorised now", hint, camera))
    elif now.authorisation_days[camera] < AUTHORISATION_POOR_DAYS:
        sentence = f"the camera's authorisation ends in {now.authorisation_days[camera]} days"
        found.append(Alert("authorisation", "poor", sentence, "see docs/field-guide.md#authorisation", camera))
    skew_ms = report["clock_skew_ms"]
    if skew_ms is not None and abs(skew_ms) > SKEW_POOR_MS:
        sentence = f"the camera's clock is {abs(skew_ms) // 1000} s {'ahead' if skew_ms > 0 else 'behind'}"
        found.append(Alert("camera-clock", "poor", sentence, "see docs/field-guide.md#camera-clock", camera))
    return found


def heartbeat(now: Situation, seq: int, interval_s: int) -> dict[str, Any]:
    """The heartbeat of wire.md 3.3, less its checkpoint."""
    return {
        "seq": seq,
        "interval_s": interval_s,
        "session": now.session,
        "boot_id": now.boot_id,
        "uptime_s": now.uptime_s,
        "at_ms": now.at_ms,
        "clock": {"state": now.clock.state.value, "bound_ms": now.clock.bound_ms},
        "buffer": {
            "records": now.usage.waiting,
            "bytes": now.usage.waiting_bytes,
            "oldest_age_s": now.oldest_age_s(),
        },
        "cameras": dict(now.camera_states),
        "disk": {"free_bytes": now.disk_free_bytes},
        "certificate_days": now.certificate_days,
        "alerts": sorted({alert.code for alert in alerts(now)}),
        "config": now.config_digest.removeprefix("sha256:")[:16],
        "version": now.version,
        "acknowledge": now.acknowledge,
    }


def health_groups(now: Situation) -> dict[str, dict[str, Any]]:
    """The `health/<group>` messages of wire.md 3.4, less their time."""
    usage = now.usage
    return {
        "clock": {"state": now.clock.state.value, "bound_ms": now.clock.bound_ms},
        "buffer": {
            "records": usage.waiting,
            "bytes": usage.waiting_bytes,
            "used_bytes": usage.used_bytes,
            "max_bytes": usage.max_bytes,
            "drain_s": now.flow.drain_s,
            "full_s": now.flow.full_s,
            "refused": usage.refused,
            "damaged": usage.damaged,
            "shed": usage.shed,
            "quarantined": usage.quarantined,
            "max_age_s": None if usage.max_age_ms is None else usage.max_age_ms // 1000,
        },
        "disk": {"free_bytes": now.disk_free_bytes, "ballast_held": not usage.ballast_gone},
        "certificates": {"uplink_days": now.certificate_days},
        "uplink": {"up": now.uplink_up, "receipt_age_s": now.receipt_age_s, **now.uplink},
    }


def status_line(now: Situation) -> str:
    """One true line for `systemctl status` and the top of `anpr-edge status`."""
    found = alerts(now)
    up, total = now.camera_states["up"], len(now.cameras)
    return (
        f"{state(now)}; cameras {up}/{total} delivering; buffer {now.usage.waiting} records;"
        f" clock {now.clock.state.value}; uplink {'up' if now.uplink_up else 'down'}"
        + (f"; alerts: {', '.join(sorted({a.code for a in found}))}" if found else "")
    )


def state(now: Situation) -> str:
    return "degraded" if any(alert.level == "bad" for alert in alerts(now)) else "ready"
