"""Plate Recognizer Stream: a form field with JSON and a file with the scene, or the JSON alone in a form.

Pure. Plates are lower case. Shapes: `picture`; `form`, which has no picture and another encoding; `props`, the newer
form in which the plate is an object.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlencode

from simulators.payloads import Event
from simulators.traffic import Direction
from simulators.vendors.telling import Message, Mount, Telling, box_edges, plate_of, serial, truth

BOUNDARY = "8e0b5ff36a9f43eda4f2c8f0e7d2a1b6"
AUTHORISATION = (("Authorization", "Token 0000000000000000000000000000000000000000"),)
DEGREES = {Direction.TOWARD: 180, Direction.AWAY: 0}
"""As the vehicle drives through the picture; the vendor does not say which of them is toward the camera."""


def push(mount: Mount, what: Event) -> Telling:
    """A vehicle that was not read has no place among the results of a plate reader; it is sent with none."""
    told = json.dumps({"hook": _hook(), "data": _data(mount, what)})
    pictures = 0 if mount.shape == "form" else 1
    right = truth(what, pictures, direction=None, tells=what.vehicle.readable)
    if not pictures:
        message = Message(urlencode({"json": told}).encode(), "application/x-www-form-urlencoded", lines=AUTHORISATION)
    else:
        message = _multipart(told, what.pictures.overview)
    return Telling(what.uuid, (message,), right)


def _hook() -> dict[str, Any]:
    return {"target": "webhook", "id": "camera-1", "event": "recognition"}


def _data(mount: Mount, what: Event) -> dict[str, Any]:
    at = what.captured_at
    utc = at.astimezone(UTC)
    return {
        "filename": f"{serial(mount.device)}_screenshots/{utc:%y-%m-%d/%H-%M-%S.%f}.jpg",
        "timestamp": _iso(utc),
        "timestamp_local": str(at),
        "timestamp_camera": _iso(utc),
        "camera_id": serial(mount.device),
        "results": [_result(mount, what)] if what.vehicle.readable else [],
    }


def _iso(utc: datetime) -> str:
    return utc.strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def _result(mount: Mount, what: Event) -> dict[str, Any]:
    plate, score = (plate_of(what) or "").lower(), what.confidence / 100
    box = dict(zip(("xmin", "ymin", "xmax", "ymax"), box_edges(what), strict=True))
    vehicle = {"score": 0.267, "type": "Sedan", "box": box}
    common = {"direction": DEGREES[what.vehicle.direction], "direction_score": 0.6, "position_sec": 4.0}
    if mount.shape == "props":
        found = {"plate": [{"value": plate, "score": score}], "region": [{"value": "gb", "score": 0.9}]}
        return {"plate": {"type": "Plate", "score": 0.84, "box": box, "props": found}, "vehicle": vehicle, **common}
    return {
        "box": box,
        "plate": plate,
        "score": score,
        "dscore": 0.844,
        "region": {"code": "gb", "score": 0.9},
        "vehicle": vehicle,
        "candidates": [{"plate": plate, "score": score}],
        "color": [{"color": "white", "score": 0.672}],
        "model_make": [{"make": "Ford", "model": "Focus", "score": 0.3}],
        **common,
    }


def _multipart(told: str, picture: bytes) -> Message:
    body = (
        f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="json"\r\n\r\n{told}\r\n'
        f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="upload"; filename="frame.jpg"\r\n'
        "Content-Type: image/jpeg\r\n\r\n"
    ).encode()
    body += picture + f"\r\n--{BOUNDARY}--\r\n".encode()
    return Message(body, f"multipart/form-data; boundary={BOUNDARY}", lines=AUTHORISATION)
