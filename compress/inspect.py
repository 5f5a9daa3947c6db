"""The gate before any decoder: what a picture is, from its header alone, or why it is refused.

No pixel is decoded and no memory is taken in proportion to what a header claims.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, replace
from enum import Enum

from compress import cost, jpeg, png
from compress.reason import Reason, refused


class Format(Enum):
    JPEG = "jpeg"
    PNG = "png"
    BMP = "bmp"


@dataclass(frozen=True, slots=True)
class Limits:
    """What is let through to a decoder, so that no picture takes a second or 200 MB (measured: docs/images.md).

    Ordinary JPEGs have at most 12 scans, CMYK ones 18. `max_scanned_samples`: over all scans together; an ordinary
    progressive picture of 48 Mpx has 384 million. `max_unpacked_bytes`: of a PNG before Pillow turns it into pixels.
    `max_memory_bytes`: of decoder, pixels and the two copies of the file, while it is decoded.
    """

    max_source_bytes: int = 8_000_000
    max_source_pixels: int = 50_000_000
    max_scans: int = 20
    max_scanned_samples: int = 600_000_000
    max_unpacked_bytes: int = 128_000_000
    max_memory_bytes: int = 180_000_000


LIMITS = Limits()


@dataclass(frozen=True, slots=True)
class Header:
    """What a picture is. Sizes are as stored, before any turning; `orientation` 1 to 8 as in EXIF; `bits` a sample.
    `reduction`: a JPEG is decoded at one part in so many at least (1, 2, 4 or 8), to keep within the limit of memory;
    `memory_bytes`: what that decode takes."""

    format: Format
    width_px: int
    height_px: int
    bits: int
    channels: int
    orientation: int = 1
    palette: bool = False
    jpeg: jpeg.Facts | None = None
    reduction: int = 1
    memory_bytes: int = 0


_COPIES = 2  # of the file: as it came, and without its metadata
_FOREIGN = (b"RIFF", b"GIF8", b"II*\x00", b"MM\x00*", b"%PDF", b"\x00\x00\x00\x0cjP  ")
_BMP_INFO_SIZES = (40, 52, 56, 64, 108, 124)
# Plain rows or rows with colour masks. Run-length coding is refused: its decoder is slow and no camera sends it.
_BMP_PLAIN = (0, 3)


def inspect(data: bytes, limits: Limits = LIMITS) -> Header:
    """What this picture is. Raises Refused: unsupported_image, too_many_bytes, too_many_pixels, too_many_scans,
    undecodable."""
    if len(data) > limits.max_source_bytes:
        raise refused(Reason.TOO_MANY_BYTES)
    header = _header(data, limits)
    if header.width_px == 0 or header.height_px == 0:
        # A JPEG may give its height after the first scan; nothing that sends plates does.
        raise refused(Reason.UNSUPPORTED_IMAGE)
    if header.width_px * header.height_px > limits.max_source_pixels:
        raise refused(Reason.TOO_MANY_PIXELS)
    return _within_memory(header, limits.max_memory_bytes - _COPIES * len(data), limits)


def _within_memory(header: Header, most_bytes: int, limits: Limits) -> Header:
    """The header with the reduction at which the picture may be decoded."""
    pixels, held_bytes = header.width_px * header.height_px, 0
    pixel_bytes = cost.pixel_bytes(header.channels, header.bits)
    if header.jpeg is not None:
        if cost.scanned_samples(header.jpeg) > limits.max_scanned_samples:
            raise refused(Reason.TOO_MANY_SCANS)
        held_bytes = cost.coefficient_bytes(header.jpeg)
    elif pixels * header.channels * header.bits // 8 > limits.max_unpacked_bytes:
        raise refused(Reason.TOO_MANY_PIXELS)
    else:
        # No smaller decode exists: the smaller copy that is worked on stands beside the whole.
        held_bytes = 4 * min(pixels, cost.WHOLE_PX)
    for reduction in cost.REDUCTIONS if header.jpeg is not None else (1,):
        needed = held_bytes + pixel_bytes * pixels // reduction**2
        if needed <= most_bytes:
            return replace(header, reduction=reduction, memory_bytes=needed)
    # The same JPEG in one scan would be decoded row by row.
    raise refused(Reason.TOO_MANY_SCANS if header.jpeg is not None and held_bytes else Reason.TOO_MANY_PIXELS)


def _header(data: bytes, limits: Limits) -> Header:
    if data.startswith(png.SIGNATURE):
        return _png(data)
    if data.startswith(b"BM"):
        return _bmp(data)
    if not data.startswith(_FOREIGN) and jpeg.find(data) >= 0:
        return _jpeg(data, limits)
    raise refused(Reason.UNSUPPORTED_IMAGE)


def _jpeg(data: bytes, limits: Limits) -> Header:
    found = jpeg.facts(data, limits.max_scans)
    if found.bits != 8 or found.sof not in (jpeg.BASELINE, jpeg.EXTENDED, jpeg.PROGRESSIVE):
        raise refused(Reason.UNSUPPORTED_IMAGE)
    return Header(
        Format.JPEG,
        found.width_px,
        found.height_px,
        found.bits,
        len(found.component_ids),
        found.orientation,
        jpeg=found,
    )


def _png(data: bytes) -> Header:
    found = png.facts(data)
    return Header(
        Format.PNG, found.width_px, found.height_px, found.bits, found.channels, found.orientation, found.palette
    )


def _bmp(data: bytes) -> Header:
    try:
        (size,) = struct.unpack_from("<L", data, 14)
        if size == 12:
            width, height, _planes, bits = struct.unpack_from("<HHHH", data, 18)
            coding = 0
        elif size in _BMP_INFO_SIZES:
            width, height, _planes, bits, coding = struct.unpack_from("<llHHL", data, 18)
        else:
            raise refused(Reason.UNSUPPORTED_IMAGE)
    except struct.error:
        raise refused(Reason.UNDECODABLE) from None
    if width < 0:
        raise refused(Reason.UNDECODABLE)
    if coding not in _BMP_PLAIN or bits not in (1, 4, 8, 16, 24, 32):
        raise refused(Reason.UNSUPPORTED_IMAGE)
    # A negative height says only that the rows run downwards.
    return Header(Format.BMP, width, abs(height), bits, 1 if bits <= 8 else 3, palette=bits <= 8)
