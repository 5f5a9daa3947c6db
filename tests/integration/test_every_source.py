"""One behaviour of every way in: acknowledged when taken and not before, whatever cameras and lines do meanwhile."""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
import tracemalloc
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from edge.claim import Outcome, Verdict
from tests.fixtures.driven import HASTY, IN_A_HURRY, LIMIT_BYTES, PATIENT, Driven, Pace
from tests.fixtures.peers_tcp import run, until
from tests.fixtures.ways import WAYS, driven

STORED, REFUSED, LATER = Outcome.STORED, Outcome.REFUSED, Outcome.LATER
PUT_OFF, TURNED_DOWN = Verdict(LATER, "busy"), Verdict(REFUSED, "undecodable")
BUFFERS_BYTES = 256 * 1024
"""What one read of a source may bring at once, beyond the message it belongs to."""
TRACED_BYTES = 3 * 1024 * 1024
"""All that this process may hold of a message without an end: ours, and the buffers of the camera that sends it."""

TIMED_OUT = {"header_timeout", "request_timeout"}

EVERY_WAY = pytest.mark.parametrize("way", WAYS)


def scene(way: str, folder: Path, act: Callable[[Driven], Awaitable[None]], pace: Pace = PATIENT) -> None:
    """The act on that way, and nothing of ours broken by it."""

    async def played() -> None:
        async with driven(way, folder, pace) as it:
            watch = asyncio.ensure_future(it.source.failed())
            await act(it)
            if watch.done():
                await watch  # raises what broke; a source that has closed has nothing to raise
            watch.cancel()

    run(played())
    left = [each.name for each in threading.enumerate() if each.name.startswith(("ftp_drop", "serial_line"))]
    assert left == []


async def told(it: Driven, outcome: Outcome) -> None:
    """The camera hears what its way has for that outcome, and no more."""
    if it.words[outcome]:
        assert await it.camera.answer() == it.words[outcome]
    assert it.camera.heard_nothing()


async def is_taken(it: Driven, token: str) -> None:
    """The whole way of one message."""
    await it.camera.send(token)
    await it.behind.has_stored(token)
    await told(it, STORED)


def links_fell_and_rose(it: Driven, falls: frozenset[str]) -> None:
    """Once up, then down by these words, then up; nothing at all where the way has no line."""
    heard = it.behind.links.get("a", [])
    if not it.falls:
        assert heard == []
        return
    assert (heard[0], heard[-1]) == ("up", "up")
    assert heard[1:-1]
    assert set(heard[1:-1]) <= falls, heard
    assert it.behind.links["b"] == ["up"], "the other line was never down"


@EVERY_WAY
def test_nothing_is_acknowledged_before_it_is_taken(way: str, tmp_path: Path) -> None:
    async def act(it: Driven) -> None:
        taken = it.behind.hold("first")
        await it.camera.send("first")
        await until(lambda: it.behind.given == ["first"], "it is in hand")
        if it.follows:
            await it.camera.send("second")
        for number in range(3):
            await it.other_is_served(f"other{number}")
        assert it.camera.heard_nothing()
        assert "second" not in it.behind.given, "the next is not handed on before"
        taken.set()
        await it.behind.has_stored("first")
        if it.follows:
            await it.behind.has_stored("second")
            if it.words[STORED]:
                assert await it.camera.answer() == it.words[STORED]
        await told(it, STORED)
        assert it.behind.given.count("first") == 1

    scene(way, tmp_path, act)


@EVERY_WAY
def test_a_refusal_is_told_once_and_the_next_is_heard(way: str, tmp_path: Path) -> None:
    async def act(it: Driven) -> None:
        it.behind.verdicts["bad"] = [TURNED_DOWN]
        await it.camera.send("bad")
        await told(it, REFUSED)
        await is_taken(it, "good")
        assert it.behind.given == ["bad", "good"]
        if it.falls:
            assert it.behind.links["a"] == ["up"], "a refusal is not the line's fault"

    scene(way, tmp_path, act)


@EVERY_WAY
def test_what_is_put_off_is_taken_once_and_in_its_place(way: str, tmp_path: Path) -> None:
    async def act(it: Driven) -> None:
        it.behind.verdicts["one"] = [PUT_OFF, PUT_OFF]
        await it.camera.send("one")
        if it.words[LATER]:  # then the camera comes again
            for _ in range(2):
                await told(it, LATER)
                await it.camera.send("one")
        elif it.follows:
            await it.camera.send("two")
        await it.behind.has_stored("one")
        if it.words[STORED]:
            assert await it.camera.answer() == it.words[STORED]
        if it.words[LATER] or not it.follows:
            await it.camera.send("two")
        await it.behind.has_stored("two")
        await told(it, STORED)
        assert it.behind.given == ["one", "one", "one", "two"]
        assert it.behind.stored == ["one", "two"]

    scene(way, tmp_path, act)


