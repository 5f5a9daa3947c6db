"""What a JPEG can keep of a plate within the patch's cap, whatever it costs: for the boxes where fit keeps least.

Every size from the largest allowed downwards, four ways to shrink, colour at half and at full resolution, five
families of tables, colour as fine as luma or coarser, and three margins, each at the finest scale inside the cap.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from io import BytesIO
from math import exp, log

import cv2
import numpy as np
from PIL import Image

from compress import tables as ours
from tests.benchmarks.exhaustive import ANNEX_K_CHROMA, ANNEX_K_LUMA, MS_SSIM_LUMA
from tests.benchmarks.pictures import CAPS, decoded
from tests.benchmarks.quality import plate_ssim

MARGINS = (0.10, 0.12, 0.15)
_SMALLER = (1.0, 0.93, 0.87)
_K_MIN, _K_MAX, _K_STEP = 0.03, 6.0, 0.004
_CHROMA_COARSER = (1.0, 2.0, 4.0)
_FAMILIES: dict[str, tuple[tuple[float, ...], tuple[float, ...]]] = {
    "ours": (ours.FLAT, ours.CHROMA),
    "flat": ((16.0,) * 64, (16.0,) * 64),
    "overview's": (ours.LUMA, ours.CHROMA),
    "annex-k": (ANNEX_K_LUMA, ANNEX_K_CHROMA),
    "ms-ssim": (MS_SSIM_LUMA, ANNEX_K_CHROMA),
}
_FILTERS = ("cubic", "area", "bicubic", "lanczos")
"""OpenCV's cubic, which skips pixels, and area; Pillow's bicubic and Lanczos, which do not skip."""


@dataclass(frozen=True, slots=True)
class Setting:
    """One way to make a patch. `coarser`: the colour's table, as a multiple of the family's."""

    margin: float
    size: tuple[int, int]
    shrink: str
    subsampling: str
    family: str
    coarser: float

    def __str__(self) -> str:
        return (
            f"{self.size[0]}x{self.size[1]}, {self.margin:.0%} margin, {self.shrink}, {self.subsampling}, "
            f"{self.family}, colour x{self.coarser:g}"
        )


@dataclass(frozen=True, slots=True)
class Reached:
    """`ssim`: to the lossless crop at the largest size allowed. `ssim_to_camera`: enlarged to the camera's own pixels
    and beside those, so that no way to shrink is its own judge."""

    setting: Setting
    ssim: float
    ssim_to_camera: float
    bytes: int


def reached(crop: Image.Image, margin: float) -> Iterator[Reached]:
    """What each setting reaches for this crop, which has this margin round its box already."""
    largest = inside(crop.size, 1.0)
    lossless = {way: _luma(shrunk(crop, largest, way)) for way in _FILTERS}
    for size in dict.fromkeys(inside(crop.size, part) for part in _SMALLER):
        for way in _FILTERS if size != crop.size else _FILTERS[:1]:
            small = shrunk(crop, size, way)
            for setting in _settings(margin, size, way):
                data = finest(small, setting)
                if data is not None:
                    yield _judged(crop, lossless, setting, data)


def finest(picture: Image.Image, setting: Setting, cap: int = CAPS.patch_max_bytes) -> bytes | None:
    """The JPEG at the finest scale within 0.4 % that fits the cap; None where none does."""
    fine, coarse, best = log(_K_MIN), log(_K_MAX), None
    while coarse - fine > _K_STEP:
        middle = (fine + coarse) / 2
        data = _coded(picture, setting, exp(middle))
        if len(data) <= cap:
            coarse, best = middle, data
        else:
            fine = middle
    return best


def inside(size: tuple[int, int], part: float) -> tuple[int, int]:
    """This part of the largest size of this shape that the cap on pixels allows; never larger than it was."""
    most = min(1.0, CAPS.patch_max_width_px / size[0], CAPS.patch_max_height_px / size[1]) * part
    return (
        min(CAPS.patch_max_width_px, max(1, round(size[0] * most))),
        min(CAPS.patch_max_height_px, max(1, round(size[1] * most))),
    )


def shrunk(picture: Image.Image, size: tuple[int, int], way: str) -> Image.Image:
    """The picture at this size by one of the four ways."""
    if picture.size == size:
        return picture
    if way in ("cubic", "area"):
        how = cv2.INTER_CUBIC if way == "cubic" else cv2.INTER_AREA
        return Image.fromarray(cv2.resize(np.asarray(picture), size, interpolation=how))
    return picture.resize(size, Image.Resampling.BICUBIC if way == "bicubic" else Image.Resampling.LANCZOS)


def to_camera(crop: Image.Image, patch: Image.Image) -> float:
    """Luma SSIM of the patch, enlarged by cubic, to the crop in the camera's own pixels."""
    return plate_ssim(_luma(crop), _luma(patch.resize(crop.size, Image.Resampling.BICUBIC)))


def _settings(margin: float, size: tuple[int, int], way: str) -> Iterator[Setting]:
    for subsampling in ("4:2:0", "4:4:4"):
        for family in _FAMILIES:
            for coarser in _CHROMA_COARSER:
                yield Setting(margin, size, way, subsampling, family, coarser)


def _judged(crop: Image.Image, lossless: dict[str, np.ndarray], setting: Setting, data: bytes) -> Reached:
    patch = decoded(data)
    largest = next(iter(lossless.values())).shape[::-1]
    shown = patch if patch.size == largest else patch.resize((largest[0], largest[1]), Image.Resampling.BICUBIC)
    ssim = max(plate_ssim(one, _luma(shown)) for one in lossless.values())
    return Reached(setting, ssim, to_camera(crop, patch), len(data))


def _coded(picture: Image.Image, setting: Setting, k: float) -> bytes:
    luma, chroma = _FAMILIES[setting.family]
    steps = [ours.scaled(luma, k), ours.scaled(chroma, k * setting.coarser)]
    out = BytesIO()
    picture.convert("RGB").save(out, "JPEG", qtables=steps, optimize=True, subsampling=setting.subsampling)
    return out.getvalue()


def _luma(picture: Image.Image) -> np.ndarray:
    return np.asarray(picture.convert("L"))
