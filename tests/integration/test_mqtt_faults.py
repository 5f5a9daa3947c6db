"""Real faults on the real link: frozen and half-open lines, refusals, what a broker chokes on, doubles, two brokers."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import json
import os
import signal
import subprocess
import time
import warnings
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from edge.changes import Settle, Tier
from edge.read import Kind, Record
from edge.sign import verifier
from simulators.network import Relay
from tests.fixtures.brokers import (
    ABSENT,
    MOSQUITTO,
    ROOT,
    Broker,
    Heard,
    address,
    linked,
    listening,
    run,
    until,
    up,
)
from uplink.courier import Courier, Terms
from uplink.double import Double
from uplink.mqtt import BrokerAddress, MqttLink
from uplink.transport import NOBODY_LISTENS, Disconnected, Message, NotTaken
from uplink.trouble import Trouble
from uplink.wire import Address

pytestmark = [pytest.mark.mosquitto, pytest.mark.skipif(MOSQUITTO is None, reason=ABSENT)]

BOTH = pytest.mark.parametrize("protocol", [5, 4], ids=["mqtt5", "mqtt311"])
EPOCH = b"\0\0\0\2now-----"
READ = Message(f"{ROOT}/read", bytes(4000), record=True)
HALF_OPEN_LIMIT_S = 25.0


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


def through(relay: Relay, protocol: int = 5, keepalive_s: int = 12) -> BrokerAddress:
    return BrokerAddress("127.0.0.1", relay.port, None, protocol, keepalive_s, "node")


# a line that is dead and does not say so


@pytest.mark.slow
@pytest.mark.parametrize("busy", [True, False], ids=["with a read in the air", "idle"])
def test_a_frozen_broker_is_found_in_time(make_broker: Callable[..., Broker], busy: bool) -> None:
    """SIGSTOP: its kernel goes on acknowledging, so only a deadline tells."""

    async def main() -> None:
        broker = make_broker()
        async with listening(broker), linked(address(broker, keepalive_s=12)) as link:
            await up(link)
            broker.freeze()
            began = time.monotonic()
            publishing = asyncio.ensure_future(link.publish(READ)) if busy else None
            await asyncio.wait_for(link.went_down.wait(), HALF_OPEN_LIMIT_S + 2)
            print(f"found after {time.monotonic() - began:.1f} s")
            assert time.monotonic() - began <= HALF_OPEN_LIMIT_S
            assert link.trouble is Trouble.SILENT
            if publishing is not None:
                with pytest.raises(Disconnected) as caught:
                    await publishing
                assert not caught.value.suspect, "nothing that was sent is to blame for silence"
            broker.thaw()

    run(main())


@pytest.mark.slow
def test_a_modem_that_swallows_everything_is_found_in_time(make_broker: Callable[..., Broker]) -> None:
    async def main() -> None:
        broker = make_broker()
        async with Relay("127.0.0.1", broker.port) as relay, listening(broker), linked(through(relay)) as link:
            await up(link)
            await relay.freeze()
            began = time.monotonic()
            with pytest.raises(Disconnected):
                await link.publish(READ)
            print(f"found after {time.monotonic() - began:.1f} s")
            assert time.monotonic() - began <= HALF_OPEN_LIMIT_S
            await relay.heal()
            await up(link, 30)
            await link.publish(READ)

    run(main())


@pytest.mark.slow
@pytest.mark.skipif(os.getuid() != 0, reason="NOT ROOT: no network namespace, so no half-open TCP")
@pytest.mark.parametrize("busy", [True, False], ids=["with a read in the air", "idle"])
def test_a_half_open_line_is_found_in_time(tmp_path: Path, busy: bool) -> None:
    """The other end's address vanishes: no FIN, no RST, as when a 4G bearer drops. MQTT's keep-alive is off."""
    namespace = Namespace(f"anpr{os.getpid() % 10_000}{'b' if busy else 'i'}", 77 + busy)
    with contextlib.ExitStack() as down:
        try:
            namespace.make()
        except OSError as problem:
            pytest.skip(f"NO NETWORK NAMESPACES HERE: {problem}")
        down.callback(namespace.remove)
        broker = Broker(tmp_path / "broker", ["allow_anonymous true"])
        down.callback(broker.stop)
        broker.start(["ip", "netns", "exec", namespace.name], namespace.there)

        async def main() -> None:
            to = BrokerAddress(namespace.there, broker.port, None, 5, 3600, "node")
            async with linked(to) as link:
                await up(link)
                namespace.vanish()
                began = time.monotonic()
                publishing = asyncio.ensure_future(link.publish(Message(f"{ROOT}/read", b"x"))) if busy else None
                await asyncio.wait_for(link.went_down.wait(), HALF_OPEN_LIMIT_S + 2)
                print(f"found after {time.monotonic() - began:.1f} s")
                assert time.monotonic() - began <= HALF_OPEN_LIMIT_S
                if publishing is not None:
                    with pytest.raises(Disconnected):
                        await publishing

        run(main())


class Namespace:
    """A second machine of a kind: a network namespace with a pair of virtual cables."""

    def __init__(self, name: str, net: int) -> None:
        self.name = name
        self.here, self.there = f"10.213.{net}.1", f"10.213.{net}.2"

    def make(self) -> None:
        _ip("netns", "add", self.name)
        try:
            _ip("link", "add", f"{self.name}a", "type", "veth", "peer", "name", f"{self.name}b", "netns", self.name)
            _ip("addr", "add", f"{self.here}/24", "dev", f"{self.name}a")
            _ip("link", "set", f"{self.name}a", "up")
            _ip("-n", self.name, "addr", "add", f"{self.there}/24", "dev", f"{self.name}b")
            _ip("-n", self.name, "link", "set", f"{self.name}b", "up")
            _ip("-n", self.name, "link", "set", "lo", "up")
        except OSError:
            self.remove()
            raise

    def vanish(self) -> None:
        _ip("-n", self.name, "addr", "del", f"{self.there}/24", "dev", f"{self.name}b")

    def remove(self) -> None:
        for last in (("link", "del", f"{self.name}a"), ("netns", "del", self.name)):
            with contextlib.suppress(OSError):
                _ip(*last)


def _ip(*arguments: str) -> None:
    try:
        done = subprocess.run(["ip", *arguments], capture_output=True, text=True, check=False)
    except FileNotFoundError:
        raise OSError("no ip command") from None
    if done.returncode:
        raise OSError(done.stderr.strip())


def test_a_slow_line_that_moves_is_not_taken_for_a_dead_one(
    make_broker: Callable[..., Broker], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The deadline is for silence: with 20 messages on their way, the last takes longer than it, and that is well."""
    monkeypatch.setattr("uplink.line.ACKNOWLEDGE_WITHIN_S", 1.5)

    async def main() -> None:
        broker = make_broker()
        async with Slow(broker.port, 40_000) as slow, linked(address(broker, port=slow.port)) as link:
            await up(link)
            began = time.monotonic()
            await asyncio.gather(*(link.publish(Message(f"{ROOT}/read", bytes(10_000))) for _ in range(16)))
            assert time.monotonic() - began > 3, "the line is as slow as it should be"
            assert link.connects == 1

    run(main())


