"""How good a picture under the cap still is, beside the picture it was made from.

SSIMULACRA2 is the package's arithmetic and weights; only its blur runs in OpenCV and the original's side is kept, which
is several times as fast. `agrees` holds the two against each other. Nothing here is timed.
"""

from __future__ import annotations

from dataclasses import dataclass
from io import BytesIO
from typing import Any

import cv2
import numpy as np
from PIL import Image
from skimage.metrics import structural_similarity
from ssimulacra2 import ssimulacra2 as package

from edge.claim import Box

DISPLAY_WIDTH_PX = 1280
_PLATE_MARGIN = 0.10
_SIGMA = 1.5
_RADIUS = 5  # the package pads and cuts its Gaussian here
_SSIM_WINDOW_PX = 11

Pixels = np.ndarray[Any, Any]


@dataclass(frozen=True, slots=True)
class Quality:
    """`ss2`: SSIMULACRA2, 100 is equal, below 0 very bad. `plate_ssim`: luma SSIM round the plate, 1 is equal."""

    ss2: float
    plate_ssim: float

    @property
    def j(self) -> float:
        return self.ss2 / 100 + self.plate_ssim


@dataclass(frozen=True, slots=True)
class _Level:
    """One scale of the original: positive XYB, its blur, and the blur of its square."""

    xyb: Pixels
    mean: Pixels
    square: Pixels


class Judge:
    """Scores pictures against one original at the display size; keeps the original's side."""

    def __init__(self, original: Image.Image, box: Box) -> None:
        self.size = _display_size(original.size)
        shown = _shown(np.asarray(original), self.size)
        self._luma = _luma(shown)
        self._plate = _plate_area(box, original.size, self.size)
        self._levels = tuple(_Level(xyb, _blurred(xyb), _blurred(xyb * xyb)) for xyb in _scales(np.asarray(shown)))

    def score(self, coded: Image.Image) -> Quality:
        """`coded`: what came out, any size and mode; brought to the display size by cubic."""
        shown = _shown(np.asarray(coded.convert("RGB")), self.size)
        return Quality(self._ss2(shown), self._plate_ssim(_luma(shown)))

    def plate(self, coded: Image.Image) -> float:
        """The plate's SSIM alone."""
        return self._plate_ssim(_luma(_shown(np.asarray(coded.convert("RGB")), self.size)))

    def score_jpeg(self, data: bytes) -> Quality:
        with Image.open(BytesIO(data)) as image:
            return self.score(image)

    def _ss2(self, shown: Pixels) -> float:
        found = package.Msssim()
        for level, xyb in zip(self._levels, _scales(shown), strict=True):
            mean = _blurred(xyb)
            scale = package.MsssimScale()
            scale.avg_ssim = package.ssim_map(
                level.mean, mean, level.square, _blurred(xyb * xyb), _blurred(level.xyb * xyb)
            )
            scale.avg_edgediff = package.edge_diff_map(level.xyb, level.mean, xyb, mean)
            found.scales.append(scale)
        return float(found.score())

    def _plate_ssim(self, luma: Pixels) -> float:
        left, top, right, bottom = self._plate
        return plate_ssim(self._luma[top:bottom, left:right], luma[top:bottom, left:right])


def plate_ssim(one: Pixels, other: Pixels) -> float:
    """SSIM of two 8-bit grey pictures of one size, Gaussian weights (sigma 1.5, 11 px)."""
    if min(one.shape) < _SSIM_WINDOW_PX:
        return float(structural_similarity(one, other, data_range=255, win_size=(min(one.shape) - 1) | 1))
    return float(
        structural_similarity(
            one, other, data_range=255, gaussian_weights=True, sigma=_SIGMA, use_sample_covariance=False
        )
    )


def agrees(original: Image.Image, coded: Image.Image) -> float:
    """The difference between this SSIMULACRA2 and the package's own, in its points; for pictures of one size."""
    files = (BytesIO(), BytesIO())
    for image, file in zip((original, coded), files, strict=True):
        image.convert("RGB").save(file, "PNG")
    judge = Judge(original, Box(0, 0, original.width, original.height))
    return abs(judge.score(coded).ss2 - float(package.compute_ssimulacra2(*files)))


def _display_size(size: tuple[int, int]) -> tuple[int, int]:
    width = min(DISPLAY_WIDTH_PX, size[0])
    return width, max(1, round(size[1] * width / size[0]))


def _shown(pixels: Pixels, size: tuple[int, int]) -> Pixels:
    if (pixels.shape[1], pixels.shape[0]) == size:
        return pixels
    smaller = pixels.shape[1] > size[0]
    return np.asarray(cv2.resize(pixels, size, interpolation=cv2.INTER_AREA if smaller else cv2.INTER_CUBIC))


def _luma(pixels: Pixels) -> Pixels:
    return np.asarray(cv2.cvtColor(np.ascontiguousarray(pixels), cv2.COLOR_RGB2GRAY))


def _plate_area(box: Box, source: tuple[int, int], shown: tuple[int, int]) -> tuple[int, int, int, int]:
    """Left, top, right, bottom at the display size, with the margin, cut at the edge."""
    across, down = shown[0] / source[0], shown[1] / source[1]
    aside, above = box.width_px * _PLATE_MARGIN, box.height_px * _PLATE_MARGIN
    return (
        max(0, round((box.left_px - aside) * across)),
        max(0, round((box.top_px - above) * down)),
        min(shown[0], round((box.left_px + box.width_px + aside) * across)),
        min(shown[1], round((box.top_px + box.height_px + above) * down)),
    )


def _scales(pixels: Pixels) -> tuple[Pixels, ...]:
    linear = package.srgb_to_linear(pixels)
    found: list[Pixels] = []
    for _ in range(package.kNumScales):
        if min(linear.shape[:2]) < 8:
            break
        xyb = package.make_positive_xyb(package.linear_rgb_to_xyb(linear))
        found.append(np.ascontiguousarray(xyb, dtype=np.float32))
        linear = package.downsample(linear, 2, 2)
    return tuple(found)


def _kernel() -> Pixels:
    at = np.arange(-_RADIUS, _RADIUS + 1)
    weights = np.exp(-(at**2) / (2 * _SIGMA**2))
    return np.asarray(weights / weights.sum())


def _blurred(xyb: Pixels) -> Pixels:
    """As the package: nothing beyond the first axis' ends, a mirror beyond the second's."""
    padded = cv2.copyMakeBorder(xyb, _RADIUS, _RADIUS, 0, 0, cv2.BORDER_CONSTANT, value=(0, 0, 0, 0))
    kernel = _kernel()
    found = cv2.sepFilter2D(padded, -1, kernel, kernel, borderType=cv2.BORDER_REFLECT)
    return np.asarray(found[_RADIUS:-_RADIUS])
