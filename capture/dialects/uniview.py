"""Uniview: what a LAPI subscription posts, JSON that calls itself text/plain. Pure.

Sources: camera-formats, section 5; member names from two programs in the open that receive it; no capture. What may not
happen here: another alarm on the same path refused, or answered in a way that makes the camera send it again.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from capture import documents
from capture.delivery import Answer, Delivery, said
from capture.dialects import words
from capture.dialects.members import ABSENT, at, number, plate, text
from capture.dialects.pictures import decoded
from capture.dialects.times import HEARD_MAX_CHARACTERS, epoch
from edge.claim import Life, Outcome, RawImage, RawRead, Role, SignOfLife, Verdict
from edge.errors import Refused

_PATH = "/LAPI/V1.0/System/Event/Notification"
_VEHICLES_MAX = 16


@dataclass(frozen=True, slots=True)
class Uniview:
    """The dialect. It has no settings."""

    name: str = "uniview"
    version: int = 1

    def recognises(self, delivery: Delivery) -> bool:
        if b'"StructureInfo"' in delivery.body or b'"AlarmInfo"' in delivery.body:
            return True
        return delivery.arrival.path.startswith(_PATH) and delivery.body[:64].lstrip().startswith(b"{")

    def understand(self, delivery: Delivery) -> tuple[RawRead | SignOfLife, ...]:
        """A read for each vehicle in a delivery, or a sign of life. Raises `Refused`."""
        told = documents.read_json(delivery.body)
        if not isinstance(told, dict):
            raise Refused("a delivery is not a JSON object", reason="not_an_object")
        vehicles = at(told, "StructureInfo", "ObjInfo", "VehicleInfoList")
        if isinstance(vehicles, list) and vehicles:
            if len(vehicles) > _VEHICLES_MAX:
                raise Refused(f"a delivery speaks of more than {_VEHICLES_MAX} vehicles", reason="too_large")
            return tuple(self._read(told, vehicle) for vehicle in vehicles)
        kind = text(told, "AlarmInfo", "AlarmType") or text(told, "AlarmType") or delivery.arrival.path.split("/")[-1]
        return (SignOfLife(Life.OTHER_EVENT, words.word(kind), None),)

    def answer(self, verdict: Verdict, delivery: Delivery) -> Answer:
        """`ResponseCode` 0 and the path it came to; 1 where it was not taken."""
        code = int(verdict.outcome in (Outcome.REFUSED, Outcome.LATER))
        body = json.dumps({"ResponseCode": code, "ResponseURL": delivery.arrival.path})
        return said(verdict, "application/json", body.encode())

    def _read(self, told: dict[str, Any], vehicle: Any) -> RawRead:
        # A vehicle is told whether or not a plate was looked for.
        seen = at(vehicle, "PlateAttributeInfo", "PlateNo") is not ABSENT
        heard = plate(vehicle, "PlateAttributeInfo", "PlateNo") if seen else ""
        when = number(told, "TimeStamp")
        picture = _picture(told, vehicle)
        return RawRead(
            dialect=self.name,
            dialect_version=self.version,
            camera_identity=None,
            vendor_id=_message(told, vehicle, heard),
            plate_heard=heard,
            confidence=None,
            country=None,
            direction=None,
            lane=None,
            time=None if when is None else epoch(when, 1),
            time_heard=words.short(text(told, "TimeStamp"), HEARD_MAX_CHARACTERS),
            images=(RawImage(Role.OVERVIEW, picture),) if picture else (),
        )


def _message(told: dict[str, Any], vehicle: Any, heard: str) -> str | None:
    """Neither number is known to live through a restart: the time stands with them."""
    parts = [text(told, "RelatedID"), text(vehicle, "VehicleID"), text(told, "TimeStamp")]
    if None in parts:
        return None
    return words.vendor_id(["-".join(part[:40] for part in parts if part is not None)], heard)


def _picture(told: dict[str, Any], vehicle: Any) -> bytes:
    """The large picture of this vehicle, else its small one; its box in them is the vehicle's, not the plate's."""
    listed = at(told, "StructureInfo", "ImageInfoList")
    pictures = {text(image, "Index"): text(image, "Data") for image in listed} if isinstance(listed, list) else {}
    for key in ("LargePicAttachIndex", "SmallPicAttachIndex"):
        index = text(vehicle, key)
        if index is not None and pictures.get(index):
            return decoded(pictures[index])
    return b""
