"""The image benchmark's own arithmetic: scores of readings, lines of letters, counts of instructions, patches."""

from __future__ import annotations

import importlib
import shutil
import sys
from types import ModuleType

import numpy as np
import pytest
from PIL import Image

from edge.claim import Box
from tests.benchmarks.instructions import Counter, counted, counts, number_in
from tests.benchmarks.reader import LETTERS, NOTHING, Reading, features, line
from tests.benchmarks.scores import accuracy, folded, gain, plate_of
from tests.benchmarks.training import trained


@pytest.fixture
def patch_floor() -> ModuleType:
    """What the benchmark measures with is not among the test packages."""
    for name in ("skimage", "simplejpeg", "ssimulacra2"):
        pytest.importorskip(name, reason=f"{name} of the extra `bench` is not installed")
    return importlib.import_module("tests.benchmarks.patch_floor")


@pytest.mark.parametrize(
    ("wanted", "got", "score"),
    [
        ("AB12", "AB12", 1.0),
        ("AB12", "", 0.0),
        ("", "", 1.0),
        ("AB12", "A812", 0.75),
        ("AB12", "XAB12", 0.8),
        ("AB12", "B12", 0.75),
        ("AB12", "CDEF", 0.0),
    ],
)
def test_accuracy_is_one_less_the_share_that_is_to_be_edited(wanted: str, got: str, score: float) -> None:
    assert accuracy(wanted, got) == pytest.approx(score)
    assert accuracy(got, wanted) == pytest.approx(score)


def test_letters_that_plates_draw_alike_count_the_same() -> None:
    assert folded("OI-o1 7ä") == "01017"


def test_the_gain_is_taken_picture_by_picture() -> None:
    by, error = gain([0.1, 0.9], [0.3, 1.1])
    assert by == pytest.approx(0.2)
    assert error == pytest.approx(0, abs=1e-9)
    assert gain([0.0, 0.0], [0.0, 1.0]) == pytest.approx((0.5, 0.5))
    assert gain([0.5], [0.75]) == (0.25, 0.0)


def test_the_plate_is_cut_where_it_lies_in_a_smaller_picture() -> None:
    whole = np.zeros((100, 200), np.uint8)
    whole[20:40, 60:120] = 255
    small = Image.fromarray(whole[::2, ::2])
    cut = plate_of(small, Box(60, 20, 60, 20), (200, 100))
    assert cut.shape == (10, 30)
    assert cut.min() == 255


def test_a_line_is_the_letters_a_pitch_apart_whose_odds_add_up_to_most() -> None:
    scores = np.full((60, NOTHING), -10.0, np.float32)
    for at, letter in zip((5, 15, 25, 35), "AB12", strict=True):
        scores[at, LETTERS.index(letter)] = 20.0
        scores[at + 1, LETTERS.index("X")] = 15.0  # the same letter, seen from a little further on
    assert line(scores).text == "AB12"
    assert line(scores).score == pytest.approx(4 * 17.0)


def test_a_line_of_too_few_letters_or_of_none_is_nothing() -> None:
    assert line(np.full((60, NOTHING), -10.0, np.float32)) == Reading("", 0.0)
    assert line(np.full((3, NOTHING), 10.0, np.float32)) == Reading("", 0.0)


def test_what_a_window_shows_hardly_depends_on_contrast() -> None:
    strip = np.full((40, 60), 200, np.uint8)
    strip[8:32, 24:30] = 20
    pale = (100 + strip.astype(int) // 2).astype(np.uint8)
    assert features(strip, 2).shape[0] == 17
    assert np.abs(features(strip, 2) - features(pale, 2)).max() < 0.05
    assert not features(np.full((40, 60), 90, np.uint8), 2).any()


def test_training_is_the_same_each_time_and_learns() -> None:
    one, other = trained(40, 2), trained(40, 2)
    assert all(np.array_equal(getattr(one, part), getattr(other, part)) for part in ("hidden", "out", "out_offset"))
    # Most windows hold no letter, and a blank one is the surest of them.
    assert (one.scores(features(np.full((40, 60), 90, np.uint8), 2)) < 0).all()


def test_counts_are_found_in_what_the_tools_write() -> None:
    assert number_in(Counter.PERF, "# started\n\n112628,,instructions:u,1017650,100.00,,\n") == 112_628
    assert number_in(Counter.CALLGRIND, "events: Ir\nsummary: 2682926913\n") == 2_682_926_913
    with pytest.raises(RuntimeError, match="counted nothing"):
        number_in(Counter.PERF, "<not supported>,,instructions:u,0,100.00,,\n")


@pytest.mark.parametrize("counter", list(Counter))
def test_more_work_is_more_instructions(counter: Counter) -> None:
    if not counts(counter):
        pytest.skip(f"{counter.value} does not count on this machine")
    few, many = (counted(counter, [sys.executable, "-S", "-c", f"sum(range({n}))"]) for n in (10, 400_000))
    assert many > few + 400_000


def test_a_failing_child_is_no_count() -> None:
    counter = next((one for one in Counter if counts(one)), None)
    if counter is None:
        pytest.skip("neither perf nor valgrind counts on this machine")
    with pytest.raises(RuntimeError, match="failed"):
        counted(counter, [shutil.which("false") or "false"])


def test_a_patch_is_never_larger_than_it_was_nor_than_the_cap(patch_floor: ModuleType) -> None:
    assert patch_floor.inside((60, 30), 1.0) == (60, 30)
    assert patch_floor.inside((240, 100), 1.0) == (120, 50)
    assert patch_floor.inside((100, 100), 1.0) == (60, 60)


def test_the_finest_is_inside_its_cap_and_fills_it(patch_floor: ModuleType) -> None:
    noise = np.random.default_rng(3).integers(0, 256, (60, 120, 3), np.uint8)
    setting = patch_floor.Setting(0.12, (120, 60), "area", "4:2:0", "ours", 1.0)
    data = patch_floor.finest(Image.fromarray(noise), setting)
    assert data is not None
    assert 2_850 <= len(data) <= 3_000
    assert patch_floor.finest(Image.fromarray(noise), setting, cap=100) is None


def test_a_patch_that_lost_nothing_is_what_the_camera_saw(patch_floor: ModuleType) -> None:
    crop = Image.fromarray(np.random.default_rng(4).integers(0, 256, (50, 100, 3), np.uint8))
    assert patch_floor.to_camera(crop, crop) == pytest.approx(1.0)
    assert patch_floor.to_camera(crop, patch_floor.shrunk(crop, (50, 25), "area")) < 0.9
