"""One vehicle, one read: by identity, else by plate and moment; held where so configured; nothing new is lost."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from compress.evidence import without_pictures
from compress.reason import Reason
from edge.admit import admit
from edge.camera import Camera
from edge.changes import Accept, Change
from edge.claim import Direction, Outcome, RawImage, RawRead, Role, Stage, Verdict
from edge.errors import Unavailable
from edge.health import CameraHealth
from edge.intake import Intake
from edge.passages import FORGOTTEN_AFTER_NS, REMEMBERED, Passages, together
from edge.read import Evidence, Read

NOW_MS = 1_767_225_600_000
Make = Callable[..., Any]


@pytest.fixture
def read_of(camera: Camera, make_raw: Make, make_arrival: Make) -> Make:
    def make(at_ms: int = NOW_MS, **change: Any) -> Read:
        return admit(make_raw(time=None, **change), make_arrival(at_ms), [camera])

    return make


def test_without_an_identity_the_same_plate_at_nearly_the_same_time_is_one_passage(read_of: Make) -> None:
    passages = Passages()
    first = passages.placed(read_of())
    passages.stored(first)
    assert first.passage_key is not None
    assert passages.placed(read_of(NOW_MS + 3000)).passage_key == first.passage_key
    assert passages.placed(read_of(NOW_MS + 3001)).passage_key != first.passage_key
    assert passages.placed(read_of(NOW_MS + 1, plate_heard="TE58 ABC")).passage_key != first.passage_key
    assert b"TE57" not in first.passage_key


def test_an_identity_of_its_own_is_never_overruled_by_the_plate(read_of: Make) -> None:
    passages = Passages()
    passages.stored(passages.placed(read_of()))
    assert passages.placed(read_of(vendor_id="other")).passage_key is None
    assert passages.placed(read_of(passage="p")).passage_key == read_of(passage="p").passage_key
    assert passages.placed(read_of(plate_heard="unknown")).passage_key is None


@pytest.mark.parametrize(
    ("change", "adds"),
    [
        ({}, False),
        ({"confidence": 5}, False),
        ({"plate_heard": "unknown"}, False),
        ({"plate_heard": "TE57 ABD"}, True),
        ({"direction": Direction.AWAY}, True),
        ({"country": "GBR"}, True),
        ({"images": (RawImage(Role.OVERVIEW, b"x"),)}, True),
    ],
)
def test_only_what_adds_nothing_is_no_record(read_of: Make, change: dict[str, Any], adds: bool) -> None:
    passages = Passages()
    first = read_of(passage="p", plate_heard="TE57 ABC", direction=Direction.TOWARD)
    assert not passages.adds_nothing(first)
    passages.stored(first)
    later = read_of(NOW_MS + 50_000, passage="p", **({"plate_heard": "TE57 ABC"} | change))
    assert passages.adds_nothing(later) is not adds


def test_memory_is_bounded(read_of: Make) -> None:
    passages = Passages()
    for n in range(REMEMBERED + 50):
        passages.stored(passages.placed(read_of(NOW_MS + n, plate_heard=f"TE57 {n}")))
    assert len(passages._known) == len(passages._plates) == REMEMBERED


def test_messages_together_are_the_last_word_with_every_picture(read_of: Make) -> None:
    patch, scene = RawImage(Role.PLATE_PATCH, b"p"), RawImage(Role.OVERVIEW, b"s")
    first = read_of(plate_heard="TE57 ABC", country="GBR", images=(patch,), confidence=80)
    last = read_of(NOW_MS + 900, plate_heard="TE57 ABD", direction=Direction.AWAY, images=(scene,), confidence=91)
    one = together([first, last, read_of(NOW_MS + 950, plate_heard="unknown", confidence=None)])
    assert (one.vrm, one.raw.plate_heard, one.raw.confidence) == ("TE57ABD", "TE57 ABD", 91)
    assert (one.raw.country, one.raw.direction, one.raw.images) == ("GBR", Direction.AWAY, (patch, scene))
    assert (one.captured, one.received) == (first.captured, first.received)


class Room:
    """An intake whose ledger commits when it is told to."""

    def __init__(self, camera: Camera, make_arrival: Make) -> None:
        self.arrival = make_arrival()
        self.kept: list[Evidence] = []
        self.open = asyncio.Event()
        self.open.set()
        self.full = False
        self.health = {camera.id: CameraHealth(camera.id, 900, 0)}
        self.intake = Intake([camera], self._fit, self._commit, self.health, lambda: None)

    async def _fit(self, read: Read) -> Evidence:
        return without_pictures(read, Reason.NOT_SENT)

    async def _commit(self, change: Change) -> int | Outcome:
        await self.open.wait()
        if self.full:
            raise Unavailable("full")
        assert isinstance(change, Accept)
        self.kept.append(change.evidence)
        return Outcome.STORED

    def offer(self, raw: RawRead) -> asyncio.Task[Verdict]:
        return asyncio.create_task(self.intake.accept(raw, self.arrival))


def test_a_read_without_an_overview_is_given_a_frame_of_its_moment(
    camera: Camera, make_raw: Make, make_arrival: Make
) -> None:
    async def play() -> None:
        room, asked = Room(camera, make_arrival), []
        frame: RawImage | None = RawImage(Role.OVERVIEW, b"frame", grabbed_ms=40)

        async def grab(name: str, at_ms: int) -> RawImage | None:
            asked.append((name, at_ms))
            return frame

        room.intake = Intake([camera], room._fit, room._commit, room.health, lambda: None, grab)
        own = (RawImage(Role.OVERVIEW, b"own"),)
        assert await room.offer(make_raw(vendor_id="1", images=own)) == Verdict(Outcome.STORED)
        assert await room.offer(make_raw(vendor_id="2")) == Verdict(Outcome.STORED)
        frame = None
        assert await room.offer(make_raw(vendor_id="3")) == Verdict(Outcome.STORED)
        assert asked == [(camera.id, NOW_MS - 1000)] * 2
        assert [evidence.read.raw.images for evidence in room.kept] == [
            own,
            (RawImage(Role.OVERVIEW, b"frame", None, 40),),
            (),
        ]
        assert [original.grabbed_ms for evidence in room.kept for original in evidence.originals] == [None, 40]

    asyncio.run(play())


async def _turns() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


def test_the_first_waits_for_the_last_and_both_are_answered_after_one_commit(
    camera: Camera, make_raw: Make, make_arrival: Make
) -> None:
    async def play() -> None:
        room = Room(replace(camera, first_waits_ms=60_000), make_arrival)
        room.open.clear()
        first = room.offer(make_raw(passage="p", stage=Stage.FIRST, plate_heard="TE57 ABC"))
        last = room.offer(make_raw(passage="p", stage=Stage.LAST, plate_heard="TE57 ABD"))
        await _turns()
        assert not first.done()
        assert not last.done()
        room.open.set()
        assert await first == await last == Verdict(Outcome.STORED)
        assert [evidence.read.vrm for evidence in room.kept] == ["TE57ABD"]

    asyncio.run(play())


def test_the_wait_is_bounded_and_what_comes_later_is_a_record_of_its_own(
    camera: Camera, make_raw: Make, make_arrival: Make
) -> None:
    async def play() -> None:
        room = Room(replace(camera, first_waits_ms=5), make_arrival)
        assert await room.offer(make_raw(passage="p", stage=Stage.FIRST)) == Verdict(Outcome.STORED)
        last = make_raw(passage="p", stage=Stage.LAST, direction=Direction.AWAY)
        assert await room.offer(last) == Verdict(Outcome.STORED)
        assert [evidence.read.passage_key for evidence in room.kept] == [room.kept[0].read.passage_key] * 2

    asyncio.run(play())


def test_nobody_is_told_stored_where_the_ledger_is_full_or_the_first_was_interrupted(
    camera: Camera, make_raw: Make, make_arrival: Make
) -> None:
    async def play() -> None:
        room = Room(replace(camera, first_waits_ms=60_000), make_arrival)
        room.full = True
        first = room.offer(make_raw(passage="p", stage=Stage.FIRST))
        last = room.offer(make_raw(passage="p", stage=Stage.LAST))
        assert (await first).outcome is (await last).outcome is Outcome.LATER
        room.full = False
        first = room.offer(make_raw(passage="q", stage=Stage.FIRST))
        await _turns()
        later = room.offer(make_raw(passage="q", stage=Stage.UPDATE))
        await _turns()
        first.cancel()
        assert (await later).outcome is Outcome.LATER
        assert not room.kept

    asyncio.run(play())


def test_plates_are_forgotten_in_time_also_where_nothing_new_comes(read_of: Make) -> None:
    passages = Passages()
    first = passages.placed(read_of())
    passages.stored(first)
    at_ns = first.received.mono_ns
    passages.forget(at_ns + FORGOTTEN_AFTER_NS)
    assert passages.adds_nothing(first)
    passages.forget(at_ns + FORGOTTEN_AFTER_NS + 1)
    assert not passages.adds_nothing(first)
    assert not passages._plates
