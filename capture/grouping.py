"""Parts of an endless stream made into deliveries: a text with the pictures that follow it. Pure.

Pictures belong to the text before them, by order and never by time. What may not happen here: a picture without its
text handed on; a delivery above its limit.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from capture.delivery import MIB
from capture.multipart import PARTS_MAX
from capture.stream_parts import StreamParts, is_picture


@dataclass(frozen=True, slots=True)
class Group:
    """One delivery's worth of parts: a multipart body with its closing delimiter, and the type that names it."""

    content_type: str
    body: bytes = field(repr=False)


class Groups:
    """The deliveries of one stream. Whoever feeds it also tells it when nothing came for a while (`quiet`)."""

    def __init__(self, content_type: str, delivery_bytes: int = 8 * MIB) -> None:
        self._parts = StreamParts(content_type, delivery_bytes)
        self._most = delivery_bytes
        self._held: list[bytes] = []
        self._left_out = 0
        self._garbage = 0

    @property
    def held_bytes(self) -> int:
        return self._parts.held_bytes + sum(map(len, self._held))

    def told(self) -> dict[str, int]:
        """What was thrown away since the last time of asking. `garbage`: stretches outside parts. `left_out`: pictures
        without a text, or beyond what a delivery may hold."""
        told = {"garbage": self._parts.garbage - self._garbage, "left_out": self._left_out}
        self._garbage, self._left_out = self._parts.garbage, 0
        return {word: count for word, count in told.items() if count}

    @property
    def waits(self) -> bool:
        """Whether silence would complete something."""
        return bool(self._held) or self._parts.pending

    def feed(self, data: bytes) -> list[Group]:
        """The deliveries that are complete because the next one has begun."""
        return self._with(self._parts.feed(data))

    def quiet(self) -> list[Group]:
        """Nothing came for a while: what is whole is complete, unless a picture is still on its way."""
        done = self._with(self._parts.settle())
        if not self._parts.pending or self._parts.receives_text:
            done += self._close()
        return done

    def end(self) -> list[Group]:
        """The stream has ended, in whatever state."""
        return self._with(self._parts.finish()) + self._close()

    def _with(self, parts: list[bytes]) -> list[Group]:
        done: list[Group] = []
        for part in parts:
            if not is_picture(part):
                done += self._close()
                self._held = [part]
            elif self._held and len(self._held) < PARTS_MAX and sum(map(len, self._held)) + len(part) <= self._most:
                self._held.append(part)
            else:
                self._left_out += 1
        return done

    def _close(self) -> list[Group]:
        if not self._held:
            return []
        parts, self._held = self._held, []
        return [joined(parts, self._parts.delimiter)]


def joined(parts: list[bytes], delimiter: bytes) -> Group:
    """Parts with their headers, and a delimiter that stands in none of them, as a closed multipart body."""
    body = b"".join(delimiter + b"\r\n" + part + b"\r\n" for part in parts) + delimiter + b"--\r\n"
    boundary = delimiter.removeprefix(b"--").decode("utf-8", "replace").replace('"', "")
    return Group(f'multipart/mixed; boundary="{boundary}"', body)
