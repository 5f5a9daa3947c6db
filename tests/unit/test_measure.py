"""The numbers of a picture: right on pictures made for it, and on real ones they fall with blur and know grey."""

from __future__ import annotations

import csv
import time
from collections.abc import Callable
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from compress.measure import measure
from edge.claim import Box
from edge.read import PictureMeasures

SHARED = Path(__file__).resolve().parents[2].parent / "shared"


@dataclass(frozen=True)
class Photograph:
    name: str
    pixels: Any
    plate: Box


@pytest.fixture(scope="module")
def photographs() -> list[Photograph]:
    folder = SHARED / "images"
    if not folder.is_dir():
        pytest.skip(f"no pictures: {folder} is absent")
    found = []
    for row in csv.DictReader((folder / "SOURCES.tsv").read_text("utf-8").splitlines(), delimiter="\t"):
        with Image.open(folder / row["file"]) as image:
            pixels = np.asarray(image.convert("RGB"))
        plate = Box(*(int(row[f"plate_{part}"]) for part in ("x", "y", "w", "h")))
        found.append(Photograph(row["file"], pixels, plate))
    return found


def as_sent(pixels: Any, scale: int = 1) -> Any:
    """The picture as a camera would code it, decoded at one part in `scale` as the node would."""
    out = BytesIO()
    Image.fromarray(pixels).save(out, "JPEG", quality=92)
    with Image.open(out) as image:
        image.draft("RGB", (image.width // scale, image.height // scale))
        return np.asarray(image.convert("RGB"))


def defocused(pixels: Any, sigma_px: float) -> Any:
    return cv2.GaussianBlur(pixels, (0, 0), sigma_px) if sigma_px else pixels


@pytest.mark.parametrize("scale", [1, 2])
def test_a_defocus_of_one_pixel_divides_both_sharpnesses_by_more_than_three(
    photographs: list[Photograph], scale: int
) -> None:
    for one in photographs:
        clear = measure(as_sent(one.pixels, scale), one.plate, scale)
        blurred = measure(as_sent(defocused(one.pixels, 1.0), scale), one.plate, scale)
        assert clear.sharpness is not None, one.name
        assert blurred.sharpness is not None, one.name
        assert clear.plate_sharpness is not None, one.name
        assert blurred.plate_sharpness is not None, one.name
        assert clear.sharpness > 3 * blurred.sharpness, one.name
        assert clear.plate_sharpness > 3 * blurred.plate_sharpness, one.name


@pytest.mark.parametrize(("scale", "seen_up_to"), [(1, 3), (2, 4)])
def test_sharpness_falls_with_every_step_of_blur_until_nothing_is_left(
    photographs: list[Photograph], scale: int, seen_up_to: int
) -> None:
    """Once the finest detail is gone (1 px whole, 1.6 px at a half) more blur is not told from less, but from none."""
    for one in photographs:
        pictures = [as_sent(defocused(one.pixels, sigma), scale) for sigma in (0, 0.6, 1.0, 1.6, 2.5, 4.0)]
        steps = [measure(picture, one.plate, scale) for picture in pictures]
        for values in ([step.sharpness for step in steps], [step.plate_sharpness for step in steps]):
            told = [value for value in values if value is not None]
            assert len(told) == len(values), one.name
            assert told[:seen_up_to] == sorted(told[:seen_up_to], reverse=True), one.name
            assert 3 * max(told[seen_up_to:]) < told[0], one.name


def test_a_time_stamp_in_focus_does_not_hide_a_defocus(photographs: list[Photograph]) -> None:
    large = [one for one in photographs if one.pixels.shape[1] >= 1_000]
    assert large
    for one in large:
        clear, blurred = (measure(stamped(defocused(one.pixels, sigma))).sharpness for sigma in (0, 1.0))
        assert clear is not None, one.name
        assert blurred is not None, one.name
        assert clear > 3 * blurred, one.name


def stamped(pixels: Any) -> Any:
    out = pixels.copy()
    for line in (24, pixels.shape[0] - 8):
        cv2.putText(out, "2026-01-01 12:00:00 LANE 1", (5, line), cv2.FONT_HERSHEY_SIMPLEX, 0.7, (255, 255, 255), 1)
    return out


def test_a_picture_without_colour_is_infrared_and_one_with_is_not(photographs: list[Photograph]) -> None:
    """The night pictures among them are magenta (a sensor without its filter), so grey ones are made of all."""
    for one in photographs:
        grey = cv2.cvtColor(one.pixels, cv2.COLOR_RGB2GRAY)
        coded_as_colour = as_sent(np.dstack([grey] * 3))
        assert measure(grey).infrared, one.name
        assert measure(coded_as_colour).infrared, one.name
        assert measure(coded_as_colour).saturation < 0.01, one.name
        assert not measure(one.pixels).infrared, one.name


def test_a_coloured_time_stamp_leaves_a_grey_picture_infrared() -> None:
    picture = np.full((720, 1280, 3), 60, np.uint8)
    picture[10:34, 10:400] = (255, 220, 0)
    assert measure(picture).infrared
    picture[360:] = (255, 220, 0)
    assert not measure(picture).infrared


def test_percentiles_clipping_and_saturation_are_those_of_the_picture() -> None:
    ramp = np.tile(np.repeat(np.arange(256, dtype=np.uint8), 3), (96, 1))
    found = measure(ramp)
    assert (found.luma_p5, found.luma_p50, found.luma_p95) == (12, 127, 243)
    assert found.clipped == pytest.approx(6 / 256, abs=1e-6)
    assert found.saturation == 0
    red = np.zeros((40, 40, 3), np.uint8)
    red[:, :, 0] = 255
    assert measure(red).saturation == 1
    assert measure(red).luma_p50 == 76  # 0.299 of 255: channels are red, green, blue


def test_what_lies_low_in_a_tall_picture_is_seen() -> None:
    picture = np.zeros((6_000, 1_000), np.uint8)
    picture[5_400:] = 255
    assert 0.05 < measure(picture).clipped < 0.2


def test_a_bright_plate_on_a_dark_car_stands_out() -> None:
    picture = np.full((200, 400), 51, np.uint8)
    picture[100:120, 100:200] = 204
    picture[104:116, 110:190:8] = 0
    found = measure(picture, Box(100, 100, 100, 20))
    assert found.plate_contrast == pytest.approx(204 / 255)
    assert found.surround_contrast is not None
    assert 0.5 < found.surround_contrast < 0.6
    other = measure(255 - picture, Box(100, 100, 100, 20)).surround_contrast
    assert other == pytest.approx(-found.surround_contrast)


@pytest.mark.parametrize(
    ("box", "seen"),
    [
        (Box(10, 20, 121, 41), (121, 41)),
        (Box(-10, -10, 60, 30), (50, 20)),
        (Box(380, 180, 60, 30), (20, 20)),
        (Box(400, 20, 50, 20), (None, None)),
        (Box(10, -20, 50, 20), (None, None)),
    ],
)
def test_the_plate_is_counted_in_the_cameras_own_pixels(box: Box, seen: tuple[int | None, int | None]) -> None:
    halved = np.random.default_rng(3).integers(0, 255, (100, 200), np.uint8)
    found = measure(halved, box, scale=2)
    assert (found.plate_width_px, found.plate_height_px) == seen
    assert (found.plate_contrast is None) is (seen[0] is None)


def test_nothing_is_said_of_focus_where_it_cannot_be_seen() -> None:
    noise = np.random.default_rng(3).integers(0, 255, (100, 200), np.uint8)
    assert measure(noise, scale=2).sharpness is not None
    assert measure(noise, Box(0, 0, 80, 40), scale=4).sharpness is None
    assert measure(noise, Box(0, 0, 80, 40), scale=4).plate_sharpness is None
    assert measure(np.full((100, 200), 3, np.uint8)).sharpness is None


@settings(max_examples=60, deadline=None)
@given(
    width=st.integers(1, 300),
    height=st.integers(1, 300),
    colour=st.booleans(),
    box=st.builds(Box, *[st.integers(-50, 350)] * 2, *[st.integers(0, 350)] * 2),
    scale=st.sampled_from([1, 2, 4, 8]),
)
def test_any_size_and_any_box_gives_numbers_within_their_range(
    width: int, height: int, colour: bool, box: Box, scale: int
) -> None:
    shape = (height, width, 3) if colour else (height, width)
    check(measure(np.random.default_rng(width).integers(0, 256, shape, np.uint8), box, scale))


@pytest.mark.parametrize("shape", [(65_000, 3), (3, 65_000, 3), (1, 1), (1, 1, 3), (3_000, 4_000, 3)])
def test_extreme_shapes_are_measured(shape: tuple[int, ...]) -> None:
    check(measure(np.random.default_rng(1).integers(0, 256, shape, np.uint8), Box(0, 0, 2, 2)))


def check(found: PictureMeasures) -> None:
    assert 0 <= found.luma_p5 <= found.luma_p50 <= found.luma_p95 <= 255
    assert 0 <= found.clipped <= 1
    assert 0 <= found.saturation <= 1
    assert found.plate_contrast is None or 0 <= found.plate_contrast <= 1
    assert found.surround_contrast is None or -1 <= found.surround_contrast <= 1
    for sharpness in (found.sharpness, found.plate_sharpness):
        assert sharpness is None or 0 <= sharpness < 1_000


def test_it_costs_a_small_part_of_a_decode_and_an_encode(photographs: list[Photograph]) -> None:
    source = max(photographs, key=lambda one: one.pixels.size).pixels
    whole = cv2.resize(source, (1920, 1080))
    out = BytesIO()
    Image.fromarray(whole).save(out, "JPEG", quality=85)

    def floor() -> None:
        with Image.open(out) as image:
            image.draft("RGB", (960, 540))
            image.save(BytesIO(), "JPEG", quality=30, optimize=True)

    halved = as_sent(whole, 2)
    cost_ms = cpu_ms(lambda: measure(halved, Box(800, 600, 160, 50), 2))
    floor_ms = cpu_ms(floor)
    print(f"measure {cost_ms:.2f} ms, decode and encode {floor_ms:.2f} ms")
    assert cost_ms < 0.2 * floor_ms


def cpu_ms(act: Callable[[], object]) -> float:
    """The median of 30 runs, in CPU time of this thread: another process on the machine changes little."""
    threads = cv2.getNumThreads()
    cv2.setNumThreads(1)
    took = []
    for _ in range(30):
        start = time.thread_time_ns()
        act()
        took.append(time.thread_time_ns() - start)
    cv2.setNumThreads(threads)
    return float(np.median(took)) / 1e6
