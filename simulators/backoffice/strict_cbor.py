"""Decodes the deterministic CBOR of the wire contract, and nothing else.

What decodes here re-encodes to the same bytes: shortest forms, definite lengths, keys sorted and never twice, no byte
left over. Floats, undefined, every tag but 18, big numbers and deep nesting are refused, not interpreted.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

MOST_BYTES: Final = 65_536
"""The largest message looked at. The contract names no figure; two capped images and their record need under 32 KiB."""
MOST_DEPTH: Final = 10
"""The deepest map of the contract, `altered`, sits at depth 5."""
COSE_SIGN1_TAG: Final = 18


class NotDeterministic(ValueError):
    """The bytes are not one deterministic CBOR item of the contract's subset."""


@dataclass(frozen=True, slots=True)
class Sign1:
    """What tag 18 encloses."""

    value: object = field(repr=False)


def decode(data: bytes) -> object:
    """Give the one item that `data` holds: int, bytes, str, bool, None, list, dict or Sign1.

    Raises NotDeterministic for anything the contract's encoding rules exclude.
    """
    if len(data) > MOST_BYTES:
        raise NotDeterministic("too large")
    value, end = _item(data, 0, 0)
    if end != len(data):
        raise NotDeterministic("bytes after the item")
    return value


def _item(data: bytes, at: int, depth: int) -> tuple[object, int]:
    if depth > MOST_DEPTH:
        raise NotDeterministic("nested too deeply")
    major, number, at = _head(data, at)
    match major:
        case 0:
            return number, at
        case 1:
            return -1 - number, at
        case 2:
            return _span(data, at, number), at + number
        case 3:
            return _text(_span(data, at, number)), at + number
        case 4:
            return _array(data, at, number, depth)
        case 5:
            return _map(data, at, number, depth)
        case 6 if number == COSE_SIGN1_TAG:
            value, at = _item(data, at, depth + 1)
            return Sign1(value), at
        case 7 if number in _SIMPLE:
            return _SIMPLE[number], at
    raise NotDeterministic("a type the contract does not use")


_SIMPLE: Final[dict[int, bool | None]] = {20: False, 21: True, 22: None}


def _head(data: bytes, at: int) -> tuple[int, int, int]:
    """Give major type, argument and the place after the head; refuse longer forms than needed."""
    first = _span(data, at, 1)[0]
    major, info = first >> 5, first & 0x1F
    if info < 24:
        return major, info, at + 1
    if info > 27 or major == 7:
        raise NotDeterministic("indefinite length, float or reserved head")
    width = 1 << (info - 24)
    number = int.from_bytes(_span(data, at + 1, width), "big")
    least = 24 if width == 1 else 1 << (4 * width)
    if number < least:
        raise NotDeterministic("not the shortest form")
    return major, number, at + 1 + width


def _span(data: bytes, at: int, length: int) -> bytes:
    if length > len(data) - at:
        raise NotDeterministic("cut off")
    return data[at : at + length]


def _text(raw: bytes) -> str:
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        raise NotDeterministic("text that is not UTF-8") from None


def _array(data: bytes, at: int, count: int, depth: int) -> tuple[list[object], int]:
    if count > len(data) - at:
        raise NotDeterministic("cut off")
    items: list[object] = []
    for _ in range(count):
        value, at = _item(data, at, depth + 1)
        items.append(value)
    return items, at


def _map(data: bytes, at: int, count: int, depth: int) -> tuple[dict[int | str, object], int]:
    if 2 * count > len(data) - at:
        raise NotDeterministic("cut off")
    pairs: dict[int | str, object] = {}
    before = b""
    for _ in range(count):
        key, end = _item(data, at, depth + 1)
        encoded = data[at:end]
        # strictly ascending encodings: an unsorted key and a repeated key fail the same test
        if not isinstance(key, int | str) or isinstance(key, bool) or encoded <= before:
            raise NotDeterministic("map keys of another type, unsorted or repeated")
        pairs[key], at = _item(data, end, depth + 1)
        before = encoded
    return pairs, at
