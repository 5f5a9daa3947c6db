"""Dahua's two streams: events as pretty-printed JSON, and pictures behind a list of `Events[0].` lines.

Pure. The trap is kept: `UTC` is the local time written as Unix seconds, `RealUTC` is UTC, and `Direction` is always 0.
The shape `old` has no `RealUTC`.
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from datetime import datetime
from typing import Any

from simulators.payloads import Device, Event
from simulators.traffic import Direction
from simulators.vendors.telling import Message, Mount, Telling, box_edges, epoch_ms, face, plate_of, serial, truth

GRID = 8192
"""Boxes of events lie in a grid of 8192 to the width and the height."""
ZONE_INDEX = 12
"""`TimeZone` is a place in a list, and not hours; this one was seen where the clock was 7 hours ahead of UTC."""


def events(mount: Mount, what: Event) -> Telling:
    """Parts of `eventManager.cgi`: text, and no picture. A group is told once for each of its pictures."""
    of = group_size(mount, what)
    parts = []
    for index in range(1, of + 1):
        data = json.dumps(event_data(mount, what, index, of), indent=3)
        parts.append(Message(f"Code=TrafficJunction;action=Pulse;index=0;data={data}\n".encode(), "text/plain"))
    return Telling(what.uuid, tuple(parts), truth(what, 0, vendor_id=group_id(what)))


def snaps(mount: Mount, what: Event) -> Telling:
    """Parts of `snapManager.cgi`: a list of lines, the scene, and the plate where there is one."""
    of = group_size(mount, what)
    parts = []
    for index in range(1, of + 1):
        lines = "".join(f"Events[0].{line}\r\n" for line in _flat(event_data(mount, what, index, of)))
        parts.append(Message(lines.encode(), "text/plain"))
        parts.append(Message(what.pictures.overview, "image/jpeg"))
        if what.vehicle.readable:
            parts.append(Message(what.pictures.plate, "image/jpeg"))
    pictures = 2 if what.vehicle.readable else 1
    return Telling(what.uuid, tuple(parts), truth(what, pictures, vendor_id=group_id(what)))


def life(mount: Mount, at: datetime) -> Message:
    del mount, at
    return Message(b"Heartbeat\r\n", "text/plain")


def group_id(what: Event) -> str:
    """One number for one passage."""
    return str(random.Random(what.uuid).randrange(1, 1 << 31))


def group_size(mount: Mount, what: Event) -> int:
    return 2 if random.Random(f"group {what.uuid}").random() < mount.groups else 1


def event_data(mount: Mount, what: Event, index: int, of: int) -> dict[str, Any]:
    """What follows `data=`; the same names are lines of the picture stream."""
    at = what.captured_at
    shown_s = (face(at) - datetime(1970, 1, 1)) // at.resolution // 1_000_000
    toward = what.vehicle.direction is Direction.TOWARD
    plate = plate_of(what) or ""
    car = {
        "PlateNumber": plate,
        "PlateColor": "White",
        "PlateType": "Normal",
        "VehicleColor": "Gray",
        "Speed": what.vehicle.speed_kmh,
        "Lane": what.vehicle.lane,
        "DrivingDirection": ["Approach" if toward else "Leave", ""],
        "Direction": 0,
        "DeviceAddress": serial(mount.device),
    }
    data: dict[str, Any] = {
        "Class": "Traffic",
        "Code": "TrafficJunction",
        "CountInGroup": of,
        "IndexInGroup": index,
        "GroupID": int(group_id(what)),
        "EventID": 516,
        "Lane": what.vehicle.lane,
        "Speed": what.vehicle.speed_kmh,
        "LocaleTime": at.strftime("%Y-%m-%d %H:%M:%S"),
        "UTC": shown_s,
        "UTCMS": at.microsecond // 1000,
        "JunctionDirection": "Obverse" if toward else "Reverse",
        "VehicleDirection": "Head" if toward else "Tail",
        "Object": _object(mount.device, what, plate),
        "TrafficCar": car,
    }
    if mount.shape != "old":
        data["RealUTC"] = epoch_ms(at) // 1000
    return data


def _object(device: Device, what: Event, plate: str) -> dict[str, Any]:
    del device
    width, height = what.pictures.size_px
    left, top, right, bottom = box_edges(what) if plate else (0, 0, 0, 0)
    grid = [left * GRID // width, top * GRID // height, right * GRID // width, bottom * GRID // height]
    return {
        "Action": "Appear",
        "ObjectType": "Plate",
        "Text": plate,
        "Confidence": what.confidence,
        "Country": "GBR",
        "BoundingBox": grid,
        "OriginalBoundingBox": [left, top, right, bottom],
    }


def _flat(data: dict[str, Any], before: str = "") -> Iterator[str]:
    """`Name.Name[0]=value`, one for each value."""
    for name, value in data.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{before}{name}.")
        elif isinstance(value, list):
            yield from (f"{before}{name}[{place}]={each}" for place, each in enumerate(value))
        else:
            yield f"{before}{name}={value}"
