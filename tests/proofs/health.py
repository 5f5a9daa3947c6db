"""Months of cameras: `python -m tests.proofs health --months 6 --seed 1`.

First months in which things go wrong, then as many in which nothing does: what was found, after how long, and false
alarms per camera-day. Fails where a fault is missed, or where there are more than 0.05 false alarms per camera-day.
`--effects` prints instead what weather, dirt and faults do to the numbers of photographs: where the world has its
numbers from.
"""

from __future__ import annotations

import argparse
import csv
import io
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from PIL import Image

from compress.fit import fit_and_measure
from edge.claim import Box
from firmware_config.profile import Caps
from tests.proofs.figures import say, told
from tests.simulation.health_play import MONTH_DAYS, SETTLING_DAYS, Found, History

FALSE_MOST = 0.05
"""Per camera-day: one false alarm in twenty days of one camera."""

IMAGES = Path(__file__).resolve().parents[2].parent / "shared" / "images"
_WIDE_ENOUGH_PX = 900


def played(months: float, seed: int, every_days: float | None, what: str) -> Found:
    history = History(SETTLING_DAYS + round(months * MONTH_DAYS), seed, every_days)
    for _ in told(history.play(), history.days, what):
        pass
    return history.found


def _blurred(picture: Any, sigma_px: float) -> Any:
    return cv2.GaussianBlur(picture, (0, 0), sigma_px)


def _spotted(picture: Any, spots: int, size: float, sigma_px: float, rng: np.random.Generator) -> Any:
    """The picture through a glass with so many spots, `size` of the width each."""
    high, wide = picture.shape[:2]
    mask = np.zeros((high, wide), np.float32)
    for _ in range(spots):
        at = (int(rng.integers(wide)), int(rng.integers(high)))
        cv2.circle(mask, at, int(wide * size * rng.uniform(0.5, 1.5)), 1.0, -1)
    mask = _blurred(mask, wide * size * 0.3)[..., None]
    return picture * (1 - mask) + _blurred(picture, sigma_px) * mask


def effects(rng: np.random.Generator) -> dict[str, Callable[[Any], Any]]:
    def noise(picture: Any) -> Any:
        return picture + rng.normal(0, 2, picture.shape)

    return {
        "clear": lambda p: p,
        "rain": lambda p: _spotted(p * 0.85 + 22, 25, 0.012, 5, rng),
        "fog (half veiled)": lambda p: p * 0.5 + 95,
        "thick fog": lambda p: p * 0.3 + 133,
        "defocus 1 px": lambda p: _blurred(p, 1),
        "defocus 2 px": lambda p: _blurred(p, 2),
        "defocus 4 px": lambda p: _blurred(p, 4),
        "light dirt": lambda p: _spotted(p * 0.8 + 22, 40, 0.03, 6, rng),
        "dirt": lambda p: _spotted(p * 0.6 + 40, 80, 0.05, 8, rng),
        "dusk": lambda p: noise(p * 0.6),
        "lamp out": lambda p: noise(p * 0.3),
        "dark": lambda p: noise(p * 0.12),
    }


def numbers(pixels: Any, box: Box, caps: Caps) -> list[float]:
    out = io.BytesIO()
    Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8)).save(out, "JPEG", quality=92)
    image, seen = fit_and_measure(out.getvalue(), caps, box)
    values = (
        seen.sharpness,
        seen.plate_sharpness,
        seen.plate_contrast,
        seen.surround_contrast,
        seen.luma_p95 - seen.luma_p5,
        seen.luma_p50,
        seen.saturation,
        image.quality,
    )
    return [np.nan if value is None else float(value) for value in values]


def print_effects() -> int:
    caps, rng = Caps(120, 60, 3000, 25_000), np.random.default_rng(3)
    found: dict[str, list[list[float]]] = {}
    for row in csv.DictReader((IMAGES / "SOURCES.tsv").read_text("utf-8").splitlines(), delimiter="\t"):
        pixels = cv2.imread(str(IMAGES / row["file"]))
        if pixels is not None and pixels.shape[1] >= _WIDE_ENOUGH_PX:
            box = Box(*(int(row[f"plate_{part}"]) for part in "xywh"))
            for what, effect in effects(rng).items():
                shown = effect(pixels[..., ::-1].astype(np.float32))
                found.setdefault(what, []).append(numbers(shown, box, caps))
    clear = np.array(found["clear"])
    print(f"{len(clear)} pictures; medians of factors, but middle: levels, quality: difference")
    print("| | sharpness | plate sharpness | plate contrast | to surround | span | middle | saturation | quality |")
    for what, rows in found.items():
        values = np.array(rows)
        with np.errstate(divide="ignore", invalid="ignore"):
            factor = np.nanmedian(values / clear, axis=0)
        middle, quality = np.nanmedian(values[:, 5]), np.nanmedian(values[:, 7] - clear[:, 7])
        shares = " | ".join(f"{factor[at]:.2f}" for at in range(5))
        print(f"| {what} | {shares} | {middle:.0f} | {factor[6]:.2f} | {quality:+.0f} |")
    return 0


def main(argv: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.proofs health", description=__doc__)
    parser.add_argument("--months", type=float, default=1.0, help="of thirty days, after eight of settling (default 1)")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--every-days", type=float, default=9.0, help="from one fault of a camera to its next, about")
    parser.add_argument("--effects", action="store_true", help="what faults do to photographs' numbers")
    options = parser.parse_args(argv)
    if options.effects:
        return print_effects()
    bad = False
    for what, every_days in (("with faults", options.every_days), ("without", None)):
        began_s = time.monotonic()
        found = played(options.months, options.seed, every_days, what)
        say({"history": what, "months": options.months, "seed": options.seed, **found.figures()}, began_s)
        bad |= bool(found.missed) or found.false_per_day() > FALSE_MOST
    return int(bad)
