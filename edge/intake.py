"""The spine: the one way a read walks. Admit, fit, append, ring the bell, answer.

What may not happen here: a "stored" before the commit, or a read that leaves no trace in the counts.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace

from edge.admit import admit
from edge.camera import Camera
from edge.changes import Accept, Change, Enter
from edge.claim import Arrival, Outcome, RawImage, RawRead, Role, SignOfLife, Stage, Verdict
from edge.errors import Refused, Unavailable
from edge.health import CameraHealth
from edge.passages import Passages, together
from edge.read import Evidence, Read


@dataclass(slots=True)
class Refusals:
    """What was refused since it was last written down: counts by camera (or `unknown`) and reason."""

    counts: Counter[tuple[str, str]] = field(default_factory=Counter)

    def note(self, camera: str | None, reason: str) -> None:
        self.counts[camera or "unknown", reason] += 1

    def take(self) -> dict[str, dict[str, int]]:
        taken: dict[str, dict[str, int]] = {}
        for (camera, reason), count in sorted(self.counts.items()):
            taken.setdefault(camera, {})[reason] = count
        self.counts.clear()
        return taken

    def give_back(self, taken: Mapping[str, Mapping[str, int]]) -> None:
        """What could not be written down after all."""
        for camera, reasons in taken.items():
            for reason, count in reasons.items():
                self.counts[camera, reason] += count


_FRAMES_KEPT_MS = 3000


def _by_our_clock(read: Read) -> int:
    """When the vehicle passed, by the clock that frames are timed by: where the camera's is out, when it arrived."""
    ago_ms = read.received.utc_ms - read.captured.utc_ms
    return read.captured.utc_ms if 0 <= ago_ms <= _FRAMES_KEPT_MS else read.received.utc_ms


@dataclass(slots=True)
class _Held:
    """Messages on one passage that wait for each other."""

    reads: list[Read]
    whole: asyncio.Event = field(default_factory=asyncio.Event)
    verdict: asyncio.Future[Verdict] = field(default_factory=lambda: asyncio.get_running_loop().create_future())


class Intake:
    """Where every source's reads and signs of life come in, whatever they were carried by."""

    def __init__(
        self,
        cameras: Sequence[Camera],
        fit: Callable[[Read], Awaitable[Evidence]],
        commit: Callable[[Change], Awaitable[int | Outcome]],
        health: Mapping[str, CameraHealth],
        ring: Callable[[], None],
        grab: Callable[[str, int], Awaitable[RawImage | None]] | None = None,
    ) -> None:
        self._cameras = cameras
        self._fit = fit
        self._commit = commit
        self._health = health
        self._ring = ring
        self._grab = grab
        self._passages = Passages()
        self._held: dict[bytes, _Held] = {}
        self.refusals = Refusals()

    async def accept(self, raw: RawRead, arrival: Arrival) -> Verdict:
        """What becomes of a read. Ends after the commit; the answer to the camera is made from it."""
        try:
            read = admit(raw, arrival, self._cameras)
        except Refused as refused:
            self.refused(refused.reason, arrival)
            return Verdict(Outcome.REFUSED, refused.reason)
        read = self._passages.placed(read)
        verdict = await self._with_its_passage(read)
        self._health[read.camera.id].read(verdict, read)
        return verdict

    async def _with_its_passage(self, read: Read) -> Verdict:
        """Where the camera is configured so, the first message on a passage waits a bounded moment for the others, and
        one record is made of all; each is answered after its commit."""
        key = read.passage_key
        if key is None or not read.camera.first_waits_ms:
            return await self._store(read)
        held = self._held.get(key)
        if held is not None:
            held.reads.append(read)
            if read.raw.stage is Stage.LAST:
                held.whole.set()
            return await asyncio.shield(held.verdict)
        if read.raw.stage is Stage.LAST or read.raw.passage is None:
            return await self._store(read)
        held = self._held[key] = _Held([read])
        try:
            with suppress(TimeoutError):
                async with asyncio.timeout(read.camera.first_waits_ms / 1000):
                    await held.whole.wait()
            del self._held[key]
            verdict = await self._store(together(held.reads))
            held.verdict.set_result(verdict)
            return verdict
        finally:
            self._held.pop(key, None)
            if not held.verdict.done():
                held.verdict.set_result(Verdict(Outcome.LATER, "interrupted"))

    async def _store(self, read: Read) -> Verdict:
        if read.vrm is None and not read.camera.keep_unread:
            return Verdict(Outcome.DROPPED)
        if self._passages.adds_nothing(read):
            return Verdict(Outcome.REPEATED)
        try:
            evidence = await self._fit(await self._with_overview(read))
            self._health[read.camera.id].saw(evidence)
            outcome = await self._commit(Accept(evidence))
        except Unavailable:
            return Verdict(Outcome.LATER, "no_room")
        assert isinstance(outcome, Outcome)
        self._passages.stored(read)
        self._ring()
        return Verdict(outcome)

    async def _with_overview(self, read: Read) -> Read:
        """A read without an overview, with a frame of the camera's stream where there is one of that moment."""
        images = read.raw.images
        if self._grab is None or any(image.role is Role.OVERVIEW for image in images):
            return read
        frame = await self._grab(read.camera.id, _by_our_clock(read))
        return read if frame is None else replace(read, raw=replace(read.raw, images=(*images, frame)))

    def heard(self, life: SignOfLife, arrival: Arrival) -> None:
        """A message that is not a read: answered, counted, dropped."""
        for camera in self._at(arrival):
            if camera.is_called(life.camera_identity):
                self._health[camera.id].heard(arrival.received)

    def refused(self, reason: str, arrival: Arrival) -> None:
        """Something that was not kept, by its reason. Only cameras that are configured have names here."""
        here = self._at(arrival)
        self.refusals.note(here[0].id if len(here) == 1 else None, reason)
        if len(here) == 1:
            self._health[here[0].id].refused(reason)

    def _at(self, arrival: Arrival) -> list[Camera]:
        return [c for c in self._cameras if c.sends(arrival)]

    def forget(self, now_ns: int) -> None:
        """Let go of plates that are remembered only to tell passages apart, also where no new one comes."""
        self._passages.forget(now_ns)

    async def write_down_refusals(self) -> None:
        """The refusals since the last time, as an act: nothing is turned away without a trace."""
        counts = self.refusals.take()
        if not counts:
            return
        try:
            await self._commit(Enter("refused", {"counts": counts}))
        except Unavailable:
            self.refusals.give_back(counts)
        else:
            self._ring()
