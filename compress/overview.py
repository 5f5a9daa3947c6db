"""How large and how fine an overview is: size and scale chosen together, for each picture. Pure.

Probes of a third of the rows say at which scale the picture would fill its cap as it is. Where that is coarser than a
plate bears, the picture is made smaller instead. Where the constants come from: docs/benchmarks-images.md.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np
from PIL import Image

from compress.codec import Coded, Encoder
from compress.decode import Size
from compress.search import HEADER_BYTES, SLOPE, first_scale, search, slope_between
from compress.tables import COARSEST, FINEST

cv2.setNumThreads(1)  # each image thread works on a picture of its own; more would only contend

SCALE_WANTED = 1.4
"""Coarser than this, a smaller picture shows more than a coarser one."""

_KEEP_UP_TO = 1.35  # times SCALE_WANTED: a resize of a few pixels costs more than it gives
_SHRINK_POWER = 2.04  # the scale at the cap goes with the side to this power
_SMALLEST_PX = 320
_SNAP_FROM = 1.4
_BAND_PX, _BAND_EVERY = 16, 3
_PROBE_PIXELS = 180_000  # more of a large picture than this costs time and tells little
_PROBES, _NEAR = 2, 1.35
_AREA_ABOVE = 1.7  # shrinking by more than this, cubic interpolation would skip pixels
_SEARCH_ENCODES = 3


@dataclass(frozen=True, slots=True)
class Guess:
    """What the header alone says: the scale at which a picture of this many pixels would fill the cap."""

    source_bytes: int
    source_pixels: int
    coarseness: float
    cap: int

    def scale(self, pixels: int) -> float:
        """Fitted on 163 pictures; the error's spread is a factor of 1.4."""
        share = pixels / self.source_pixels
        found = math.exp(-3.43) * (self.source_bytes / self.cap) ** 1.254 * self.coarseness**0.742 * share**1.069
        return float(min(COARSEST, max(FINEST, found)))


def side_wanted(longest_px: int, scale: float) -> float:
    """The long side at which a picture that would need `scale` at `longest_px` needs SCALE_WANTED."""
    return float(longest_px * (SCALE_WANTED / scale) ** (1 / _SHRINK_POWER))


@dataclass(frozen=True, slots=True)
class Prospect:
    """What the probes say of a picture: the scale at which it would fill the cap as it is, and how its bytes fall
    with the scale."""

    scale: float
    slope: float


def overview(picture: Image.Image, encoder: Encoder, cap: int, start: Size, prospect: Prospect) -> Coded | None:
    """The picture (L or RGB, at most `start` when it leaves) within `cap` bytes, or None where this search found
    none."""
    longest, scale = max(picture.size), prospect.scale
    side = min(float(max(start)), longest)
    if scale * (side / longest) ** _SHRINK_POWER > SCALE_WANTED * _KEEP_UP_TO:
        side = max(min(_SMALLEST_PX, side), _even_part(max(start), side_wanted(longest, scale)))
    size = _shaped(picture.size, round(side))
    if size != picture.size:
        picture = resized(picture, size)
        # How much a picture loses by shrinking depends on how sharp it was: look again.
        scale = probed(picture, encoder, cap, scale * (max(size) / longest) ** _SHRINK_POWER, 1).scale
    found = search(lambda s: encoder.encode(picture, s), first_scale(scale, cap), cap, prospect.slope, _SEARCH_ENCODES)
    if found is None:
        # As good as never: so the last encode is spent on being sure.
        half = resized(picture, _shaped(size, max(1, max(size) // 2)))
        coded = encoder.encode(half, min(COARSEST, max(FINEST, scale * 1.5)))
        found = coded if len(coded.jpeg) <= cap else None
    return found


def _even_part(longest: int, side: float) -> float:
    """An exact half or quarter of the source where that is a little below: it keeps more than what lies between."""
    for part in (2, 4):
        exact = longest / part
        if exact <= side <= exact * _SNAP_FROM:
            return exact
    return side


def probed(picture: Image.Image, encoder: Encoder, cap: int, guess: float, most: int = _PROBES) -> Prospect:
    """How the picture, as large as it is, would fill the cap, by one probe at the guess or a second at what the first
    one found."""
    part, share = bands(picture)
    scale, slope = guess, SLOPE
    before: tuple[float, float] | None = None
    for _ in range(most):
        pixels = max(1.0, (encoder.probe(part, scale) - HEADER_BYTES) / share)
        if before is not None and before[0] != scale:
            slope = slope_between(before[0], before[1], scale, pixels)
        before = (scale, pixels)
        ratio = (pixels / max(1, cap - HEADER_BYTES)) ** (1 / slope)
        scale = min(COARSEST, max(FINEST, scale * ratio))
        if 1 / _NEAR < ratio < _NEAR:
            break
    return Prospect(scale, slope)


def bands(picture: Image.Image) -> tuple[Image.Image, float]:
    """Every third band of 16 rows, or fewer of a large picture, one under the other; and which share of it they are."""
    width, height = picture.size
    every = max(_BAND_EVERY, width * height // _PROBE_PIXELS)
    count = height // (_BAND_PX * every)
    if count < 2:
        return picture, 1.0
    first = (height - count * _BAND_PX * every) // 2 + _BAND_PX * (every // 2)
    part = Image.new(picture.mode, (width, count * _BAND_PX))
    for band in range(count):
        top = first + band * _BAND_PX * every
        part.paste(picture.crop((0, top, width, top + _BAND_PX)), (0, band * _BAND_PX))
    return part, count * _BAND_PX / height


def resized(picture: Image.Image, size: Size) -> Image.Image:
    """The picture at another size, by OpenCV: cubic for small steps, by area for large ones."""
    if picture.size == size:
        return picture
    factor = max(picture.size[0] / size[0], picture.size[1] / size[1])
    method = cv2.INTER_AREA if factor > _AREA_ABOVE else cv2.INTER_CUBIC
    return Image.fromarray(cv2.resize(np.asarray(picture), size, interpolation=method))


def _shaped(size: Size, side: int) -> Size:
    """This shape with `side` as its long side; never larger, at least 1 px each way."""
    part = min(1.0, side / max(size))
    return (max(1, round(size[0] * part)), max(1, round(size[1] * part)))
