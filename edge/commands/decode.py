"""`anpr-edge decode`: what the node makes of a captured delivery, and why it refuses one.

A plate is printed only where a flag asks for it: `--plates`, or `--json`, whose form holds it. Either is logged.
"""

from __future__ import annotations

import argparse
import logging
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from capture.delivery import Delivery
from capture.dialects import DIALECTS, dialect_named, which
from capture.receive import Dialect
from compress.inspect import inspect
from edge.admit import camera_time
from edge.assembly import dialect_of
from edge.camera import TimePolicy
from edge.claim import Arrival, ClockState, Life, RawImage, RawRead, Received, SignOfLife, Stage
from edge.commands.output import config_argument, json_argument, say, say_json
from edge.errors import Misconfigured, Refused
from edge.read import TimeSource
from edge.vrm import normalise
from firmware_config.authorise import camera as known_camera
from firmware_config.load import load
from firmware_config.model import Camera

HELP = "what the node makes of a captured delivery"

log = logging.getLogger(__name__)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("files", nargs="+", type=Path, metavar="FILE")
    parser.add_argument("--dialect", choices=sorted(DIALECTS), help="without it, the first that recognises the bytes")
    parser.add_argument("--camera", metavar="ID", help="as this camera is configured, its mapping included")
    config_argument(parser)
    parser.add_argument("--content-type", default="", metavar="T", help="as the camera declared it")
    parser.add_argument("--query", default="", metavar="Q", help="the query string it was sent with")
    parser.add_argument("--name", metavar="N", help="the file's name or the topic it came under; its own without it")
    parser.add_argument(
        "--zone", type=_zone, metavar="TZ", help="IANA zone of the camera's clock, where it declares none"
    )
    parser.add_argument("--received-at", type=_moment, metavar="T", help="when it arrived, ISO 8601 with a zone")
    parser.add_argument("--plates", action="store_true", help="print plates, which is logged")
    json_argument(parser)


def _zone(text: str) -> ZoneInfo:
    try:
        return ZoneInfo(text)
    except (ZoneInfoNotFoundError, ValueError):
        raise argparse.ArgumentTypeError("an IANA time zone, such as Europe/London") from None


