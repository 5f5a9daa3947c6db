"""Genetec AutoVu SharpV: an XML file by FTP, with the pictures in it and UTC in two elements.

Pure.
"""

from __future__ import annotations

import random
import uuid
from datetime import UTC

from simulators.payloads import Event
from simulators.vendors.telling import Message, Mount, Telling, b64, plate_of, truth


def ftp(mount: Mount, what: Event) -> Telling:
    """`SHARPV12345_<guid>_lpr.xml`. Direction is no field of the template."""
    utc = what.captured_at.astimezone(UTC)
    guid = str(uuid.UUID(int=random.Random(what.uuid).getrandbits(128), version=4))
    plate = plate_of(what)
    sharp = "SHARPV12345"
    body = f"""<?xml version="1.0" encoding="utf-8"?>
<AutoVu>
<Plate>{plate or ""}</Plate>
<State></State>
<UTCDate>{utc:%Y:%m:%d}</UTCDate>
<UTCTime>{utc:%H:%M:%S}.{utc.microsecond // 1000:03d}</UTCTime>
<CameraName>{mount.device.name}</CameraName>
<SourceName>{sharp}</SourceName>
<ContextImage>{b64(what.pictures.overview)}</ContextImage>
<PlateImage>{b64(what.pictures.plate) if plate else ""}</PlateImage>
<LongitudeX></LongitudeX>
<LatitudeY></LatitudeY>
<Guid>{guid}</Guid>
<ConfidenceScore>{what.confidence}</ConfidenceScore>
</AutoVu>
"""
    message = Message(body.encode(), "text/xml", f"{sharp}_{guid}_lpr.xml")
    return Telling(what.uuid, (message,), truth(what, 2 if plate else 1, direction=None, vendor_id=guid))
