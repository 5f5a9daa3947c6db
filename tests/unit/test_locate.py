"""The plate locator: what it reaches on pictures it was not fitted on, and silence where there is nothing."""

from __future__ import annotations

import csv
import hashlib
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from compress.locate import Proposed, locate
from edge.claim import Box

SHARED = Path(__file__).resolve().parents[2].parent / "shared"


@dataclass(frozen=True)
class Scene:
    name: str
    luma: Any
    plate: Box
    held_out: bool


@pytest.fixture(scope="module")
def scenes() -> list[Scene]:
    """The public pictures. Those whose name's hash is odd had no part in the fit of the weights."""
    folder = SHARED / "images"
    if not folder.is_dir():
        pytest.skip(f"no pictures: {folder} is absent")
    found = []
    for row in csv.DictReader((folder / "SOURCES.tsv").read_text("utf-8").splitlines(), delimiter="\t"):
        luma = cv2.imread(str(folder / row["file"]), cv2.IMREAD_GRAYSCALE | cv2.IMREAD_IGNORE_ORIENTATION)
        plate = Box(*(int(row[f"plate_{part}"]) for part in ("x", "y", "w", "h")))
        odd = hashlib.sha256(row["file"].encode()).digest()[0] % 2 == 1
        found.append(Scene(row["file"], luma, plate, odd))
    return found


def overlap(one: Box, other: Box) -> float:
    """Intersection over union."""
    wide = min(one.left_px + one.width_px, other.left_px + other.width_px) - max(one.left_px, other.left_px)
    high = min(one.top_px + one.height_px, other.top_px + other.height_px) - max(one.top_px, other.top_px)
    both = max(0, wide) * max(0, high)
    return both / (one.width_px * one.height_px + other.width_px * other.height_px - both)


def centred(proposed: Box, plate: Box) -> bool:
    """Whether the middle of the proposal lies on the plate."""
    across = proposed.left_px + proposed.width_px / 2 - plate.left_px
    down = proposed.top_px + proposed.height_px / 2 - plate.top_px
    return 0 <= across < plate.width_px and 0 <= down < plate.height_px


def test_accuracy_on_pictures_that_had_no_part_in_the_fit(scenes: list[Scene]) -> None:
    for held_out, least in ((False, 0.85), (True, 0.75)):
        half = [one for one in scenes if one.held_out is held_out]
        found = [(one, locate(one.luma)) for one in half]
        made = [(one, proposed) for one, proposed in found if proposed is not None]
        right = [one for one, proposed in made if overlap(proposed.box, one.plate) >= 0.3]
        on_plate = [one for one, proposed in made if centred(proposed.box, one.plate)]
        over = sorted(overlap(proposed.box, one.plate) for one, proposed in made)
        print(
            f"{'held out' if held_out else 'fitted on'}: {len(half)} pictures, {len(made)} proposals, "
            f"{len(right)} overlap by 0.3, {len(on_plate)} centred on the plate, "
            f"median overlap {over[len(over) // 2]:.2f}"
        )
        assert len(right) >= least * len(half)
        assert len(on_plate) >= least * len(half)
        assert len(made) - len(right) <= 0.12 * len(half)


def test_without_its_plate_a_picture_scores_lower(scenes: list[Scene]) -> None:
    """The plate is painted out; whatever is proposed then is wrong. It shows why a proposal is not to be trusted."""
    with_plate, without, wrong = [], [], 0
    for one in scenes:
        proposed, false = locate(one.luma), locate(painted_out(one))
        with_plate.append(0.0 if proposed is None else proposed.score)
        without.append(0.0 if false is None else false.score)
        wrong += false is not None
    print(f"proposals without a plate: {wrong} of {len(scenes)}; median score {np.median(without):.2f}")
    assert float(np.median(without)) < float(np.median(with_plate)) - 0.3


def painted_out(one: Scene) -> Any:
    hole = np.zeros_like(one.luma)
    aside = one.plate.height_px // 4
    hole[
        max(0, one.plate.top_px - aside) : one.plate.top_px + one.plate.height_px + aside,
        max(0, one.plate.left_px - aside) : one.plate.left_px + one.plate.width_px + aside,
    ] = 255
    return cv2.inpaint(one.luma, hole, 3, cv2.INPAINT_TELEA)


def test_the_box_is_in_the_cameras_own_pixels() -> None:
    drawn = with_plate_at(Box(1_200, 700, 240, 60), 1_920, 1_080)
    halved = cv2.resize(drawn, (960, 540), interpolation=cv2.INTER_AREA)
    for found in (locate(drawn), locate(halved, scale=2)):
        assert found is not None
        assert overlap(found.box, Box(1_200, 700, 240, 60)) > 0.5


def with_plate_at(plate: Box, width_px: int, height_px: int) -> Any:
    picture = np.full((height_px, width_px), 90, np.uint8)
    left, top = plate.left_px, plate.top_px
    picture[top : top + plate.height_px, left : left + plate.width_px] = 220
    size = plate.height_px / 36
    cv2.putText(
        picture, "AB12 CDE", (left + 14, top + plate.height_px - 12), cv2.FONT_HERSHEY_SIMPLEX, size * 0.85, 10, 4
    )
    return picture


@pytest.mark.parametrize("luma", [0, 128, 255])
def test_where_there_is_nothing_nothing_is_proposed(luma: int) -> None:
    assert locate(np.full((540, 960), luma, np.uint8)) is None


@settings(max_examples=60, deadline=None)
@given(width=st.integers(1, 700), height=st.integers(1, 700), seed=st.integers(0, 99), grain=st.integers(1, 12))
def test_any_picture_gives_a_box_inside_it_or_none(width: int, height: int, seed: int, grain: int) -> None:
    coarse = np.random.default_rng(seed).integers(0, 256, (height // grain + 1, width // grain + 1), np.uint8)
    found = locate(cv2.resize(coarse, (width, height)))
    if found is not None:
        assert 0 <= found.box.left_px < found.box.left_px + found.box.width_px <= width
        assert 0 <= found.box.top_px < found.box.top_px + found.box.height_px <= height
        assert 0.3 <= found.score <= 1


@pytest.mark.parametrize("shape", [(3, 65_000), (65_000, 3), (1, 1), (4_000, 5_000)])
def test_extreme_shapes_are_searched(shape: tuple[int, int]) -> None:
    found = locate(np.random.default_rng(2).integers(0, 256, shape, np.uint8))
    assert found is None or found.score < 1


def test_where_a_plate_is_does_not_show_in_a_repr() -> None:
    assert "Box" not in repr(Proposed(Box(1, 2, 3, 4), 0.5))


def test_a_search_of_a_full_hd_picture_takes_a_few_milliseconds(scenes: list[Scene]) -> None:
    threads = cv2.getNumThreads()
    cv2.setNumThreads(1)
    took_ms = []
    for one in scenes:
        luma = cv2.resize(one.luma, (1_920, 1_080))
        start = time.thread_time_ns()
        locate(luma)
        took_ms.append((time.thread_time_ns() - start) / 1e6)
    cv2.setNumThreads(threads)
    print(f"median {np.median(took_ms):.1f} ms, most {max(took_ms):.1f} ms")
    assert float(np.median(took_ms)) < 16  # 4 on the machine it was measured on; CPU time, one thread
