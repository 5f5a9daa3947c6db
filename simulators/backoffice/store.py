"""Keeps what the store has accepted, on disk, once per (node, epoch, seq).

A record is never changed or replaced after it was kept: the same numbers with other bytes leave the first one as it
is. Nothing counts as kept before `commit` has returned.
"""

from __future__ import annotations

import hashlib
import os
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Final

from simulators.backoffice.chain import Before, Link
from simulators.backoffice.opening import Checkpoint, Code, Outside, Record
from simulators.backoffice.topics import Route

FILE_NAME: Final = "backoffice.sqlite"

_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS records (
    id INTEGER PRIMARY KEY, node TEXT NOT NULL, epoch BLOB NOT NULL, seq INTEGER NOT NULL, kind TEXT NOT NULL,
    prev BLOB NOT NULL, head BLOB NOT NULL, digest BLOB NOT NULL, payload_digest BLOB NOT NULL,
    captured_ms INTEGER NOT NULL, received_ms INTEGER NOT NULL, stored_ms INTEGER NOT NULL,
    camera TEXT, vendor_id TEXT, lane TEXT, vrm TEXT, test INTEGER NOT NULL, overview_of INTEGER, act TEXT,
    before_epoch BLOB, before_seq INTEGER, before_head BLOB,
    UNIQUE (node, epoch, seq));
