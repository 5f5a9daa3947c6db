"""Hikvision's three ways: the push, the endless alert stream, and the list of plates that is asked for.

Pure. The list gives a local time without zone; its order is none, its cursor is a picture's name, and the last plate
is given again.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from xml.sax.saxutils import escape

from simulators.payloads import Event, hikvision_heartbeat, hikvision_push, hikvision_xml
from simulators.traffic import Direction
from simulators.vendors.asked import Reply
from simulators.vendors.telling import Message, Mount, Telling, digits_ms, face, plate_of, stamped, truth

PLATES = "/ISAPI/Traffic/channels/1/vehicleDetect/plates"
PICTURE = "/doc/ui/images/plate/{name}.jpg"
XML = 'application/xml; charset="UTF-8"'


def push(mount: Mount, what: Event) -> Telling:
    """One multipart request: XML, the plate where it was read, and the scene."""
    sent = hikvision_push(mount.device, _as_stamped(mount, what), mount.headers)
    pictures = 2 if what.vehicle.readable else 1
    return Telling(
        what.uuid, (Message(sent.body, sent.content_type),), truth(what, pictures, within_ms=1, vendor_id=what.uuid)
    )


def stream(mount: Mount, what: Event) -> Telling:
    """A part of the alert stream; with the shape `pictures`, the pictures follow as parts of their own."""
    pictures = [what.pictures.plate, what.pictures.overview][0 if what.vehicle.readable else 1 :]
    if mount.shape != "pictures":
        pictures = []
    xml = hikvision_xml(mount.device, _as_stamped(mount, what), with_pictures=bool(pictures))
    parts = [Message(xml, XML), *(Message(picture, "image/jpeg") for picture in pictures)]
    resolution_ms = 1 if pictures else 1000
    told = truth(what, len(pictures), within_ms=resolution_ms, vendor_id=what.uuid)
    return Telling(what.uuid, tuple(parts), told)


def life(mount: Mount, at: datetime) -> Message:
    """A loss of video that is not happening."""
    sent = hikvision_heartbeat(mount.device, stamped(mount, at))
    return Message(sent.body, sent.content_type)


def poll(mount: Mount, what: Event) -> Telling:
    """A `Plate` of the list, and the picture that lies under its name."""
    at = face(what.captured_at)
    name = digits_ms(at) + f"{int(what.uuid[17:19]):02d}"
    way = "forward" if what.vehicle.direction is Direction.TOWARD else "reverse"
    xml = f"""<Plate>
<captureTime>{at.strftime("%Y%m%dT%H%M%S")}0000</captureTime>
<plateNumber>{escape(plate_of(what) or "unknown")}</plateNumber>
<picName>{name}</picName>
<country>GBR</country>
<laneNo>{what.vehicle.lane}</laneNo>
<direction>{way}</direction>
</Plate>
"""
    picture = Message(what.pictures.plate, "image/jpeg", PICTURE.format(name=name))
    told = truth(what, 1, within_ms=1000, confidence=None, vendor_id=name)
    return Telling(what.uuid, (Message(xml.encode(), "application/xml"), picture), told)


def plates(kept: Sequence[Telling], target: str, body: bytes) -> Reply | None:
    """The plates from the asked picture on, the last one included; None where something else is asked."""
    if target.partition("?")[0] != PLATES:
        return None
    asked = re.search(rb"<picTime>\s*(\d*)", body)
    since = asked[1].decode().rstrip("0") if asked else ""
    given = [each for each in kept if (each.truth.vendor_id or "") >= since]
    shuffled = given[len(given) // 2 :] + given[: len(given) // 2]
    before = b"\r\n" if len(given) % 2 else b""  # bytes may stand before the first "<"
    listed = b"".join(each.messages[0].body for each in shuffled)
    whole = before + b'<?xml version="1.0" encoding="UTF-8"?>\n<Plates>\n' + listed + b"</Plates>\n"
    return Reply("application/xml", whole, frozenset(each.uuid for each in given))


def _as_stamped(mount: Mount, what: Event) -> Event:
    return replace(what, captured_at=stamped(mount, what.captured_at))
