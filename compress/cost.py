"""What decoding a picture would cost, from its header alone. Pure; no pixel is decoded here.

A small file may ask for much: a progressive JPEG is held whole as coefficients, and each of its scans is a pass over
them; a PNG has no smaller decode. The gate compares these numbers with its limits, and a decode is made no larger than
they allow. How near they are to what is measured: docs/images.md.
"""

from __future__ import annotations

from collections.abc import Iterator

from compress.jpeg import PROGRESSIVE, Facts

WHOLE_PX = 10_000_000
"""More pixels than this are not worked on at once: what follows a decode takes up to 17 bytes for each."""

REDUCTIONS = (1, 2, 4, 8)
_BLOCK_SAMPLES = 64
_COEFFICIENT_BYTES = 2


def _blocks(found: Facts) -> Iterator[int]:
    """8x8 blocks of each component, padded to whole units as the decoder holds them (T.81 A.2.4)."""
    factors = [(max(1, factor >> 4), max(1, factor & 15)) for factor in found.sampling]
    across, down = max(wide for wide, _ in factors), max(high for _, high in factors)
    for wide, high in factors:
        columns = -(-found.width_px * wide // (8 * across))
        rows = -(-found.height_px * high // (8 * down))
        yield -(-columns // wide) * wide * (-(-rows // high) * high)


def coefficient_bytes(found: Facts) -> int:
    """What a JPEG decoder holds until the last scan, at whatever size it decodes. None of a picture whose first scan
    has all components and is not progressive: that is decoded row by row."""
    if found.sof != PROGRESSIVE and (not found.scanned or len(found.scanned[0]) >= len(found.sampling)):
        return 0
    return sum(_blocks(found)) * _BLOCK_SAMPLES * _COEFFICIENT_BYTES


def scanned_samples(found: Facts) -> int:
    """Samples gone over in all scans together: time goes with it, however few bytes a scan has."""
    of_each = dict(zip(found.component_ids, _blocks(found), strict=True))
    return sum(of_each.get(name, 0) for scan in found.scanned for name in scan) * _BLOCK_SAMPLES


def pixel_bytes(channels: int, bits: int) -> int:
    """Of one decoded pixel as Pillow holds it: more than one channel always takes four bytes."""
    return 4 if channels > 1 else 2 if bits == 16 else 1


def whole_reduction(pixels: int) -> int:
    """The least reduction at which a picture of so many pixels may be worked on whole."""
    return next((part for part in REDUCTIONS if pixels <= WHOLE_PX * part * part), REDUCTIONS[-1])


def largest(size: tuple[int, int], reduction: int) -> tuple[int, int]:
    """The size, in px, of which a picture may be worked on whole; `reduction`: the least that its decode allows."""
    part = max(reduction, whole_reduction(size[0] * size[1]))
    return (-(-size[0] // part), -(-size[1] // part))
