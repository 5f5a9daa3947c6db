"""Pictures as dialects meet them: base64 in a text, the size that they declare, what their shape says. Pure.

An XML with two pictures in it is far larger than any that `capture.documents` reads, and a parser has no business with
a picture: they are taken out before it is parsed. What may not happen here: half a picture; a picture decoded; time
that is not linear in the size of the body.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Mapping
from typing import Any

from edge.claim import Role
from edge.errors import Refused

# It can begin only where a run begins (the lookbehind), so each byte is looked at a fixed number of times.
_RUN = re.compile(rb"(?<![A-Za-z0-9+/=\s])[A-Za-z0-9+/=\s]{1024,}")
_PNG = b"\x89PNG\r\n\x1a\n"
_SEGMENTS_MAX = 64
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_PATCH_MAX_HEIGHT_PX = 160
_PATCH_MIN_ASPECT = 1.9
"""Cameras that read plates see 16:9 or squarer; plates of one line are twice as wide as high, or more."""


def apart(body: bytes) -> tuple[bytes, Mapping[str, str]]:
    """The body with a short word in the place of each long run of base64, and the run by its word."""
    runs: dict[str, str] = {}

    def word(run: re.Match[bytes]) -> bytes:
        name = f"run-{len(runs)}"
        runs[name] = run[0].decode("ascii")
        return name.encode()

    return _RUN.sub(word, body), runs


def decoded(value: Any) -> bytes:
    """The bytes of a picture in base64, with or without line breaks or a `data:` in front; empty for none.

    Raises `Refused` (`bad_base64`): a picture that was cut off is not kept.
    """
    text = value.strip() if isinstance(value, str) else ""
    if text.startswith("data:"):
        text = text.partition(",")[2]
    try:
        return base64.b64decode("".join(text.split()), validate=True)
    except (binascii.Error, ValueError):
        raise Refused("a picture is not in base64", reason="bad_base64") from None


def size_px(data: bytes) -> tuple[int, int] | None:
    """Width and height that a JPEG or PNG declares; None where they are not among its first segments."""
    if data.startswith(_PNG):
        return _both(data[16:20], data[20:24]) if len(data) >= 24 else None
    at = 2
    for _ in range(_SEGMENTS_MAX):
        if len(data) < at + 9 or data[at] != 0xFF:
            return None
        if data[at + 1] in _FRAMES:
            return _both(data[at + 7 : at + 9], data[at + 5 : at + 7])
        at += 2 + int.from_bytes(data[at + 2 : at + 4])
    return None


def _both(width: bytes, height: bytes) -> tuple[int, int] | None:
    size = int.from_bytes(width), int.from_bytes(height)
    return size if all(size) else None


def like_a_plate(data: bytes) -> bool:
    """Whether a picture among others can only be a plate's: small, and wide. Plates of two lines are less wide."""
    size = size_px(data)
    return size is not None and size[1] <= _PATCH_MAX_HEIGHT_PX and size[0] >= size[1] * _PATCH_MIN_ASPECT


def role_by_shape(data: bytes) -> Role:
    """What the only picture of a read is, where its vendor keeps either kind under one name: the plate where it is
    wider than any sensor or lower than any scene that is worth keeping, else the scene."""
    size = size_px(data)
    if size is None:
        return Role.OVERVIEW
    plate = size[1] <= _PATCH_MAX_HEIGHT_PX or size[0] >= size[1] * _PATCH_MIN_ASPECT
    return Role.PLATE_PATCH if plate else Role.OVERVIEW
