"""The bytes that cameras send: Hikvision's multipart push, its relatives on the same address, and generic JSON.

Pure: builds bytes from values, opens nothing and asks no clock. Written from captures of real cameras, not from
what the node happens to accept.
"""

from __future__ import annotations

import base64
import enum
import json
import random
import string
from dataclasses import dataclass, field
from datetime import datetime
from xml.sax.saxutils import escape

from simulators.pictures import Pictures
from simulators.traffic import Direction, Vehicle

BOUNDARY = "boundary"
"""Literally this word in captures of Hikvision cameras."""
GRID = 1000
"""Hikvision gives the plate's box in thousandths of the picture and not in pixels."""
NAMESPACE = "http://www.hikvision.com/ver20/XMLSchema"
COUNTRY_UNKNOWN = 0
UUID_ALPHABET = string.ascii_letters + string.digits


class Headers(enum.Enum):
    """How a camera heads the parts of its push; each has been seen."""

    PLAIN = "plain"
    """`text/xml`, and a length on every part."""
    CHARSET = "charset"
    """`application/xml; charset="UTF-8"`, no space after the semicolon of the disposition, no lengths."""
    PICTURE_ID = "picture-id"
    """`image/pjpeg`, the picture's id as its file name, a Content-ID, and an empty picture at the end."""


@dataclass(frozen=True, slots=True)
class Device:
    """Who is speaking, as it says itself."""

    mac: str
    address: str
    name: str = "Camera 01"
    channel: int = 1


@dataclass(frozen=True, slots=True)
class Event:
    """One passage as a camera tells it. `captured_at` has a zone; `confidence` is 0-100."""

    uuid: str
    captured_at: datetime
    vehicle: Vehicle
    pictures: Pictures = field(repr=False)
    confidence: int


@dataclass(frozen=True, slots=True)
class Push:
    """The body of one request, and its Content-Type."""

    content_type: str
    body: bytes = field(repr=False)


def event(chance: random.Random, captured_at: datetime, vehicle: Vehicle, pictures: Pictures) -> Event:
    """A passage with an identity of its own. Raises `ValueError` for a time without a zone."""
    if captured_at.utcoffset() is None:
        raise ValueError("the time of a capture needs a zone")
    confidence = chance.randint(82, 99) if vehicle.readable else 0
    return Event(_stamped_id(chance, captured_at, 46), captured_at, vehicle, pictures, confidence)


def hikvision_push(device: Device, what: Event, headers: Headers = Headers.PLAIN) -> Push:
    """`multipart/form-data` with anpr.xml, the plate's picture where it was read, and the scene."""
    chance = random.Random(what.uuid)
    plate_id = _stamped_id(chance, what.captured_at, 13) if what.vehicle.readable else None
    scene_id = _stamped_id(chance, what.captured_at, 13)
    parts = [_part("anpr.xml", _anpr_xml(device, what, plate_id, scene_id), headers)]
    if plate_id is not None:
        parts.append(_part("licensePlatePicture.jpg", what.pictures.plate, headers, plate_id))
    parts.append(_part("detectionPicture.jpg", what.pictures.overview, headers, scene_id))
    if headers is Headers.PICTURE_ID:
        parts.append(_part("vehiclePicture.jpg", b"", headers))
    closing = f"--{BOUNDARY}--\r\n".encode()
    return Push(f"multipart/form-data; boundary={BOUNDARY}", b"".join([*parts, closing]))


def hikvision_heartbeat(device: Device, at: datetime) -> Push:
    """The sign of life: a loss of video that is not happening, on channel 0."""
    return _bare_event(device, at, "videoloss", "inactive", channel=0, posts=0)


def hikvision_other(device: Device, at: datetime) -> Push:
    """An event that is no read, and that a camera posts to the same address when it is set to."""
    return _bare_event(device, at, "fielddetection", "active", channel=device.channel, posts=12)


def hikvision_xml(device: Device, what: Event, *, with_pictures: bool) -> bytes:
    """The read alone, as the alert stream carries it; without pictures none is named in it."""
    chance = random.Random(what.uuid)
    plate_id = _stamped_id(chance, what.captured_at, 13) if what.vehicle.readable else None
    return _anpr_xml(device, what, plate_id, _stamped_id(chance, what.captured_at, 13), with_pictures=with_pictures)


def generic_json(camera: str, what: Event) -> Push:
    """The project's own JSON; a vehicle that was not read has a null plate and no plate patch."""
    vehicle = what.vehicle
    told: dict[str, object] = {
        "id": what.uuid,
        "plate": vehicle.vrm if vehicle.readable else None,
        "confidence": what.confidence,
        "captured_at": what.captured_at.isoformat(timespec="milliseconds"),
        "camera": camera,
        "lane": str(vehicle.lane),
        "direction": vehicle.direction.value,
        "country": "GB",
    }
    if vehicle.readable:
        told["plate_patch"] = base64.b64encode(what.pictures.plate).decode()
    told["overview"] = base64.b64encode(what.pictures.overview).decode()
    return Push("application/json", json.dumps(told).encode())


def _stamped_id(chance: random.Random, at: datetime, letters: int) -> str:
    """Milliseconds of local time, then letters: the form of a Hikvision UUID and pId."""
    return _abs_time(at) + f"{chance.randrange(100):02d}" + "".join(chance.choices(UUID_ALPHABET, k=letters))


def _abs_time(at: datetime) -> str:
    return at.strftime("%Y%m%d%H%M%S") + f"{at.microsecond // 1000:03d}"


