"""What the node says of itself, on a working fake of the transport, in virtual time."""

from __future__ import annotations

import asyncio
import base64
import json
import re
import sys
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from edge.changes import Usage
from edge.claim import ClockState
from edge.clock import ClockQuality
from edge.health import CameraHealth, camera_summary
from edge.sign import CHECKPOINT_TYPE, encode, held_signer, sign
from edge.situation import Situation
from uplink.reporter import Reporter
from uplink.transport import Disconnected, Message, NotTaken
from uplink.wire import Address, heartbeat_message

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "simulation"))
from virtual_time import now_s, run_virtual, until

ADDRESS = Address("op", "site", "node-a")
ROOT = "anpr/v1/op/site/node-a/"
BIRTH: dict[str, Any] = {
    "v": 1,
    "session": 7,
    "epoch": "00000007" + "ab" * 8,
    "software": {"anpr_edge": "0.1.0"},
    "cameras": [{"id": "north", "authorisation": "REF-1", "dialect": "generic"}],
    "interval_s": 60,
}
CAMERA = CameraHealth("north", 60, 0)
USAGE = Usage(3, 12_000, 0, 0, 1_780_000_000_000, 60_000, 8_000_000, 9)
SITUATION = Situation(
    at_ms=1_780_000_100_000,
    session=7,
    uptime_s=100,
    boot_id="6c1f9c2e-61a8-4f65-9d0b-0f4f1a2b3c4d",
    version="0.1.0",
    config_digest="sha256:" + "0f" * 32,
    clock=ClockQuality(ClockState.SYNCHRONISED, 12),
    usage=USAGE,
    disk_free_bytes=5_000_000_000,
    certificate_days=200,
    uplink_up=True,
    uplink_problem="[Errno 111] connect to 192.0.2.7:8883 rtsp://192.0.2.7/stream",  # kept for status, never sent
    uplink={"acknowledged": 1, "connects": 1},
    receipt_age_s=1,
    acknowledge="store",
    cameras={"north": CAMERA.report(0, True)},
    camera_states=camera_summary([CAMERA], 0),
    authorisation_days={"north": 400},
)

_FORBIDDEN = {
    "a mark": re.compile(r"\b[A-Z]{2}[0-9]{2} ?[A-Z]{3}\b"),
    "a JPEG": re.compile(r"/9j/|\\xff\\xd8|ffd8ff"),
    "an address": re.compile(r"(rtsp|http)s?://", re.IGNORECASE),
    "an IP address": re.compile(r"\b(?:\d{1,3}\.){3}\d{1,3}\b"),
}


def lint(message: Message) -> dict[str, Any]:
    """The message as parsed; `AssertionError` where it holds what no report may hold."""
    content = json.loads(message.payload)
    assert isinstance(content, dict)
    for text in strings(content):
        for what, pattern in _FORBIDDEN.items():
            assert not pattern.search(text), f"{what} in {message.topic}"
        assert not base64_of_jpeg(text), f"a JPEG in {message.topic}"
    return content


def strings(value: object) -> list[str]:
    """Every key and text, the checkpoint's base64 apart: of random letters some look like anything."""
    if isinstance(value, dict):
        return [s for key, v in value.items() if key != "checkpoint" for s in (key, *strings(v))]
    if isinstance(value, list):
        return [s for v in value for s in strings(v)]
    return [value] if isinstance(value, str) else []


def base64_of_jpeg(text: str) -> bool:
    try:
        return base64.b64decode(text, validate=True).startswith(b"\xff\xd8")
    except ValueError:
        return False


@pytest.mark.parametrize(
    "text", ["seen AB12CDE today", base64.b64encode(b"\xff\xd8\xff\xe0" + bytes(9)).decode(), "rtsp://x/y", "10.0.0.1"]
)
def test_the_lint_sees(text: str) -> None:
    with pytest.raises(AssertionError):
        lint(Message("t", json.dumps({"a": [{"b": text}]}).encode()))


class Line:
    """A transport that acknowledges at once while it is up, and keeps what a broker would retain."""

    def __init__(self) -> None:
        self.sent: list[tuple[float, Message]] = []
        self.retained: dict[str, bytes] = {}
        self.up = asyncio.Event()
        self.down = asyncio.Event()
        self.deny: frozenset[str] = frozenset()

    async def publish(self, message: Message) -> None:
        await asyncio.sleep(0.01)
        if not self.up.is_set():
            raise Disconnected
        topic = message.topic.removeprefix(ROOT)
        if topic in self.deny:
            raise NotTaken(135)
        self.sent.append((now_s(), message))
        if message.retain:
            self.retained[topic] = message.payload

    async def wait_down(self) -> None:
        await self.down.wait()

    def lose(self) -> None:
        """The link goes, and the broker publishes the will."""
        self.up.clear()
        self.down.set()
        self.down = asyncio.Event()
        self.retained["state"] = json.dumps({"state": "lost", "session": 7}).encode()

    def topics(self) -> list[str]:
        return [message.topic.removeprefix(ROOT) for _, message in self.sent]

    def begun(self, after: int = 0) -> list[str]:
        """The first four topics said after that many messages, alerts apart."""
        return [topic for topic in self.topics()[after:] if not topic.startswith("alert/")][:4]

    def of(self, topic: str) -> list[dict[str, Any]]:
        return [lint(m) for _, m in self.sent if m.topic == ROOT + topic and m.payload]


