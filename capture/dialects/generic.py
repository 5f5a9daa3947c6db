"""A documented JSON (docs/cameras.md), and any other JSON, XML or text through a mapping in the configuration. Pure.

    {"id", "plate", "confidence", "captured_at", "camera", "lane", "direction", "country",
     "plate_patch", "overview", "kind", "test"}

Either a bare body with pictures in base64, or multipart with one document and pictures as parts. What may not happen
here: a member that does not fit its documented form being guessed at.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from capture.delivery import Answer, Delivery, said
from capture.dialects import words
from capture.dialects.countries import alpha_3
from capture.dialects.generic_mapping import ANY, Form, Plan, plan_of
from capture.dialects.generic_pictures import pictures
from capture.dialects.generic_places import ABSENT, JSON_BEGINS, Told, told
from capture.dialects.times import HEARD_MAX_CHARACTERS, epoch, iso
from capture.multipart import looks_multipart
from edge.claim import Direction, Heard, Life, RawRead, SignOfLife, Verdict
from edge.errors import Refused
from edge.pattern import MEMBER
from edge.vrm import normalise

_PLATE_MAX_CHARACTERS = 256  # what is longer than a plate is refused when it is admitted; this long, before it is read
_FIRST_YEAR, _LAST_YEAR = 1970, 2199


@dataclass(frozen=True, slots=True)
class Generic:
    """The dialect. `mapping`: our member to the place of theirs, and the settings of docs/cameras.md."""

    mapping: Mapping[str, str] = field(default_factory=dict)
    name: str = "generic"
    version: int = 1
    plan: Plan = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "plan", plan_of(self.mapping))

    def recognises(self, delivery: Delivery) -> bool:
        """By the form alone: any JSON is taken for the documented one, so others are asked first."""
        body, form = delivery.body, self.plan.form
        if form is Form.PICTURE:
            return not body or words.is_picture(body) or looks_multipart(delivery.content_type, body)
        if form not in (Form.JSON, Form.XML):
            return not body.lstrip().startswith((b"{", b"<")) and not words.is_picture(body)
        begin = JSON_BEGINS if form is Form.JSON else (b"<", b"\xef\xbb\xbf<")
        if looks_multipart(delivery.content_type, body):
            return b"\n" + begin[0] in body[:16_384]
        return body[:64].lstrip().startswith(begin) or bool(self.plan.document)

    def understand(self, delivery: Delivery) -> tuple[RawRead | SignOfLife, ...]:
        """The read or sign of life in a delivery. Raises `Refused`."""
        return (_Message(self, told(delivery, self.plan), delivery).item(),)

    def answer(self, verdict: Verdict, delivery: Delivery) -> Answer:
        """`{"verdict": ..., "reason": ...}`."""
        body = json.dumps({"verdict": verdict.outcome.value, "reason": verdict.reason}) + "\n"
        return said(verdict, "application/json", body.encode())


@dataclass(frozen=True, slots=True)
class _Message:
    """One message and the plan it is read by."""

    dialect: Generic
    told: Told = field(repr=False)
    delivery: Delivery = field(repr=False)

    def item(self) -> RawRead | SignOfLife:
        plan = self.dialect.plan
        camera = words.short(self._text("camera"), 64)
        kind = (self._text("kind") or "read").strip()
        if self._beats(kind):
            return SignOfLife(Life.HEARTBEAT, words.word(kind) if "heartbeat" in kind.lower() else "heartbeat", camera)
        if kind.casefold() not in plan.kind_read:
            return SignOfLife(Life.OTHER_EVENT, words.word(kind), camera)
        heard = self._plate()
        sure = self._text("confidence")
        confidence = words.percent(sure or "", float(plan.confidence_scale))
        when = self._when()
        country = self._text("country")
        way = words.short(self._text("direction"))
        box, box_heard, images = pictures(self.told, plan, self.delivery)
        return RawRead(
            dialect=self.dialect.name,
            dialect_version=self.dialect.version,
            camera_identity=camera,
            vendor_id=words.vendor_id([self._text("id")], heard),
            plate_heard=heard,
            confidence=None if confidence == 0 and normalise(heard) is None else confidence,
            country=alpha_3(country or plan.fixed.get("country")),
            heard=Heard(
                confidence=self._scaled(sure),
                direction=way,
                country=words.short(country),
                plate_box=box_heard if box is not None else None,
            ),
            direction=self._direction(way),
            lane=words.short(self._text("lane") or plan.fixed.get("lane")),
            time=self._moment(when),
            time_heard=words.short(when, HEARD_MAX_CHARACTERS),
            images=images,
            passage=words.vendor_id([self._text("passage")], heard),
            test=self._get("test") is True,
        )

    def _beats(self, kind: str) -> bool:
        plan = self.dialect.plan
        if "heartbeat" not in plan.places:
            return kind.casefold() in plan.heartbeat_words
        found = self._text("heartbeat")
        return found is not None and (ANY in plan.heartbeat_words or found.strip().casefold() in plan.heartbeat_words)

    def _get(self, member: str) -> Any:
        places = self.dialect.plan.places.get(member, ())
        return self.told.at(places[0]) if places else ABSENT

    def _text(self, member: str) -> str | None:
        found = self._get(member)
        if found is None or found is ABSENT:
            return None
        if isinstance(found, (int, float)) and not isinstance(found, bool):
            found = str(found)
        if not isinstance(found, str):
            raise Refused(f"the member {member} is neither a text nor a number", reason="bad_member")
        pattern = self.dialect.plan.patterns.get(member)
        if pattern is None or self._unread(member, found):
            return found
        matched = pattern.search(found) if len(found) <= MEMBER.characters else None
        return None if matched is None else matched[1 if pattern.groups else 0]

    def _unread(self, member: str, text: str) -> bool:
        if member != "plate" or len(text) > _PLATE_MAX_CHARACTERS:
            return False
        return text.strip().casefold() in self.dialect.plan.unread or normalise(text) is None

    def _plate(self) -> str:
        # Said to be none (null) and not said at all are two things: the second is another message, or a wrong mapping.
        found = self._get("plate")
        if found is ABSENT:
            raise Refused("a delivery has no member for the plate", reason="no_plate")
        heard = self._text("plate")
        if heard is None and found is not None:
            raise Refused("the plate is not in the form of patterns.plate", reason="no_plate")
        heard = heard or ""
        if len(heard) > _PLATE_MAX_CHARACTERS:
            raise Refused("a plate text is too long to be one", reason="vrm_too_long")
        return "" if heard.strip().casefold() in self.dialect.plan.unread else heard

    def _scaled(self, confidence: str | None) -> str | None:
        scale = self.dialect.plan.confidence_scale
        text = words.short(confidence)
        return None if text is None or scale == "100" else f"{text}/{scale}"

    def _direction(self, way: str | None) -> Direction | None:
        fixed = self.dialect.plan.fixed.get("direction")
        if way is None and fixed is not None:
            return Direction(fixed)
        return self.dialect.plan.directions.get((way or "").strip().casefold())

    def _when(self) -> str | None:
        day, time = self._text("captured_on"), self._text("captured_at")
        return f"{day.strip()} {time.strip()}" if day and time else time

    def _moment(self, text: str | None) -> datetime | None:
        plan = self.dialect.plan
        if text is None or len(text) > HEARD_MAX_CHARACTERS:
            return None
        if plan.units is not None:
            try:
                return epoch(float(text), plan.units)
            except ValueError:
                return None
        moment = next(filter(None, (_by_format(text.strip(), each) for each in plan.formats)), None)
        if not plan.formats:
            moment = iso(text)
        return moment.replace(tzinfo=UTC) if moment is not None and moment.tzinfo is None and plan.utc else moment


def _by_format(text: str, form: str) -> datetime | None:
    try:
        moment = datetime.strptime(text, form)
    except (ValueError, OverflowError):
        return None
    return moment if _FIRST_YEAR < moment.year < _LAST_YEAR else None
