"""Whether a lane reads what this hour of this week leads one to expect: too few, too many, or nothing to say. Pure.

A silent minute on a trunk road is certain and a silent hour at three in the morning is nothing, so the window grows
until there is evidence. Sister lanes say what is the road's doing. What may not happen here: a verdict from an average.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from enum import Enum
from typing import Any
from zoneinfo import ZoneInfo

from edge.habit import SUNDAY, Habit, Rate, hour_of_week, restored
from edge.tails import Spread, so_few, so_many

EVIDENCE = 7.0
"""-log10 of a probability: each lane is judged some 500,000 times a year, and neighbouring windows are nearly one."""

FEW_RATIO, MANY_RATIO = 0.6, 1.8  # what is seen over what is expected: less far off is no fault, however certain
_HALF, _DOUBLE = math.log(0.5), math.log(2.0)
_SCORE_MOST = 25.0  # so that a lane that reads again is soon as expected
_MANY_LEAST = 12
_FEW_OF_USUAL, _MANY_OF_USUAL = 0.85, 1.3
_SISTERS_S = 1800.0  # how fast what sisters said is forgotten
_OPEN = 2.0  # reads' worth of belief that the road is as usual, against what sisters say
_TOLD_LEAST, _TOLD_SHARE = 3.0, 0.05


class State(Enum):
    AS_EXPECTED = "as_expected"
    FEW = "few"
    MANY = "many"
    ROAD_FEW = "road_few"  # sister lanes have as few: the road, or all of them
    ROAD_MANY = "road_many"
    UNKNOWN = "unknown"  # not enough is known, or this time is marked


@dataclass(frozen=True, slots=True)
class Verdict:
    """`evidence`: -log10 of the probability that such a lane reads so few or so many by chance, from `since_s` on (UTC
    seconds). `seen` and `expected`: reads since then. `controlled`: sister lanes were asked."""

    state: State
    since_s: float
    evidence: float = 0.0
    seen: int = 0
    expected: float = 0.0
    controlled: bool = False

    @property
    def ratio(self) -> float:
        return self.seen / self.expected if self.expected > 0 else 1.0


@dataclass(frozen=True, slots=True)
class Marked:
    """A time that an operator marked: a bank holiday counts `as_sunday`, in road works nothing is expected."""

    from_s: float
    until_s: float
    why: str
    as_sunday: bool = False

    def holds(self, at_s: float) -> bool:
        return self.from_s <= at_s < self.until_s


@dataclass(frozen=True, slots=True)
class Slot:
    """What one lane read in the seconds after `begin_s` (UTC). `judged`: its camera delivers and the node's clock
    holds; `learnt`: nothing speaks against taking it as usual."""

    begin_s: float
    length_s: float
    reads: int
    judged: bool = True
    learnt: bool = True


@dataclass(frozen=True, slots=True)
class Sisters:
    """Reads and expected reads of the lanes beside it."""

    seen: float = 0.0
    expected: float = 0.0

    def factor(self) -> float:
        """By how much the road differs from its habit, as they tell of it. A road may be shut, however even it is."""
        return (_OPEN + self.seen) / (_OPEN + self.expected)

    def tell_of(self, usual: float) -> bool:
        """Whether they say enough beside a lane that usually reads so many."""
        return self.expected >= max(_TOLD_LEAST, _TOLD_SHARE * usual)


@dataclass(slots=True)
class Run:
    """A window that begins anew whenever what was seen in it speaks for nothing odd."""

    since_s: float = 0.0
    score: float = 0.0
    seen: int = 0
    usual: float = 0.0
    sisters_seen: float = 0.0
    sisters_expected: float = 0.0

    def add(self, slot: Slot, usual: float, now: float, sisters: Sisters, factor_log: float) -> None:
        """`usual`: what the habit says; `now`: the same with what sisters said of late. `factor_log`: of the rate that
        is looked for, over the expected one."""
        self.score = min(_SCORE_MOST, self.score + slot.reads * factor_log - now * math.expm1(factor_log))
        if self.score <= 0:
            self.begin_anew(slot)
        else:
            self.grow(slot, usual, sisters)

    def begin_anew(self, slot: Slot) -> None:
        self.since_s, self.score, self.seen = slot.begin_s + slot.length_s, 0.0, 0
        self.usual = self.sisters_seen = self.sisters_expected = 0.0

    def grow(self, slot: Slot, usual: float, sisters: Sisters) -> None:
        self.seen += slot.reads
        self.usual += usual
        self.sisters_seen += sisters.seen
        self.sisters_expected += sisters.expected


@dataclass(slots=True)
class Windows:
    """Three questions, asked of one series of counts: none since the last read, too few, too many."""

    none: Run = field(default_factory=Run)
    few: Run = field(default_factory=Run)
    many: Run = field(default_factory=Run)

    def add(self, slot: Slot, usual: float, now: float, sisters: Sisters, spreads: tuple[Spread, Spread]) -> Verdict:
        """What the windows say with this slot. Where two lanes part, the one that leaves its own habit is odd."""
        self.few.add(slot, usual, now, sisters, _HALF)
        self.many.add(slot, usual, now, sisters, _DOUBLE)
        none, few, many = self.none, self.few, self.many
        if slot.reads:
            none.begin_anew(slot)
        else:
            none.grow(slot, usual, sisters)
            expected, spread = _expected(none, spreads)
            evidence = so_few(0, expected, spread)
            if evidence >= EVIDENCE:
                return Verdict(State.FEW, none.since_s, evidence, 0, expected)
        expected, spread = _expected(few, spreads)
        if few.score > 0 and few.seen < min(FEW_RATIO * expected, _FEW_OF_USUAL * few.usual):
            evidence = so_few(few.seen, expected, spread)
            if evidence >= EVIDENCE:
                return Verdict(State.FEW, few.since_s, evidence, few.seen, expected)
        expected, spread = _expected(many, spreads)
        if many.score > 0 and many.seen >= max(_MANY_LEAST, MANY_RATIO * expected, _MANY_OF_USUAL * many.usual):
            evidence = so_many(many.seen, expected, spread)
            if evidence >= EVIDENCE:
                return Verdict(State.MANY, many.since_s, evidence, many.seen, expected)
        return Verdict(State.AS_EXPECTED, few.since_s, 0.0, few.seen, few.usual)


def _expected(run: Run, spreads: tuple[Spread, Spread]) -> tuple[float, Spread]:
    """What a window's habit and sisters lead one to expect in it, and how that scatters."""
    alone, beside = spreads
    told = Sisters(run.sisters_seen, run.sisters_expected)
    if not told.tell_of(run.usual):
        return run.usual, alone
    return run.usual * told.factor(), Spread(beside.burst, beside.swing + 1 / (_OPEN + told.seen))


