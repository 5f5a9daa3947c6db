"""How a record begins to wait, and how it stops: let go on a receipt, set aside with a code, or given up. Inside the
ledger's transaction.

The totals move with the rows, so that nothing ever needs to count them.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import apsw

from edge.changes import State, Tier
from edge.read import Kind
from edge.retention import AT_ONCE, Waiting, ranges
from edge.schema import PAGE_BYTES

_CODE_MAX_CHARACTERS = 32


def enter(db: apsw.Connection, at: int, kind: Kind, received_ms: int, hashes: tuple[bytes, bytes], data: bytes) -> bool:
    """Let a record wait at this row. `hashes`: its digest, and the chain's head after it. False where one is there."""
    tier = Tier.OVERVIEW if kind is Kind.OVERVIEW else Tier.FIRST
    db.execute(
        "INSERT OR IGNORE INTO records VALUES (?, ?, ?, 0, NULL, ?, ?, ?, ?, ?)",
        (at, kind.value, tier.value, received_ms, len(data), *hashes, data),
    )
    if db.changes() == 0:
        return False
    db.execute("UPDATE totals SET waiting = waiting + 1, waiting_bytes = waiting_bytes + ?", (len(data),))
    return True


def let_go(db: apsw.Connection, first: int, last: int) -> tuple[int, int]:
    """Delete the rows from `first` to `last`, both included, whatever their state. How many, and their bytes."""
    rows: list[Any] = db.execute(
        "SELECT state, count(*), sum(size) FROM records WHERE row BETWEEN ? AND ? GROUP BY state", (first, last)
    ).fetchall()
    for state, count, size in rows:
        if State(state) is State.WAITING:
            db.execute("UPDATE totals SET waiting = waiting - ?, waiting_bytes = waiting_bytes - ?", (count, size))
        else:
            name = State(state).name.lower()
            db.execute(f"UPDATE totals SET {name} = {name} - ?", (count,))
    db.execute("DELETE FROM records WHERE row BETWEEN ? AND ?", (first, last))
    return sum(int(count) for _, count, _ in rows), sum(int(size) for _, _, size in rows)


def set_aside(db: apsw.Connection, at: int, state: State, code: str) -> None:
    """Keep a row and stop sending it. One that does not wait is left as it is."""
    found = db.execute("SELECT size FROM records WHERE row = ? AND state = 0", (at,)).fetchone()
    if found is None:
        return
    db.execute("UPDATE records SET state = ?, code = ? WHERE row = ?", (state.value, code[:_CODE_MAX_CHARACTERS], at))
    name = state.name.lower()
    db.execute(
        f"UPDATE totals SET waiting = waiting - 1, waiting_bytes = waiting_bytes - ?, {name} = {name} + 1", found
    )


def used_bytes(db: apsw.Connection) -> int:
    """Bytes of the pages in use; what was let go is used again before the file grows."""
    pages, free = (_number(db, f"PRAGMA {name}") for name in ("page_count", "freelist_count"))
    return (pages - free) * PAGE_BYTES


def _number(db: apsw.Connection, question: str) -> int:
    found: Any = db.execute(question).fetchone()
    return int(found[0])


def oldest_waiting(db: apsw.Connection) -> tuple[int, int] | None:
    """Row and time of arrival of the oldest waiting record: the first of either tier."""
    question = "SELECT row, received_ms FROM records WHERE state = 0 AND tier = ? ORDER BY row LIMIT 1"
    firsts: list[Any] = [found for tier in Tier for found in db.execute(question, (tier.value,)).fetchall()]
    return min(firsts) if firsts else None


def oldest(db: apsw.Connection, kind: Kind, after_row: int) -> tuple[Waiting, ...]:
    """The oldest waiting records of a kind behind this row, at most `AT_ONCE`."""
    tier = Tier.OVERVIEW if kind is Kind.OVERVIEW else Tier.FIRST
    rows = db.execute(
        "SELECT row, received_ms, size FROM records WHERE state = 0 AND tier = ? AND row > ? AND kind = ?"
        " ORDER BY row LIMIT ?",
        (tier.value, after_row, kind.value, AT_ONCE),
    )
    return tuple(Waiting(at, kind, received_ms, size) for at, received_ms, size in rows)


def from_row(db: apsw.Connection, after_row: int) -> Iterable[Waiting]:
    """Every record behind this row, oldest first, whatever its kind and state; read as it is asked for."""
    rows = db.execute("SELECT row, kind, received_ms, size FROM records WHERE row > ? ORDER BY row", (after_row,))
    return (Waiting(at, Kind(kind), received_ms, size) for at, kind, received_ms, size in rows)


def give_up(db: apsw.Connection, gone: Iterable[Waiting]) -> None:
    """Delete these rows and no others."""
    for first, last in ranges(each.row for each in gone):
        let_go(db, first, last)