class Slow:
    """A line of so many bytes a second towards the broker."""

    def __init__(self, to_port: int, bytes_per_s: int) -> None:
        self.port = 0
        self._to_port, self._bytes_per_s = to_port, bytes_per_s

    async def __aenter__(self) -> Slow:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0, limit=4096)
        self.port = self._server.sockets[0].getsockname()[1]
        self._tasks: set[asyncio.Task[None]] = set()
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self._to_port)
        back = asyncio.ensure_future(self._back(far_reader, writer))
        try:
            while chunk := await reader.read(2048):
                far_writer.write(chunk)
                await asyncio.sleep(len(chunk) / self._bytes_per_s)
        except asyncio.CancelledError:
            pass  # the end of the test
        finally:
            back.cancel()
            far_writer.transport.abort()
            writer.transport.abort()

    async def _back(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while chunk := await reader.read(65_536):
            writer.write(chunk)


# what the broker says of a message


def test_what_nobody_hears_is_said_of_records_alone(make_broker: Callable[..., Broker]) -> None:
    """MQTT 5's code 16 is a success, and the record is gone: acknowledged is not the same as delivered."""

    async def main() -> None:
        broker = make_broker()
        async with linked(address(broker)) as link:
            await up(link)
            with pytest.raises(NotTaken) as caught:
                await link.publish(READ)
            assert caught.value.code == NOBODY_LISTENS
            await link.publish(Message(f"{ROOT}/heartbeat", b"{}"))  # a heartbeat without a monitor is no failure
            async with listening(broker):
                await link.publish(READ)

    run(main())


def test_what_is_larger_than_the_broker_takes_is_not_sent_at_all(make_broker: Callable[..., Broker]) -> None:
    """Sent, it would end the connection, again and again."""

    async def main() -> None:
        broker = make_broker("max_packet_size 20000")
        async with listening(broker), linked(address(broker)) as link:
            await up(link)
            for _ in range(3):
                with pytest.raises(NotTaken) as caught:
                    await link.publish(Message(f"{ROOT}/overview", bytes(20_000), record=True))
                assert caught.value.code == 0x95
            largest = 20_000 - 64 - len(f"{ROOT}/overview")
            await link.publish(Message(f"{ROOT}/overview", bytes(largest), record=True))
            assert link.connects == 1

    run(main())


def test_where_the_broker_chokes_the_message_in_the_air_is_suspected(make_broker: Callable[..., Broker]) -> None:
    async def main() -> None:
        broker = make_broker("message_size_limit 20000")  # unlike max_packet_size, not said in the CONNACK
        async with listening(broker), linked(address(broker)) as link:
            await up(link)
            with pytest.raises(Disconnected) as caught:
                await link.publish(Message(f"{ROOT}/overview", bytes(25_000), record=True))
            assert caught.value.suspect

    run(main())


class Shelf:
    """Records of given sizes, in memory, let go by receipts alone."""

    def __init__(self, sizes: list[int]) -> None:
        self.records = {
            row: Record(row, EPOCH, row, Kind.READ, 0, bytes([row % 256]) * size) for row, size in enumerate(sizes, 1)
        }

    async def waiting(self, tier: Tier, after_row: int, until_row: int, limit: int) -> tuple[Record, ...]:
        of_tier = self.records.values() if tier is Tier.FIRST else ()
        return tuple(r for r in of_tier if after_row < r.row <= until_row)[:limit]

    async def last_row(self) -> int:
        return max(self.records, default=0)

    async def settle(self, settle: Settle) -> int:
        gone = [row for row in self.records if any(first <= row <= last for first, last in settle.got)]
        for row in gone:
            del self.records[row]
        return len(gone)


@contextlib.asynccontextmanager
async def carried(shelf: Shelf, link: MqttLink, **terms: object) -> AsyncIterator[Courier]:
    """A courier over the link, to which the broker's word is enough: only the way to the broker is looked at."""
    of_store = verifier(Ed25519PrivateKey.generate().public_key())
    settings = {"window_bytes": 524_288, "backlog_share_percent": 25, "receipt_timeout_s": 30.0, **terms}
    agreed = Terms(broker_is_enough=True, **settings)  # type: ignore[arg-type]
    courier = Courier(shelf, link, Address("op", "site", "node-a"), {of_store.kid: of_store}, agreed, time.monotonic)
    running = asyncio.ensure_future(courier.run(link.up.wait, link.went_down.wait))
    try:
        yield courier
        assert not running.done(), running
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


@BOTH
def test_what_the_broker_hangs_up_over_is_set_aside_after_three_tries(
    make_broker: Callable[..., Broker], protocol: int
) -> None:
    """One in the middle of thirty: the others arrive, and it stays, is counted, and is tried again later."""
    # On 3.1.1 Mosquitto acknowledges what is over message_size_limit and drops it; over max_packet_size it hangs up.
    limit = "message_size_limit 20000" if protocol == 5 else "max_packet_size 20000"

    async def main() -> None:
        broker = make_broker(limit)
        shelf = Shelf([4000] * 14 + [25_000] + [4000] * 15)
        async with listening(broker) as heard, linked(address(broker, protocol)) as link:
            began = time.monotonic()
            async with carried(shelf, link, set_aside_s=5.0) as courier:
                await until(lambda: set(shelf.records) == {15} and courier.set_aside == 1, 30)
                print(f"the others were through after {time.monotonic() - began:.1f} s, {link.connects} connections")
                assert time.monotonic() - began < 60
                assert link.connects <= 5  # once in company, three times alone, and the one that stands
                assert courier.counts["set_aside"] == 1
                stands = link.connects
                await until(lambda: courier.counts["set_aside"] == 2, 15)  # after its wait it is asked with once more
                await up(link)
                assert link.connects == stands + 1
            assert len({payload for topic, payload in heard.messages if topic.endswith("/read")}) == 29

    run(main())


def test_a_topic_that_the_rules_deny_is_asked_with_one_record_at_a_time(
    make_broker: Callable[..., Broker], tmp_path: Path
) -> None:
    async def main() -> None:
        rules = tmp_path / "rules"
        rules.write_text(f"topic readwrite {ROOT}/heartbeat\ntopic read {ROOT}/receipt\n", "ascii")
        rules.chmod(0o600)
        broker = make_broker(f"acl_file {rules}")
        shelf = Shelf([4000] * 200)
        async with linked(address(broker)) as link, carried(shelf, link) as courier:
            await until(lambda: courier.counts["not_taken"] >= 10)
            rules.write_text(f"topic readwrite {ROOT}/#\n", "ascii")
            assert broker.process is not None
            broker.process.send_signal(signal.SIGHUP)
            async with listening(broker):
                await until(lambda: len(shelf.records) < 200, 20)
                assert courier.counts["not_taken"] <= 17, "a burst, and then one"

    run(main())


# heartbeats


@BOTH
def test_a_heartbeat_overtakes_reads(make_broker: Callable[..., Broker], protocol: int) -> None:
    """With a backlog queueing at the link, a report finds a place and does not wait for it."""

    async def main() -> None:
        broker = make_broker()
        relayed = Relay("127.0.0.1", broker.port, delay_s=0.1)
        async with relayed as relay, listening(broker) as heard, linked(through(relay, protocol)) as link:
            await up(link)
            reads = [asyncio.ensure_future(link.publish(READ)) for _ in range(200)]
            await until(lambda: any(read.done() for read in reads))
            await link.publish(Message(f"{ROOT}/heartbeat", b"{}"))
            assert sum(read.done() for read in reads) < 80
            await asyncio.gather(*reads)
            await until(lambda: len(heard.messages) == 201)

    run(main())


def test_a_broker_that_lets_few_be_in_flight_is_obeyed(make_broker: Callable[..., Broker]) -> None:
    async def main() -> None:
        broker = make_broker("max_inflight_messages 5")
        async with listening(broker) as heard, linked(address(broker)) as link:
            await up(link)
            await asyncio.gather(*(link.publish(READ) for _ in range(100)))
            await link.publish(Message(f"{ROOT}/heartbeat", b"{}"))
            await until(lambda: len(heard.messages) == 101)
            assert link.connects == 1

    run(main())


# a double


@BOTH
def test_a_second_client_of_the_same_name_is_reported(make_broker: Callable[..., Broker], protocol: int) -> None:
    """Mosquitto 2.0 hangs up without a word; the other's birth tells."""

    def birth(epoch: str) -> Message:
        return Message(f"{ROOT}/birth", json.dumps({"session": 3, "epoch": epoch}).encode(), retain=True)

    async def main() -> None:
        broker = make_broker()
        double = Double(3, "aa" * 12, time.monotonic)

        class Births:
            def take(self, _topic: str, payload: bytes) -> None:
                double.heard(payload, born=True)

        births = Births()
        async with linked(address(broker, protocol), births, f"{ROOT}/birth") as link:  # type: ignore[arg-type]
            await up(link)
            await link.publish(birth("aa" * 12))
            await until(lambda: link.connects >= 1)
            assert not double.seen()
            async with linked(address(broker, protocol), Heard(), chance=lambda: 1.0) as clone:
                await up(clone)
                await clone.publish(birth("bb" * 12))
                await until(double.seen)
            assert link.takeovers + double.births >= 1

    run(main())


def test_an_ordinary_restart_is_no_double() -> None:
    double = Double(3, "aa" * 12, time.monotonic)
    own = json.dumps({"session": 3, "epoch": "aa" * 12}).encode()
    earlier = json.dumps({"session": 2, "epoch": "bb" * 12}).encode()
    double.heard(own, born=True)
    double.heard(earlier, born=False)  # what an earlier life left at the broker
    for garbage in (b"", b"{", b"[]", b"[" * 100_000, b'{"session":"9","epoch":4}', b"\xff"):
        double.heard(garbage, born=True)
    assert not double.seen()
    double.heard(earlier, born=True)  # after this life's own birth stood there
    assert double.seen()


# several brokers


def test_brokers_in_their_order_and_back_to_the_preferred(make_broker: Callable[..., Broker]) -> None:
    """What was in the air at the second is acknowledged before it is left: nothing is sent twice for that."""

    async def main() -> None:
        first, second = make_broker(), make_broker()
        first.stop()
        shelf = Shelf([])
        async with listening(second) as heard_there:
            link_to = linked(address(first), others=[address(second)], return_s=0.5)
            async with link_to as link, carried(shelf, link) as courier:
                await up(link)
                assert link.place == 1
                await feed(shelf, courier, range(1, 101))
                await until(lambda: not shelf.records)
                first.start()
                async with listening(first) as heard_here:
                    await feed(shelf, courier, range(101, 401), pause_s=0.01)
                    await until(lambda: link.place == 0 and link.up.is_set(), 30)
                    await feed(shelf, courier, range(401, 421))
                    await until(lambda: not shelf.records)
                    got = [p for t, p in heard_there.messages + heard_here.messages if t.endswith("/read")]
                    assert len(set(got)) == 420
                    print(f"{len(got) - 420} of 420 arrived twice")
                    assert len(got) == 420
                    assert heard_here.messages

                    first.stop()  # and on to the second again when the preferred goes
                    await until(lambda: link.place == 1 and link.up.is_set(), 30)

    run(main())


async def feed(shelf: Shelf, courier: Courier, rows: range, pause_s: float = 0.0) -> None:
    for row in rows:
        shelf.records[row] = Record(row, EPOCH, row, Kind.READ, 0, row.to_bytes(4, "big") * 200)
        courier.ring()
        await asyncio.sleep(pause_s)


def test_a_preferred_broker_that_takes_connections_and_not_this_node_is_not_hammered(
    make_broker: Callable[..., Broker],
) -> None:
    async def main() -> None:
        first, second = make_broker("allow_anonymous false"), make_broker()
        async with linked(address(first), others=[address(second)], return_s=0.4) as link:
            await up(link)
            assert link.place == 1
            await asyncio.sleep(6)  # the time in which to come back too often
            attempts = first.log().count("not authorised")
            print(f"{attempts} attempts in 6 s")
            assert 1 <= attempts <= 6

    run(main())


# what is left behind


def test_a_hundred_lost_connections_leave_no_socket(make_broker: Callable[..., Broker]) -> None:
    def sockets() -> int:
        return sum(os.readlink(f"/proc/self/fd/{fd}").startswith("socket:") for fd in _fds())

    async def main() -> None:
        broker = make_broker()
        async with Relay("127.0.0.1", broker.port) as relay, linked(through(relay), chance=lambda: 0.0) as link:
            await up(link)
            before = sockets()
            for _ in range(100):
                connects = link.connects
                await relay.cut()
                await relay.heal()
                await until(lambda connects=connects: link.connects > connects)  # type: ignore[misc]
            await until(lambda: sockets() <= before)

    gc.disable()  # what is closed must be closed by the program
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            run(main())
    finally:
        gc.enable()


def _fds() -> list[str]:
    return [fd for fd in os.listdir("/proc/self/fd") if os.path.lexists(f"/proc/self/fd/{fd}")]
