"""Months of cameras beside roads, as numbers: traffic, light, weather, and what goes wrong. Virtual time, seeded.

It is a world that we wrote: what it says of the logic holds on roads that are like it. How faults and fog move the
numbers of a picture was measured on photographs (docs/camera-health.md); how often they come is chosen, not known.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import Enum
from zoneinfo import ZoneInfo

import numpy as np

from edge.eyes import Light, Scene
from edge.misread import Flag

ZONE = ZoneInfo("Europe/London")
STEP_S = 300
STEPS = 86400 // STEP_S
BEGIN_S = datetime(2026, 1, 5, tzinfo=UTC).timestamp()  # a Monday


class Trouble(Enum):
    """What may go wrong with one camera or its lane."""

    DIRT = "lens dirt over three days"
    DEFOCUS = "defocus at dusk"
    NUDGE = "nudged 5 degrees"
    LAMP = "lamp failure"
    FROZEN = "frozen picture"
    DEAD = "camera dead"
    HUNG = "camera hung"
    CLOCK = "wrong clock"
    CLOSED = "lane closed"
    PARKED = "parked car"
    POWER = "power trouble"


@dataclass(frozen=True, slots=True)
class Event:
    camera: str
    trouble: Trouble
    from_s: float
    until_s: float


@dataclass(frozen=True, slots=True)
class Road:
    """A site: its lanes with their reads on a working day."""

    name: str
    lanes: Mapping[str, int]
    commuter: float  # how much of it goes with the working day


ROADS = (
    Road("trunk", {"trunk-1": 11_000, "trunk-2": 7_500, "trunk-3": 3_000}, 0.6),
    Road("town", {"town-in": 4_200, "town-out": 3_900}, 0.8),
    Road("rural", {"rural": 850}, 0.5),
)


@dataclass(frozen=True, slots=True)
class Moment:
    """What one camera gave in one step."""

    reads: int
    flags: tuple[Flag, ...]
    pictures: tuple[dict[str, float], ...]
    marks: tuple[tuple[int, ...], ...]
    light: Light
    scene: Scene | None
    reachable: bool
    lost: int
    skew_ms: int | None


def hourly(road: Road) -> np.ndarray:
    """Share of a working day's reads in each hour of the week."""
    hours = np.arange(24)
    flat = np.exp(-0.5 * ((hours - 13.5) / 4.8) ** 2) + 0.02
    rush = np.exp(-0.5 * ((hours - 7.8) / 1.1) ** 2) + np.exp(-0.5 * ((hours - 17.2) / 1.3) ** 2) + 0.004
    work = (1 - road.commuter) * flat / flat.sum() + road.commuter * rush / rush.sum()
    weekend = np.exp(-0.5 * ((hours - 13.8) / 3.8) ** 2) + 0.03 * np.exp(-0.5 * ((hours - 0.5) / 1.5) ** 2) + 0.01
    weekend /= weekend.sum()
    return np.concatenate([work * f for f in (0.97, 0.99, 1.0, 1.01, 1.05)] + [0.82 * weekend, 0.68 * weekend])


DAY_LOOK = {
    "sharpness/1": (math.log(0.18), 0.35),
    "plate_sharpness/1": (math.log(0.55), 0.30),
    "plate_width": (math.log(170), 0.08),
    "plate_contrast": (0.58, 0.10),
    "surround_contrast": (0.12, 0.08),
    "span": (150.0, 18.0),
    "middle": (100.0, 14.0),
    "clipped": (0.004, 0.004),
    "saturation": (0.052, 0.012),
    "quality": (59.0, 8.0),
}
NIGHT_LOOK = DAY_LOOK | {
    "sharpness/1": (math.log(0.25), 0.40),
    "surround_contrast": (0.45, 0.10),
    "span": (110.0, 20.0),
    "middle": (25.0, 8.0),
    "clipped": (0.010, 0.006),
    "saturation": (0.0, 0.001),
    "quality": (70.0, 6.0),
}
_NAMES = tuple(DAY_LOOK)
_LOGS = frozenset({"sharpness/1", "plate_sharpness/1", "plate_width"})
_SPANS = frozenset({"plate_contrast", "surround_contrast", "span", "saturation"})

