"""Pictures against their own baseline: nothing from one picture, the right sign from thirty, each light for itself."""

from __future__ import annotations

import json
import math
import random

import pytest

from edge.eyes import (
    FROZEN_PICTURES,
    LIKENESS_FOUND,
    MEASURES,
    WINDOW_LEAST,
    Eyes,
    Light,
    Scene,
    Sign,
    eyes_restored,
    numbers,
    scene_signs,
)
from edge.read import PictureMeasures
from edge.usual import SAMPLES_ENOUGH, Usual

CLEAR = PictureMeasures(
    scale=1,
    plate_width_px=170,
    plate_height_px=40,
    sharpness=0.18,
    plate_sharpness=0.55,
    luma_p5=26,
    luma_p50=102,
    luma_p95=178,
    clipped=0.003,
    saturation=0.052,
    plate_contrast=0.58,
    surround_contrast=0.12,
    infrared=False,
)


def picture(rng: random.Random, **factors: float) -> dict[str, float]:
    """The numbers of one picture, scattered as pictures of passing vehicles are; `factors` on any of them."""
    found = numbers(CLEAR, 59)
    for name in found:
        word = name.split("/")[0]
        logarithm = word in ("sharpness", "plate_sharpness", "plate_width")
        scatter = rng.gauss(0, 0.3 if "sharp" in word else 0.08)
        factor = factors.get(word, 1.0)
        found[name] = found[name] + math.log(factor) + scatter if logarithm else found[name] * factor * (1 + scatter)
    return found


def commissioned(rng: random.Random) -> tuple[Eyes, float]:
    """Nine days of clear pictures in both lights."""
    eyes, at_s = Eyes(), 0.0
    for hour in range(9 * 24):
        light = Light.DAY if 7 <= hour % 24 < 18 else Light.INFRARED
        for _ in range(20):
            at_s += 180
            eyes.see(picture(rng), light, at_s)
        eyes.judge(at_s)
    return eyes, at_s


def shown(eyes: Eyes, at_s: float, count: int, light: Light = Light.DAY, seed: int = 9, **factors: float) -> set[Sign]:
    rng = random.Random(seed)
    for number in range(count):
        eyes.see(picture(rng, **factors), light, at_s + number)
    return set(eyes.judge(at_s + count).odd)


def test_nothing_is_odd_before_the_baseline_is_settled_nor_in_clear_pictures() -> None:
    rng = random.Random(1)
    assert shown(Eyes(), 0.0, 60, sharpness=0.01) == set()
    eyes, at_s = commissioned(rng)
    for seed in range(30):
        assert shown(eyes, at_s + 1000 * seed, 60, seed=seed) == set()


@pytest.mark.parametrize(
    ("factors", "expected"),
    [
        ({"sharpness": 0.05, "plate_sharpness": 0.05}, {Sign.BLURRED, Sign.PLATE_BLURRED}),
        ({"plate_width": 0.75}, {Sign.PLATE_SMALL}),
        ({"plate_width": 1.3}, {Sign.PLATE_LARGE}),
        ({"plate_contrast": 0.4, "span": 0.5}, {Sign.PLATE_PALE, Sign.HAZY}),
        ({"middle": 0.3}, {Sign.DARK}),
        ({"middle": 1.7}, {Sign.BRIGHT}),
        ({"saturation": 4.0}, {Sign.COLOUR}),
        ({"clipped": 60.0}, {Sign.GLARE}),
        ({"quality": 1.5}, {Sign.EASY}),
    ],
)
def test_each_fault_of_a_picture_has_its_sign(factors: dict[str, float], expected: set[Sign]) -> None:
    eyes, at_s = commissioned(random.Random(2))
    assert shown(eyes, at_s, 60, **factors) == expected


def test_one_picture_a_lorry_in_every_third_and_a_few_say_nothing() -> None:
    eyes, at_s = commissioned(random.Random(3))
    rng = random.Random(4)
    for number in range(60):
        eyes.see(picture(rng, sharpness=0.02 if number % 3 == 0 else 1.0, span=0.4), Light.INFRARED, at_s + number)
    assert shown(eyes, at_s, 1, sharpness=0.01) == set()
    assert Sign.BLURRED not in eyes.judge(at_s + 99).odd
    fresh = eyes_restored(eyes.kept())
    assert shown(fresh, at_s, WINDOW_LEAST - 1, sharpness=0.01) == set()
    assert shown(fresh, at_s + 99, 1, sharpness=0.01) == {Sign.BLURRED}


def test_lights_are_kept_apart() -> None:
    eyes, at_s = commissioned(random.Random(5))
    assert shown(eyes, at_s, 60, Light.INFRARED, sharpness=0.03) == {Sign.BLURRED}
    assert shown(eyes, at_s + 100, 60, Light.DAY) == set()


