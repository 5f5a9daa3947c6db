"""Verkada's webhook: no picture, only an address of one.

Pure. `created` is in seconds and `detected` in milliseconds; the shape `old` has no `detected` and no crop.
"""

from __future__ import annotations

from typing import Any

from simulators.payloads import Event
from simulators.vendors.telling import Mount, Telling, box_edges, epoch_ms, in_json, plate_of, serial, truth

ORGANISATION = "00000000-0000-4000-8000-000000000001"
HOOK = "00000000-0000-4000-8000-000000000002"


def push(mount: Mount, what: Event) -> Telling:
    at_ms, old = epoch_ms(what.captured_at), mount.shape == "old"
    width, height = what.pictures.size_px
    left, top, right, bottom = box_edges(what)
    data: dict[str, Any] = {
        "camera_id": f"00000000-0000-4000-8000-{serial(mount.device).lower()}",
        "created": at_ms // 1000,
        "license_plate_number": plate_of(what) or "",
        "confidence": what.confidence / 100,
    }
    if not old:
        data |= {
            "detected": at_ms,
            "crop": [left / width, top / height, right / width, bottom / height],
            "image_url": f"https://{mount.device.address}/picture",
        }
    told = {"org_id": ORGANISATION, "webhook_type": "lpr", "created_at": at_ms // 1000 + 1, "webhook_id": HOOK}
    right_s = truth(what, 0, within_ms=1000 if old else 1, direction=None)
    return Telling(what.uuid, (in_json(told | {"data": data}),), right_s)
