"""Cameras on TCP over real sockets: honest ones, slow ones, dead ones, strangers, and a stop with work in hand."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from ipaddress import ip_network

import pytest

from capture.backoff import Backoff
from capture.framing import Framing, Shape
from capture.sources.tcp_connection import TcpLimits
from capture.sources.tcp_stream import Called, Caller, TcpStream, open_tcp_stream
from edge.claim import Way
from tests.fixtures.peers_tcp import (
    CAMERA,
    LATER,
    OTHER,
    REFUSED,
    STORED,
    STRANGER,
    Site,
    caller,
    clock,
    listening,
    run,
    until,
)

TAG, JSON = Framing(Shape.CLOSING_TAG, ("root",), 10_000), Framing(Shape.JSON, frame_bytes=10_000)
QUICK = TcpLimits(connect_s=1, message_s=0.5, write_s=1, hold_s=0.02, stop_s=5, backoff=Backoff(0.01, 0.02))
CALLERS = (
    Caller((ip_network(CAMERA),), TAG, "a"),
    Caller((ip_network("127.0.0.22/32"), ip_network("127.0.0.32/31")), JSON),
)
MESSAGE = b"<root><PLATE>TE57ABC</PLATE></root>"


@contextlib.asynccontextmanager
async def source(
    site: Site, limits: TcpLimits = QUICK, calls: Sequence[Called] = (), callers: Sequence[Caller] = CALLERS
) -> AsyncIterator[TcpStream]:
    stream = await open_tcp_stream(("127.0.0.1", 0), callers, calls, limits, site.receive, site, clock)
    try:
        yield stream
    finally:
        await stream.close()


def test_messages_are_cut_by_the_framing_of_their_address_and_answered() -> None:
    async def scene() -> None:
        site = Site(answer=b"ok\n")
        async with source(site) as stream, caller(stream.port) as one, caller(stream.port, OTHER) as other:
            for piece in (MESSAGE[:9], MESSAGE[9:20], MESSAGE[20:] + MESSAGE):
                await one.send(piece)
            assert await one.answer(6) == b"ok\nok\n"
            await other.send(b'{"a":"<root></root>"}{"b":')
            assert await other.answer(3) == b"ok\n"
            await other.send(b"2}")
            assert await other.answer(3) == b"ok\n"
            await one.close()
            await until(lambda: site.links == [("a", "up"), ("a", "cut")], "one is known by its line, the other is not")
        assert site.bodies == [MESSAGE, MESSAGE, b'{"a":"<root></root>"}', b'{"b":2}']
        first, last = site.deliveries[0], site.deliveries[-1]
        assert (first.arrival.address, first.arrival.way, first.arrival.camera) == (CAMERA, Way.TCP_STREAM, None)
        assert (first.content_type, last.content_type) == ("application/xml", "application/json")
        assert CAMERA not in repr(CALLERS)

    run(scene())


def test_a_stranger_is_dropped_unread() -> None:
    async def scene() -> None:
        site = Site()
        async with source(site) as stream, caller(stream.port, STRANGER) as stranger:
            await stranger.closed()
            assert stream.refused() == {"unknown_source": 1}
        assert site.deliveries == []

    run(scene())


def test_nothing_is_answered_before_it_is_taken_and_nothing_more_is_read() -> None:
    async def scene() -> None:
        site = Site(answer=b"ok", gate=asyncio.Event())
        assert site.gate is not None
        async with source(site) as stream, caller(stream.port) as camera:
            await camera.send(MESSAGE + MESSAGE)
            await until(lambda: site.deliveries, "the first is in hand")
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(camera.reader.read(1), 0.2)
            assert len(site.deliveries) == 1
            site.gate.set()
            assert await camera.answer(4) == b"okok"

    run(scene())


def test_a_delivery_put_off_is_held_until_it_is_taken() -> None:
    async def scene() -> None:
        site = Site(answer=b"ok", verdicts=[LATER, LATER, STORED, REFUSED])
        async with source(site) as stream, caller(stream.port) as camera:
            await camera.send(MESSAGE)
            assert await camera.answer(2) == b"ok"
            assert site.bodies == [MESSAGE] * 3
            assert stream.counts() == {"later": 2}
            await camera.send(b"<root>refused</root>")
            assert await camera.answer(2) == b"ok", "what a refusal is told, the dialect says"
        assert len(site.deliveries) == 4

    run(scene())


def test_a_camera_that_is_not_read_waits_and_memory_does_not_grow() -> None:
    async def scene() -> None:
        site = Site(gate=asyncio.Event())
        assert site.gate is not None
        async with source(site) as stream, caller(stream.port) as camera:
            sent = 0
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(1):
                    while sent < 64 * 1024 * 1024:
                        await camera.send(MESSAGE * 1000)
                        sent += 1000
            assert sent * len(MESSAGE) < 16 * 1024 * 1024, "the kernel's buffers, and no more"
            assert len(site.deliveries) == 1
            camera.reset()
            site.gate.set()

    run(scene())


def test_garbage_in_the_middle_costs_no_message() -> None:
    async def scene() -> None:
        site = Site(answer=b"k")
        async with source(site) as stream, caller(stream.port) as camera:
            await camera.send(b"GET / HTTP/1.1\r\n\r\n" + MESSAGE + b"<root>cut off" + MESSAGE)
            assert await camera.answer(2) == b"kk"
            await camera.send(b"<root>" + b"x" * 20_000 + b"</root>" + MESSAGE)
            assert await camera.answer(1) == b"k"
            assert stream.refused() == {"garbage": 3}
        assert site.bodies == [MESSAGE] * 3

    run(scene())


@pytest.mark.parametrize("how", ["reset", "close"])
def test_a_camera_killed_in_the_middle_leaves_nothing(how: str) -> None:
    async def scene() -> None:
        site = Site()
        async with source(site) as stream:
            async with caller(stream.port) as camera:
                await camera.send(MESSAGE[:-3])
                await until(lambda: site.links == [("a", "up")], "it is connected")
                if how == "reset":
                    camera.reset()
                else:
                    camera.writer.write_eof()
                    await camera.closed()
                await until(lambda: site.links == [("a", "up"), ("a", "cut")], "the end is told")
            async with caller(stream.port) as camera:
                await camera.send(MESSAGE)
                await until(lambda: site.bodies == [MESSAGE], "the next one is heard")

    run(scene())


def test_a_camera_that_falls_silent() -> None:
    async def scene() -> None:
        site = Site()
        callers = [replace(CALLERS[0], quiet_s=0.3)]
        async with source(site, replace(QUICK, message_s=0.15), callers=callers) as stream:
            async with caller(stream.port) as camera:
                await camera.closed()
            async with caller(stream.port) as camera:
                began = time.monotonic()
                await camera.send(MESSAGE + b"<root>")
                await camera.closed()
                assert 0.1 < time.monotonic() - began < 2
            assert site.links == [("a", "up"), ("a", "quiet"), ("a", "up"), ("a", "cut")]
            assert stream.counts()["message_timeout"] == 1
        assert site.bodies == [MESSAGE]

    run(scene())


def test_a_message_sent_too_slowly_is_given_up() -> None:
    async def scene() -> None:
        site = Site()
        async with source(site) as stream, caller(stream.port) as camera:
            await camera.send(b"<root>")
            with contextlib.suppress(ConnectionError):
                while not camera.reader.at_eof():
                    await camera.send(b"x")
                    with contextlib.suppress(TimeoutError):
                        await asyncio.wait_for(camera.reader.read(1), 0.05)
            assert stream.counts()["message_timeout"] == 1

    run(scene())


def test_the_oldest_connection_of_an_address_makes_room() -> None:
    async def scene() -> None:
        site = Site()
        limits = replace(QUICK, per_source=2, total=3)
        async with source(site, limits) as stream, contextlib.AsyncExitStack() as stack:
            first, _, third = [await stack.enter_async_context(caller(stream.port)) for _ in range(3)]
            await first.closed()
            await third.send(MESSAGE)
            await until(lambda: site.deliveries, "the newest is heard")
            await stack.enter_async_context(caller(stream.port, OTHER))
            await (await stack.enter_async_context(caller(stream.port, OTHER))).closed()
            assert stream.counts()["replaced"] == 1
            assert stream.refused()["too_many"] == 1
            assert site.links == [("a", "up")], "the camera was there all the time"

    run(scene())


def test_all_connections_together_are_bounded() -> None:
    async def scene() -> None:
        site = Site()
        async with (
            source(site, replace(QUICK, in_hand_bytes=12_000, message_s=30)) as stream,
            caller(stream.port) as one,
            caller(stream.port) as two,
        ):
            for camera in (one, two):
                await camera.send(b"<root>" + b"x" * 9000)
            await until(lambda: stream.refused().get("busy") == 1, "one is too much")
            for camera in (one, two):
                with contextlib.suppress(ConnectionError):
                    await camera.send(b"</root>")
            await until(lambda: len(site.deliveries) == 1, "the other was not hurt")

    run(scene())


def test_a_called_camera_is_called_again_for_ever() -> None:
    async def scene() -> None:
        site = Site(answer=b"k")
        async with listening() as camera:
            called = Called("b", "127.0.0.1", camera.port, JSON)
            async with source(site, calls=[called]) as stream:
                await until(lambda: camera.peers, "it is called")
                await camera.peers[0].send(b'{"a":1}')
                assert await camera.peers[0].answer(1) == b"k"
                assert site.deliveries[0].arrival.camera == "b"
                await camera.close()
                await until(lambda: stream.counts().get("refused", 0) >= 2, "and again")
                await camera.open()
                await until(lambda: len(camera.peers) == 2, "and is there again")
                await camera.peers[1].send(b'"}{"a":2}')
                assert await camera.peers[1].answer(1) == b"k"
                assert site.links == [("b", "up"), ("b", "cut"), ("b", "refused"), ("b", "up")]
                assert stream.port not in (0, camera.port)
        assert site.bodies == [b'{"a":1}', b'{"a":2}']

    run(scene())


def test_a_called_camera_that_does_not_answer_at_all() -> None:
    async def scene() -> None:
        site = Site()
        with contextlib.ExitStack() as stack:
            full = stack.enter_context(socket.socket())
            full.bind(("127.0.0.1", 0))
            full.listen(0)
            for _ in range(4):  # nobody accepts them, and then the kernel answers no more
                waiting = stack.enter_context(socket.socket())
                waiting.setblocking(False)
                waiting.connect_ex(full.getsockname())
            called = Called("b", "127.0.0.1", full.getsockname()[1], JSON)
            async with source(site, replace(QUICK, connect_s=0.2), [called]) as stream:
                await until(lambda: stream.counts().get("unreachable", 0) >= 2, "it is tried")
        assert site.links == [("b", "unreachable")]

    run(scene())


def test_a_stop_lets_what_is_in_hand_finish_and_be_answered() -> None:
    async def scene() -> None:
        site = Site(answer=b"ok", gate=asyncio.Event())
        assert site.gate is not None
        async with source(site) as stream, caller(stream.port) as busy, caller(stream.port, OTHER) as idle:
            await busy.send(MESSAGE + MESSAGE)
            await until(lambda: site.deliveries, "it is in hand")
            closing = asyncio.create_task(stream.close())
            await idle.closed()
            with pytest.raises(ConnectionRefusedError):
                await asyncio.open_connection("127.0.0.1", stream.port)
            assert not closing.done()
            site.gate.set()
            assert await busy.answer(2) == b"ok"
            await busy.closed()
            await closing
        assert len(site.deliveries) == 1

    run(scene())


def test_a_stop_does_not_wait_for_ever() -> None:
    async def scene() -> None:
        site = Site(gate=asyncio.Event())
        async with source(site, replace(QUICK, stop_s=0.2)) as stream, caller(stream.port) as busy:
            await busy.send(MESSAGE)
            await until(lambda: site.deliveries, "it is in hand")
            began = time.monotonic()
            await stream.close()
            assert time.monotonic() - began < 2
            await busy.closed()

    run(scene())


@pytest.mark.parametrize("fault", [RuntimeError("ours"), TimeoutError("ours"), ConnectionError("ours")])
def test_a_fault_of_ours_is_answered_with_nothing_and_raised(fault: Exception) -> None:
    async def scene() -> None:
        site = Site(answer=b"ok", fault=fault)
        async with source(site) as stream, caller(stream.port) as camera:
            watch = asyncio.create_task(stream.failed())
            await camera.send(MESSAGE)
            assert await camera.reader.read() == b""
            with pytest.raises(type(fault), match="ours"):
                await watch

    run(scene())
