"""Milesight plate cameras: HTTP POST of JSON, the same in a query string, and the poll `get.lpr.lastdata`. Pure.

Source: camera-formats, section 5. The camera posts its other events to the same address. A polled read names one stored
picture (`path`) and does not say of what: integrators take it for the plate's, its box is the scene's, and its shape
decides. What may not happen here:
`Network Camera`, every camera's name until somebody changes it, taken for an identity; `-` taken for a value.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl

from capture import documents
from capture.delivery import Answer, Delivery
from capture.dialects import words
from capture.dialects.boxes import scaled
from capture.dialects.countries import alpha_3
from capture.dialects.pictures import decoded, role_by_shape
from capture.dialects.times import HEARD_MAX_CHARACTERS, iso
from capture.dialects.values import confidence_heard, number, percent, plain_answer, short_enough, text_of
from capture.multipart import looks_multipart, parts
from edge.claim import Direction, Heard, Life, RawImage, RawRead, Role, ScaledBox, SignOfLife, Verdict
from edge.errors import Refused
from edge.vrm import normalise

_OURS = re.compile(
    rb'"(?:detection_region|coordinate_x1|time_msec|plate_image|full_image|evidence_image0|Vehicle Brand)"\s*:'
)
_WHERE = re.compile(rb'"(?:device|time)"\s*:')
_POLLED = re.compile(rb"(?:^|[\r\n>;\s])plate(?:_\d{1,6}\s*=|\s*=\s*')")
_POLLED_TIME = re.compile(rb"(?:^|[\r\n>;\s])time(?:_\d{1,6}\s*=|\s*=\s*')")
_LINE = re.compile(r"\s*([A-Za-z][A-Za-z0-9_ ]{0,40}?)(?:_(\d{1,6}))?\s*=(.*)", re.ASCII | re.DOTALL)
_LINE_ENDS = re.compile(r"[\r\n;]+|<br\s*/?>|</?(?:html|body|pre)>", re.IGNORECASE)
_POLL_MAX_BYTES = 1024 * 1024
_POLL_MAX_READS = 1024
_DEFAULT_NAMES = frozenset({"", "-", "networkcamera", "ipcamera"})
_DIRECTIONS = {"approach": Direction.TOWARD, "away": Direction.AWAY, "1": Direction.TOWARD, "2": Direction.AWAY}
_OTHER = re.compile(r"count|park|violat|attribut|list|heart|alarm|test", re.IGNORECASE)
_KINDS = ("event", "event_type", "eventType", "Event", "alarm_type")
_LANES = ("lane", "detection_region", "roi_id")
_READ_MEMBERS = ("coordinate_x1", "plate_image", "plate_color", "detection_region")


@dataclass(frozen=True, slots=True)
class Milesight:
    """The dialect. It has no settings."""

    name: str = "milesight"
    version: int = 1

    def recognises(self, delivery: Delivery) -> bool:
        body = delivery.body
        if body[:64].lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"{"):
            return _OURS.search(body) is not None and _WHERE.search(body) is not None
        if not body:
            return "plate=" in delivery.query and ("detection_region=" in delivery.query or "time=" in delivery.query)
        head = body[:4096]
        return _POLLED.search(head) is not None and _POLLED_TIME.search(head) is not None

    def understand(self, delivery: Delivery) -> tuple[RawRead | SignOfLife, ...]:
        """The reads and signs of life in a delivery. Raises `Refused`."""
        body = delivery.body
        if body[:64].lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"{"):
            value = documents.read_json(body)
            if not isinstance(value, dict):
                raise Refused("a delivery is not a JSON object", reason="not_an_object")
            return (self._item(value),)
        if not body.strip():
            told = _query(delivery.query)
            # The camera's own test of an address posts nothing.
            return (self._item(told) if told else SignOfLife(Life.OTHER_EVENT, "empty", None),)
        sent: list[bytes] = []
        if looks_multipart(delivery.content_type, body):
            body, sent = _apart(delivery)
        if len(body) <= _POLL_MAX_BYTES and _POLLED.search(body) is not None:
            entries = _polled(body)
            # Of several reads, nothing says whose a picture is.
            return tuple(self._item(entry, sent if len(entries) == 1 else ()) for entry in entries)
        raise Refused("a delivery is not in a form Milesight cameras use", reason="not_milesight")

    def answer(self, verdict: Verdict, delivery: Delivery) -> Answer:
        """The status counts."""
        return plain_answer(verdict, delivery)

    def _item(self, value: Mapping[str, Any], sent: Sequence[bytes] = ()) -> RawRead | SignOfLife:
        kind = next((text for key in _KINDS if (text := text_of(value.get(key)))), "")
        identity = _identity(value)
        if _OTHER.search(kind[:64]) is not None:
            return SignOfLife(Life.OTHER_EVENT, words.word(kind), identity)
        if "plate" not in value:
            if any(member in value for member in _READ_MEMBERS):
                raise Refused("a read has no plate member", reason="no_plate")
            return SignOfLife(Life.OTHER_EVENT, words.word(kind or "other"), identity)
        heard = short_enough(text_of(value["plate"]) or "")
        when = text_of(value.get("time_msec")) or text_of(value.get("time")) or ""
        said = text_of(value.get("confidence"))
        confidence = percent(said, 1.0)
        direction = text_of(value.get("direction"))
        box, box_heard = _box(value)
        return RawRead(
            dialect=self.name,
            dialect_version=self.version,
            camera_identity=identity,
            vendor_id=words.vendor_id(_candidates(value, heard, when), heard),
            plate_heard=heard,
            confidence=None if confidence == 0 and normalise(heard) is None else confidence,
            country=alpha_3(text_of(value.get("region"))),
            direction=_DIRECTIONS.get((direction or "").lower()),
            lane=words.short(next((text for key in _LANES if (text := text_of(value.get(key)))), None)),
            time=iso(when),
            time_heard=words.short(when, HEARD_MAX_CHARACTERS),
            images=_images(value, box) or _stored(sent),
            heard=Heard(
                confidence=confidence_heard(said, 1),
                direction=words.short(direction),
                country=words.short(text_of(value.get("region"))),
                plate_box=box_heard,
            ),
        )


def _apart(delivery: Delivery) -> tuple[bytes, list[bytes]]:
    """The text of a poll and the pictures fetched for it. Raises `Refused`: as multipart does, `no_document`."""
    found = parts(delivery.body, delivery.content_type)
    told = [part.data for part in found if not words.is_picture(part.data) and _POLLED.search(part.data)]
    if len(told) != 1:
        raise Refused("a multipart delivery must have one part of text", reason="no_document")
    return told[0], [part.data for part in found if words.is_picture(part.data)]


def _query(query: str) -> dict[str, str]:
    """The members of a query string; empty where it has none. Raises `Refused`: `query_malformed`."""
    try:
        pairs = parse_qsl(query, keep_blank_values=True, errors="strict", max_num_fields=64)
    except (UnicodeDecodeError, ValueError):
        raise Refused("a query string cannot be decoded", reason="query_malformed") from None
    return dict(reversed(pairs))


def _polled(body: bytes) -> list[dict[str, str]]:
    """`plate_3=...` and its fellows by number; or one entry without numbers, its values in quotes."""
    found: dict[str, dict[str, str]] = {}
    for line in _LINE_ENDS.split(body.decode("utf-8", "replace")):
        said = _LINE.fullmatch(line)
        if said is None:
            continue
        name, entry, value = said.groups()
        found.setdefault(entry or "", {}).setdefault(name, value.strip().strip("'\""))
        if len(found) > _POLL_MAX_READS:
            raise Refused(f"a poll has more than {_POLL_MAX_READS} entries", reason="too_many")
    return [entry for entry in found.values() if "plate" in entry]


def _identity(value: Mapping[str, Any]) -> str | None:
    for key in ("mac", "MAC", "device_mac", "sn", "SN", "device_sn"):
        if text := text_of(value.get(key)):
            return words.short(text, 64)
    name = text_of(value.get("device")) or ""
    return None if name.lower().replace(" ", "") in _DEFAULT_NAMES else words.short(name, 64)


def _candidates(value: Mapping[str, Any], heard: str, when: str) -> list[str | None]:
    """No number is sent. The stored picture's path names the message once the plate is taken out of it; else the time
    does, where it has milliseconds: within a whole second there may be two vehicles."""
    path = text_of(value.get("path"))
    bare = path.replace(heard, "").replace(" ", "_") if path and heard else path
    region = text_of(value.get("detection_region")) or ""
    moment = f"{when}-{region}".replace(" ", "T") if "." in when else None
    return [bare, moment]


def _box(value: Mapping[str, Any]) -> tuple[ScaledBox | None, str | None]:
    """The plate in the picture that was read, whose size stands beside it, as shares of it and as it was sent. A poll
    gives no size: nothing says of what its numbers are shares."""
    polled = [number(text_of(value.get(f"plate_{side}"))) for side in ("left", "top", "right", "bottom")]
    sides = [number(text_of(value.get(f"coordinate_{side}"))) for side in ("x1", "y1", "x2", "y2")]
    width, height = number(text_of(value.get("resolution_width"))), number(text_of(value.get("resolution_height")))
    left, top, right, bottom = sides
    if left is None or top is None or right is None or bottom is None or not width or not height:
        return None, _unscaled(polled)
    box = scaled((left, top, right, bottom), width, height)
    if box is None:
        return None, None
    return box, f"{left:g},{top:g},{right - left:g},{bottom - top:g}/{width:g}x{height:g}"


def _unscaled(sides: Sequence[float | None]) -> str | None:
    left, top, right, bottom = sides
    if left is None or top is None or right is None or bottom is None or not (0 <= left < right and 0 <= top < bottom):
        return None
    return f"{left:g},{top:g},{right - left:g},{bottom - top:g}/unknown"


def _stored(sent: Sequence[bytes]) -> tuple[RawImage, ...]:
    """The pictures that a poll named: the first in each role, the plate before the scene. No box is told: whether the
    scene is whole, nothing says."""
    found: dict[Role, RawImage] = {}
    for data in sent:
        role = role_by_shape(data)
        found.setdefault(role, RawImage(role, data))
    return tuple(found[role] for role in Role if role in found)


def _images(value: Mapping[str, Any], box: ScaledBox | None) -> tuple[RawImage, ...]:
    """The plate and the scene. An evidence picture is of another moment: the plate is elsewhere in it."""
    found = []
    if patch := decoded(_unless_dash(value.get("plate_image"))):
        found.append(RawImage(Role.PLATE_PATCH, patch))
    if scene := decoded(_unless_dash(value.get("full_image"))):
        found.append(RawImage(Role.OVERVIEW, scene, box))
        return tuple(found)
    for key in ("evidence_image0", "evidence_image1"):
        if scene := decoded(_unless_dash(value.get(key))):
            found.append(RawImage(Role.OVERVIEW, scene))
            break
    return tuple(found)


def _unless_dash(value: Any) -> Any:
    return "" if value == "-" else value
