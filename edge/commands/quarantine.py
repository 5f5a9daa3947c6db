"""`anpr-edge quarantine list|show|replay|clear`: what cameras sent that nobody understood.

`list` needs no key and shows no plate. `show` and `replay` need the engineers' private key, which the node does not
hold, and are logged, for what was sent may name a plate.
"""

from __future__ import annotations

import argparse
import logging
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from capture.delivery import Delivery
from capture.dialects import which
from capture.quarantine import FOLDER, Entry, entries, opened
from capture.redact import unmarked
from edge.assembly import dialect_of
from edge.claim import Arrival, ClockState, RawRead, Received, Way
from edge.commands.output import config_argument, json_argument, say, say_json, table
from edge.errors import Misconfigured, Refused
from edge.keys import load_unseal_key
from firmware_config.load import Loaded, load

HELP = "what cameras sent that nobody understood: list it, open it, try it again"

log = logging.getLogger(__name__)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("what", choices=("list", "show", "replay", "clear"))
    parser.add_argument("ids", nargs="*", metavar="ID", help="of `list`; none: all")
    parser.add_argument("--key", type=Path, metavar="FILE", help="the engineers' private key, for show and replay")
    config_argument(parser)
    json_argument(parser)


def run(args: argparse.Namespace) -> int:
    loaded = load(args.config, need_files=False)
    folder = loaded.settings.paths.state / FOLDER
    kept = [(entry, path) for entry, path in entries(folder) if not args.ids or entry.id in args.ids]
    unknown = sorted(set(args.ids) - {entry.id for entry, _ in kept})
    if unknown:
        raise Misconfigured(
            f"the quarantine holds no {', '.join(unknown)}", "anpr-edge quarantine list shows what it has"
        )
    if args.what == "list":
        return _list(kept, args.json)
    if args.what == "clear":
        for _, path in kept:
            path.unlink(missing_ok=True)
        say_json({"removed": len(kept)}) if args.json else say(f"{len(kept)} removed")
        return 0
    if args.key is None:
        raise Misconfigured(f"{args.what} opens what is sealed", "name the engineers' private key: --key FILE")
    key = load_unseal_key(args.key)
    log.warning("quarantine %s of %d deliveries, as asked", args.what, len(kept))
    show = _show if args.what == "show" else _replay
    return max([show(loaded, entry, opened(path, key), args.json) for entry, path in kept], default=0)


def _list(kept: list[tuple[Entry, Path]], as_json: bool) -> int:
    if as_json:
        for entry, _ in kept:
            say_json(_told(entry))
    elif kept:
        rows = [(e.id, _when(e), e.camera, e.way, e.reason, str(e.size_bytes)) for e, _ in kept]
        table(("id", "came at", "camera", "way", "reason", "bytes"), rows)
    else:
        say("nothing is in quarantine")
    return 0


def _show(_: Loaded, entry: Entry, told: dict[str, Any], as_json: bool) -> int:
    body = told["body"].decode("utf-8", "backslashreplace")
    if as_json:
        words = {name: told[name] for name in ("content_type", "query", "name", "path")}
        say_json(_told(entry) | words | {"body": body})
    else:
        say(f"{entry.id}: {entry.camera}, {_when(entry)}, {entry.reason}; its pictures were not kept")
        for name in ("content_type", "query", "name", "path"):
            say(f"{name}: {told[name]}")
        say(body)
    return 0


def _replay(loaded: Loaded, entry: Entry, told: dict[str, Any], as_json: bool) -> int:
    """What the dialect of its camera makes of it now. Nothing becomes a read: its pictures are gone."""
    found = [camera for camera in loaded.settings.cameras if camera.id == entry.camera]
    result = _told(entry) | _understood(found, entry, told)
    if as_json:
        say_json(result)
    else:
        now = f"refused ({result['refused']})" if "refused" in result else f"understood: {result['reads']} reads"
        others = f"; recognised by {', '.join(result['recognised_by'])}" if result["recognised_by"] else ""
        say(f"{entry.id}: {entry.camera}, was refused ({entry.reason}), now {now}{others}")
    return 65 if "refused" in result else 0


def _understood(found: list[Any], entry: Entry, told: dict[str, Any]) -> dict[str, Any]:
    received = Received(entry.at_ms, None, ClockState.UNKNOWN, 0, "none")
    arrival = Arrival(received, "127.0.0.1", told["path"], Way(entry.way), entry.camera)
    delivery = Delivery(arrival, told["content_type"], told["query"], unmarked(told["body"]), told["name"])
    seen: dict[str, Any] = {"recognised_by": which(delivery)}
    if not found:
        return seen | {"refused": "unknown_source"}
    try:
        items = dialect_of(found[0]).understand(delivery)
    except Refused as refusal:
        return seen | {"refused": refusal.reason}
    return seen | {"reads": sum(isinstance(item, RawRead) for item in items), "heard": len(items)}


def _told(entry: Entry) -> dict[str, Any]:
    return {
        "id": entry.id,
        "at": _when(entry),
        "camera": entry.camera,
        "way": entry.way,
        "reason": entry.reason,
        "bytes": entry.size_bytes,
    }


def _when(entry: Entry) -> str:
    return datetime.fromtimestamp(entry.at_ms / 1000, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
