"""Pictures cut out of an endless MJPEG stream, each exactly as the camera made it. Pure.

A JPEG says itself where it ends, so neither the boundary nor a Content-Length is needed: the segments are followed by
their lengths (a preview inside one has ends of its own), the picture's data to the next marker. What may not happen
here: half a picture handed on as a whole one; a wait for the next delimiter, which comes a picture later.
"""

from __future__ import annotations

import re

from capture.framer import Framer

_BETWEEN_MAX_BYTES = 4096
"""A delimiter with headers. More than this between two pictures is garbage."""

_SEGMENT = re.compile(rb"\xff[\xc0-\xcf\xda-\xfe]")  # the markers with a length behind them
_START = b"\xff\xd8\xff"
_MARKER = re.compile(rb"\xff[\x01-\xcf\xd8-\xfe]")  # not a stuffed FF, not a restart, not fill


class Pictures(Framer):
    """The JPEGs of one stream, none larger than `picture_bytes`."""

    def __init__(self, picture_bytes: int) -> None:
        super().__init__(picture_bytes)
        self._in_picture = False
        self._in_scan = False
        self._between = 0

    @property
    def pending(self) -> bool:
        """Whether a picture has begun and not ended."""
        return self._in_picture

    def _next(self) -> bytes | None:
        while self._begun():
            end = self._walked()
            if end is None and len(self._held) <= self._most:
                return None
            if end is not None and end <= self._most:
                return self._take(end)
            self._throw(end or len(self._held))
        return None

    def _reset(self) -> None:
        self._in_picture = self._in_scan = False

    def _begun(self) -> bool:
        """Whether a picture begins, what stood before it thrown away."""
        if self._in_picture:
            return True
        start = self._held.find(_START)
        found = start >= 0
        before = start if found else max(0, len(self._held) - len(_START) + 1)
        self._between += before
        if self._between > _BETWEEN_MAX_BYTES:
            self._throw(before)
            self._between = 0
        else:
            self._drop(before)
        if found:
            self._between, self._in_picture, self._at = 0, True, 2
        return found

    def _walked(self) -> int | None:
        """Where the picture ends; None where its end has not come. What is none is thrown away up to where it broke."""
        held = self._held
        while self._in_picture or self._begun():
            if self._in_scan:
                found = _MARKER.search(held, self._at)
                if found is None:
                    self._at = max(self._at, len(held) - 1)
                    return None
                self._at, self._in_scan = found.start(), False
            marker = held[self._at : self._at + 2]
            if marker == b"\xff\xd9":
                return self._at + 2
            if len(held) < self._at + 4:
                return None
            length = int.from_bytes(held[self._at + 2 : self._at + 4], "big")
            if marker == b"\xff\xff":
                self._at += 1
            elif _SEGMENT.fullmatch(marker) is None:
                self._throw(self._at)
            else:
                self._at += 2 + max(2, length)
                self._in_scan = marker == b"\xff\xda"
        return None


def whole_picture(data: bytes) -> bytes | None:
    """The JPEG that stands in `data`; None where there is none, or half of one."""
    return next(iter(Pictures(len(data)).feed(data)), None)