def _moment(text: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise argparse.ArgumentTypeError("ISO 8601, such as 2026-01-31T12:00:00Z") from None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def run(args: argparse.Namespace) -> int:
    if args.plates or args.json:
        log.warning("decode shows plates of %d files, as asked", len(args.files))
    refused = 0
    for file in args.files:
        for heard in _decode(file, args):
            refused += heard["kind"] == "refused"
            if args.json:
                say_json({"file": str(file), **heard})
            else:
                say(f"{file}: {_line(heard, args.plates)}")
    return 65 if refused else 0


def _decode(file: Path, args: argparse.Namespace) -> list[dict[str, Any]]:
    try:
        body = file.read_bytes()
    except OSError as problem:
        return [{"kind": "refused", "reason": "unreadable", "sentence": f"cannot be read: {problem.strerror}"}]
    name = file.name if args.name is None else args.name
    delivery = Delivery(_arrival(args.received_at), args.content_type, args.query, body, name)
    names = _names(args) or which(delivery)
    if not names:
        return [{"kind": "refused", "reason": "unrecognised", "sentence": "no dialect recognises these bytes"}]
    try:
        things = _dialect(names[0], args).understand(delivery)
    except Refused as refusal:
        return [
            {"kind": "refused", "reason": refusal.reason, "sentence": refusal.sentence, "dialect": names[0]},
        ]
    return [{"dialect": names[0], **_heard(thing, args)} for thing in things]


def _names(args: argparse.Namespace) -> list[str]:
    if args.camera is not None:
        return [_camera(args).dialect]
    return [args.dialect] if args.dialect else []


def _dialect(name: str, args: argparse.Namespace) -> Dialect:
    return dialect_named(name) if args.camera is None else dialect_of(_camera(args))


def _camera(args: argparse.Namespace) -> Camera:
    cameras = {camera.id: camera for camera in load(args.config, need_files=False).settings.cameras}
    if args.camera not in cameras:
        raise Misconfigured(f"no camera is configured as {args.camera}", f"there are: {', '.join(cameras) or 'none'}")
    return cameras[args.camera]


def _arrival(received_at: datetime | None) -> Arrival:
    utc_ms = round((received_at or datetime.now(UTC)).timestamp() * 1000)
    return Arrival(Received(utc_ms, None, ClockState.UNKNOWN, 0, "none"), "127.0.0.1", "/")


def _heard(thing: RawRead | SignOfLife, args: argparse.Namespace) -> dict[str, Any]:
    if isinstance(thing, SignOfLife):
        word = "heartbeat" if thing.life is Life.HEARTBEAT else "other event"
        return {
            "kind": "sign_of_life",
            "what": thing.what,
            "life": word,
            "plate": None,
            "plate_heard": "",
            "confidence": None,
            "captured_at": None,
            "time_source": None,
            "camera_identity": thing.camera_identity,
            "direction": None,
            "lane": None,
            "country": None,
            "vendor_id": None,
            "revises": None,
            "images": [],
        }
    moment, source = _placed(thing, args)
    return {
        "kind": "read",
        "plate": normalise(thing.plate_heard),
        "plate_heard": thing.plate_heard,
        "confidence": thing.confidence,
        "captured_at": moment,
        "time_source": source,
        "camera_identity": thing.camera_identity,
        "direction": thing.direction.value if thing.direction else None,
        "lane": thing.lane,
        "country": thing.country or thing.heard.country,
        "vendor_id": thing.vendor_id,
        "revises": thing.passage if thing.stage in (Stage.UPDATE, Stage.LAST) else None,
        "images": [_image(image) for image in thing.images],
    }


def _placed(read: RawRead, args: argparse.Namespace) -> tuple[str | None, str]:
    """The read's time in UTC and where it comes from: as its camera is configured, else its own offset, the zone given,
    or its arrival."""
    if args.camera is not None:
        placed = camera_time(read, known_camera(_camera(args)))
        if placed is not None and TimePolicy(_camera(args).time) is not TimePolicy.ARRIVAL:
            return _iso(placed[0]), placed[1].value
        return _iso(args.received_at), TimeSource.ARRIVAL.value
    moment: datetime | None = read.time
    source = TimeSource.CAMERA_OFFSET
    if moment is not None and moment.tzinfo is None:
        source = TimeSource.CAMERA_ZONE
        moment = moment.replace(tzinfo=args.zone) if args.zone else None
    if moment is None:
        source, moment = TimeSource.ARRIVAL, args.received_at
    return _iso(moment), source.value


def _iso(moment: datetime | None) -> str | None:
    if moment is None:
        return None
    text = moment.astimezone(UTC).isoformat(timespec="milliseconds")
    return text.replace("+00:00", "Z").replace(".000Z", "Z")


def _image(image: RawImage) -> dict[str, Any]:
    shown: dict[str, Any] = {"role": image.role.value, "format": None, "bytes": len(image.data)}
    try:
        header = inspect(image.data)
    except Refused as refusal:
        return shown | {"width": None, "height": None, "refused": refusal.reason}
    return shown | {"format": header.format.value, "width": header.width_px, "height": header.height_px}


def _line(heard: dict[str, Any], plates: bool) -> str:
    if heard["kind"] == "refused":
        return f"refused ({heard['reason']}): {heard['sentence']}"
    if heard["kind"] == "sign_of_life":
        return f"{heard['dialect']}: {heard['life']} ({heard['what']})"
    plate = (heard["plate"] or "unread") if plates else ("a plate" if heard["plate"] else "unread")
    pictures = ", ".join(f"{i['role']} {i['width']}x{i['height']}" for i in heard["images"]) or "no pictures"
    confidence = "no confidence" if heard["confidence"] is None else f"confidence {heard['confidence']}"
    return f"{heard['dialect']}: read of {plate}, {confidence}, at {heard['captured_at'] or 'arrival'}; {pictures}"
