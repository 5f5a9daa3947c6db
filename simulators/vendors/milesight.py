"""Milesight: JSON with the pictures in it, or `key_N=value` lines to whoever asks.

Pure. The local time has no zone, the confidence may be "-", one key has a space in it, and the device's name is
everybody's. With the shape `dash` direction and confidence are "-", as on the camera that was captured.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from simulators.payloads import Event
from simulators.traffic import Direction
from simulators.vendors.asked import Reply
from simulators.vendors.telling import (
    Message,
    Mount,
    Telling,
    Truth,
    b64,
    box_edges,
    in_json,
    plate_of,
    spoken_ms,
    truth,
)

LAST_READS = 3
WAYS = {Direction.TOWARD: "Approach", Direction.AWAY: "Away"}


def push(mount: Mount, what: Event) -> Telling:
    """The plate's picture is missing where it was not read."""
    told = _fields(mount, what) | {
        "plate_image": b64(what.pictures.plate) if what.vehicle.readable else "",
        "full_image": b64(what.pictures.overview),
        "evidence_image0": "",
        "evidence_image1": "",
    }
    return Telling(what.uuid, (in_json(told),), _truth(mount, what, 2 if what.vehicle.readable else 1))


def poll(mount: Mount, what: Event) -> Telling:
    """Lines whose N is filled in when somebody asks; no picture."""
    lines = "".join(f"{key}_{{n}}={value}\r\n" for key, value in _fields(mount, what).items())
    return Telling(what.uuid, (Message(lines.encode(), "text/html"),), _truth(mount, what, 0))


def last_data(kept: Sequence[Telling], target: str, body: bytes) -> Reply | None:
    """The last reads, the newest as number 0; what came between two questions and is older is lost."""
    del body
    if "operator.cgi" not in target or "action=get.lpr.lastdata" not in target:
        return None
    last = list(kept)[-LAST_READS:][::-1]
    lines = [each.messages[0].body.replace(b"_{n}=", b"_%d=" % n) for n, each in enumerate(last)]
    return Reply("text/html", b"".join(lines), frozenset(each.uuid for each in last))


def _truth(mount: Mount, what: Event, pictures: int) -> Truth:
    if mount.shape == "dash":
        return truth(what, pictures, direction=None, confidence=None)
    return truth(what, pictures)


def _fields(mount: Mount, what: Event) -> dict[str, Any]:
    left, top, right, bottom = box_edges(what)
    width, height = what.pictures.size_px
    dash = mount.shape == "dash"
    shown = spoken_ms(what.captured_at)
    return {
        "device": "Network Camera",
        "time": shown,
        "time_msec": shown,
        "plate": plate_of(what) or "",
        "type": "Visitor",
        "speed": "-",
        "direction": "-" if dash else WAYS[what.vehicle.direction],
        "detection_region": str(what.vehicle.lane),
        "region": "GBR",
        "resolution_width": str(width),
        "resolution_height": str(height),
        "coordinate_x1": str(left),
        "coordinate_y1": str(top),
        "coordinate_x2": str(right),
        "coordinate_y2": str(bottom),
        "confidence": "-" if dash or not what.vehicle.readable else f"{what.confidence / 100:.2f}",
        "plate_color": "White",
        "vehicle_type": "-",
        "vehicle_color": "-",
        "Vehicle Brand": "-",
    }


def other(mount: Mount, at: datetime) -> Message:
    """A count of vehicles, which goes to the same address and is no read."""
    del mount
    return in_json({"device": "Network Camera", "event": "Vehicle Counting", "time": spoken_ms(at), "counting_in": "3"})
