"""Which of the pictures an Axis plate reader sends is the plate and which the scene, and where the plate is. Pure.

It says so in four places, none of them always there: the picture's own ImageType, letters in its file name
(`…785523lp_…`), the message's `imageType` for the first picture, and the picture's shape.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from capture.dialects.onvif_values import picture, text_of
from edge.claim import Box, RawImage, Role

_PICTURES_MAX = 8
_IN_NAME = re.compile(r"(?:^|[\d_-])(lp|plate|roi|vehicle|car|frame|full)(?=[_.-]|$)", re.IGNORECASE)
_PATCH_KINDS = frozenset({"lp", "plate", "licenseplate", "license plate"})
_CROPS = frozenset({"roi", "vehicle", "car"})
_FRAMES = frozenset({"frame", "full", "fullframe", "full frame"})
_SEGMENTS_MAX = 64
_SOF = frozenset({0xC0, 0xC1, 0xC2})
_PATCH_MAX_HEIGHT_PX = 160
_PATCH_MIN_ASPECT = 1.9
"""Plates of two lines are less wide; a picture that neither name nor type explains is then an overview."""


@dataclass(frozen=True, slots=True)
class Sent:
    """A picture as it came: its file name or field name, and the type said of it, if any."""

    name: str = field(repr=False)
    kind: str
    data: bytes = field(repr=False)


def in_array(value: Mapping[str, Any]) -> list[Sent]:
    """The pictures of `ImageArray`, in order. Raises `Refused`: `bad_base64`."""
    listed = value.get("ImageArray", value.get("imageArray"))
    entries = listed if isinstance(listed, list) else [listed] if isinstance(listed, dict) else []
    found = []
    for entry in entries[:_PICTURES_MAX]:
        data = picture(entry.get("BinaryImage")) if isinstance(entry, dict) else b""
        if data:
            found.append(Sent("", text_of(entry.get("ImageType")) or "", data))
    return found


def sorted_out(pictures: Sequence[Sent], value: Mapping[str, Any]) -> tuple[RawImage, ...]:
    """At most one picture for each role, the plate first."""
    taken: dict[Role, RawImage] = {}
    for position, sent in enumerate(pictures):
        kind = _kind(sent, position, text_of(value.get("imageType")) or "")
        role = Role.PLATE_PATCH if kind in _PATCH_KINDS or (not kind and _like_a_plate(sent.data)) else Role.OVERVIEW
        box = _box(kind, value) if role is Role.OVERVIEW else None
        taken.setdefault(role, RawImage(role, sent.data, box))
    return tuple(taken[role] for role in Role if role in taken)


def _kind(sent: Sent, position: int, declared: str) -> str:
    in_name = [found[1].lower() for found in _IN_NAME.finditer(sent.name[-200:])]
    for said in (sent.kind.lower(), *in_name):
        if said in _PATCH_KINDS | _CROPS | _FRAMES:
            return said
    return declared.lower() if position == 0 else ""


def _box(kind: str, value: Mapping[str, Any]) -> Box | None:
    """`plateCoordinates` are in the whole frame, `plateCoordinatesRelative` in the crop that is attached."""
    frame, crop = _four(value.get("plateCoordinates")), _four(value.get("plateCoordinatesRelative"))
    if kind in _FRAMES:
        return frame
    if kind in _CROPS:
        return crop
    return frame if frame == crop else None


def _four(value: Any) -> Box | None:
    if not isinstance(value, list) or len(value) != 4:
        return None
    if any(isinstance(n, bool) or not isinstance(n, int) or not 0 <= n < 100_000 for n in value):
        return None
    left, top, width, height = value
    return Box(left, top, width, height) if width and height else None


def _like_a_plate(data: bytes) -> bool:
    size = _size(data)
    return size is not None and size[1] <= _PATCH_MAX_HEIGHT_PX and size[0] >= size[1] * _PATCH_MIN_ASPECT


def _size(data: bytes) -> tuple[int, int] | None:
    """Width and height in px from the header of a PNG or JPEG; None where they do not stand in its first segments."""
    if data.startswith(b"\x89PNG\r\n\x1a\n") and len(data) >= 24:
        width, height = struct.unpack(">II", data[16:24])
        return (width, height) if width and height else None
    at = 2
    for _ in range(_SEGMENTS_MAX):
        if at + 9 > len(data) or data[at] != 0xFF:
            return None
        if data[at + 1] in _SOF:
            height, width = struct.unpack(">HH", data[at + 5 : at + 9])
            return (width, height) if width and height else None
        at += 2 + struct.unpack(">H", data[at + 2 : at + 4])[0]
    return None
