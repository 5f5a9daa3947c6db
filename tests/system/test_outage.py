"""The broker goes away in the middle of a stream: no camera notices, and afterwards the newest arrive first."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from zoneinfo import ZoneInfo

import pytest
from overheard import Overheard
from whole_site import CameraRun, Process, Site, until

from simulators.site_files import ZONE, is_free

ANSWER_LIMIT_MS = 2000
BACK_LIMIT_S = 330.0
"""The back-off's ceiling of 300 s bounds the wait for the node; half of all waits after 60 s are under 27 s."""
BEFORE, LIVE_AFTER = 5, 10
LIVE_LIMIT_MS = 5000
"""A live read's way with a backlog beside it: much less than any drain, much more than the 0.6 s that was measured."""
SLOW_LINE = """\
[uplink]
rate_bytes_per_s = 100_000
receipt_timeout_s = 5
"""
"""So slow a line that a backlog takes some seconds even on loopback: else there would be no order to see."""


def picture_ms(vendor_id: str) -> int:
    """When the picture was taken: a camera's identity for a passage begins with it, to the millisecond."""
    local = datetime.strptime(vendor_id[:14], "%Y%m%d%H%M%S").replace(tzinfo=ZoneInfo(ZONE))
    return int(local.timestamp()) * 1000 + int(vendor_id[14:17])


def now_ms() -> int:
    return time.time_ns() // 1_000_000


def heard(cameras: list[CameraRun]) -> int:
    return sum(len(camera.stored()) for camera in cameras)


@dataclass(frozen=True, slots=True)
class Arrived:
    """One record at the back office. `received_ms`: when the node had it from the camera."""

    kind: str
    received_ms: int
    stored_ms: int


def arrivals(site: Site) -> list[Arrived]:
    """Reads and overviews in the order of their arrival."""
    question = "SELECT kind, received_ms, stored_ms FROM records WHERE kind != 'act' ORDER BY id"
    return [Arrived(*row) for row in site.store_rows(question)]


def without_broker(site: Site, broker: Process, cameras: list[CameraRun], outage_s: float) -> tuple[int, int]:
    """When the broker went and came back, ms; between, it is away for `outage_s` and the cameras are served."""
    gone_ms, before = now_ms(), heard(cameras)
    broker.kill()
    until("the end of the outage", lambda: now_ms() >= gone_ms + outage_s * 1000, outage_s + 30)
    assert heard(cameras) > before + outage_s
    assert site.healthy()
    assert is_free(site.broker_port), "there was an outage"
    back_ms = now_ms()
    site.start_broker()
    return gone_ms, back_ms


@pytest.mark.parametrize(
    ("outage_s", "kind"),
    [
        (6, "amqtt"),
        pytest.param(6, "mosquitto", marks=[pytest.mark.slow, pytest.mark.mosquitto]),
        pytest.param(60, "amqtt", marks=pytest.mark.slow),
    ],
)
def test_cameras_are_served_and_live_comes_first(make_site: Callable[..., Site], outage_s: float, kind: str) -> None:
    site = make_site(settings=SLOW_LINE, kind=kind)
    broker, _, _ = site.start_all()
    cameras = [site.start_camera(each, "--rate", "1.5", "--retry-for", "60") for each in site.mounted]
    until("the stream before the outage", lambda: len(arrivals(site)) >= 2 * BEFORE)

    gone_ms, back_ms = without_broker(site, broker, cameras, outage_s)
    until("the first read after the outage", lambda: arrivals(site)[-1].received_ms >= gone_ms, BACK_LIMIT_S)
    first_ms = now_ms()
    print(f"the broker was back after {outage_s} s; the first read came {(first_ms - back_ms) / 1000:.1f} s later")
    until("live reads", lambda: len(live_reads(arrivals(site), first_ms)) >= LIVE_AFTER)
    for camera in cameras:
        assert camera.process.stop() == 0
    stored = set().union(*(camera.stored() for camera in cameras))
    until("the end of the buffer", lambda: site.ledger_rows("SELECT waiting FROM totals") == [(0,)], 240)
    assert stored <= site.held().keys()

    check_service(cameras)
    check_order(arrivals(site), gone_ms, first_ms)
    assert {vendor_id: times for vendor_id, times in site.held().items() if times != 1} == {}
    figures = site.ask("figures")
    assert [figures[name] for name in ("gaps", "broken_links", "unverified", "over_cap")] == [0, 0, 0, 0]


def check_service(cameras: list[CameraRun]) -> None:
    """Every push answered 200 at its first try and within two seconds of the picture."""
    lines = [line for camera in cameras for line in camera.heard()]
    assert {(line["status"], line["tries"]) for line in lines} == {(200, 1)}
    slowest = max(line["at_ms"] - picture_ms(line["uuid"]) for line in lines)
    print(f"slowest answer of {len(lines)}: {slowest} ms after the picture")
    assert slowest < ANSWER_LIMIT_MS


def live_reads(arrived: list[Arrived], first_ms: int) -> list[Arrived]:
    return [each for each in arrived if each.kind == "read" and each.received_ms > first_ms]


def check_order(arrived: list[Arrived], gone_ms: int, first_ms: int) -> None:
    """Reads taken in once the line was up again arrived soon, while records from the outage still waited."""
    backlog = [place for place, each in enumerate(arrived) if gone_ms <= each.received_ms < first_ms]
    before = live_reads(arrived[: backlog[-1]], first_ms)
    waited_ms = [each.stored_ms - each.received_ms for each in before]
    print(f"{len(before)} live reads arrived before the last of {len(backlog)} waiting records, after {waited_ms} ms")
    assert len(before) >= 3
    assert max(waited_ms) < LIVE_LIMIT_MS
    drained_s = (arrived[backlog[-1]].stored_ms - first_ms) / 1000
    print(f"the backlog was drained {drained_s:.1f} s after its first read")
    between = [place for place in backlog if arrived[place].stored_ms > before[0].stored_ms]
    assert between, "the backlog moves too, among the live reads"


def test_a_short_outage_is_followed_by_a_new_birth(make_site: Callable[..., Site]) -> None:
    """Shorter than the heartbeat's interval: the broker that came back knows the node again, and not as lost."""
    site = make_site(settings="[health]\nheartbeat_s = 3600\n")
    broker, _, _ = site.start_all()
    until("the birth", lambda: site.ask("figures")["nodes"].get("node-1", {}).get("state") in ("ready", "degraded"))
    broker.kill()
    site.start_broker()
    with Overheard(site) as overheard:
        until("the birth anew", lambda: overheard.named("birth"))
        until(
            "its state anew", lambda: [s["state"] for s in overheard.named("state")][-1:] in (["ready"], ["degraded"])
        )