class World:
    def __init__(self) -> None:
        self.now = SITUATION
        self.line = Line()
        self._key = held_signer(Ed25519PrivateKey.generate())
        self.reporter = Reporter(
            self.line, ADDRESS, 7, BIRTH, self.situation, self.checkpoint, interval_s=60, mono_s=now_s
        )

    async def situation(self) -> Situation:
        await asyncio.sleep(0.001)
        return replace(self.now, at_ms=SITUATION.at_ms + int(now_s() * 1000), uptime_s=int(now_s()))

    async def checkpoint(self) -> bytes:
        return checkpoint(self._key)


def checkpoint(key: Any, node: str = "node-a") -> bytes:
    epoch, most = b"\0\0\0\7" + bytes(8), 2**40
    counts = {"read": most, "overview": most, "act": most}
    statement = {"v": 1, "node": node, "epoch": epoch, "seq": most, "head": bytes(32), "counts": counts}
    return sign(key, CHECKPOINT_TYPE, encode(statement | {"shed": {}, "oldest": [epoch, most], "at_ms": 2**41}))


def reporter_test(story: Callable[[World], Awaitable[None]]) -> None:
    async def main() -> None:
        world = World()
        running = asyncio.ensure_future(world.reporter.run(world.line.up.wait, world.line.wait_down))
        await story(world)
        assert not running.done()
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        for _, message in world.line.sent:
            if message.payload:
                lint(message)
                assert message.topic.startswith(ROOT)
        heartbeats = [m for _, m in world.line.sent if m.topic.endswith("/heartbeat")]
        assert heartbeats
        assert all(len(m.payload) < 1000 and not m.retain and m.expiry_s == 120 for m in heartbeats)

    run_virtual(main())


def test_birth_state_and_heartbeat_come_in_this_order() -> None:
    async def story(world: World) -> None:
        world.line.up.set()
        await asyncio.sleep(1)
        assert world.line.begun() == ["state", "birth", "state", "heartbeat"]
        assert [s["state"] for s in world.line.of("state")] == ["init", "ready"]
        assert world.line.of("birth")[0]["epoch"] == BIRTH["epoch"]
        assert {topic for topic, payload in world.line.retained.items() if payload} == {
            *("state", "birth", "health/camera/north"),
            *(f"health/{group}" for group in ("clock", "buffer", "disk", "certificates", "uplink")),
        }

    reporter_test(story)


def test_heartbeats_count_up_at_their_interval() -> None:
    async def story(world: World) -> None:
        world.line.up.set()
        await asyncio.sleep(610)
        beats = world.line.of("heartbeat")
        assert [b["seq"] for b in beats] == list(range(1, len(beats) + 1))
        times = [at_s for at_s, m in world.line.sent if m.topic.endswith("heartbeat")]
        assert all(59 < b - a < 62 for a, b in pairwise(times))
        assert len(beats) >= 10

    reporter_test(story)


def test_an_alert_stands_while_true_and_is_then_cleared() -> None:
    async def story(world: World) -> None:
        world.line.up.set()
        await asyncio.sleep(1)
        world.now = replace(SITUATION, disk_free_bytes=1000)
        await asyncio.sleep(180)
        (alert,) = world.line.of("alert/disk")  # said once, not at every beat
        assert alert["level"] == "bad"
        assert world.line.of("state")[-1]["state"] == "degraded"
        assert "disk" in world.line.of("heartbeat")[-1]["alerts"]
        world.now = SITUATION
        await asyncio.sleep(60)
        assert world.line.retained["alert/disk"] == b""
        assert world.line.of("state")[-1]["state"] == "ready"
        assert world.line.of("heartbeat")[-1]["alerts"] == []

    reporter_test(story)


def test_an_alert_left_standing_by_an_earlier_life_is_cleared() -> None:
    async def story(world: World) -> None:
        world.line.retained = {"alert/disk": b'{"level":"bad"}', "alert/camera-down/north": b'{"level":"bad"}'}
        world.line.up.set()
        await asyncio.sleep(5)
        assert world.line.retained["alert/disk"] == world.line.retained["alert/camera-down/north"] == b""

    reporter_test(story)


