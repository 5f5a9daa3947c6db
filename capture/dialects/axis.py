"""Axis License Plate Verifier, FF Group and CAMMRA: pushed JSON, VAPIX events, heartbeats, FTP, polls. Pure.

Sources: camera-formats, section 3a; the vendors' pages on the License Plate Verifier API and on event responses. The
application speaks of one vehicle several times (`new`, `update`, `lost`) under one carID, which begins at 1 again when
the application starts: the hour of the capture stands beside it in a passage. A poll lists a vehicle once, when it has
gone: carID and time are its identity. What may not happen here: the factory's `geotag` taken for a place; the plate in
a stored picture's name (which may be an older reading) taken for the plate.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from capture import documents
from capture.delivery import Answer, Delivery
from capture.dialects import axis_files, axis_polled, axis_said, words
from capture.dialects.axis_pictures import Sent, in_array, sorted_out
from capture.dialects.axis_said import PLATES, STAGES, Said
from capture.dialects.countries import alpha_3
from capture.dialects.onvif_notices import notices
from capture.dialects.pictures import decoded
from capture.dialects.values import confidence_heard, percent, plain_answer, short_enough, text_of
from capture.multipart import looks_multipart, parts
from edge.claim import Direction, Heard, Life, RawImage, RawRead, Role, SignOfLife, Verdict
from edge.errors import Refused
from edge.vrm import normalise

_PUSHED = re.compile(rb'"(?:carState|plateUTF8|plateUnicode|plateASCII)"\s*:')
_TOPIC = re.compile(rb"CameraApplicationPlatform[/:](?:ALPV|(?:FF)?LPR)\b", re.IGNORECASE)
_BEAT = re.compile(rb"""["']ALPV["']\s*:\s*\{""")
_BEAT_SAYS = re.compile(rb"""["'](?:numFrames|numberOfReads|anprVersion)["']\s*:""")
_BEAT_MAC = re.compile(rb"""["']macAddress["']\s*:\s*["']([^"'\\]{1,64})["']""", re.IGNORECASE)
_BEAT_MAX_BYTES = 16_384
_WHO = re.compile(rb'\s*\{\s*"command"\s*:\s*"who"')
_DIRECTIONS = {"in": Direction.TOWARD, "out": Direction.AWAY}


@dataclass(frozen=True, slots=True)
class Axis:
    """The dialect. It has no settings."""

    name: str = "axis"
    version: int = 1

    def recognises(self, delivery: Delivery) -> bool:
        body = delivery.body
        if _PUSHED.search(body) or _TOPIC.search(body) or _beats(body) or _WHO.match(body):
            return True
        if axis_polled.holds_one(body):
            return True
        return axis_files.named(delivery.name) is not None and (not body or words.is_picture(body))

    def understand(self, delivery: Delivery) -> tuple[RawRead | SignOfLife, ...]:
        """The reads and signs of life in a delivery. Raises `Refused`."""
        body = delivery.body
        if delivery.replayed:
            return (SignOfLife(Life.OTHER_EVENT, "retained", None),)
        if looks_multipart(delivery.content_type, body):
            return self._parts(delivery)
        begins = _begins(body)
        if begins == b"<" and _TOPIC.search(body) is not None:
            return tuple(self._vapix(topic, told) for topic, told in notices(body))
        if begins == b"<" and axis_polled.holds_one(body):
            return self._listed(body, [])
        if begins == b"{" and not _beats(body):
            return (self._json(body, []),)
        if _beats(body):
            found = _BEAT_MAC.search(body)
            mac = found[1].decode("utf-8", "replace") if found else None
            return (SignOfLife(Life.HEARTBEAT, "ALPV", words.short(mac, 64)),)
        if (not body or words.is_picture(body)) and axis_files.named(delivery.name) is not None:
            return (self._file(delivery.name, [delivery.body] if body else []),)
        raise Refused("a delivery is not in a form Axis plate readers use", reason="not_axis")

    def answer(self, verdict: Verdict, delivery: Delivery) -> Answer:
        """The status counts; its event buffer keeps what is not answered 200. Nothing is written on a socket."""
        return plain_answer(verdict, delivery)

    def _parts(self, delivery: Delivery) -> tuple[RawRead | SignOfLife, ...]:
        found = parts(delivery.body, delivery.content_type)
        pictures = [part for part in found if words.is_picture(part.data)]
        told = [part.data for part in found if _begins(part.data) == b"{"]
        lists = [part.data for part in found if _begins(part.data) == b"<" and axis_polled.holds_one(part.data)]
        if not told and len(lists) == 1:
            return self._listed(lists[0], [axis_polled.sent(part) for part in pictures])
        if not told and pictures and axis_files.named(delivery.name) is not None:
            return (self._file(delivery.name, [part.data for part in pictures]),)
        if len(told) != 1:
            raise Refused("a multipart delivery must have one JSON part, or one XML part", reason="no_document")
        return (self._json(told[0], [Sent(part.filename or part.name, "", part.data) for part in pictures]),)

    def _listed(self, body: bytes, pictures: list[Sent]) -> tuple[RawRead | SignOfLife, ...]:
        """The events of a search. Of several, nothing says whose a picture is."""
        found = axis_polled.events(body)
        if not found:
            return (SignOfLife(Life.OTHER_EVENT, "events", None),)
        sent = pictures if len(found) == 1 else []
        return tuple(self._read(one.said, sorted_out(sent, one.places(sent)), one.box_heard) for one in found)

    def _json(self, body: bytes, pictures: Sequence[Sent]) -> RawRead | SignOfLife:
        value = documents.read_json(body)
        if not isinstance(value, dict):
            raise Refused("a delivery is not a JSON object", reason="not_an_object")
        command = text_of(value.get("command"))
        if command is not None:
            return SignOfLife(Life.OTHER_EVENT, words.word(command), None)
        if isinstance(value.get("message"), dict):
            return self._bridged(value)
        if not any(key in value for key in (*PLATES, "carState", "carID")):
            raise Refused("a delivery is not in a form Axis plate readers use", reason="not_axis")
        return self._read(axis_said.pushed(value), sorted_out([*pictures, *in_array(value)], value))

    def _bridged(self, value: Mapping[str, Any]) -> RawRead | SignOfLife:
        """A VAPIX event as the camera's own MQTT client writes it."""
        data = value["message"].get("data")
        told = {str(k): text_of(v) or "" for k, v in data.items()} if isinstance(data, dict) else {}
        serial = text_of(value.get("serial"))
        if serial is not None:
            told.setdefault("MACAddress", serial)
        return self._vapix(text_of(value.get("topic")) or "", {"Data": told})

    def _vapix(self, topic: str, told: Mapping[str, Any]) -> RawRead | SignOfLife:
        data = told.get("Data")
        flat = {k.lower(): v for k, v in data.items() if isinstance(v, str)} if isinstance(data, dict) else {}
        event = topic.rpartition("/")[2]
        identity = words.short(flat.get("macaddress"), 64)
        operation = told.get("PropertyOperation") or "Changed"
        # `active` alone says that some plate is on some list or in some zone. RealTime repeats AllPlates by the frame.
        if operation != "Changed" or "carstate" not in flat or event.lower().endswith("realtime"):
            return SignOfLife(Life.OTHER_EVENT, words.word(event), identity)
        patch = decoded(flat.get("lpimage"))
        images = (RawImage(Role.PLATE_PATCH, patch),) if patch else ()
        return self._read(axis_said.event(flat, str(told.get("UtcTime", ""))), images)

    def _file(self, path: str, pictures: Sequence[bytes]) -> RawRead:
        """A picture whose name is the read. Its identity is the picture: the plate stands in every name."""
        file = axis_files.named(path)
        if file is None:
            raise Refused("a file's name is not one Axis plate readers write", reason="not_axis")
        images = sorted_out([Sent(file.kind if n == 0 else "", "", data) for n, data in enumerate(pictures)], {})
        passage = f"{file.car}@{file.time:%Y-%m-%dT%H}L" if file.car and file.time is not None else None
        return RawRead(
            dialect=self.name,
            dialect_version=self.version,
            camera_identity=file.identity,
            vendor_id=None,
            plate_heard=file.plate,
            confidence=None,
            country=alpha_3(file.country),
            direction=_DIRECTIONS.get(file.direction.lower()),
            lane=words.short(file.lane),
            time=file.time,
            time_heard=file.time_heard,
            images=images,
            passage=words.vendor_id([passage], file.plate),
            heard=Heard(direction=words.short(file.direction), country=words.short(file.country)),
        )

    def _read(self, said: Said, images: tuple[RawImage, ...], box_heard: str | None = None) -> RawRead:
        heard = short_enough(said.heard)
        confidence = percent(said.confidence, 1.0)
        return RawRead(
            dialect=self.name,
            dialect_version=self.version,
            camera_identity=said.identity,
            vendor_id=words.vendor_id([said.message], heard),
            plate_heard=heard,
            confidence=None if confidence == 0 and normalise(heard) is None else confidence,
            country=alpha_3(said.country),
            direction=_DIRECTIONS.get((said.direction or "").lower()),
            lane=words.short(said.lane),
            time=said.time,
            time_heard=said.time_heard,
            images=images,
            passage=words.vendor_id([said.passage], heard),
            stage=STAGES.get(said.state),
            heard=Heard(
                confidence=confidence_heard(said.confidence, 1),
                direction=words.short(said.direction),
                country=words.short(said.country),
                plate_box=box_heard,
            ),
        )


def _begins(body: bytes) -> bytes:
    return body[:64].lstrip(b"\xef\xbb\xbf \t\r\n")[:1]


def _beats(body: bytes) -> bool:
    head = body[:_BEAT_MAX_BYTES]
    return _BEAT.search(head) is not None and _BEAT_SAYS.search(head) is not None and _PUSHED.search(head) is None
