"""Salvage of one ledger that was set aside, a little at a time: what is found waits again under its old numbers.

What may not happen here: a record put back under another's number, or more work at once than a read can wait for.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import apsw

from edge import leaving
from edge.errors import StorageFailed
from edge.record import NO_HEAD
from edge.salvage import Found, Scan
from edge.soundness import name_of

_PAGES, _RECORDS = 512, 32  # of one batch: some 2 MB read, and at most a megabyte written
_SHIFT = 40


@dataclass(slots=True)
class Counts:
    """What became of what was found. `aged`: past the lawful age; `unplaced`: another record has the number."""

    put_back: int = 0
    held: int = 0
    aged: int = 0
    unplaced: int = 0


class Returning:
    """The walk over one folder. `counts` says what became of each record found in it."""

    def __init__(self, folder: Path, node: str) -> None:
        self.folder = folder
        self.counts = Counts()
        self._node = node
        try:
            self._scan = Scan(folder)
        except OSError as problem:
            raise StorageFailed(
                f"a ledger that was set aside cannot be read: {problem.strerror}",
                "look at the disk: anpr-edge doctor disk",
            ) from problem
        self._rest = iter(self._scan)
        self.over = False

    def close(self) -> None:
        self._scan.close()

    def batch(self) -> list[Found]:
        """The next records, of a bounded number of pages. `over` is true once there is nothing more."""
        found: list[Found] = []
        pages = 0
        while pages < _PAGES and len(found) < _RECORDS:
            try:
                each = next(self._rest)
            except StopIteration:
                self.over = True
                break
            if each is None:
                pages += 1
            elif each.node == self._node:
                found.append(each)
        return found

    def detail(self) -> dict[str, Any]:
        """Of the `salvaged` act."""
        counts = self.counts
        return {
            "quarantine": name_of(self.folder),
            "put_back": counts.put_back,
            "damaged": self._scan.damaged,
            "aged": counts.aged,
            "unplaced": counts.unplaced,
        }

    def put_back(self, db: apsw.Connection, found: Found, session: int, now_ms: int, oldest_ms: int | None) -> None:
        """Let one record wait again. `session`: the present one, whose numbers nobody else has; `oldest_ms`: the
        lawful age as a time, where the clock is believed."""
        its = int.from_bytes(found.epoch[:4], "big")
        received_ms = now_ms if found.received_ms is None else found.received_ms
        if oldest_ms is not None and received_ms < oldest_ms:
            self.counts.aged += 1
            return
        if not 0 < its < session or not 0 < found.seq < 1 << _SHIFT or not _epoch_is(db, its, found, received_ms):
            self.counts.unplaced += 1
            return
        at = its << _SHIFT | found.seq
        if not leaving.enter(db, at, found.kind, received_ms, (found.digest, found.head), found.data):
            self.counts.held += 1
            return
        end = (found.seq, found.head, its, found.seq)
        db.execute("UPDATE epochs SET seq = ?, head = ? WHERE session = ? AND seq < ?", end)
        self.counts.put_back += 1


def _epoch_is(db: apsw.Connection, session: int, found: Found, received_ms: int) -> bool:
    """Whether this session is of the record's epoch; it is entered where there is none yet."""
    known = db.execute("SELECT epoch FROM epochs WHERE session = ?", (session,)).fetchone()
    if known is None:
        values = (session, found.epoch, 0, NO_HEAD, received_ms)
        db.execute("INSERT INTO epochs VALUES (?, ?, ?, ?, 0, 0, 0, ?)", values)
        return True
    return bool(known[0] == found.epoch)