def test_an_alert_that_grows_worse_keeps_its_beginning() -> None:
    async def story(world: World) -> None:
        world.line.up.set()
        world.now = replace(SITUATION, usage=replace(USAGE, used_bytes=5_000_000))
        await asyncio.sleep(70)
        world.now = replace(SITUATION, usage=replace(USAGE, used_bytes=7_000_000))
        await asyncio.sleep(60)
        poor, bad = world.line.of("alert/buffer")
        assert (poor["level"], bad["level"]) == ("poor", "bad")
        assert poor["since_ms"] == bad["since_ms"]

    reporter_test(story)


def test_health_is_said_on_change_and_hourly() -> None:
    async def story(world: World) -> None:
        world.line.up.set()
        await asyncio.sleep(600)
        assert Counter(world.line.topics())["health/camera/north"] == 1
        assert Counter(world.line.topics())["health/disk"] == 1
        world.now = replace(SITUATION, cameras={"north": {**SITUATION.cameras["north"], "state": "down"}})
        await asyncio.sleep(120)
        assert [h["state"] for h in world.line.of("health/camera/north")] == ["unknown", "down"]
        assert Counter(world.line.topics())["health/disk"] == 1
        await asyncio.sleep(3600)
        assert Counter(world.line.topics())["health/disk"] == 2

    reporter_test(story)


def test_after_a_reconnection_during_the_interval_the_will_does_not_stand() -> None:
    """The link was away for a second between two beats: `lost` must not be the retained last word."""

    async def story(world: World) -> None:
        world.line.up.set()
        await asyncio.sleep(10)
        world.line.lose()
        await asyncio.sleep(1)
        world.line.up.set()
        await asyncio.sleep(130)
        assert json.loads(world.line.retained["state"])["state"] == "ready"
        assert Counter(world.line.topics())["birth"] == 2

    reporter_test(story)


def test_after_an_outage_everything_is_said_anew() -> None:
    async def story(world: World) -> None:
        world.line.up.set()
        await asyncio.sleep(10)
        world.line.lose()
        await asyncio.sleep(300)
        before = len(world.line.sent)
        world.line.up.set()
        await until(lambda: "health/camera/north" in world.line.topics()[before:], 130)
        assert world.line.begun(before) == ["state", "birth", "state", "heartbeat"]
        assert json.loads(world.line.retained["state"])["state"] == "ready"
        beats = [b["seq"] for b in world.line.of("heartbeat")]
        assert beats == sorted(set(beats))

    reporter_test(story)


def test_a_standing_alert_is_said_again_to_a_broker_that_forgot() -> None:
    async def story(world: World) -> None:
        world.now = replace(SITUATION, disk_free_bytes=1000)
        world.line.up.set()
        await asyncio.sleep(10)
        world.line.lose()
        world.line.retained.clear()
        await asyncio.sleep(300)
        world.line.up.set()
        await asyncio.sleep(130)
        assert world.line.retained.get("alert/disk")

    reporter_test(story)


def test_a_report_the_broker_refuses_does_not_stop_the_others() -> None:
    async def story(world: World) -> None:
        world.line.deny = frozenset({"birth", "health/clock"})
        world.line.up.set()
        await asyncio.sleep(70)
        assert len(world.line.of("heartbeat")) == 2
        assert "health/camera/north" in world.line.topics()

    reporter_test(story)


def test_a_clean_stop_is_the_last_word() -> None:
    async def story(world: World) -> None:
        world.line.up.set()
        await asyncio.sleep(5)
        await world.reporter.say_stopped(SITUATION.at_ms)
        assert json.loads(world.line.retained["state"])["state"] == "stopped"
        world.line.up.clear()
        await world.reporter.say_stopped(SITUATION.at_ms)  # the broker is away: no error

    reporter_test(story)


def test_the_longest_heartbeat_keeps_its_bound() -> None:
    """Longest names, largest numbers and every alert at once: the list of alerts gives way, the checkpoint does not."""
    key = held_signer(Ed25519PrivateKey.generate())
    longest = Address("o" * 32, "s" * 32, "n" * 32)
    content = {
        "seq": 10**9,
        "interval_s": 3600,
        "session": 2**32 - 1,
        "boot_id": SITUATION.boot_id,
        "uptime_s": 10**9,
        "at_ms": 2**41,
        "clock": {"state": "unsynchronised", "bound_ms": 16_000_000},
        "buffer": {"records": 10**8, "bytes": 10**12, "oldest_age_s": 10**9},
        "cameras": {"up": 100, "down": 100, "silent": 100},
        "disk": {"free_bytes": 10**13},
        "certificate_days": -10_000,
        "alerts": [f"some-alert-code-{n}" for n in range(20)],
        "config": "f" * 16,
        "version": "10.20.30",
        "acknowledge": "broker",
    }
    signed = checkpoint(key, longest.node)
    message = heartbeat_message(longest, content, signed, 60)
    assert len(message.payload) < 1000
    assert base64.b64decode(json.loads(message.payload)["checkpoint"]) == signed
