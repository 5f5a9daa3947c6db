"""Survision: the JSON that a unit pushes (`/sync`). Pure.

Sources: camera-formats, section 5; no capture. The unit's serial number is in a header of the request, which a dialect
does not see: a unit is known by its address or path. What may not happen here: a message that is no decision told as
a read.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from capture import documents
from capture.delivery import Answer, Delivery, plain
from capture.dialects import words
from capture.dialects.members import at, number, plate, text
from capture.dialects.pictures import decoded
from capture.dialects.times import HEARD_MAX_CHARACTERS, epoch
from edge.claim import Direction, Heard, Life, RawImage, RawRead, Role, SignOfLife, Verdict
from edge.errors import Refused
from edge.vrm import normalise

_ROOT = re.compile(rb'"anpr"\s*:\s*\{')
_DIRECTIONS = {"front": Direction.TOWARD, "rear": Direction.AWAY}
"""The side of the vehicle that was seen, under the name of a direction."""


@dataclass(frozen=True, slots=True)
class Survision:
    """The dialect. It has no settings."""

    name: str = "survision"
    version: int = 1

    def recognises(self, delivery: Delivery) -> bool:
        return _ROOT.search(delivery.body) is not None and b'"@date"' in delivery.body

    def understand(self, delivery: Delivery) -> tuple[RawRead | SignOfLife, ...]:
        """The read or sign of life in a delivery. Raises `Refused`."""
        said = documents.read_json(delivery.body)
        anpr = at(said, "anpr")
        if not isinstance(anpr, dict):
            raise Refused("a delivery is not a message about plates", reason="not_survision")
        decision = at(anpr, "decision")
        if isinstance(decision, dict):
            return (self._read(anpr, decision, plate(decision, "@plate")),)
        if "noPlate" in anpr:
            seen = anpr["noPlate"]
            return (self._read(anpr, seen if isinstance(seen, dict) else {}, ""),)
        kind = next((key for key in anpr if not key.startswith(("@", "#"))), "")
        return (SignOfLife(Life.OTHER_EVENT, words.word(kind), None),)

    def answer(self, verdict: Verdict, delivery: Delivery) -> Answer:
        return plain(verdict)

    def _read(self, anpr: dict[str, Any], said: dict[str, Any], heard: str) -> RawRead:
        confidence = words.percent(text(said, "@reliability") or "")
        when = number(anpr, "@date")
        facing = text(said, "@direction")
        picture = decoded(_picture(said) or _picture(anpr))
        kind = "noplate" if "noPlate" in anpr else "decision"
        return RawRead(
            dialect=self.name,
            dialect_version=self.version,
            camera_identity=None,
            vendor_id=words.vendor_id([f"{kind}-{when:.0f}"] if when else [], heard),
            plate_heard=heard,
            confidence=None if confidence == 0 and normalise(heard) is None else confidence,
            country=None,
            direction=_DIRECTIONS.get((facing or "").lower()),
            lane=None,
            time=None if when is None else epoch(when, 1000),
            time_heard=words.short(text(anpr, "@date"), HEARD_MAX_CHARACTERS),
            images=(RawImage(Role.OVERVIEW, picture),) if picture else (),
            heard=Heard(direction=words.short(facing)),
        )


def _picture(said: dict[str, Any]) -> str | None:
    """`jpeg` is an element with a text in it, or the text itself."""
    return text(said, "jpeg", "#text") or text(said, "jpeg")
