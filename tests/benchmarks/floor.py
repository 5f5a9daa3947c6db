"""The time below which no codec on this machine gets: one scaled decode, one resize if need be, one encode.

The steps are those of one result that is already known, so nothing is searched, checked or counted. One thread.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from io import BytesIO
from time import perf_counter_ns

import cv2
import numpy as np
import simplejpeg
from PIL import Image

from tests.benchmarks.exhaustive import encoded, own_tables
from tests.benchmarks.pictures import Picture

cv2.setNumThreads(1)


@dataclass(frozen=True, slots=True)
class Floor:
    """Least times of the three steps for one result, in s. `scale`: the decode's 1, 2, 4 or 8."""

    scale: int
    decode_s: float
    resize_s: float
    encode_s: float

    @property
    def total_s(self) -> float:
        return self.decode_s + self.resize_s + self.encode_s


def least_s(act: Callable[[], object], runs: int) -> float:
    """The least time of `runs` runs, in s: what else the machine did only ever adds. One run warms up first."""
    act()
    times = []
    for _ in range(runs):
        start = perf_counter_ns()
        act()
        times.append(perf_counter_ns() - start)
    return min(times) / 1e9


def floor(picture: Picture, result: bytes, runs: int) -> Floor:
    """The floor for this picture where `result` is the JPEG it became: at its size, its tables, its colours.
    The decode is in colour even for a grey result: that there is no colour must be seen first."""
    with Image.open(BytesIO(result)) as image:
        size, mode = image.size, image.mode
    scale = _scale((picture.width_px, picture.height_px), size)
    decoded = _decoded(picture.jpeg, scale)
    small = _resized(decoded, size, cv2.INTER_AREA)
    sized = Image.fromarray(small).convert(mode)
    sized.load()
    quantisers = own_tables(result)
    return Floor(
        scale,
        min(least_s(lambda: _decoded(picture.jpeg, scale), runs), least_s(lambda: _by_pillow(picture, scale), runs)),
        _resize_s(decoded, size, runs),
        least_s(lambda: encoded(sized, quantisers), runs),
    )


def steps(picture: Picture, result: bytes, by_pillow: bool, how: int) -> Callable[[], bytes]:
    """The floor's steps for this result as one act, with this decoder and this way to resize where there is a resize;
    what must be known beforehand is found out here and not in the act."""
    with Image.open(BytesIO(result)) as image:
        size, mode = image.size, image.mode
    scale, quantisers = _scale((picture.width_px, picture.height_px), size), own_tables(result)

    def act() -> bytes:
        decoded = np.asarray(_by_pillow(picture, scale)) if by_pillow else _decoded(picture.jpeg, scale)
        return encoded(Image.fromarray(_resized(decoded, size, how)).convert(mode), quantisers)

    return act


def _scale(source: tuple[int, int], result: tuple[int, int]) -> int:
    """The largest of 8, 4, 2, 1 whose decode is not smaller than the result."""
    return next(
        (
            scale
            for scale in (8, 4, 2)
            if all(-(-whole // scale) >= part for whole, part in zip(source, result, strict=True))
        ),
        1,
    )


def _decoded(data: bytes, scale: int) -> np.ndarray:
    if scale == 1:
        return np.asarray(simplejpeg.decode_jpeg(data, "RGB"))
    height, width, _, _ = simplejpeg.decode_jpeg_header(data)
    # Exactly the power of two: a scale between, such as 5/8, has no fast path and takes longer than a whole decode.
    return np.asarray(simplejpeg.decode_jpeg(data, "RGB", min_height=-(-height // scale), min_width=-(-width // scale)))


def _by_pillow(picture: Picture, scale: int) -> Image.Image:
    with Image.open(BytesIO(picture.jpeg)) as image:
        if scale > 1:
            image.draft(None, (picture.width_px // scale, picture.height_px // scale))
        image.load()
        return image


def _resized(pixels: np.ndarray, size: tuple[int, int], how: int) -> np.ndarray:
    if (pixels.shape[1], pixels.shape[0]) == size:
        return pixels
    return np.asarray(cv2.resize(pixels, size, interpolation=how))


def _resize_s(pixels: np.ndarray, size: tuple[int, int], runs: int) -> float:
    if (pixels.shape[1], pixels.shape[0]) == size:
        return 0.0
    return min(
        least_s(lambda how=how: _resized(pixels, size, how), runs)  # type: ignore[misc]
        for how in (cv2.INTER_AREA, cv2.INTER_CUBIC)
    )
