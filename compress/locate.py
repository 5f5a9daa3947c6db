"""Where the plate probably is in a picture that came without a box: a proposal with a score, never a finding.

A proposal is good for choosing what to keep sharp and for comparing one camera with its own past. It never becomes a
plate's box in a record, and never a patch. How often it is right: docs/picture-measures.md. No plate is read here.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import cv2
import numpy as np

from edge.claim import Box

if TYPE_CHECKING:
    from cv2.typing import MatLike

# The long side that is searched: at 960 px the plate of a vehicle worth reading is 25 to 350 px wide.
LOOKED_FOR_AT_PX = 960
_OCTAVES = 3
# Of a level's own pixels, by area, in cells of 2x2: density is asked for in blocks no finer than a letter.
_CELL_PX = 2
_NEAR, _FAR = (9, 3), (41, 25)  # cells: about a small plate, and what lies round it
_LEVELS = (0.3, 0.5, 0.7)  # of the strongest density
_MIN_WIDTH_PX, _MAX_WIDTH_PX, _MIN_HEIGHT_PX, _MAX_HEIGHT_PX = 25, 190, 8, 90
_MIN_ASPECT, _MAX_ASPECT, _MIN_FILL = 1.3, 7.0, 0.5
_LETTERS_HEIGHT_PX = 32
_LETTERS_MAX, _STROKES_MAX = 8, 20
_TYPICAL_ASPECT = 3.3
_LEAST_SCORE = 0.3
_BEYOND_LETTERS = 0.2


@dataclass(frozen=True, slots=True)
class Proposed:
    """A box that may hold the plate, in px of the camera's own picture. `score` 0 to 1: the chance that it does, as
    fitted on few pictures."""

    box: Box = field(repr=False)
    score: float


@dataclass(frozen=True, slots=True)
class _Candidate:
    """In px of the searched picture. `density`: log of vertical edges in it over those round it; `fill`: share of
    the rectangle that is dense."""

    left: int
    top: int
    width: int
    height: int
    density: float
    fill: float


# A logistic fit on half of 38 public pictures; in the order of `_features`.
_WEIGHTS = (0.63, 3.26, -1.91, 2.59, -3.18)
_OFFSET = -7.61


def locate(luma: MatLike, scale: int = 1) -> Proposed | None:
    """The likeliest place of a plate with dark letters on a light ground. `luma`: grey (height, width), 8 bits, one
    part in `scale` of the camera's picture. None where nothing looks like one."""
    reduced = min(1.0, LOOKED_FOR_AT_PX / max(luma.shape))
    seen = luma
    if reduced < 1.0:
        size = (max(1, round(luma.shape[1] * reduced)), max(1, round(luma.shape[0] * reduced)))
        seen = cv2.resize(luma, size, interpolation=cv2.INTER_AREA)
    scored = [(_score(seen, one), one) for one in _candidates(seen)]
    if not scored:
        return None
    score, best = max(scored, key=lambda pair: pair[0])
    if score < _LEAST_SCORE:
        return None
    return Proposed(_plate(best, seen.shape[0], scale / reduced), score)


def _plate(one: _Candidate, height: int, back: float) -> Box:
    """The letters' rectangle and what a plate has above and below them, inside the picture, in the camera's px."""
    top = max(0.0, one.top - _BEYOND_LETTERS * one.height)
    bottom = min(float(height), one.top + one.height * (1 + _BEYOND_LETTERS))
    return Box(round(one.left * back), round(top * back), round(one.width * back), round((bottom - top) * back))


