"""What a camera tells of one event: the messages, and what a right reader gets back from them.

Pure. `Truth` goes into the journal, with a hash in place of the plate; no message is written anywhere.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timezone
from typing import Any

from simulators.payloads import Device, Event, Headers
from simulators.traffic import Direction

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Mount:
    """How one camera is mounted and set.

    `stamp` is an offset that it writes although its clock shows another zone's time; None: it writes the right one.
    `shape` names one of the forms that its vendor has. `misread` is the share of passages whose first message has
    another plate than the last, `groups` the share that comes two times under one name, `unexpanded` the share of
    messages in which the template's date was not filled in; each from 0 to 1.
    """

    device: Device
    stamp: timezone | None = None
    shape: str = ""
    headers: Headers = Headers.PLAIN
    template: str = ""
    misread: float = 0.0
    groups: float = 0.0
    unexpanded: float = 0.0


@dataclass(frozen=True, slots=True)
class Message:
    """One request, part, upload, packet or publication.

    `path` is an HTTP path below the given address, a file's path, or a topic; it may hold the plate. `lines` are more
    header lines. `said` must occur in the answer, where one with the right status is not enough.
    """

    body: bytes = field(repr=False)
    content_type: str = "application/json"
    path: str = field(default="", repr=False)
    lines: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    said: tuple[str, ...] = ()
    retained: bool = False


@dataclass(frozen=True, slots=True)
class Truth:
    """What a right reader that knows the camera's zone gets back, all messages of the event taken together.

    `at_ms` is UTC, cut down to `within_ms`; None where no message tells a time. `plate` is upper case, without spaces.
    `vendor_id` is the vendor's own name for the passage; it never contains the plate. `tells` is false where the
    vendor has no form for a vehicle without a read: then no passage is in the messages.
    """

    plate: str | None = field(repr=False)
    at_ms: int | None
    within_ms: int
    direction: Direction | None
    confidence: float | None
    pictures: int
    vendor_id: str | None = None
    tells: bool = True


@dataclass(frozen=True, slots=True)
class Telling:
    """All that is sent for one event, in order."""

    uuid: str
    messages: tuple[Message, ...]
    truth: Truth


Tell = Callable[[Mount, Event], Telling]
"""An event as one vendor tells it."""
Life = Callable[[Mount, datetime], Message]
"""The vendor's sign of life at this moment."""


def plate_digest(uuid: str, plate: str | None) -> str | None:
    """SHA-256 in hex of the event's id and the plate, one after the other in UTF-8: what stands in the journal."""
    return None if plate is None else hashlib.sha256(f"{uuid}{plate}".encode()).hexdigest()


def plate_of(what: Event) -> str | None:
    """As it is read: upper case, without its space; None where it was not."""
    return what.vehicle.vrm.replace(" ", "") if what.vehicle.readable else None


def misread(plate: str) -> str:
    """The plate with its first letter taken for another."""
    return ("M" if plate[0] != "M" else "N") + plate[1:]


def truth(what: Event, pictures: int, *, within_ms: int = 1, **told: Any) -> Truth:
    """Of a vendor that tells plate, time, direction and confidence; `told` changes what it tells otherwise."""
    plain = Truth(
        plate=plate_of(what),
        at_ms=epoch_ms(what.captured_at) // within_ms * within_ms,
        within_ms=within_ms,
        direction=what.vehicle.direction,
        confidence=what.confidence if what.vehicle.readable else None,
        pictures=pictures,
    )
    return replace(plain, **told)


def epoch_ms(at: datetime) -> int:
    """Milliseconds since 1970 of a time with a zone."""
    return (at - EPOCH) // (at.resolution * 1000)


def face(at: datetime) -> datetime:
    """What the camera's clock shows, without its zone."""
    return at.replace(tzinfo=None)


def stamped(mount: Mount, at: datetime) -> datetime:
    """The time with the offset that the camera writes, which may not be the one that its clock shows."""
    return at if mount.stamp is None else at.replace(tzinfo=mount.stamp)


def digits_ms(at: datetime) -> str:
    """`20260102030405678`, of the clock's face."""
    return at.strftime("%Y%m%d%H%M%S") + f"{at.microsecond // 1000:03d}"


def spoken_ms(at: datetime) -> str:
    """`2026-01-02 03:04:05.678`, of the clock's face."""
    return at.strftime("%Y-%m-%d %H:%M:%S.") + f"{at.microsecond // 1000:03d}"


def b64(picture: bytes) -> str:
    return base64.b64encode(picture).decode()


def in_json(told: object, **more: Any) -> Message:
    """A message whose body is JSON; `more` as in `Message`."""
    return Message(json.dumps(told).encode(), **more)


def serial(device: Device) -> str:
    """The MAC address without colons, upper case, as some vendors number their cameras."""
    return device.mac.replace(":", "").upper()


def box_edges(what: Event) -> tuple[int, int, int, int]:
    """Left, top, right, bottom of the plate in pixels."""
    x, y, w, h = what.pictures.plate_box_px
    return x, y, x + w, y + h