# What each does to each number: a factor, but for quality, clipped and middle of fog, which are added.
# The rows of docs/camera-health.md; the plate stands nearer than the scene, so fog takes less of it.
Effect = dict[str, float]
DIRT: Effect = {
    "sharpness/1": 0.22,
    "plate_sharpness/1": 0.42,
    "plate_contrast": 0.42,
    "surround_contrast": 0.55,
    "span": 0.57,
    "saturation": 0.59,
    "quality": 24,
}
DEFOCUS: Effect = {"sharpness/1": 0.02, "plate_sharpness/1": 0.02, "plate_contrast": 0.65, "quality": 2}
LAMP: Effect = {
    "sharpness/1": 1.3,
    "plate_contrast": 0.30,
    "surround_contrast": 0.12,
    "span": 0.30,
    "middle": 0.30,
    "quality": 20,
}
RAIN: Effect = {"plate_contrast": 0.85, "surround_contrast": 0.85, "span": 0.85, "saturation": 0.86, "quality": 2}
FOG: Effect = {
    "sharpness/1": 0.7,
    "plate_contrast": 0.72,
    "surround_contrast": 0.72,
    "span": 0.30,
    "saturation": 0.31,
    "quality": 18,
}
DUSK: Effect = {
    "plate_contrast": 0.7,
    "surround_contrast": 0.7,
    "span": 0.6,
    "middle": 0.6,
    "saturation": 0.6,
    "quality": 2,
}
SUN: Effect = {"plate_contrast": 0.75, "clipped": 0.05, "span": 1.1, "quality": -4}
SNOW: Effect = {"middle": 1.5, "span": 0.85, "saturation": 0.7, "quality": 4, "clipped": 0.02}
WEB: Effect = {"plate_contrast": 0.9, "span": 0.85, "clipped": 0.02, "quality": -3}
GRIME: Effect = {"plate_contrast": 0.85, "span": 0.90, "quality": 3}


def changed(number: str, value: float, effect: Effect, depth: float) -> float:
    by = effect.get(number)
    if by is None or depth <= 0:
        return value
    if number in ("quality", "clipped"):
        return value + by * depth
    if number in _LOGS:
        return value + math.log(by) * depth
    return value * (1 - (1 - by) * depth)


@dataclass(slots=True)
class Sky:
    """One site's weather in each hour, 0 to 1, and its roads' shut hours."""

    rain: np.ndarray
    fog: np.ndarray
    snow: np.ndarray
    clear: np.ndarray
    shut: np.ndarray
    fogs: list[tuple[float, float]] = field(default_factory=list)


def sky(days: int, rng: np.random.Generator) -> Sky:
    """Rain an eighth of the time, fog some mornings of the cold half, snow on the ground once or twice a winter, the
    road shut for an hour or two now and then."""
    hours = days * 24 + 48
    rain, fog, snow, clear, shut = (np.zeros(hours) for _ in range(5))
    at = 0
    while at < hours:
        at += int(rng.exponential(34)) + 1
        length = int(rng.integers(2, 9))
        rain[at : at + length] = rng.uniform(0.3, 1.0)
        at += length
    sky = Sky(rain, fog, snow, clear, shut)
    for day in range(days):
        cold = 0.5 + 0.5 * math.cos(2 * math.pi * (day + 5 - 15) / 365)
        if rng.random() < 0.02 + 0.10 * cold:
            first, length = day * 24 + int(rng.integers(0, 9)), int(rng.integers(3, 15))
            fog[first : first + length] = rng.uniform(0.4, 1.0)
            sky.fogs.append((BEGIN_S + first * 3600, BEGIN_S + (first + length) * 3600))
        if cold > 0.7 and rng.random() < 0.02:
            snow[day * 24 : (day + int(rng.integers(1, 5))) * 24] = 1.0
        clear[day * 24 : day * 24 + 24] = rng.random() < 0.35
        if rng.random() < 0.03:
            first = day * 24 + int(rng.integers(6, 22))
            shut[first : first + int(rng.integers(1, 4))] = 1.0
    return sky


def daylight(at_s: float) -> tuple[float, float]:
    """Hours of UTC at which the sun rises and sets at 52 degrees north."""
    day = datetime.fromtimestamp(at_s, UTC).timetuple().tm_yday
    half = 6.1 + 2.2 * math.sin(2 * math.pi * (day - 80) / 365)
    return 12.1 - half, 12.1 + half


