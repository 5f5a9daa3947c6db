"""One vehicle, one read: which messages speak of the same passage, and what a later one adds. Pure; in memory only.

The camera's own identity for the passage comes first; where it gives none, the same plate at nearly the same time is
the same passage. Plates are remembered for ten minutes at most, never written down. What may not happen here: a message
that says something new being dropped.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TypeVar

from edge.claim import Direction, Heard, RawImage, RawRead, Role
from edge.read import Read

T = TypeVar("T")

REMEMBERED = 1000
"""Passages in mind at once: at 20 reads/s, the last 50 s."""
FORGOTTEN_AFTER_NS = 600 * 10**9
"""As long as the ledger knows a passage by its key (edge.seen)."""

_LABEL = b"anpr-same-v1"


@dataclass(frozen=True, slots=True)
class _Said:
    """What is known of a passage so far."""

    vrm: str | None = field(repr=False)
    direction: Direction | None
    country: str | None
    roles: frozenset[Role]
    at_ns: int


@dataclass(slots=True)
class Passages:
    """The passages of the last moments, oldest first."""

    _known: OrderedDict[bytes, _Said] = field(default_factory=OrderedDict)
    _plates: OrderedDict[tuple[str, str], tuple[int, bytes]] = field(default_factory=OrderedDict)

    def placed(self, read: Read) -> Read:
        """The read with the key of its passage. One that carries any identity of its own keeps to that."""
        if read.passage_key is not None or read.raw.vendor_id is not None or read.vrm is None:
            return read
        then = self._plates.get((read.camera.id, read.vrm))
        if then is not None and abs(read.captured.utc_ms - then[0]) <= read.camera.same_passage_s * 1000:
            return replace(read, passage_key=then[1])
        return replace(read, passage_key=_key(read))

    def adds_nothing(self, read: Read) -> bool:
        """Whether everything it says was stored already, from other messages on its passage."""
        said = None if read.passage_key is None else self._known.get(read.passage_key)
        if said is None:
            return False
        raw = read.raw
        return (
            (read.vrm is None or read.vrm == said.vrm)
            and (raw.direction is None or raw.direction is said.direction)
            and (raw.country is None or raw.country == said.country)
            and {image.role for image in raw.images} <= said.roles
        )

    def stored(self, read: Read) -> None:
        """Remember what is durable now."""
        key = read.passage_key
        if key is None:
            return
        before = self._known.pop(key, _Said(None, None, None, frozenset(), 0))
        raw = read.raw
        self._known[key] = _Said(
            read.vrm or before.vrm,
            raw.direction or before.direction,
            raw.country or before.country,
            before.roles | {image.role for image in raw.images},
            read.received.mono_ns,
        )
        if raw.passage is None and read.vrm is not None:
            self._plates[read.camera.id, read.vrm] = (read.captured.utc_ms, key)
            self._plates.move_to_end((read.camera.id, read.vrm))
        self.forget(read.received.mono_ns)

    def forget(self, now_ns: int) -> None:
        """Drop what is old, and the oldest above the bound."""
        while self._known:
            key, oldest = next(iter(self._known.items()))
            if len(self._known) <= REMEMBERED and now_ns - oldest.at_ns <= FORGOTTEN_AFTER_NS:
                break
            del self._known[key]
        while self._plates and (
            len(self._plates) > REMEMBERED or next(iter(self._plates.values()))[1] not in self._known
        ):
            self._plates.popitem(last=False)


def together(reads: Sequence[Read]) -> Read:
    """Several messages on one passage as one read: the last word on everything that the last word says, the first's
    moment, and of each kind of picture the latest."""
    first, last = reads[0], reads[-1]
    raws = [read.raw for read in reads]
    raw = replace(
        last.raw,
        plate_heard=_latest([r.raw.plate_heard for r in reads if r.vrm is not None]) or last.raw.plate_heard,
        confidence=_latest([r.raw.confidence for r in reads if r.vrm is not None]),
        country=_latest([r.country for r in raws]),
        direction=_latest([r.direction for r in raws]),
        lane=_latest([r.lane for r in raws]),
        images=_images(raws),
        heard=_latest([r.heard for r in raws if r.heard != Heard()]) or last.raw.heard,
    )
    vrm = _latest([read.vrm for read in reads])
    return replace(last, raw=raw, vrm=vrm, captured=first.captured, received=first.received)


def _images(raws: Sequence[RawRead]) -> tuple[RawImage, ...]:
    latest: dict[Role, tuple[RawImage, ...]] = {}
    for raw in raws:
        for role in Role:
            latest[role] = tuple(image for image in raw.images if image.role is role) or latest.get(role, ())
    return tuple(image for role in Role for image in latest[role])


def _latest(values: Sequence[T | None]) -> T | None:
    return next((value for value in reversed(values) if value is not None), None)


def _key(read: Read) -> bytes:
    """A key that says nothing of the plate: the moment of its coming, which is different for each."""
    moment = f"{read.camera.id}\x00{read.received.boot_id}\x00{read.received.mono_ns}"
    return hashlib.sha256(_LABEL + moment.encode()).digest()[:16]