def test_the_moment_it_began_is_that_of_the_first_such_picture() -> None:
    eyes, at_s = commissioned(random.Random(6))
    rng = random.Random(7)
    for number in range(20):
        eyes.see(picture(rng), Light.DAY, at_s + 10 * number)
    for number in range(20, 45):
        eyes.see(picture(rng, sharpness=0.05), Light.DAY, at_s + 10 * number)
    odd = eyes.judge(at_s + 450).odd[Sign.BLURRED]
    assert abs(odd.since_s - (at_s + 200)) <= 30
    assert odd.off < -4
    assert odd.seen < odd.usual - 2


def test_a_baseline_does_not_follow_a_lens_that_grows_dirty() -> None:
    eyes, at_s = commissioned(random.Random(8))
    before = json.dumps(eyes.kept())
    for day in range(60):
        shown(eyes, at_s + 86400 * day, 60, seed=day, span=1 - day / 100, plate_contrast=1 - day / 100)
    assert json.dumps(eyes.kept()) == before
    assert Sign.HAZY in eyes.judge(at_s + 86400 * 60).odd


def test_a_signed_reset_begins_anew() -> None:
    eyes, at_s = commissioned(random.Random(9))
    eyes.reset()
    assert shown(eyes, at_s, 60, sharpness=0.01) == set()
    assert not eyes.views[Light.DAY].usual.norms


def test_a_baseline_needs_days_and_a_suspect_time_is_not_taken() -> None:
    usual = Usual()
    for hour in range(3 * SAMPLES_ENOUGH):
        usual.sample({"span": 150.0}, 3600.0 * hour)
        assert bool(usual.norms) == (hour >= 6 * 24)
    rng, eyes = random.Random(10), Eyes()
    for hour in range(9 * 24):
        for number in range(30):
            eyes.see(picture(rng), Light.DAY, 3600.0 * hour + number)
        eyes.judge(3600.0 * hour + 60, learn=False)
    assert not eyes.views[Light.DAY].usual.norms


def test_the_same_picture_again_and_again_is_frozen() -> None:
    eyes = Eyes()
    for number in range(FROZEN_PICTURES + 1):
        eyes.see({}, Light.DAY, float(number), (number, *range(11)))  # a time stamp goes on in one part
    odd = eyes.judge(100.0).odd
    assert set(odd) == {Sign.FROZEN}
    assert odd[Sign.FROZEN].since_s == 0.0
    eyes.see({}, Light.DAY, 200.0, tuple(range(100, 112)))
    assert not eyes.judge(201.0).odd
    flat = Eyes()
    for number in range(30):
        flat.see({}, Light.DAY, float(number), (1, 2) + (None,) * 10)
    assert not flat.judge(100.0).odd


def test_a_scene_has_moved_only_where_the_shift_fits() -> None:
    still = Scene(0.01, -0.01, 0.0, 70.0, 1.0, 0.03)
    assert scene_signs(still) == {}
    assert set(scene_signs(Scene(0.1, 0.0, 0.0, 50.0, 1.0, 0.05))) == {Sign.MOVED}
    assert set(scene_signs(Scene(0.0, 0.0, 3.2, 50.0, 1.0, None))) == {Sign.MOVED}
    assert set(scene_signs(Scene(0.3, 0.2, 0.0, LIKENESS_FOUND - 1, 1.0, 0.5))) == {Sign.UNLIKE}
    assert scene_signs(Scene(0.3, 0.2, 0.0, 20.0, 0.2, 0.9)) == {}  # no edges left: fog, or a dark night
    assert set(scene_signs(Scene(0.0, 0.0, 0.0, 60.0, 0.6, 0.45))) == {Sign.OCCLUDED}


def test_where_the_camera_looks_is_judged_with_the_rest() -> None:
    eyes = Eyes()
    eyes.see({}, Light.DAY, 0.0)
    eyes.lies(Scene(0.1, 0.0, 0.0, 50.0, 1.0, 0.0), Light.DAY, 10.0)
    sight = eyes.judge(20.0)
    assert {Sign.MOVED, Sign.OCCLUDED} <= sight.judged
    assert Sign.UNLIKE not in sight.judged
    assert sight.odd[Sign.MOVED].since_s == 10.0


def test_numbers_that_are_missing_are_left_out() -> None:
    bare = PictureMeasures(4, None, None, None, None, 1, 2, 3, 0.0, 0.0, None, None, True)
    assert set(numbers(bare, None)) == {"span", "middle", "clipped", "saturation"}
    assert {name.split("/")[0] for name in numbers(CLEAR, 50)} == set(MEASURES)


def test_baselines_are_plain_json_and_come_back() -> None:
    eyes, at_s = commissioned(random.Random(11))
    again = eyes_restored(json.loads(json.dumps(eyes.kept())))
    assert again.kept() == eyes.kept()
    assert shown(again, at_s, 60, sharpness=0.05) == {Sign.BLURRED}
