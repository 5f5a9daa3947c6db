"""Whether a camera's pictures are usable: its last pictures' numbers against its own baseline in the same light. Pure.

Numbers only. No single picture says anything: what is judged is the median of the last 40. What may not happen here: an
alarm; what is odd here is a suspect, and edge.suspect weighs it with what else is known.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from statistics import median
from typing import Any

from edge.read import PictureMeasures
from edge.usual import Usual, restored

WINDOW, WINDOW_LEAST = 40, 30
STALE_S = 7 * 86400.0
"""Pictures older than this say nothing of today: a quiet lane's summer nights need as many to make thirty."""

ODD, ODD_STILL = 4.0, 3.0
"""In robust spreads: from which a number is odd, and down to which it stays so."""

FROZEN_PICTURES, FROZEN_SHARE, _FROZEN_PARTS = 8, 0.75, 3
MOVED_SHARE, LIKENESS_FOUND = 0.025, 30.0
"""Of the picture's side; a likeness below which a shift is not believed (docs/camera-health.md has both from)."""
OCCLUDED_SHARE = 0.3
TURNED_DEG = 2.2


class Light(Enum):
    DAY = "day"
    INFRARED = "infrared"


class Sign(Enum):
    """What may be odd about pictures."""

    BLURRED = "blurred"
    PLATE_BLURRED = "plate_blurred"
    PLATE_PALE = "plate_pale"
    PLATE_UNLIT = "plate_unlit"
    PLATE_SMALL = "plate_small"
    PLATE_LARGE = "plate_large"
    HAZY = "hazy"
    DARK = "dark"
    BRIGHT = "bright"
    GLARE = "glare"
    COLOUR = "colour"
    EASY = "easy"  # the cap settles at a higher quality: there is less to code
    MOVED = "moved"
    UNLIKE = "unlike"  # no shift or turn makes it the scene it was
    OCCLUDED = "occluded"
    FROZEN = "frozen"


@dataclass(frozen=True, slots=True)
class Scene:
    """How the scene lies to its baseline. Shifts as shares of width and height; `turn_deg` in steps of about 3;
    `likeness`: how much better that fits than any other place, about 20 for another scene; `edges`: all there are over
    all there were; `occluded`: share of the blocks with edges that lost them, None where there were few."""

    shift_x: float
    shift_y: float
    turn_deg: float
    likeness: float
    edges: float
    occluded: float | None


@dataclass(frozen=True, slots=True)
class Measure:
    """One number of a picture: the least spread that it is given (docs/camera-health.md says from where), and the sign
    for far too little and far too much."""

    least_spread: float
    low: Sign | None
    high: Sign | None


MEASURES: Mapping[str, Measure] = {
    "sharpness": Measure(0.30, Sign.BLURRED, None),
    "plate_sharpness": Measure(0.25, Sign.PLATE_BLURRED, None),
    "plate_width": Measure(0.04, Sign.PLATE_SMALL, Sign.PLATE_LARGE),
    "plate_contrast": Measure(0.05, Sign.PLATE_PALE, None),
    "surround_contrast": Measure(0.04, Sign.PLATE_UNLIT, None),
    "span": Measure(10.0, Sign.HAZY, None),
    "middle": Measure(12.0, Sign.DARK, Sign.BRIGHT),
    "clipped": Measure(0.02, None, Sign.GLARE),
    "saturation": Measure(0.02, Sign.COLOUR, Sign.COLOUR),
    "quality": Measure(6.0, None, Sign.EASY),
}
"""Sharpness and width as natural logarithms, luma in levels, shares as shares."""


