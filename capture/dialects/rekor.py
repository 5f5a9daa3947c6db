"""Rekor Scout and OpenALPR agents: the JSON an agent posts, versions 2 and 3. Pure.

Sources: camera-formats, section 6; captures of version 3. Of one vehicle an agent posts many `alpr_results` (one a
frame), previews of its group, the group, and an alert round the same group. The group is the read; what may not happen
here: the same vehicle told once a frame, or an alert told as a second vehicle.

Coordinates are of the picture that was read (`best_image_width`), and the overview is sent smaller (seen: 1280 x 720
and 560 x 315): a box is told as a part of the whole.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from capture import documents
from capture.delivery import Answer, Delivery, plain
from capture.dialects import words
from capture.dialects.countries import alpha_3
from capture.dialects.members import ABSENT, at, number, plate, text
from capture.dialects.pictures import decoded
from capture.dialects.times import HEARD_MAX_CHARACTERS, epoch
from edge.claim import Heard, Life, RawImage, RawRead, Role, ScaledBox, SignOfLife, Stage, Verdict
from edge.errors import Refused
from edge.vrm import normalise

_KIND = re.compile(rb'"data_type"\s*:\s*(?:null|"(?:alpr_|vehicle"|heartbeat"))')
_TEST = b'"openalpr_webhook"'
_STREAMS_MAX = 64


@dataclass(frozen=True, slots=True)
class Rekor:
    """The dialect. It has no settings."""

    name: str = "rekor"
    version: int = 1

    def recognises(self, delivery: Delivery) -> bool:
        if not delivery.body[:64].lstrip(b"\xef\xbb\xbf\r\n\t ").startswith(b"{"):
            return False
        return _TEST in delivery.body[:256] or _KIND.search(delivery.body) is not None

    def understand(self, delivery: Delivery) -> tuple[RawRead | SignOfLife, ...]:
        """The read or signs of life in a delivery. Raises `Refused`."""
        said = documents.read_json(delivery.body)
        if not isinstance(said, dict):
            raise Refused("a delivery is not a JSON object", reason="not_an_object")
        if at(said, "openalpr_webhook") is not ABSENT:
            return (SignOfLife(Life.OTHER_EVENT, "test", None),)
        kind = text(said, "data_type")
        group = at(said, "group")
        if isinstance(group, dict) and kind in (None, "alpr_alert"):
            return (self._read(group, without_plate=False),)
        match kind:
            case "alpr_group":
                return (self._read(said, without_plate=False),)
            case "vehicle":
                return (self._read(said, without_plate=True),)
            case "heartbeat":
                return _beats(said)
        if kind is None and at(said, "best_plate_number") is not ABSENT:
            return (self._read(said, without_plate=False),)
        return (SignOfLife(Life.OTHER_EVENT, words.word(kind or ""), _identity(said)),)

    def answer(self, verdict: Verdict, delivery: Delivery) -> Answer:
        """The verdict as a word: an agent looks at the status alone."""
        return plain(verdict)

    def _read(self, said: dict[str, Any], *, without_plate: bool) -> RawRead:
        best = at(said, "best_plate")
        heard = "" if without_plate else _plate(said, best)
        confidence = words.percent(text(said, "best_confidence") or text(best, "confidence") or "")
        region = text(said, "best_region") or text(best, "region") or text(said, "country")
        preview = at(said, "is_preview") is True
        passage = words.vendor_id([text(said, "best_uuid")], heard)
        # A preview says less than the group that follows under the same name: they are two messages.
        message = f"{passage}-{'preview' if preview else 'group'}" if passage else None
        when = number(said, "epoch_start")
        return RawRead(
            dialect=self.name,
            dialect_version=self.version,
            camera_identity=_identity(said),
            vendor_id=words.vendor_id([message], heard),
            plate_heard=heard,
            confidence=None if confidence == 0 and normalise(heard) is None else confidence,
            country=alpha_3((region or "").partition("-")[0]),
            direction=None,  # degrees in the picture: which of them is towards the camera, its mounting says
            lane=None,
            time=_moment(when),
            time_heard=words.short(text(said, "epoch_start"), HEARD_MAX_CHARACTERS),
            images=_images(said, best),
            passage=passage,
            stage=None if passage is None else Stage.FIRST if preview else Stage.LAST,
            heard=Heard(
                direction=words.short(text(said, "travel_direction")),
                country=words.short(region),
                plate_box=_box_heard(said, best),
            ),
        )


def _plate(said: dict[str, Any], best: Any) -> str:
    if at(said, "best_plate_number") is not ABSENT:
        return plate(said, "best_plate_number")
    return plate(best, "plate") if isinstance(best, dict) else plate(said, "best_plate")


def _beats(said: dict[str, Any]) -> tuple[SignOfLife, ...]:
    """One for each stream that the agent sees: an agent that lives says nothing of a camera that does not."""
    streams = at(said, "video_streams")
    if not isinstance(streams, list) or not streams:
        return (SignOfLife(Life.HEARTBEAT, "heartbeat", _identity(said)),)
    agent = text(said, "agent_uid") or ""
    return tuple(
        SignOfLife(
            Life.OTHER_EVENT if at(stream, "is_streaming") is False else Life.HEARTBEAT,
            "not_streaming" if at(stream, "is_streaming") is False else "heartbeat",
            _named(agent, text(stream, "camera_id")),
        )
        for stream in streams[:_STREAMS_MAX]
    )


def _identity(said: Any) -> str | None:
    return _named(text(said, "agent_uid") or "", text(said, "camera_id"))


def _named(agent: str, camera: str | None) -> str | None:
    """`AGENT/1000`: one agent has several cameras, and a camera's number is its agent's."""
    return words.short(f"{agent[:64]}/{camera[:32]}" if agent and camera else agent or camera, 100)


def _moment(when: float | None) -> datetime | None:
    return None if when is None else epoch(when, 1000)


def _images(said: dict[str, Any], best: Any) -> tuple[RawImage, ...]:
    patch = decoded(text(best, "plate_crop_jpeg"))
    overview = decoded(text(said, "overview_jpeg"))
    found = [RawImage(Role.PLATE_PATCH, patch)] if patch else []
    if overview:
        found.append(RawImage(Role.OVERVIEW, overview, _box(said, best)))
    elif vehicle := decoded(text(said, "vehicle_crop_jpeg")):
        found.append(RawImage(Role.OVERVIEW, vehicle))
    return tuple(found)


def _box(said: dict[str, Any], best: Any) -> ScaledBox | None:
    """The rectangle round the polygon, in parts of the picture it was read in; None where that has no size."""
    corners = _corners(best)
    width_px, height_px = number(said, "best_image_width"), number(said, "best_image_height")
    if corners is None or width_px is None or height_px is None:
        return None
    left, top, right, bottom = corners
    if not (0 <= left < right <= width_px <= 100_000 and 0 <= top < bottom <= height_px <= 100_000):
        return None
    return ScaledBox(left / width_px, top / height_px, (right - left) / width_px, (bottom - top) / height_px, 1)


def _box_heard(said: dict[str, Any], best: Any) -> str | None:
    corners = _corners(best)
    if corners is None or max(map(abs, corners)) > 100_000:
        return None
    left, top, right, bottom = map(round, corners)
    width, height = number(said, "best_image_width"), number(said, "best_image_height")
    sized = width is not None and height is not None and max(abs(width), abs(height)) <= 100_000
    unit = f"{round(width or 0)}x{round(height or 0)}" if sized else "px"
    return f"{left},{top},{right - left},{bottom - top}/{unit}"


def _corners(best: Any) -> tuple[float, float, float, float] | None:
    """Left, top, right, bottom of the four points."""
    points = at(best, "coordinates")
    if not isinstance(points, list) or len(points) != 4:
        return None
    across = [x for point in points if (x := number(point, "x")) is not None]
    down = [y for point in points if (y := number(point, "y")) is not None]
    return (min(across), min(down), max(across), max(down)) if len(across) == len(down) == 4 else None
