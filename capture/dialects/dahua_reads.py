"""What a Dahua event or TollgateInfo claims. Pure.

What may not happen here: `UTC` taken for UTC. It is the camera's local time written as a Unix number; only `RealUTC`,
which newer firmware adds, is UTC. `TimeZone` is an index into a list that nobody published, and is not read.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime

from capture.dialects import words
from capture.dialects.countries import alpha_3
from capture.dialects.dahua_events import Event, whole
from capture.dialects.dahua_pictures import GRID, in_grid, pushed, streamed
from capture.dialects.times import HEARD_MAX_CHARACTERS, compact, epoch, iso
from edge.claim import Direction, Heard, Life, RawRead, SignOfLife, Stage
from edge.errors import Refused

DIALECT, VERSION = "dahua", 1

_PASSING = frozenset({"trafficjunction", "trafficgate", "traffictollgate", "trafficmanualsnap"})
"""A vehicle passed, whether its plate was read or not. Other traffic events are reads only where they hold a plate."""

_DIRECTIONS = {
    "approach": Direction.TOWARD,
    "obverse": Direction.TOWARD,
    "head": Direction.TOWARD,
    "leave": Direction.AWAY,
    "away": Direction.AWAY,
    "reverse": Direction.AWAY,
    "tail": Direction.AWAY,
}
_DIRECTED = ("TrafficCar.DrivingDirection.0", "DrivingDirection.0", "JunctionDirection", "VehicleDirection")
"""The surest first. `Direction` is always 0, and the places and junction names behind `.0` are the operator's."""

_SERIAL = re.compile(r"(?=[A-Z]*\d)(?=\d*[A-Z])[0-9A-Z]{15}")
_HEX = re.compile(r"(?:[0-9A-F]{2}){6,20}|(?:[0-9a-f]{2}){6,20}")
_MS_COLON = re.compile(r"(:\d\d):(\d{1,3})$", re.ASCII)
_HOUR_S = 3600


def event_item(event: Event, pictures: Sequence[bytes]) -> RawRead | SignOfLife:
    """The read or sign of life in an event, with the pictures that followed it. Raises `Refused`: `no_plate`."""
    said, code = event.data, event.code.lower()
    heard = _first(_plates(said))
    passed = code in _PASSING and event.action.lower() != "stop"
    if not passed and not (code.startswith("traffic") and heard and event.action.lower() != "stop"):
        return SignOfLife(Life.OTHER_EVENT, words.word(event.code), _identity(said))
    if heard is None and not any(key.startswith(("TrafficCar.", "NonMotor.", "Vehicle.")) for key in said):
        raise Refused("a read has no member for the plate", reason="no_plate")
    heard = spelt(heard or "")
    confidence, confidence_heard = _confidence(said.get("Object.Confidence"))
    box = in_grid(said, "Object.BoundingBox", "TrafficCar.BoundingBox", "NonMotor.Plate.BoundingBox")
    direction = _first(said.get(key) for key in _DIRECTED)
    country = _first(said.get(key) for key in ("TrafficCar.Country", "CommInfo.Country", "Country"))
    time, time_heard = _event_time(said)
    group, stage = _group(said)
    return RawRead(
        dialect=DIALECT,
        dialect_version=VERSION,
        camera_identity=_identity(said),
        vendor_id=words.vendor_id([_message(said)], heard),
        plate_heard=heard,
        confidence=confidence,
        country=alpha_3(country),
        direction=_DIRECTIONS.get((direction or "").lower()),
        lane=words.short(_first(said.get(key) for key in ("Lane", "TrafficCar.Lane"))),
        time=time,
        time_heard=words.short(time_heard, HEARD_MAX_CHARACTERS),
        images=streamed(pictures, box),
        passage=group,
        stage=stage,
        heard=Heard(
            confidence_heard,
            words.short(direction),
            words.short(country),
            None if box is None else f"{box.left},{box.top},{box.width},{box.height}/{GRID}",
        ),
    )


def pushed_item(said: Mapping[str, str]) -> RawRead:
    """The read in a TollgateInfo. `SnapInfo` stands inside `Picture` or beside it. Raises `Refused`."""
    snap = "Picture.SnapInfo" if any(key.startswith("Picture.SnapInfo.") for key in said) else "SnapInfo"
    absent = said.get("Picture.Plate.IsExist") == "false"
    if "Picture.Plate.PlateNumber" not in said and not absent:
        raise Refused("a TollgateInfo has no member for the plate", reason="no_plate")
    heard = spelt(said.get("Picture.Plate.PlateNumber", ""))
    confidence, confidence_heard = _confidence(said.get("Picture.Plate.Confidence"))
    direction = said.get(f"{snap}.Direction")
    accurate, snapped = said.get(f"{snap}.AccurateTime", ""), said.get(f"{snap}.SnapTime", "")
    time = _moment(accurate)
    time, time_heard = (time, accurate) if time is not None else (_moment(snapped), snapped or accurate)
    country = said.get("Picture.Plate.Country") or said.get("Picture.Plate.Region")
    return RawRead(
        dialect=DIALECT,
        dialect_version=VERSION,
        camera_identity=_identity(said),
        # The number of the upload is not in it: it may be another when the same is sent again.
        vendor_id=words.vendor_id([_pushed_message(said, snap, time)], heard),
        plate_heard=heard,
        confidence=confidence,
        country=alpha_3(country),
        direction=_DIRECTIONS.get((direction or "").strip().lower()),
        lane=words.short(said.get(f"{snap}.LanNo") or said.get(f"{snap}.Lane")),
        time=time,
        time_heard=words.short(time_heard, HEARD_MAX_CHARACTERS),
        images=pushed(said),
        heard=Heard(confidence_heard, words.short(direction), words.short(country)),
    )


