"""Reads a JPEG's markers to say whether it keeps to the contract's caps.

It never decodes a picture: sizes come from the frame header, and a file whose markers cannot be followed to a final
end-of-image marker is refused.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

PATCH_MOST_BYTES: Final = 3_000
PATCH_MOST_PX: Final = (120, 60)
OVERVIEW_MOST_BYTES: Final = 25_000
"""The three caps are docs/wire.md, 4.1."""

_SOI, _EOI, _SOS = 0xD8, 0xD9, 0xDA
_FRAMES: Final = frozenset({0xC0, 0xC1, 0xC2})  # baseline, extended, progressive: what viewers show
_TABLES: Final = frozenset({0xC4, 0xDB, 0xDD})  # Huffman, quantisation, restart interval
_SCAN_END: Final = re.compile(rb"\xff+[^\x00\xff\xd0-\xd7]", re.DOTALL)


class NotLawful(ValueError):
    """The bytes are no JPEG, or one that holds more than the contract allows."""


@dataclass(frozen=True, slots=True)
class Size:
    width_px: int
    height_px: int


def patch_is_lawful(jpeg: bytes) -> bool:
    """Say whether a plate patch keeps every cap: bytes, pixels, no metadata, nothing after its end."""
    if len(jpeg) > PATCH_MOST_BYTES:
        return False
    try:
        size = measure(jpeg)
    except NotLawful:
        return False
    return size.width_px <= PATCH_MOST_PX[0] and size.height_px <= PATCH_MOST_PX[1]


def overview_is_lawful(jpeg: bytes) -> bool:
    """Say whether an overview keeps every cap; its pixels are not limited by the contract."""
    if len(jpeg) > OVERVIEW_MOST_BYTES:
        return False
    try:
        measure(jpeg)
    except NotLawful:
        return False
    return True


def measure(jpeg: bytes) -> Size:
    """Walk all markers and give the frame's size. Raises NotLawful for metadata, leftovers or broken structure."""
    if jpeg[:2] != bytes((0xFF, _SOI)):
        raise NotLawful("no start of image")
    at, size, scans = 2, None, 0
    while True:
        marker, at = _marker(jpeg, at)
        if marker == _EOI:
            break
        body, at = _segment(jpeg, at)
        if marker in _FRAMES:
            size = _frame(body, size)
        elif marker == _SOS:
            if size is None:
                raise NotLawful("a scan before its frame")
            scans += 1
            at = _after_scan(jpeg, at)
        elif marker not in _TABLES and not _allowed_app(marker, body):
            raise NotLawful("a segment that is not allowed")
    if at != len(jpeg):
        raise NotLawful("bytes after the end of image")
    if size is None or scans == 0:
        raise NotLawful("no picture")
    return size


def _marker(jpeg: bytes, at: int) -> tuple[int, int]:
    start = at
    while jpeg[at : at + 1] == b"\xff":  # fill bytes may precede a marker
        at += 1
    if at == start or at >= len(jpeg):
        raise NotLawful("no marker where one is due")
    return jpeg[at], at + 1


def _segment(jpeg: bytes, at: int) -> tuple[bytes, int]:
    length = int.from_bytes(jpeg[at : at + 2], "big")
    if length < 2 or at + length > len(jpeg):
        raise NotLawful("a segment of impossible length")
    return jpeg[at + 2 : at + length], at + length


def _frame(body: bytes, earlier: Size | None) -> Size:
    if earlier is not None or len(body) < 6:
        raise NotLawful("a second frame, or a short one")
    size = Size(width_px=int.from_bytes(body[3:5], "big"), height_px=int.from_bytes(body[1:3], "big"))
    if size.width_px == 0 or size.height_px == 0 or len(body) != 6 + 3 * body[5]:
        raise NotLawful("a frame without a size")
    return size


def _after_scan(jpeg: bytes, at: int) -> int:
    """Give the place of the marker that ends the entropy-coded data beginning at `at`."""
    found = _SCAN_END.search(jpeg, at)
    if found is None:
        raise NotLawful("a scan without an end")
    return found.start()


def _allowed_app(marker: int, body: bytes) -> bool:
    """Only JFIF's APP0, no longer than the thumbnail it announces, and Adobe's APP14 of its fixed 12 bytes."""
    if marker == 0xE0:
        return len(body) >= 14 and body[:5] == b"JFIF\0" and len(body) == 14 + 3 * body[12] * body[13]
    return marker == 0xEE and len(body) == 12 and body[:5] == b"Adobe"