_ROAD = {State.FEW: State.ROAD_FEW, State.MANY: State.ROAD_MANY}


@dataclass(slots=True)
class Lane:
    """One lane: its habit, its windows, the hour that is under way and what its sisters said of late."""

    habit: Habit = field(default_factory=Habit)
    alone: Windows = field(default_factory=Windows)
    beside: Windows = field(default_factory=Windows)
    hour: int = -1
    hour_s: float = 0.0
    hour_seen: int = 0
    hour_expected: float = 0.0
    hour_beside: float = 0.0
    sisters: Sisters = Sisters()
    last: State = State.UNKNOWN

    def rate(self, slot: Slot, zone: ZoneInfo, marks: Sequence[Marked]) -> Rate | None:
        """What is expected in this slot, per hour; None where nothing may be."""
        mark = next((mark for mark in marks if mark.holds(slot.begin_s)), None)
        hour, gone = hour_of_week(slot.begin_s + slot.length_s / 2, zone)
        if mark is not None:
            if not mark.as_sunday:
                return None
            hour = SUNDAY * 24 + hour % 24
        return self.habit.rate(hour, gone)

    def count(self, slot: Slot, rate: Rate | None, sisters: Sisters | None, usual_hour: int | None) -> Verdict:
        """The verdict with this slot. `sisters`: of the lanes beside it in this slot, where any can be asked;
        `usual_hour`: the hour of the week that it may be learnt as."""
        usual = None if rate is None else rate.per_hour * slot.length_s / 3600
        told = sisters or Sisters()
        fading = math.exp(-slot.length_s / _SISTERS_S)
        self.sisters = Sisters(self.sisters.seen * fading + told.seen, self.sisters.expected * fading + told.expected)
        factor = self.sisters.factor() if self.sisters.tell_of(0.0) else 1.0
        self._learn(slot, usual_hour, usual, factor)
        if rate is None or usual is None or not slot.judged:
            self.alone, self.beside, self.last = Windows(), Windows(), State.UNKNOWN
            return Verdict(State.UNKNOWN, slot.begin_s)
        found = self.alone.add(slot, usual, usual, Sisters(), (rate.alone, rate.alone))
        if sisters is not None:
            by_itself = found
            found = self.beside.add(slot, usual, usual * factor, told, (rate.alone, rate.beside))
            if found.state is State.AS_EXPECTED and by_itself.state in _ROAD:
                found = replace(by_itself, state=_ROAD[by_itself.state])
            found = replace(found, controlled=True)
        self.last = found.state
        return found

    def _learn(self, slot: Slot, usual_hour: int | None, mean: float | None, factor: float) -> None:
        if usual_hour != self.hour:
            if self.hour >= 0 and self.hour_s >= 3599:
                expected = self.hour_expected or None
                beside = self.hour_beside if expected is not None and self.sisters.expected > 0 else None
                self.habit.learn(self.hour, self.hour_seen, expected, beside)
            self.hour = -1 if usual_hour is None else usual_hour
            self.hour_s, self.hour_seen, self.hour_expected, self.hour_beside = 0.0, 0, 0.0, 0.0
        if slot.judged and slot.learnt and usual_hour is not None:
            self.hour_s += slot.length_s
            self.hour_seen += slot.reads
            self.hour_expected += mean or 0.0
            self.hour_beside += (mean or 0.0) * factor

    def kept(self) -> dict[str, Any]:
        """As plain JSON: the habit, and the windows that are open."""
        return {"habit": self.habit.kept(), "alone": asdict(self.alone), "beside": asdict(self.beside)}


