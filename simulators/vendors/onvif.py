"""ONVIF Profile M by MQTT: JSON of recognised plates, and what a broker and a camera say again that was said before.

Pure. Shapes: `attributes` gives the plate as an object with `@Likelihood`, `plain` as text.
"""

from __future__ import annotations

import json
import random
from datetime import UTC
from typing import Any

from simulators.payloads import Event
from simulators.vendors.telling import Message, Mount, Telling, b64, plate_of, serial, truth

SOURCE = "VideoSource-1"
RULE = "Plates"


def topic(mount: Mount) -> str:
    """`<prefix>/onvif-ej/<topic without its namespace>/&<source>`; the prefix is the camera's number."""
    return f"{serial(mount.device)}/onvif-ej/RuleEngine/Recognition/LicensePlate/&{SOURCE}/{RULE}"


def publication(mount: Mount, what: Event) -> Telling:
    """One message; the scene is embedded. Direction is in the schema, but not how it is written: it is left out."""
    told = truth(what, 1, direction=None, vendor_id=_object_id(what))
    return Telling(what.uuid, (_message(mount, what, {}),), told)


def replay(mount: Mount, what: Event) -> Message:
    """The same as the state that is told anew to whoever comes: an old read, marked `Initialized`, and retained."""
    return _message(mount, what, {"PropertyOperation": "Initialized"}, retained=True)


def forgotten(mount: Mount) -> Message:
    """An empty payload, retained: the broker forgets."""
    return Message(b"", path=topic(mount), retained=True)


def _object_id(what: Event) -> str:
    return str(random.Random(what.uuid).randrange(1, 1 << 31))


def _message(mount: Mount, what: Event, more: dict[str, Any], *, retained: bool = False) -> Message:
    utc = what.captured_at.astimezone(UTC)
    x, y, w, h = what.pictures.plate_box_px
    width, height = what.pictures.size_px
    likelihood = f"{what.confidence / 100:.2f}"
    plate: object = plate_of(what) or ""
    country: object = "GB"
    if mount.shape != "plain":
        plate, country = {"@Likelihood": likelihood, "#text": plate}, {"@Likelihood": "0.9", "#text": country}
    box = {  # -1 to 1, upwards
        "@left": f"{2 * x / width - 1:.4f}",
        "@top": f"{1 - 2 * y / height:.4f}",
        "@right": f"{2 * (x + w) / width - 1:.4f}",
        "@bottom": f"{1 - 2 * (y + h) / height:.4f}",
    }
    told = {
        "UtcTime": utc.strftime("%Y-%m-%dT%H:%M:%S.") + f"{utc.microsecond // 1000:03d}Z",
        **more,
        "Source": {"VideoSource": SOURCE, "Rule": RULE},
        "Data": {
            "Likelihood": likelihood,
            "ObjectId": _object_id(what),
            "BoundingBox": box,
            "Speed": f"{what.vehicle.speed_kmh / 3.6:.2f}",
            "LicensePlateInfo": {"PlateNumber": plate, "PlateType": "Normal", "CountryCode": country},
            "Image": b64(what.pictures.overview),
        },
    }
    return Message(json.dumps(told).encode(), path=topic(mount), retained=retained)
