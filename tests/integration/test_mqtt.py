"""The real MQTT link against a real Mosquitto: acknowledgement, will, refusal, restart, frozen broker."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.fixtures.brokers import ABSENT, MOSQUITTO, ROOT, Broker, Heard, address, linked, listening, run, until, up
from uplink.mqtt import BrokerAddress, MqttLink
from uplink.transport import Disconnected, Message, NotTaken

pytestmark = [pytest.mark.mosquitto, pytest.mark.skipif(MOSQUITTO is None, reason=ABSENT)]

BOTH = pytest.mark.parametrize("protocol", [5, 4], ids=["mqtt5", "mqtt311"])


@pytest.fixture
def make_broker(tmp_path: Path) -> Iterator[Callable[..., Broker]]:
    made: list[Broker] = []

    def make(*lines: str) -> Broker:
        broker = Broker(tmp_path / f"broker-{len(made)}", ["allow_anonymous true", *lines])
        made.append(broker)
        broker.start()
        return broker

    yield make
    for broker in made:
        broker.stop()


# acknowledgement


@BOTH
def test_a_publish_ends_with_its_acknowledgement(make_broker: Callable[..., Broker], protocol: int) -> None:
    async def main() -> None:
        broker = make_broker()
        async with listening(broker) as heard, linked(address(broker, protocol)) as link:
            await up(link)
            payloads = [bytes([n]) * 20_000 for n in range(60)]  # more at once than the broker lets be in flight
            await asyncio.gather(*(link.publish(Message(f"{ROOT}/read", payload)) for payload in payloads))
            await until(lambda: len(heard.messages) == 60)
            assert {payload for _, payload in heard.messages} == set(payloads)

    run(main())


@BOTH
def test_what_the_store_says_is_received(make_broker: Callable[..., Broker], protocol: int) -> None:
    async def main() -> None:
        broker, heard = make_broker(), Heard()
        async with linked(address(broker, protocol), heard) as link, linked(address(broker, 5, "store")) as store:
            await up(link)
            await up(store)

            async def receipted() -> None:  # the subscription may take effect a moment after the link is up
                while not heard.messages:
                    await store.publish(Message(f"{ROOT}/receipt", b"\xd2\x84"))
                    await asyncio.sleep(0.05)

            await asyncio.wait_for(receipted(), 10)
            assert heard.messages[0] == (f"{ROOT}/receipt", b"\xd2\x84")

    run(main())


def test_without_a_link_nothing_is_taken(make_broker: Callable[..., Broker]) -> None:
    async def main() -> None:
        broker = make_broker()
        broker.stop()
        async with linked(address(broker)) as link:
            await until(lambda: link.last_problem)
            assert "refused" in link.last_problem.lower()
            with pytest.raises(Disconnected):
                await link.publish(Message(f"{ROOT}/read", b"x"))

    run(main())


def test_a_publish_that_the_rules_deny_is_said_to_be_not_taken(
    make_broker: Callable[..., Broker], tmp_path: Path
) -> None:
    async def main() -> None:
        rules = tmp_path / "rules"
        rules.write_text(f"topic readwrite {ROOT}/heartbeat\ntopic read {ROOT}/receipt\n", "ascii")
        rules.chmod(0o600)
        broker = make_broker(f"acl_file {rules}")
        async with linked(address(broker)) as link:
            await up(link)
            with pytest.raises(NotTaken) as caught:
                await link.publish(Message(f"{ROOT}/read", b"x"))
            assert caught.value.code == 135
            await link.publish(Message(f"{ROOT}/heartbeat", b"x"))  # and the link stands

    run(main())


# the end of a connection


def sever(link: MqttLink) -> None:
    """Break the connection as a dead line does: no DISCONNECT."""
    line = link._line
    assert line is not None
    sock = line._client.socket()
    assert sock is not None
    sock.shutdown(socket.SHUT_RDWR)


@BOTH
def test_the_will_is_published_when_the_socket_dies(
    make_broker: Callable[..., Broker], protocol: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("uplink.client.WILL_DELAY_S", 2)

    async def main() -> None:
        broker = make_broker()
        long_away = linked(address(broker, protocol), chance=lambda: 60.0)
        async with listening(broker) as heard, long_away as link:
            await up(link)
            began = time.monotonic()
            sever(link)
            await until(lambda: heard.states() == ["lost"])
            assert link.connects == 1
            took.append(time.monotonic() - began)

    took: list[float] = []
    run(main())
    assert took[0] < 8


def test_a_short_absence_is_no_loss_on_mqtt_5(
    make_broker: Callable[..., Broker], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("uplink.client.WILL_DELAY_S", 2)

    async def main() -> None:
        broker = make_broker()
        async with listening(broker) as heard, linked(address(broker)) as link:
            await up(link)
            sever(link)
            await until(lambda: link.connects == 2)
            await asyncio.sleep(4)  # twice the will's delay: that nothing comes cannot be waited for otherwise
            assert heard.states() == []

    run(main())


@BOTH
def test_a_clean_stop_leaves_no_will(make_broker: Callable[..., Broker], protocol: int) -> None:
    async def main() -> None:
        broker = make_broker()
        async with listening(broker) as heard:
            async with linked(address(broker, protocol)) as link:
                await up(link)
                await link.publish(Message(f"{ROOT}/state", b'{"state":"stopped"}', retain=True))
            async with linked(address(broker, 5, "another")) as another:
                await up(another)
                await another.publish(Message(f"{ROOT}/state", b'{"state":"end"}'))
            await until(lambda: "end" in heard.states())
            assert heard.states() == ["stopped", "end"]

    run(main())


@BOTH
def test_a_publish_in_the_air_when_the_line_dies_is_disconnected(
    make_broker: Callable[..., Broker], protocol: int
) -> None:
    async def main() -> None:
        broker = make_broker()
        async with linked(address(broker, protocol)) as link:
            await up(link)
            broker.freeze()
            in_air = [asyncio.ensure_future(link.publish(Message(f"{ROOT}/read", bytes(1000)))) for _ in range(50)]
            await asyncio.sleep(0)
            sever(link)
            ends = await asyncio.wait_for(asyncio.gather(*in_air, return_exceptions=True), 15)
            assert all(isinstance(end, Disconnected) for end in ends)
            broker.thaw()

    run(main())


@BOTH
def test_a_broker_that_comes_back_is_found_again(make_broker: Callable[..., Broker], protocol: int) -> None:
    async def main() -> None:
        broker = make_broker()
        async with linked(address(broker, protocol)) as link:
            await up(link)
            broker.stop()
            await until(lambda: not link.up.is_set())
            assert link.went_down.is_set()
            await until(lambda: "refused" in link.last_problem.lower())
            broker.start()
            await up(link)
            assert not link.went_down.is_set()
            assert link.last_problem == ""
            await link.publish(Message(f"{ROOT}/read", b"after"))
            assert link.connects == 2

    run(main())


@BOTH
def test_a_frozen_broker_is_noticed(make_broker: Callable[..., Broker], protocol: int) -> None:
    """Its kernel still answers, so only the keepalive tells: within two of them, and paho's second of grace."""

    async def main() -> None:
        broker = make_broker()
        async with linked(address(broker, protocol, keepalive_s=2)) as link:
            await up(link)
            broker.freeze()
            began = time.monotonic()
            hanging = asyncio.ensure_future(link.publish(Message(f"{ROOT}/read", b"x")))
            await asyncio.wait_for(link.went_down.wait(), 15)
            assert 1 < time.monotonic() - began < 7
            with pytest.raises(Disconnected):
                await hanging
            assert link.last_problem
            broker.thaw()
            await up(link, 30)
            await link.publish(Message(f"{ROOT}/read", b"after"))

    run(main())


def test_a_broker_that_takes_the_connection_and_says_nothing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """A port that accepts and stays silent: the attempt ends, and what is wrong is said."""
    monkeypatch.setattr("uplink.line.OPEN_WITHIN_S", 2.0)

    async def main() -> None:
        with socket.create_server(("127.0.0.1", 0)) as silent:
            port = silent.getsockname()[1]
            to = BrokerAddress("127.0.0.1", port, None, 5, 30, "node")
            async with linked(to) as link:
                await until(lambda: "does not answer" in link.last_problem, 25)
                assert not link.up.is_set()

    run(main())
