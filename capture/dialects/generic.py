"""A documented JSON (docs/cameras.md), and any other JSON through a mapping in the configuration. Pure.

    {"id", "plate", "confidence", "captured_at", "camera", "lane", "direction", "country",
     "plate_patch", "overview", "kind", "test"}

Either a bare JSON body with pictures in base64, or multipart with one JSON part and pictures as parts. What may not
happen here: a member that does not fit its documented form being guessed at.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from capture import documents
from capture.delivery import Answer, Delivery, said
from capture.dialects import words
from capture.dialects.countries import alpha_3
from capture.dialects.times import HEARD_MAX_CHARACTERS, epoch, iso
from capture.multipart import looks_multipart, parts
from edge.claim import Direction, Heard, Life, RawImage, RawRead, Role, SignOfLife, Verdict
from edge.errors import Misconfigured, Refused
from edge.vrm import normalise

_MEMBERS = (
    "id",
    "plate",
    "confidence",
    "captured_at",
    "camera",
    "lane",
    "direction",
    "country",
    "plate_patch",
    "overview",
    "kind",
    "test",
)
_SETTINGS = {
    "confidence_scale": "100",
    "captured_at_unit": "iso",
    "direction_toward": "toward",
    "direction_away": "away",
}
_UNITS = {"s": 1, "ms": 1000}
_ABSENT = object()
_JSON_BEGINS = (b"{", b"\xef\xbb\xbf{")


@dataclass(frozen=True, slots=True)
class Generic:
    """The dialect. `mapping`: our member to the dotted path of theirs, and the settings of docs/cameras.md."""

    mapping: Mapping[str, str] = field(default_factory=dict)
    name: str = "generic"
    version: int = 1

    def __post_init__(self) -> None:
        unknown = sorted(set(self.mapping) - set(_MEMBERS) - set(_SETTINGS))
        if unknown:
            raise Misconfigured(
                f"the mapping of a camera names what does not exist: {', '.join(unknown)}",
                f"it may name: {', '.join((*_MEMBERS, *_SETTINGS))}",
            )
        if self._setting("captured_at_unit") not in ("iso", *_UNITS):
            raise Misconfigured("captured_at_unit in the mapping of a camera is none", "write iso, s or ms")
        if not _positive(self._setting("confidence_scale")):
            raise Misconfigured("confidence_scale in the mapping of a camera is none", 'write "1", "100" or "255"')

    def recognises(self, delivery: Delivery) -> bool:
        if looks_multipart(delivery.content_type, delivery.body):
            return b"\n{" in delivery.body[:16_384]
        return delivery.body[:64].lstrip().startswith(_JSON_BEGINS)

    def understand(self, delivery: Delivery) -> tuple[RawRead | SignOfLife, ...]:
        """The read or sign of life in a delivery. Raises `Refused`."""
        if not looks_multipart(delivery.content_type, delivery.body):
            return (self._item(documents.read_json(delivery.body), {}),)
        told: list[bytes] = []
        pictures: dict[Role, bytes] = {}
        for part in parts(delivery.body, delivery.content_type):
            role = _role(part.name)
            if role is not None and part.data:
                pictures.setdefault(role, part.data)
            elif part.data.lstrip().startswith(_JSON_BEGINS):
                told.append(part.data)
        if len(told) != 1:
            raise Refused("a multipart delivery must have one JSON part", reason="no_document")
        return (self._item(documents.read_json(told[0]), pictures),)

    def answer(self, verdict: Verdict, delivery: Delivery) -> Answer:
        """`{"verdict": ..., "reason": ...}`."""
        body = json.dumps({"verdict": verdict.outcome.value, "reason": verdict.reason}) + "\n"
        return said(verdict, "application/json", body.encode())

    def _item(self, value: Any, pictures: dict[Role, bytes]) -> RawRead | SignOfLife:
        if not isinstance(value, dict):
            raise Refused("a delivery is not a JSON object", reason="not_an_object")
        kind = self._text(value, "kind") or "read"
        camera = words.short(self._text(value, "camera"), 64)
        if kind != "read":
            life = Life.HEARTBEAT if kind.lower() == "heartbeat" else Life.OTHER_EVENT
            return SignOfLife(life, words.word(kind), camera)
        heard = self._plate(value)
        confidence = words.percent(self._text(value, "confidence") or "", float(self._setting("confidence_scale")))
        when = self._text(value, "captured_at")
        return RawRead(
            dialect=self.name,
            dialect_version=self.version,
            camera_identity=camera,
            vendor_id=words.vendor_id([self._text(value, "id")], heard),
            plate_heard=heard,
            confidence=None if confidence == 0 and normalise(heard) is None else confidence,
            country=alpha_3(self._text(value, "country")),
            heard=Heard(country=words.short(self._text(value, "country"))),
            direction=self._direction(value),
            lane=words.short(self._text(value, "lane")),
            time=self._moment(when),
            time_heard=words.short(when, HEARD_MAX_CHARACTERS),
            images=self._images(value, pictures),
            test=self._get(value, "test") is True,
        )

    def _setting(self, name: str) -> str:
        return self.mapping.get(name, _SETTINGS[name])

    def _get(self, value: Any, member: str) -> Any:
        """What stands at the member's path; `_ABSENT` where there is no such path."""
        for step in self.mapping.get(member, member).split("."):
            if isinstance(value, dict) and step in value:
                value = value[step]
            elif isinstance(value, list) and step.isascii() and step.isdigit() and int(step) < len(value):
                value = value[int(step)]
            else:
                return _ABSENT
        return value

    def _text(self, value: Any, member: str) -> str | None:
        found = self._get(value, member)
        if found is None or found is _ABSENT:
            return None
        if isinstance(found, str):
            return found
        if isinstance(found, (int, float)) and not isinstance(found, bool):
            return str(found)
        raise Refused(f"the member {member} is neither a text nor a number", reason="bad_member")

    def _plate(self, value: Any) -> str:
        # Said to be none (null) and not said at all are two things: the second is another message, or a wrong mapping.
        if self._get(value, "plate") is _ABSENT:
            raise Refused("a delivery has no member for the plate", reason="no_plate")
        return self._text(value, "plate") or ""

    def _direction(self, value: Any) -> Direction | None:
        said = (self._text(value, "direction") or "").strip().lower()
        if said == self._setting("direction_toward").lower():
            return Direction.TOWARD
        return Direction.AWAY if said == self._setting("direction_away").lower() else None

    def _moment(self, text: str | None) -> datetime | None:
        unit = self._setting("captured_at_unit")
        if text is None or unit == "iso":
            return None if text is None else iso(text)
        try:
            return epoch(float(text), _UNITS[unit])
        except ValueError:
            return None

    def _images(self, value: Any, pictures: dict[Role, bytes]) -> tuple[RawImage, ...]:
        found = []
        for role in Role:
            data = pictures.get(role) or _picture(self._text(value, role.value))
            if data:
                found.append(RawImage(role, data))
        return tuple(found)


def _role(part_name: str) -> Role | None:
    stem = part_name.rpartition(".")[0] or part_name
    return next((role for role in Role if role.value == stem), None)


def _picture(text: str | None) -> bytes:
    if not text:
        return b""
    if text.startswith("data:"):
        text = text.partition(",")[2]
    try:
        return base64.b64decode("".join(text.split()), validate=True)
    except (binascii.Error, ValueError):
        raise Refused("a picture is not in base64", reason="bad_base64") from None


def _positive(text: str) -> bool:
    try:
        return 0 < float(text) <= 1_000_000
    except ValueError:
        return False
