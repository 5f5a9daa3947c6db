"""ONVIF Profile M plate events: JSON over MQTT, notifications in XML, and frames of a metadata stream. Pure.

Sources: ONVIF Analytics and Core specifications; camera-formats, section 4. No capture of a real camera is public, so
names are taken in every form that devices are reported to use. What may not happen here: a state that is told again
(retained, `Initialized`, `Deleted`) becoming a read; a box told of a picture in whose frame it does not lie.

`UtcTime` is UTC by its definition, also where it lacks the `Z`, as in the specification's own example.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from capture import documents
from capture.delivery import Answer, Delivery
from capture.dialects import words
from capture.dialects.countries import alpha_3
from capture.dialects.onvif_notices import in_tree, items, read_fragment
from capture.dialects.onvif_plates import Seen, in_event, in_frames
from capture.dialects.times import HEARD_MAX_CHARACTERS, iso
from capture.dialects.values import confidence_heard, percent, plain_answer, short_enough, text_of
from edge.claim import Heard, Life, RawRead, SignOfLife, Stage, Verdict
from edge.errors import Refused
from edge.vrm import normalise

_XML = re.compile(rb"[<:](?:LicensePlateInfo|MetadataStream|VideoAnalytics|NotificationMessage|RuleDescription)[\s>/]")
_JSON = re.compile(rb'"UtcTime"\s*:')
_PARTS = re.compile(rb'"(?:Source|Data)"\s*:\s*\{')
_TOPIC = re.compile(r"(?:^|/)onvif-ej/(.*)", re.DOTALL)
_MAC = re.compile(r"(?:^|[/_-])((?:[0-9A-F]{2}[:-]){5}[0-9A-F]{2}|[0-9A-F]{12})(?=$|[/_-])", re.ASCII | re.IGNORECASE)
_TOPIC_MAX_CHARACTERS = 1024
_NOT_OURS = b"CameraApplicationPlatform"
"""Axis plate events come in the same envelope and belong to the dialect `axis`."""


@dataclass(frozen=True, slots=True)
class Onvif:
    """The dialect. It has no settings."""

    name: str = "onvif"
    version: int = 1

    def recognises(self, delivery: Delivery) -> bool:
        body = delivery.body
        if _topic(delivery) is not None:
            return True
        begins = _begins(body)
        if begins == b"<":
            return _XML.search(body) is not None and _NOT_OURS not in body
        return begins == b"{" and _JSON.search(body) is not None and _PARTS.search(body) is not None

    def understand(self, delivery: Delivery) -> tuple[RawRead | SignOfLife, ...]:
        """The reads and signs of life in a delivery. Raises `Refused`."""
        topic = _topic(delivery)
        identity = _identity(delivery.name) if topic is not None else None
        if delivery.replayed:
            return (SignOfLife(Life.OTHER_EVENT, "retained", identity),)
        if topic is not None and not delivery.body.strip():
            return (SignOfLife(Life.OTHER_EVENT, "Deleted", identity),)
        begins = _begins(delivery.body)
        if begins == b"<":
            return self._document(delivery.body, identity)
        if begins != b"{":
            raise Refused("a delivery is not in a form ONVIF devices use", reason="not_onvif")
        value = documents.read_json(delivery.body)
        if not isinstance(value, dict):
            raise Refused("a delivery is not a JSON object", reason="not_an_object")
        return (self._event(topic or text_of(value.get("Topic")) or "", value, identity),)

    def answer(self, verdict: Verdict, delivery: Delivery) -> Answer:
        """A notification over HTTP has no answer but its status; nothing is written elsewhere."""
        return plain_answer(verdict, delivery)

    def _document(self, body: bytes, identity: str | None) -> tuple[RawRead | SignOfLife, ...]:
        root = read_fragment(body)
        if documents.local_name(root.tag).startswith("RuleDescription"):
            raise Refused("a delivery describes a rule of a camera and is no event", reason="not_an_event")
        heard: list[RawRead | SignOfLife] = [self._event(topic, told, identity) for topic, told in in_tree(root)]
        heard += [self._read(seen, identity) for seen in in_frames(root)]
        if not heard and _XML.search(body) is None:
            raise Refused("a delivery is not in a form ONVIF devices use", reason="not_onvif")
        return tuple(heard) or (SignOfLife(Life.OTHER_EVENT, "frame", identity),)

    def _event(self, topic: str, told: Mapping[str, Any], identity: str | None) -> RawRead | SignOfLife:
        path = [step.rpartition(":")[2] for step in topic.split("/&")[0].split("/") if step]
        about_plates = path[-2:] == ["Recognition", "LicensePlate"]
        data = items(told.get("Data"))
        if (told.get("PropertyOperation") or "Changed") != "Changed":
            return SignOfLife(Life.OTHER_EVENT, words.word(str(told["PropertyOperation"])), identity)
        if not about_plates and "LicensePlateInfo" not in data:
            return SignOfLife(Life.OTHER_EVENT, words.word(path[-1] if path else "event"), identity)
        return self._read(in_event(data, items(told.get("Source")), text_of(told.get("UtcTime")) or ""), identity)

    def _read(self, seen: Seen, identity: str | None) -> RawRead:
        if seen.plate is None:
            raise Refused("a read has no plate member", reason="no_plate")
        heard = short_enough(seen.plate)
        moment = _utc(seen.utc_time)
        confidence = percent(seen.likelihood, 1.0)
        return RawRead(
            dialect=self.name,
            dialect_version=self.version,
            camera_identity=identity,
            vendor_id=words.vendor_id([_message(seen)], heard),
            plate_heard=heard,
            confidence=None if confidence == 0 and normalise(heard) is None else confidence,
            country=alpha_3(seen.country),
            direction=None,
            lane=None,
            time=moment,
            time_heard=words.short(seen.utc_time, HEARD_MAX_CHARACTERS),
            images=seen.images,
            passage=words.vendor_id([_passage(seen, moment)], heard),
            # Any of several; which one, the message does not say.
            stage=Stage.UPDATE if seen.object_id and moment is not None else None,
            heard=Heard(
                confidence=confidence_heard(seen.likelihood, 1),
                direction=words.short(seen.direction),
                country=words.short(seen.country),
                plate_box=seen.box_heard,
            ),
        )


def _begins(body: bytes) -> bytes:
    return body[:64].lstrip(b"\xef\xbb\xbf \t\r\n\x00")[:1]


def _topic(delivery: Delivery) -> str | None:
    """The ONVIF part of an MQTT topic, or None where it is no such topic."""
    if len(delivery.name) > _TOPIC_MAX_CHARACTERS or _NOT_OURS in delivery.name.encode("utf-8", "replace"):
        return None
    found = _TOPIC.search(delivery.name)
    return found[1] if found else None


def _identity(topic: str) -> str | None:
    """The MAC in the prefix of a topic, where the camera puts it there; any other prefix is a name somebody chose."""
    found = _MAC.search(topic.partition("onvif-ej")[0])
    return found[1] if found else None


def _utc(text: str) -> datetime | None:
    moment = iso(text)
    return moment.replace(tzinfo=UTC) if moment is not None and moment.tzinfo is None else moment


def _message(seen: Seen) -> str | None:
    if not seen.utc_time or not (seen.object_id or seen.source):
        return None
    return _joined((seen.source, seen.object_id, seen.utc_time))


def _passage(seen: Seen, moment: datetime | None) -> str | None:
    """The object and the hour: ObjectIds begin anew when the analytics do."""
    if not seen.object_id or moment is None:
        return None
    return _joined((seen.source, f"{seen.object_id}@{moment.astimezone(UTC):%Y-%m-%dT%H}"))


def _joined(texts: Iterable[str]) -> str:
    return "-".join(text for text in texts if text).replace(" ", "_")
