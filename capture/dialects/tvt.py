"""TVT and those who sell its cameras (Viewtron and others): HTTP POST of XML, IPC 1.x and NVR 2.0. Pure.

Sources: camera-formats, section 5; the maker's words are kept with their errors (`VEHICE`, `openAlramObj`). What may
not happen here: a box on a picture that it was not said of; the 20-digit number that some firmware sends for a time
being read as one.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime
from xml.etree.ElementTree import Element

from capture import documents
from capture.delivery import Answer, Delivery, said
from capture.dialects import words
from capture.dialects.countries import alpha_3
from capture.dialects.times import HEARD_MAX_CHARACTERS, epoch, iso
from capture.dialects.tvt_pictures import PICTURES_MAX, box_of, box_words, child, lifted, picture, size_of
from edge.claim import (
    Direction,
    Heard,
    Life,
    Outcome,
    RawImage,
    RawRead,
    Role,
    SignOfLife,
    Verdict,
    Way,
)
from edge.errors import Refused
from edge.vrm import normalise

GRID = 10_000
"""Of coordinates, and of a confidence."""

_MARKS = (b"www.ipc.com/ver", b"<DeviceNo.>", b"<deviceNo.>")
_HEAD_BYTES = 4096
_READS = frozenset({"vehice", "vehicle"})
_DIRECTIONS = {
    "approach": Direction.TOWARD,
    "leave": Direction.AWAY,
    "away": Direction.AWAY,
}
_PER_SECOND = {10: 1, 13: 1000, 16: 1_000_000}
_AMERICAN = re.compile(r"(\d\d)-(\d\d)-(\d{4}) (\d\d):(\d\d:\d\d) ?([AP])M", re.ASCII | re.IGNORECASE)
_NO_ADDRESS = frozenset({"", "000000000000"})


@dataclass(frozen=True, slots=True)
class Tvt:
    """The dialect. It has no settings."""

    name: str = "tvt"
    version: int = 1

    def recognises(self, delivery: Delivery) -> bool:
        head = delivery.body[:_HEAD_BYTES]
        return b"<" in head[:64] and any(mark in head for mark in _MARKS)

    def understand(self, delivery: Delivery) -> tuple[RawRead | SignOfLife, ...]:
        """The reads or the sign of life in a delivery. Raises `Refused`."""
        if not delivery.body.strip(b" \t\r\n\0"):
            return (SignOfLife(Life.HEARTBEAT, "empty", None),)
        body, pictures = lifted(delivery.body)
        root = documents.read_xml(body)
        name, top = documents.local_name(root.tag), documents.texts(root)
        if name == "DeviceInfo":
            return (SignOfLife(Life.HEARTBEAT, "keepalive", _identity(top)),)
        if name != "config":
            raise Refused("a document is not in a form TVT cameras use", reason="not_tvt")
        device = child(root, "deviceInfo")
        about = top | ({} if device is None else documents.texts(device))
        kind = top.get("messageType", "")
        if kind.lower() == "keepalive":
            return (SignOfLife(Life.HEARTBEAT, "keepalive", _identity(about)),)
        if top.get("smartType", "").lower() not in _READS or kind.lower() not in ("", "alarmdata"):
            return (SignOfLife(Life.OTHER_EVENT, words.word(_what(top)), _identity(about)),)
        if child(root, "licensePlateListInfo") is not None:
            return self._by_recorder(root, about, pictures)
        return self._by_camera(root, about, pictures)

    def answer(self, verdict: Verdict, delivery: Delivery) -> Answer:
        """What cameras expect, also for a keep-alive, without which they drop the connection."""
        if delivery.arrival.way is not Way.HTTP_PUSH:
            return said(verdict, "application/xml", b"")
        status = "failed" if verdict.outcome in (Outcome.LATER, Outcome.REFUSED) else "success"
        body = (
            '<?xml version="1.0" encoding="UTF-8"?>'
            f'<config version="1.0" xmlns="http://www.ipc.com/ver10"><status>{status}</status></config>'
        )
        return said(verdict, "application/xml", body.encode())

    def _by_camera(self, root: Element, about: dict[str, str], pictures: list[bytes]) -> tuple[RawRead, ...]:
        """Of the list, the item with a plate is the plate, and the one without is the scene."""
        listed = child(root, "listInfo")
        items = [] if listed is None else documents.children(listed, "item")
        plates = _bounded([item for item in items if child(item, "plateNumber") is not None])
        scenes = [child(item, "targetImageData") for item in items if child(item, "plateNumber") is None]
        scene = next((data for image in scenes if (data := _target(image, pictures))), b"")
        scene = scene or picture(child(root, "sourceDataInfo"), "sourceBase64Data", pictures)
        size = next((size for image in scenes if (size := size_of(image)) is not None), None)
        size = size or size_of(child(root, "sourceDataInfo"))
        return tuple(
            self._read(
                item, {"index": str(index)} | documents.texts(item), about, (scene, size), pictures, assumed=GRID
            )
            for index, item in enumerate(plates)
        )

    def _by_recorder(self, root: Element, about: dict[str, str], pictures: list[bytes]) -> tuple[RawRead, ...]:
        source, listed = child(root, "sourceDataInfo"), child(root, "licensePlateListInfo")
        items = _bounded([] if listed is None else documents.children(listed, "item"))
        scene = (picture(source, "sourceBase64Data", pictures), size_of(source))
        found = []
        for index, item in enumerate(items):
            plate = child(item, "licensePlateAttribute")
            if plate is None or child(plate, "licensePlateNumber") is None:
                raise Refused("a read has no element for the plate", reason="no_plate")
            members = {"index": str(index), **documents.texts(plate)}
            members |= {"plateNumber": members["licensePlateNumber"]} | documents.texts(item)
            found.append(self._read(item, members, about, scene, pictures, assumed=None))
        return tuple(found)

    def _read(
        self,
        item: Element,
        members: dict[str, str],
        about: dict[str, str],
        scene: tuple[bytes, tuple[int, int] | None],
        pictures: list[bytes],
        *,
        assumed: int | None,
    ) -> RawRead:
        heard = members.get("plateNumber", "")
        image = child(item, "targetImageData")
        box = box_of(child(item, "rect"), size_of(image), scene[1], assumed)
        confidence, confidence_heard = _confidence(child(item, "PlateConfidence"))
        when = about.get("currentTime") or about.get("dataTime") or ""
        time = _moment(when)
        direction = members.get("vehicleDirect") or members.get("direction")
        country = members.get("country") or members.get("plateCountry")
        patch = _target(image, pictures)
        images = [RawImage(Role.PLATE_PATCH, patch)] if patch else []
        images += [RawImage(Role.OVERVIEW, scene[0], box)] if scene[0] else []
        number = members.get("targetId") or members.get("eventId") or members["index"]
        return RawRead(
            dialect=self.name,
            dialect_version=self.version,
            camera_identity=_identity(about),
            vendor_id=None if time is None else words.vendor_id([f"{when}-{number}".replace(" ", "_")], heard),
            plate_heard=heard,
            confidence=None if confidence == 0 and normalise(heard) is None else confidence,
            country=alpha_3(country),
            direction=_DIRECTIONS.get((direction or "").lower()),
            lane=words.short(members.get("laneNo") or members.get("lane")),
            time=time,
            time_heard=words.short(when, HEARD_MAX_CHARACTERS),
            images=tuple(images),
            heard=Heard(confidence_heard, words.short(direction), words.short(country), box_words(box)),
        )


def _bounded(items: list[Element]) -> list[Element]:
    if not items:
        raise Refused("a read has no element for the plate", reason="no_plate")
    if len(items) > PICTURES_MAX:
        raise Refused("a document has too many reads", reason="too_many_reads")
    return items


def _what(top: dict[str, str]) -> str:
    if "alarmStatusInfo" in top:
        return "alarmStatus"
    if "traject" in top:
        return "traject"
    return top.get("smartType") or top.get("messageType") or ""


def _identity(about: dict[str, str]) -> str | None:
    """The MAC, which all forms know, and behind a recorder, whose own it is, the channel; else the serial number."""
    for key in ("mac", "macAddress", "sn", "SN"):
        text = about.get(key, "")
        if text.replace(":", "").replace("-", "") not in _NO_ADDRESS:
            channel = about.get("channelId", "")
            return words.short(f"{text}/{channel}" if channel else text, 64)
    return None


def _target(image: Element | None, pictures: list[bytes]) -> bytes:
    return picture(image, "targetBase64Data", pictures)


def _confidence(element: Element | None) -> tuple[int | None, str | None]:
    """In hundredths of a per cent in the attribute `count`; elsewhere, where the scale is not documented, whole per
    cent or nothing."""
    if element is None:
        return None, None
    count = element.get("count", "").strip()
    if count:
        return words.percent(count, GRID), f"{count[:16]}/{GRID}"
    text = (element.text or "").strip()
    return (words.percent(text), None) if text.isascii() and text.isdigit() else (None, words.short(text))


def _moment(text: str) -> datetime | None:
    """Unix time in seconds, milliseconds or microseconds, told apart by their digits; or a clock face, naive."""
    if text.isascii() and text.isdigit():
        per_second = _PER_SECOND.get(len(text))
        return None if per_second is None else epoch(int(text), per_second)
    found = _AMERICAN.fullmatch(text.strip())
    if found is None:
        return iso(text)
    month, day, year, hour, rest, half = found.groups()
    if not 1 <= int(hour) <= 12:
        return None
    return iso(f"{year}-{month}-{day} {int(hour) % 12 + (12 if half in 'Pp' else 0):02}:{rest}")
