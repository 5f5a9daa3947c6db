"""What Axis JSON, VAPIX events and the entries of a search say alike, each under its own names. Pure.

What may not happen here: the camera's local `datetime` taken while `capture_timestamp` gives UTC.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from capture.dialects import words
from capture.dialects.times import HEARD_MAX_CHARACTERS, compact, epoch, iso
from capture.dialects.values import number, text_of
from edge.claim import Stage
from edge.errors import Refused

PLATES = ("plateUTF8", "plateUnicode", "plateText", "plateASCII")
_WAYS = {"2": "in", "3": "out"}
_DIGITS = re.compile(r"[1-9](?:\d{9}|\d{12}|\d{15})", re.ASCII)
STAGES = {"new": Stage.FIRST, "update": Stage.UPDATE, "lost": Stage.LAST}


@dataclass(frozen=True, slots=True, repr=False)
class Said:
    """One message. `stamp` and `count` tell it from the others on the same `car`."""

    heard: str
    identity: str | None
    car: str
    state: str
    stamp: str
    count: str
    time: datetime | None
    time_heard: str | None
    direction: str | None
    country: str | None
    lane: str | None
    confidence: str | None

    @property
    def message(self) -> str | None:
        """The message's identity; None where the parts that make it one are missing."""
        if not self.car or not self.stamp:
            return None
        return "-".join(text for text in (self.car, self.state, self.stamp, self.count) if text).replace(" ", "T")

    @property
    def passage(self) -> str | None:
        """The car and the hour of its capture (`lost` keeps the time of `new`): carID begins anew at a restart."""
        if not self.car or self.time is None or self.state not in STAGES:
            return None
        if self.time.tzinfo is None:
            return f"{self.car}@{self.time:%Y-%m-%dT%H}L"
        return f"{self.car}@{self.time.astimezone(UTC):%Y-%m-%dT%H}"


def pushed(value: Mapping[str, Any]) -> Said:
    """A pushed JSON object. Raises `Refused`: `no_plate`."""
    found = [text_of(value[key]) or "" for key in PLATES if key in value]
    if not found:
        raise Refused("a read has no plate member", reason="no_plate")
    stamp, local = text_of(value.get("capture_timestamp")), text_of(value.get("datetime")) or ""
    moment = _epoch_ms(stamp)
    return Said(
        heard=next((text for text in found if text), ""),
        identity=_identity(value),
        car=text_of(value.get("carID")) or "",
        state=(text_of(value.get("carState")) or "").lower(),
        stamp=stamp or local,
        count=text_of(value.get("packetCounter")) or "",
        time=moment or compact(local.replace(" ", "T"), with_ms=True),
        time_heard=words.short(local if moment is None else stamp, HEARD_MAX_CHARACTERS),
        direction=text_of(value.get("carMoveDirection")),
        country=text_of(value.get("plateCountry")),
        lane=text_of(value.get("roiID")),
        confidence=text_of(value.get("plateConfidence")),
    )


def event(data: Mapping[str, str], utc_time: str) -> Said:
    """The data of a VAPIX event, its names in lower case. Raises `Refused`: `no_plate`."""
    if "text" not in data:
        raise Refused("a read has no plate member", reason="no_plate")
    stamp = data.get("capture_timestamp", "")
    moment = _epoch_ms(stamp)
    return Said(
        heard=data["text"].strip(),
        identity=words.short(data.get("macaddress"), 64),
        car=data.get("carid", ""),
        state=data.get("carstate", "").lower(),
        stamp=stamp,
        count=data.get("frame_timestamp", ""),
        time=moment or iso(utc_time),
        time_heard=words.short(utc_time if moment is None else stamp, HEARD_MAX_CHARACTERS),
        direction=data.get("carmovedirection"),
        country=data.get("country"),
        lane=data.get("roiid"),
        confidence=None,
    )


def listed(told: Mapping[str, str]) -> Said:
    """An `event` of `search.cgi`: the last word on a car, told after it has gone. It does not say which camera it is,
    and its `MOD_TS` is in the camera's own time. Raises `Refused`: `no_plate`."""
    found = [told[key] for key in ("LPR_UTF8", "LPR") if key in told]
    if not found:
        raise Refused("a read has no plate member", reason="no_plate")
    stamp, shown = told.get("TS", ""), told.get("MOD_TS", "")
    moment = _since_1970(stamp)
    return Said(
        heard=next((text for text in found if text), ""),
        identity=None,
        car=told.get("CAR_ID", ""),
        state="",
        stamp=shown if moment is None else stamp,
        count="",
        time=moment or _shown(shown),
        time_heard=words.short(shown if moment is None else stamp, HEARD_MAX_CHARACTERS),
        direction=_WAYS.get(told.get("DIRECTION", "")),
        country=told.get("COUNTRY"),
        lane=told.get("ROI_ID"),
        confidence=told.get("THRESHOLD"),
    )


def _since_1970(text: str) -> datetime | None:
    """`TS` by its digits: the vendor writes milliseconds in its manual and microseconds in its examples."""
    if not _DIGITS.fullmatch(text):
        return None
    return epoch(int(text), {10: 1, 13: 1000, 16: 1_000_000}[len(text)])


def _shown(text: str) -> datetime | None:
    """`2023-12-12 16:12:04 EET`: of the zones' short names only UTC's own are certain."""
    face, _, zone = text.rpartition(" ")
    if zone in ("UTC", "GMT"):
        moment = iso(face)
        return None if moment is None else moment.replace(tzinfo=UTC)
    return iso(face) if zone.isalpha() else iso(text)


def _identity(value: Mapping[str, Any]) -> str | None:
    """Serial number (an Axis camera's is its MAC), else MAC, else the name set for it; `defaultID` is none."""
    camera = value.get("camera_info")
    told = camera if isinstance(camera, dict) else {}
    for text in (text_of(told.get("SerialNumber")), text_of(told.get("MACAddress"))):
        if text:
            return words.short(text, 64)
    name = text_of(value.get("sensorProviderID")) or ""
    return None if name.lower().startswith("defaultid") else words.short(name, 64)


def _epoch_ms(text: str | None) -> datetime | None:
    stamp = number(text)
    return epoch(stamp, 1000) if stamp else None
