"""Drawn pictures that carry a number which can be read back, and their way into RTP packets. Pure.

RTP after RFC 3550, JPEG in it after RFC 2435 (quantisation tables in band), MPEG-4 Visual after RFC 6416.
"""

from __future__ import annotations

import io
import struct
from collections.abc import Iterator
from dataclasses import dataclass

from PIL import Image, ImageDraw

CLOCK_HZ = 90_000
JPEG_PAYLOAD_TYPE = 26
FRAGMENT_BYTES = 1400

_COLUMNS, _ROWS = 28, 2
_NUMBER_BITS, _CHECK_BITS = 48, 8
_SOF0, _DQT, _SOS = 0xC0, 0xDB, 0xDA


@dataclass(frozen=True, slots=True)
class Packets:
    """Numbers the packets of one RTP stream."""

    ssrc: int
    payload_type: int
    first: int = 0

    def header(self, count: int, timestamp: int, *, last: bool) -> bytes:
        """The RTP header of packet `count`; `last` marks the end of a picture."""
        marked = self.payload_type | (0x80 if last else 0)
        return struct.pack(">BBHII", 0x80, marked, (self.first + count) & 0xFFFF, timestamp & 0xFFFFFFFF, self.ssrc)


def draw(number: int, size_px: tuple[int, int] = (640, 360), quality: int = 80) -> bytes:
    """A JPEG (4:2:0, baseline, the standard Huffman tables) of a road-grey picture with `number` (48 bits) as dark and
    bright blocks in its top rows, and a bar that moves with it."""
    picture = Image.new("RGB", size_px, (96, 100, 104))
    pen = ImageDraw.Draw(picture)
    side = size_px[0] // _COLUMNS
    coded = number << _CHECK_BITS | _check(number)
    for bit in range(_COLUMNS * _ROWS):
        left, top = bit % _COLUMNS * side, bit // _COLUMNS * side
        bright = coded >> (_NUMBER_BITS + _CHECK_BITS - 1 - bit) & 1
        pen.rectangle((left, top, left + side - 1, top + side - 1), (235,) * 3 if bright else (20,) * 3)
    at = number // 10 % size_px[0]
    pen.rectangle((at, size_px[1] // 2, at + side, size_px[1] // 2 + side), (200, 40, 40))
    out = io.BytesIO()
    picture.save(out, "JPEG", quality=quality, subsampling="4:2:0")
    return out.getvalue()


def number_in(jpeg: bytes) -> int | None:
    """The number drawn in a picture, whatever it went through; None where its check fails."""
    with Image.open(io.BytesIO(jpeg)) as opened:
        width_px, grey = opened.width, opened.convert("L").tobytes()
    side = width_px // _COLUMNS
    coded = 0
    for bit in range(_COLUMNS * _ROWS):
        left, top = bit % _COLUMNS * side + side // 2, bit // _COLUMNS * side + side // 2
        coded = coded << 1 | (grey[top * width_px + left] > 127)
    number = coded >> _CHECK_BITS
    return number if _check(number) == coded & 0xFF else None


def jpeg_payloads(jpeg: bytes) -> Iterator[bytes]:
    """The payloads of one picture, in order (RFC 2435, 3.1): each with the main header, the first with the tables."""
    tables, width_px, height_px, kind, scan = _parts(jpeg)
    for offset in range(0, len(scan), FRAGMENT_BYTES):
        head = struct.pack(">I", offset) + bytes((kind, 255, width_px // 8, height_px // 8))
        if offset == 0:
            head += struct.pack(">BBH", 0, 0, len(tables)) + tables
        yield head + scan[offset : offset + FRAGMENT_BYTES]


def plain_payloads(data: bytes) -> Iterator[bytes]:
    """The payloads of one MPEG-4 access unit (RFC 6416, 5.2): cut anywhere."""
    for offset in range(0, len(data), FRAGMENT_BYTES):
        yield data[offset : offset + FRAGMENT_BYTES]


def sender_report(ssrc: int, utc_ms: int, timestamp: int, packets: int, octets: int) -> bytes:
    """RTCP SR without report blocks (RFC 3550, 6.4.1)."""
    seconds, rest_ms = divmod(utc_ms, 1000)
    ntp = (seconds + 2_208_988_800) & 0xFFFFFFFF
    fraction = (rest_ms << 32) // 1000
    counts = (timestamp & 0xFFFFFFFF, packets & 0xFFFFFFFF, octets & 0xFFFFFFFF)
    return struct.pack(">BBHIIIIII", 0x80, 200, 6, ssrc, ntp, fraction, *counts)


def interleaved(channel: int, packet: bytes) -> bytes:
    """A packet between the answers of an RTSP connection (RFC 2326, 10.12)."""
    return b"$" + bytes((channel,)) + len(packet).to_bytes(2, "big") + packet


def _check(number: int) -> int:
    return (number * 2_654_435_761 >> 7 ^ number % 251) & 0xFF


def _parts(jpeg: bytes) -> tuple[bytes, int, int, int, bytes]:
    """Quantisation tables, width, height, RFC 2435 type (0: 4:2:2, 1: 4:2:0), entropy-coded data."""
    tables: dict[int, bytes] = {}
    width_px = height_px = kind = 0
    at = 2
    while True:
        marker, length = jpeg[at + 1], int.from_bytes(jpeg[at + 2 : at + 4], "big")
        body = jpeg[at + 4 : at + 2 + length]
        at += 2 + length
        if marker == _DQT:
            for begin in range(0, len(body), 65):
                tables[body[begin]] = body[begin + 1 : begin + 65]
        elif marker == _SOF0:
            height_px, width_px = struct.unpack(">HH", body[1:5])
            kind = {0x21: 0, 0x22: 1}[body[7]]
        elif marker == _SOS:
            break
    return tables[0] + tables[1], width_px, height_px, kind, jpeg[at:-2]
