"""A camera's broker, real (Mosquitto) and odd: acknowledgement after the commit, flow control, silence, takeover."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import resource
import socket
import subprocess
import time
from collections.abc import Callable, Coroutine, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import paho.mqtt.client as paho
import pytest
from paho.mqtt.enums import CallbackAPIVersion

from capture.backoff import Backoff
from capture.login import Login
from capture.sources.mqtt_client import MqttCamera
from capture.sources.mqtt_events import open_mqtt_events
from capture.tls import Trust
from edge.claim import Outcome, Verdict, Way
from tests.fixtures.peers_mqtt import (
    DEADLINE_S,
    MOSQUITTO,
    QUICK,
    Broker,
    Odd,
    Site,
    brokers,
    clock,
    length_of,
    publish,
    self_signed,
    until,
)

mosquitto = [
    pytest.mark.mosquitto,
    pytest.mark.skipif(MOSQUITTO is None, reason="NO MOSQUITTO HERE: MQTT events are not tested against a broker"),
]
BOTH = pytest.mark.parametrize("protocol", [5, 3], ids=["mqtt5", "mqtt311"])
TOPIC = "cam/onvif-ej/RuleEngine/Recognition/LicensePlate"
BODY = b'{"UtcTime":"2026-01-01T00:00:00Z","Source":{},"Data":{}}'


def run(scene: Coroutine[Any, Any, None]) -> None:
    asyncio.run(asyncio.wait_for(scene, 60))
    gc.collect()


@pytest.fixture
def make_broker(tmp_path: Path) -> Iterator[Callable[..., Broker]]:
    yield from brokers(tmp_path)


def at(port: int, protocol: int = 5, **more: Any) -> MqttCamera:
    settings: dict[str, Any] = {"topics": ("cam/#",), "client_id": "node-cam-a", "protocol": protocol, **more}
    return MqttCamera("cam-a", "127.0.0.1", port, **settings)


class TestWithMosquitto:
    pytestmark = mosquitto

    @BOTH
    def test_messages_are_deliveries(self, make_broker: Callable[..., Broker], protocol: int) -> None:
        async def scene() -> None:
            site, broker = Site(), make_broker()
            publish(broker.port, (TOPIC, b"old"), retain=True)
            async with site.hearing(at(broker.port, protocol)) as events:
                await until(lambda: site.bodies() == [b"old"], "the retained one comes at once")
                publish(broker.port, (TOPIC, BODY), content_type="application/json")
                publish(broker.port, (TOPIC + "/zero", BODY), qos=0)
                publish(broker.port, ("elsewhere", b"not ours"))
                publish(broker.port, (TOPIC, b""), retain=True)
                publish(broker.port, ("cam/last", b"last"), retain=True)
                await until(lambda: len(site.deliveries) == 4, "all have come")
                assert events.counts() == {"cleared": 1}
            assert [(each.name, each.body, each.replayed) for each in site.deliveries] == [
                (TOPIC, b"old", True),
                (TOPIC, BODY, False),
                (TOPIC + "/zero", BODY, False),
                ("cam/last", b"last", False),
            ]
            first = site.deliveries[1]
            assert first.content_type == ("application/json" if protocol == 5 else "")
            assert (first.arrival.camera, first.arrival.address, first.arrival.way) == (
                "cam-a",
                "127.0.0.1",
                Way.MQTT_EVENTS,
            )
            assert site.links == ["up"]
            assert TOPIC not in repr(first)

        run(scene())

    @BOTH
    def test_what_came_while_the_node_was_away(self, make_broker: Callable[..., Broker], protocol: int) -> None:
        async def scene() -> None:
            broker = make_broker()
            site = Site()
            async with site.hearing(at(broker.port, protocol)):
                await until(lambda: site.links == ["up"], "the session is made")
            publish(broker.port, *[("cam/x", str(number).encode()) for number in range(30)])
            async with site.hearing(at(broker.port, protocol)):
                await until(lambda: len(site.deliveries) >= 30, "all have come")
            assert site.bodies() == [str(number).encode() for number in range(30)]

        run(scene())

    @BOTH
    def test_what_is_not_acknowledged_comes_again(self, make_broker: Callable[..., Broker], protocol: int) -> None:
        async def scene() -> None:
            broker, stuck = make_broker(), Site(gate=asyncio.Event())
            async with stuck.hearing(at(broker.port, protocol), replace(QUICK, stop_s=0.1)):
                await until(lambda: stuck.links == ["up"], "it listens")
                publish(broker.port, ("cam/x", b"1"), ("cam/x", b"2"))
                await until(lambda: stuck.bodies() == [b"1"], "the first is in hand")
            site = Site()
            async with site.hearing(at(broker.port, protocol)):
                await until(lambda: len(site.deliveries) == 2, "both come again")
            assert site.bodies() == [b"1", b"2"]

        run(scene())

    def test_a_broker_that_keeps_what_does_not_fit(self, make_broker: Callable[..., Broker]) -> None:
        async def scene() -> None:
            broker, site = make_broker("max_inflight_messages 1000"), Site(gate=asyncio.Event())
            assert site.gate is not None
            async with site.hearing(at(broker.port)) as events:
                await until(lambda: site.links == ["up"], "it listens")
                publish(broker.port, *[("cam/x", str(number).encode()) for number in range(200)])
                line = events._shared.lines[0]
                await until(lambda: len(line._waiting) == QUICK.in_hand - 1, "as many as were asked for")
                await asyncio.sleep(QUICK.keepalive_s * 2.5)  # pings are answered all the while
                assert len(line._waiting) == QUICK.in_hand - 1
                assert site.links == ["up"]
                site.gate.set()
                await until(lambda: len(site.deliveries) == 200, "the rest follows")
                assert site.bodies() == [str(number).encode() for number in range(200)]

        run(scene())

    def test_a_flood_without_flow_control_is_not_read(self, make_broker: Callable[..., Broker]) -> None:
        async def scene() -> None:
            broker, site = make_broker("max_queued_messages 0"), Site(gate=asyncio.Event())
            assert site.gate is not None
            async with site.hearing(at(broker.port, 3), replace(QUICK, keepalive_s=30)) as events:
                await until(lambda: site.links == ["up"], "it listens")
                most_kb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
                line = events._shared.lines[0]
                flood = asyncio.to_thread(publish, broker.port, *[("cam/x", bytes(100_000))] * 300, qos=0)
                await flood
                await until(lambda: len(line._waiting) > QUICK.in_hand, "it has enough")
                assert len(line._waiting) <= QUICK.in_hand + 2
                assert events._shared.held_bytes <= (QUICK.in_hand + 3) * 100_000
                assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - most_kb < 60_000
                site.gate.set()
                await until(lambda: len(site.deliveries) > 20, "and then it reads on")
                await until(lambda: events._shared.held_bytes == 0, "until nothing waits")

        run(scene())

    def test_a_frozen_broker_shows_and_is_left(self, make_broker: Callable[..., Broker]) -> None:
        async def scene() -> None:
            broker, site = make_broker(), Site()
            async with site.hearing(at(broker.port)) as events:
                await until(lambda: site.links == ["up"], "it listens")
                broker.freeze()
                await until(lambda: site.links == ["up", "quiet"], "nobody said goodbye")
                broker.thaw()
                await until(lambda: site.links[2:] == ["up"], "it mends itself")
                publish(broker.port, ("cam/x", BODY))
                await until(lambda: site.bodies() == [BODY], "and hears")
                assert events.counts()["quiet"] >= 1
                assert events.refused() == {}

        run(scene())

    def test_a_broker_that_goes_and_comes(self, make_broker: Callable[..., Broker]) -> None:
        async def scene() -> None:
            broker, site = make_broker(), Site()
            async with site.hearing(at(broker.port)):
                await until(lambda: site.links == ["up"], "it listens")
                broker.stop()
                await until(lambda: site.links == ["up", "cut", "refused"], "it is gone")
                broker.start()
                await until(lambda: site.links[3:] == ["up"], "it mends itself")
                publish(broker.port, ("cam/x", BODY))
                await until(lambda: site.bodies() == [BODY], "and hears")

        run(scene())

    def test_another_client_of_that_name(self, make_broker: Callable[..., Broker]) -> None:
        async def scene() -> None:
            broker, site = make_broker(), Site()
            limits = replace(QUICK, settled_s=5, backoff=Backoff(0.01, 2))
            async with site.hearing(at(broker.port), limits) as events:
                await until(lambda: site.links == ["up"], "it listens")
                thief = paho.Client(CallbackAPIVersion.VERSION2, client_id="node-cam-a", protocol=paho.MQTTv5)
                thief.reconnect_delay_set(1, 1)
                thief.connect("127.0.0.1", broker.port)
                thief.loop_start()
                await until(lambda: site.links[-1] == "taken_over", "it sees what this is")
                thief.disconnect()
                thief.loop_stop()
                began = time.monotonic()
                await until(lambda: site.links[-1] == "up", "it comes back")
                assert time.monotonic() - began > 1, "after the longest wait"
                assert events.refused() == {"taken_over": 1}

        run(scene())

    def test_login(self, make_broker: Callable[..., Broker], tmp_path: Path) -> None:
        async def scene() -> None:
            passwords = tmp_path / "passwords"
            passwords.write_text("")
            passwords.chmod(0o600)
            subprocess.run(["mosquitto_passwd", "-b", str(passwords), "north", "secret"], check=True, timeout=10)
            broker = make_broker("allow_anonymous false", f"password_file {passwords}")
            for login, links in ((Login("north", "secret"), ["up"]), (Login("north", "guess"), ["unauthorised"])):
                for protocol in (5, 3):
                    site = Site()
                    async with site.hearing(at(broker.port, protocol, login=login)):
                        await until(lambda heard=site.links, links=links: heard == links, "it is told")  # type: ignore[misc]

        run(scene())

    def test_tls(self, make_broker: Callable[..., Broker], tmp_path: Path) -> None:
        async def scene() -> None:
            key, certificate = self_signed(tmp_path)
            broker = make_broker(f"certfile {certificate}", f"keyfile {key}")
            for trust, authority, link in (
                (Trust.VERIFY, certificate, "up"),
                (Trust.UNVERIFIED, None, "up"),
                (Trust.VERIFY, None, "tls"),
            ):
                site = Site()
                async with site.hearing(at(broker.port, trust=trust, authority=authority)):
                    await until(lambda heard=site.links, link=link: heard == [link], "it is told")  # type: ignore[misc]
            site, sizes = Site(), (10, 1_000_000, 3)
            async with site.hearing(at(broker.port, trust=Trust.VERIFY, authority=certificate)):
                await until(lambda: site.links == ["up"], "it listens")
                thing = paho.Client(CallbackAPIVersion.VERSION2)
                thing.tls_set(str(certificate))
                thing.connect("127.0.0.1", broker.port)
                thing.loop_start()
                for size in sizes:
                    thing.publish("cam/x", bytes(size) or b"0", 1)
                await until(lambda: [len(body) for body in site.bodies()] == [*sizes], "all have come")
                thing.disconnect()
                thing.loop_stop()

        run(scene())

    def test_close_does_not_wait_for_a_frozen_broker(self, make_broker: Callable[..., Broker]) -> None:
        async def scene() -> None:
            broker, site = make_broker(), Site()
            async with site.hearing(at(broker.port)):
                await until(lambda: site.links == ["up"], "it listens")
                broker.freeze()
                began = time.monotonic()
            assert time.monotonic() - began < 0.5
            async with site.hearing(at(broker.port), replace(QUICK, connect_s=30)):  # it stays in the middle
                await asyncio.sleep(0.2)
                began = time.monotonic()
            assert time.monotonic() - began < 0.5

        run(scene())


@BOTH
def test_no_acknowledgement_before_the_commit(protocol: int) -> None:
    async def scene() -> None:
        site = Site(gate=asyncio.Event())
        assert site.gate is not None
        async with Odd(protocol).serving() as odd, site.hearing(at(odd.port, protocol)):
            line = await odd.subscribed.get()
            line.write(odd.message(b"cam/x", BODY, number=7) + odd.message(b"cam/x", b"0", qos=0))
            await until(lambda: site.bodies() == [BODY], "it is in hand")
            await asyncio.sleep(0.2)
            assert odd.acknowledged == []
            site.gate.set()
            await until(lambda: odd.acknowledged == [7], "and then")
            await until(lambda: len(site.deliveries) == 2, "what wants none is heard too")
            assert odd.acknowledged == [7]

    run(scene())


def test_later_is_tried_again_and_refused_is_not() -> None:
    async def scene() -> None:
        site = Site(verdicts=[Verdict(Outcome.LATER, "storage_full")] * 2 + [Verdict(Outcome.REFUSED, "undecodable")])
        async with Odd().serving() as odd, site.hearing(at(odd.port)) as events:
            line = await odd.subscribed.get()
            line.write(odd.message(b"cam/x", b"one", number=1) + odd.message(b"cam/x", b"two", number=2))
            await until(lambda: odd.acknowledged == [1, 2], "both are told")
            assert site.bodies() == [b"one", b"one", b"one", b"two"]
            assert events.counts() == {"held": 2, "refused_messages": 1}
            assert events.refused() == {}

    run(scene())


def test_a_fault_of_ours_is_told_to_the_program() -> None:
    async def scene() -> None:
        site = Site(fault=ZeroDivisionError("ours"))
        async with Odd().serving() as odd, site.hearing(at(odd.port)) as events:
            (await odd.subscribed.get()).write(odd.message(b"cam/x", BODY))
            with pytest.raises(ZeroDivisionError):
                await asyncio.wait_for(events.failed(), DEADLINE_S)
            assert odd.acknowledged == []

    run(scene())


def test_a_topic_that_is_no_text_is_counted_and_left() -> None:
    async def scene() -> None:
        site = Site()
        async with Odd().serving() as odd, site.hearing(at(odd.port)) as events:
            line = await odd.subscribed.get()
            line.write(odd.message(b"cam/\xff\xfe", BODY, number=1) + odd.message(b"cam/x", BODY, number=2))
            await until(lambda: odd.acknowledged == [1, 2], "the broker has not to keep it")
            assert len(site.deliveries) == 1
            assert events.refused() == {"garbage": 1}
            assert odd.connections == 1

    run(scene())


@pytest.mark.parametrize(
    ("said", "why"),
    [
        (b"GET / HTTP/1.1\r\n\r\n", "garbage"),
        (b"\x32\xff\xff\xff\xff\x01", "garbage"),
        (b"\x32\x02\x00", "cut"),
        (b"\x32\x03\xff\xff\xff", "garbage"),
        (b"\x34\x0a\x00\x03cam\x00\x01\x00xx", "garbage"),
        (b"\x32\x0a\x00\x03cam\x00\x01\xee\xee\xee", "garbage"),
        (b"\x00\x00", "garbage"),
        (b"\xe0\x02\x8e\x00", "taken_over"),
    ],
)
def test_what_no_broker_should_say(said: bytes, why: str, caplog: pytest.LogCaptureFixture) -> None:
    async def scene() -> None:
        site = Site()
        async with Odd().serving() as odd, site.hearing(at(odd.port)) as events:
            line = await odd.subscribed.get()
            await until(lambda: site.links == ["up"], "it listens")
            line.write(said)
            if why == "cut":
                line.close()
            await until(lambda: site.links[:2] == ["up", why], "it is told")
            (await odd.subscribed.get()).write(odd.message(b"cam/x", BODY))
            await until(lambda: site.bodies() == [BODY], "the next connection is a new one")
            assert events.counts()[why] == 1

    run(scene())
    assert not caplog.records


def test_a_message_without_an_end_costs_no_memory() -> None:
    async def scene() -> None:
        site = Site()
        limits = replace(QUICK, message_bytes=1_000_000)
        async with Odd().serving() as odd, site.hearing(at(odd.port), limits) as events:
            most_kb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
            for _ in range(3):
                line = await odd.subscribed.get()
                line.write(b"\x30" + length_of(250_000_000) + b"\x00\x05cam/x\x00")
                with contextlib.suppress(ConnectionError):
                    for _ in range(50):
                        line.write(bytes(1_000_000))
                        await line.drain()
            line = await odd.subscribed.get()
            line.write(odd.message(b"cam/x", bytes(1_000_000)))
            await until(lambda: [len(body) for body in site.bodies()] == [1_000_000], "what is allowed is heard")
            assert events.refused() == {"too_large": 3}
            assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - most_kb < 40_000

    run(scene())


@pytest.mark.parametrize("protocol", [5, 3])
def test_a_message_in_small_pieces_and_one_that_breaks_off(protocol: int) -> None:
    async def scene() -> None:
        site = Site()
        async with Odd(protocol).serving() as odd, site.hearing(at(odd.port, protocol)):
            line = await odd.subscribed.get()
            packet = odd.message(b"cam/x", BODY)
            for begin in range(0, len(packet), 5):
                line.write(packet[begin : begin + 5])
                await asyncio.sleep(0.005)
            await until(lambda: site.bodies() == [BODY], "it is whole")
            line.write(packet[:-3])
            await line.drain()
            line.close()
            (await odd.subscribed.get()).write(odd.message(b"cam/x", b"next"))
            await until(lambda: len(site.deliveries) == 2, "the next one")
            assert site.bodies()[1] == b"next"
            assert site.links == ["up", "cut", "up"]

    run(scene())


def test_a_subscription_that_is_denied() -> None:
    async def scene() -> None:
        site = Site()
        async with Odd(granted=0x87).serving() as odd, site.hearing(at(odd.port)):
            await until(lambda: site.links == ["unauthorised"], "it is told")

    run(scene())


def test_nobody_there() -> None:
    async def scene() -> None:
        with socket.create_server(("127.0.0.1", 0)) as probe:
            port = probe.getsockname()[1]
        site = Site()
        camera = replace(at(port), host="camera.invalid")
        events = await open_mqtt_events([at(port), camera], QUICK, site.receive, site, clock)
        await until(lambda: {*site.links} == {"refused", "unreachable"}, "both are told")
        await events.close()

    run(scene())


def test_close_lets_the_delivery_in_hand_finish_and_be_acknowledged() -> None:
    async def scene() -> None:
        site = Site(gate=asyncio.Event())
        assert site.gate is not None
        async with Odd().serving() as odd:
            async with site.hearing(at(odd.port)):
                (await odd.subscribed.get()).write(odd.message(b"cam/x", BODY, number=3))
                await until(lambda: site.bodies() == [BODY], "it is in hand")
                asyncio.get_running_loop().call_later(0.2, site.gate.set)
            await until(lambda: odd.ended == 1, "it has gone")
            assert odd.acknowledged == [3]

    run(scene())
