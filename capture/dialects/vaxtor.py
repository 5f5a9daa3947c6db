"""Vaxtor VaxALPR on Axis, Mobotix, Hanwha and others: whatever its template makes, as long as it keeps the names. Pure.

Source: camera-formats, section 3b, and the vendor's table of template variables. An installer writes the template; this
dialect reads JSON, XML, a form or lines of text whose members are named as the variables are (`plate` for `$plate$`).
Any other template needs the dialect `generic` with a mapping. What may not happen here: a variable that the firmware
did not know, and left as `$name$`, taken for a value.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from capture.delivery import Answer, Delivery
from capture.dialects import vaxtor_template, words
from capture.dialects.boxes import scaled
from capture.dialects.countries import alpha_3
from capture.dialects.pictures import decoded
from capture.dialects.times import HEARD_MAX_CHARACTERS, compact, iso
from capture.dialects.values import number, percent, plain_answer, short_enough
from capture.multipart import looks_multipart, parts
from edge.claim import Box, Direction, Heard, Life, RawImage, RawRead, Role, ScaledBox, SignOfLife, Verdict
from edge.errors import Refused
from edge.vrm import normalise

_DIRECTIONS = {"1": Direction.TOWARD, "2": Direction.AWAY, "towards": Direction.TOWARD, "away": Direction.AWAY}
_NAME_MAX_CHARACTERS = 400
_QUERY_MAX_CHARACTERS = 8192
_PICTURE_NAME = re.compile(r"(\d{1,10})_(.*)_(\d{6})\.(\d{3})_([A-Za-z]{2,12})(?:\.jpe?g|\.png)?", re.ASCII)
_PATCHES = frozenset({"ocr", "plate", "lp", "patch"})
_DAY = re.compile(r"(?:^|/)(\d{4})([-_/]?)(\d{2})\2(\d{2})(?=/)", re.ASCII)
_LINE_BREAKS = b"\r\n\t \0"


@dataclass(frozen=True, slots=True)
class Vaxtor:
    """The dialect. It has no settings."""

    name: str = "vaxtor"
    version: int = 1

    def recognises(self, delivery: Delivery) -> bool:
        body = delivery.body
        if words.is_picture(body):
            return _named(delivery.name) is not None
        return vaxtor_template.looks_like_one(body) or vaxtor_template.looks_like_one(_query(delivery))

    def understand(self, delivery: Delivery) -> tuple[RawRead | SignOfLife, ...]:
        """The read or sign of life in a delivery. Raises `Refused`."""
        body = delivery.body
        if not body.strip(_LINE_BREAKS) and "plate" not in delivery.query.lower():
            # Browsers and scanners ask for `/` at the same port.
            return (SignOfLife(Life.OTHER_EVENT, "empty", None),)
        if words.is_picture(body):
            return (self._picture(delivery),)
        images: list[bytes] = []
        if looks_multipart(delivery.content_type, body):
            found = parts(body, delivery.content_type)
            images = [part.data for part in found if words.is_picture(part.data)]
            told = [part.data for part in found if part.data.strip() and not words.is_picture(part.data)]
            if len(told) != 1:
                raise Refused("a multipart delivery must have one part of text", reason="no_document")
            body = told[0]
        members = vaxtor_template.members(body if body.strip(_LINE_BREAKS) else _query(delivery))
        return (self._read(members, images),)

    def answer(self, verdict: Verdict, delivery: Delivery) -> Answer:
        """The status counts; nothing is written on a socket."""
        return plain_answer(verdict, delivery)

    def _read(self, said: Mapping[str, str], images: list[bytes]) -> RawRead:
        if "plateutf8" not in said and "plate" not in said:
            raise Refused(
                "a read has no plate member",
                "let the template name it plate, with $plate$ as its value",
                reason="no_plate",
            )
        heard = short_enough(said.get("plateutf8") or said.get("plate", ""))
        confidence = percent(said.get("confidence"), 100.0)
        when = said.get("date", "")
        direction = said.get("direction")
        box, box_heard = _box(said)
        return RawRead(
            dialect=self.name,
            dialect_version=self.version,
            camera_identity=words.short(said.get("cameraid"), 64),
            vendor_id=words.vendor_id([_message(said, when)], heard),
            plate_heard=heard,
            confidence=None if confidence == 0 and normalise(heard) is None else confidence,
            country=alpha_3(said.get("country")),
            direction=_DIRECTIONS.get((direction or "").lower()),
            lane=words.short(said.get("roiid")),
            time=iso(when),
            time_heard=words.short(when, HEARD_MAX_CHARACTERS),
            images=_images(said, images, box),
            heard=Heard(
                direction=words.short(direction),
                country=words.short(said.get("country")),
                plate_box=box_heard,
            ),
        )

    def _picture(self, delivery: Delivery) -> RawRead:
        """A picture whose name is the read. It has no date: two days may have the same name, so it is no identity."""
        file = _named(delivery.name)
        if file is None:
            raise Refused("a picture's name says no plate", reason="not_vaxtor")
        return RawRead(
            dialect=self.name,
            dialect_version=self.version,
            camera_identity=file.camera,
            vendor_id=None,
            plate_heard=file.plate,
            confidence=None,
            country=None,
            direction=None,
            lane=None,
            time=file.time,
            time_heard=file.time_heard,
            images=(RawImage(file.role, delivery.body),),
        )


def _query(delivery: Delivery) -> bytes:
    return delivery.query[:_QUERY_MAX_CHARACTERS].encode("utf-8", "replace")


@dataclass(frozen=True, slots=True)
class _File:
    camera: str = field(repr=False)
    plate: str = field(repr=False)
    role: Role
    time: datetime | None
    time_heard: str


def _named(path: str) -> _File | None:
    """`00005_60AB11687_212753.126_ocr.jpg`; the day only where a folder above says it."""
    if not path or len(path) > _NAME_MAX_CHARACTERS:
        return None
    path = path.replace("\\", "/")
    found = _PICTURE_NAME.fullmatch(path.rpartition("/")[2])
    if found is None:
        return None
    camera, plate, clock, ms, kind = found.groups()
    day = _DAY.search(path)
    time = compact("".join((day[1], day[3], day[4], clock, ms)), with_ms=True) if day else None
    role = Role.PLATE_PATCH if kind.lower() in _PATCHES else Role.OVERVIEW
    return _File(camera, plate, role, time, f"{clock}.{ms}")


def _message(said: Mapping[str, str], when: str) -> str | None:
    """A template has no number for a message: the time names it, where it has milliseconds."""
    if "." not in when:
        return None
    return "-".join(text for text in (said.get("cameraid"), when, said.get("roiid")) if text).replace(" ", "T")


def _box(said: Mapping[str, str]) -> tuple[Box | ScaledBox | None, str | None]:
    """The plate in the picture that was read; as shares of it where its size was said too, for the overview may be a
    smaller copy."""
    left, top, right, bottom = (number(said.get(side)) for side in ("left", "top", "right", "bottom"))
    if left is None or top is None or right is None or bottom is None or not (0 <= left < right and 0 <= top < bottom):
        return None, None
    width, height = number(said.get("width")), number(said.get("height"))
    text = f"{left:g},{top:g},{right - left:g},{bottom - top:g}"
    if width and height:
        box = scaled((left, top, right, bottom), width, height)
        return (None, None) if box is None else (box, f"{text}/{width:g}x{height:g}")
    if max(right, bottom) >= 100_000:
        return None, None
    return Box(round(left), round(top), round(right - left), round(bottom - top)), f"{text}/px"


def _images(said: Mapping[str, str], sent: list[bytes], box: Box | ScaledBox | None) -> tuple[RawImage, ...]:
    """Pictures in base64; else the parts, the plate before the overview, and a single part is the overview."""
    patch, overview = decoded(said.get("plateimage")), decoded(said.get("overviewimage"))
    if sent and not patch and len(sent) > 1:
        patch, sent = sent[0], sent[1:]
    if sent and not overview:
        overview = sent[0]
    found = [RawImage(Role.PLATE_PATCH, patch)] if patch else []
    return (*found, RawImage(Role.OVERVIEW, overview, box)) if overview else tuple(found)
