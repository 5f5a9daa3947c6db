"""Verkada: the licence plate webhook. Pure.

Sources: camera-formats, section 5, and the vendor's page on this webhook; no capture. Its picture is an address in the
vendor's cloud and is not fetched. What may not happen here: seconds taken for milliseconds, which stand side by side.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from capture import documents
from capture.delivery import Answer, Delivery, plain
from capture.dialects import words
from capture.dialects.countries import alpha_3
from capture.dialects.members import at, number, plate, text
from capture.dialects.times import HEARD_MAX_CHARACTERS, epoch
from edge.claim import Heard, Life, RawRead, SignOfLife, Verdict
from edge.errors import Refused
from edge.vrm import normalise

_KIND = re.compile(rb'"webhook_type"\s*:')


@dataclass(frozen=True, slots=True)
class Verkada:
    """The dialect. It has no settings."""

    name: str = "verkada"
    version: int = 1

    def recognises(self, delivery: Delivery) -> bool:
        return _KIND.search(delivery.body) is not None and b'"org_id"' in delivery.body

    def understand(self, delivery: Delivery) -> tuple[RawRead | SignOfLife, ...]:
        """The read or sign of life in a delivery. Raises `Refused`."""
        said = documents.read_json(delivery.body)
        if not isinstance(said, dict):
            raise Refused("a delivery is not a JSON object", reason="not_an_object")
        kind = text(said, "webhook_type") or ""
        if kind.lower() != "lpr":
            return (SignOfLife(Life.OTHER_EVENT, words.word(kind), words.short(text(said, "data", "camera_id"), 64)),)
        return (self._read(said),)

    def answer(self, verdict: Verdict, delivery: Delivery) -> Answer:
        return plain(verdict)

    def _read(self, said: dict[str, Any]) -> RawRead:
        data = at(said, "data")
        heard = plate(data, "license_plate_number")
        confidence = words.percent(text(data, "confidence") or "", 1.0)
        when_ms, when_s = number(data, "detected"), number(data, "created")
        when = text(data, "created") if when_ms is None else text(data, "detected")
        state = text(data, "license_plate_state")
        return RawRead(
            dialect=self.name,
            dialect_version=self.version,
            camera_identity=words.short(text(data, "camera_id"), 64),
            vendor_id=_message(said, data, when, heard),
            plate_heard=heard,
            confidence=None if confidence == 0 and normalise(heard) is None else confidence,
            country=alpha_3((state or "").partition("-")[0]),
            direction=None,
            lane=None,
            time=epoch(when_ms, 1000) if when_ms is not None else None if when_s is None else epoch(when_s, 1),
            time_heard=words.short(when, HEARD_MAX_CHARACTERS),
            images=(),
            heard=Heard(confidence=_scaled(text(data, "confidence")), country=words.short(state)),
        )


def _message(said: dict[str, Any], data: Any, when: str | None, heard: str) -> str | None:
    """Whether `webhook_id` names the message or the subscription, the document leaves open: it is never alone."""
    sure = text(data, "confidence")
    if not when or not sure:
        return None
    return words.vendor_id([f"{(text(said, 'webhook_id') or '')[:64]}-{when[:20]}-{sure[:24]}"], heard)


def _scaled(sure: str | None) -> str | None:
    told = words.short(sure)
    return None if told is None else f"{told}/1"
