"""A JPEG's segments, walked in pure Python: what it is, and the same picture without its metadata.

No pixel is decoded here. Each step of the walk moves forward and the number of steps is bounded, whatever the bytes.
Markers and layouts: ITU-T T.81 annex B; JFIF: T.871; Adobe's APP14: T.872 clause 6.5.3.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from compress.reason import Reason, refused

SOI, EOI, SOS, DHT, DQT, DRI, APP0, APP1, APP14 = 0xD8, 0xD9, 0xDA, 0xC4, 0xDB, 0xDD, 0xE0, 0xE1, 0xEE
BASELINE, EXTENDED, PROGRESSIVE = 0xC0, 0xC1, 0xC2

# What may stand before SOI: a boundary and a part's header lines left over by a multipart sender.
_PREFIX_MAX_BYTES = 1_024
# Ordinary files have 10 to 100; a colour profile cut in pieces adds at most 255.
_SEGMENTS_MAX = 2_048
_NOT_FRAMES = frozenset((0xC4, 0xC8, 0xCC))
_ALONE = frozenset((0x01, *range(0xD0, 0xD8)))
# All that pixels need. Decoders skip some other segments, such as DNL, whatever stands in them.
_NEEDED = frozenset((SOI, EOI, SOS, DHT, DQT, DRI, BASELINE, EXTENDED, PROGRESSIVE))
_NEXT_MARKER = re.compile(rb"\xff[^\x00\xff]")
_SCAN_END = re.compile(rb"\xff[^\x00\xff\xd0-\xd7]")


@dataclass(frozen=True, slots=True)
class Segment:
    """`start`: its marker; `body`: after marker and length; `end`: after it, and for SOS after the scan's data."""

    marker: int
    start: int
    body: int
    end: int


@dataclass(frozen=True, slots=True)
class Facts:
    """What a JPEG says of itself. `sof` is the frame marker's second byte; `orientation` 1 to 8 as in EXIF;
    `adobe` the colour transform in APP14, None without one; `complete`: it ends with EOI; `coarseness`: the mean
    step of its first quantisation table; `sampling`: of each component, across in the upper four bits and down in the
    lower; `scanned`: the components' names in each scan."""

    sof: int
    bits: int
    width_px: int
    height_px: int
    component_ids: bytes
    scans: int
    orientation: int
    adobe: int | None
    huffman_tables: bool
    complete: bool
    coarseness: float = 1.0
    segments: tuple[Segment, ...] = ()
    sampling: bytes = b""
    scanned: tuple[bytes, ...] = ()

    @property
    def rgb(self) -> bool:
        """Three components that are red, green and blue: by Adobe's word, or by their names as libjpeg reads them."""
        return len(self.component_ids) == 3 and (self.adobe == 0 or self.component_ids == b"RGB")


def find(data: bytes) -> int:
    """Where the JPEG starts, at most 1,024 bytes in; -1 where there is none."""
    return data.find(b"\xff\xd8\xff", 0, _PREFIX_MAX_BYTES + 3)


def walk(data: bytes) -> Iterator[Segment]:
    """The segments from SOI up to and including EOI; ends early where the bytes do. At most 2,048 segments."""
    at = find(data)
    if at < 0:
        return
    yield Segment(SOI, at, at + 2, at + 2)
    at += 2
    for _ in range(_SEGMENTS_MAX):
        found = _NEXT_MARKER.search(data, at)
        if found is None:
            return
        start, marker = found.start(), data[found.start() + 1]
        at = start + 2
        if marker in _ALONE:
            continue
        if marker in (SOI, EOI):
            if marker == EOI:
                yield Segment(EOI, start, at, at)
            return
        length = int.from_bytes(data[at : at + 2], "big")
        if length < 2 or at + length > len(data):
            return
        body, at = at + 2, at + length
        if marker == SOS:
            ended = _SCAN_END.search(data, at)
            at = len(data) if ended is None else ended.start()
        yield Segment(marker, start, body, at)


