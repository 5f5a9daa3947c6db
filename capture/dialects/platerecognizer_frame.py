"""Whether a picture is the whole frame that Plate Recognizer read in, or its crop round the vehicle. Pure.

Stream sends the crop unless it is told otherwise (`webhook_image_type`), its boxes are always of the frame, and nothing
in the message says which was sent. What may not happen here: a guess.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from capture.dialects.rekor_members import number

_SIDE_MAX_PX = 100_000
_CROP_MARGIN = 1.3
"""A crop may be a little larger than the vehicle's box; a picture within this of it may be a crop."""

_SEGMENTS_MAX = 64
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}


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


def is_whole_frame(picture: bytes, seen: Corners, vehicle: Corners) -> bool:
    """Whether a picture can only be the frame: it holds both boxes and is much larger than the vehicle."""
    size = jpeg_size_px(picture)
    if size is None:
        return False
    width_px, height_px = size
    holds = max(seen.right, vehicle.right) <= width_px and max(seen.bottom, vehicle.bottom) <= height_px
    return holds and (width_px > vehicle.width * _CROP_MARGIN or height_px > vehicle.height * _CROP_MARGIN)


def jpeg_size_px(data: bytes) -> tuple[int, int] | None:
    """Width and height that a JPEG declares; None where they are not among its first segments."""
    at = 2
    for _ in range(_SEGMENTS_MAX):
        if len(data) < at + 9 or data[at] != 0xFF:
            return None
        if data[at + 1] in _FRAMES:
            return int.from_bytes(data[at + 7 : at + 9]), int.from_bytes(data[at + 5 : at + 7])
        at += 2 + int.from_bytes(data[at + 2 : at + 4])
    return None
