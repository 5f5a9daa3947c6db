"""What is wrong with a camera, by name: rules over signs that were held for a time. Pure.

One odd number is a suspect. Two kinds of witness together, or one for a day, make a fault. What may not happen here: a
fault from weather that the sister cameras see, too.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import Enum

from edge.expect import State
from edge.eyes import Light, Sign
from edge.misread import Misread

HELD_S = 3600.0
"""So long a sign of the picture must have been seen, in time in which it could be judged, before it counts."""

READS_HELD_S = 1800.0
"""The same for a sign of the reads, which has its own evidence already."""

ALONE_S = 24 * 3600.0
"""So long where nothing of another kind stands beside it."""

SHARED_S = 48 * 3600.0
"""So long where sister cameras see the same: fog and snow are no fault of a camera's."""

LATE_S = 2 * 3600.0
"""What was not seen for so long says nothing of the weather now."""

MOVED_S = 6 * 3600.0
"""So long for a shift that fits: weather hides a scene, but does not move it."""

FROZEN_S, CLOCK_S, ROAD_S, MISREAD_S = 600.0, 600.0, 6 * 3600.0, 3 * 3600.0
FEW_ALONE_S, MANY_ALONE_S = 12 * 3600.0, 6 * 3600.0
_SHARED_PART = 0.3


class Kind(Enum):
    """Witnesses of one kind count once."""

    PICTURE = "picture"
    PLACE = "place"
    PLATE = "plate"
    READS = "reads"


class Fault(Enum):
    """What may be wrong, as the code of an alert. The last two are the weather's and the road's, and no camera's."""

    FROZEN = "camera-frozen"
    MOVED = "camera-moved"
    COVERED = "camera-covered"
    DARK = "camera-dark"
    DEFOCUSED = "camera-defocused"
    DIRTY = "camera-dirty"
    GLARE = "camera-glare"
    COLOUR = "camera-colour"
    FEW_READS = "camera-few-reads"
    MANY_READS = "camera-many-reads"
    SAME_PLATE = "camera-same-plate"
    MISREADS = "camera-misreads"
    CLOCK = "camera-clock"
    DROPPING = "camera-dropping"
    POOR_VISIBILITY = "poor-visibility"
    ROAD_QUIET = "road-quiet"


OF_NO_CAMERA = frozenset({Fault.POOR_VISIBILITY, Fault.ROAD_QUIET})
OF_PICTURES = frozenset(
    {Fault.FROZEN, Fault.MOVED, Fault.COVERED, Fault.DARK, Fault.DEFOCUSED, Fault.DIRTY, Fault.GLARE, Fault.COLOUR}
)

NONE, CLOCK, DROPS = "none", "clock", "drops"
"""Signs that have no enumeration of their own: nothing read at all, a wrong clock, lost again and again."""

WEATHER = frozenset(
    {
        *(Sign.HAZY, Sign.PLATE_PALE, Sign.BLURRED, Sign.EASY, Sign.BRIGHT, Sign.DARK, Sign.GLARE, Sign.COLOUR),
        *(Sign.OCCLUDED, Sign.UNLIKE),
    }
)
"""What weather can do, so that sister cameras may excuse it."""

_PLATE = frozenset({Sign.PLATE_BLURRED, Sign.PLATE_PALE, Sign.PLATE_UNLIT, Sign.PLATE_SMALL, Sign.PLATE_LARGE})
_PLACE = frozenset({Sign.MOVED, Sign.UNLIKE})
_WIDTH = frozenset({Sign.PLATE_SMALL, Sign.PLATE_LARGE})
# Of the logarithm of sharpness: a defocus takes it to a twentieth, dirt to a fifth, or two fifths at the plate.
_DEFOCUS, _DEFOCUS_PLATE = -2.2, -1.25
_LAMP = -0.25  # of the plate's brightness over its surround: a plate sends infrared light back, dirt or not
_WRONG = (Misread.UNREAD, Misread.MISSHAPEN, Misread.DOUBTFUL, Misread.REVISED)


@dataclass(slots=True)
class Held:
    """One sign over time: since when, and how long it was judged present and, since, absent. `shared_s`: for how long
    of it sister cameras saw the same. `change`: of the number against what is usual, at the last."""

    since_s: float
    last_s: float
    on_s: float = 0.0
    off_s: float = 0.0
    shared_s: float = 0.0
    change: float = 0.0

    def excused(self) -> bool:
        return self.shared_s > _SHARED_PART * self.on_s and self.on_s < SHARED_S


Named = tuple[Fault, tuple[str, ...]]
"""A fault, and the names of the signs that speak for it."""


def name_of(sign: Sign, light: Light) -> str:
    return f"{light.value}/{sign.value}"


def few_in(light: Light) -> str:
    """Too few reads, by light: daylight does not mend a lamp."""
    return f"few-{light.value}"


