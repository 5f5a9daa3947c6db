"""Axis License Plate Verifier: three messages for each vehicle over HTTP or TCP, and pictures with long names by FTP.

Pure. All numbers are strings. `datetime` is local without a zone and a trap; `capture_timestamp` is UTC. `new` does
not know the direction; `lost` is the last word, without pictures, and keeps the first time. The shape `multipart` has
one picture as a file beside the JSON, `json` has both in it.
"""

from __future__ import annotations

import json
import random
from datetime import UTC, datetime
from typing import Any

from simulators.payloads import Event
from simulators.traffic import Direction
from simulators.vendors import telling
from simulators.vendors.telling import Message, Mount, Telling, b64, digits_ms, epoch_ms, in_json, plate_of, serial

BOUNDARY = "------------------------d74496d66958873e"
APP = "/local/fflprapp/tools.cgi?action=getImage&name="
FILES = {"short": "{}.jpg", "vehicle": "{}_Ford_Fiesta_CAR_BLUE.jpg"}


def push(mount: Mount, what: Event) -> Telling:
    """Three requests; a vehicle without a read is told of as one, without a plate."""
    messages = []
    for state in ("new", "update", "lost"):
        told = _told(mount, what, state)
        if mount.shape == "multipart":
            messages.append(_multipart(told, what.pictures.overview if state != "lost" else b""))
        else:
            messages.append(in_json(told | _image_array(what, state)))
    return Telling(what.uuid, tuple(messages), _truth(what, 1 if mount.shape == "multipart" else 2))


def tcp(mount: Mount, what: Event) -> Telling:
    """Pretty-printed objects, one behind the other, and nothing between them."""
    messages = [
        Message(
            json.dumps(_told(mount, what, state) | _image_array(what, state), indent=4, ensure_ascii=False).encode()
        )
        for state in ("new", "update", "lost")
    ]
    return Telling(what.uuid, tuple(messages), _truth(what, 2))


def ftp(mount: Mount, what: Event) -> Telling:
    """One picture; all that is known of the vehicle is in its name, and the day in its folder too."""
    at = what.captured_at
    way = "in" if what.vehicle.direction is Direction.TOWARD else "out"
    stem = at.strftime("%Y%m%d%H%M%S") + f"_{at.microsecond // 1000:03d}"
    name = f"{stem}_roi_{what.vehicle.lane}_{way}_{_car_id(what)}_{plate_of(what) or ''}_GBR"
    path = at.strftime(f"{serial(mount.device)}/%Y%m/%d/") + FILES[mount.shape or "short"].format(name)
    told = telling.truth(what, 1, confidence=None, vendor_id=_car_id(what))
    return Telling(what.uuid, (Message(what.pictures.overview, "image/jpeg", path),), told)


def life(mount: Mount, at: datetime) -> Message:
    """It goes to a path of its own."""
    return in_json(
        {
            "system": {"timestamp": datetime.fromtimestamp(epoch_ms(at) / 1000, UTC).isoformat()},
            "identify": {"platform": "AXIS P1447-LE", "macAddress": mount.device.mac, "anprVersion": "2.7.1"},
            "ALPV": {"device_ID": "defaultID", "version": "2.7.1", "numFrames": "2476", "numberOfReads": "51"},
        },
        path="/heartbeat",
    )


def _truth(what: Event, pictures: int) -> telling.Truth:
    return telling.truth(what, pictures, vendor_id=_car_id(what))


def _car_id(what: Event) -> str:
    """It counts up, and begins again with the application."""
    return str(random.Random(what.uuid).randrange(1, 2_000_000))


def _told(mount: Mount, what: Event, state: str) -> dict[str, Any]:
    plate, at, first = plate_of(what) or "", what.captured_at, state == "new"
    if first and plate and random.Random(f"misread {what.uuid}").random() < mount.misread:
        plate = telling.misread(plate)
    way = "in" if what.vehicle.direction is Direction.TOWARD else "out"
    x, y, w, h = what.pictures.plate_box_px
    taken_ms = epoch_ms(at)
    name = digits_ms(at)
    return {
        "packetCounter": str(taken_ms % 10_000_000),
        "capture_timestamp": str(taken_ms),
        "frame_timestamp": "0" if state == "lost" else f"{taken_ms}507",
        "capture_ts": f"{taken_ms}000000",
        "datetime": f"{name[:8]} {name[8:]}",
        **dict.fromkeys(("plateText", "plateUnicode", "plateUTF8", "plateASCII"), plate),
        "plateCountry": "GBR",
        "plateRegion": "",
        "plateList": "",
        "plateListMode": "",
        "plateConfidence": f"{what.confidence / 100:.6f}",
        "carState": state,
        "roiID": str(what.vehicle.lane),
        "geotag": {"lat": 50.418114, "lon": 30.476213},  # the factory's, wherever the camera is
        "imageType": "plate",
        "plateImageType": "jpeg",
        "plateImageSize": "0",
        "carMoveDirection": "unknown" if first else way,
        "timeProcessing": "0",
        "plateCoordinates": [x, y, w, h],
        "plateCoordinatesRelative": [x, y, w, h],
        "carID": _car_id(what),
        "GEOtarget": "Camera",
        "imagesURI": [f"{APP}52/{name}lp_{plate}_Astra G_SILVER.jpg", f"{APP}48/{name}roi_{plate}_Astra G_SILVER.jpg"],
        "vehicle_info": {"view": "front", "type": "CAR", "color": "BLACK", "confidenceMMR": "0.82"},
        "camera_info": {
            "SerialNumber": serial(mount.device),
            "ProdShortName": "AXIS P1447-LE",
            "IPAddress": mount.device.address,
            "MACAddress": mount.device.mac if state == "lost" else serial(mount.device),
        },
        "sensorProviderID": "defaultID",
    }


def _image_array(what: Event, state: str) -> dict[str, Any]:
    if state == "lost":
        return {}
    pictures = (what.pictures.plate, what.pictures.overview)
    return {
        "ImageArray": [{"ImageType": "", "ImageFormat": "jpg", "BinaryImage": b64(picture)} for picture in pictures]
    }


def _multipart(told: dict[str, Any], picture: bytes) -> Message:
    """Two files, `event` and `image`; without a picture the second is left out."""
    files = [("event", "event.json", "application/json", json.dumps(told).encode())]
    if picture:
        files.append(("image", "image.jpg", "image/jpeg", picture))
    body = b"".join(
        f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{name}"; filename="{file}"\r\n'
        f"Content-Type: {kind}\r\n\r\n".encode()
        + content
        + b"\r\n"
        for name, file, kind, content in files
    )
    return Message(body + f"--{BOUNDARY}--\r\n".encode(), f"multipart/form-data; boundary={BOUNDARY}")