@EVERY_WAY
def test_a_message_without_an_end_costs_no_memory(way: str, tmp_path: Path) -> None:
    async def act(it: Driven) -> None:
        most_bytes, poured_bytes = 0, 0
        await it.other_is_served("before")
        await it.camera.begin_endless()
        tracemalloc.start()
        try:
            with contextlib.suppress(ConnectionError):
                while poured_bytes < it.camera.pour_bytes:
                    await it.camera.write(it.camera.filler)
                    poured_bytes += len(it.camera.filler)
                    await asyncio.sleep(0)  # a turn of the loop, so that it is read as it comes
                    most_bytes = max(most_bytes, it.held_bytes() or 0)
            _, traced_bytes = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        print(f"{way}: poured {poured_bytes}, held by its own account {most_bytes}, traced {traced_bytes}")
        await until(lambda: it.source.counts().get(it.endless), "it is given up")
        assert it.source.refused()[it.endless] >= 1
        assert most_bytes <= LIMIT_BYTES + BUFFERS_BYTES
        assert traced_bytes < TRACED_BYTES
        await it.other_is_served("beside")
        await it.camera.cut()
        await it.camera.join()
        it.camera.told.clear()
        await is_taken(it, "after")
        await until(lambda: not it.held_bytes(), "nothing of it is held")
        assert it.behind.given == ["before", "beside", "after"]

    scene(way, tmp_path, act)


@EVERY_WAY
def test_a_slow_camera_is_heard_and_holds_up_nobody(way: str, tmp_path: Path) -> None:
    async def act(it: Driven) -> None:
        message = await it.camera.begin("slow")
        every = max(1, len(message) // 4)
        for at in range(len(message)):
            await it.camera.write(message[at : at + 1])
            await asyncio.sleep(0)  # a turn of the loop: the byte is on its way alone
            if at % every == 0:
                await it.other_is_served(f"other{at}")
        assert "slow" not in it.behind.given[:4]
        await it.camera.end()
        await it.behind.has_stored("slow")
        await told(it, STORED)

    scene(way, tmp_path, act)


async def half_of_a_message(it: Driven) -> None:
    """A good message, then half of another, which the source has by now."""
    await is_taken(it, "before")
    message = await it.camera.begin("half")
    await it.camera.write(message[: len(message) // 2])
    await it.other_is_served("beside")


@EVERY_WAY
def test_a_camera_killed_in_the_middle_comes_back_by_itself(way: str, tmp_path: Path) -> None:
    async def act(it: Driven) -> None:
        await half_of_a_message(it)
        await it.camera.cut()
        if it.falls:
            await until(lambda: it.behind.last_link("a") not in ("", "up"), "its line is down")
        await it.other_is_served("meanwhile")
        await it.camera.join()
        await is_taken(it, "after")
        assert it.behind.given == ["before", "beside", "meanwhile", "after"]
        links_fell_and_rose(it, it.falls)
        await until(lambda: not it.held_bytes(), "nothing of the half is held")

    scene(way, tmp_path, act)


@EVERY_WAY
def test_a_camera_that_falls_silent_in_the_middle_is_left_and_heard_again(way: str, tmp_path: Path) -> None:
    async def act(it: Driven) -> None:
        await half_of_a_message(it)
        await it.camera.fall_silent()
        began = time.monotonic()
        if it.falls:
            await until(lambda: it.silence in it.behind.links["a"], "its line is down")
        else:
            await until(it.camera.hung_up, "it is given up")
            assert TIMED_OUT & it.source.counts().keys()
        assert time.monotonic() - began < 8 * HASTY.message_s
        await it.camera.join()
        it.camera.told.clear()
        await is_taken(it, "after")
        assert it.behind.given == ["before", "beside", "after"]
        if it.falls:
            heard = it.behind.links["a"]
            assert "up" in heard[heard.index(it.silence) :], "and up again"

    scene(way, tmp_path, act, HASTY)


@EVERY_WAY
def test_garbage_in_the_middle_costs_no_message(way: str, tmp_path: Path) -> None:
    async def act(it: Driven) -> None:
        await is_taken(it, "before")
        await it.camera.spoil()
        it.camera.told.clear()
        await is_taken(it, "after")
        assert it.behind.given == ["before", "after"]
        if it.garbage:
            assert it.source.refused()[it.garbage] >= 1
        await it.other_is_served("other")

    scene(way, tmp_path, act)


@EVERY_WAY
def test_a_source_closes_in_time_with_a_message_in_hand_and_opens_again(way: str, tmp_path: Path) -> None:
    async def act(it: Driven) -> None:
        it.behind.hold("one")
        await it.camera.send("one")
        await until(lambda: it.behind.given == ["one"], "it is in hand")
        began = time.monotonic()
        await it.close()
        assert time.monotonic() - began < IN_A_HURRY.stop_s + 2
        assert it.camera.heard_nothing(), "it was never taken"
        assert it.behind.stored == []
        it.behind.gates.clear()
        it.behind.links.clear()
        await it.open(PATIENT)
        await it.camera.join()
        await it.other.join()
        if it.words[LATER]:
            await is_taken(it, "one")  # it was not answered: the camera has it still
        await is_taken(it, "two")
        await it.other_is_served("other")

    scene(way, tmp_path, act, IN_A_HURRY)


@EVERY_WAY
def test_what_is_in_hand_is_finished_and_told_before_a_source_has_closed(way: str, tmp_path: Path) -> None:
    async def act(it: Driven) -> None:
        taken = it.behind.hold("one")
        await it.camera.send("one")
        await until(lambda: it.behind.given == ["one"], "it is in hand")
        closing = asyncio.create_task(it.close())
        began = time.monotonic()
        await until(lambda: time.monotonic() > began + 0.2, "whoever does not wait has gone")
        assert not closing.done()
        taken.set()
        await closing
        assert it.behind.stored == ["one"]
        if it.words[STORED] not in ("", "asked"):
            await told(it, STORED)

    scene(way, tmp_path, act)
