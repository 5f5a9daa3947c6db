"""How the parts of an endless stream are headed: the forms that have been seen, and lengths that are wrong. Pure."""

from __future__ import annotations

import random
from dataclasses import dataclass

from simulators.vendors.telling import Message

LIES = (-2, 3, 7)
"""How far off a wrong length is; a captured one was 3 too long."""


@dataclass(frozen=True, slots=True)
class Shape:
    """The newline of the header's lines, and the lines besides the boundary, by name."""

    newline: str
    lines: tuple[str, ...]


TYPE, LENGTH, NAME = "type", "length", "name"
PLAIN = (Shape("\r\n", (TYPE, LENGTH)),)
BARE = (Shape("\r\n", (TYPE,)),)
MIXED = (
    Shape("\r\n", (TYPE, LENGTH)),
    Shape("\r\n", (TYPE,)),
    Shape("\n", (TYPE, LENGTH)),
    Shape("\r\n", (TYPE, NAME, LENGTH)),
    Shape("\n", (TYPE,)),
)
"""Headers of 3, 4 and 5 lines, the boundary and the empty line counted."""


def framed(message: Message, boundary: str, shape: Shape, lie: int) -> bytes:
    """One part with its boundary before it; `lie` is added to the length that is announced."""
    known = {
        TYPE: f"Content-Type: {message.content_type}",
        LENGTH: f"Content-Length: {max(0, len(message.body) + lie)}",
        NAME: 'Content-Disposition: form-data; name="info"',
    }
    lines = [f"--{boundary}", *(known[line] for line in shape.lines)]
    lines += [f"{name}:{value}" for name, value in message.lines]
    return shape.newline.join([*lines, "", ""]).encode() + message.body + shape.newline.encode()


def lie(chance: random.Random) -> int:
    return chance.choice(LIES)
