"""Rekor Scout (OpenALPR): results of single frames, a preview and a group for each vehicle, and a heartbeat.

Pure. Everything goes to one address; the group that is no preview is the one to believe. Times are UTC in
milliseconds. A vehicle that was not read is told of as `vehicle`.
"""

from __future__ import annotations

import random
from datetime import datetime
from typing import Any

from simulators.payloads import Event
from simulators.vendors import telling
from simulators.vendors.telling import (
    Message,
    Mount,
    Telling,
    b64,
    box_edges,
    epoch_ms,
    in_json,
    plate_of,
    serial,
    truth,
)

FRAMES = 2
AGENT_TOTAL = 40


def push(mount: Mount, what: Event) -> Telling:
    """Shape 2: `best_plate` is text, as before version 3, and the plate's picture is nowhere."""
    plate, uuid = plate_of(what), _best_uuid(mount, what)
    if plate is None:
        told = truth(what, 1, direction=None, vendor_id=uuid)
        return Telling(what.uuid, (in_json(_vehicle(mount, what)),), told)
    first = plate
    if random.Random(f"misread {what.uuid}").random() < mount.misread:
        first = telling.misread(plate)
    messages = [in_json(_results(mount, what, first, frame)) for frame in range(FRAMES)]
    messages.append(in_json(_group(mount, what, first, preview=True)))
    messages.append(in_json(_group(mount, what, plate, preview=False)))
    return Telling(
        what.uuid, tuple(messages), truth(what, 1 if mount.shape == "2" else 2, direction=None, vendor_id=uuid)
    )


def life(mount: Mount, at: datetime) -> Message:
    return in_json(
        {
            "data_type": "heartbeat",
            "version": 1,
            "agent_uid": _agent(mount),
            "timestamp": epoch_ms(at),
            "video_streams": [{"camera_id": 1000, "is_streaming": True, "fps": 15}],
            "processing_threads_active": 1,
        }
    )


def _agent(mount: Mount) -> str:
    return serial(mount.device).ljust(AGENT_TOTAL, "X")


def _best_uuid(mount: Mount, what: Event) -> str:
    return f"{_agent(mount)}-1000-{epoch_ms(what.captured_at)}"


def _corners(what: Event) -> list[dict[str, int]]:
    """Four points, clockwise from the upper left."""
    left, top, right, bottom = box_edges(what)
    return [{"x": x, "y": y} for x, y in ((left, top), (right, top), (right, bottom), (left, bottom))]


def _results(mount: Mount, what: Event, plate: str, frame: int) -> dict[str, Any]:
    width, height = what.pictures.size_px
    at_ms = epoch_ms(what.captured_at) + 50 * frame
    result = {
        "plate": plate,
        "confidence": float(what.confidence),
        "matches_template": 1,
        "plate_index": 0,
        "region": "gb",
        "coordinates": _corners(what),
        "candidates": [{"plate": plate, "confidence": float(what.confidence), "matches_template": 1}],
    }
    return {
        "data_type": "alpr_results",
        "version": 2,
        "epoch_time": at_ms,
        "img_width": width,
        "img_height": height,
        "processing_time_ms": 41.3,
        "uuid": f"{_agent(mount)}-1000-{at_ms}",
        "camera_id": 1000,
        "agent_uid": _agent(mount),
        "results": [result],
    }


def _group(mount: Mount, what: Event, plate: str, *, preview: bool) -> dict[str, Any]:
    width, height = what.pictures.size_px
    at_ms = epoch_ms(what.captured_at)
    confidence = float(what.confidence)
    best: dict[str, Any] = {
        "plate": plate,
        "confidence": confidence,
        "matches_template": 1,
        "plate_index": 0,
        "region": "gb",
        "region_confidence": 98,
        "coordinates": _corners(what),
        "plate_crop_jpeg": b64(what.pictures.plate),
        "candidates": [{"plate": plate, "confidence": confidence, "matches_template": 1}],
    }
    older = mount.shape == "2"
    told = {
        "data_type": "alpr_group",
        "version": 2 if older else 3,
        "epoch_start": at_ms,
        "epoch_end": at_ms + 3000,
        "frame_start": 216,
        "frame_end": 236,
        "company_id": "00000000-0000-0000-0000-000000000000",
        "agent_uid": _agent(mount),
        "agent_version": "4.1.1",
        "agent_type": "alprd",
        "camera_id": 1000,
        "gps_latitude": 0.0,
        "gps_longitude": 0.0,
        "country": "gb",
        "uuids": [f"{_agent(mount)}-1000-{at_ms + 50 * frame}" for frame in range(FRAMES)],
        "candidates": [{"plate": plate, "confidence": confidence, "matches_template": 1}],
        "best_plate": best,
        "best_confidence": confidence,
        "best_plate_number": plate,
        "best_region": "gb",
        "matches_template": True,
        "vehicle_crop_jpeg": "",
        "overview_jpeg": b64(what.pictures.overview),
        "best_uuid": _best_uuid(mount, what),
        "best_uuid_epoch_ms": at_ms,
        "best_image_width": width,
        "best_image_height": height,
        "travel_direction": 296.55792236,
        "is_parked": False,
        "is_preview": preview,
        "vehicle": {"color": [{"name": "white", "confidence": 99.14}]},
    }
    if older:
        told["best_plate"] = plate
    return told


def _vehicle(mount: Mount, what: Event) -> dict[str, Any]:
    at_ms = epoch_ms(what.captured_at)
    return {
        "data_type": "vehicle",
        "version": 1,
        "epoch_start": at_ms,
        "epoch_end": at_ms + 3000,
        "agent_uid": _agent(mount),
        "camera_id": 1000,
        "best_uuid": _best_uuid(mount, what),
        "best_uuid_epoch_ms": at_ms,
        "overview_jpeg": b64(what.pictures.overview),
        "vehicle": {"color": [{"name": "white", "confidence": 99.14}]},
    }
