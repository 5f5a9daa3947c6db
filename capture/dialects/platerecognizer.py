"""Plate Recognizer Stream: its webhook, with and without a picture, and the rows of its CSV output. Pure.

Sources: camera-formats, section 6; one row of its CSV. The webhook is multipart with a part `json` and a picture
`upload`; without a picture the same text comes as a form, `json=`. What may not happen here: two vehicles of one frame
told as one; a plate box on a picture that is only a crop of the frame it was read in.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs

from capture import documents
from capture.delivery import Answer, Delivery, plain
from capture.dialects import words
from capture.dialects.boxes import Corners, corners
from capture.dialects.countries import alpha_3
from capture.dialects.members import ABSENT, at, plate, text
from capture.dialects.platerecognizer_csv import looks_like_rows, rows
from capture.dialects.platerecognizer_frame import is_whole_frame
from capture.dialects.times import HEARD_MAX_CHARACTERS, iso
from capture.dialects.values import short_enough
from capture.multipart import looks_multipart, parts
from edge.claim import Box, Heard, Life, RawImage, RawRead, Role, SignOfLife, Verdict
from edge.errors import Refused
from edge.vrm import normalise

_RESULTS_MAX = 64
_FORM_MAX_BYTES = 1024 * 1024
"""A form comes where there is no picture."""

_FORM = re.compile(rb"(?:^|&)json=(?:%7B|\{)", re.IGNORECASE)
_CAMERA = re.compile(r"/?([^/]{1,64})_screenshots/")


@dataclass(frozen=True, slots=True)
class PlateRecognizer:
    """The dialect. It has no settings."""

    name: str = "platerecognizer"
    version: int = 1

    def recognises(self, delivery: Delivery) -> bool:
        body = delivery.body
        if _FORM.search(body, 0, 4096) is not None and b"camera_id" in body:
            return True
        if b'"results"' in body and b'"camera_id"' in body and b'"timestamp' in body:
            return b'"hook"' in body or b'"filename"' in body
        return looks_like_rows(body)

    def understand(self, delivery: Delivery) -> tuple[RawRead | SignOfLife, ...]:
        """A read for each result in a delivery, or a sign of life. Raises `Refused`."""
        if looks_like_rows(delivery.body):
            return tuple(
                self._read(row.data, row.result, short_enough(row.result["plate"]), b"") for row in rows(delivery.body)
            )
        document, picture = _document(delivery)
        said = documents.read_json(document)
        data = at(said, "data") if isinstance(at(said, "data"), dict) else said
        if not isinstance(data, dict):
            raise Refused("a delivery is not a JSON object", reason="not_an_object")
        results = at(data, "results")
        if not isinstance(results, list) or not results:
            event = text(said, "hook", "event") or "no_results"
            life = Life.HEARTBEAT if "heartbeat" in event.lower() else Life.OTHER_EVENT
            return (SignOfLife(life, words.word(event), words.short(text(data, "camera_id"), 64)),)
        if len(results) > _RESULTS_MAX:
            raise Refused(f"a delivery has more than {_RESULTS_MAX} results", reason="too_large")
        return tuple(self._read(data, result, _plate(result), picture) for result in results)

    def answer(self, verdict: Verdict, delivery: Delivery) -> Answer:
        return plain(verdict)

    def _read(self, data: dict[str, Any], result: Any, heard: str, picture: bytes) -> RawRead:
        seen = _seen(result)
        score = _score(result)
        confidence = words.percent(score or "", 1.0)
        region = text(result, "region", "code") or text(result, "plate", "props", "region", 0, "value")
        when = text(data, "timestamp") or text(data, "timestamp_local")
        return RawRead(
            dialect=self.name,
            dialect_version=self.version,
            camera_identity=_camera(data),
            vendor_id=_message(data, seen, heard),
            plate_heard=heard,
            confidence=None if confidence == 0 and normalise(heard) is None else confidence,
            country=alpha_3((region or "").partition("-")[0]),
            direction=None,  # degrees in the picture: which of them is towards the camera, its mounting says
            lane=None,
            time=None if when is None else iso(when),
            time_heard=words.short(when, HEARD_MAX_CHARACTERS),
            images=_images(picture, seen, corners(at(result, "vehicle", "box"))),
            heard=Heard(
                confidence=None if words.short(score) is None else f"{words.short(score)}/1",
                direction=words.short(text(result, "direction")),
                country=words.short(region),
                plate_box=None if seen is None else f"{seen.left},{seen.top},{seen.width},{seen.height}/px",
            ),
        )


def _document(delivery: Delivery) -> tuple[bytes, bytes]:
    """The JSON of a delivery and its picture, empty where there is none."""
    body = delivery.body
    if looks_multipart(delivery.content_type, body):
        told, pictures = b"", b""
        for part in parts(body, delivery.content_type):
            if words.is_picture(part.data):
                pictures = pictures or part.data
            elif part.name == "json" or part.data[:64].lstrip().startswith(b"{"):
                told = told or part.data
        if not told:
            raise Refused("a delivery has no part that says what it is", reason="no_document")
        return told, pictures
    if _FORM.search(body, 0, 4096) is None:
        return body, b""
    if len(body) > _FORM_MAX_BYTES:
        raise Refused("a form is larger than 1 MB", reason="too_large")
    try:
        form = parse_qs(body.decode("ascii"), max_num_fields=16, errors="strict")
    except ValueError:
        raise Refused("a form cannot be read", reason="form_malformed") from None
    return form.get("json", [""])[0].encode(), b""


def _plate(result: Any) -> str:
    """A text; in the newer form an object with its readings, best first. A vehicle may have none."""
    if isinstance(at(result, "plate"), dict):
        found = at(result, "plate", "props", "plate")
        return "" if found is ABSENT or found in (None, []) else plate(result, "plate", "props", "plate", 0, "value")
    if at(result, "plate") is ABSENT and at(result, "vehicle") is not ABSENT:
        return ""
    return plate(result, "plate")


def _score(result: Any) -> str | None:
    if isinstance(at(result, "plate"), dict):
        return text(result, "plate", "props", "plate", 0, "score") or text(result, "plate", "score")
    return text(result, "score")


def _seen(result: Any) -> Corners | None:
    return corners(at(result, "plate", "box")) or corners(at(result, "box"))


def _camera(data: dict[str, Any]) -> str | None:
    """The name in Stream's configuration; a row of the CSV says it in the name of the picture."""
    named = _CAMERA.match(text(data, "filename") or "")
    return words.short(text(data, "camera_id") or (named[1] if named else None), 64)


def _message(data: dict[str, Any], seen: Corners | None, heard: str) -> str | None:
    """The picture's name and where in it: each vehicle of a frame may come in a delivery of its own."""
    frame = text(data, "filename")
    if not frame or seen is None:
        return None
    return words.vendor_id([f"{frame}#{seen.left},{seen.top}"], heard)


def _images(picture: bytes, seen: Corners | None, vehicle: Corners | None) -> tuple[RawImage, ...]:
    if not picture:
        return ()
    whole = seen is not None and vehicle is not None and is_whole_frame(picture, seen, vehicle)
    box = Box(seen.left, seen.top, seen.width, seen.height) if seen is not None and whole else None
    return (RawImage(Role.OVERVIEW, picture, box),)
