"""Many suspects, one alarm: what pictures, plates and reads say of one camera, kept over time. Pure.

What may not happen here: an alarm from a single picture or a single number of the moment, or one without the moment it
began and what was seen; and a camera that is down being accused of anything else.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from statistics import median_low
from typing import Any

from edge.expect import State, Verdict
from edge.eyes import Light, Sight, Sign
from edge.fault import (
    CLOCK,
    DROPS,
    LATE_S,
    NONE,
    OF_NO_CAMERA,
    OF_PICTURES,
    WEATHER,
    Fault,
    Held,
    faults,
    few_in,
    name_of,
)
from edge.misread import Misread, OddShare

GONE_S = 1800.0
"""So long a sign must have been judged absent before it is forgotten."""

NONE_AT_ALL = 0.1
"""Of what is expected: so few that no second witness can come, since pictures come with reads."""

SKEW_BAD_MS = 10_000
DROPS_MANY, DROPS_WITHIN_S = 4, 12 * 3600.0
_SIGHT_LASTS_S = 1800.0
_WORDS = (*(each.value for each in Misread), *(few_in(light) for light in Light))


@dataclass(frozen=True, slots=True)
class Alarm:
    """A fault that stands. `since_s`: when it began; `raised_s`: when enough was known (UTC seconds). `seen`: names of
    the signs that speak for it."""

    fault: Fault
    since_s: float
    raised_s: float
    seen: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Told:
    """All that is known of one camera at one moment. `up`: not known to be down. `sight`: None where no picture came
    since the last moment. `light`: of its last picture. `skew_ms`: the median of its
    last reads. `drops`: how often it was lost, counted upwards."""

    at_s: float
    lasted_s: float
    up: bool
    sight: Sight | None
    judged: frozenset[Misread]
    misread: Mapping[Misread, OddShare]
    reads: Verdict
    light: Light
    skew_ms: int | None = None
    drops: int = 0


@dataclass(frozen=True, slots=True)
class _Asked:
    """One sign at one moment: None is not known. `lasted_s`: the time that it speaks for."""

    name: str
    present: bool | None
    since_s: float
    lasted_s: float
    shared: bool = False
    change: float = 0.0


@dataclass(slots=True)
class Suspicion:
    """One camera's signs, and its alarms. Signs of each light are kept apart: daylight does not mend a lamp."""

    held: dict[str, Held] = field(default_factory=dict)
    alarms: dict[Fault, Alarm] = field(default_factory=dict)
    dropped_s: list[float] = field(default_factory=list)
    drops: int | None = None
    sight_s: float | None = None

    def note(self, told: Told, shared: frozenset[Sign] = frozenset()) -> tuple[Alarm, ...]:
        """What stands after this moment. `shared`: what sister cameras see, too, of late (`shared_signs`)."""
        if told.up:
            for asked in (*self._pictures(told, shared), *_reads(told)):
                self._hold(asked, told.at_s)
        self._drop(told)
        found = dict(faults(self.held, told.at_s, explained=not OF_PICTURES.isdisjoint(self.alarms)))
        for fault, seen in found.items():
            self._stand(fault, seen, told.at_s)
        for alarm in [alarm for alarm in self.alarms.values() if alarm.fault not in found]:
            of_pictures = alarm.fault in OF_PICTURES
            speaks = any(name in self.held for name in alarm.seen if "/" in name or not of_pictures)
            if not speaks or alarm.fault in OF_NO_CAMERA:
                del self.alarms[alarm.fault]
                for name in _WORDS if of_pictures else ():
                    self.held.pop(name, None)  # what it explained has to be seen anew
        return tuple(self.alarms.values())

    def _stand(self, fault: Fault, seen: tuple[str, ...], at_s: float) -> None:
        """A fault is made out: its alarm stands from its beginning on. One of pictures that is called otherwise, now
        that more is seen, keeps its beginning; and its name, where only less is seen."""
        before = self.alarms.get(fault)
        if before is None and fault in OF_PICTURES:
            before = next(
                (one for one in self.alarms.values() if one.fault in OF_PICTURES and set(one.seen) & set(seen)), None
            )
            if before is not None and set(seen) <= set(before.seen):
                return
            if before is not None:
                del self.alarms[before.fault]
        sinces = [self.held[name].since_s for name in [name for name in seen if "/" in name] or seen]
        since_s = median_low(sinces) if before is None else before.since_s
        self.alarms[fault] = Alarm(fault, since_s, at_s if before is None else before.raised_s, seen)

    def suspects(self) -> tuple[str, ...]:
        """What is odd, alarm or not."""
        return tuple(sorted(self.held))

    def of_late(self, at_s: float) -> set[str]:
        """Words of the signs of pictures that this camera had lately, in any light."""
        held = [name for name, one in self.held.items() if at_s - one.last_s <= LATE_S]
        return {name.split("/")[1] for name in held if "/" in name}

    def seen_anew(self) -> None:
        """Baselines were reset by a signed act: what pictures said is void."""
        self.held = {name: one for name, one in self.held.items() if "/" not in name}

    def _pictures(self, told: Told, shared: frozenset[Sign]) -> Iterator[_Asked]:
        sight = told.sight
        if sight is None:
            return
        lasted_s = told.lasted_s if self.sight_s is None else min(_SIGHT_LASTS_S, told.at_s - self.sight_s)
        self.sight_s = told.at_s
        for sign in sight.judged:
            odd = sight.odd.get(sign)
            name = name_of(sign, sight.light)
            if odd is None:
                yield _Asked(name, False, told.at_s, lasted_s)
            else:
                yield _Asked(name, True, odd.since_s, lasted_s, sign in shared, odd.seen - odd.usual)

    def _hold(self, asked: _Asked, at_s: float) -> None:
        held = self.held.get(asked.name)
        if asked.present:
            if held is None:
                held = self.held[asked.name] = Held(asked.since_s, at_s)
            held.on_s, held.off_s, held.last_s = held.on_s + asked.lasted_s, 0.0, at_s
            held.shared_s += asked.lasted_s if asked.shared else 0.0
            held.change = asked.change
        elif asked.present is False and held is not None:
            held.off_s += asked.lasted_s
            if held.off_s >= GONE_S:
                del self.held[asked.name]

    def _drop(self, told: Told) -> None:
        if self.drops is not None and told.drops > self.drops:
            self.dropped_s += [told.at_s] * (told.drops - self.drops)
        self.drops = told.drops
        self.dropped_s = [at_s for at_s in self.dropped_s if told.at_s - at_s <= DROPS_WITHIN_S]
        if len(self.dropped_s) >= DROPS_MANY:
            held = self.held.setdefault(DROPS, Held(self.dropped_s[0], told.at_s))
            held.on_s, held.last_s = held.on_s + told.lasted_s, told.at_s
        else:
            self.held.pop(DROPS, None)

    def kept(self) -> dict[str, Any]:
        """As plain JSON."""
        return {
            "held": {name: asdict(held) for name, held in self.held.items()},
            "alarms": [[one.fault.value, one.since_s, one.raised_s, list(one.seen)] for one in self.alarms.values()],
            "dropped_s": self.dropped_s,
        }


