"""Parts cut out of an endless multipart stream, as cameras write them. Pure.

A part ends where the next delimiter stands, whatever its own Content-Length says: lengths are absent, or wrong. Only
where a stream has fallen silent is a length believed, because the next delimiter may be minutes away. What may not
happen here: half a picture handed on as a whole one.
"""

from __future__ import annotations

import re

from capture.framer import Framer
from capture.multipart import HEADERS_MAX_BYTES

_BOUNDARY_MAX_BYTES = 200
_LINE_MAX_BYTES = 1024
_BEYOND_BYTES = 256  # a delimiter with its line breaks
_HEAD_KEPT_BYTES = HEADERS_MAX_BYTES + 16

_BOUNDARY = re.compile(r'boundary\s*=\s*(?:"([^"]*)"?|([^;\s"]+))', re.IGNORECASE)
_BLANK_LINE = re.compile(rb"(?:\A|\r?\n)\r?\n")
_LENGTH = re.compile(rb"^content-length[ \t]*:[ \t]*(\d{1,9})[ \t]*\r?$", re.IGNORECASE | re.MULTILINE)
_TYPE = re.compile(rb"^content-type[ \t]*:[ \t]*([^\r\n]{0,200})", re.IGNORECASE | re.MULTILINE)
_HEADERS_ALONE = re.compile(rb"(?:[\w.-]+[ \t]*:[^\r\n]*(?:\r?\n|\Z))*")
_PICTURE_MAGIC = (b"\xff\xd8\xff", b"\x89PNG", b"BM", b"GIF8")


def split(part: bytes) -> tuple[bytes, bytes | None]:
    """The headers and the data of a part; None where the blank line between them is not there (yet)."""
    blank = _BLANK_LINE.search(part, 0, _HEAD_KEPT_BYTES)
    return (part, None) if blank is None else (part[: blank.start()], part[blank.end() :])


def is_picture(part: bytes) -> bool:
    """Whether a part holds a picture: it says so, or its data begin like one."""
    headers, data = split(part[: 2 * _HEAD_KEPT_BYTES])
    if data is None:
        return False
    said = _TYPE.search(headers)
    return data.startswith(_PICTURE_MAGIC) or (said is not None and said[1].strip().lower().startswith(b"image/"))


class StreamParts(Framer):
    """The parts of one stream, each with its headers and without delimiters. `delimiter`: as the stream writes it, once
    that is known; `content_type` is what the response announced, and may be wrong or say nothing."""

    def __init__(self, content_type: str, part_bytes: int) -> None:
        super().__init__(part_bytes)
        declared = _BOUNDARY.search(content_type)
        self._declared = b"--" + (declared[1] or declared[2] or "").encode("utf-8", "replace") if declared else b""
        self.delimiter = b""
        self._mark = re.compile(b"")
        self._sure = False  # the delimiter has come twice, or is the one announced
        self._line_is_cut = False
        self._in_stream = False  # the delimiter is known
        self._in_part = False

    @property
    def pending(self) -> bool:
        return self._in_part and bool(self._held.strip(b"\r\n"))

    @property
    def receives_text(self) -> bool:
        """Whether a part is being received that is certainly no picture."""
        head = bytes(self._held[: 2 * _HEAD_KEPT_BYTES])
        data = split(head)[1]
        return self.pending and bool(data) and not is_picture(head)

    def settle(self) -> list[bytes]:
        """The stream is silent: the part that is complete by its own Content-Length, and is not half a delimiter."""
        head = bytes(self._held[:_HEAD_KEPT_BYTES])
        headers, data = split(head)
        said = _LENGTH.search(headers)
        if not self.pending or data is None or said is None or int(said[1]) == 0:
            return []
        end = len(head) - len(data) + int(said[1])
        if len(self._held) < end or not self._may_be_mark(bytes(self._held[end : end + _BEYOND_BYTES])):
            return []
        self._in_part = False
        return [self._take(end)]

    def finish(self) -> list[bytes]:
        """The stream has ended: what `settle` gives, or a text that declares no length and so may be whole."""
        if settled := self.settle():
            return settled
        part = bytes(self._held)
        headers, data = split(part)
        if not self.pending or not data or is_picture(part) or _LENGTH.search(headers) is not None:
            self._throw(len(self._held))
            return []
        self._in_part = False
        return [self._take(len(part))]

    def _next(self) -> bytes | None:
        while True:
            if not self._in_stream:
                if not self._looked_for_delimiter():
                    return None
                continue
            window = self._most + _BEYOND_BYTES
            found = self._mark.search(self._held, self._at, window)
            if found is None:
                if len(self._held) < window:
                    self._at = max(self._at, len(self._held) - _BEYOND_BYTES)
                    return None
                self._too_large()
                continue
            part = self._part_before(found)
            if part is not None:
                return part

    def _part_before(self, found: re.Match[bytes]) -> bytes | None:
        begin, end, closes = found.start(), found.end(), found[1] is not None
        if begin and self._held[begin - 1 : begin] == b"\r":
            begin -= 1
        wanted = self._in_part and _says_something(bytes(self._held[:begin]))
        part = None
        if wanted:
            self._sure = True
            part = self._take(begin)
            self._drop(end - begin)
        elif self._in_part:
            self._drop(end)
        else:
            self._throw(begin)
            self._drop(end - begin)
        self._in_part = self._in_stream = not closes
        return part

    def _looked_for_delimiter(self) -> bool:
        """Over one more line; False where there is none. The first that may be a delimiter is it, whatever was
        announced."""
        end = self._held.find(b"\n", self._at) + 1
        if not end:
            if len(self._held) > _LINE_MAX_BYTES:
                self._throw(len(self._held) - _LINE_MAX_BYTES)
                self._line_is_cut = True
            self._at = len(self._held)
            return False
        line = bytes(self._held[:end]).strip()
        if self._line_is_cut or not self._may_be_delimiter(line):
            self._line_is_cut = False
            self._throw(end)
            return True
        self._drop(end)
        self.delimiter = line
        self._mark = re.compile(rb"(?:\A|\n)" + re.escape(line) + rb"(?:(--)|[ \t]{0,8}\r?\n)")
        self._sure = line == self._declared
        self._in_stream = self._in_part = True
        return True

    def _may_be_delimiter(self, line: bytes) -> bool:
        if line == self._declared and line:
            return True
        fits = line.startswith(b"--") and 2 < len(line) <= _BOUNDARY_MAX_BYTES and len(line.split()) == 1
        return fits and line != self._declared + b"--"

    def _too_large(self) -> None:
        """No delimiter where the largest part must have ended: throw it away, and doubt one that never came twice."""
        self._in_part = False
        self._throw(self._most)
        self._in_stream = self._sure

    def _may_be_mark(self, rest: bytes) -> bool:
        rest = rest.lstrip(b"\r\n")
        return self.delimiter.startswith(rest) or rest.startswith(self.delimiter)


def _says_something(part: bytes) -> bool:
    """Not so for a delimiter repeated, for headers that are written again without a blank line, or without data."""
    data = split(part)[1]
    if data is not None:
        return bool(data.strip())
    return bool(part.strip()) and (len(part) > HEADERS_MAX_BYTES or _HEADERS_ALONE.fullmatch(part) is None)