CREATE INDEX IF NOT EXISTS records_by_kind ON records (node, kind, stored_ms);
CREATE INDEX IF NOT EXISTS records_by_vendor ON records (vendor_id) WHERE vendor_id IS NOT NULL;
CREATE INDEX IF NOT EXISTS overviews_by_read ON records (node, epoch, overview_of) WHERE overview_of IS NOT NULL;
CREATE TABLE IF NOT EXISTS evidence (record INTEGER PRIMARY KEY REFERENCES records, signed BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS images (
    id INTEGER PRIMARY KEY, record INTEGER NOT NULL REFERENCES records, role TEXT NOT NULL,
    sha256 BLOB NOT NULL, jpeg BLOB NOT NULL);
CREATE INDEX IF NOT EXISTS images_by_record ON images (record);
CREATE TABLE IF NOT EXISTS refusals (
    node TEXT NOT NULL, epoch BLOB, seq INTEGER, code TEXT NOT NULL, payload_digest BLOB NOT NULL,
    times INTEGER NOT NULL, last_ms INTEGER NOT NULL, UNIQUE (payload_digest, node, code));
CREATE TABLE IF NOT EXISTS duplicates (node TEXT PRIMARY KEY, times INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS checkpoints (
    node TEXT NOT NULL, epoch BLOB NOT NULL, seq INTEGER NOT NULL, head BLOB NOT NULL, at_ms INTEGER NOT NULL,
    signed BLOB NOT NULL, UNIQUE (node, epoch, seq, head));
CREATE TABLE IF NOT EXISTS notices (
    node TEXT NOT NULL, topic TEXT NOT NULL, json TEXT NOT NULL, arrived_ms INTEGER NOT NULL,
    PRIMARY KEY (node, topic));
CREATE TABLE IF NOT EXISTS given_up (
    node TEXT NOT NULL, epoch BLOB NOT NULL, first INTEGER NOT NULL, last INTEGER NOT NULL,
    UNIQUE (node, epoch, first, last));
CREATE TABLE IF NOT EXISTS set_asides (node TEXT NOT NULL, epoch BLOB NOT NULL, UNIQUE (node, epoch));
CREATE TABLE IF NOT EXISTS routes (node TEXT PRIMARY KEY, operator TEXT NOT NULL, site TEXT NOT NULL);
PRAGMA user_version = 1;
"""


class Kept(Enum):
    """What became of a record that was offered."""

    NEW = "new"
    HELD = "held"
    OTHER_HELD = "other_held"


@dataclass(frozen=True, slots=True)
class Held:
    """One held record's numbers and link, as a chain is built again from disk."""

    node: str
    epoch: bytes
    seq: int
    link: Link


class Store:
    """The database, for one writer. Raises sqlite3.Error where the disk will not take what it is given."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.path = folder / FILE_NAME
        os.close(os.open(self.path, os.O_RDWR | os.O_CREAT, 0o600))
        self._db = sqlite3.connect(self.path, isolation_level=None, check_same_thread=False)
        self._db.execute("PRAGMA journal_mode = WAL")
        self._db.execute("PRAGMA synchronous = FULL")
        self._db.executescript(_SCHEMA)

    def begin(self) -> None:
        """Start a batch: everything until `commit` becomes durable together."""
        self._db.execute("BEGIN IMMEDIATE")

    def commit(self) -> None:
        """Make the batch durable."""
        self._db.execute("COMMIT")

    def close(self) -> None:
        """Close; an open batch is rolled back."""
        self._db.close()

    def holds_payload(self, outside: Outside) -> bool:
        """Say whether these very sealed bytes were kept before."""
        row = self._db.execute(
            "SELECT payload_digest FROM records WHERE node = ? AND epoch = ? AND seq = ?",
            (outside.node, outside.epoch, outside.seq),
        ).fetchone()
        return row is not None and row[0] == outside.payload_digest

    def keep(self, record: Record, now_ms: int) -> Kept:
        """Keep a record unless its numbers are held; say which of the three it was."""
        numbers = (record.node, record.epoch, record.seq)
        row = self._db.execute(
            "SELECT digest FROM records WHERE node = ? AND epoch = ? AND seq = ?", numbers
        ).fetchone()
        if row is not None:
            return Kept.HELD if row[0] == record.digest else Kept.OTHER_HELD
        body, before = record.body, record.link.before
        cursor = self._db.execute(
            "INSERT INTO records (node, epoch, seq, kind, prev, head, digest, payload_digest, captured_ms, received_ms,"
            " stored_ms, camera, vendor_id, lane, vrm, test, overview_of, act, before_epoch, before_seq, before_head)"
            f" VALUES ({','.join('?' * 21)})",
            (
                *(*numbers, record.kind, record.link.prev, record.link.head, record.digest, record.payload_digest),
                *(record.captured_ms, record.received_ms, now_ms),
                *(body.get("camera"), body.get("vendor_id"), body.get("lane"), body.get("vrm")),
                *(int(body.get("test", False)), body.get("of"), body.get("act")),
                *((before.epoch, before.seq, before.head) if before else (None, None, None)),
            ),
        )
        rowid = cursor.lastrowid
        self._db.execute("INSERT INTO evidence VALUES (?, ?)", (rowid, record.signed))
        for role, jpeg in _images(record):
            self._db.execute(
                "INSERT INTO images (record, role, sha256, jpeg) VALUES (?, ?, ?, ?)",
                (rowid, role, hashlib.sha256(jpeg).digest(), jpeg),
            )
        for epoch, first, last in record.given_up():
            self._db.execute("INSERT OR IGNORE INTO given_up VALUES (?, ?, ?, ?)", (record.node, epoch, first, last))
        if record.link.set_aside:
            self._db.execute("INSERT OR IGNORE INTO set_asides VALUES (?, ?)", (record.node, record.epoch))
        return Kept.NEW

    def note_duplicate(self, node: str) -> None:
        """Count one arrival of a record that was held already."""
        self._db.execute(
            "INSERT INTO duplicates VALUES (?, 1) ON CONFLICT (node) DO UPDATE SET times = times + 1", (node,)
        )

    def note_refusal(
        self, node: str, epoch: bytes | None, seq: int | None, code: Code, payload_digest: bytes, now_ms: int
    ) -> None:
        """Keep a refusal; the same bytes refused again add to its `times` only."""
        self._db.execute(
            "INSERT INTO refusals VALUES (?, ?, ?, ?, ?, 1, ?) ON CONFLICT (payload_digest, node, code)"
            " DO UPDATE SET times = times + 1, last_ms = excluded.last_ms",
            (node, epoch, seq, code.value, payload_digest, now_ms),
        )

    def keep_checkpoint(self, checkpoint: Checkpoint) -> None:
        """Keep a verified checkpoint once."""
        self._db.execute(
            "INSERT OR IGNORE INTO checkpoints VALUES (?, ?, ?, ?, ?, ?)",
            (checkpoint.node, checkpoint.epoch, checkpoint.seq, checkpoint.head, checkpoint.at_ms, checkpoint.signed),
        )

    def keep_notice(self, route: Route, topic: str, json_text: str | None, now_ms: int) -> None:
        """Keep the newest JSON of a node's topic (below its root); None clears it."""
        self._db.execute("INSERT OR REPLACE INTO routes VALUES (?, ?, ?)", (route.node, route.operator, route.site))
        if json_text is None:
            self._db.execute("DELETE FROM notices WHERE node = ? AND topic = ?", (route.node, topic))
        else:
            self._db.execute(
                "INSERT OR REPLACE INTO notices VALUES (?, ?, ?, ?)", (route.node, topic, json_text, now_ms)
            )

    def notice(self, node: str, topic: str) -> str | None:
        """Give the newest JSON of a node's topic."""
        row = self._db.execute("SELECT json FROM notices WHERE node = ? AND topic = ?", (node, topic)).fetchone()
        return None if row is None else str(row[0])

    def held(self) -> Iterator[Held]:
        """Give every held record's link in order of arrival."""
        set_aside = set(self._db.execute("SELECT node, epoch FROM set_asides"))
        for node, epoch, seq, prev, head, *before in self._db.execute(
            "SELECT node, epoch, seq, prev, head, before_epoch, before_seq, before_head FROM records ORDER BY id"
        ):
            named = Before(*before) if before[0] is not None else None
            link = Link(prev=prev, head=head, before=named, set_aside=seq == 1 and (node, epoch) in set_aside)
            yield Held(node=node, epoch=epoch, seq=seq, link=link)

    def given_up(self) -> Iterator[tuple[str, bytes, int, int]]:
        """Give node, epoch, from and to of everything that a kept act says will not come."""
        yield from self._db.execute("SELECT node, epoch, first, last FROM given_up ORDER BY rowid")

    def claims(self) -> Iterator[tuple[str, bytes, int, bytes]]:
        """Give node, epoch, number and head of every checkpoint kept."""
        yield from self._db.execute("SELECT node, epoch, seq, head FROM checkpoints ORDER BY rowid")


def _images(record: Record) -> list[tuple[str, bytes]]:
    if record.kind == "overview":
        return [("overview", record.body["jpeg"])]
    if record.kind == "read" and "jpeg" in record.body["patch"]:
        return [("plate_patch", record.body["patch"]["jpeg"])]
    return []
