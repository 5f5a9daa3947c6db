"""By which clock a record's age is counted; and that a step of the clock is seen. In the ledger's transaction.

Wall time less time since boot is constant but for steps: the kernel slews both alike. What may not happen here: a
record called old because the clock was wrong when it came, or is wrong now.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import apsw

from edge.claim import ClockState, Received

STEP_MS = 1000  # smaller steps stay inside the bound that each record states
_SETTLES_NS = 2_000_000_000  # the kernel's word on the clock may be a second old: after a step, wait two


@dataclass(frozen=True, slots=True)
class Watch:
    """The clock as it was last seen. `trusted`: it was synchronised in this boot, and has not stepped since."""

    boot_id: str
    offset_ms: int
    trusted: bool
    believe_after_ns: int = 0


def look(before: Watch | None, now: Received) -> tuple[Watch, int]:
    """The watch after this look, and by how many milliseconds the clock stepped since the last; 0 for none."""
    offset_ms = now.utc_ms - now.mono_ns // 1_000_000
    known = before if before is not None and before.boot_id == now.boot_id != "unknown" else None
    by_ms = offset_ms - known.offset_ms if known is not None else 0
    if abs(by_ms) >= STEP_MS:
        return Watch(now.boot_id, offset_ms, False, now.mono_ns + _SETTLES_NS), by_ms
    after_ns = known.believe_after_ns if known is not None else 0
    synchronised = now.clock is ClockState.SYNCHRONISED and now.mono_ns >= after_ns
    return Watch(now.boot_id, offset_ms, synchronised or (known is not None and known.trusted), after_ns), 0


def step_detail(by_ms: int, now: Received) -> dict[str, Any]:
    """What a store needs to correct the times of this boot that came before (wire.md 4.1)."""
    return {"boot_id": now.boot_id, "by_ms": by_ms, "to_ms": now.utc_ms, "mono_ns": now.mono_ns}


def remembered(db: apsw.Connection) -> Watch | None:
    found = db.execute("SELECT boot_id, offset_ms, trusted FROM watch").fetchone()
    return None if found is None else Watch(found[0], found[1], bool(found[2]))


def remember(db: apsw.Connection, watch: Watch) -> None:
    values = (watch.boot_id, watch.offset_ms, int(watch.trusted))
    db.execute("INSERT OR REPLACE INTO watch VALUES (1, ?, ?, ?)", values)


def unsure(db: apsw.Connection, at: int) -> None:
    """This row was written under a clock that nobody vouched for."""
    db.execute("UPDATE unsure SET last = ? WHERE until_ms IS NULL", (at,))
    if db.changes() == 0:
        db.execute("INSERT INTO unsure VALUES (?, ?, NULL)", (at, at))


def sure_from(db: apsw.Connection, now_ms: int) -> None:
    """The clock is trusted from now on: the ages of what came before are counted from here."""
    db.execute("UPDATE unsure SET until_ms = ? WHERE until_ms IS NULL", (now_ms,))


def ages_from_ms(db: apsw.Connection, at: int, received_ms: int) -> int | None:
    """From when this row's age counts: its arrival, or the first moment after it at which the clock could be believed;
    None where that has not come."""
    found = db.execute(
        "SELECT last, until_ms FROM unsure WHERE first <= ? ORDER BY first DESC LIMIT 1", (at,)
    ).fetchone()
    if found is None or found[0] < at:
        return received_ms
    return None if found[1] is None else int(found[1])


def forget(db: apsw.Connection, before_ms: int) -> None:
    """Rows of these ranges are all past any age."""
    db.execute("DELETE FROM unsure WHERE until_ms < ?", (before_ms,))