def numbers(seen: PictureMeasures, quality: int | None) -> dict[str, float]:
    """What is kept of one picture. `quality`: that with which it travels, None where it was not coded anew. Sharpness
    is kept only of pictures decoded whole or at a half, and is another number at each."""
    found: dict[str, float | None] = {
        f"sharpness/{seen.scale}": _log(seen.sharpness),
        f"plate_sharpness/{seen.scale}": _log(seen.plate_sharpness),
        "plate_width": _log(seen.plate_width_px),
        "plate_contrast": seen.plate_contrast,
        "surround_contrast": seen.surround_contrast,
        "span": seen.luma_p95 - seen.luma_p5,
        "middle": seen.luma_p50,
        "clipped": seen.clipped,
        "saturation": seen.saturation,
        "quality": quality,
    }
    return {name: float(value) for name, value in found.items() if value is not None}


def _log(value: float | None) -> float | None:
    return None if value is None or value <= 0 else math.log(value)


@dataclass(frozen=True, slots=True)
class Odd:
    """One number that is not as usual: by how many spreads, what it is, what it usually is, and since when (UTC
    seconds) the pictures have been so."""

    sign: Sign
    off: float
    seen: float
    usual: float
    since_s: float


@dataclass(frozen=True, slots=True)
class Sight:
    """What the pictures in one light say: which signs could be judged at all, and which of them are there."""

    light: Light
    judged: frozenset[Sign] = frozenset()
    odd: Mapping[Sign, Odd] = field(default_factory=dict)


@dataclass(slots=True)
class View:
    """One camera in one light: its last pictures and its baseline."""

    pictures: list[tuple[float, dict[str, float]]] = field(default_factory=list)
    usual: Usual = field(default_factory=Usual)
    odd: set[Sign] = field(default_factory=set)

    def see(self, found: dict[str, float], at_s: float) -> None:
        self.pictures.append((at_s, found))
        while len(self.pictures) > WINDOW or at_s - self.pictures[0][0] > STALE_S:
            del self.pictures[0]

    def medians(self) -> dict[str, float]:
        """Of each number that enough of the pictures have."""
        if len(self.pictures) < WINDOW_LEAST:
            return {}
        by_name: dict[str, list[float]] = {name: [] for _, found in self.pictures for name in found}
        for _, found in self.pictures:
            for name, value in found.items():
                by_name[name].append(value)
        return {name: median(values) for name, values in by_name.items() if len(values) >= WINDOW_LEAST}

    def judge(self, at_s: float, learn: bool) -> tuple[set[Sign], dict[Sign, Odd]]:
        """`learn`: nothing speaks against taking the pictures as usual, as long as the baseline is not settled."""
        found = self.medians()
        if learn and found:
            self.usual.sample(found, at_s)
        judged: set[Sign] = set()
        odd: dict[Sign, Odd] = {}
        for name, value in found.items():
            norm, measure = self.usual.norms.get(name), MEASURES[name.split("/")[0]]
            if norm is None:
                continue
            judged |= {sign for sign in (measure.low, measure.high) if sign is not None}
            off = norm.off(value, measure.least_spread)
            sign = measure.low if off < 0 else measure.high
            if sign is not None and abs(off) >= (ODD_STILL if sign in self.odd else ODD):
                bound = norm.centre + math.copysign(ODD_STILL * max(norm.spread, measure.least_spread), off)
                odd[sign] = Odd(sign, off, value, norm.centre, self._since(name, bound, off))
        self.odd = set(odd)
        return judged, odd

    def _since(self, name: str, bound: float, off: float) -> float:
        """The picture from which on most were beyond the bound, and before which most were not."""
        since_s, score, best = self.pictures[-1][0], 0, 0
        for at_s, found in reversed(self.pictures):
            value = found.get(name)
            if value is None:
                continue
            score += 1 if (value < bound if off < 0 else value > bound) else -1
            if score > best:
                since_s, best = at_s, score
        return since_s


Marks = tuple[int | None, ...]


