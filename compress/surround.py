"""Vehicle first: what lies round the vehicle is softened or masked, so that bytes go to the vehicle and nobody beside
it stands out.

It alters the scene, so it is done only where an operator chose it, and the record says so. Nothing inside the region
is touched, not by one level. Pure: the same picture, region and strength give the same pixels.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

import cv2
import numpy as np

from edge.claim import Box

if TYPE_CHECKING:
    from cv2.typing import MatLike


class Mode(Enum):
    SOFTEN = "soften"
    MASK = "mask"  # privacy: one grey, nothing of the surround is left


@dataclass(frozen=True, slots=True)
class Surround:
    """What an operator chose to have done round the vehicle. `sigma_px`: of the blur, in px of the JPEG that travels;
    of no meaning where the surround is masked."""

    mode: Mode
    sigma_px: float = 1.6


# Reach of a vehicle from its plate, as the larger of so many plate widths and so many plate heights: a long plate
# (520x110 mm) is told by its width, a short one (305x152 mm) by its height. From the plate's middle 1.2 to 1.4 m to
# each side, since plates sit off centre and a view from the side shows a flank; 1.2 m above it; 0.6 m below it.
_ASIDE = (2.6, 8.0)
_ABOVE = (2.3, 8.0)
_BELOW = (1.2, 4.0)
_GREY = 128
# From this blur on a copy at a half shows the same in less time. Going down and up again blurs by itself: by a variance
# of about 0.65 px, counted against what was asked for.
_HALVED_FROM_PX = 1.5
_HALVING_PX2 = 0.65
_STEPS = 4

_Area = tuple[int, int, int, int]  # left, top, right, bottom in px


def vehicle_region(plate: Box, width_px: int, height_px: int) -> Box:
    """Where the vehicle probably is: the plate's box grown by what a car measures beside its plate, cut at the edge of
    a picture of this size. All in px of one picture. Large vehicles reach beyond it."""
    aside, above, below = (
        max(wide * plate.width_px, high * plate.height_px) for wide, high in (_ASIDE, _ABOVE, _BELOW)
    )
    middle = plate.left_px + plate.width_px / 2
    left, right = max(0, round(middle - aside)), min(width_px, round(middle + aside))
    top = max(0, round(plate.top_px - above))
    bottom = min(height_px, round(plate.top_px + plate.height_px + below))
    return Box(left, top, max(0, right - left), max(0, bottom - top))


def region_round(plate: Box, width_px: int, height_px: int) -> Box | None:
    """Where the vehicle probably is, or None where there is nothing to alter: the plate lies outside a picture of this
    size, or the vehicle fills it."""
    right, bottom = plate.left_px + plate.width_px, plate.top_px + plate.height_px
    if min(right, width_px) <= max(plate.left_px, 0) or min(bottom, height_px) <= max(plate.top_px, 0):
        return None
    region = vehicle_region(plate, width_px, height_px)
    return None if region == Box(0, 0, width_px, height_px) else region


def stood_upright(box: Box, width_px: int, height_px: int, orientation: int) -> Box:
    """Where a box of a picture as stored, of this size, lies once that stands upright by EXIF's orientation 1 to 8."""
    left, top, wide, high = box.left_px, box.top_px, box.width_px, box.height_px
    if orientation in (2, 3, 7, 8):
        left = width_px - left - wide
    if orientation in (3, 4, 6, 7):
        top = height_px - top - high
    return Box(left, top, wide, high) if orientation < 5 else Box(top, left, high, wide)


def scaled(box: Box, size: tuple[int, int], to: tuple[int, int], *, within: bool = False) -> Box:
    """The box of a picture of one size in the px of another. `within`: no px that is only partly inside it."""
    left, right = _put(box.left_px, box.width_px, size[0], to[0], within)
    top, bottom = _put(box.top_px, box.height_px, size[1], to[1], within)
    return Box(left, top, max(0, right - left), max(0, bottom - top))


def _put(start: int, length: int, size: int, to: int, within: bool) -> tuple[int, int]:
    """Start and end of a span of one side, in the px of another, to the nearest or to what lies wholly inside."""
    end = start + length
    if within:
        return -(-start * to // size), end * to // size
    return (2 * start * to + size) // (2 * size), (2 * end * to + size) // (2 * size)


def soften(picture: MatLike, region: Box, sigma_px: float = 1.6, mode: Mode = Mode.SOFTEN) -> MatLike:
    """A copy of `picture` (grey or three channels in any order, 8 bits) whose surround is blurred (`sigma_px`: of a
    Gaussian, in its own px) or grey. `region`, in its own px, stays as it is; round it a band of a sixteenth of the
    region's longer side goes over from one to the other. A region outside the picture leaves none of it clear."""
    height, width = picture.shape[:2]
    out = np.full_like(picture, _GREY) if mode is Mode.MASK else _blurred(picture, sigma_px)
    left, top = max(0, region.left_px), max(0, region.top_px)
    right, bottom = min(width, region.left_px + region.width_px), min(height, region.top_px + region.height_px)
    if left >= right or top >= bottom:
        return out
    if mode is Mode.SOFTEN:
        _feather(out, picture, (left, top, right, bottom))
    out[top:bottom, left:right] = picture[top:bottom, left:right]
    return out


def _blurred(picture: MatLike, sigma_px: float) -> MatLike:
    if sigma_px < _HALVED_FROM_PX or min(picture.shape[:2]) < 2:
        return cv2.GaussianBlur(picture, (0, 0), sigma_px)
    height, width = picture.shape[:2]
    half = cv2.resize(picture, (width // 2, height // 2), interpolation=cv2.INTER_AREA)
    half = cv2.GaussianBlur(half, (0, 0), math.sqrt(sigma_px**2 - _HALVING_PX2) / 2)
    return cv2.resize(half, (width, height), interpolation=cv2.INTER_LINEAR)


def _feather(out: MatLike, picture: MatLike, region: _Area) -> None:
    """Frames round the region, each clearer than the one outside it: a hard edge would cost bytes and look cut."""
    height, width = picture.shape[:2]
    step = max(1, max(region[2] - region[0], region[3] - region[1]) // (16 * _STEPS))
    inner = region
    for number in range(1, _STEPS + 1):
        outer = (
            max(0, inner[0] - step),
            max(0, inner[1] - step),
            min(width, inner[2] + step),
            min(height, inner[3] + step),
        )
        clear = 1 - number / (_STEPS + 1)
        for strip in _between(outer, inner):
            out[strip] = cv2.addWeighted(picture[strip], clear, out[strip], 1 - clear, 0)
        inner = outer


def _between(outer: _Area, inner: _Area) -> Iterator[tuple[slice, slice]]:
    """The up to four strips, as rows and columns, that make up the frame between two areas."""
    strips = (
        (outer[1], inner[1], outer[0], outer[2]),
        (inner[3], outer[3], outer[0], outer[2]),
        (inner[1], inner[3], outer[0], inner[0]),
        (inner[1], inner[3], inner[2], outer[2]),
    )
    for top, bottom, left, right in strips:
        if top < bottom and left < right:
            yield slice(top, bottom), slice(left, right)
