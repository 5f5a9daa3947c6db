"""Plays months of the world against the modules that watch cameras, and says what was found, when, and what was false.

The modules are driven as a node drives them: reads counted in steps of five minutes, numbers of pictures as they come.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from statistics import median

import numpy as np

from edge.expect import Lane, Marked, Sisters, Slot, judge
from edge.eyes import Eyes
from edge.fault import OF_NO_CAMERA, Fault
from edge.habit import Habit, hour_of_week
from edge.health import CameraHealth, CameraState
from edge.misread import Tally
from edge.suspect import Suspicion, Told, shared_signs
from tests.simulation.health_world import (
    BEGIN_S,
    ROADS,
    STEP_S,
    STEPS,
    ZONE,
    Event,
    Moment,
    Road,
    Trouble,
    World,
    bank_holidays,
)

SETTLING_DAYS, MONTH_DAYS = 8, 30
DOWN = "camera-down"
RIGHT: dict[Trouble, frozenset[str]] = {
    Trouble.DIRT: frozenset({Fault.DIRTY.value, Fault.COVERED.value}),
    Trouble.DEFOCUS: frozenset({Fault.DEFOCUSED.value}),
    Trouble.NUDGE: frozenset({Fault.MOVED.value}),
    Trouble.LAMP: frozenset({Fault.DARK.value}),
    Trouble.FROZEN: frozenset({Fault.FROZEN.value}),
    Trouble.DEAD: frozenset({DOWN}),
    Trouble.HUNG: frozenset({Fault.FEW_READS.value}),
    Trouble.CLOCK: frozenset({Fault.CLOCK.value}),
    Trouble.CLOSED: frozenset({Fault.FEW_READS.value}),
    Trouble.PARKED: frozenset({Fault.SAME_PLATE.value, Fault.MANY_READS.value}),
    Trouble.POWER: frozenset({Fault.DROPPING.value}),
}
LASTS_H: dict[Trouble, float] = {
    Trouble.DIRT: 144,
    Trouble.DEFOCUS: 108,
    Trouble.NUDGE: 48,
    Trouble.LAMP: 192,
    Trouble.FROZEN: 30,
    Trouble.DEAD: 12,
    Trouble.HUNG: 30,
    Trouble.CLOCK: 30,
    Trouble.CLOSED: 36,
    Trouble.PARKED: 5,
    Trouble.POWER: 12,
}
BESIDE: dict[Trouble, frozenset[str]] = {
    Trouble.POWER: frozenset({DOWN}),
    Trouble.DEAD: frozenset({Fault.FEW_READS.value}),
    Trouble.NUDGE: frozenset({Fault.FEW_READS.value}),
    Trouble.LAMP: frozenset({Fault.FEW_READS.value}),
}
"""What is true, too, though not the name of it."""

AFTER_S = 36 * 3600.0  # what still stands after the end of a fault, until it is judged gone, is no false alarm


def drawn_events(days: int, seed: int, every_days: float) -> tuple[Event, ...]:
    """Troubles one after the other on each camera, every kind in turn, with calm between them."""
    rng = np.random.default_rng([seed, 1])
    found, kinds, turn = [], list(Trouble), 0
    for road in ROADS:
        for lane in road.lanes:
            at_day = SETTLING_DAYS + rng.uniform(1, every_days)
            while at_day < days - 7:
                trouble, turn = kinds[turn % len(kinds)], turn + 1
                hour = {Trouble.DEFOCUS: 15.5, Trouble.LAMP: 15.5, Trouble.PARKED: rng.uniform(6, 20)}.get(
                    trouble, rng.uniform(0, 24)
                )
                from_s = BEGIN_S + (int(at_day) * 24 + hour) * 3600
                found.append(Event(lane, trouble, from_s, from_s + LASTS_H[trouble] * 3600))
                at_day += LASTS_H[trouble] / 24 + 2.5 + rng.uniform(0.5, 1.5) * every_days
    return tuple(found)


@dataclass(slots=True)
class Watched:
    """One camera as a node watches it."""

    health: CameraHealth
    eyes: Eyes = field(default_factory=Eyes)
    tally: Tally = field(default_factory=Tally)
    skews: deque[int] = field(default_factory=lambda: deque(maxlen=20))
    standing: dict[str, float] = field(default_factory=dict)


@dataclass(slots=True)
class Found:
    """What came of one history."""

    camera_days: float = 0.0
    calm_days: float = 0.0
    false: list[str] = field(default_factory=list)
    misnamed: Counter[str] = field(default_factory=Counter)
    others: list[str] = field(default_factory=list)
    hours: dict[Trouble, list[float]] = field(default_factory=dict)
    began_off_h: dict[Trouble, list[float]] = field(default_factory=dict)
    missed: list[str] = field(default_factory=list)
    notices: Counter[str] = field(default_factory=Counter)
    fogs: list[int] = field(default_factory=lambda: [0, 0])  # not seen, seen

    def false_per_day(self) -> float:
        return len(self.false) / max(1e-9, self.calm_days)

    def figures(self) -> dict[str, object]:
        """For a line of JSON; hours are median and most."""
        return {
            "camera_days": round(self.camera_days, 1),
            "calm_camera_days": round(self.calm_days, 1),
            "false_alarms": len(self.false),
            "false_alarms_per_camera_day": round(self.false_per_day(), 4),
            "false": dict(Counter(self.false)),
            "faults": sum(len(each) for each in self.hours.values()) + len(self.missed),
            "missed": self.missed,
            "hours_to_alarm": {
                trouble.value: [len(each), round(median(each), 2), round(max(each), 2)]
                for trouble, each in self.hours.items()
            },
            "hours_that_the_beginning_is_off": {
                trouble.value: round(median(each), 2) for trouble, each in self.began_off_h.items()
            },
            "misnamed": dict(self.misnamed),
            "notices": dict(self.notices),
            "fogs": sum(self.fogs),
            "fogs_named": self.fogs[1],
        }


class History:
    """One seeded history of all roads."""

    def __init__(self, days: int, seed: int, every_days: float | None, known_weeks: int = 6) -> None:
        self.days = days
        self.events = () if every_days is None else drawn_events(days, seed, every_days)
        self.world = World(days, np.random.default_rng([seed, 0]), self.events)
        self.holidays = frozenset(bank_holidays(days))
        self.marks = [
            Marked(BEGIN_S + day * 86400, BEGIN_S + (day + 1) * 86400, "bank holiday", as_sunday=True)
            for day in sorted(self.holidays)
        ]
        self.lanes = {lane: Lane() for road in ROADS for lane in road.lanes}
        self.cameras = {lane: Watched(CameraHealth(lane, 900, 0)) for lane in self.lanes}
        self.suspicions = {lane: Suspicion() for lane in self.lanes}
        self.found = Found()
        self._first: dict[tuple[Event, str], float] = {}
        self._hazy: list[tuple[str, float]] = []
        self._since: dict[tuple[Event, str], float] = {}
        self._commission(known_weeks)

    def _commission(self, weeks: int) -> None:
        """Weeks before the first day, as hourly counts."""
        for road in ROADS:
            for hour in range(-weeks * 168, 0):
                at_s = BEGIN_S + hour * 3600 + 1800
                day_swing = float(np.random.default_rng([hour // 24 + 10_000]).gamma(1 / 0.0081, 0.0081))
                counts = {}
                for lane in road.lanes:
                    mean = 0.97 * self.world.usual(road, lane, at_s, frozenset()) * day_swing
                    counts[lane] = int(self.world.rng.poisson(mean * self.world.rng.gamma(1 / 0.005, 0.005)))
                self._learn(road, hour_of_week(at_s, ZONE)[0], counts)

    def _learn(self, road: Road, hour: int, counts: dict[str, int]) -> None:
        rates = {lane: self.lanes[lane].habit.rate(hour, 0.5) for lane in road.lanes}
        for lane in road.lanes:
            habit: Habit = self.lanes[lane].habit
            rate = rates[lane]
            others = [other for other in road.lanes if other != lane and rates[other] is not None]
            adjusted = None
            if rate is not None and others:
                expected = sum(each.per_hour for other in others if (each := rates[other]) is not None)
                seen = sum(counts[other] for other in others)
                adjusted = rate.per_hour * Sisters(seen, expected).factor()
            habit.learn(hour, counts[lane], None if rate is None else rate.per_hour, adjusted)

    def play(self) -> Iterator[int]:
        """Day by day."""
        for day in range(self.days):
            for step in range(STEPS):
                at_s = BEGIN_S + day * 86400 + step * STEP_S
                for road in ROADS:
                    self._step(road, at_s)
            yield day
        self._close()

    def _step(self, road: Road, at_s: float) -> None:
        moments = self.world.moments(road, at_s, self.holidays)
        slots = {}
        for lane, moment in moments.items():
            self.cameras[lane].health.reachable = moment.reachable
            if moment.reads:
                self.cameras[lane].health.last_delivery_ns = int(at_s * 1e9)
            up = self.cameras[lane].health.state(int(at_s * 1e9)) is not CameraState.DOWN and moment.reachable
            learnt = not self.suspicions[lane].alarms
            slots[lane] = Slot(at_s, STEP_S, moment.reads, judged=up, learnt=learnt)
        verdicts = judge({lane: self.lanes[lane] for lane in road.lanes}, slots, ZONE, self.marks)
        sisters = {lane: self.suspicions[lane] for lane in road.lanes}
        for lane, moment in moments.items():
            told = self._told(lane, moment, slots[lane], verdicts[lane], at_s + STEP_S)
            alarms = self.suspicions[lane].note(told, shared_signs(lane, sisters, at_s))
            now = {alarm.fault.value: alarm.since_s for alarm in alarms}
            if not moment.reachable:
                now[DOWN] = at_s
            self._score(road, lane, now, at_s + STEP_S)

    def _told(self, lane: str, moment: Moment, slot: Slot, verdict: object, at_s: float) -> Told:
        watched, calm = self.cameras[lane], not self.suspicions[lane].alarms
        for number, (one, marks) in enumerate(zip(moment.pictures, moment.marks, strict=True)):
            watched.eyes.see(one, moment.light, at_s - STEP_S + 60 * number, marks)
        if moment.scene is not None:
            watched.eyes.lies(moment.scene, moment.light, at_s)
        for flag in moment.flags:
            watched.tally.note(flag)
        if moment.skew_ms is not None:
            watched.skews.append(moment.skew_ms)
        judged, odd = watched.tally.judge(at_s, calm) if moment.flags else (frozenset(), {})
        return Told(
            at_s,
            STEP_S,
            slot.judged,
            watched.eyes.judge(at_s, calm) if moment.pictures else None,
            judged,
            odd,
            verdict,  # type: ignore[arg-type]
            watched.eyes.light,
            int(median(watched.skews)) if moment.skew_ms is not None else None,
            moment.lost,
        )

    def _score(self, road: Road, lane: str, now: dict[str, float], at_s: float) -> None:
        mine = [e for e in self.events if e.camera == lane and e.from_s <= at_s < e.until_s + AFTER_S]
        standing = self.cameras[lane].standing
        if at_s >= BEGIN_S + SETTLING_DAYS * 86400:
            self.found.camera_days += STEP_S / 86400
            self.found.calm_days += 0 if mine else STEP_S / 86400
        for name in [name for name in standing if name not in now]:
            del standing[name]
        if Fault.POOR_VISIBILITY.value in now:
            self._hazy.append((road.name, at_s))
        for name, since_s in now.items():
            for event in mine:
                if name in RIGHT[event.trouble] and at_s <= event.until_s:
                    self._first.setdefault((event, name), at_s)
                    self._since.setdefault((event, name), since_s)
            if name not in standing:
                standing[name] = at_s
                self._new(road, lane, name, mine, at_s)

    def _new(self, road: Road, lane: str, name: str, mine: list[Event], at_s: float) -> None:
        if any(name == each.value for each in OF_NO_CAMERA):
            sky, hour = self.world.skies[road.name], int((at_s - BEGIN_S) // 3600)
            weather = [
                word for word in ("fog", "snow", "rain", "shut") if getattr(sky, word)[hour - 3 : hour + 1].any()
            ]
            self.found.notices[f"{name}: {weather[0] if weather else 'nothing'}"] += 1
        elif not mine:
            self.found.false.append(f"{name} {lane} day {(at_s - BEGIN_S) / 86400:.1f}")
        elif not any(name in RIGHT[e.trouble] | BESIDE.get(e.trouble, frozenset()) for e in mine):
            hours = (at_s - mine[0].from_s) / 3600
            self.found.others.append(f"{mine[0].trouble.value} {lane}: {name} after {hours:.1f} h")
            self.found.misnamed[f"{mine[0].trouble.value}: {name}"] += 1

    def _close(self) -> None:
        for road in ROADS[:2]:
            for from_s, until_s in self.world.skies[road.name].fogs:
                deep = self.world.skies[road.name].fog[int((from_s - BEGIN_S) // 3600)] >= 0.6
                if deep and until_s - from_s >= 4 * 3600 and from_s > BEGIN_S + SETTLING_DAYS * 86400:
                    seen = any(r == road.name and from_s <= at <= until_s for r, at in self._hazy)
                    self.found.fogs[seen] += 1
        for event in self.events:
            if event.until_s > BEGIN_S + self.days * 86400:
                continue
            firsts = [(at_s, name) for (each, name), at_s in self._first.items() if each == event]
            if not firsts:
                self.found.missed.append(
                    f"{event.trouble.value} {event.camera} day {(event.from_s - BEGIN_S) / 86400:.1f}"
                )
                continue
            at_s, name = min(firsts)
            self.found.hours.setdefault(event.trouble, []).append((at_s - event.from_s) / 3600)
            off_h = abs(self._since[event, name] - event.from_s) / 3600
            self.found.began_off_h.setdefault(event.trouble, []).append(off_h)
