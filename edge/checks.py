"""The checks of this room: keys, clock, disk, SQLite, the ledger and its seal, the service."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from edge.check import Finding, bad, good, poor, unknown
from edge.claim import ClockState
from edge.clock import kernel_quality
from edge.errors import EdgeError
from edge.keys import load_seal_key, load_signer, load_verifier
from edge.probes.disk import disk
from edge.read import Kind
from edge.row import unwrap
from edge.schema import reader, require_sqlite
from edge.seal import sealer
from edge.sign import RECORD_TYPE, encode, open_signed, sign
from edge.situation import BUFFER_BAD, BUFFER_POOR, DISK_BAD_BYTES

NEWEST_ROWS = 100


def keys(sign_with: Path, seal_to: Path, receipts_from: Path | None) -> Finding:
    signer = load_signer(sign_with)
    load_seal_key(seal_to)
    if receipts_from is not None:
        load_verifier(receipts_from)
    return good(f"signing key {signer.kid.hex()} is private, the store's keys are readable")


def seal_and_sign(node: str, sign_with: Path, seal_to: Path) -> Finding:
    """One throw-away record signed, verified and sealed with the keys in force."""
    signer = load_signer(sign_with)
    signed = sign(signer, RECORD_TYPE, encode({"v": 1, "trial": True}))
    open_signed(signed, RECORD_TYPE, {signer.kid: signer.verifier})
    sealed = sealer(node, load_seal_key(seal_to)).seal(bytes(12), 1, Kind.ACT, signed)
    return good(f"a record is signed, verified and sealed: {len(sealed)} bytes")


def sqlite_version() -> Finding:
    return good(f"SQLite {require_sqlite()} writes the ledger")


def clock() -> Finding:
    quality = kernel_quality()
    if quality.state is ClockState.SYNCHRONISED:
        bound = f", within {quality.bound_ms} ms" if quality.bound_ms is not None else ""
        return good(f"the clock is synchronised{bound}")
    hint = "look at chronyc tracking or timedatectl; reads are kept and say that the clock was not sure"
    return poor(f"the clock is {quality.state.value}", hint)


def disk_room(state: Path) -> Finding:
    folder = next((each for each in (state, *state.parents) if each.exists()), state)
    if not os.access(folder, os.W_OK):
        return bad(f"{folder} cannot be written by this user", "run as the service's user, or mend the owner")
    room = disk(folder)
    sentence = f"{room.free_bytes // 1_000_000} MB free of {room.total_bytes // 1_000_000} MB"
    if room.free_bytes < DISK_BAD_BYTES:
        return bad(sentence, "give the ledger's partition more room: a full disk stops the queue")
    return good(sentence)


def service(status: Mapping[str, Any]) -> Finding:
    if not status["running"]:
        return bad("the service is not running", "systemctl status anpr-edge; journalctl -u anpr-edge -n 50")
    return good(f"running: {status['line']}")


def ledger(state: Path) -> Finding:
    """The newest rows' tags, read as a reporter would."""
    newest = (
        "SELECT r.row, e.epoch, r.data FROM records r JOIN epochs e ON e.session = r.row >> 40"
        " ORDER BY r.row DESC LIMIT ?"
    )
    with reader(state) as db:
        rows = list(db.query(newest, [NEWEST_ROWS]))
    for found in rows:
        try:
            unwrap(found["epoch"], found["row"] & ((1 << 40) - 1), found["data"])
        except EdgeError as problem:
            return bad(problem.sentence, problem.hint)
    return good(f"the newest {len(rows)} records are what was written")


def buffer(status: Mapping[str, Any]) -> Finding:
    """How full the ledger is, and whether what waits is getting old."""
    held = status.get("buffer")
    if held is None:
        return unknown("the ledger has not been made yet", "start the service once")
    sentence = f"{held['records']} records wait, {held['bytes'] // 1000} kB"
    if held["damaged"] or held["refused"]:
        sentence += f"; {held['damaged']} damaged, {held['refused']} refused by the store"
        return bad(sentence, "see docs/field-guide.md#refused-by-store and docs/field-guide.md#damaged")
    share = held["used_bytes"] / held["max_bytes"] if "max_bytes" in held else 0.0
    if share >= BUFFER_BAD:
        return bad(f"{sentence}; {share:.0%} full", "records do not leave: look at the checks of the uplink below")
    if share >= BUFFER_POOR:
        return poor(f"{sentence}; {share:.0%} full", "look at the checks of the uplink below")
    return good(sentence)
