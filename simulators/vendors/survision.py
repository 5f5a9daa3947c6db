"""Survision: JSON whose names begin with `@`, its serial number in a header.

Pure. Times are UTC milliseconds as text. `new` and `end` frame a passage and tell no plate; a vehicle without a read is
`noPlate`.
"""

from __future__ import annotations

from typing import Any

from simulators.payloads import Event
from simulators.vendors.telling import Message, Mount, Telling, b64, epoch_ms, in_json, plate_of, serial, truth


def push(mount: Mount, what: Event) -> Telling:
    plate = plate_of(what)
    x, y, w, h = what.pictures.plate_box_px
    picture = {"jpeg": {"#text": b64(what.pictures.overview)}}
    if plate is None:
        middle: dict[str, Any] = {"noPlate": picture}
    else:
        said = {"@plate": plate, "@reliability": str(what.confidence), "@direction": "unknown", "@context": "GB"}
        box = {"@x": str(x), "@y": str(y), "@width": str(w), "@height": str(h)}
        middle = {"decision": said | box | picture}
    parts: tuple[dict[str, Any], ...] = ({"new": {}}, middle, {"end": {}})
    messages = tuple(_message(mount, what, part) for part in parts)
    return Telling(what.uuid, messages, truth(what, 1, direction=None))


def _message(mount: Mount, what: Event, part: dict[str, Any]) -> Message:
    told = {"anpr": {"@date": str(epoch_ms(what.captured_at)), **part}}
    return in_json(told, lines=(("survision-serial-number", serial(mount.device)),))
