"""The scale at which a picture fills its cap, in as few encodes as it takes. Pure.

Bytes fall with the scale of the tables by a power that hardly varies between pictures, so two points in logarithms are
nearly on a line: from one encode the second lands within about 2 %.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from compress.codec import Coded
from compress.tables import COARSEST, FINEST

MOST_ENCODES = 5
SLOPE = 0.76
"""d ln(bytes) / d ln(scale), negated: the mean over pictures, spread 0.11."""

HEADER_BYTES = 330
"""What a JPEG with optimised tables holds beside its pixels: it does not shrink with the scale."""

_AIM_FIRST, _AIM, _AIM_LAST = 0.969, 0.991, 0.95
"""Shares of the cap aimed at: lower where the guess is rough, so that it is under the cap as often as it can be."""

_ENOUGH_FIRST, _ENOUGH = 0.932, 0.95
"""Shares that are not worth another encode."""


_TOO_LITTLE = 0.9


def aimed(scale: float, size_bytes: int, cap: int, slope: float = SLOPE, aim: float = _AIM) -> float:
    """The scale that should use `aim` of the cap, where `scale` gave `size_bytes`."""
    pixels = max(1, size_bytes - HEADER_BYTES)
    wanted = max(1, cap * aim - HEADER_BYTES)
    return float(min(COARSEST, max(FINEST, scale * (pixels / wanted) ** (1 / slope))))


def first_scale(scale: float, cap: int) -> float:
    """Where to begin, from a scale that should fill the cap and may miss it."""
    return aimed(scale, cap, cap, aim=_AIM_FIRST)


def slope_between(scale: float, pixels: float, other: float, other_pixels: float) -> float:
    """How bytes fall with the scale, from two codings; kept within what pictures do."""
    measured = math.log(max(1.0, pixels) / max(1.0, other_pixels)) / math.log(other / scale)
    return min(1.2, max(0.5, measured))


def between(over: Coded, fits: Coded, cap: int) -> float:
    """The scale between two whose bytes lie on either side of the cap, on the line between them in logarithms."""
    rise = math.log(len(over.jpeg) / len(fits.jpeg))
    share = math.log(len(over.jpeg) / (cap * _AIM_LAST)) / rise if rise > 0 else 0.5
    return float(over.scale * (fits.scale / over.scale) ** min(0.95, max(0.05, share)))


def search(
    code: Callable[[float], Coded], scale: float, cap: int, slope: float = SLOPE, most: int = MOST_ENCODES
) -> Coded | None:
    """The finest coding found within `cap` bytes and `most` encodes, beginning at `scale`; None where none fits. Up to
    MOST_ENCODES are spent where what fits uses little of the cap."""
    fits: Coded | None = None
    over: Coded | None = None
    before: Coded | None = None
    for count in range(max(most, MOST_ENCODES)):
        if count >= most and (fits is None or len(fits.jpeg) >= cap * _TOO_LITTLE):
            break  # more only for a picture whose bytes fall far more steeply than pictures do
        coded = code(scale)
        size = len(coded.jpeg)
        if size <= cap:
            fits = coded if fits is None or coded.scale < fits.scale else fits
            if size >= cap * (_ENOUGH if count else _ENOUGH_FIRST) or coded.scale <= FINEST:
                break
        else:
            over = coded if over is None or coded.scale > over.scale else over
        last_chance = fits is None and count >= most - 2
        if before is not None and before.scale != coded.scale:
            slope = slope_between(before.scale, _pixels(before), coded.scale, _pixels(coded))
        scale = aimed(coded.scale, size, cap, slope, _AIM_LAST if last_chance else _AIM)
        if count >= most - 1 and fits is not None and over is not None:
            scale = between(over, fits, cap)
        if fits is not None and over is not None and not over.scale < scale < fits.scale:
            scale = math.sqrt(over.scale * fits.scale)
            if fits.scale / over.scale < 1.004:
                break
        before = coded
    return fits


def _pixels(coded: Coded) -> int:
    return len(coded.jpeg) - HEADER_BYTES