def _candidates(luma: MatLike) -> Iterator[_Candidate]:
    """Rectangles of dense vertical edges, at three octaves so that one size of filter finds plates of all sizes."""
    for octave in range(_OCTAVES):
        if octave:
            luma = cv2.resize(luma, (luma.shape[1] // 2, luma.shape[0] // 2), interpolation=cv2.INTER_AREA)
        if min(luma.shape) < _MAX_HEIGHT_PX // 2:
            return
        edges = cv2.convertScaleAbs(cv2.Sobel(luma, cv2.CV_16S, 1, 0, ksize=3), alpha=0.5)
        cells = cv2.resize(
            edges, (edges.shape[1] // _CELL_PX, edges.shape[0] // _CELL_PX), interpolation=cv2.INTER_AREA
        )
        yield from _dense(cells, _CELL_PX << octave)


def _dense(cells: MatLike, cell_px: int) -> Iterator[_Candidate]:
    near, far = cv2.blur(cells, _NEAR), cv2.blur(cells, _FAR)
    denser = cv2.subtract(near, far)
    strongest = _near_maximum(denser)
    row = cv2.getStructuringElement(cv2.MORPH_RECT, (7, 1))
    for level in _LEVELS:
        _, over = cv2.threshold(denser, level * strongest, 255, cv2.THRESH_BINARY)
        # This algorithm, named, with labels of 16 bits takes a third of the time of the call's own choice.
        _, _, stats, _ = cv2.connectedComponentsWithStatsWithAlgorithm(
            cv2.morphologyEx(over, cv2.MORPH_CLOSE, row), 8, cv2.CV_16U, cv2.CCL_DEFAULT
        )
        for left, top, width, height, area in stats[1:].tolist():
            if not _plate_like(width * _CELL_PX, height * _CELL_PX) or area < _MIN_FILL * width * height:
                continue
            inside = near[top : top + height, left : left + width].mean()
            outside = far[top : top + height, left : left + width].mean()
            yield _Candidate(
                left * cell_px,
                top * cell_px,
                width * cell_px,
                height * cell_px,
                math.log(max(1.0, float(inside)) / (float(outside) + 4)),
                area / (width * height),
            )


def _near_maximum(denser: MatLike) -> float:
    """The density that one cell in a thousand exceeds: one bright edge does not hide all others."""
    counts = np.cumsum(cv2.calcHist([denser], [0], None, [256], [0, 256]).ravel())
    return float(np.searchsorted(counts, counts[-1] * 0.999))


def _plate_like(width_px: int, height_px: int) -> bool:
    return (
        _MIN_WIDTH_PX <= width_px <= _MAX_WIDTH_PX
        and _MIN_HEIGHT_PX <= height_px <= _MAX_HEIGHT_PX
        and _MIN_ASPECT * height_px < width_px < _MAX_ASPECT * height_px
    )


def _score(luma: MatLike, one: _Candidate) -> float:
    told = sum(weight * value for weight, value in zip(_WEIGHTS, _features(luma, one), strict=True)) + _OFFSET
    return 1 / (1 + math.exp(-told))


def _features(luma: MatLike, one: _Candidate) -> tuple[float, ...]:
    aside, above = round(0.06 * one.width), round(0.15 * one.height)
    crop = luma[
        max(0, one.top - above) : one.top + one.height + above,
        max(0, one.left - aside) : one.left + one.width + aside,
    ]
    width = min(256, max(_LETTERS_HEIGHT_PX, round(_LETTERS_HEIGHT_PX * crop.shape[1] / crop.shape[0])))
    shrinks = crop.shape[0] > _LETTERS_HEIGHT_PX
    line = cv2.resize(crop, (width, _LETTERS_HEIGHT_PX), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)
    return (
        min(_letters(line), _LETTERS_MAX),
        min(_strokes(line), _STROKES_MAX) / 10,
        abs(math.log(one.width / one.height / _TYPICAL_ASPECT)),
        one.density,
        one.fill,
    )


def _letters(line: MatLike) -> int:
    """Dark shapes of one height on one line, as many as the largest such group has."""
    dark = cv2.adaptiveThreshold(line, 255, cv2.ADAPTIVE_THRESH_MEAN_C, cv2.THRESH_BINARY_INV, 25, 6)
    _, _, stats, _ = cv2.connectedComponentsWithStats(dark, connectivity=4)
    width, height, area = stats[1:, 2], stats[1:, 3], stats[1:, 4]
    tall = (height >= 0.3 * line.shape[0]) & (height <= 0.92 * line.shape[0])
    shapes = stats[1:][tall & (width <= 1.1 * height) & (width >= 0.1 * height) & (area > 0.15 * width * height)]
    if len(shapes) == 0:
        return 0
    heights, middles = shapes[:, 3], shapes[:, 1] + shapes[:, 3] / 2
    typical = float(np.median(heights))
    alike = np.abs(heights - typical) <= 0.2 * typical + 1
    level = np.abs(middles - np.median(middles)) <= 0.2 * typical + 1
    return int(np.count_nonzero(alike & level))


def _strokes(line: MatLike) -> float:
    """How often the middle rows change between dark and light, by their median."""
    dark = (line > cv2.blur(line, (31, 1)))[10:22]
    return float(np.median(np.count_nonzero(dark[:, 1:] != dark[:, :-1], axis=1)))