def _part(name: str, body: bytes, headers: Headers, picture_id: str = "") -> bytes:
    picture = name.endswith(".jpg")
    if headers is Headers.PLAIN:
        lines = [
            f'Content-Disposition: form-data; name="{name}"; filename="{name}"',
            f"Content-Type: {'image/jpeg' if picture else 'text/xml'}",
            f"Content-Length: {len(body)}",
        ]
    elif headers is Headers.CHARSET:
        xml = 'application/xml; charset="UTF-8"'
        lines = [
            f'Content-Disposition: form-data; name="{name}";filename="{name}"',
            f"Content-Type: {'image/jpeg' if picture else xml}",
        ]
    else:
        lines = [
            f'Content-Disposition: form-data; name="{name}"; filename="{picture_id or name}"',
            f"Content-Type: {'image/pjpeg' if picture else 'application/xml'}",
            f"Content-Length: {len(body)}",
            f"Content-ID: {picture_id or name}",
        ]
    return "\r\n".join([f"--{BOUNDARY}", *lines, "", ""]).encode() + body + b"\r\n"


def _bare_event(device: Device, at: datetime, kind: str, state: str, *, channel: int, posts: int) -> Push:
    xml = f"""<?xml version="1.0" encoding="UTF-8"?>
<EventNotificationAlert version="2.0" xmlns="{NAMESPACE}">
{_envelope(device, at, kind, state, channel, posts)}
</EventNotificationAlert>
"""
    return Push('application/xml; charset="UTF-8"', xml.encode())


def _envelope(device: Device, at: datetime, kind: str, state: str, channel: int, posts: int) -> str:
    description = "videoloss alarm" if kind == "videoloss" else kind
    return f"""<ipAddress>{escape(device.address)}</ipAddress>
<portNo>80</portNo>
<protocol>HTTP</protocol>
<macAddress>{escape(device.mac)}</macAddress>
<channelID>{channel}</channelID>
<dateTime>{at.isoformat(timespec="seconds")}</dateTime>
<activePostCount>{posts}</activePostCount>
<eventType>{kind}</eventType>
<eventState>{state}</eventState>
<eventDescription>{description}</eventDescription>"""


def _anpr_xml(device: Device, what: Event, plate_id: str | None, scene_id: str, *, with_pictures: bool = True) -> bytes:
    vehicle = what.vehicle
    plate = vehicle.vrm.replace(" ", "") if vehicle.readable else "unknown"
    direction = "forward" if vehicle.direction is Direction.TOWARD else "reverse"
    believe = ",".join(["99"] * len(plate)) if vehicle.readable else ""
    width, height = what.pictures.size_px
    named = ""
    if with_pictures:
        named = _picture_info("licensePlatePicture", what, plate_id, None) if plate_id else ""
        named += _picture_info("detectionPicture", what, scene_id, _grid_box(what))
    return f"""<?xml version="1.0" encoding="UTF-8"?>
<EventNotificationAlert version="2.0" xmlns="{NAMESPACE}">
{_envelope(device, what.captured_at, "ANPR", "active", device.channel, 1)}
<channelName>{escape(device.name)}</channelName>
<ANPR>
<country>{COUNTRY_UNKNOWN}</country>
<licensePlate>{escape(plate)}</licensePlate>
<line>{vehicle.lane}</line>
<direction>{direction}</direction>
<confidenceLevel>{what.confidence}</confidenceLevel>
<plateType>unknown</plateType>
<plateColor>unknown</plateColor>
<licenseBright>0</licenseBright>
<plateCharBelieve>{believe}</plateCharBelieve>
<vehicleType>vehicle</vehicleType>
<detectDir>8</detectDir>
<vehicleInfo>
<index>{vehicle.paint}</index>
<speed>{vehicle.speed_kmh}</speed>
<vehileModel>0</vehileModel>
</vehicleInfo>
<pictureInfoList>
{named}</pictureInfoList>
<originalLicensePlate>{escape(plate)}</originalLicensePlate>
</ANPR>
<UUID>{what.uuid}</UUID>
<picNum>{named.count("<pictureInfo>")}</picNum>
<isDataRetransmission>false</isDataRetransmission>
<detectionBackgroundImageResolution>
<height>{height}</height>
<width>{width}</width>
</detectionBackgroundImageResolution>
</EventNotificationAlert>
""".encode()


def _grid_box(what: Event) -> tuple[int, int, int, int]:
    """The plate's box in thousandths of the scene; all zero where the plate was not read."""
    if not what.vehicle.readable:
        return (0, 0, 0, 0)
    x, y, w, h = what.pictures.plate_box_px
    width, height = what.pictures.size_px
    return (x * GRID // width, y * GRID // height, -(-w * GRID // width), -(-h * GRID // height))


def _picture_info(name: str, what: Event, picture_id: str, box: tuple[int, int, int, int] | None) -> str:
    rect = ""
    if box is not None:
        rect = (
            f"<plateRect>\n<X>{box[0]}</X>\n<Y>{box[1]}</Y>\n"
            f"<width>{box[2]}</width>\n<height>{box[3]}</height>\n</plateRect>\n"
        )
    return f"""<pictureInfo>
<fileName>{name}.jpg</fileName>
<type>{name}</type>
<dataType>0</dataType>
<picRecogMode>1</picRecogMode>
<absTime>{_abs_time(what.captured_at)}</absTime>
{rect}<pId>{picture_id}</pId>
</pictureInfo>
"""
