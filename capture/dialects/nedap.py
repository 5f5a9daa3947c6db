"""Nedap ANPR and ANPR Lumo: a line or a packet on RS-485, a message with tags on a socket, a line over HTTP. Pure.

Sources: camera-formats, section 5, and the vendor's manual; no capture. What a line says is the operator's template:
`%PLATE` (with the country behind it) or `%PLATE_STRING`, with one of the words READ, NOREAD, LCR or WRONG DIR in front
where the template of that event has it. What may not happen here: a line of another template guessed at; a packet
acknowledged that is not on disk.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime

from capture.delivery import Answer, Delivery, plain, said
from capture.dialects import words
from capture.dialects.countries import alpha_3
from capture.dialects.nedap_frames import (
    Tags,
    acknowledgement,
    packet,
    packet_order,
    tags,
    tags_order,
)
from capture.dialects.times import iso
from edge.claim import Box, Heard, Life, RawImage, RawRead, Role, SignOfLife, Verdict, Way
from edge.errors import Refused
from edge.vrm import normalise

_EVENT = re.compile(r"(NOREAD|READ|LCR|WRONG[ _]DIR)(?:[ \t:;,|=]+(.*))?")
_PLATE = re.compile(r"[^\x00-\x1f:;,|=<>{}\"&%]{1,24}")
_WITH_COUNTRY = re.compile(r"(.+)-([A-Z]{3})")
_LINE = re.compile(rb"(?:(?:(?:READ|LCR|WRONG DIR)[ :;,]{1,2})?[A-Z0-9]{2,12}-[A-Z]{3}|NOREAD)\r\n")
_MANUAL = re.compile(rb"0x89ABCDEF|^TAG\tTAG-ID\t")  # pages of its manual, that tell an engineer what to decode with
_LINE_MAX_BYTES = 256
_SIDE_MAX_PX = 100_000

_DATE, _TIME = 14000, 14001
_FULL, _STRING, _COUNTRY = 14003, 14004, 14005
_TRANSIT = 14009
_CORNERS = (14010, 14011, 14012, 14013)
_SERIAL, _PICTURE, _SCORE = 14017, 14020, 14022


@dataclass(frozen=True, slots=True)
class Nedap:
    """The dialect. It has no settings."""

    name: str = "nedap"
    version: int = 1

    def recognises(self, delivery: Delivery) -> bool:
        if packet_order(delivery.body) is not None or tags_order(delivery.body) is not None:
            return True
        line = delivery.body[: _LINE_MAX_BYTES + 1]
        if delivery.arrival.way is Way.SERIAL_LINE and not line.endswith(b"\n"):
            line += b"\r\n"  # the framing took it away
        return _LINE.fullmatch(line) is not None or _MANUAL.search(line) is not None

    def understand(self, delivery: Delivery) -> tuple[RawRead | SignOfLife, ...]:
        """The read or sign of life in a delivery. Raises `Refused`."""
        body = delivery.body
        order = tags_order(body)
        if order is not None:
            return (self._tagged(tags(body, order)),)
        order = packet_order(body)
        return (self._line(body if order is None else packet(body, order).data),)

    def answer(self, verdict: Verdict, delivery: Delivery) -> Answer:
        """On the serial line the acknowledgement of a packet that is kept, else nothing: the camera sends it again."""
        if delivery.arrival.way is Way.HTTP_PUSH:
            return plain(verdict)
        quiet = said(verdict, "", b"")
        order = packet_order(delivery.body)
        if delivery.arrival.way is not Way.SERIAL_LINE or order is None or quiet.status != 200:
            return quiet
        try:
            return said(verdict, "application/octet-stream", acknowledgement(packet(delivery.body, order)))
        except Refused:
            return quiet

    def _line(self, line: bytes) -> RawRead:
        if len(line) > _LINE_MAX_BYTES:
            raise Refused("a line is too long to be one of a plate", reason="too_large")
        told = _text(line).strip("\r\n\x00 ")
        event = _EVENT.fullmatch(told)
        kind, rest = (event[1], (event[2] or "").strip()) if event else ("", told)
        if not rest and kind in ("", "READ"):
            raise Refused("a line has no plate in it", reason="no_plate")
        if rest and _PLATE.fullmatch(rest) is None:
            raise Refused(
                "a line is not of the template that is understood",
                "set the camera's message to %PLATE%0x0D%0x0A",
                reason="template_unknown",
            )
        heard, country = _apart(rest)
        return self._read(
            kind if kind == "NOREAD" and not rest else heard,
            Heard(
                confidence="LCR" if kind == "LCR" else None,
                direction=kind if kind.startswith("WRONG") else None,
                country=country,
            ),
        )

    def _tagged(self, message: Tags) -> RawRead | SignOfLife:
        told = {number: _string(data) for number, data in message.fields.items() if number != _PICTURE}
        serial = _number(message, _SERIAL)
        identity = None if serial is None else str(serial)
        if message.error:
            return SignOfLife(Life.OTHER_EVENT, "error", identity)
        if _STRING not in told and _FULL not in told:
            raise Refused("a message has no tag for the plate", reason="no_plate")
        heard, country = (told[_STRING], None) if _STRING in told else _apart(told[_FULL])
        country = words.short(told.get(_COUNTRY)) or country
        score = _number(message, _SCORE)
        day, clock = told.get(_DATE, ""), told.get(_TIME, "")
        picture, box = message.fields.get(_PICTURE, b""), _box(message)
        transit = _number(message, _TRANSIT)
        # The count of vehicles begins anew with the camera: the time stands with it.
        known = f"{day[:12]}T{clock[:16]}-{transit}" if day and clock and transit is not None else None
        return self._read(
            heard,
            Heard(country=country),
            identity=identity,
            message=words.vendor_id([known], heard),
            confidence=None if score is None else words.percent(str(score)),
            time=iso(f"{day}T{clock.replace('-', ':')}"),
            time_heard=words.short(f"{day} {clock}", 64),
            images=(RawImage(Role.OVERVIEW, picture, box),) if picture else (),
        )

    def _read(
        self,
        heard: str,
        words_of_it: Heard,
        *,
        identity: str | None = None,
        message: str | None = None,
        confidence: int | None = None,
        time: datetime | None = None,
        time_heard: str | None = None,
        images: tuple[RawImage, ...] = (),
    ) -> RawRead:
        return RawRead(
            dialect=self.name,
            dialect_version=self.version,
            camera_identity=identity,
            vendor_id=message,
            plate_heard=heard,
            confidence=None if confidence == 0 and normalise(heard) is None else confidence,
            country=alpha_3(words_of_it.country),
            direction=None,  # which direction is the wrong one, only the operator knows
            lane=None,
            time=time,
            time_heard=time_heard,
            images=images,
            heard=words_of_it,
        )


def _apart(told: str) -> tuple[str, str | None]:
    """`46HVR9-NLD` as plate and country; the country only where there is one of that name."""
    found = _WITH_COUNTRY.fullmatch(told)
    return (found[1], found[2]) if found is not None and alpha_3(found[2]) is not None else (told, None)


def _text(data: bytes) -> str:
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        return data.decode("latin-1")


def _string(data: bytes) -> str:
    """A string ends with a zero, whatever stands behind it."""
    return _text(data[:_LINE_MAX_BYTES].partition(b"\x00")[0]).strip()


def _number(message: Tags, tag: int) -> int | None:
    data = message.fields.get(tag, b"")
    return int.from_bytes(data, message.order, signed=True) if len(data) == 4 else None


def _box(message: Tags) -> Box | None:
    sides = [side for tag in _CORNERS if (side := _number(message, tag)) is not None]
    if len(sides) != 4 or not 0 <= min(sides) <= max(sides) <= _SIDE_MAX_PX:
        return None
    left, top, right, bottom = sides
    return Box(left, top, right - left, bottom - top) if left < right and top < bottom else None