def facts(data: bytes, max_scans: int = 20) -> Facts:
    """What this JPEG is. The walk stops at the scan after `max_scans`. Raises Refused: "undecodable" where there is
    not exactly one whole frame header, "too_many_scans"."""
    frame: Segment | None = None
    scans, turned, adobe, tables, complete, coarseness = 0, None, None, False, False, 0.0
    segments: list[Segment] = []
    scanned: list[bytes] = []
    for segment in walk(data):
        segments.append(segment)
        body = data[segment.body : segment.end] if segment.marker != SOS else b""
        if 0xC0 <= segment.marker <= 0xCF and segment.marker not in _NOT_FRAMES:
            if frame is not None or not _whole_frame(body):
                raise refused(Reason.UNDECODABLE)
            frame = segment
        elif segment.marker == SOS:
            scans += 1
            if scans > max_scans:
                raise refused(Reason.TOO_MANY_SCANS)
            scanned.append(_scanned(data[segment.body : segment.body + 9]))
        elif segment.marker == APP1 and turned is None and body[:6] == b"Exif\x00\x00":
            turned = orientation(body[6:])
        elif segment.marker == APP14 and adobe is None and _is_adobe(body):
            adobe = body[11]
        elif segment.marker == DQT and not coarseness:
            coarseness = _mean_step(body)
        elif segment.marker == DHT:
            tables = True
        elif segment.marker == EOI:
            complete = True
    if frame is None:
        raise refused(Reason.UNDECODABLE)
    bits, height, width, components = struct.unpack_from(">BHHB", data, frame.body)
    ids = data[frame.body + 6 : frame.body + 6 + 3 * components : 3]
    return Facts(
        frame.marker,
        bits,
        width,
        height,
        ids,
        scans,
        turned or 1,
        adobe,
        tables,
        complete,
        coarseness or 1.0,
        tuple(segments),
        data[frame.body + 7 : frame.body + 6 + 3 * components : 3],
        tuple(scanned),
    )


def strip(data: bytes, segments: Sequence[Segment] = ()) -> bytes:
    """The same picture, coded as it was, with nothing beside it: of APPn only JFIF's and Adobe's headers, without
    a thumbnail; no comment; nothing before SOI, between segments, or after EOI. What is cut short stays cut short.
    `segments`: those of the same bytes, where they were walked already."""
    kept: list[bytes] = []
    jfif = adobe = False
    for segment in segments or walk(data):
        if segment.marker == APP0 and not jfif and _is_jfif(data[segment.body : segment.end]):
            # Rebuilt, not copied: a thumbnail may follow, and it would be a picture outside every cap.
            kept.append(b"\xff\xe0\x00\x10" + data[segment.body : segment.body + 12] + b"\x00\x00")
            jfif = True
        elif segment.marker == APP14 and not adobe and _is_adobe(data[segment.body : segment.end]):
            kept.append(b"\xff\xee\x00\x0e" + data[segment.body : segment.body + 12])
            adobe = True
        elif segment.marker in _NEEDED:
            kept.append(data[segment.start : segment.end])
    return b"".join(kept) if len(kept) > 1 else b""  # a beginning alone is no picture


def orientation(tiff: bytes) -> int:
    """EXIF's tag 0x0112 in its first directory, 1 to 8; 1 where it is absent or makes no sense."""
    order = {b"II": "<", b"MM": ">"}.get(tiff[:2])
    if order is None:
        return 1
    try:
        (first,) = struct.unpack_from(order + "L", tiff, 4)
        (count,) = struct.unpack_from(order + "H", tiff, first)
        for entry in range(first + 2, first + 2 + 12 * min(count, 256), 12):
            tag, _kind, _count, value = struct.unpack_from(order + "HHLH", tiff, entry)
            if tag == 0x0112:
                return int(value) if 1 <= value <= 8 else 1
    except struct.error:
        return 1
    return 1


def _scanned(body: bytes) -> bytes:
    """The names of the components in a scan, from the beginning of its header; no decoder takes more than four."""
    return body[1 : 1 + 2 * min(4, body[0]) : 2] if body else b""


def _mean_step(body: bytes) -> float:
    """The mean of a DQT segment's first table, of bytes or of 16-bit numbers; 0 where it is cut short."""
    wide = bool(body and body[0] >> 4)
    steps = body[1 : 1 + 64 * (1 + wide)]
    if len(steps) < 64 * (1 + wide):
        return 0.0
    return float(sum(struct.unpack(">64H" if wide else ">64B", steps))) / 64


def _whole_frame(body: bytes) -> bool:
    return len(body) >= 9 and body[5] in (1, 3, 4) and len(body) == 6 + 3 * body[5]


def _is_jfif(body: bytes) -> bool:
    return len(body) >= 14 and body[:5] == b"JFIF\x00"


def _is_adobe(body: bytes) -> bool:
    return len(body) >= 12 and body[:5] == b"Adobe"