def lane_restored(kept: dict[str, Any]) -> Lane:
    """What `Lane.kept` gave; the hour under way is lost. Raises ValueError, KeyError or TypeError for anything else."""
    alone, beside = (
        Windows(*(Run(**kept[name][run]) for run in ("none", "few", "many"))) for name in ("alone", "beside")
    )
    return Lane(restored(kept["habit"]), alone, beside)


def judge(
    lanes: Mapping[str, Lane], slots: Mapping[str, Slot], zone: ZoneInfo, marks: Sequence[Marked] = ()
) -> dict[str, Verdict]:
    """The lanes of one road, which are each other's sisters, with what each read in the same slot of time. A lane that
    is odd by itself does not speak for the road."""
    rates = {lane: lanes[lane].rate(slot, zone, marks) for lane, slot in slots.items()}
    told = {
        lane: (slot.reads, rate.per_hour * slot.length_s / 3600)
        for lane, slot in slots.items()
        if slot.judged and lanes[lane].last not in _ROAD and (rate := rates[lane]) is not None
    }
    found = {}
    for lane, slot in slots.items():
        others = [each for other, each in told.items() if other != lane]
        sisters = Sisters(sum(seen for seen, _ in others), sum(mean for _, mean in others)) if others else None
        marked = any(mark.holds(slot.begin_s) for mark in marks)
        usual = None if marked else hour_of_week(slot.begin_s, zone)[0]
        found[lane] = lanes[lane].count(slot, rates[lane], sisters, usual)
    return found
