"""Parts of a multipart body as cameras write them; or `Refused`, in time linear in the size of the body.

In memory only: nothing here touches a file. A body without its closing delimiter is refused (`truncated`), so that half
a picture is never kept as a whole one.

Our own reader, because the `multipart` package (2.0.1, otherwise the strictest of those tried) refuses line feeds
without carriage returns, a boundary that differs from the one announced, and a part whose own Content-Length
disagrees: all three come from cameras in the field.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from edge.errors import Refused

PARTS_MAX = 16
"""The most seen from a camera is 7."""

HEADERS_MAX_BYTES = 8192
_BOUNDARY_MAX_BYTES = 200
_PREAMBLE_MAX_BYTES = 1024

_BOUNDARY = re.compile(r'boundary\s*=\s*(?:"([^"]*)"?|([^;\s"]+))', re.IGNORECASE)
_PARAMETER = re.compile(r'(?:^|[;\s])(filename|name)\s*=\s*(?:"([^"]*)"?|([^;\s"]+))', re.IGNORECASE)
_BLANK_LINE = re.compile(rb"\r?\n\r?\n")
_AFTER_DELIMITER = re.compile(rb"(--)|[ \t]*(\r?\n)")


@dataclass(frozen=True, slots=True)
class Part:
    """One part. `name` and `filename` as in its Content-Disposition, or empty."""

    name: str = field(repr=False)
    filename: str = field(repr=False)
    content_type: str
    data: bytes = field(repr=False)


def looks_multipart(content_type: str, body: bytes) -> bool:
    """Whether to read it as multipart: it says so, or it begins with a delimiter."""
    return content_type.strip().lower().startswith("multipart/") or body[:64].lstrip().startswith(b"--")


def parts(body: bytes, content_type: str = "") -> tuple[Part, ...]:
    """Every part in order, at most `PARTS_MAX`.

    Raises `Refused`: `no_boundary`, `truncated`, `too_many_parts`, `part_headers_too_large`, `malformed_multipart`.
    A part's Content-Length is not trusted: a part ends where the next delimiter stands.
    """
    delimiter = _delimiter(body, content_type)
    found: list[Part] = []
    at = _next(body, delimiter, 0)
    while at is not None and not at.closing:
        if len(found) == PARTS_MAX:
            raise Refused(f"a multipart body has more than {PARTS_MAX} parts", reason="too_many_parts")
        following = _next(body, delimiter, at.end)
        if following is None:
            break
        found.append(_part(body, at.end, max(at.end, following.start)))
        at = following
    if at is None or not at.closing:
        raise Refused("a multipart body ends before its closing delimiter", reason="truncated")
    return tuple(found)


@dataclass(frozen=True, slots=True)
class _Mark:
    """A delimiter in the body: `start` before its line break, `end` after it."""

    start: int
    end: int
    closing: bool


def _delimiter(body: bytes, content_type: str) -> bytes:
    declared = _BOUNDARY.search(content_type)
    if declared is not None:
        boundary = (declared[1] or declared[2] or "").encode("utf-8", "replace")
        delimiter = b"--" + boundary
        if boundary and len(boundary) <= _BOUNDARY_MAX_BYTES and _next(body, delimiter, 0) is not None:
            return delimiter
    # What it announces is not what it writes: its first line that is a delimiter counts.
    head = body[: _PREAMBLE_MAX_BYTES + _BOUNDARY_MAX_BYTES]
    for line in head.split(b"\n"):
        candidate = line.strip()
        if candidate.startswith(b"--") and 2 < len(candidate) <= _BOUNDARY_MAX_BYTES:
            return candidate
    raise Refused("a multipart body has no boundary", reason="no_boundary")


def _next(body: bytes, delimiter: bytes, begin: int) -> _Mark | None:
    """The next place where the delimiter stands alone on a line, from `begin` on."""
    at = body.find(delimiter, begin)
    while at != -1:
        after = _AFTER_DELIMITER.match(body, at + len(delimiter))
        # At `begin` the line break before it was consumed by the delimiter or the headers in front.
        if after is not None and (at in (0, begin) or body[at - 1 : at] == b"\n"):
            start = at
            if at > begin and body[at - 1 : at] == b"\n":
                start = at - 2 if at - 2 >= begin and body[at - 2 : at - 1] == b"\r" else at - 1
            return _Mark(start, after.end(), after[1] is not None)
        at = body.find(delimiter, at + 1)
    return None


def _part(body: bytes, begin: int, end: int) -> Part:
    if body[begin : begin + 1] == b"\n":
        return _build(b"", body[begin + 1 : end])
    if body[begin : begin + 2] == b"\r\n":
        return _build(b"", body[begin + 2 : end])
    blank = _BLANK_LINE.search(body, begin, min(end, begin + HEADERS_MAX_BYTES + 4))
    if blank is not None:
        return _build(body[begin : blank.start()], body[blank.end() : end])
    if end - begin > HEADERS_MAX_BYTES:
        raise Refused("the headers of a part are too large", reason="part_headers_too_large")
    return _build(body[begin:end], b"")  # a delimiter repeated, or a part of headers alone: no data


def _build(headers: bytes, data: bytes) -> Part:
    disposition = content_type = ""
    for line in re.sub(rb"\r?\n[ \t]+", b" ", headers).split(b"\n"):
        if not line.strip():
            continue
        name, colon, value = line.decode("utf-8", "replace").partition(":")
        if not colon:
            raise Refused("a header of a part is not one", reason="malformed_multipart")
        match name.strip().lower():
            case "content-disposition":
                disposition = value.strip()
            case "content-type":
                content_type = value.strip()
    named: dict[str, str] = {}
    for key, quoted, bare in _PARAMETER.findall(disposition):
        named.setdefault(key.lower(), quoted or bare)
    return Part(named.get("name", ""), named.get("filename", ""), content_type, data)
