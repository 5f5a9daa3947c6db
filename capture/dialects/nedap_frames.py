"""What Nedap puts round its messages: the serial line's packet and its acknowledgement, the socket's tags. Pure.

Sources: the vendor's manual, 5.2.6.5, 5.3.3 and appendix B. It does not say in which order the bytes of a number come:
the opening code tells. What may not happen here: a packet believed whose checksum is wrong.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import reduce
from operator import xor
from typing import Literal

from edge.errors import Refused

_OPEN, _CLOSE = 0x89ABCDEF, 0x12345678
_PACKET_FRAME_BYTES = 17
_HEADER_BYTES = 24
_COMMAND = 40000
_TAGS_MAX = 64

Order = Literal["big", "little"]
_ORDERS: tuple[Order, Order] = ("big", "little")


@dataclass(frozen=True, slots=True)
class Packet:
    """A packet of the serial line, its checksum verified."""

    id: int
    data: bytes = field(repr=False)
    order: Order


@dataclass(frozen=True, slots=True)
class Tags:
    """A message of the socket: its error code, and its fields by their number."""

    error: int
    fields: dict[int, bytes] = field(repr=False)
    order: Order


def packet_order(body: bytes) -> Order | None:
    """In which order its numbers come; None where it is no packet."""
    return next((order for order in _ORDERS if body[:4] == _OPEN.to_bytes(4, order)), None)


def tags_order(body: bytes) -> Order | None:
    """The same of a message with tags."""
    begins = ((_HEADER_BYTES.to_bytes(4, order) + _COMMAND.to_bytes(4, order), order) for order in _ORDERS)
    return next((order for begin, order in begins if body[:8] == begin), None)


def packet(body: bytes, order: Order) -> Packet:
    """A whole packet. Raises `Refused`: `bad_packet`, `bad_checksum`."""
    length = int.from_bytes(body[8:12], order)
    if len(body) < _PACKET_FRAME_BYTES or len(body) != _PACKET_FRAME_BYTES + length:
        raise Refused("a packet is not as long as it says", reason="bad_packet")
    if body[-4:] != _CLOSE.to_bytes(4, order):
        raise Refused("a packet does not end with the closing code", reason="bad_packet")
    if body[-5] != _checksum(body[:-5]):
        raise Refused("the checksum of a packet is wrong", reason="bad_checksum")
    return Packet(int.from_bytes(body[4:8], order), body[12:-5], order)


def acknowledgement(received: Packet) -> bytes:
    """The same packet without data. That this is its form is concluded from the data packet's: the page that shows it
    could not be had. A camera that does not know it sends again, which is taken as a repeat."""
    head = b"".join(number.to_bytes(4, received.order) for number in (_OPEN, received.id, 0))
    return head + bytes([_checksum(head)]) + _CLOSE.to_bytes(4, received.order)


def tags(body: bytes, order: Order) -> Tags:
    """A whole message of the socket; of a tag that stands twice, the first. Raises `Refused` (`bad_packet`)."""
    if len(body) < _HEADER_BYTES or len(body) != _HEADER_BYTES + int.from_bytes(body[20:24], order):
        raise Refused("a message is not as long as it says", reason="bad_packet")
    fields: dict[int, bytes] = {}
    at = _HEADER_BYTES
    for _ in range(_TAGS_MAX):
        if at + 8 > len(body):
            return Tags(int.from_bytes(body[16:20], order), fields, order)
        number, length = int.from_bytes(body[at : at + 4], order), int.from_bytes(body[at + 4 : at + 8], order)
        if at + 8 + length > len(body):
            raise Refused("a tag is longer than its message", reason="bad_packet")
        fields.setdefault(number, body[at + 8 : at + 8 + length])
        at += 8 + length + -length % 4  # the room of a field is a multiple of 4
    raise Refused(f"a message has more than {_TAGS_MAX} tags", reason="bad_packet")


def _checksum(data: bytes) -> int:
    return reduce(xor, data, 0)
