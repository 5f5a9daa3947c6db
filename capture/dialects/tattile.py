"""Tattile Vega: the XML a camera writes to a socket; and its cousin in JSON, Lector Vision. Pure.

Sources: camera-formats, section 5, and integrators' notes; no capture. The root changes its name (`root`, `Msg`,
`MESSAGE`), the clock its form, and no zone is told. What may not happen here: a plate box on the context picture. It
was measured in the OCR camera's, which looks through another lens.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from capture import documents
from capture.delivery import Answer, Delivery, plain, said
from capture.dialects import words
from capture.dialects.boxes import Corners, corners
from capture.dialects.countries import alpha_3
from capture.dialects.members import ABSENT, at, plate, text
from capture.dialects.pictures import apart, decoded, size_px
from capture.dialects.times import HEARD_MAX_CHARACTERS, iso
from capture.dialects.values import short_enough
from edge.claim import Box, Direction, Heard, RawImage, RawRead, Role, SignOfLife, Verdict, Way
from edge.errors import Refused
from edge.vrm import normalise

_ROOT = re.compile(rb"<(?:root|Msg|MESSAGE)[\s>]")
_CLOCK = re.compile(r"(\d\d)[-:](\d\d)[-:](\d\d)(?:[-.:](\d{1,3}))?", re.ASCII)
_DIRECTIONS = {"goaway": Direction.AWAY}
_FRAME_SIDES = 3
"""So many times as wide and as high as the plate, with the plate inside: it is the OCR camera's whole frame."""

_LECTOR = {  # Lector Vision's member to Tattile's element
    "Plate": "PLATE_STRING",
    "SerialNumber": "DEVICE_SN",
    "Fiability": "OCRSCORE",
    "Direction": "DIRECTION",
    "LaneNumber": "LANE_ID",
    "Country": "PLATE_COUNTRY_CODE",
    "ImageOcr": "IMAGE_OCR",
    "ImageCtx": "IMAGE_CTX",
    "TimeStamp": "DATE",
}
_BOX = ("ORIG_PLATE_MIN_X", "ORIG_PLATE_MIN_Y", "ORIG_PLATE_MAX_X", "ORIG_PLATE_MAX_Y")


@dataclass(frozen=True, slots=True)
class Tattile:
    """The dialect. It has no settings."""

    name: str = "tattile"
    version: int = 1

    def recognises(self, delivery: Delivery) -> bool:
        body = delivery.body
        if b"<PLATE_STRING" in body or b"<DEVICE_SN" in body:
            return _ROOT.search(body, 0, 1024) is not None
        return b'"Plate"' in body and b'"TimeStamp"' in body and (b'"Fiability"' in body or b'"IdDevice"' in body)

    def understand(self, delivery: Delivery) -> tuple[RawRead | SignOfLife, ...]:
        """The read in a delivery. Raises `Refused`."""
        told = _json(delivery.body) if delivery.body[:64].lstrip().startswith(b"{") else _xml(delivery.body)
        if "PLATE_STRING" not in told:
            raise Refused("a read has no element for the plate", reason="no_plate")
        return (self._read(told),)

    def answer(self, verdict: Verdict, delivery: Delivery) -> Answer:
        """Nothing on a socket: the camera waits for no word."""
        return plain(verdict) if delivery.arrival.way is Way.HTTP_PUSH else said(verdict, "", b"")

    def _read(self, told: Mapping[str, str]) -> RawRead:
        heard = short_enough(told["PLATE_STRING"])
        confidence = words.percent(told.get("OCRSCORE", ""))
        direction = told.get("DIRECTION", "")
        box = corners(dict(zip(("xmin", "ymin", "xmax", "ymax"), map(told.get, _BOX), strict=True)))
        country = words.short(told.get("PLATE_COUNTRY_CODE")) or words.short(told.get("PLATE_COUNTRY"))
        when = f"{told.get('DATE', '')} {told.get('TIME', '')}".strip()
        return RawRead(
            dialect=self.name,
            dialect_version=self.version,
            camera_identity=words.short(told.get("DEVICE_SN"), 64),
            vendor_id=words.vendor_id([_message(told)], heard),
            plate_heard=heard,
            confidence=None if confidence == 0 and normalise(heard) is None else confidence,
            country=alpha_3(country),
            direction=_DIRECTIONS.get(direction.lower()),
            lane=words.short(told.get("LANE_ID")),
            time=_moment(when),
            time_heard=words.short(when, HEARD_MAX_CHARACTERS),
            images=_images(decoded(told.get("IMAGE_OCR")), decoded(told.get("IMAGE_CTX")), box),
            heard=Heard(
                direction=words.short(direction),
                country=country,
                plate_box=None if box is None else f"{box.left},{box.top},{box.width},{box.height}/px",
            ),
        )


def _xml(body: bytes) -> dict[str, str]:
    document, runs = apart(body)
    root = documents.read_xml(document)
    told = next((t for e in (root, *root) if "PLATE_STRING" in (t := documents.texts(e))), {})
    return {name: runs.get(value, value) for name, value in told.items()}


def _json(body: bytes) -> dict[str, str]:
    read = documents.read_json(body)
    if at(read, "Plate") is ABSENT:
        return {}
    told = {ours: found for theirs, ours in _LECTOR.items() if (found := text(read, theirs)) is not None}
    told["PLATE_STRING"] = plate(read, "Plate")
    told["DATE"] = told.get("DATE", "").replace("/", "-")
    for index, name in enumerate(_BOX):
        told[name] = text(read, "PlateCoord", index) or ""
    if "DEVICE_SN" not in told:
        told["DEVICE_SN"] = text(read, "IdDevice") or ""
    return told


def _moment(when: str) -> datetime | None:
    """`2024-04-30 12-34-56-789` or `2024-04-30 15:42:10`: the camera's clock face, without a zone."""
    day, _, clock = when.partition(" ")
    found = _CLOCK.fullmatch(clock.strip())
    if found is None:
        return None
    hour, minute, second, milli = found.groups()
    return iso(f"{day}T{hour}:{minute}:{second}.{(milli or '0').rjust(3, '0')}")


def _message(told: Mapping[str, str]) -> str | None:
    """The camera's count of vehicles begins anew with it, so the time stands with it; without a count only a time to
    the millisecond is one vehicle's."""
    when = f"{told.get('DATE', '')} {told.get('TIME', '')}".strip()
    clock = _CLOCK.fullmatch(when.partition(" ")[2].strip())
    transit = told.get("TRANSIT_ID", "")
    if clock is None or not (transit or clock[4]):
        return None
    return "-".join((when.replace(" ", "T")[:40], transit[:20], told.get("LANE_ID", "")[:20]))


def _images(ocr: bytes, context: bytes, box: Corners | None) -> tuple[RawImage, ...]:
    """The context picture is the overview. The OCR camera's is the plate, or a frame that the plate can be cut from."""
    found = [RawImage(Role.OVERVIEW, context)] if context else []
    if not ocr:
        return tuple(found)
    size = size_px(ocr)
    if box is None or size is None or not _is_frame(size, box):
        return (RawImage(Role.PLATE_PATCH, ocr), *found)
    return (*found, RawImage(Role.OVERVIEW, ocr, Box(box.left, box.top, box.width, box.height)))


def _is_frame(size: tuple[int, int], box: Corners) -> bool:
    inside = box.right <= size[0] and box.bottom <= size[1]
    return inside and size[0] >= _FRAME_SIDES * box.width and size[1] >= _FRAME_SIDES * box.height
