"""`anpr-edge status`: one screen. Works while the service is down, from its last word and from the ledger itself."""

from __future__ import annotations

import argparse
import sys
import time
from typing import Any

from edge import statusfile
from edge.admit import utc_day
from edge.camera import AuthorisationState
from edge.clock import kernel_quality, utc_ms
from edge.commands.output import config_argument, json_argument, say, say_json, table
from edge.errors import EdgeError
from edge.health import CameraHealth
from edge.schema import reader
from edge.version import VERSION
from firmware_config.authorise import cameras as known_cameras
from firmware_config.load import Loaded, load

HELP = "one screen: cameras, buffer, uplink, clock, alerts"

STALE_AFTER_S = 10
"""The running service writes its status every two seconds."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--watch", action="store_true", help="again every two seconds, until Ctrl-C")
    config_argument(parser)
    json_argument(parser)


def run(args: argparse.Namespace) -> int:
    loaded = load(args.config, need_files=False)
    try:
        while True:
            shown = gather(loaded)
            if args.watch and sys.stdout.isatty():
                sys.stdout.write("\x1b[2J\x1b[H")
            if args.json:
                say_json(shown)
            else:
                _screen(shown)
            if not args.watch:
                return 0
            time.sleep(2)
    except KeyboardInterrupt:
        return 0


def gather(loaded: Loaded) -> dict[str, Any]:
    """What the service last said and whether it still does; where it does not, what the ledger and the clock say."""
    said = statusfile.read(loaded.settings.paths.runtime)
    age_s = None if said is None else max(0, (utc_ms() - int(said["at_ms"])) // 1000)
    if said is not None and age_s is not None and age_s <= STALE_AFTER_S and statusfile.alive(said):
        return {"running": True, "age_s": age_s, **said}
    return {"running": False, "age_s": age_s, **_stopped(loaded), "last_said": said}


def _stopped(loaded: Loaded) -> dict[str, Any]:
    """The same members as a running service's, as far as they can be known without it."""
    quality, settings = kernel_quality(), loaded.settings
    return {
        "state": "stopped",
        "line": "the service is not running",
        "at_ms": utc_ms(),
        "version": VERSION,
        "config": loaded.digest,
        "clock": {"state": quality.state.value, "bound_ms": quality.bound_ms},
        "buffer": _buffer(loaded),
        "uplink": {
            "up": False,
            "problem": "the service is not running",
            "receipt_age_s": None,
            "acknowledge": settings.uplink.acknowledge,
            "counts": {},
        },
        "cameras": {
            camera.id: CameraHealth(camera.id, 0, 0).report(
                0, camera.authorisation.state(utc_day(utc_ms())) is AuthorisationState.AUTHORISED
            )
            for camera in known_cameras(settings)
        },
        "alerts": [],
        "refused": {},
    }


def _buffer(loaded: Loaded) -> dict[str, Any] | None:
    try:
        with reader(loaded.settings.paths.state) as db:
            (row,) = db.query("SELECT waiting, waiting_bytes, refused, damaged FROM totals")
            (first,) = db.query("SELECT min(received_ms) AS ms FROM records WHERE state = 0")
            oldest = first["ms"]
    except EdgeError:
        return None
    age_s = None if oldest is None else max(0, (utc_ms() - oldest) // 1000)
    return {
        "records": row["waiting"],
        "bytes": row["waiting_bytes"],
        "refused": row["refused"],
        "damaged": row["damaged"],
        "oldest_age_s": age_s,
    }


def _screen(shown: dict[str, Any]) -> None:
    if not shown["running"]:
        ago = f", last heard of {shown['age_s']} s ago" if shown["age_s"] is not None else ""
        say(f"the service is not running{ago}")
        if shown["buffer"] is not None:
            _buffer_line(shown["buffer"])
        say("next: systemctl status anpr-edge; anpr-edge doctor")
        return
    say(shown["line"])
    say()
    table(
        ("camera", "state", "last delivery", "last read", "stored", "repeated", "refused", "unread"),
        [
            (
                name,
                camera["state"],
                _age(camera["last_delivery_age_s"]),
                _age(camera["last_read_age_s"]),
                *(camera["reads"][word] for word in ("stored", "repeated", "refused", "unread")),
            )
            for name, camera in shown["cameras"].items()
        ],
    )
    say()
    _buffer_line(shown["buffer"])
    uplink, clock = shown["uplink"], shown["clock"]
    receipt = (
        f"last receipt {_age(uplink['receipt_age_s'])} ago" if uplink["receipt_age_s"] is not None else "no receipt yet"
    )
    say(f"uplink   {'up' if uplink['up'] else 'down: ' + (uplink['problem'] or 'connecting')}; {receipt}")
    say(f"clock    {clock['state']}" + (f", within {clock['bound_ms']} ms" if clock["bound_ms"] is not None else ""))
    for alert in shown["alerts"]:
        about = f" {alert['camera']}" if alert["camera"] else ""
        say(f"{alert['level'].upper():8} {alert['code']}{about}: {alert['sentence']}. {alert['hint']}")


def _buffer_line(buffer: dict[str, Any]) -> None:
    oldest = f", oldest {_age(buffer['oldest_age_s'])}" if buffer["oldest_age_s"] is not None else ""
    say(f"buffer   {buffer['records']} records, {buffer['bytes'] / 1e6:.1f} MB{oldest}{_prospect(buffer)}")


def _prospect(buffer: dict[str, Any]) -> str:
    """When it will be empty, or full, at the rates of the last minutes."""
    if buffer.get("full_s") is not None:
        return f"; filling, full in {_age(buffer['full_s'])} at this rate"
    if not buffer["records"] or "drain_s" not in buffer:
        return ""
    return f"; empty in {_age(buffer['drain_s'])}" if buffer["drain_s"] is not None else "; not draining"


def _age(seconds: int | None) -> str:
    if seconds is None:
        return "never"
    if seconds < 120:
        return f"{seconds} s"
    return f"{seconds // 60} min" if seconds < 7200 else f"{seconds // 3600} h"
