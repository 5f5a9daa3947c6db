"""What must not be found where it does not belong: plates in every plain disguise, and parts of pictures.

A search looks at bytes and knows no format. It is itself tested: it finds what is planted.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

JPEG_START = re.compile(rb"\xff\xd8\xff")
JPEG_START_IN_NOISE = re.compile(rb"\xff\xd8\xff[\xc0-\xfe]\x00")
"""For sealed bytes, in whose noise three given bytes stand by chance once in 16 MB: with the next marker and the high
byte of its segment's length, once in 17 GB."""
STREAM_ADDRESS = re.compile(rb"rtsp://", re.IGNORECASE)
CAMERA_ADDRESS = re.compile(rb"127\.0\.0\.(1[1-9]|77)\b")
SLICE_BYTES = 24


@dataclass(frozen=True, slots=True)
class Needles:
    """Texts and slices of pictures, by what they are called in a report; a report names no plate."""

    exact: Mapping[bytes, str] = field(repr=False)

    def found_in(self, data: bytes, *patterns: re.Pattern[bytes]) -> list[str]:
        """What of it stands in these bytes: names of needles, and patterns."""
        exact = [name for needle, name in self.exact.items() if needle in data]
        return exact + [repr(pattern.pattern) for pattern in patterns if pattern.search(data)]

    def found_below(self, folder: Path, *patterns: re.Pattern[bytes]) -> list[str]:
        """The same for every file below a folder, and for the files' names."""
        found = []
        for path in sorted(folder.rglob("*")):
            data = str(path.relative_to(folder)).encode() + (path.read_bytes() if path.is_file() else b"")
            found += [f"{path.name}: {what}" for what in self.found_in(data, *patterns)]
        return found


def needles(plates: Iterable[str], pictures: Iterable[bytes]) -> Needles:
    """From plates as they are painted (with their space) and whole pictures."""
    exact: dict[bytes, str] = {}
    for number, plate in enumerate(plates):
        for written in (plate, plate.replace(" ", "")):
            exact |= {needle: f"plate {number}, {how}" for how, needle in _disguises(written)}
    for number, picture in enumerate(pictures):
        for part in (len(picture) // 2, len(picture) * 3 // 4):
            exact[picture[part : part + SLICE_BYTES]] = f"picture {number} from byte {part}"
    return Needles(exact)


def _disguises(written: str) -> Iterable[tuple[str, bytes]]:
    for how, text in (("as it is", written), ("lower case", written.lower())):
        plain = text.encode()
        yield how, plain
        yield f"{how}, UTF-16 LE", text.encode("utf-16-le")
        yield f"{how}, UTF-16 BE", text.encode("utf-16-be")
        yield f"{how}, SHA-256", hashlib.sha256(plain).digest()
        yield f"{how}, SHA-256 hex", hashlib.sha256(plain).hexdigest().encode()
        for shift in range(3):
            yield f"{how}, base64 at {shift}", _base64_within(plain, shift)


def _base64_within(plain: bytes, shift: int) -> bytes:
    """What stands in the base64 of a longer text that holds this one `shift` bytes after a group of three."""
    encoded = base64.b64encode(bytes(shift) + plain).rstrip(b"=")
    first = -(-shift * 8 // 6)
    whole = (shift + len(plain)) * 8 // 6
    return encoded[first:whole]
