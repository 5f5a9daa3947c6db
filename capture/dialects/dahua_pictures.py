"""The pictures of a Dahua delivery: which is the scene, which the plate, and where in the scene the plate is. Pure.

The streams send pictures without names: the scene before its crops. A crop of a vehicle must not pass for a plate's.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping, Sequence

from capture.dialects import words
from capture.dialects.dahua_events import whole
from edge.claim import Box, RawImage, Role, ScaledBox
from edge.errors import Refused

GRID = 8192
_NO_SIZE_MARKERS = frozenset({0x01, *range(0xD0, 0xD9)})
_NOT_FRAMES = frozenset({0xC4, 0xC8, 0xCC})
_SEGMENTS_MAX = 512


def streamed(pictures: Sequence[bytes], box: ScaledBox | None) -> tuple[RawImage, ...]:
    """The largest as the scene, with the plate's box, and the smallest as the plate where it has the look of one: much
    smaller than the scene, and wider than high."""
    sized = [(size, data) for data in pictures if (size := pixels(data)) is not None]
    if not sized:
        return ()
    scene_size, scene = max(sized, key=lambda picture: picture[0][0] * picture[0][1])
    size, smallest = min(sized, key=lambda picture: picture[0][0] * picture[0][1])
    overview = RawImage(Role.OVERVIEW, scene, box)
    if 4 * size[0] <= scene_size[0] and size[0] >= size[1]:
        return RawImage(Role.PLATE_PATCH, smallest), overview
    return (overview,)


def pushed(said: Mapping[str, str]) -> tuple[RawImage, ...]:
    """The pictures of a TollgateInfo. `BoundingBox` is in pixels of the scene: told only where it fits into it."""
    plate = _based(said.get("Picture.CutoutPic.Content"))
    scene = _based(said.get("Picture.NormalPic.Content"))
    vehicle = b"" if scene else _based(said.get("Picture.VehiclePic.Content"))
    found = [RawImage(Role.PLATE_PATCH, plate)] if plate else []
    if scene:
        found.append(RawImage(Role.OVERVIEW, scene, _in_scene(corners(said, "Picture.Plate.BoundingBox"), scene)))
    elif vehicle:
        found.append(RawImage(Role.OVERVIEW, vehicle))
    return tuple(found)


def corners(said: Mapping[str, str], path: str) -> tuple[int, int, int, int] | None:
    """Left, top, width and height out of left, top, right and bottom; None where that is no rectangle."""
    left, top, right, bottom = (whole(said.get(f"{path}.{index}")) for index in range(4))
    if left is None or top is None or right is None or bottom is None:
        return None
    if not (0 <= left < right <= 65_535 and 0 <= top < bottom <= 65_535):
        return None
    return left, top, right - left, bottom - top


def in_grid(said: Mapping[str, str], *paths: str) -> ScaledBox | None:
    """The first of these boxes that is one, in the grid of 8192 by 8192 that events use."""
    for path in paths:
        box = corners(said, path)
        if box is not None and box[0] + box[2] <= GRID and box[1] + box[3] <= GRID:
            return ScaledBox(*box, GRID)
    return None


def pixels(data: bytes) -> tuple[int, int] | None:
    """Width and height as a JPEG's frame header or a PNG says them; None where it is neither."""
    if not words.is_picture(data):
        return None
    if data.startswith(b"\x89PNG"):
        size = (int.from_bytes(data[16:20], "big"), int.from_bytes(data[20:24], "big"))
        return size if len(data) >= 24 and all(size) else None
    at = 2
    for _ in range(_SEGMENTS_MAX):
        if data[at : at + 1] != b"\xff" or at + 9 > len(data):
            return None
        marker = data[at + 1]
        if marker == 0xFF:
            at += 1
        elif marker in _NO_SIZE_MARKERS:
            at += 2
        elif 0xC0 <= marker <= 0xCF and marker not in _NOT_FRAMES:
            height, width = int.from_bytes(data[at + 5 : at + 7], "big"), int.from_bytes(data[at + 7 : at + 9], "big")
            return (width, height) if width and height else None
        else:
            at += 2 + max(2, int.from_bytes(data[at + 2 : at + 4], "big"))
    return None


def _in_scene(box: tuple[int, int, int, int] | None, scene: bytes) -> Box | None:
    size = pixels(scene)
    if box is None or size is None or box[0] + box[2] > size[0] or box[1] + box[3] > size[1]:
        return None
    return Box(*box)


def _based(text: str | None) -> bytes:
    """A picture out of base64; nothing where there is none or it is no picture. Raises `Refused`."""
    if not text:
        return b""
    if text.startswith("data:"):
        text = text.partition(",")[2]
    try:
        data = base64.b64decode("".join(text.split()), validate=True)
    except (binascii.Error, ValueError):
        raise Refused("a picture is not in base64", reason="bad_base64") from None
    return data if words.is_picture(data) else b""
