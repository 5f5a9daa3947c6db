"""Uniview: JSON sent as text to a path of the subscription, which the answer must repeat.

Pure. `PassTime` is of the local clock without a zone, `TimeStamp` is UTC in seconds. Other alarms come there too.
"""

from __future__ import annotations

import random
from datetime import datetime

from simulators.payloads import Event
from simulators.vendors.telling import (
    Message,
    Mount,
    Telling,
    b64,
    digits_ms,
    epoch_ms,
    in_json,
    plate_of,
    serial,
    truth,
)

PATH = "/LAPI/V1.0/System/Event/Notification/7"
SAID = ("ResponseCode", "ResponseURL", PATH)
PLATE_PICTURE, SCENE = 2, 1
"""Kinds of picture."""


def push(mount: Mount, what: Event) -> Telling:
    plate = plate_of(what)
    number = random.Random(what.uuid).randrange(1, 1 << 31)
    pictures = [(SCENE, what.pictures.overview)] + ([(PLATE_PICTURE, what.pictures.plate)] if plate else [])
    at_s = epoch_ms(what.captured_at) // 1000
    images = [
        {
            "Index": index,
            "Type": kind,
            "Format": 0,
            "CaptureTime": at_s,
            "Size": len(b64(picture)),
            "Data": b64(picture),
        }
        for index, (kind, picture) in enumerate(pictures, start=1)
    ]
    vehicle = {
        "VehicleID": number,
        "PassTime": digits_ms(what.captured_at),
        "LaneID": what.vehicle.lane,
        "LargePicAttachIndex": 1,
        "PlatePicAttachIndex": 2 if plate else 0,
        "VehicleAttributeInfo": {"Type": 1, "Color": 3, "SpeedValue": what.vehicle.speed_kmh},
        "PlateAttributeInfo": {"PlateNo": plate or "Unknown", "Color": 3, "Type": 0},
    }
    told = {
        "Reference": PATH,
        "Seq": number,
        "TimeStamp": at_s,
        "DeviceID": serial(mount.device),
        "StructureInfo": {
            "ObjInfo": {"VehicleNum": 1, "VehicleInfoList": [vehicle]},
            "ImageNum": len(images),
            "ImageInfoList": images,
        },
    }
    right = truth(what, len(images), within_ms=1000, direction=None, confidence=None)
    return Telling(what.uuid, (in_json(told, content_type="text/plain", path=PATH, said=SAID),), right)


def other(mount: Mount, at: datetime) -> Message:
    """An alarm that is no read, on the same path."""
    told = {
        "Reference": PATH,
        "AlarmInfo": {
            "AlarmType": "MotionAlarmOn",
            "TimeStamp": epoch_ms(at) // 1000,
            "DeviceID": serial(mount.device),
        },
    }
    return in_json(told, content_type="text/plain", path=PATH, said=SAID)
