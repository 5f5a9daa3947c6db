"""How a record stops waiting: let go on a receipt, or set aside with a code. Inside the ledger's transaction.

The totals move with the rows, so that nothing ever needs to count them.
"""

from __future__ import annotations

from typing import Any

import apsw

from edge.changes import State

_CODE_MAX_CHARACTERS = 32


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
