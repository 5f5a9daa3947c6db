"""What came before: deliveries that come again, and the first record on each passage. In the ledger's transaction.

Rows are found by keys from which nobody can tell a plate (edge.admit), and forgotten a few with each new one and in
quiet moments, so that nothing ever grows with age.
"""

from __future__ import annotations

import apsw

SEEN_FOR_MS = 24 * 3600 * 1000  # a camera that retries later than this has lost its own memory too
PASSAGE_FOR_MS = 600 * 1000  # a camera that restarts gives its numbers out anew


def first_time(db: apsw.Connection, key: bytes, now_ms: int) -> bool:
    """Whether this key comes for the first time; it is remembered from now on."""
    forget(db, now_ms)
    db.execute("INSERT OR IGNORE INTO seen VALUES (?, ?, NULL)", (key, now_ms))
    return db.changes() == 1


def first_on(db: apsw.Connection, passage: bytes | None, now_ms: int) -> int | None:
    """The row of the first record on a passage, where there is one not long ago."""
    if passage is None:
        return None
    found = db.execute(
        "SELECT row FROM seen WHERE key = ? AND at_ms > ?", (passage, now_ms - PASSAGE_FOR_MS)
    ).fetchone()
    return None if found is None else int(found[0])


def began(db: apsw.Connection, passage: bytes, now_ms: int, row: int) -> None:
    """The first record on a passage stands at this row."""
    forget(db, now_ms)
    db.execute("INSERT OR REPLACE INTO seen VALUES (?, ?, ?)", (passage, now_ms, row))


def forget(db: apsw.Connection, now_ms: int, most: int = 4) -> None:
    """Let go of some keys that are past their time."""
    oldest = "SELECT key FROM seen WHERE at_ms < ? ORDER BY at_ms LIMIT ?"
    db.execute(f"DELETE FROM seen WHERE key IN ({oldest})", (now_ms - SEEN_FOR_MS, most))
