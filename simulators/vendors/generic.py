"""The project's own JSON, for any camera that can be taught it. Pure."""

from __future__ import annotations

from datetime import datetime

from simulators.payloads import Event, generic_json
from simulators.vendors.telling import Message, Mount, Telling, in_json, truth


def push(mount: Mount, what: Event) -> Telling:
    sent = generic_json(mount.device.mac, what)
    told = truth(what, 2 if what.vehicle.readable else 1, vendor_id=what.uuid)
    return Telling(what.uuid, (Message(sent.body, sent.content_type),), told)


def life(mount: Mount, at: datetime) -> Message:
    del at
    return in_json({"kind": "heartbeat", "camera": mount.device.mac})
