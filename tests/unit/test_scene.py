"""Where a camera looks, told from edges: shifts to a cell, a turn of 5 degrees, cover, and frozen pictures."""

from __future__ import annotations

import csv
import io
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image

from compress.fit import fit_and_measure
from compress.scene import (
    COMPARED_EVERY,
    LAST,
    OUTLINES_LEAST,
    SAMPLED_PX,
    Lookout,
    Outline,
    compare,
    look,
    middle,
    restored,
    sampled,
)
from edge.eyes import LIKENESS_FOUND, MOVED_SHARE, OCCLUDED_SHARE, Eyes, Light, Sign, scene_signs
from firmware_config.profile import Caps

SHARED = Path(__file__).resolve().parents[2].parent / "shared"
WIDE, HIGH, MARGIN = 640, 360, 0.25


@pytest.fixture(scope="module")
def photographs() -> list[Any]:
    folder = SHARED / "images"
    if not folder.is_dir():
        pytest.skip(f"no pictures: {folder} is absent")
    rows = csv.DictReader((folder / "SOURCES.tsv").read_text("utf-8").splitlines(), delimiter="\t")
    pictures = [cv2.imread(str(folder / row["file"]), cv2.IMREAD_GRAYSCALE) for row in rows]
    large = [picture for picture in pictures if picture is not None and picture.shape[1] >= 900]
    return [
        cv2.resize(each, (1280, 1280 * each.shape[0] // each.shape[1]), interpolation=cv2.INTER_AREA) for each in large
    ]


def drawn(seed: int, high: int = round(HIGH / (1 - 2 * MARGIN)), wide: int = round(WIDE / (1 - 2 * MARGIN))) -> Any:
    """A road between verges: rectangles, lines and rough ground, larger than what the camera shows of it."""
    rng = np.random.default_rng(seed)
    rough = rng.normal(0, 40, (high // 6, wide // 6)).astype(np.float32)
    scene = 110 + cv2.resize(rough, (wide, high), interpolation=cv2.INTER_CUBIC) * 0.4
    for _ in range(60):
        left, top = int(rng.integers(wide)), int(rng.integers(high))
        size = (int(rng.integers(6, 80)), int(rng.integers(6, 80)))
        cv2.rectangle(scene, (left, top), (left + size[0], top + size[1]), float(rng.uniform(20, 235)), -1)
    for _ in range(8):
        ends = rng.integers(0, [[wide, high]] * 2)
        cv2.line(scene, tuple(map(int, ends[0])), tuple(map(int, ends[1])), 230.0, 4)
    return scene


def shown(scene: Any, x_px: float = 0, y_px: float = 0, turn_deg: float = 0) -> Any:
    """The middle of a scene, as a camera of WIDE x HIGH or of the scene's own shape sees it."""
    high, wide = scene.shape
    matrix = cv2.getRotationMatrix2D((wide / 2, high / 2), turn_deg, 1)
    matrix[:, 2] += (x_px, y_px)
    out = cv2.warpAffine(scene, matrix, (wide, high), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT)
    aside, above = int(wide * MARGIN), int(high * MARGIN)
    return out[above : high - above, aside : wide - aside]


def passing(view: Any, rng: np.random.Generator) -> Any:
    """A vehicle in view, other light, noise, and the JPEG's own mistakes."""
    picture = view.astype(np.float32) * rng.uniform(0.7, 1.15) + rng.uniform(-10, 10)
    high, wide = picture.shape
    size = (int(wide * rng.uniform(0.2, 0.4)), int(high * rng.uniform(0.3, 0.5)))
    left, top = int(rng.uniform(0, wide - size[0])), int(rng.uniform(0.2, 1) * (high - size[1]))
    cv2.rectangle(picture, (left, top), (left + size[0], top + size[1]), float(rng.uniform(10, 240)), -1)
    for _ in range(12):
        at = (left + int(rng.uniform(0, size[0])), top + int(rng.uniform(0, size[1])))
        cv2.circle(picture, at, int(rng.uniform(3, 20)), float(rng.uniform(10, 240)), 3)
    picture += rng.normal(0, 2, picture.shape)
    return cv2.imdecode(cv2.imencode(".jpg", np.clip(picture, 0, 255).astype(np.uint8))[1], cv2.IMREAD_GRAYSCALE)


def outline(picture: Any) -> Outline:
    return look(sampled(picture), picture.shape[1] / picture.shape[0])[0]


def of_many(view: Any, rng: np.random.Generator, count: int = OUTLINES_LEAST) -> Outline:
    return middle([outline(passing(view, rng)) for _ in range(count)])


@pytest.mark.parametrize(("x_px", "y_px"), [(0, 0), (5, 0), (0, -5), (18, 10), (-65, 32), (128, 0)])
def test_a_shift_of_known_pixels_is_found_to_one_cell_of_the_outline(x_px: int, y_px: int) -> None:
    """A cell is a 128th of the width and a 96th of the height: 5 and 3.75 px here. Beyond an eighth of one side,
    where strips no longer overlap with what they were, the shift along the other is not looked at."""
    for seed in range(3):
        scene, rng = drawn(seed), np.random.default_rng(seed)
        found = compare(of_many(shown(scene, x_px, y_px), rng), of_many(shown(scene), rng))
        assert abs(found.shift_x * 128 - x_px / 5) <= 1, found
        assert abs(x_px) > WIDE / 8 or abs(found.shift_y * 96 - y_px / 3.75) <= 1, found
        assert found.likeness >= LIKENESS_FOUND, found
        assert found.turn_deg == 0, found
        assert (Sign.MOVED in scene_signs(found)) == (max(abs(x_px) / WIDE, abs(y_px) / HIGH) >= MOVED_SHARE)


@pytest.mark.parametrize("turn_deg", [-5, 5])
def test_a_turn_of_five_degrees_is_seen(turn_deg: int) -> None:
    for seed in range(4):
        scene, rng = drawn(seed), np.random.default_rng(seed)
        found = compare(of_many(shown(scene, turn_deg=turn_deg), rng), of_many(shown(scene), rng))
        assert scene_signs(found).keys() & {Sign.MOVED, Sign.UNLIKE}, found


def test_photographs_nudged_turned_and_exchanged(photographs: list[Any]) -> None:
    """Backgrounds that nobody drew. Prints how far apart the likenesses of the same and of another scene are."""
    rng, same, turned, other = np.random.default_rng(1), [], [], []
    for number, photograph in enumerate(photographs[::3]):
        before = of_many(shown(photograph), rng)
        high, wide = (round(side * (1 - 2 * MARGIN)) for side in photograph.shape)
        still = compare(of_many(shown(photograph), rng), before)
        moved = compare(of_many(shown(photograph, 0.06 * wide, -0.05 * high), rng), before)
        assert not scene_signs(still), still
        assert abs(moved.shift_x - 0.06) <= 1.2 / 128, moved
        assert abs(moved.shift_y + 0.05) <= 1.2 / 96, moved
        assert Sign.MOVED in scene_signs(moved), moved
        same += [still.likeness, moved.likeness]
        nudged = compare(of_many(shown(photograph, turn_deg=5), rng), before)
        turned.append(bool(scene_signs(nudged).keys() & {Sign.MOVED, Sign.UNLIKE}))
        stranger = photographs[(3 * number + 7) % len(photographs)]
        other.append(compare(of_many(shown(stranger), rng), before).likeness)
    print(f"likeness: same scene {min(same):.0f} to {max(same):.0f}, another {min(other):.0f} to {max(other):.0f};")
    print(f"5 degrees seen in {sum(turned)} of {len(turned)}")
    assert min(same) > LIKENESS_FOUND > max(other)
    assert sum(turned) >= 0.95 * len(turned)


def test_a_cover_over_half_the_view_is_seen_and_a_lorry_in_every_third_picture_is_not() -> None:
    for seed in range(3):
        scene, rng = shown(drawn(seed)), np.random.default_rng(seed)
        before, covered, lorries = of_many(scene, rng), scene.copy(), []
        covered[:, : WIDE // 2] = cv2.GaussianBlur(covered[:, : WIDE // 2], (0, 0), 30)
        found = compare(middle([outline(each) for each in [covered.astype(np.uint8)] * OUTLINES_LEAST]), before)
        assert found.occluded is not None
        assert found.occluded >= OCCLUDED_SHARE, found
        for number in range(OUTLINES_LEAST):
            picture = passing(scene, rng)
            if number % 3 == 0:
                picture[HIGH // 6 :, WIDE // 6 :] = 70
            lorries.append(outline(picture))
        assert not scene_signs(compare(middle(lorries), before))


def test_a_lookout_takes_the_first_pictures_as_its_baseline_and_says_when_the_camera_was_nudged() -> None:
    scene, rng, lookout = drawn(4), np.random.default_rng(4), Lookout()
    still = [lookout.see(outline(passing(shown(scene), rng))) for _ in range(OUTLINES_LEAST + COMPARED_EVERY)]
    assert [scene for scene in still if scene is not None] == still[-1:]
    assert scene_signs(still[-1] or pytest.fail("nothing was compared")) == {}
    nudged = [lookout.see(outline(passing(shown(scene, 60), rng))) for _ in range(LAST)]
    assert Sign.MOVED in scene_signs(nudged[-1] or pytest.fail("nothing was compared"))
    lookout.reset()
    assert lookout.see(outline(shown(scene))) is None
    assert lookout.before is None


def stamped(picture: Any, second: int) -> bytes:
    out = picture.copy()
    cv2.putText(out, f"2026-01-01 12:00:{second:02d}", (20, 40), cv2.FONT_HERSHEY_SIMPLEX, 1, 255, 2)
    return bytes(cv2.imencode(".jpg", out, [cv2.IMWRITE_JPEG_QUALITY, 90])[1])


def frozen_after(pictures: list[bytes]) -> bool:
    eyes = Eyes()
    for number, data in enumerate(pictures):
        picture = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_GRAYSCALE)
        eyes.see({}, Light.DAY, 60.0 * number, look(sampled(picture), 16 / 9)[1])
    return Sign.FROZEN in eyes.judge(60.0 * len(pictures)).odd


def test_a_frozen_picture_is_told_though_its_time_stamp_goes_on_and_a_still_road_is_not_frozen() -> None:
    rng = np.random.default_rng(5)
    view = shown(drawn(1))
    noisy = [np.clip(view + rng.normal(0, 1.5, view.shape), 0, 255).astype(np.uint8) for _ in range(12)]
    assert frozen_after([stamped(noisy[0], second) for second in range(12)])
    assert not frozen_after([stamped(picture, second) for second, picture in enumerate(noisy)])
    dark = [np.clip(rng.normal(3, 1, view.shape), 0, 255).astype(np.uint8) for _ in range(12)]
    assert not frozen_after([stamped(picture, 0) for picture in dark])


def test_samples_are_what_pillow_gives_and_another_size_is_refused() -> None:
    rng = np.random.default_rng(2)
    grey = rng.integers(0, 256, (577, 1021), np.uint8)
    pillow = Image.fromarray(grey).resize(SAMPLED_PX, Image.Resampling.NEAREST)
    assert np.array_equal(sampled(grey), np.asarray(pillow))
    colour = rng.integers(0, 256, (300, 500, 3), np.uint8)
    pillow = Image.fromarray(colour).resize(SAMPLED_PX, Image.Resampling.NEAREST).convert("L")
    assert np.abs(sampled(colour).astype(int) - np.asarray(pillow)).max() <= 1
    with pytest.raises(ValueError, match="SAMPLED_PX"):
        look(grey, 1.7)


def test_what_is_kept_is_eight_rows_of_bytes_and_comes_back() -> None:
    rng = np.random.default_rng(3)
    one = of_many(shown(drawn(2)), rng)
    assert len(one.across) + len(one.down) == 4 * 128 + 4 * 96
    assert restored(one.kept()) == one
    with pytest.raises(ValueError, match="no outline"):
        restored(one.kept() | {"across": "00"})
    with pytest.raises(ValueError, match="needs 30"):
        middle([one] * (OUTLINES_LEAST - 1))


def test_a_look_costs_at_most_a_tenth_of_a_fit(photographs: list[Any]) -> None:
    """As it would be called: Pillow samples the decoded picture. The comparison is made once in twenty pictures."""
    caps = Caps(120, 60, 3000, 25_000)
    for size in ((720, 576), (1280, 720), (1920, 1080), (2592, 1944)):
        ratios = []
        for photograph in photographs[::4]:
            image = Image.fromarray(cv2.cvtColor(cv2.resize(photograph, size), cv2.COLOR_GRAY2RGB))
            image.putpixel((5, 5), (255, 0, 0))
            tinted = Image.blend(image, Image.new("RGB", size, (90, 60, 20)), 0.2)
            out = io.BytesIO()
            tinted.save(out, "JPEG", quality=92)
            data, kept = out.getvalue(), [look(np.asarray(grey(tinted)), 1.7)[0]] * OUTLINES_LEAST
            fit_ms = least_ms(lambda data=data: fit_and_measure(data, caps), 3)
            look_ms = least_ms(lambda tinted=tinted: look(np.asarray(grey(tinted)), 1.7), 9)
            compare_ms = least_ms(lambda kept=kept: compare(middle(kept), kept[0]), 5)
            ratios.append(((look_ms + compare_ms / 20) / fit_ms, look_ms, compare_ms, fit_ms))
        part, *times = (float(np.median([each[at] for each in ratios])) for at in range(4))
        print(f"{size}: look {times[0]:.2f} ms, compare {times[1]:.2f} ms, fit {times[2]:.1f} ms: {part:.3f} of a fit")
        assert part <= 0.13, size  # a tenth, and what a busy machine adds


def grey(image: Image.Image) -> Image.Image:
    return image.resize(SAMPLED_PX, Image.Resampling.NEAREST).convert("L")


def least_ms(work: Callable[[], object], times: int) -> float:
    found = []
    for _ in range(times):
        began = time.thread_time_ns()
        work()
        found.append(time.thread_time_ns() - began)
    return min(found) / 1e6
