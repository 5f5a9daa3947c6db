"""The pictures of a message of the dialect `generic`, and where the plate is in them. Pure.

What may not happen here: a picture under a role that the mapping does not give it; a box on anything but the overview.
"""

from __future__ import annotations

import base64
import binascii
import math
import re
from typing import Any

from capture.delivery import Delivery
from capture.dialects import words
from capture.dialects.generic_mapping import Plan, Source
from capture.dialects.generic_places import ABSENT, Told, part_named
from edge.claim import Box, RawImage, Role, ScaledBox
from edge.errors import Refused

_SIDE_MAX = 100_000
_BOX_MAX_CHARACTERS = 100


def pictures(
    told: Told, plan: Plan, delivery: Delivery
) -> tuple[Box | ScaledBox | None, str | None, tuple[RawImage, ...]]:
    """The plate's box on the overview, the same as heard where it is scaled, and the pictures, the plate first."""
    box, heard = _box(told, plan)
    found: list[RawImage] = []
    body_taken = False
    for role in Role:
        data = b""
        for place in plan.places.get(role.value, ()):
            if place.source is Source.BODY:
                if not body_taken and not told.parts and delivery.name.casefold().endswith(place.path.casefold()):
                    data, body_taken = delivery.body, bool(delivery.body)
            elif place.source is Source.PART:
                part = part_named(told.parts, place.path)
                data = b"" if part is None else part.data
            else:
                data = _decoded(told.at(place))
        if not data and (part := part_named(told.parts, role.value)) is not None:
            data = part.data
        if data:
            found.append(RawImage(role, data, box if role is Role.OVERVIEW else None))
    placed = any(image.role is Role.OVERVIEW for image in found)
    return (box if placed else None), (heard if placed else None), tuple(found)


def _decoded(said: Any) -> bytes:
    if said is None or said is ABSENT:
        return b""
    if not isinstance(said, str):
        raise Refused("a picture is neither a text nor a part", reason="bad_member")
    if said.startswith("data:"):
        said = said.partition(",")[2]
    try:
        return base64.b64decode("".join(said.split()), validate=True)
    except (binascii.Error, ValueError):
        raise Refused("a picture is not in base64", reason="bad_base64") from None


def _box(told: Told, plan: Plan) -> tuple[Box | ScaledBox | None, str | None]:
    places = plan.places.get("box", ())
    said = [told.at(place) for place in places]
    if len(said) == 1:
        first = said[0]
        if isinstance(first, str) and len(first) <= _BOX_MAX_CHARACTERS:
            said = [*re.split(r"[,; ]+", first.strip("[]() "))]
        elif isinstance(first, list):
            said = first[:5]
    sides = [_side(each) for each in said]
    if len(sides) != 4 or None in sides:
        return None, None
    left, top, width, height = (side for side in sides if side is not None)
    if plan.box_corners:
        width, height = width - left, height - top
    if width <= 0 or height <= 0:
        return None, None
    if plan.box_scale is None:
        box = Box(round(left), round(top), round(width), round(height))
        return (box if box.width_px and box.height_px else None), None
    if left + width > plan.box_scale or top + height > plan.box_scale:
        return None, None
    heard = f"{left:g},{top:g},{width:g},{height:g}/{plan.box_scale:g}"
    return ScaledBox(left, top, width, height, plan.box_scale), heard


def _side(said: Any) -> float | None:
    if isinstance(said, bool) or not isinstance(said, (str, int, float)):
        return None
    text = str(said) if not isinstance(said, str) else said
    if len(text) > 32 or words.short(text) is None:
        return None
    try:
        number = float(text)
    except ValueError:
        return None
    return number if math.isfinite(number) and 0 <= number <= _SIDE_MAX else None
