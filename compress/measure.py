"""What a picture is worth to a reader, in numbers: size of the plate, focus, light, colour. Before any cap is applied.

Numbers only: nothing here keeps, alters or shows a pixel. One picture proves nothing (a lorry looks like a covered
lens), so no judgement is made here either: whoever watches a camera compares with that camera's own past, at one scale.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import cv2
import numpy as np

from edge.claim import Box
from edge.read import PictureMeasures

if TYPE_CHECKING:
    from cv2.typing import MatLike

_ROWS, _COLUMNS = 8, 4
# Rows are looked at in eight bands, at full detail, and together no more than this: the cost is the same, whatever
# comes.
_LOOKED_AT_PX = 60_000
# What is flatter than this (variance of luma) holds noise, not focus.
_FLAT = 25.0
# A decode at a quarter no longer holds what a defocus of 1 px takes away.
_SCALE_MAX = 2
# Colour within 3 of neutral is what a JPEG's rounding leaves on grey; a camera's coloured time stamp covers under 2 %.
_NEUTRAL_FROM, _NEUTRAL_TO = np.array([0, 125, 125]), np.array([255, 131, 131])
_COLOURED_MAX = 0.02
_CLIPPED = 250

Area = tuple[int, int, int, int]
"""Left, top, right, bottom in px of the decoded picture."""


def measure(picture: MatLike, box: Box | None = None, scale: int = 1) -> PictureMeasures:
    """The numbers of `picture`: grey (height, width) or RGB (height, width, 3), 8 bits, decoded from the camera's own
    bytes at one part in `scale` (1, 2, 4 or 8). `box`: the plate, in px of the camera's own picture."""
    size = (picture.shape[1], picture.shape[0])
    return measure_parts(lambda area: _cut(picture, area), size, box, scale)


def measure_parts(
    part: Callable[[Area], MatLike], size: tuple[int, int], box: Box | None = None, scale: int = 1
) -> PictureMeasures:
    """The same of a picture of this width and height that hands out its parts: only those looked at are fetched."""
    bands = [part(area) for area in _bands(*size)]
    lumas = [_luma(band) for band in bands]
    counts = _histogram(cv2.vconcat([luma[::2] for luma in lumas]))
    low, middle, high = (_percentile(counts, share) for share in (0.05, 0.5, 0.95))
    saturation, infrared = _colour(bands)
    area = None if box is None else _inside(box, *size, scale)
    plate, surround = (None, None) if area is None else _plate_and_surround(part, area, size)
    seen = None if box is None or area is None else _seen(box, size[0] * scale, size[1] * scale)
    sharp = scale <= _SCALE_MAX
    return PictureMeasures(
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
        surround_contrast=None if plate is None or surround is None else float(plate.mean()) / 255 - surround,
        infrared=infrared,
    )


def _bands(width: int, height: int) -> list[Area]:
    """Eight bands of whole rows, evenly spread from top to bottom; all of a small picture."""
    rows = min(_ROWS, height)
    tall = max(1, min(height, _LOOKED_AT_PX // max(1, width)) // rows)
    starts = [(height - tall) * number // max(1, rows - 1) for number in range(rows)]
    return [(0, start, width, start + tall) for start in starts]


def _luma(picture: MatLike) -> MatLike:
    return picture if picture.ndim == 2 else cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY)


def _histogram(luma: MatLike) -> MatLike:
    return cv2.calcHist([luma], [0], None, [256], [0, 256]).ravel()


def _percentile(counts: MatLike, share: float) -> float:
    """The smallest luma that at least this share of the pixels do not exceed."""
    running = np.cumsum(counts, dtype=np.float64)
    return float(np.searchsorted(running, share * running[-1]))


def _overall(lumas: list[MatLike]) -> float | None:
    """The upper quartile of 32 cells' detail over the bands' mean variance; None where all is flat.

    The quartile looks at what has edges, not at road and sky, and is not moved by the few cells in which a camera
    draws its time stamp, which is always in focus.
    """
    fine: list[float] = []
    variance: list[float] = []
    for luma in lumas:
        if min(luma.shape) < 3:
            continue
        detail = _detail(luma)
        variance.append(_variance(luma))
        wide = max(1, -(-detail.shape[1] // _COLUMNS))
        for left in range(0, detail.shape[1], wide):
            fine.append(_mean_square(detail[:, left : left + wide]))
    if not fine or sum(variance) / len(variance) < _FLAT:
        return None
    return _upper_quartile(fine) / (sum(variance) / len(variance))


def _upper_quartile(values: list[float]) -> float:
    """With linear interpolation; of so few values faster than numpy's."""
    ranked, place = sorted(values), 0.75 * (len(values) - 1)
    low = int(place)
    return ranked[low] + (ranked[min(low + 1, len(ranked) - 1)] - ranked[low]) * (place - low)


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


def _inside(box: Box, width_px: int, height_px: int, scale: int) -> Area | None:
    """The box in px of the decoded picture, cut at its edge; None where nothing of it is left."""
    left, top = max(0, box.left_px // scale), max(0, box.top_px // scale)
    right = min(width_px, -(-(box.left_px + box.width_px) // scale))
    bottom = min(height_px, -(-(box.top_px + box.height_px) // scale))
    return (left, top, right, bottom) if left < right and top < bottom else None


def _seen(box: Box, width_px: int, height_px: int) -> tuple[int, int]:
    """Width and height of the part of the box inside a picture of this size, in its px."""
    across = min(box.left_px + box.width_px, width_px) - max(0, box.left_px)
    return across, min(box.top_px + box.height_px, height_px) - max(0, box.top_px)


def _cut(picture: MatLike, area: Area) -> MatLike:
    return picture[area[1] : area[3], area[0] : area[2]]


def _spread(luma: MatLike) -> float:
    counts = _histogram(luma)
    return (_percentile(counts, 0.95) - _percentile(counts, 0.05)) / 255


def _plate_and_surround(
    part: Callable[[Area], MatLike], area: Area, size: tuple[int, int]
) -> tuple[MatLike, float | None]:
    """Luma of the plate, and the mean luma, 0 to 1, of a ring of half its height round it; None without a ring."""
    left, top, right, bottom = area
    out = max(1, (bottom - top) // 2)
    wider = (max(0, left - out), max(0, top - out), min(size[0], right + out), min(size[1], bottom + out))
    around = _luma(part(wider))
    plate = _cut(around, (left - wider[0], top - wider[1], right - wider[0], bottom - wider[1]))
    ring_px = around.size - plate.size
    if ring_px == 0:
        return plate, None
    return plate, (float(around.sum()) - float(plate.sum())) / ring_px / 255
