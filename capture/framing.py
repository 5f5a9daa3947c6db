"""How the messages on an endless line are told apart, wherever they were split on their way. Pure.

What may not happen here: a packet with a wrong sum handed on, because what is handed on is acknowledged.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum

from capture.delivery import MIB
from capture.framer import BLANK, Framer
from capture.framing_documents import ClosingTag, JsonObjects
from edge.errors import Misconfigured

_ROOT_NAME = re.compile(r"[A-Za-z_][\w.-]{0,63}", re.ASCII)
_LINE_END = re.compile(rb"[\r\n]")
_STX_OR_ETX = re.compile(rb"[\x02\x03]")

_NEDAP_CODES = bytes.fromhex("89ABCDEF"), bytes.fromhex("12345678")
_NEDAP_OPEN = re.compile(re.escape(_NEDAP_CODES[0]) + b"|" + re.escape(_NEDAP_CODES[0][::-1]))
_NEDAP_HEAD_BYTES, _NEDAP_TAIL_BYTES = 12, 5
_NEDAP_MAX_BYTES = 64 * 1024
"""Packets hold what a template says: text. A length above this is a broken one."""


class Shape(Enum):
    """How one message ends and the next begins."""

    CLOSING_TAG = "closing_tag"
    JSON = "json"
    LINE = "line"
    STX_ETX = "stx_etx"
    NEDAP = "nedap"


_CONTENT_TYPES = {
    Shape.CLOSING_TAG: "application/xml",
    Shape.JSON: "application/json",
    Shape.NEDAP: "application/octet-stream",
}


@dataclass(frozen=True, slots=True)
class Framing:
    """A shape with its settings. `roots`: the names, without prefix, of the elements that are messages (for
    CLOSING_TAG alone, and needed there). A frame is at most `frame_bytes` long. Raises `Misconfigured`."""

    shape: Shape
    roots: tuple[str, ...] = ()
    frame_bytes: int = 8 * MIB

    def __post_init__(self) -> None:
        named = all(_ROOT_NAME.fullmatch(root) for root in self.roots)
        if not named or bool(self.roots) != (self.shape is Shape.CLOSING_TAG):
            raise Misconfigured(
                f"messages framed by {self.shape.value} are given root names that do not fit",
                "name the root elements for closing_tag, without prefix, and none for the others",
            )

    @property
    def content_type(self) -> str:
        return _CONTENT_TYPES.get(self.shape, "text/plain")

    def framer(self) -> Framer:
        """A new machine, for a new connection."""
        if self.shape is Shape.CLOSING_TAG:
            return ClosingTag(self.roots, self.frame_bytes)
        return _MACHINES[self.shape](self.frame_bytes)


class Lines(Framer):
    """Lines ended by CR, LF or both, handed on without their ends; empty ones are nothing."""

    def give_up(self) -> list[bytes]:
        self._throw(len(self._held))
        return []

    def _next(self) -> bytes | None:
        while True:
            found = _LINE_END.search(self._held, self._at)
            if found is None:
                too_much = len(self._held) - self._most - 1
                if too_much > 0:
                    self._throw(too_much)  # what is left is still longer than a line may be
                self._at = len(self._held)
                return None
            end = found.start()
            if end <= self._most and self._held[:end].strip(BLANK):
                return self._take(end)
            self._throw(found.end())


class StxEtx(Framer):
    """STX ... ETX, handed on with both."""

    def _next(self) -> bytes | None:
        while True:
            begin = self._held.find(b"\x02")
            if begin != 0:
                self._throw(len(self._held) if begin < 0 else begin)
            if not self._held:
                return None
            found = _STX_OR_ETX.search(self._held, max(1, self._at), self._most)
            if found is not None and found[0] == b"\x03":
                return self._take(found.end())
            if found is None and len(self._held) < self._most:
                self._at = len(self._held)
                return None
            self._throw(self._most if found is None else found.start())


class NedapPackets(Framer):
    """89ABCDEF, number (4 bytes), length (4), data, the exclusive or of all bytes before it, 12345678: handed on whole.

    The manual does not say in which order the bytes of a number come: the opening code tells. A packet that is not
    handed on is not acknowledged, and the reader sends it again.
    """

    def _next(self) -> bytes | None:
        while True:
            found = _NEDAP_OPEN.search(self._held)
            if found is None or found.start():
                self._throw(max(0, len(self._held) - 3) if found is None else found.start())
            if found is None or len(self._held) < _NEDAP_HEAD_BYTES:
                return None
            big = self._held.startswith(_NEDAP_CODES[0])
            close = _NEDAP_CODES[1] if big else _NEDAP_CODES[1][::-1]
            data_bytes = int.from_bytes(self._held[8:_NEDAP_HEAD_BYTES], "big" if big else "little")
            end = _NEDAP_HEAD_BYTES + data_bytes + _NEDAP_TAIL_BYTES
            if end <= min(self._most, _NEDAP_MAX_BYTES):
                if len(self._held) < end:
                    return None
                if self._held[end - 4 : end] == close and _xor(bytes(self._held[: end - 4])) == 0:
                    return self._take(end)
            self._throw(1)


def _xor(data: bytes) -> int:
    """The exclusive or of all bytes, by halves: a loop over them takes too long where somebody sends for that."""
    while len(data) > 1:
        half = (len(data) + 1) // 2
        data = (int.from_bytes(data[:half], "little") ^ int.from_bytes(data[half:], "little")).to_bytes(half, "little")
    return data[0]


_MACHINES: dict[Shape, type[Framer]] = {
    Shape.JSON: JsonObjects,
    Shape.LINE: Lines,
    Shape.STX_ETX: StxEtx,
    Shape.NEDAP: NedapPackets,
}
