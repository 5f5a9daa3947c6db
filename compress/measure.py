"""What a picture is worth to a reader, in numbers: size of the plate, focus, light, colour. Before any cap is applied.

Numbers only: nothing here keeps, alters or shows a pixel. One picture proves nothing (a lorry looks like a covered
lens), so no judgement is made here either: whoever watches a camera compares with that camera's own past, at one scale.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import cv2
import numpy as np

from edge.read import Box

if TYPE_CHECKING:
    from cv2.typing import MatLike

_ROWS, _COLUMNS = 8, 4
# Rows are looked at in eight bands, at full detail, and together no more than this: the cost is the same, whatever
# comes.
_LOOKED_AT_PX = 200_000
# What is flatter than this (variance of luma) holds noise, not focus.
_FLAT = 25.0
# A decode at a quarter no longer holds what a defocus of 1 px takes away.
_SCALE_MAX = 2
# Colour within 3 of neutral is what a JPEG's rounding leaves on grey; a camera's coloured time stamp covers under 2 %.
_NEUTRAL_FROM, _NEUTRAL_TO = np.array([0, 125, 125]), np.array([255, 131, 131])
_COLOURED_MAX = 0.02
_CLIPPED = 250


@dataclass(frozen=True, slots=True)
class Measures:
    """Numbers of one picture. Those of the plate are None without a box inside the picture.

    `plate_width_px`, `plate_height_px`: in px of the camera's own picture, the part of the box inside it.
    `sharpness`, `plate_sharpness`: energy of the finest detail over luma variance, above 0 and seldom above 10, to be
    compared only with the same camera at the same `scale`; None where all is flat, or decoded below a half.
    `luma_p5`, `luma_p50`, `luma_p95`: 0 to 255. `clipped`: share of pixels at 250 or above. `saturation`: mean distance
    of the strongest from the weakest primary, 0 to 1. `plate_contrast`: p95 less p5 of luma inside the box, 0 to 1.
    `surround_contrast`: mean luma of the plate less that of the ring round it, -1 to 1. `infrared`: without colour.
    """

    scale: int
    plate_width_px: int | None
    plate_height_px: int | None
    sharpness: float | None
    plate_sharpness: float | None
    luma_p5: float
    luma_p50: float
    luma_p95: float
    clipped: float
    saturation: float
    plate_contrast: float | None
    surround_contrast: float | None
    infrared: bool


def measure(picture: MatLike, box: Box | None = None, scale: int = 1) -> Measures:
    """The numbers of `picture`: grey (height, width) or RGB (height, width, 3), 8 bits, as stored, decoded from the
    camera's own bytes at one part in `scale` (1, 2, 4 or 8). `box`: the plate, in px of the camera's own picture."""
    bands = _bands(picture)
    lumas = [_luma(band) for band in bands]
    counts = _histogram(lumas)
    low, middle, high = (_percentile(counts, share) for share in (0.05, 0.5, 0.95))
    saturation, infrared = _colour(bands)
    area = None if box is None else _inside(box, picture.shape[1], picture.shape[0], scale)
    plate = None if area is None else _luma(_cut(picture, area))
    seen = None if box is None or area is None else _seen(box, picture.shape[1] * scale, picture.shape[0] * scale)
    sharp = scale <= _SCALE_MAX
    return Measures(
        scale=scale,
        plate_width_px=None if seen is None else seen[0],
        plate_height_px=None if seen is None else seen[1],
        sharpness=_overall(lumas) if sharp else None,
        plate_sharpness=None if plate is None or not sharp else _sharpness(plate),
        luma_p5=low,
        luma_p50=middle,
        luma_p95=high,
        clipped=float(counts[_CLIPPED:].sum() / counts.sum()),
        saturation=saturation,
        plate_contrast=None if plate is None else _spread(plate),
        surround_contrast=None if area is None else _stands_out(picture, area),
        infrared=infrared,
    )


_Area = tuple[int, int, int, int]  # left, top, right, bottom in px of the decoded picture


def _bands(picture: MatLike) -> list[MatLike]:
    """Eight bands of whole rows, evenly spread from top to bottom; all of a small picture."""
    height, width = picture.shape[:2]
    rows = min(_ROWS, height)
    tall = max(1, min(height, _LOOKED_AT_PX // max(1, width)) // rows)
    starts = [(height - tall) * number // max(1, rows - 1) for number in range(rows)]
    return [picture[start : start + tall] for start in starts]


def _luma(picture: MatLike) -> MatLike:
    return picture if picture.ndim == 2 else cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY)


def _histogram(lumas: list[MatLike]) -> MatLike:
    counts = np.zeros(256)
    for luma in lumas:
        counts += cv2.calcHist([luma], [0], None, [256], [0, 256]).ravel()
    return counts


def _percentile(counts: MatLike, share: float) -> float:
    """The smallest luma that at least this share of the pixels do not exceed."""
    return float(np.searchsorted(np.cumsum(counts), share * float(counts.sum())))


def _overall(lumas: list[MatLike]) -> float | None:
    """The upper quartile of 32 cells' detail over their mean variance; None where all is flat.

    The quartile looks at what has edges, not at road and sky, and is not moved by the few cells in which a camera
    draws its time stamp, which is always in focus.
    """
    fine: list[float] = []
    variance: list[float] = []
    for luma in lumas:
        if min(luma.shape) < 3:
            continue
        detail = _detail(luma)
        wide = max(1, -(-detail.shape[1] // _COLUMNS))
        for left in range(0, detail.shape[1], wide):
            fine.append(_mean_square(detail[:, left : left + wide]))
            variance.append(_variance(luma[:, left : left + wide + 2]))
    if not fine or float(np.mean(variance)) < _FLAT:
        return None
    return float(np.percentile(fine, 75) / np.mean(variance))


def _sharpness(luma: MatLike) -> float | None:
    """Detail over variance of one small picture; None where it is flat."""
    variance = _variance(luma)
    return _mean_square(_detail(luma)) / variance if variance >= _FLAT and min(luma.shape) >= 3 else None


def _detail(luma: MatLike) -> MatLike:
    """The second difference along both axes at once, without the outermost pixels.

    Of the usual measures the only one that a blur of 1 px divides by more than 3 even in a picture decoded at a half:
    the Laplacian also hears coarser detail, which such a blur leaves.
    """
    return cv2.Sobel(luma, cv2.CV_16S, 2, 2, ksize=3)[1:-1, 1:-1]


def _mean_square(detail: MatLike) -> float:
    return float(cv2.norm(detail, cv2.NORM_L2SQR)) / detail.size


def _variance(luma: MatLike) -> float:
    return float(cv2.meanStdDev(luma)[1][0, 0]) ** 2


def _colour(bands: list[MatLike]) -> tuple[float, bool]:
    """Saturation 0 to 1, and whether there is none: about every fourth pixel of every fourth row is asked."""
    if bands[0].ndim == 2:
        return 0.0, True
    size = (max(1, bands[0].shape[1] // 4), max(1, bands[0].shape[0] // 4))
    some = cv2.vconcat([cv2.resize(band, size, interpolation=cv2.INTER_NEAREST) for band in bands])
    red, green, blue = cv2.split(some)
    most, least = cv2.max(cv2.max(red, green), blue), cv2.min(cv2.min(red, green), blue)
    chroma = cv2.cvtColor(some, cv2.COLOR_RGB2YCrCb)
    neutral = cv2.countNonZero(cv2.inRange(chroma, _NEUTRAL_FROM, _NEUTRAL_TO))
    return float(cv2.mean(cv2.subtract(most, least))[0]) / 255, neutral >= red.size * (1 - _COLOURED_MAX)


def _inside(box: Box, width_px: int, height_px: int, scale: int) -> _Area | None:
    """The box in px of the decoded picture, cut at its edge; None where nothing of it is left."""
    left, top = max(0, box.left_px // scale), max(0, box.top_px // scale)
    right = min(width_px, -(-(box.left_px + box.width_px) // scale))
    bottom = min(height_px, -(-(box.top_px + box.height_px) // scale))
    return (left, top, right, bottom) if left < right and top < bottom else None


def _seen(box: Box, width_px: int, height_px: int) -> tuple[int, int]:
    """Width and height of the part of the box inside a picture of this size, in its px."""
    across = min(box.left_px + box.width_px, width_px) - max(0, box.left_px)
    return across, min(box.top_px + box.height_px, height_px) - max(0, box.top_px)


def _cut(picture: MatLike, area: _Area) -> MatLike:
    return picture[area[1] : area[3], area[0] : area[2]]


def _spread(luma: MatLike) -> float:
    low, high = np.percentile(luma, [5, 95])
    return float(high - low) / 255


def _stands_out(picture: MatLike, area: _Area) -> float | None:
    """Mean luma of the plate less that of a ring of half its height round it, -1 to 1; None without a ring."""
    left, top, right, bottom = area
    out = max(1, (bottom - top) // 2)
    around = _luma(picture[max(0, top - out) : bottom + out, max(0, left - out) : right + out])
    plate = _luma(_cut(picture, area))
    ring_px = around.size - plate.size
    if ring_px == 0:
        return None
    ring = (float(around.sum()) - float(plate.sum())) / ring_px
    return (float(plate.mean()) - ring) / 255
