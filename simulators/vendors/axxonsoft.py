"""AxxonSoft Auto Intellect: `CAR_PLATE` elements on one port, STX ... ETX on another or on a serial line.

Pure. Times are of the local clock. A plate that was not read is "Not defined". Shapes: `xml` and `stx`.
"""

from __future__ import annotations

from simulators.payloads import Event
from simulators.traffic import Direction
from simulators.vendors.telling import Message, Mount, Telling, b64, face, plate_of, truth

WAYS = {Direction.TOWARD: "in", Direction.AWAY: "out"}
STX, ETX = b"\x02", b"\x03"


def message(mount: Mount, what: Event) -> Telling:
    return _stx(mount, what) if mount.shape == "stx" else _xml(mount, what)


def _xml(mount: Mount, what: Event) -> Telling:
    plate = plate_of(what)
    crop = f' plateImage = "{b64(what.pictures.plate)}"' if plate else ""
    body = (
        '<?xml version="1.0" encoding="UTF-8"?>'
        f'<CAR_PLATE version="1.0" direction = "{WAYS[what.vehicle.direction]}" cam-id = "{mount.device.channel}" '
        f'time = "{face(what.captured_at).isoformat(timespec="milliseconds")}" plate = "{plate or "Not defined"}" '
        f'plate_mask = "GBR" confidence = "{what.confidence}" {crop} >{b64(what.pictures.overview)}</CAR_PLATE>'
    )
    return Telling(what.uuid, (Message(body.encode(), "text/xml"),), truth(what, 2 if plate else 1))


def _stx(mount: Mount, what: Event) -> Telling:
    """`YYYYMMDDHHMMSS`, two digits of the camera, the plate: nothing stands between them."""
    text = f"{what.captured_at:%Y%m%d%H%M%S}{mount.device.channel:02d}{plate_of(what) or 'Not defined'}"
    told = truth(what, 0, within_ms=1000, direction=None, confidence=None)
    return Telling(what.uuid, (Message(STX + text.encode() + ETX, "text/plain"),), told)
