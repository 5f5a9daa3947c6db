"""The HTTP source over real sockets: honest cameras, slow ones, strangers, and a stop with work in hand."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from dataclasses import dataclass, field, replace
from datetime import date
from ipaddress import ip_network
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from capture.delivery import Answer, Delivery
from capture.dialects import dialect_named
from capture.receive import Receiver
from capture.sources.guard import Limits
from capture.sources.http_push import Door, Listening, serve
from edge.camera import Authorisation, Camera, TimePolicy
from edge.claim import Arrival, ClockState, Outcome, RawRead, Received, SignOfLife, Verdict

FIXTURES = Path(__file__).resolve().parents[1] / "fixtures"
CAMERA, STRANGER = "127.0.0.11", "127.0.0.99"
QUICK = Limits(header_s=0.4, request_s=0.8, idle_s=1.2, stop_s=5)
XML = (
    b"<EventNotificationAlert><eventType>ANPR</eventType><licensePlate>AB12CDE</licensePlate></EventNotificationAlert>"
)
DEADLINE_S = 10


def camera(networks: tuple[str, ...]) -> Camera:
    return Camera(
        id="a",
        dialect="hikvision",
        networks=tuple(ip_network(network) for network in networks),
        identity=None,
        path=None,
        lane=None,
        zone=ZoneInfo("UTC"),
        time=TimePolicy.ARRIVAL,
        plausible_past_s=1,
        plausible_future_s=1,
        keep_unread=True,
        position=None,
        authorisation=Authorisation("ref", date(2020, 1, 1), date(2040, 1, 1)),
    )


@dataclass
class Site:
    """A receiver with a working intake behind it."""

    reads: list[RawRead] = field(default_factory=list)
    deliveries: list[Delivery] = field(default_factory=list)
    gate: asyncio.Event | None = None
    fault: Exception | None = None
    networks: tuple[str, ...] = (CAMERA,)

    async def accept(self, raw: RawRead, arrival: Arrival) -> Verdict:
        if self.gate is not None:
            await self.gate.wait()
        if self.fault is not None:
            raise self.fault
        self.reads.append(raw)
        return Verdict(Outcome.STORED)

    def heard(self, life: SignOfLife, arrival: Arrival) -> None: ...

    def refused(self, reason: str, arrival: Arrival) -> None: ...

    @contextlib.asynccontextmanager
    async def listening(self, limits: Limits = QUICK) -> AsyncIterator[Listening]:
        receiver = Receiver([camera(self.networks)], {"a": dialect_named("hikvision")}, self)

        async def receive(delivery: Delivery) -> Answer:
            self.deliveries.append(delivery)
            return await receiver.receive(delivery)

        listening = await serve(("127.0.0.1", 0), limits, receive, Door(receiver.knows), clock)
        try:
            yield listening
        finally:
            await listening.close()


def clock() -> Received:
    return Received(1_772_439_330_000, 20, ClockState.SYNCHRONISED, time.monotonic_ns(), "boot")


def run(scene: Coroutine[Any, Any, None]) -> None:
    asyncio.run(asyncio.wait_for(scene, 60))
    gc.collect()


class Peer:
    """A connection from an address of our choice, speaking bytes."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    @classmethod
    async def at(cls, address: str, port: int) -> Peer:
        return cls(*await asyncio.open_connection("127.0.0.1", port, local_addr=(address, 0)))

    async def send(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    async def answer(self) -> tuple[int, dict[str, str], bytes]:
        async with asyncio.timeout(DEADLINE_S):
            head = (await self.reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
            headers = {k.lower(): v.strip() for k, _, v in (line.partition(":") for line in head[1:] if line)}
            body = await self.reader.readexactly(int(headers.get("content-length", "0")))
        return int(head[0].split()[1]), headers, body

    async def closed(self) -> float:
        """Wait until the other side has closed; how long that took."""
        began = time.monotonic()
        async with asyncio.timeout(DEADLINE_S):
            with contextlib.suppress(ConnectionError):
                while await self.reader.read(65_536):
                    pass
        return time.monotonic() - began

    async def close(self) -> None:
        self.writer.close()
        with contextlib.suppress(ConnectionError):
            await self.writer.wait_closed()


@contextlib.asynccontextmanager
async def peer(port: int, address: str = CAMERA) -> AsyncIterator[Peer]:
    it = await Peer.at(address, port)
    try:
        yield it
    finally:
        await it.close()


def post(body: bytes = XML, target: str = "/anpr", extra: str = "") -> bytes:
    return f"POST {target} HTTP/1.1\r\nHost: n\r\n{extra}Content-Length: {len(body)}\r\n\r\n".encode() + body


async def until(condition: Callable[[], bool], what: str) -> None:
    async with asyncio.timeout(DEADLINE_S):
        while not condition():  # noqa: ASYNC110 - what is awaited is another side's doing
            await asyncio.sleep(0.01)
    assert condition(), what


def test_two_deliveries_on_one_connection() -> None:
    async def scene() -> None:
        site = Site()
        async with site.listening() as listening, peer(listening.port) as camera_:
            for count in (1, 2):
                await camera_.send(post())
                status, headers, body = await camera_.answer()
                assert (status, len(site.reads)) == (200, count)
                assert b"<statusCode>1</statusCode>" in body
                assert headers["content-type"] == 'application/xml; charset="UTF-8"'
                assert "aiohttp" not in headers["server"].lower()
        assert site.deliveries[0].arrival.address == CAMERA
        assert site.deliveries[0].arrival.path == "/anpr"

    run(scene())


@pytest.mark.parametrize("name", ["push_boundary_word", "push_lf_pid_names", "query_with_pictures"])
def test_a_recorded_request_as_it_stood_on_the_wire_in_small_pieces(name: str) -> None:
    async def scene() -> None:
        site = Site()
        request = (FIXTURES / "hikvision" / f"{name}.http").read_bytes()
        async with site.listening() as listening, peer(listening.port) as camera_:
            for begin in range(0, len(request), 97):
                await camera_.send(request[begin : begin + 97])
            assert (await camera_.answer())[0] == 200
        (read,) = site.reads
        assert len(read.images) == 2
        assert all(image.data.startswith(b"\xff\xd8") and image.data.endswith(b"\xff\xd9") for image in read.images)

    run(scene())


def test_chunked_put_and_get_with_a_query() -> None:
    async def scene() -> None:
        site = Site()
        async with site.listening() as listening, peer(listening.port) as camera_:
            await camera_.send(b"PUT /anpr HTTP/1.1\r\nHost: n\r\nTransfer-Encoding: chunked\r\n\r\n")
            for piece in (XML[:10], XML[10:]):
                await camera_.send(f"{len(piece):x}\r\n".encode() + piece + b"\r\n")
            await camera_.send(b"0\r\n\r\n")
            assert (await camera_.answer())[0] == 200
            await camera_.send(b"GET /anpr?eventType=ANPR&licensePlate=AB12CDE HTTP/1.1\r\nHost: n\r\n\r\n")
            assert (await camera_.answer())[0] == 200
        assert [read.plate_heard for read in site.reads] == ["AB12CDE"] * 2

    run(scene())


def test_a_camera_that_asks_before_it_sends() -> None:
    async def scene() -> None:
        site = Site()
        async with site.listening() as listening, peer(listening.port) as camera_:
            await camera_.send(post(extra="Expect: 100-continue\r\n")[: -len(XML)])
            assert (await camera_.answer())[0] == 100
            await camera_.send(XML)
            assert (await camera_.answer())[0] == 200

    run(scene())


def test_a_stranger_is_refused_before_its_body() -> None:
    async def scene() -> None:
        site = Site()
        async with site.listening() as listening:
            async with peer(listening.port, STRANGER) as stranger:
                await stranger.send(b"POST /anpr HTTP/1.1\r\nHost: n\r\nContent-Length: 1000000\r\n\r\n")
                status, headers, _ = await stranger.answer()
                assert (status, headers["connection"]) == (403, "close")
                await stranger.closed()
            assert listening.counts()["unknown_source"] == 1
        assert site.deliveries == []

    run(scene())


@pytest.mark.parametrize("chunked", [False, True])
def test_too_large_is_told_and_not_read_to_its_end(chunked: bool) -> None:
    async def scene() -> None:
        site = Site()
        async with site.listening(replace(QUICK, body_bytes=10_000)) as listening, peer(listening.port) as camera_:
            if chunked:
                await camera_.send(b"POST / HTTP/1.1\r\nHost: n\r\nTransfer-Encoding: chunked\r\n\r\n")
                await camera_.send(b"2711\r\n" + b"x" * 10_001 + b"\r\n")
            else:
                await camera_.send(b"POST / HTTP/1.1\r\nHost: n\r\nContent-Length: 10001\r\n\r\n")
            assert (await camera_.answer())[0] == 413
            await camera_.closed()
            assert listening.counts()["too_large"] == 1
            async with peer(listening.port) as other:
                await other.send(post(XML + b" " * (10_000 - len(XML))))
                assert (await other.answer())[0] == 200
        assert len(site.deliveries) == 1

    run(scene())


def test_all_bodies_together_are_bounded() -> None:
    async def scene() -> None:
        site = Site()
        async with site.listening(replace(QUICK, request_s=30, in_hand_bytes=1000)) as listening:

            async def told() -> int:
                async with peer(listening.port) as other:
                    await other.send(post())
                    status, headers, _ = await other.answer()
                    assert headers.get("retry-after") == ("5" if status == 503 else None)
                    return status

            async def until_told(status: int) -> None:
                async with asyncio.timeout(DEADLINE_S):
                    while await told() != status:
                        pass

            async with peer(listening.port) as first:
                await first.send(b"POST / HTTP/1.1\r\nHost: n\r\nContent-Length: 990\r\n\r\n" + b" " * 950)
                await until_told(503)  # what does not fit beside it is put off
            await until_told(200)  # and what was held is given back
            async with peer(listening.port) as alone:
                await alone.send(post(XML + b" " * (1000 - len(XML))))
                assert (await alone.answer())[0] == 200
                await alone.send(post(XML + b" " * (1001 - len(XML))))
                assert (await alone.answer())[0] == 503

    run(scene())


@pytest.mark.parametrize(
    ("target", "address", "status"),
    [
        ("GET /healthz", "127.0.0.1", 200),
        ("GET /healthz?x=1", "127.0.0.1", 200),
        ("GET /other", "127.0.0.1", 403),
        ("GET /other", CAMERA, 404),
        ("DELETE /anpr", CAMERA, 405),
        ("HEAD /healthz", STRANGER, 403),
    ],
)
def test_other_requests(target: str, address: str, status: int) -> None:
    async def scene() -> None:
        site = Site()
        async with site.listening() as listening, peer(listening.port, address) as caller:
            await caller.send(f"{target} HTTP/1.1\r\nHost: n\r\n\r\n".encode())
            head = (await caller.reader.readuntil(b"\r\n\r\n")).split()
            assert int(head[1]) == status
        assert site.deliveries == []

    run(scene())


@pytest.mark.parametrize(
    ("sent", "counted", "least_s"),
    [
        (b"", "header_timeout", 0.3),
        (b"POST / HTTP/1.1\r\nHost: n\r\nX-Slow: ", "header_timeout", 0.3),
        (b"POST / HTTP/1.1\r\nHost: n\r\nContent-Length: 100\r\n\r\nabc", "request_timeout", 0.7),
        (post(), "idle_timeout", 1.0),
    ],
)
def test_every_wait_has_an_end(sent: bytes, counted: str, least_s: float) -> None:
    async def scene() -> None:
        async with Site().listening() as listening, peer(listening.port) as slow:
            began = time.monotonic()
            await slow.send(sent)
            drip = asyncio.create_task(dripping(slow)) if b"X-Slow" in sent or b"abc" in sent else None
            await slow.closed()
            assert least_s < time.monotonic() - began < least_s + 3
            if drip is not None:
                await drip
            await until(lambda: sum(listening.counts().values()) > 0, "it is counted")
            assert listening.counts()[counted] == 1

    run(scene())


async def dripping(slow: Peer) -> None:
    """A byte at a time until the other side has had enough."""
    with contextlib.suppress(ConnectionError):
        while not slow.writer.is_closing() and not slow.reader.at_eof():
            await slow.send(b"x")
            await asyncio.sleep(0.05)


def test_garbage_is_answered_and_leaves_nothing_behind(caplog: pytest.LogCaptureFixture) -> None:
    async def scene() -> None:
        site = Site()
        async with site.listening() as listening:
            for bad in (
                b"\x16\x03\x01\x02\x00\x01\x00" * 50,
                b"GET /x?licensePlate=AB12CDE\x01 HTTP/1.1\r\n\r\n",
                b"POST / HTTP/1.1\r\nContent-Length: -4\r\n\r\n",
                b"POST / HTTP/1.1\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\nabcd",
                b"POST / HTTP/1.1\r\nHost: n\r\nX: " + b"a" * 20_000 + b"\r\n\r\n",
                b"POST / HTTP/1.1\r\nHost: n\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
            ):
                async with peer(listening.port) as caller:
                    await caller.send(bad)
                    await caller.closed()
            async with peer(listening.port) as caller:
                await caller.send(post())
                assert (await caller.answer())[0] == 200
        assert len(site.reads) == 1

    run(scene())
    assert "AB12CDE" not in caplog.text


def test_a_sender_that_leaves_in_the_middle_is_counted_and_not_understood() -> None:
    async def scene() -> None:
        site = Site()
        async with site.listening() as listening:
            async with peer(listening.port) as caller:
                await caller.send(post(extra="Expect: 100-continue\r\n")[: -len(XML)])
                assert (await caller.answer())[0] == 100, "the request has begun"
                await caller.send(XML[:-1])
            await until(lambda: listening.counts().get("cut_off") == 1, "it is counted")
        assert site.deliveries == []

    run(scene())


def test_connections_of_one_source_are_bounded_and_idle_ones_make_room() -> None:
    async def scene() -> None:
        site = Site()
        limits = replace(QUICK, per_source=2, header_s=30, request_s=30, idle_s=30)
        async with site.listening(limits) as listening:
            async with peer(listening.port) as one, peer(listening.port) as two:
                for each in (one, two):
                    await each.send(post())
                    assert (await each.answer())[0] == 200
                await two.send(b"POST / HTTP/1.1\r\n")  # no longer idle
                answered = time.monotonic()
                await until(
                    lambda: time.monotonic() - answered > 1.1, "an answer is not cut off while it may be on its way"
                )
                async with peer(listening.port) as three:
                    await three.send(post())
                    assert (await three.answer())[0] == 200
                    assert await one.closed() < 1
                    async with peer(listening.port) as four:
                        await four.closed()
            assert listening.counts()["idle_replaced"] == 1
            assert listening.counts()["too_many_of_source"] == 1

    run(scene())


def test_all_strangers_together_count_as_one_source() -> None:
    async def scene() -> None:
        async with Site().listening(replace(QUICK, header_s=30)) as listening, contextlib.AsyncExitStack() as stack:
            strangers = [await stack.enter_async_context(peer(listening.port, f"127.0.1.{n}")) for n in range(1, 31)]
            await until(lambda: listening.counts().get("too_many_of_source") == 22, "22 of 30 are turned away")
            assert len(strangers) == 30
            async with peer(listening.port, "127.0.0.1") as ourselves:
                await ourselves.send(b"GET /healthz HTTP/1.1\r\nHost: n\r\n\r\n")
                assert (await ourselves.answer())[0] == 200

    run(scene())


@pytest.mark.parametrize("networks", [(CAMERA,), (CAMERA, STRANGER)], ids=["a stranger's", "another camera's"])
def test_500_slow_connections_do_not_hurt_an_honest_camera(networks: tuple[str, ...]) -> None:
    async def scene() -> None:
        site = Site(networks=networks)
        limits = Limits()
        async with site.listening(limits) as listening:
            stop = asyncio.Event()
            opened = 0

            async def slow() -> None:
                nonlocal opened
                while not stop.is_set():
                    with contextlib.suppress(OSError):
                        async with peer(listening.port, STRANGER) as it:
                            opened += 1
                            await it.send(b"POST / HTTP/1.1\r\nHost: ")
                            while not stop.is_set() and not it.reader.at_eof():
                                with contextlib.suppress(TimeoutError):
                                    await asyncio.wait_for(it.reader.read(10), 0.5)
                                await it.send(b"x")
                    with contextlib.suppress(TimeoutError):
                        await asyncio.wait_for(stop.wait(), 0.5)

            attack = [asyncio.create_task(slow()) for _ in range(500)]
            await until(lambda: opened >= 500, "every slow connection was opened once")
            took_s = []
            body = (FIXTURES / "hikvision" / "push_boundary_word.http").read_bytes()
            for _ in range(200):
                began = time.perf_counter()
                async with peer(listening.port) as camera_:
                    await camera_.send(body)
                    assert (await camera_.answer())[0] == 200
                took_s.append(time.perf_counter() - began)
            stop.set()
            await asyncio.gather(*attack)
            p99_s = sorted(took_s)[int(len(took_s) * 0.99) - 1]
            assert p99_s < 0.2, f"p99 {p99_s:.3f} s"
            assert listening.counts()["too_many_of_source"] >= 400
        assert len(site.reads) == 200

    run(scene())


def test_a_stop_lets_what_is_in_hand_finish() -> None:
    async def scene() -> None:
        site = Site(gate=asyncio.Event())
        assert site.gate is not None
        async with (
            site.listening(replace(QUICK, header_s=30, request_s=30, idle_s=30)) as listening,
            peer(listening.port) as busy,
            peer(listening.port) as silent,
        ):
            await busy.send(post())
            await until(lambda: len(site.deliveries) == 1, "the delivery is in hand")
            closing = asyncio.create_task(listening.close())
            await silent.closed()
            with pytest.raises(ConnectionRefusedError):
                await Peer.at(CAMERA, listening.port)
            assert not closing.done()
            site.gate.set()
            assert (await busy.answer())[0] == 200
            await closing
        assert len(site.reads) == 1

    run(scene())


def test_a_stop_does_not_wait_for_ever() -> None:
    async def scene() -> None:
        site = Site(gate=asyncio.Event())
        async with site.listening(replace(QUICK, request_s=30, stop_s=0.3)) as listening, peer(listening.port) as busy:
            await busy.send(post())
            await until(lambda: len(site.deliveries) == 1, "the delivery is in hand")
            began = time.monotonic()
            await listening.close()
            assert time.monotonic() - began < 3
            await busy.closed()
        assert site.reads == []

    run(scene())


def test_a_fault_of_ours_is_not_told_as_stored_and_is_raised() -> None:
    async def scene() -> None:
        site = Site(fault=RuntimeError("ours"))
        async with site.listening() as listening, peer(listening.port) as camera_:
            watch: Awaitable[None] = asyncio.create_task(listening.failed())
            await camera_.send(post())
            assert (await camera_.answer())[0] == 500
            with pytest.raises(RuntimeError, match="ours"):
                await watch

    run(scene())
