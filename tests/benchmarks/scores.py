"""How a reading is scored, and what of a picture is given to be read. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from math import sqrt
from statistics import mean, stdev
from typing import Any

import numpy as np
from PIL import Image

from edge.claim import Box

_ALIKE = str.maketrans("OI", "01")


def folded(text: str) -> str:
    """Letters and digits alone, with O as 0 and I as 1, which many plates draw alike."""
    return "".join(letter for letter in text.upper() if letter.isascii() and letter.isalnum()).translate(_ALIKE)


def accuracy(wanted: str, got: str) -> float:
    """1 less the edit distance as a share of the longer text; both empty is 1."""
    before = list(range(len(got) + 1))
    for row, letter in enumerate(wanted, 1):
        now = [row]
        for column, other in enumerate(got, 1):
            now.append(min(now[-1] + 1, before[column] + 1, before[column - 1] + (letter != other)))
        before = now
    longer = max(len(wanted), len(got))
    return 1 - before[-1] / longer if longer else 1.0


def gain(plain: Sequence[float], other: Sequence[float]) -> tuple[float, float]:
    """The mean of the differences picture by picture, and its standard error (0 where there is one picture)."""
    apart = [after - before for before, after in zip(plain, other, strict=True)]
    return mean(apart), stdev(apart) / sqrt(len(apart)) if len(apart) > 1 else 0.0


def plate_of(
    picture: Image.Image, box: Box, source: tuple[int, int] | None = None
) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """The plate's box, grey; `source`: the size in px that the box counts in, where it is not this picture's."""
    wide, high = source or picture.size
    across, down = picture.width / wide, picture.height / high
    left, top = max(0, round(box.left_px * across)), max(0, round(box.top_px * down))
    right = max(left + 1, min(picture.width, round((box.left_px + box.width_px) * across)))
    bottom = max(top + 1, min(picture.height, round((box.top_px + box.height_px) * down)))
    return np.asarray(picture.convert("L").crop((left, top, right, bottom)), dtype=np.uint8)
