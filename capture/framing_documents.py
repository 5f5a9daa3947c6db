"""Documents cut out of an endless line: XML elements by their closing tag, JSON objects by their last brace. Pure.

What may not happen here: a document taken apart further than its end needs.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from capture.framer import BLANK, Framer

_TAG_MAX_BYTES = 128  # of an opening tag as far as its name: a prefix and a name, see `Framing`
_DECLARATION_MAX_BYTES = 300
_KEPT_BYTES = 512  # of what is no element yet: a declaration and the beginning of a tag
_DEPTH_MAX = 64

_DECLARATION = re.compile(rb"<\?xml[^<>]{0,250}\?>\s{0,40}\Z")
_IN_TAG = re.compile(rb"[\"'<>]")
_IN_QUOTES = {ord('"'): re.compile(rb'["<]'), ord("'"): re.compile(rb"['<]")}
_IN_OBJECT = re.compile(rb'["{}\[\]]')
_IN_STRING = re.compile(rb'["\\]|\n(?=\{)')


class ClosingTag(Framer):
    """Elements of the given names, with any prefix, and the declaration in front of one. They are not nested in one
    another, so that an opening tag inside one says that the one before was cut off."""

    def __init__(self, roots: Sequence[str], frame_bytes: int) -> None:
        super().__init__(frame_bytes)
        names = b"|".join(re.escape(root.encode()) for root in roots)
        self._opening = re.compile(rb"<((?:[A-Za-z_][\w.-]{0,30}:)?(?:" + names + rb"))(?=[\s/>])")
        self._name = b""  # of the element that has begun
        self._ends = self._opening
        self._in_tag = False
        self._quote = 0

    @property
    def pending(self) -> bool:
        return bool(self._name)

    def _reset(self) -> None:
        self._name = b""

    def _next(self) -> bytes | None:
        while True:
            if not self._name:
                if not self._found_opening():
                    return None
                continue
            found = self._within_tag() if self._in_tag else self._within_element()
            if found > 0:
                return self._take(found)
            if found < 0:
                if len(self._held) < self._most:
                    return None
                self._throw(self._most)

    def _found_opening(self) -> bool:
        found = self._opening.search(self._held, self._at)
        if found is None:
            if len(self._held) > 8 * _KEPT_BYTES:
                self._throw(len(self._held) - _KEPT_BYTES)
            self._at = max(0, len(self._held) - _TAG_MAX_BYTES)
            return False
        name, begin, end = found[1], found.start(), found.end()
        ahead = max(0, begin - _DECLARATION_MAX_BYTES)
        declaration = _DECLARATION.search(self._held[ahead:begin])
        begin = begin if declaration is None else ahead + declaration.start()
        self._throw(begin)
        self._name, self._in_tag, self._quote, self._at = name, True, 0, end - begin
        self._ends = re.compile(rb"</%b\s{0,16}>|<%b(?=[\s/>])" % (re.escape(name), re.escape(name)))
        return True

    def _within_tag(self) -> int:
        """Where an empty element ends; 0 to go on, -1 where bytes are wanting."""
        pattern = _IN_QUOTES[self._quote] if self._quote else _IN_TAG
        found = pattern.search(self._held, self._at, self._most)
        if found is None:
            self._at = len(self._held)
            return -1
        mark, begin = found[0], found.start()
        self._at = found.end()
        if mark == b"<":  # stands in no tag: this one was cut off
            self._throw(begin)
        elif mark != b">":
            self._quote = 0 if self._quote else mark[0]
        elif self._held[begin - 1 : begin] == b"/":
            return self._at
        else:
            self._in_tag = False
        return 0

    def _within_element(self) -> int:
        """Where the element ends; 0 to go on, -1 where bytes are wanting."""
        found = self._ends.search(self._held, self._at, self._most)
        if found is None:
            self._at = max(self._at, len(self._held) - len(self._name) - 20)
            return -1
        if found[0].startswith(b"</"):
            return found.end()
        self._name = b""
        self._at = found.start()
        return 0


class JsonObjects(Framer):
    """Objects, back to back or with white space, commas or brackets between them. Bytes beyond ASCII are never looked
    into, so that a character may be split anywhere."""

    def __init__(self, frame_bytes: int) -> None:
        super().__init__(frame_bytes)
        self._open = bytearray()  # the brackets that are open
        self._in_string = False

    def _reset(self) -> None:
        self._open.clear()
        self._in_string = False

    def _next(self) -> bytes | None:
        while True:
            if not self._open and not self._begun():
                return None
            pattern = _IN_STRING if self._in_string else _IN_OBJECT
            found = pattern.search(self._held, self._at, self._most)
            if found is not None:
                mark, begin = found[0], found.start()
                self._at = found.end()
                if self._in_string:
                    self._within_string(mark, begin)
                elif self._within_object(mark, begin):
                    return self._take(begin + 1)
            elif len(self._held) >= self._most:
                self._throw(self._most)
            else:
                # A line feed at the end may matter when the next byte is known.
                self._at = max(self._at, len(self._held) - self._held.endswith(b"\n"))
                return None

    def _begun(self) -> bool:
        begin = self._held.find(b"{")
        before = len(self._held) if begin < 0 else begin
        if self._held[:before].strip(BLANK + b",[]"):
            self._throw(before)
        else:
            self._drop(before)
        if begin < 0:
            return False
        self._open += b"{"
        self._at = 1
        return True

    def _within_string(self, mark: bytes, begin: int) -> None:
        if mark == b"\\":
            self._at += 1
        elif mark == b'"':
            self._in_string = False
        else:  # an object at the beginning of a line: the one before was cut off inside a string
            self._throw(begin + 1)

    def _within_object(self, mark: bytes, begin: int) -> bool:
        """Whether the object ends here. What cannot stand here says that it was cut off before."""
        if mark == b'"':
            self._in_string = True
        elif mark in b"}]":
            if self._open[-1] != (ord("{") if mark == b"}" else ord("[")):
                self._throw(begin + 1)
                return False
            del self._open[-1:]
            return not self._open
        elif mark == b"{" and not self._may_open(begin):
            self._throw(begin)
        elif len(self._open) >= _DEPTH_MAX:
            self._throw(begin + 1)
        else:
            self._open += mark
        return False

    def _may_open(self, begin: int) -> bool:
        before = self._held[max(0, begin - 64) : begin].rstrip()[-1:]
        return not before or before in (b":" if self._open[-1] == ord("{") else b"[,")
