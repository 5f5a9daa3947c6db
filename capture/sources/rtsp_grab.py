"""An overview for reads that come without one: of the frames of the last seconds the nearest in time.

By RTSP, by MJPEG over HTTP, or from a snapshot address. Frames are held as JPEGs, in memory alone; their time is that
of the node's clock when they came, less how long they were underway as far as that is known. What may not happen
here: a frame given as of a moment it is not of; a frame after its line has gone down; memory that grows with the
picture rate.
"""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from enum import Enum
from random import random
from typing import NoReturn

from capture.asking import Asking, Failed, Place, more, whole
from capture.backoff import Backoff
from capture.delivery import MIB
from capture.holding import Faults
from capture.links import Links, Telling
from capture.mjpeg import Pictures, whole_picture
from capture.recipes import Request
from capture.sources.rtsp_frames import Pace, Watching, describe, prepare, url_of, watch
from edge.claim import Received
from edge.errors import Misconfigured


class GrabKind(Enum):
    RTSP = "rtsp"
    MJPEG = "mjpeg"
    SNAPSHOT = "snapshot"


@dataclass(frozen=True, slots=True)
class Grab:
    """Where the frames of one camera come from. `camera`: its id. `path`: with the query, as it stands on the request
    line. `every_ms`: for snapshots, None for one when a read asks. `lag_ms`: how much older the camera's frames are
    than they seem: what it takes to encode them."""

    camera: str
    kind: GrabKind
    place: Place
    path: str = field(repr=False)
    frames_per_s: float = 2
    every_ms: int | None = None
    lag_ms: int = 0


@dataclass(frozen=True, slots=True)
class GrabLimits:
    """`ring_ms` and `ring_bytes`: what is held of one camera, whichever is reached first. `open_s`: to the first frame
    of a stream. `quiet_s`: without a frame. `answer_s`: for a whole snapshot. `unauthorised_s` between two wrong
    passwords: cameras lock themselves after five or so."""

    ring_ms: int = 3000
    ring_bytes: int = 8 * MIB
    frame_bytes: int = 4 * MIB
    connect_s: float = 5
    open_s: float = 10
    quiet_s: float = 5
    answer_s: float = 3
    unauthorised_s: float = 300
    stop_s: float = 3
    backoff: Backoff = field(default_factory=Backoff)


@dataclass(frozen=True, slots=True)
class Frame:
    """`offset_ms`: the frame's time by the node's clock less the time asked for."""

    jpeg: bytes = field(repr=False)
    offset_ms: int


class Grabber:
    """The source. It delivers nothing: it is asked."""

    def __init__(self, lines: Sequence[_Line], counted: Counter[str]) -> None:
        self._lines = {line.grab.camera: line for line in lines}
        self._counted = counted
        self._faults = Faults()
        self._tasks = [asyncio.create_task(line.run()) for line in lines if not line.when_asked]
        for task in self._tasks:
            self._faults.watch(task)

    async def frame(self, camera: str, at_ms: int, within_ms: int) -> Frame | None:
        """The frame nearest to `at_ms` (UTC, by the node's clock); None where none is within `within_ms`, where the
        line is down, or where nothing is grabbed of that camera. Ends within `answer_s` and the asks before it."""
        line = self._lines.get(camera)
        found = None if line is None else await line.frame(at_ms, within_ms)
        self._counted["missed" if found is None else "found"] += 1
        return found

    def counts(self) -> dict[str, int]:
        """Frames kept, found and missed, and what went wrong, by a stable word, since the start."""
        return dict(self._counted)

    def held_bytes(self) -> int:
        """What all rings hold at this moment."""
        return sum(line.ring.held_bytes for line in self._lines.values())

    async def failed(self) -> None:
        """Wait until something of ours breaks, and raise it."""
        await self._faults.failed()

    async def close(self) -> None:
        """Ends within `stop_s`. A thread that hangs in OpenCV is left to end by its own deadlines."""
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)
        for line in self._lines.values():
            await line.close()


async def open_grab(
    grabs: Sequence[Grab], links: Links, clock: Callable[[], Received], limits: GrabLimits = GrabLimits()
) -> Grabber:
    """Follow these for ever. `clock` is also called from threads. Raises `Misconfigured` for RTSP over TLS, for two
    grabs of one camera, and where a CA file cannot be used."""
    if any(grab.kind is GrabKind.RTSP and grab.place.tls is not None for grab in grabs):
        raise Misconfigured("frames are to be taken by RTSP over TLS, which is not supported", "use MJPEG or snapshots")
    if len({grab.camera for grab in grabs}) < len(grabs):
        raise Misconfigured("frames of one camera are to be taken in two ways", "keep one of them")
    if any(grab.kind is GrabKind.RTSP for grab in grabs):
        prepare()
    counted: Counter[str] = Counter()
    return Grabber([_Line(grab, limits, links, clock, counted) for grab in grabs], counted)


class Ring:
    """The frames of the last `keep_ms`, as long as they have room in `most_bytes`."""

    def __init__(self, keep_ms: int, most_bytes: int) -> None:
        self._keep_ms = keep_ms
        self._most_bytes = most_bytes
        self._frames: deque[tuple[float, int, bytes]] = deque()  # when it came (monotonic), its time, its JPEG
        self.held_bytes = 0

    def put(self, came_ms: float, at_ms: int, jpeg: bytes) -> None:
        self._frames.append((came_ms, at_ms, jpeg))
        self.held_bytes += len(jpeg)
        while self.held_bytes > self._most_bytes or self._frames[0][0] < came_ms - self._keep_ms:
            self.held_bytes -= len(self._frames.popleft()[2])
            if not self._frames:
                break

    def nearest(self, at_ms: int, within_ms: int) -> Frame | None:
        found = min(self._frames, key=lambda frame: abs(frame[1] - at_ms), default=None)
        if found is None or abs(found[1] - at_ms) > within_ms:
            return None
        return Frame(found[2], found[1] - at_ms)

    def clear(self) -> None:
        self._frames.clear()
        self.held_bytes = 0


