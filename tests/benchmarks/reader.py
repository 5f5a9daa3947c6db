"""A small plate reader, trained here on letters that are drawn here: nothing is fetched and no model is shipped.

It is far weaker than a real one, and made only to ask whether one and the same reader does better on one coding of a
picture than on another. O is read as 0 and I as 1: many plates draw them alike. Same seed, same fonts, same reader.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np

Floats = np.ndarray[Any, np.dtype[np.float32]]
Bytes = np.ndarray[Any, np.dtype[np.uint8]]

LETTERS = "0123456789ABCDEFGHJKLMNPQRSTUVWXYZ"
NOTHING = len(LETTERS)
LETTER_PX = 32
"""How high a letter is made before it is looked at."""
WINDOW_HIGH_PX, WINDOW_WIDE_PX = 40, 28
READ_AT_PX = 96
"""How high a plate's box is made, whatever it was."""

_CELL_PX, _TURNS = 4, 8
_STEP_PX = 2
_HEIGHTS = (0.36, 0.42, 0.49, 0.57, 0.66, 0.76, 0.88)  # of a letter, beside its plate's box
_WIDTHS = (0.8, 1.0, 1.25)
_ABOVE_STEP = 0.07
_PITCH_PX = (14, 72)  # between the middles of neighbours; wider where a badge stands between them
_FEWEST, _MOST = 4, 8
_LETTER_COST = 3.0  # log-odds that a letter must bring: without it crests and dots are read as letters


@dataclass(frozen=True, slots=True)
class Reader:
    """Two layers over what a window shows: hidden and out, each with weights and offsets."""

    hidden: Floats
    hidden_offset: Floats
    out: Floats
    out_offset: Floats

    def scores(self, windows: Floats) -> Floats:
        """Log-odds of each letter against nothing being there, windows x letters."""
        active = np.maximum(windows @ self.hidden + self.hidden_offset, 0)
        raw = active @ self.out + self.out_offset
        return np.asarray(raw[:, :NOTHING] - raw[:, NOTHING:], dtype=np.float32)


@dataclass(frozen=True, slots=True)
class Reading:
    """What was read, "" where nothing was, and how sure: the sum of its letters' log-odds, less what a
    letter must bring."""

    text: str
    score: float


def read(reader: Reader, plate: Bytes) -> Reading:
    """The best line of letters in a grey picture of a plate's box, dark on light or the reverse, of any size."""
    high, wide = plate.shape
    sized = cv2.resize(plate, (max(8, round(wide * READ_AT_PX / high)), READ_AT_PX), interpolation=cv2.INTER_CUBIC)
    best = Reading("", 0.0)
    for height in _HEIGHTS:
        scale = LETTER_PX / (height * READ_AT_PX)
        for stretch in _WIDTHS:
            size = (max(WINDOW_WIDE_PX, round(sized.shape[1] * scale * stretch)), round(READ_AT_PX * scale))
            made = cv2.resize(sized, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC)
            for row in _rows(np.asarray(made, np.uint8)):
                found = line(reader.scores(features(row, _STEP_PX)))
                best = max(best, found, key=lambda one: one.score)
    return best


def line(scores: Floats) -> Reading:
    """The letters, from left to right and a letter's pitch apart, whose log-odds add up to most. `scores`: positions
    `_STEP_PX` apart x letters."""
    near, far = (pitch // _STEP_PX for pitch in _PITCH_PX)
    single, which = scores.max(axis=1) - _LETTER_COST, scores.argmax(axis=1)
    count = len(single)
    sums, before = np.full((_MOST, count), -np.inf), np.full((_MOST, count), -1)
    sums[0] = single
    for length in range(1, _MOST):
        for at in range(near, count):
            left = max(0, at - far)
            earlier = sums[length - 1, left : at - near + 1]
            best = int(earlier.argmax())
            sums[length, at], before[length, at] = earlier[best] + single[at], left + best
    last = sums[_FEWEST - 1 :]
    if not np.isfinite(last).any():
        return Reading("", 0.0)
    length, at = (int(one) for one in np.unravel_index(int(last.argmax()), last.shape))
    score, text = float(last[length, at]), ""
    for step in range(length + _FEWEST - 1, -1, -1):
        text, at = LETTERS[which[at]] + text, int(before[step, at])
    return Reading(text, score) if score > 0 else Reading("", 0.0)


def features(strip: Bytes, step_px: int) -> Floats:
    """What windows `step_px` apart show in a strip `WINDOW_HIGH_PX` high: in each cell how much edge lies in each of
    eight directions, beside how much there is in the window. Windows x numbers."""
    values = strip.astype(np.float32)
    across, down = cv2.Sobel(values, cv2.CV_32F, 1, 0, ksize=3), cv2.Sobel(values, cv2.CV_32F, 0, 1, ksize=3)
    strength, turn = cv2.cartToPolar(across, down)
    # Either sign of an edge counts apart: a stroke has a left and a right side.
    place = turn * (_TURNS / (2 * np.pi))
    shares = [np.maximum(0, 1 - np.abs((place - each + 4) % _TURNS - 4)) * strength for each in range(_TURNS)]
    spread = np.stack([cv2.blur(share, (_CELL_PX + 2, _CELL_PX + 2)) for share in shares], axis=-1)
    down_at = np.arange(_CELL_PX // 2, WINDOW_HIGH_PX, _CELL_PX)
    across_at = np.arange(_CELL_PX // 2, WINDOW_WIDE_PX, _CELL_PX)
    starts = np.arange(0, strip.shape[1] - WINDOW_WIDE_PX + 1, step_px)
    found = spread[down_at[None, :, None], starts[:, None, None] + across_at[None, None, :]]
    found = found.reshape(len(starts), -1)
    norm = np.linalg.norm(found, axis=1, keepdims=True) + 120.0  # a plain ground stays near nothing
    return np.asarray(np.sqrt(np.minimum(found / norm, 0.25)), dtype=np.float32)


def _rows(picture: Bytes) -> list[Bytes]:
    """Strips as high as a window, the letter's middle at their own, from above to below, with the ground round them."""
    padded = cv2.copyMakeBorder(picture, 8, 8, WINDOW_WIDE_PX // 2, WINDOW_WIDE_PX // 2, cv2.BORDER_REPLICATE)
    step = max(2, round(picture.shape[0] * _ABOVE_STEP))
    tops = range(0, padded.shape[0] - WINDOW_HIGH_PX + 1, step)
    return [np.ascontiguousarray(padded[top : top + WINDOW_HIGH_PX]) for top in tops]