def faults(held: Mapping[str, Held], at_s: float, explained: bool = False) -> list[Named]:
    """Every fault that the held signs make out, those of pictures first. `explained`: one of pictures stands, which
    reads suffer from, too."""
    found = list(_of_pictures(held, at_s))
    explained = explained or any(fault in OF_PICTURES for fault, _ in found)
    found += _of_reads(held, explained)
    for name, fault, least_s in ((CLOCK, Fault.CLOCK, CLOCK_S), (DROPS, Fault.DROPPING, 0.0)):
        if name in held and held[name].on_s >= least_s:
            found.append((fault, (name,)))
    return found


def _of_pictures(held: Mapping[str, Held], at_s: float) -> Iterator[Named]:
    frozen = tuple(name for light in Light if _is(held, name := name_of(Sign.FROZEN, light), FROZEN_S))
    if frozen:
        yield Fault.FROZEN, frozen  # whatever else it shows is old
        return
    for light in Light:
        reads = tuple(name for name in (few_in(light), *(each.value for each in _WRONG)) if _is(held, name))
        start = f"{light.value}/"
        known = {Sign(name.removeprefix(start)): one for name, one in held.items() if name.startswith(start)}
        own = {sign: one for sign, one in known.items() if one.on_s >= HELD_S and not one.excused()}
        if own and (len(_kinds(own, reads)) >= 2 or any(_long(sign, held) for sign in own)):
            fault = _name(own, light)
            if fault is not None:
                yield fault, (*(name_of(sign, light) for sign in own), *reads)
                continue
        hazy = [sign for sign in (Sign.HAZY, Sign.PLATE_PALE) if sign in known and known[sign].excused()]
        hazy = [sign for sign in hazy if at_s - known[sign].last_s <= LATE_S]
        if hazy and max(known[sign].on_s for sign in hazy) >= READS_HELD_S:
            yield Fault.POOR_VISIBILITY, tuple(name_of(sign, light) for sign in hazy)


def _kinds(own: Mapping[Sign, Held], reads: tuple[str, ...]) -> set[Kind]:
    kinds = {
        Kind.PLACE if s in _PLACE else Kind.PLATE if s in _PLATE else Kind.PICTURE for s in own if s is not Sign.EASY
    }
    return kinds | ({Kind.READS} if reads else set())


def _long(sign: Sign, held: Mapping[str, Held]) -> bool:
    """Whether a sign was there for so long, in both lights together, that it needs no other."""
    like = _PLACE if sign is Sign.MOVED else {sign}
    names = [name_of(each, light) for each in like for light in Light]
    on_s = sum(held[name].on_s for name in names if name in held)
    return on_s >= (MOVED_S if sign is Sign.MOVED else ALONE_S)


def _name(own: Mapping[Sign, Held], light: Light) -> Fault | None:
    """The fault that these signs look like; what explains more is asked first. How each looks was measured:
    docs/camera-health.md."""
    signs = frozenset(own)
    if signs & {Sign.MOVED, Sign.UNLIKE}:
        return Fault.MOVED
    blurred = bool(signs & {Sign.BLURRED, Sign.PLATE_BLURRED})
    unlit = light is Light.INFRARED and _change(own, Sign.PLATE_UNLIT) <= _LAMP
    if not blurred and (Sign.DARK in signs or unlit):
        return Fault.DARK
    if _change(own, Sign.PLATE_BLURRED if Sign.PLATE_BLURRED in signs else Sign.BLURRED) <= (
        _DEFOCUS_PLATE if Sign.PLATE_BLURRED in signs else _DEFOCUS
    ):
        return Fault.DEFOCUSED
    if Sign.OCCLUDED in signs:
        return Fault.COVERED
    if blurred or signs & {Sign.HAZY, Sign.PLATE_PALE, Sign.PLATE_UNLIT}:
        return Fault.DIRTY
    if signs & _WIDTH:
        return Fault.MOVED
    if signs & {Sign.BRIGHT, Sign.GLARE}:
        return Fault.GLARE
    return Fault.COLOUR if Sign.COLOUR in signs else None


def _change(own: Mapping[Sign, Held], sign: Sign) -> float:
    return own[sign].change if sign in own else 0.0


def _of_reads(held: Mapping[str, Held], explained: bool) -> Iterator[Named]:
    few = tuple(name for name in (few_in(light) for light in Light) if name in held)
    if NONE in held or (not explained and sum(held[name].on_s for name in few) >= FEW_ALONE_S):
        yield Fault.FEW_READS, (*((NONE,) if NONE in held else ()), *few)
    repeated, many = Misread.REPEATED.value, State.MANY.value
    if _is(held, repeated):
        yield Fault.SAME_PLATE, (repeated,)
    elif _is(held, many, MANY_ALONE_S):
        yield Fault.MANY_READS, (many,)
    wrong = tuple(each.value for each in _WRONG if _is(held, each.value, MISREAD_S))
    if not explained and (len(wrong) >= 2 or any(_is(held, name, ALONE_S) for name in wrong)):
        yield Fault.MISREADS, wrong
    if _is(held, State.ROAD_FEW.value, ROAD_S):
        yield Fault.ROAD_QUIET, (State.ROAD_FEW.value,)


def _is(held: Mapping[str, Held], name: str, least_s: float = READS_HELD_S) -> bool:
    return name in held and held[name].on_s >= least_s