class _Line:
    """One camera."""

    def __init__(
        self, grab: Grab, limits: GrabLimits, links: Links, clock: Callable[[], Received], counted: Counter[str]
    ) -> None:
        self.grab = grab
        self.ring = Ring(limits.ring_ms, limits.ring_bytes)
        self.when_asked = grab.kind is GrabKind.SNAPSHOT and grab.every_ms is None
        self._limits = limits
        self._clock = clock
        self._counted = counted
        self._http = None if grab.kind is GrabKind.RTSP else Asking(grab.place, limits.connect_s, limits.open_s)
        self._tell = Telling(links, grab.camera)
        self._failures = 0
        self._closed = False
        self._asked = asyncio.Lock()
        self._not_before_ms = 0.0

    async def run(self) -> NoReturn:
        follow = {GrabKind.RTSP: self._rtsp, GrabKind.MJPEG: self._mjpeg, GrabKind.SNAPSHOT: self._snapshots}
        while True:
            try:
                await follow[self.grab.kind]()
            except Failed as failed:
                await asyncio.sleep(self._failed(failed))

    async def frame(self, at_ms: int, within_ms: int) -> Frame | None:
        """Where nothing is taken but when asked: ask, unless what is held is nearer than a picture of now can be."""
        if not self.when_asked:
            return self.ring.nearest(at_ms, within_ms)
        async with self._asked:
            held, now = self.ring.nearest(at_ms, within_ms), self._clock()
            away_ms = abs(now.utc_ms - self.grab.lag_ms - at_ms)
            nearer = away_ms <= within_ms if held is None else away_ms < abs(held.offset_ms)
            if nearer and now.mono_ns / 1e6 >= self._not_before_ms and not self._closed:
                try:
                    await self._snapshot()
                except Failed as failed:
                    self._not_before_ms = self._clock().mono_ns / 1e6 + self._failed(failed) * 1000
            return self.ring.nearest(at_ms, within_ms)

    async def close(self) -> None:
        self._closed = True
        if self._http is not None:
            await self._http.close()
        self.ring.clear()

    async def _rtsp(self) -> NoReturn:
        grab, limits = self.grab, self._limits
        await describe(grab.place, grab.path, limits.connect_s, limits.answer_s)
        url = url_of(grab.place, grab.path, with_login=True)
        told = (limits.open_s, limits.quiet_s, limits.stop_s)
        raise Failed(await watch(Watching(url, grab.frames_per_s, *told, self._clock, self._took)))

    async def _mjpeg(self) -> NoReturn:
        assert self._http is not None
        async with self._http.ask(Request("GET", self.grab.path)) as response:
            pictures, pace = Pictures(self._limits.frame_bytes), Pace(self.grab.frames_per_s)
            begun: Received | None = None
            loop = asyncio.get_running_loop()
            until_s = loop.time() + self._limits.quiet_s
            heard = garbage = 0
            while True:
                chunk = b""
                with suppress(TimeoutError):
                    async with asyncio.timeout_at(until_s):
                        chunk = await more(response)
                if not chunk:
                    raise Failed(("garbage" if heard else "quiet") if loop.time() >= until_s else "cut")
                now, heard = self._clock(), heard + len(chunk)
                for jpeg in pictures.feed(chunk):
                    came, begun, heard = begun or now, None, 0
                    until_s = loop.time() + self._limits.quiet_s
                    if pace.due(came.mono_ns / 1e6):
                        self._took(came, 0, jpeg)
                begun = (begun or now) if pictures.pending else None
                if pictures.garbage > garbage:
                    self._counted["garbage"] += pictures.garbage - garbage
                    garbage = pictures.garbage

    async def _snapshots(self) -> NoReturn:
        loop = asyncio.get_running_loop()
        every_s = (self.grab.every_ms or 0) / 1000
        while True:
            begun_s = loop.time()
            await self._snapshot()
            await asyncio.sleep(begun_s + every_s - loop.time())

    async def _snapshot(self) -> None:
        """One into the ring, as of the middle between the request and the beginning of its answer."""
        assert self._http is not None
        asked = self._clock()
        try:
            async with (
                asyncio.timeout(self._limits.answer_s),
                self._http.ask(Request("GET", self.grab.path)) as response,
            ):
                answered = self._clock()
                jpeg = whole_picture(await whole(response, self._limits.frame_bytes))
        except TimeoutError:
            raise Failed("quiet") from None
        if jpeg is None:
            raise Failed("garbage")
        self._took(answered, (answered.mono_ns - asked.mono_ns) / 2e6, jpeg)

    def _took(self, received: Received, age_ms: float, jpeg: bytes) -> None:
        self._failures = 0
        self._tell("")
        self._counted["kept"] += 1
        self.ring.put(received.mono_ns / 1e6, round(received.utc_ms - age_ms) - self.grab.lag_ms, jpeg)

    def _failed(self, failed: Failed) -> float:
        """What is to be done about it, but the wait: that many seconds."""
        self.ring.clear()
        self._failures += 1
        self._counted[failed.why] += 1
        self._tell(failed.why)
        if failed.why == "unauthorised":
            return self._limits.unauthorised_s
        return self._limits.backoff.wait_s(self._failures, random())
