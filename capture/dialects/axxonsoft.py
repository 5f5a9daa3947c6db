"""AxxonSoft: what its server writes to sockets, an XML (port 35555) or a line between STX and ETX (port 55555). Pure.

Sources: camera-formats, section 5, and the vendor's page on both; no capture. What may not happen here: "Not defined"
refused, which is a vehicle without a read.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from capture import documents
from capture.delivery import Answer, Delivery, plain, said
from capture.dialects import words
from capture.dialects.countries import alpha_3
from capture.dialects.pictures import apart, decoded
from capture.dialects.times import HEARD_MAX_CHARACTERS, compact, iso
from capture.dialects.values import short_enough
from edge.claim import Direction, Heard, RawImage, RawRead, Role, SignOfLife, Verdict, Way
from edge.errors import Refused
from edge.vrm import normalise

_XML_MARK = b"<CAR_PLATE"
_FRAME = re.compile(rb"\x02[ ]?(\d{14})[ ]?(\d\d)[ ]?([^\x02\x03]{0,128})\x03")
_BARE = re.compile(rb"(\d{14})[ ]?(\d\d)[ ]?([^\x00-\x1f]{0,128})[\r\n]{0,2}")  # where the framing kept the ends
_IN_COMMENT = re.compile(rb"<!--(run-\d{1,4})-->")
_DIRECTIONS = {"in": Direction.TOWARD, "out": Direction.AWAY}


@dataclass(frozen=True, slots=True)
class AxxonSoft:
    """The dialect. It has no settings."""

    name: str = "axxonsoft"
    version: int = 1

    def recognises(self, delivery: Delivery) -> bool:
        return _XML_MARK in delivery.body[:1024] or _FRAME.fullmatch(delivery.body) is not None

    def understand(self, delivery: Delivery) -> tuple[RawRead | SignOfLife, ...]:
        """The read in a delivery. Raises `Refused`."""
        body = delivery.body
        if _XML_MARK in body[:1024]:
            return (self._xml(body),)
        found = _FRAME.fullmatch(body) or _BARE.fullmatch(body)
        if found is None:
            raise Refused("a delivery is neither form that AxxonSoft uses", reason="not_axxonsoft")
        return (self._line(found[1].decode(), found[2].decode(), _text(found[3]).strip()),)

    def answer(self, verdict: Verdict, delivery: Delivery) -> Answer:
        """Nothing on a socket: the server waits for no word."""
        return plain(verdict) if delivery.arrival.way is Way.HTTP_PUSH else said(verdict, "", b"")

    def _xml(self, body: bytes) -> RawRead:
        document, runs = apart(body)
        root = documents.read_xml(document)
        if documents.local_name(root.tag) != "CAR_PLATE" or "plate" not in root.attrib:
            raise Refused("a read has no attribute for the plate", reason="no_plate")
        told = {name: runs.get(value.strip(), value).strip() for name, value in root.attrib.items()}
        heard, direction = short_enough(told["plate"]), told.get("direction", "")
        when, camera = told.get("time", ""), told.get("cam-id", "")
        confidence = words.percent(told.get("confidence", ""))
        country = words.short(told.get("plate_mask"))
        whole, patch = (root.text or "").strip(), told.get("plateImage", "")
        # The older form has one picture, the plate's, in a comment.
        commented = _IN_COMMENT.search(document)
        if commented is not None and not patch:
            patch = runs.get(commented[1].decode(), "")
        return RawRead(
            dialect=self.name,
            dialect_version=self.version,
            camera_identity=words.short(camera, 64),
            # Only a time to the millisecond is one vehicle's.
            vendor_id=words.vendor_id([f"{camera[:40]}-{when[:40]}"], heard) if "." in when else None,
            plate_heard=heard,
            confidence=None if confidence == 0 and normalise(heard) is None else confidence,
            country=alpha_3(country),
            direction=_DIRECTIONS.get(direction.lower()),
            lane=None,
            time=iso(when),
            time_heard=words.short(when, HEARD_MAX_CHARACTERS),
            images=(
                *_image(Role.PLATE_PATCH, decoded(patch)),
                *_image(Role.OVERVIEW, decoded(runs.get(whole, whole))),
            ),
            heard=Heard(direction=words.short(direction), country=country),
        )

    def _line(self, when: str, camera: str, heard: str) -> RawRead:
        return RawRead(
            dialect=self.name,
            dialect_version=self.version,
            camera_identity=camera,
            vendor_id=None,  # two vehicles of one second would have the same
            plate_heard=heard,
            confidence=None,
            country=None,
            direction=None,
            lane=None,
            time=compact(when, with_ms=False),
            time_heard=when,
            images=(),
        )


def _image(role: Role, data: bytes) -> tuple[RawImage, ...]:
    return (RawImage(role, data),) if data else ()


def _text(data: bytes) -> str:
    """In UTF-8, else in the code page of the server's home."""
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        return data.decode("cp1251", "replace")
