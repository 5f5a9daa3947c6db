"""Nedap ANPR on RS-485: lines from a template, or packets with a number and a checksum that want an acknowledgement.

Pure. Shapes: `raw`; `packets`, whose numbers are big-endian; `packets-le`. The template's names stand between per-cent
signs and bytes may be written `0x0D`; `%PLATE%` is the plate, a hyphen and the country. A passage without a read is
the word NOREAD in the place of the plate.
"""

from __future__ import annotations

import functools
import operator
import re
from typing import Any

from simulators.payloads import Event
from simulators.vendors.telling import Message, Mount, Telling, plate_of, serial, truth

TEMPLATE = "%PLATE%0x0D%0x0A"
OPEN, CLOSE = 0x89ABCDEF, 0x12345678


def line(mount: Mount, what: Event) -> Telling:
    """The text from the template; the packet around it is made when it is sent, because it is numbered then."""
    template = mount.template or TEMPLATE
    plate, at = plate_of(what), what.captured_at
    values = {
        "DATE": f"{at:%Y-%m-%d}",
        "TIME": f"{at:%H-%M-%S}",
        "NETBIOSNAME": "NEDAP_ANPR1",
        "PLATE": f"{plate}-GBR" if plate else "NOREAD",
        "PLATE_STRING": plate or "NOREAD",
        "PLATE_COUNTRY": "GBR" if plate else "",
        "NREAD": "3",
        "SN": str(int(serial(mount.device)[-6:], 16)),
        "OCRSCORE": str(what.confidence),
    }
    filled = re.sub(r"%([A-Z_]+)%", lambda found: values.get(found[1], found[0]), template)
    text = re.sub(r"%?0x([0-9A-Fa-f]{2})", lambda found: chr(int(found[1], 16)), filled)
    unsaid: dict[str, Any] = {"direction": None}
    if "%DATE%" not in template or "%TIME%" not in template:
        unsaid["at_ms"] = None
    if "%OCRSCORE%" not in template:
        unsaid["confidence"] = None
    told = truth(what, 0, within_ms=1000, **unsaid)
    return Telling(what.uuid, (Message(text.encode(), "text/plain"),), told)


def packet(number: int, data: bytes, *, order: str = "big") -> bytes:
    """Open code, number, length, data, the exclusive-or of all bytes before it, close code."""
    words = [OPEN, number, len(data)]
    head = b"".join(_word(word, order) for word in words) + data
    return head + bytes([functools.reduce(operator.xor, head)]) + _word(CLOSE, order)


def acknowledges(heard: bytes, number: int, *, order: str = "big") -> bool:
    """Whether a packet with this number stands in what was heard.

    How an acknowledgement is laid out is not in the public pages; whatever has the codes of a packet and the number in
    its place is taken for one.
    """
    start = heard.find(_word(OPEN, order) + _word(number, order))
    return start >= 0 and _word(CLOSE, order) in heard[start + 8 :]


def _word(number: int, order: str) -> bytes:
    return number.to_bytes(4, "little" if order == "little" else "big")