def season(day: int) -> float:
    """Traffic's share of the year's mean on a day after 5 January; less in winter, in August and at Christmas."""
    year = day % 365
    share = 1 + 0.06 * math.sin(2 * math.pi * (year - 100) / 365)
    if 195 <= year < 240:
        share *= 0.92
    return share * (0.6 if year >= 350 else 1.0)


def bank_holidays(days: int) -> list[int]:
    """Days after 5 January 2026 that are bank holidays in England."""
    return [day for day in (88, 91, 119, 140, 238, 354, 357, 361) if day < days]


@dataclass(slots=True)
class CameraLook:
    """What is one camera's own in the world: its looks, how weather hits it, its slow moods and its dirt."""

    name: str
    road: Road
    of: dict[Light, dict[str, float]]
    facing: int  # the half-day in which a low sun shines into it; 2: never
    hit: float
    mood: np.ndarray
    webs: frozenset[int]
    grime: float = 0.0
    light: Light = Light.DAY
    frozen: tuple[dict[str, float], tuple[int, ...]] | None = None
    lost: int = 0
    was_reachable: bool = True
    moments: int = 0


def camera_look(name: str, road: Road, days: int, rng: np.random.Generator) -> CameraLook:
    looks = {
        light: {number: value + rng.normal(0, 0.6) * scatter for number, (value, scatter) in look.items()}
        for light, look in ((Light.DAY, DAY_LOOK), (Light.INFRARED, NIGHT_LOOK))
    }
    webs = frozenset(int(day) for day in rng.integers(215, 300, 6) if day < days)
    return CameraLook(name, road, looks, int(rng.integers(0, 3)), rng.uniform(0.8, 1.2), np.zeros(len(_NAMES)), webs)