def device_id(said: Mapping[str, str]) -> str | None:
    """What the camera calls itself in a push."""
    paths = ("DeviceID", "Picture.SnapInfo.DeviceID", "SnapInfo.DeviceID", "Picture.DeviceID")
    return words.short(_first(said.get(path) for path in paths), 64)


def spelt(plate: str) -> str:
    """A plate as text where the camera is set to write the bytes of it in hexadecimal, else as it is.

    Twelve or more hexadecimal digits that are the bytes of letters and digits are no plate's own spelling.
    """
    if _HEX.fullmatch(plate.strip()) is None:
        return plate
    data = bytes.fromhex(plate.strip())
    for encoding in ("utf-8", "gb18030"):
        try:
            text = data.decode(encoding)
        except UnicodeDecodeError:
            continue
        if text.replace(" ", "").replace("-", "").isalnum():
            return text
    return plate


def _plates(said: Mapping[str, str]) -> Iterable[str | None]:
    yield said.get("TrafficCar.PlateNumber")
    if said.get("Object.ObjectType", "Plate") == "Plate":
        yield said.get("Object.Text")
    yield said.get("NonMotor.Plate.Text")


def _first(texts: Iterable[str | None]) -> str | None:
    """The first that says something, else the empty one where there was one."""
    best = None
    for text in texts:
        if text is not None and text.strip():
            return text.strip()
        best = best if text is None else ""
    return best


def _confidence(text: str | None) -> tuple[int | None, str | None]:
    """0-255 by the document, 0-100 in practice: what is above 100 can only be the former. Some firmware always says 0,
    which is nothing said."""
    number = whole(text)
    if number is None or not 0 < number <= 255:
        return None, None if number is None else f"{number}/255"
    return (number, None) if number <= 100 else (round(number / 255 * 100), f"{number}/255")


def _event_time(said: Mapping[str, str]) -> tuple[datetime | None, str | None]:
    """Aware by `RealUTC`, naive by `UTC`, to the millisecond; and what was read."""
    ms = whole(said.get("UTCMS"))
    ms = ms if ms is not None and 0 <= ms < 1000 else 0
    real = whole(said.get("RealUTC"))
    if real is not None and real > 0:
        return epoch(real * 1000 + ms, 1000), f"{real}.{ms:03}"
    local = _local_s(said)
    if local is not None:
        told = epoch(local * 1000 + ms, 1000)
        return None if told is None else told.replace(tzinfo=None), said.get("LocaleTime") or f"{local}.{ms:03}"
    text = said.get("LocaleTime", "")
    return _moment(text), text


def _local_s(said: Mapping[str, str]) -> int | None:
    number = whole(_first(said.get(key) for key in ("UTC", "TrafficCar.UTC")))
    return number if number is not None and number > 0 else None


def _moment(text: str) -> datetime | None:
    """`2024-01-30 14:34:55.305`, also with a colon before the milliseconds, or `20240130143455305`."""
    text = _MS_COLON.sub(lambda found: f"{found[1]}.{found[2]}", text.strip()) if text.count(":") == 3 else text
    return iso(text) or compact(text, with_ms=True) or compact(text, with_ms=False)


def _message(said: Mapping[str, str]) -> str | None:
    """Numbers of a camera begin again when it restarts, its time does not; and one moment may have two lanes."""
    moment = whole(said.get("RealUTC")) or _local_s(said)
    numbers = [_number(said, key) for key in ("GroupID", "IndexInGroup", "EventID")]
    if not moment or not any(numbers):
        return None
    return "-".join([f"{moment}.{whole(said.get('UTCMS')) or 0}", *numbers])


def _pushed_message(said: Mapping[str, str], snap: str, time: datetime | None) -> str | None:
    if time is None:
        return None
    code = said.get(f"{snap}.DefenceCode", "")[:64]
    return "-".join(
        [f"{time:%Y%m%d%H%M%S%f}", _number(said, "Picture.Plate.Channel"), _number(said, f"{snap}.LanNo"), code]
    )


def _number(said: Mapping[str, str], key: str) -> str:
    number = whole(said.get(key)) if key in said else whole(said.get(f"TrafficCar.{key}"))
    return "" if number is None else str(number)


def _group(said: Mapping[str, str]) -> tuple[str | None, Stage | None]:
    """The passage where several messages speak of it. With the hour: group numbers begin again with the camera."""
    group, count = _number(said, "GroupID"), whole(_number(said, "CountInGroup"))
    index = whole(_number(said, "IndexInGroup"))
    if not group or count is None or count < 2:
        return None, None
    hour = (whole(said.get("RealUTC")) or _local_s(said) or 0) // _HOUR_S
    if index is None:
        return f"{group}-{hour}", None
    stage = Stage.FIRST if index <= 1 else Stage.LAST if index >= count else Stage.UPDATE
    return f"{group}-{hour}", stage


def _identity(said: Mapping[str, str]) -> str | None:
    """The identity in a push, or the machine's name where that is a serial number, as it leaves the factory."""
    name = said.get("TrafficCar.MachineName", "").strip()
    return device_id(said) or words.short(said.get("SerialNo"), 64) or (name if _SERIAL.fullmatch(name) else None)
