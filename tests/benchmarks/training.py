"""Makes the reader: plates are drawn, spoilt as cameras and codecs spoil them, and two layers are trained on them.

No photograph is used, so none of the pictures the reader is asked about helped to make it. It takes a minute and is
kept in the cache folder under the seed, the fonts and the version.
"""

from __future__ import annotations

from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path

import cv2
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from tests.benchmarks.pictures import cache_dir
from tests.benchmarks.reader import (
    LETTER_PX,
    LETTERS,
    NOTHING,
    WINDOW_HIGH_PX,
    WINDOW_WIDE_PX,
    Bytes,
    Floats,
    Reader,
    features,
)

SEED = 20_240_607
FONTS = ("LiberationSansNarrow-Bold", "LiberationSans-Bold", "DejaVuSansCondensed-Bold", "DejaVuSansMono-Bold")
"""Of Debian's fonts-liberation and fonts-dejavu; Pillow's own is used beside them, and alone where none is there."""

_VERSION = 4
_STRIPS = 6_000
_HIDDEN = 224
_ROUNDS, _BATCH = 10, 256
_DRAWN_PX = 64
_Font = ImageFont.FreeTypeFont | ImageFont.ImageFont


def fonts_found() -> tuple[str, ...]:
    """The names of those of FONTS that are installed."""
    return tuple(name for name in FONTS if _font(name) is not None)


def made(strips: int = _STRIPS, rounds: int = _ROUNDS) -> Reader:
    """The reader, from the cache where it is there."""
    key = sha256(repr((_VERSION, SEED, fonts_found(), strips, rounds, cv2.__version__)).encode()).hexdigest()[:12]
    kept = cache_dir() / f"reader-{key}.npz"
    if not kept.exists():
        _keep(kept, trained(strips, rounds))
    with np.load(kept) as parts:
        return Reader(*(parts[name] for name in ("hidden", "hidden_offset", "out", "out_offset")))


def trained(strips: int, rounds: int) -> Reader:
    """The reader after so many drawn plates and rounds over their windows."""
    chance = np.random.default_rng(SEED)
    pairs = list(_windows(chance, strips))
    shown = np.concatenate([windows for windows, _ in pairs])
    letters = np.concatenate([which for _, which in pairs])
    return _fitted(chance, shown, letters, rounds)


