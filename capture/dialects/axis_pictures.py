"""Which of the pictures an Axis plate reader sends is the plate and which the scene, and where the plate is. Pure.

It says so in four places, none of them always there: the picture's own ImageType, letters in its file name
(`…785523lp_…`), the message's `imageType` for the first picture, and the picture's shape.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from capture.dialects.pictures import decoded, like_a_plate
from capture.dialects.values import text_of
from edge.claim import Box, RawImage, Role

_PICTURES_MAX = 8
_IN_NAME = re.compile(r"(?:^|[\d_-])(lp|plate|roi|vehicle|car|frame|full)(?=[_.-]|$)", re.IGNORECASE)
_PATCH_KINDS = frozenset({"lp", "plate", "licenseplate", "license plate"})
_CROPS = frozenset({"roi", "vehicle", "car"})
_FRAMES = frozenset({"frame", "full", "fullframe", "full frame"})


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
        data = decoded(entry.get("BinaryImage")) if isinstance(entry, dict) else b""
        if data:
            found.append(Sent("", text_of(entry.get("ImageType")) or "", data))
    return found


def sorted_out(pictures: Sequence[Sent], value: Mapping[str, Any]) -> tuple[RawImage, ...]:
    """At most one picture for each role, the plate first."""
    taken: dict[Role, RawImage] = {}
    for position, sent in enumerate(pictures):
        kind = _kind(sent, position, text_of(value.get("imageType")) or "")
        role = Role.PLATE_PATCH if kind in _PATCH_KINDS or (not kind and like_a_plate(sent.data)) else Role.OVERVIEW
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
