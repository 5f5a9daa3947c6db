"""LILIN: an endless text of what moves, with the camera's time among the part's headers and four places for plates.

Pure. `LPR_TIME0` is GMT in seconds; `CamTime` is the clock's face. Parts without a plate come all the time.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

from simulators.payloads import Event
from simulators.vendors.telling import Message, Mount, Telling, plate_of, truth

MOTION = """MotionDetect=0
AlarmInputDetect=0
AudioDetect=0
TemperDetect=0
FaceDetectNumber=0
AlarmOutputStatus=0
PIRDetect=0
DoorBell=0
LUX=0
Day=0
"""
KEYS = ("LPR", "ACT_PARAM", "ROI_X", "ROI_Y", "ROI_W", "ROI_H", "LP_X", "LP_Y", "LP_W", "LP_H", "LPR_TIME", "LP_BMP")


def stream(mount: Mount, what: Event) -> Telling:
    """Neither picture, direction nor confidence. A vehicle without a read leaves no trace: an empty part."""
    del mount
    plate = plate_of(what)
    utc = what.captured_at.astimezone(UTC)
    if plate is None:
        part = _part(what.captured_at, dict.fromkeys(KEYS, ""))
    else:
        x, y, w, h = what.pictures.plate_box_px
        width, height = what.pictures.size_px
        name = f"LPR_IMAGE/{utc:%Y%m%d%H%M%S}_{utc.microsecond:06d}lp_{plate}_132.png"
        found: tuple[object, ...] = (plate, "Visitor", 0, 0, width, height, x, y, w, h, f"{utc:%Y-%m-%d %H:%M:%S} GMT")
        part = _part(what.captured_at, dict(zip(KEYS, (*map(str, found), name), strict=True)))
    told = truth(what, 0, within_ms=1000, direction=None, confidence=None)
    if plate is None:
        told = replace(told, at_ms=None, tells=False)
    return Telling(what.uuid, (part,), told)


def life(mount: Mount, at: datetime) -> Message:
    """A part in which nothing is going on."""
    del mount
    return _part(at, dict.fromkeys(KEYS, ""))


def _part(at: datetime, first: dict[str, str]) -> Message:
    """The first place on a line of its own, the empty ones behind each other on another."""
    lines = [_place(first, 0), " ".join(_place(dict.fromkeys(KEYS, ""), place) for place in (1, 2, 3))]
    body = MOTION + "\n".join(lines) + "\n"
    return Message(body.encode(), "text/plain", lines=(("CamTime", f"{at:%Y-%m-%d %H:%M:%S}"),))


def _place(values: dict[str, str], number: int) -> str:
    return ",".join(f"{key}{number}={value}" for key, value in values.items())
