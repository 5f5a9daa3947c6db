"""Dahua's push, ITSAPI: one JSON object with the pictures in it, and a keep-alive to a path of its own.

Pure. An answer that is no JSON with a good `Result` makes the camera send again.
"""

from __future__ import annotations

from datetime import datetime

from simulators.payloads import Event
from simulators.traffic import Direction
from simulators.vendors.dahua import ZONE_INDEX
from simulators.vendors.telling import (
    Message,
    Mount,
    Telling,
    b64,
    box_edges,
    digits_ms,
    in_json,
    plate_of,
    serial,
    spoken_ms,
    truth,
)

PASSAGE = "/NotificationInfo/TollgateInfo"
ALIVE = "/NotificationInfo/KeepAlive"
RESULT = ('"Result"', "true")


def push(mount: Mount, what: Event) -> Telling:
    """Boxes are in pixels here, and times are of the local clock with an index for its zone."""
    at, plate = what.captured_at, plate_of(what)
    toward = what.vehicle.direction is Direction.TOWARD
    name = digits_ms(at)
    picture = {
        "NormalPic": {"PicName": f"{name}_scene.jpg", "Content": b64(what.pictures.overview)},
        "Plate": {
            "IsExist": plate is not None,
            "PlateNumber": plate or "",
            "PlateColor": "White",
            "PlateType": "Normal",
            "Confidence": what.confidence,
            "Region": "GBR",
            "BoundingBox": list(box_edges(what)) if plate else [0, 0, 0, 0],
            "UploadNum": 1,
            "Channel": 0,
        },
        "SnapInfo": {
            "SnapTime": at.strftime("%Y-%m-%d %H:%M:%S"),
            "AccurateTime": spoken_ms(at),
            "TimeZone": ZONE_INDEX,
            "DSTTune": 0,
            "LanNo": what.vehicle.lane,
            "Direction": "Obverse" if toward else "Reverse",
            "DeviceID": serial(mount.device),
            "DefenceCode": "",
            "AllowUser": False,
        },
        "Vehicle": {"VehicleColor": "Gray", "VehicleType": "SaloonCar", "VehicleSign": "Unknown"},
    }
    if plate:
        picture["CutoutPic"] = {"PicName": f"{name}_plate.jpg", "Content": b64(what.pictures.plate)}
    message = in_json({"Picture": picture}, path=PASSAGE, said=RESULT)
    return Telling(what.uuid, (message,), truth(what, 2 if plate else 1))


def life(mount: Mount, at: datetime) -> Message:
    del at
    return in_json({"Active": "keepAlive", "DeviceID": serial(mount.device)}, path=ALIVE, said=RESULT)
