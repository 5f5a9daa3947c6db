"""Genetec AutoVu SharpV: the XML of its FTP and HTTP exports, and their JSON. Pure.

Sources: camera-formats, section 5, and the vendor's pages on the templates; no capture. The template is the operator's:
elements may be missing or in another order. What may not happen here: the name of a state taken for a country (`CA` is
California).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from capture import documents
from capture.delivery import Answer, Delivery, plain, said
from capture.dialects import words
from capture.dialects.members import at, text
from capture.dialects.pictures import apart, decoded
from capture.dialects.times import HEARD_MAX_CHARACTERS, iso
from capture.dialects.values import short_enough
from edge.claim import Direction, Heard, RawImage, RawRead, Role, SignOfLife, Verdict, Way
from edge.errors import Refused
from edge.vrm import normalise

_XML_MARKS = (b"<UTCDate>", b"<UTCTime>", b"<PlateRead>", b"<AutoVu>")
_JSON_MARKS = ((b'"PlateRead"', b'"SourceUrl"'), (b'"DateUtc"', b'"TimeUtc"'))
_FILE = re.compile(r"(?:.*/)?([A-Za-z0-9-]{1,64})_([0-9A-Fa-f-]{36})_lpr\.xml", re.DOTALL)
_DATE = re.compile(r"(\d{4})[:-](\d\d)[:-](\d\d)", re.ASCII)
_DIRECTIONS = {"approaching": Direction.TOWARD, "moving away": Direction.AWAY}
_ANALYTICS_MAX = 64


@dataclass(frozen=True, slots=True)
class Genetec:
    """The dialect. It has no settings."""

    name: str = "genetec"
    version: int = 1

    def recognises(self, delivery: Delivery) -> bool:
        if any(mark in delivery.body for mark in _XML_MARKS):
            return True
        return any(all(mark in delivery.body for mark in marks) for marks in _JSON_MARKS)

    def understand(self, delivery: Delivery) -> tuple[RawRead | SignOfLife, ...]:
        """The read in a delivery. Raises `Refused`."""
        told = _json(delivery.body) if delivery.body[:64].lstrip().startswith(b"{") else _xml(delivery.body)
        return (self._read(told, _FILE.fullmatch(delivery.name)),)

    def answer(self, verdict: Verdict, delivery: Delivery) -> Answer:
        return plain(verdict) if delivery.arrival.way is Way.HTTP_PUSH else said(verdict, "", b"")

    def _read(self, told: Mapping[str, str], file: re.Match[str] | None) -> RawRead:
        heard = _first(told, "PlateRead", "Plate")
        if heard is None:
            raise Refused("a read has no element for the plate", reason="no_plate")
        heard = short_enough(heard)
        confidence = words.percent(_first(told, "ConfidenceScore", "Confidence Score") or "")
        motion = _first(told, "RelativeMotion", "Relative Motion") or ""
        time, time_heard = _moment(told)
        patch, overview = decoded(told.get("PlateImage")), decoded(told.get("ContextImage"))
        return RawRead(
            dialect=self.name,
            dialect_version=self.version,
            camera_identity=words.short(
                _first(told, "SourceName", "SharpName", "SourceUrl") or (file[1] if file else None), 64
            ),
            vendor_id=words.vendor_id([_first(told, "Guid", "Id") or (file[2] if file else None)], heard),
            plate_heard=heard,
            confidence=None if confidence == 0 and normalise(heard) is None else confidence,
            country=None,
            direction=_DIRECTIONS.get(motion.lower()),
            lane=words.short(told.get("Lane")),
            time=time,
            time_heard=words.short(time_heard, HEARD_MAX_CHARACTERS),
            images=(*_image(Role.PLATE_PATCH, patch), *_image(Role.OVERVIEW, overview)),
            heard=Heard(direction=words.short(motion), country=words.short(_first(told, "State", "State Name"))),
        )


def _xml(body: bytes) -> dict[str, str]:
    """Each element by its name, and each analytic by its key; pictures as they stood."""
    document, runs = apart(body)
    root = documents.read_xml(document)
    told = documents.texts(root)
    for listed in documents.children(root, "PlateAnalytics"):
        for each in list(listed)[:_ANALYTICS_MAX]:
            pair = documents.texts(each)
            told.setdefault(pair.get("Key", ""), pair.get("Value", ""))
    return {name: runs.get(value, value) for name, value in told.items()}


def _json(body: bytes) -> dict[str, str]:
    read = documents.read_json(body)
    if not isinstance(read, dict):
        raise Refused("a delivery is not a JSON object", reason="not_an_object")
    told = {name: found for name in read if (found := text(read, name)) is not None}
    told |= {name: "" for name in ("Plate", "PlateRead") if at(read, name) is None}
    listed: Any = at(read, "PlateAnalytics")
    for each in listed[:_ANALYTICS_MAX] if isinstance(listed, list) else []:
        told.setdefault(text(each, "Key") or "", text(each, "Value") or "")
    attributes = at(read, "Attributes")
    for name in list(attributes)[:_ANALYTICS_MAX] if isinstance(attributes, dict) else []:
        told.setdefault(name, text(attributes, name) or "")
    return told


def _first(told: Mapping[str, str], *names: str) -> str | None:
    return next((told[name] for name in names if name in told), None)


def _moment(told: Mapping[str, str]) -> tuple[datetime | None, str | None]:
    """UTC in two elements, else the one time stamp with the zone it declares, if it declares one."""
    day, clock = _first(told, "UTCDate", "DateUtc"), _first(told, "UTCTime", "TimeUtc")
    if day is None or clock is None:
        stamp = told.get("Timestamp")
        return (None if stamp is None else iso(stamp)), stamp
    found = _DATE.fullmatch(day)
    return (iso(f"{'-'.join(found.groups())}T{clock}Z") if found else None), f"{day} {clock}"


def _image(role: Role, data: bytes) -> tuple[RawImage, ...]:
    return (RawImage(role, data),) if data else ()
