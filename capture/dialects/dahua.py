"""Dahua, and Intelbras and others who sell the same: event stream, picture stream, ITSAPI push, files by FTP. Pure.

Sources: camera-formats, section 2. What may not happen here: the pictures of one event at another; a picture stream
that was cut off passing for a read without pictures.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from capture.delivery import Answer, Delivery, said
from capture.dialects import words
from capture.dialects.dahua_events import EVENTS_MAX, Event, events, flat, read_json
from capture.dialects.dahua_reads import DIALECT, VERSION, device_id, event_item, pushed_item, spelt
from capture.dialects.times import compact
from capture.multipart import Part, looks_multipart, parts
from edge.claim import Life, Outcome, RawImage, RawRead, Role, SignOfLife, Verdict, Way
from edge.errors import Refused

_HEAD_BYTES = 4096
_BEATS = (b"Heartbeat", b"heartbeat")
_TEXT = re.compile(rb"^[ \t]*(?:Code=[^;\r\n]{1,64};\s*action=|(?:Return)?Events\[\d{1,3}\]\.)", re.MULTILINE)
_JSON = re.compile(
    rb'"(?:JunctionDirection|DrivingDirection|TrafficCar|SnapInfo|client\.notifyEventStream)"'
    rb'|"Active"\s*:\s*"keepAlive"'
)
_DEVICE = (b'"DeviceID"', b'"DeviceModel"', b'"Manufacturer"')
_PUSHED_TO = re.compile(r"/NotificationInfo/[A-Za-z]{4,32}/?\Z")
_FILE = re.compile(r"(?:.*/)?([^/]{0,32})-(\d{14})-plate\.jpe?g", re.IGNORECASE | re.ASCII)
_DEVICE_ID = re.compile(rb'"DeviceID"\s*:\s*"([^"\\]{1,64})"')
_FIRST_LINE = re.compile(rb"\A\s*(--[^\r\n]{1,200}?)[ \t]*\r?\n")


@dataclass(frozen=True, slots=True)
class Dahua:
    """The dialect. It has no settings."""

    name: str = DIALECT
    version: int = VERSION

    def recognises(self, delivery: Delivery) -> bool:
        body = delivery.body
        if _FILE.fullmatch(delivery.name[-256:]) is not None:
            return words.is_picture(body)
        head = body[:_HEAD_BYTES]
        if _PUSHED_TO.search(delivery.arrival.path[-64:]) is not None:
            return not body[:64].lstrip().startswith(b"<")
        if _is_json(body):
            return _JSON.search(body) is not None or all(word in head for word in _DEVICE)
        return _TEXT.search(head) is not None or any(line.strip() in _BEATS for line in head.split(b"\n"))

    def understand(self, delivery: Delivery) -> tuple[RawRead | SignOfLife, ...]:
        """The reads and signs of life in a delivery. Raises `Refused`."""
        body = delivery.body
        file = _FILE.fullmatch(delivery.name[-256:])
        if file is not None and words.is_picture(body):
            return (_filed(file[1], file[2], body),)
        if looks_multipart(delivery.content_type, body):
            return _streamed(*_whole_or_cut(delivery))
        if _is_json(body):
            return _told(read_json(body))
        if not body.strip():
            return (SignOfLife(Life.HEARTBEAT, "empty", None),)
        return _streamed([Part("", "", "", body)], cut=False)

    def answer(self, verdict: Verdict, delivery: Delivery) -> Answer:
        """What ITSAPI cameras expect: `Result` and their own name, and `Active` for a keep-alive. Elsewhere nothing."""
        if delivery.arrival.way is not Way.HTTP_PUSH:
            return said(verdict, "text/plain; charset=utf-8", b"")
        kept = verdict.outcome not in (Outcome.LATER, Outcome.REFUSED)
        named = _DEVICE_ID.search(delivery.body)
        beat = verdict.outcome is Outcome.HEARD and b'"Active"' in delivery.body[:_HEAD_BYTES]
        body: dict[str, object] = {"Active": True} if beat else {}
        body |= {"Result": kept, "DeviceID": "" if named is None else named[1].decode("utf-8", "replace")}
        return said(verdict, "application/json", json.dumps(body).encode())


def _is_json(body: bytes) -> bool:
    return body[:64].lstrip(b"\xef\xbb\xbf \t\r\n").startswith((b"{", b"["))


def _whole_or_cut(delivery: Delivery) -> tuple[Sequence[Part], bool]:
    """The parts, and whether the body ends without its closing delimiter, as a cut-out of an endless stream may."""
    try:
        return parts(delivery.body, delivery.content_type), False
    except Refused as refused:
        first = _FIRST_LINE.match(delivery.body[:_HEAD_BYTES])
        pushed = delivery.content_type.strip().lower().startswith("multipart/form-data")
        if refused.reason != "truncated" or first is None or pushed:
            raise
    return parts(delivery.body + b"\r\n" + first[1] + b"--\r\n"), True


def _streamed(found: Sequence[Part], cut: bool) -> tuple[RawRead | SignOfLife, ...]:
    """Each text with the pictures that follow it, which are its first event's."""
    told: list[tuple[tuple[Event, ...] | tuple[RawRead | SignOfLife, ...], list[bytes]]] = []
    for part in found:
        text = part.data.strip(b" \t\r\n\0")
        if words.is_picture(part.data):
            if not told:
                raise Refused("a picture stands before what it shows", reason="no_document")
            told[-1][1].append(part.data)
        elif text in _BEATS:
            told.append(((SignOfLife(Life.HEARTBEAT, "heartbeat", None),), []))
        elif _is_json(text):
            told.append((_told(read_json(text)), []))
        elif text:
            told.append((events(text), []))
    items: list[RawRead | SignOfLife] = []
    for said_there, pictures in told:
        for number, item in enumerate(said_there):
            if not isinstance(item, Event):
                items.append(item)
                continue
            made = event_item(item, pictures if number == 0 else ())
            if cut and item.lines and isinstance(made, RawRead):
                # Its pictures follow in parts of their own, which are not here.
                raise Refused("a picture stream ends before its closing delimiter", reason="truncated")
            items.append(made)
    if not items:
        raise Refused("a delivery is not in a form Dahua cameras use", reason="not_dahua")
    return tuple(items)