def _fitted(chance: np.random.Generator, shown: Floats, letters: np.ndarray, rounds: int) -> Reader:
    """Adam on the cross entropy, its step falling to nothing along a half cosine."""
    sizes = ((shown.shape[1], _HIDDEN), (_HIDDEN,), (_HIDDEN, NOTHING + 1), (NOTHING + 1,))
    parts = [chance.normal(0, np.sqrt(2 / size[0]) if len(size) == 2 else 0, size).astype(np.float32) for size in sizes]
    means, squares = [np.zeros_like(part) for part in parts], [np.zeros_like(part) for part in parts]
    steps, step = rounds * (len(shown) // _BATCH), 0
    for _ in range(rounds):
        order = chance.permutation(len(shown))
        for first in range(0, len(order) - _BATCH + 1, _BATCH):
            batch = order[first : first + _BATCH]
            step += 1
            rate = 0.001 * (1 + np.cos(np.pi * step / steps))
            for index, slope in enumerate(_slopes(parts, shown[batch], letters[batch])):
                means[index] += 0.1 * (slope - means[index])
                squares[index] += 0.001 * (slope * slope - squares[index])
                root = np.sqrt(squares[index] / (1 - 0.999**step)) + 1e-8
                parts[index] -= rate * (means[index] / (1 - 0.9**step)) / root
    return Reader(*parts)


def _slopes(parts: list[Floats], shown: Floats, letters: np.ndarray) -> tuple[Floats, ...]:
    hidden, hidden_offset, out, out_offset = parts
    active = np.maximum(shown @ hidden + hidden_offset, 0)
    raw = active @ out + out_offset
    chances = np.exp(raw - raw.max(axis=1, keepdims=True))
    chances /= chances.sum(axis=1, keepdims=True)
    chances[np.arange(len(letters)), letters] -= 1
    chances /= len(letters)
    back = (chances @ out.T) * (active > 0)
    return shown.T @ back, back.sum(axis=0), active.T @ chances, chances.sum(axis=0)


def _windows(chance: np.random.Generator, strips: int) -> Iterator[tuple[Floats, np.ndarray]]:
    """The windows of each drawn plate: one on every letter, and twice as many where none is in the middle."""
    fonts: list[_Font] = [font for font in (_font(name) for name in FONTS) if font is not None]
    fonts.append(ImageFont.load_default(_DRAWN_PX))
    for _ in range(strips):
        strip, middles, which = _plate(chance, fonts[chance.integers(len(fonts))])
        shown = features(strip, 1)
        centres = np.arange(len(shown)) + WINDOW_WIDE_PX / 2
        apart = np.abs(centres[:, None] - middles[None, :])
        nearest = apart.argmin(axis=1)
        least = apart[np.arange(len(shown)), nearest]
        on = [int(chance.choice(np.flatnonzero((nearest == each) & (least < 2.5)))) for each in range(len(which))]
        off = chance.choice(np.flatnonzero(least > 6), 2 * len(which))
        yield shown[[*on, *off]], np.concatenate([which, np.full(2 * len(which), NOTHING)])
        # The same letters too high, too low or cut: no letter is to be seen in a wrong row.
        moved = np.roll(strip, int(chance.choice([-1, 1]) * chance.integers(8, 20)), axis=0)
        some = chance.choice(on, 2)
        yield features(moved, 1)[some], np.full(2, NOTHING)


def _plate(chance: np.random.Generator, font: _Font) -> tuple[Bytes, Floats, np.ndarray]:
    """A strip as high as a window, the middles of its letters in its px, and which they are."""
    which = chance.integers(0, NOTHING, chance.integers(5, 9))
    text = [LETTERS[letter] for letter in which]
    text = [{"0": "O", "1": "I"}.get(letter, letter) if chance.random() < 0.3 else letter for letter in text]
    drawn, middles = _drawn(chance, font, text)
    wide = chance.uniform(0.6, 1.15) * LETTER_PX / _DRAWN_PX * 1.35
    high = LETTER_PX / _letter_px(font) * chance.uniform(0.88, 1.14)
    shear = chance.uniform(-0.12, 0.12)
    middle = drawn.shape[0] / 2
    down = WINDOW_HIGH_PX / 2 + chance.uniform(-2.5, 2.5)
    width = round(drawn.shape[1] * wide)
    lean = chance.uniform(-0.04, 0.04)
    matrix = np.array([[wide, shear, -shear * middle], [lean * wide, high, down - high * middle - lean * width / 2]])
    strip = cv2.warpAffine(
        drawn, matrix, (width, WINDOW_HIGH_PX), flags=cv2.INTER_AREA, borderMode=cv2.BORDER_REPLICATE
    )
    return _spoilt(chance, np.asarray(strip, np.uint8)), np.asarray(np.array(middles) * wide, np.float32), which


def _drawn(chance: np.random.Generator, font: _Font, text: list[str]) -> tuple[Bytes, list[float]]:
    canvas = Image.new("L", (160 + 110 * len(text), 120), 255)
    pen, at, middles = ImageDraw.Draw(canvas), 60.0, []
    stroke, gap = int(chance.integers(0, 3)), chance.uniform(3, 18)
    badge = int(chance.integers(2, 5))
    for index, letter in enumerate(text):
        if index == badge and chance.random() < 0.7:
            _badge(chance, pen, at)
            at += chance.uniform(24, 60)
        left, _, right, _ = pen.textbbox((0, 0), letter, font=font, stroke_width=stroke)
        pen.text((at - left, 60), letter, font=font, fill=0, anchor="lm", stroke_width=stroke, stroke_fill=0)
        middles.append(at + (right - left) / 2)
        at += right - left + gap
    for row in (chance.uniform(0, 22), chance.uniform(98, 120)):
        if chance.random() < 0.5:
            pen.rectangle((0, row, canvas.width, row + chance.uniform(2, 14)), fill=int(chance.integers(0, 160)))
    if chance.random() < 0.5:
        _beside(chance, pen, 0, 60 - chance.uniform(4, 40))
    if chance.random() < 0.3:
        _beside(chance, pen, at - gap + chance.uniform(4, 40), canvas.width)
    return np.asarray(canvas.crop((0, 0, round(at + 60), 120))), middles


def _badge(chance: np.random.Generator, pen: ImageDraw.ImageDraw, at: float) -> None:
    """What stands between letters on many plates and is none: a dash, dots one above the other, a crest."""
    middle, half = at + 10, chance.uniform(4, 12)
    count = int(chance.integers(1, 4))
    for down in np.linspace(-18, 18, count) if count > 1 else chance.uniform(-14, 4, 1):
        high = min(chance.uniform(2, 20), 30 / count)
        shade, edge = (int(one) for one in chance.integers(0, 230, 2))
        area = (middle - half, 60 + down - high, middle + half, 60 + down + high)
        (pen.ellipse if chance.random() < 0.5 else pen.rectangle)(area, fill=shade, outline=edge, width=3)


def _beside(chance: np.random.Generator, pen: ImageDraw.ImageDraw, left: float, right: float) -> None:
    """A band with a sign in it, the plate's own edge, or what lies beyond it."""
    shade = int(chance.integers(0, 200))
    pen.rectangle((left, 0, right, 120), fill=shade)
    middle, sign = (left + right) / 2, 255 - shade
    if chance.random() < 0.6:
        pen.ellipse((middle - 12, 25, middle + 12, 49), outline=sign, width=int(chance.integers(1, 4)))
        pen.text((middle, 85), "".join(chance.choice(list(LETTERS), 2)), font_size=26, fill=sign, anchor="mm")


def _spoilt(chance: np.random.Generator, strip: Bytes) -> Bytes:
    """Fewer pixels, less contrast, light that falls off, blur, noise and coding."""
    values = strip.astype(np.float32) / 255
    dark, light = sorted(chance.uniform(0, 1, 2))
    if light - dark < 0.15:
        dark, light = max(0.0, dark - 0.1), min(1.0, light + 0.1)
    if chance.random() < 0.15:
        values = 1 - values
    values = (dark + values * (light - dark)) * np.linspace(1, chance.uniform(0.7, 1), strip.shape[1], dtype=np.float32)
    part = chance.uniform(0.28, 1.0)
    small = (max(8, round(strip.shape[1] * part)), max(8, round(strip.shape[0] * part)))
    values = cv2.resize(cv2.GaussianBlur(values, (0, 0), chance.uniform(0.3, 1.6)), small, interpolation=cv2.INTER_AREA)
    values += chance.normal(0, chance.uniform(0, 0.04), values.shape).astype(np.float32)
    coded = cv2.imencode(
        ".jpg", np.clip(values * 255, 0, 255).astype(np.uint8), [cv2.IMWRITE_JPEG_QUALITY, int(chance.integers(25, 96))]
    )[1]
    seen = cv2.imdecode(coded, cv2.IMREAD_GRAYSCALE)
    assert seen is not None
    return np.asarray(cv2.resize(seen, (strip.shape[1], strip.shape[0]), interpolation=cv2.INTER_CUBIC), dtype=np.uint8)


def _font(name: str) -> ImageFont.FreeTypeFont | None:
    try:
        return ImageFont.truetype(f"{name}.ttf", _DRAWN_PX)
    except OSError:
        return None


def _letter_px(font: _Font) -> float:
    _, top, _, bottom = font.getbbox("H")
    return float(bottom - top)


def _keep(path: Path, reader: Reader) -> None:
    np.savez(
        path,
        hidden=reader.hidden,
        hidden_offset=reader.hidden_offset,
        out=reader.out,
        out_offset=reader.out_offset,
    )