@dataclass(slots=True)
class World:
    """All roads for so many days. `moment` goes on by one step of five minutes for one road."""

    days: int
    rng: np.random.Generator
    events: tuple[Event, ...] = ()
    skies: dict[str, Sky] = field(default_factory=dict)
    looks: dict[str, CameraLook] = field(default_factory=dict)
    hourly: dict[str, np.ndarray] = field(default_factory=dict)
    swing: dict[str, tuple[int, float]] = field(default_factory=dict)
    own: dict[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for road in ROADS:
            self.skies[road.name] = sky(self.days, self.rng)
            self.hourly[road.name] = hourly(road)
            for lane in road.lanes:
                self.looks[lane] = camera_look(lane, road, self.days, self.rng)
                self.own[lane] = 0.0

    def usual(self, road: Road, lane: str, at_s: float, holidays: frozenset[int]) -> float:
        """Vehicles an hour, before weather and whatever goes wrong."""
        day = int((at_s - BEGIN_S) // 86400)
        local = datetime.fromtimestamp(at_s, UTC).astimezone(ZONE)
        weekday = 6 if day in holidays else local.weekday()
        shares, here = self.hourly[road.name], local.hour + local.minute / 60
        first = (weekday * 24 + int(here - 0.5 + 24)) % 24 + weekday * 24
        part = (here - 0.5) % 1
        following = weekday * 24 + (first % 24 + 1) % 24
        return road.lanes[lane] * season(day) * float(shares[first] * (1 - part) + shares[following] * part)

    def traffic(self, road: Road, lane: str, at_s: float, holidays: frozenset[int]) -> float:
        """The same as it is on this day: the day's swing of the whole road, the lane's own, and the weather."""
        day, weather = int((at_s - BEGIN_S) // 86400), self.skies[road.name]
        hour = int((at_s - BEGIN_S) // 3600)
        if self.swing.get(road.name, (-1, 1.0))[0] != day:
            self.swing[road.name] = (day, float(self.rng.gamma(1 / 0.0081, 0.0081)))
        self.own[lane] = 0.97 * self.own[lane] + self.rng.normal(0, 0.017)
        rate = self.usual(road, lane, at_s, holidays) * self.swing[road.name][1] * math.exp(self.own[lane])
        rate *= (1 - 0.08 * weather.rain[hour]) * (1 - 0.15 * weather.fog[hour]) * (1 - 0.45 * weather.snow[hour])
        return rate * (0.03 if weather.shut[hour] else 1.0)

    def active(self, lane: str, at_s: float) -> dict[Trouble, Event]:
        return {
            event.trouble: event
            for event in self.events
            if event.camera == lane and event.from_s <= at_s < event.until_s
        }

    def moments(self, road: Road, at_s: float, holidays: frozenset[int]) -> dict[str, Moment]:
        troubles = {lane: self.active(lane, at_s) for lane in road.lanes}
        rates = {lane: self.traffic(road, lane, at_s, holidays) for lane in road.lanes}
        for lane in road.lanes:
            if Trouble.CLOSED in troubles[lane]:
                others = [other for other in road.lanes if other != lane]
                for other in others:
                    rates[other] += 0.7 * rates[lane] / len(others)
                rates[lane] = 0.0
        return {lane: self.moment(lane, at_s, rates[lane], troubles[lane]) for lane in road.lanes}

    def moment(self, lane: str, at_s: float, rate: float, now: dict[Trouble, Event]) -> Moment:
        look, rng = self.looks[lane], self.rng
        light = self._light(look, at_s) if Trouble.FROZEN not in now else look.light
        look.light = light
        reachable = Trouble.DEAD not in now and not (Trouble.POWER in now and rng.random() < 0.25)
        look.lost += look.was_reachable and not reachable
        look.was_reachable = reachable
        if not reachable or Trouble.HUNG in now:
            return Moment(0, (), (), (), light, None, reachable, look.lost, None)
        read, wrong = _reading(now, light, at_s)
        mean = rate * STEP_S / 3600 * read
        reads = int(rng.poisson(mean * rng.gamma(1 / 0.03, 0.03))) if mean > 0 else 0
        parked = 12 if Trouble.PARKED in now else 0
        flags = _flags(min(reads, 10), wrong, rng) + (Flag.REPEATED,) * parked
        pictures, marks = self._pictures(look, light, at_s, min(3, reads + parked), now)
        look.moments += bool(pictures)
        scene = self._scene(look, at_s, now) if pictures and look.moments % 4 == 0 else None
        skew = int(rng.normal(300, 200)) + (3_600_000 if Trouble.CLOCK in now else 0)
        return Moment(reads + parked, flags, pictures, marks, light, scene, True, look.lost, skew if reads else None)

    def _light(self, look: CameraLook, at_s: float) -> Light:
        rises, sets = daylight(at_s)
        hour = at_s % 86400 / 3600
        return Light.DAY if rises - 0.3 <= hour < sets + 0.3 else Light.INFRARED

    def _weather(self, look: CameraLook, light: Light, at_s: float) -> list[tuple[Effect, float]]:
        weather, hour = self.skies[look.road.name], int((at_s - BEGIN_S) // 3600)
        rises, sets = daylight(at_s)
        of_day = at_s % 86400 / 3600
        found = [(RAIN, weather.rain[hour]), (FOG, weather.fog[hour]), (GRIME, look.grime)]
        if light is Light.DAY:
            found += [(SNOW, weather.snow[hour])]
            found += [(DUSK, 1.0)] if not rises + 0.4 <= of_day < sets - 0.4 else []
            low = rises + 0.4 < of_day < rises + 1.5 if look.facing == 0 else sets - 1.5 < of_day < sets - 0.4
            found += [(SUN, 1.0)] if low and look.facing < 2 and weather.clear[hour] and not weather.fog[hour] else []
        elif int((at_s - BEGIN_S) // 86400) in look.webs:
            found += [(WEB, 1.0)]
        # The road's grime grows and rain washes it off.
        look.grime = min(1.0, max(0.0, look.grime + (-0.02 if weather.rain[hour] > 0.5 else 0.0002)))
        return [(effect, float(depth) * look.hit) for effect, depth in found if depth > 0]

    def _pictures(
        self, look: CameraLook, light: Light, at_s: float, count: int, now: dict[Trouble, Event]
    ) -> tuple[tuple[dict[str, float], ...], tuple[tuple[int, ...], ...]]:
        look.mood = 0.995 * look.mood + self.rng.normal(0, 0.025, len(_NAMES))  # settles at a spread of a quarter
        if count == 0:
            return (), ()
        effects = self._weather(look, light, at_s) + _harm(now, light, at_s)
        of, spreads = look.of[light], DAY_LOOK if light is Light.DAY else NIGHT_LOOK
        scattered = self.rng.normal(0, 1, (count, len(_NAMES))) + look.mood
        found = []
        for row in scattered:
            one = {}
            for number, scatter in zip(_NAMES, row, strict=True):
                value = of[number] + scatter * spreads[number][1]
                for effect, depth in effects:
                    value = changed(number, value, effect, depth)
                one[number] = value if number in _LOGS else max(0.0, value)
            found.append(one)
        marks = [tuple(int(each) for each in row) for row in self.rng.integers(0, 2**32, (count, 12))]
        if Trouble.FROZEN not in now:
            look.frozen = (found[-1], marks[-1])
        elif look.frozen is not None:
            stamp = int(self.rng.integers(2**32))  # the time stamp goes on
            found, marks = [look.frozen[0]] * count, [(stamp, *look.frozen[1][1:])] * count
        return tuple(found), tuple(marks)

    def _scene(self, look: CameraLook, at_s: float, now: dict[Trouble, Event]) -> Scene:
        weather, hour, rng = self.skies[look.road.name], int((at_s - BEGIN_S) // 3600), self.rng
        fog, snow = weather.fog[hour], weather.snow[hour]
        x, y = rng.normal(0, 0.003, 2)
        moved = Trouble.NUDGE in now
        dirt = _ramp(now, at_s) if Trouble.DIRT in now else 0.0
        likeness = rng.normal(70, 8) * (1 - 0.45 * fog) * (1 - 0.3 * snow) * (1 - 0.3 * dirt) * (0.6 if moved else 1)
        edges = max(0.05, rng.normal(1, 0.1) * (1 - 0.6 * fog) * (1 - 0.2 * snow) * (1 - 0.4 * dirt))
        occluded = min(1.0, max(0.0, rng.normal(0.03, 0.02) + 0.4 * fog + 0.3 * dirt))
        turn = float(rng.choice([0.0, 0.0, 3.2])) if moved else 0.0
        return Scene(x + (0.17 if moved else 0.0), y, turn, max(15.0, likeness), edges, occluded)


def _ramp(now: dict[Trouble, Event], at_s: float) -> float:
    """Dirt comes over three days."""
    return min(1.0, (at_s - now[Trouble.DIRT].from_s) / (3 * 86400))


def _harm(now: dict[Trouble, Event], light: Light, at_s: float) -> list[tuple[Effect, float]]:
    found: list[tuple[Effect, float]] = []
    if Trouble.DIRT in now:
        found.append((DIRT, _ramp(now, at_s)))
    if light is Light.INFRARED and Trouble.DEFOCUS in now:
        found.append((DEFOCUS, 1.0))
    if light is Light.INFRARED and Trouble.LAMP in now:
        found.append((LAMP, 1.0))
    if Trouble.NUDGE in now:
        found.append(({"plate_width": 0.93, "plate_contrast": 0.95}, 1.0))
    return found


def _reading(now: dict[Trouble, Event], light: Light, at_s: float) -> tuple[float, float]:
    """Share of vehicles that are read, and by how much more of the reads are wrong."""
    read, wrong = 0.97, 0.0
    if Trouble.DIRT in now:
        read, wrong = read * (1 - 0.4 * _ramp(now, at_s)), 0.10 * _ramp(now, at_s)
    if light is Light.INFRARED and Trouble.DEFOCUS in now:
        read, wrong = read * 0.75, 0.15
    if light is Light.INFRARED and Trouble.LAMP in now:
        read, wrong = read * 0.2, 0.3
    if Trouble.NUDGE in now:
        read *= 0.5
    return read, wrong


def _flags(count: int, wrong: float, rng: np.random.Generator) -> tuple[Flag, ...]:
    shares = (
        (Flag.UNREAD, 0.03 + wrong),
        (Flag.MISSHAPEN, 0.02 + 0.5 * wrong),
        (Flag.DOUBTFUL, 0.06 + wrong),
        (Flag.REPEATED, 0.01),
    )
    drawn = rng.random((count, len(shares)))
    found = []
    for row in drawn:
        flag = Flag.READ
        for (bit, share), chance in zip(shares, row, strict=True):
            flag |= bit if chance < share else Flag.READ
        found.append(Flag.UNREAD if flag & Flag.UNREAD else flag)
    return tuple(found)