def _told(value: Any) -> tuple[RawRead | SignOfLife, ...]:
    """A push, or the same events as RPC tells them."""
    if not isinstance(value, dict):
        raise Refused("a delivery is not a JSON object", reason="not_an_object")
    if value.get("method") == "client.notifyEventStream":
        return _notified(value)
    members = flat(value)
    if "ParkingInfo" in value or "AlarmInfo" in value:
        kind = "ParkingInfo" if "ParkingInfo" in value else "AlarmInfo"
        return (SignOfLife(Life.OTHER_EVENT, kind, device_id(members)),)
    if isinstance(value.get("Picture"), dict):
        return (pushed_item(members),)
    if "TrafficCar" in value or "JunctionDirection" in value:
        return (event_item(Event(members.get("Code", "TrafficJunction"), members.get("Action", ""), members), ()),)
    return (_life(members),)


def _notified(value: Mapping[str, Any]) -> tuple[RawRead | SignOfLife, ...]:
    params = value.get("params")
    listed = params.get("eventList") if isinstance(params, dict) else None
    if not isinstance(listed, list) or not 0 < len(listed) <= EVENTS_MAX:
        raise Refused("a notification has no list of events", reason="no_document")
    found = []
    for told in listed:
        members = flat(told)
        data = {key.removeprefix("Data."): text for key, text in members.items() if key.startswith("Data.")}
        found.append(event_item(Event(members.get("Code", ""), members.get("Action", ""), data), ()))
    return tuple(found)


def _life(members: Mapping[str, str]) -> SignOfLife:
    active = members.get("Active", "")
    if active:
        beats = active.lower() == "keepalive"
        return SignOfLife(Life.HEARTBEAT if beats else Life.OTHER_EVENT, words.word(active), device_id(members))
    if "DeviceModel" in members or "DeviceName" in members or "Manufacturer" in members:
        return SignOfLife(Life.OTHER_EVENT, "DeviceInfo", device_id(members))
    raise Refused("a delivery is not in a form Dahua cameras use", reason="not_dahua")


def _filed(plate: str, stamp: str, body: bytes) -> RawRead:
    """A plate's picture that says all it says in its name; the scene is a file of its own."""
    heard = spelt(plate)
    return RawRead(
        dialect=DIALECT,
        dialect_version=VERSION,
        camera_identity=None,
        vendor_id=None,
        plate_heard=heard,
        confidence=None,
        country=None,
        direction=None,
        lane=None,
        time=compact(stamp, with_ms=False),
        time_heard=stamp,
        images=(RawImage(Role.PLATE_PATCH, body),),
    )
