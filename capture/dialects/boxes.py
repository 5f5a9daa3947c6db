"""Rectangles as vendors write them: corners in pixels, or shares of the picture that was read. Pure.

What may not happen here: a box that lies outside its picture.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from capture.dialects.members import number
from edge.claim import ScaledBox

_SIDE_MAX_PX = 100_000


@dataclass(frozen=True, slots=True)
class Corners:
    """A rectangle in pixels of the frame."""

    left: int
    top: int
    right: int
    bottom: int

    @property
    def width(self) -> int:
        return self.right - self.left

    @property
    def height(self) -> int:
        return self.bottom - self.top


def corners(box: Any) -> Corners | None:
    """`{"xmin", "ymin", "xmax", "ymax"}` in pixels, None where it is no rectangle."""
    told = [number(box, side) for side in ("xmin", "ymin", "xmax", "ymax")]
    sides = [round(side) for side in told if side is not None and 0 <= side <= _SIDE_MAX_PX]
    if len(sides) != 4 or sides[0] >= sides[2] or sides[1] >= sides[3]:
        return None
    return Corners(*sides)


def scaled(box: tuple[float, float, float, float], width: float, height: float) -> ScaledBox | None:
    """Left, top, right, bottom in a picture of that size, as shares of it; None unless it lies inside.

    Shares stay right when the picture sent is a smaller copy of the one that was read.
    """
    left, top, right, bottom = box
    if not (0 <= left < right <= width and 0 <= top < bottom <= height):
        return None
    return ScaledBox(left / width, top / height, (right - left) / width, (bottom - top) / height, 1.0)
