"""A PNG's chunks, walked in pure Python: what it is, and the same picture without what stands beside it.

Nothing is inflated here, so no compressed profile or text can grow; the decoder is never shown one.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass

from compress.jpeg import orientation
from compress.reason import Reason, refused

SIGNATURE = b"\x89PNG\r\n\x1a\n"
# An 8 MB file in pieces of 8 kB has about 1,000.
_CHUNKS_MAX = 20_000
_DEPTHS = {0: (1, 2, 4, 8, 16), 2: (8, 16), 3: (1, 2, 4, 8), 4: (8, 16), 6: (8, 16)}
_CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
_PALETTE = 3


@dataclass(frozen=True, slots=True)
class Facts:
    """What a PNG says of itself. `orientation` 1 to 8 as in EXIF."""

    bits: int
    width_px: int
    height_px: int
    channels: int
    palette: bool
    orientation: int


def walk(data: bytes) -> Iterator[tuple[bytes, int, int]]:
    """Each chunk's name, start and end up to IEND; the last may end after the data does."""
    at = len(SIGNATURE)
    for _ in range(_CHUNKS_MAX):
        if at + 8 > len(data):
            return
        name, end = data[at + 4 : at + 8], at + 12 + int.from_bytes(data[at : at + 4], "big")
        yield name, at, end
        if name == b"IEND" or end > len(data):
            return
        at = end


def facts(data: bytes) -> Facts:
    """What this PNG is. Raises Refused "undecodable" where it does not begin with a whole and sensible IHDR."""
    name, start, end = next(walk(data), (b"", 0, 0))
    if name != b"IHDR" or end - start != 25 or end > len(data):
        raise refused(Reason.UNDECODABLE)
    width, height, bits, colour = struct.unpack_from(">LLBB", data, start + 8)
    if bits not in _DEPTHS.get(colour, ()):
        raise refused(Reason.UNDECODABLE)
    turned = next((orientation(data[a + 8 : b - 4]) for name, a, b in walk(data) if name == b"eXIf"), 1)
    return Facts(bits, width, height, _CHANNELS[colour], colour == _PALETTE, turned)


def essential(data: bytes, palette: bool) -> bytes:
    """IHDR, PLTE, IDAT and IEND, and the transparency of a palette; the first header and palette only.

    A colour key (tRNS without a palette) is left out: the picture then shows the colour that was hidden.
    """
    once = {b"IHDR", b"PLTE"} | ({b"tRNS"} if palette else set())
    kept = [SIGNATURE]
    for name, start, end in walk(data):
        if name in (b"IDAT", b"IEND") or name in once:
            kept.append(data[start:end])
            once.discard(name)
    return b"".join(kept)