@dataclass(slots=True)
class Eyes:
    """One camera's pictures: a view for each light, and how often the same picture came again."""

    views: dict[Light, View] = field(default_factory=lambda: {light: View() for light in Light})
    light: Light = Light.DAY
    marks: Marks = ()
    same: int = 0
    same_since_s: float = 0.0
    scenes: dict[Light, Scene] = field(default_factory=dict)
    scene_since_s: dict[Light, float] = field(default_factory=dict)

    def see(self, found: dict[str, float], light: Light, at_s: float, marks: Marks = ()) -> None:
        """One picture: its numbers, and the marks of `compress.scene.look` where there are any."""
        self.light = light
        self.views[light].see(found, at_s)
        if _alike(self.marks, marks):
            self.same += 1
        else:
            self.same, self.same_since_s = 0, at_s
        self.marks = marks

    def lies(self, scene: Scene, light: Light, at_s: float) -> None:
        """How the middle of the last pictures lies to the baseline of its light, as `compress.scene.compare` says."""
        if not scene_signs(scene):
            self.scene_since_s.pop(light, None)
        else:
            self.scene_since_s.setdefault(light, at_s)
        self.scenes[light] = scene

    def judge(self, at_s: float, learn: bool = True) -> Sight:
        """The light of the last picture, judged now."""
        judged, odd = self.views[self.light].judge(at_s, learn and self.same < FROZEN_PICTURES)
        scene = self.scenes.get(self.light)
        if scene is not None:
            signs = scene_signs(scene)
            # Where one of the two is seen, nothing is said of the other.
            judged |= ({Sign.MOVED, Sign.UNLIKE} & signs.keys() or {Sign.MOVED, Sign.UNLIKE}) | {Sign.OCCLUDED}
            since_s = self.scene_since_s.get(self.light, at_s)
            odd |= {sign: Odd(sign, off, seen, 0.0, since_s) for sign, (off, seen) in signs.items()}
        if any(mark is not None for mark in self.marks):
            judged.add(Sign.FROZEN)
            if self.same >= FROZEN_PICTURES:
                odd[Sign.FROZEN] = Odd(Sign.FROZEN, float(self.same), float(self.same), 0.0, self.same_since_s)
        return Sight(self.light, frozenset(judged), odd)

    def reset(self) -> None:
        """Forget every baseline: the camera was moved or cleaned, and somebody signed for it."""
        self.views = {light: View() for light in Light}
        self.scenes, self.scene_since_s = {}, {}

    def kept(self) -> dict[str, Any]:
        """The baselines as plain JSON; pictures' numbers are gathered anew."""
        return {light.value: view.usual.kept() for light, view in self.views.items()}


def eyes_restored(kept: dict[str, Any]) -> Eyes:
    """What `Eyes.kept` gave. Raises KeyError, TypeError or ValueError for anything else."""
    return Eyes({light: View(usual=restored(kept[light.value])) for light in Light})


def scene_signs(scene: Scene) -> dict[Sign, tuple[float, float]]:
    """What is odd about where the camera looks: how far beyond its limit, and the number."""
    odd: dict[Sign, tuple[float, float]] = {}
    shift = max(abs(scene.shift_x), abs(scene.shift_y))
    found = scene.likeness >= LIKENESS_FOUND
    if found and (shift >= MOVED_SHARE or abs(scene.turn_deg) >= TURNED_DEG):
        odd[Sign.MOVED] = (max(shift / MOVED_SHARE, abs(scene.turn_deg) / TURNED_DEG), shift)
    if not found and scene.edges >= 0.5:
        odd[Sign.UNLIKE] = (LIKENESS_FOUND / max(1.0, scene.likeness), scene.likeness)
    if scene.occluded is not None and found and scene.occluded >= OCCLUDED_SHARE:
        odd[Sign.OCCLUDED] = (scene.occluded / OCCLUDED_SHARE, scene.occluded)
    return odd


def _alike(before: Marks, now: Marks) -> bool:
    """Whether three in four of the parts that can be told are the same to the last bit: a time stamp may go on."""
    told = [one == other for one, other in zip(before, now, strict=False) if one is not None and other is not None]
    return len(told) >= _FROZEN_PARTS and sum(told) >= FROZEN_SHARE * len(told)