def suspicion_restored(kept: dict[str, Any]) -> Suspicion:
    """What `Suspicion.kept` gave. Raises KeyError, TypeError or ValueError for anything else."""
    alarms = [Alarm(Fault(fault), since_s, raised_s, tuple(seen)) for fault, since_s, raised_s, seen in kept["alarms"]]
    held = {name: Held(**each) for name, each in kept["held"].items()}
    return Suspicion(held, {alarm.fault: alarm for alarm in alarms}, list(kept["dropped_s"]))


def shared_signs(camera: str, cameras: Mapping[str, Suspicion], at_s: float) -> frozenset[Sign]:
    """What weather can do and most of the sister cameras see, too; one with a fault of its own does not speak for the
    weather."""
    sisters = [
        other.of_late(at_s)
        for name, other in cameras.items()
        if name != camera and OF_PICTURES.isdisjoint(other.alarms)
    ]
    words = Counter(word for late in sisters for word in late)
    return frozenset(
        sign for word, count in words.items() if 2 * count > len(sisters) and (sign := Sign(word)) in WEATHER
    )


def _reads(told: Told) -> Iterator[_Asked]:
    for share in told.judged:
        yield _Asked(share.value, share in told.misread, told.at_s, told.lasted_s)
    known, since_s = told.reads.state is not State.UNKNOWN, told.reads.since_s
    states = ((few_in(told.light), State.FEW), *((each.value, each) for each in (State.MANY, State.ROAD_FEW)))
    for name, state in states:
        yield _Asked(name, told.reads.state is state if known else None, since_s, told.lasted_s)
    none = told.reads.state is State.FEW and told.reads.ratio < NONE_AT_ALL
    yield _Asked(NONE, none if known else None, since_s, told.lasted_s)
    if told.skew_ms is not None:
        yield _Asked(CLOCK, abs(told.skew_ms) > SKEW_BAD_MS, told.at_s, told.lasted_s)
