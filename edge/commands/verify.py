"""`anpr-edge verify`: whether the ledger, or records in files, are what was written; and up to where.

Of sealed records the node can check tag, numbers and chain. Their signatures it can check only unsealed, which the
store does; `verify FILE` checks an unsealed record, receipt or checkpoint.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from sqlite_utils import Database
from tqdm import tqdm

from edge import row
from edge.commands.output import config_argument, json_argument, say, say_json
from edge.errors import StorageFailed, Tampered
from edge.keys import load_verifier, public_path
from edge.record import head_after
from edge.schema import reader
from edge.sign import CHECKPOINT_TYPE, RECEIPT_TYPE, RECORD_TYPE, Verifier, open_signed
from firmware_config.load import load

HELP = "chain, tags and signatures; says where they are sound to"

_EVIDENCE_UNSOUND = 65


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("files", nargs="*", type=Path, metavar="FILE", help="signed records, receipts or checkpoints")
    parser.add_argument("--ledger", type=Path, metavar="DIR", help="state folder (default: the configuration's)")
    parser.add_argument("--key", type=Path, action="append", default=[], help="public key that FILEs verify under")
    config_argument(parser)
    json_argument(parser)


def run(args: argparse.Namespace) -> int:
    results = [_file(file, _keys(args)) for file in args.files] if args.files else [_ledger(_state(args))]
    for result in results:
        if args.json:
            say_json(result)
        elif result["sound"]:
            say(f"{result['what']}: sound{_detail(result)}")
        else:
            say(f"{result['what']}: NOT sound{_detail(result)}: {result['first_problem']}")
    return 0 if all(result["sound"] for result in results) else _EVIDENCE_UNSOUND


def _state(args: argparse.Namespace) -> Path:
    folder: Path = args.ledger or load(args.config, need_files=False).settings.paths.state
    return folder


def _detail(result: dict[str, Any]) -> str:
    if "records" not in result:
        return ""
    return f", {result['records']} records" + (f", up to {result['sound_to']}" if result["sound_to"] else "")


def _keys(args: argparse.Namespace) -> dict[bytes, Verifier]:
    paths = list(args.key)
    if not paths:
        loaded = load(args.config, need_files=False)
        paths = [public_path(loaded.resolve(loaded.settings.keys.sign))]
        if loaded.settings.keys.receipts_from is not None:
            paths.append(loaded.resolve(loaded.settings.keys.receipts_from))
    return {key.kid: key for key in map(load_verifier, paths)}


def _file(file: Path, keys: dict[bytes, Verifier]) -> dict[str, Any]:
    problem = "is not a record, receipt or checkpoint"
    for content_type in (RECORD_TYPE, RECEIPT_TYPE, CHECKPOINT_TYPE):
        try:
            _, key = open_signed(file.read_bytes(), content_type, keys)
        except OSError as error:
            problem = f"cannot be read: {error.strerror}"
        except Tampered as error:
            if f"not a {content_type}" not in error.sentence:
                problem = error.sentence
        else:
            found = {"what": str(file), "sound": True, "first_problem": None}
            return found | {"content_type": content_type, "kid": key.kid.hex()}
    return {"what": str(file), "sound": False, "first_problem": problem}


def _ledger(state: Path) -> dict[str, Any]:
    """Walk every record held, oldest first: tag, number, and head against its neighbour's."""
    result: dict[str, Any] = {"what": str(state), "sound": True, "first_problem": None, "records": 0, "sound_to": None}
    try:
        with reader(state) as db:
            return result | _walked(db)
    except StorageFailed as problem:
        return result | {"sound": False, "first_problem": problem.sentence}


def _walked(db: Database) -> dict[str, Any]:
    """How far the records are sound, and what ended it."""
    (count,) = (found["n"] for found in db.query("SELECT waiting + refused + damaged AS n FROM totals"))
    ends = {e["session"]: e for e in db.query("SELECT session, epoch, seq, head FROM epochs ORDER BY session")}
    walk = tqdm(_rows(db), total=count, unit="record", delay=2, disable=None, leave=False, file=sys.stderr)
    sound: dict[str, Any] = {"records": 0, "sound_to": None}
    for place, problem in _problems(walk, ends):
        if problem:
            return sound | {"sound": False, "first_problem": f"{place}: {problem}"}
        sound = {"records": sound["records"] + 1, "sound_to": place}
    return sound


def _rows(db: Database) -> Iterator[dict[str, Any]]:
    return iter(db.query("SELECT row, digest, head, data FROM records ORDER BY row"))


def _problems(rows: Iterable[dict[str, Any]], ends: dict[int, dict[str, Any]]) -> Iterator[tuple[str, str | None]]:
    """Each record's place and what is wrong with it, or None."""
    before: tuple[int, bytes] | None = None
    for found in rows:
        session, seq = found["row"] >> 40, found["row"] & ((1 << 40) - 1)
        place = f"session {session}, record {seq}"
        end = ends.get(session)
        if end is None or seq > end["seq"]:
            yield place, "is beyond the end that the ledger states"
            return
        try:
            row.unwrap(end["epoch"], seq, found["data"])
        except Tampered as problem:
            yield place, problem.sentence
            return
        neighbour = before is not None and before[0] == found["row"] - 1
        if before is not None and neighbour and head_after(before[1], found["digest"]) != found["head"]:
            yield place, "does not follow from the record before it"
            return
        if seq == end["seq"] and found["head"] != end["head"]:
            yield place, "is not the end that the ledger states"
            return
        before = (found["row"], found["head"])
        yield place, None
