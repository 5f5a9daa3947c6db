"""What the ledger does to keep the law and its room: sheds, erases, salvages, and sees the clock step.

Each deliberate loss is a signed act in the same transaction. What may not happen here: an erasure under a clock that
nobody vouches for, or a folder deleted before the act that says so is durable.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import apsw

from edge import ageing, leaving, retention, seen, soundness
from edge.ageing import Watch
from edge.ballast import free_bytes
from edge.changes import Usage
from edge.claim import Received
from edge.errors import StorageFailed
from edge.read import Kind
from edge.retention import AT_ONCE, Reason, Terms, Waiting
from edge.returning import Returning

SHEDDING_FOR_NS = 600 * 10**9  # how long after the last record was given up it is said that the node sheds
_PUT_BACK_BELOW = 0.7  # of the room: what is salvaged must not push out what comes
_PUT_BACK_FREE_BYTES = 64_000_000
_SHIFT, _MASK = 40, (1 << 40) - 1


@dataclass(frozen=True, slots=True)
class Standing:
    """What a rollback must undo. `walked`: rows up to here hold nothing that age can take."""

    watch: Watch | None = None
    shed: Mapping[str, int] = field(default_factory=dict)
    walked: int = 0
    shed_kind: str = ""
    shed_at_ns: int = 0


@dataclass(frozen=True, slots=True)
class Tended:
    """What a quiet moment was used for. `more`: there is more to do soon. `put_back`: old records wait anew."""

    acts: int = 0
    put_back: int = 0
    more: bool = False


class Keeping:
    """Belongs to one ledger, and works inside its transactions. Without `terms` nothing is ever given up."""

    def __init__(
        self,
        db: apsw.Connection,
        state: Path,
        node: str,
        terms: Terms | None,
        enter: Callable[[str, Mapping[str, Any]], object],
    ) -> None:
        self._db = db
        self._state = state
        self._node = node
        self.terms = terms
        self._enter = enter
        self.standing = Standing(watch=ageing.remembered(db))
        self._folders = soundness.kept(state)
        self._returning: Returning | None = None
        self._after: list[Callable[[], object]] = []

    # in every transaction

    def look(self, now: Received) -> None:
        """See whether the clock stepped, and whether it can be believed."""
        before = self.standing.watch
        watch, by_ms = ageing.look(before, now)
        self.standing = replace(self.standing, watch=watch)
        if by_ms:
            self._enter("clock_step", ageing.step_detail(by_ms, now))
        if watch.trusted and not (before is not None and before.trusted and before.boot_id == watch.boot_id):
            ageing.sure_from(self._db, now.utc_ms)
        if before is None or by_ms or (before.boot_id, before.trusted) != (watch.boot_id, watch.trusted):
            ageing.remember(self._db, watch)

    def appended(self, at: int, kind: Kind) -> None:
        if kind is not Kind.ACT and not self._trusted():
            ageing.unsure(self._db, at)

    def make_room(self, now: Received, used_bytes: int, max_bytes: int) -> None:
        """Give up what this fill asks for, of one group at most, and say so."""
        if self.terms is None:
            return
        gone: list[Waiting] = []
        for cut in retention.cuts(used_bytes, max_bytes, now.utc_ms, self.terms):
            taken = retention.chosen(leaving.oldest(self._db, cut.kind, 0), cut, used_bytes)
            leaving.give_up(self._db, taken)
            used_bytes -= sum(each.size_bytes for each in taken)
            gone += taken
        self._say(Reason.ROOM, gone, now)

    # in quiet moments

    def batch(self, used_bytes: int, max_bytes: int) -> Returning | None:
        """The salvage that is under way, or the next that is due and finds room."""
        if self._returning is None:
            due = next((each for each in self._folders if not soundness.is_salvaged(each)), None)
            self._returning = Returning(due, self._node) if due is not None else None
        room = used_bytes < max_bytes * _PUT_BACK_BELOW and free_bytes(self._state) > _PUT_BACK_FREE_BYTES
        return self._returning if room else None

    def tend(self, now: Received, session: int, used_bytes: int, max_bytes: int) -> Tended:
        """Age, room, salvage and what was set aside, a bounded part of each."""
        erased = self._erase(now)
        self.make_room(now, used_bytes, max_bytes)
        returning = self.batch(used_bytes, max_bytes)
        put_back = self._salvage(returning, now, session) if returning is not None else 0
        self._old_quarantines(now)
        if self._trusted():
            seen.forget(self._db, now.utc_ms, AT_ONCE)
            ageing.forget(self._db, now.utc_ms - 2 * self.terms.max_age_ms if self.terms is not None else 0)
        going_on = returning is not None and self._returning is returning
        return Tended(put_back=put_back, more=going_on or erased == AT_ONCE)

    def _erase(self, now: Received) -> int:
        """Reads and overviews past the lawful age, also those set aside: how many."""
        if self.terms is None or not self._trusted():
            return 0
        gone: list[Waiting] = []
        walked = self.standing.walked
        for each in leaving.from_row(self._db, walked):
            if each.kind is not Kind.ACT:
                since_ms = ageing.ages_from_ms(self._db, each.row, each.received_ms)
                if not retention.too_old(since_ms, now.utc_ms, self.terms) or len(gone) == AT_ONCE:
                    break
                gone.append(each)
            walked = each.row
        leaving.give_up(self._db, gone)
        self.standing = replace(self.standing, walked=walked)
        self._say(Reason.AGE, gone, now)
        return len(gone)

    def _salvage(self, returning: Returning, now: Received, session: int) -> int:
        before = returning.counts.put_back
        oldest_ms = now.utc_ms - self.terms.max_age_ms if self.terms is not None and self._trusted() else None
        for found in returning.batch():
            returning.put_back(self._db, found, session, now.utc_ms, oldest_ms)
        put_back = returning.counts.put_back - before
        if put_back:
            self.standing = replace(self.standing, walked=0)
        if returning.over:
            self._enter("salvaged", returning.detail())
            whole = not (returning.counts.aged or returning.counts.unplaced)
            self._after += [lambda: soundness.mark(returning.folder, whole), returning.close]
            self._returning = None
        return put_back

    def _old_quarantines(self, now: Received) -> None:
        """Those past the lawful age go, whatever they hold; of those salvaged whole, the oldest beyond two."""
        extra = soundness.to_delete(self._folders)
        if extra is not None:
            self._delete(extra, "salvaged")
        if self.terms is None or not self._trusted():
            return
        for folder in self._folders:
            name = soundness.name_of(folder)
            self._db.execute("INSERT OR IGNORE INTO set_aside VALUES (?, ?)", (name, now.utc_ms))
            known: Any = self._db.execute("SELECT known_ms FROM set_aside WHERE name = ?", (name,)).fetchone()
            if folder != extra and retention.too_old(known[0], now.utc_ms, self.terms):
                self._delete(folder, Reason.AGE.value)

    def _delete(self, folder: Path, reason: str) -> None:
        if self._returning is not None and self._returning.folder == folder:
            self._returning.close()
            self._returning = None
        self._enter("quarantine_erased", {"quarantine": soundness.name_of(folder), "reason": reason})
        self._db.execute("DELETE FROM set_aside WHERE name = ?", (soundness.name_of(folder),))
        self._after.append(lambda: soundness.delete(folder))

    def _say(self, reason: Reason, gone: list[Waiting], now: Received) -> None:
        if not gone:
            return
        told = [(self._epoch(each.row >> _SHIFT), each.row & _MASK, each.kind) for each in gone]
        self._enter("shed", retention.shed_detail(reason, told))
        shed = Counter(self.standing.shed)
        shed[reason.value] += len(gone)
        worst = Kind.READ if any(each.kind is Kind.READ for each in gone) else Kind.OVERVIEW
        self.standing = replace(self.standing, shed=dict(shed), shed_kind=worst.value, shed_at_ns=now.mono_ns)

    def _epoch(self, session: int) -> bytes:
        found = self._db.execute("SELECT epoch FROM epochs WHERE session = ?", (session,)).fetchone()
        return bytes(found[0]) if found is not None else bytes(12)

    # after it

    def committed(self) -> None:
        """The acts are durable: what they speak of may be done."""
        after, self._after = self._after, []
        try:
            for act in after:
                act()
            if after:
                self._folders = soundness.kept(self._state)
        except OSError as problem:
            raise StorageFailed(
                f"a ledger that was set aside cannot be put away: {problem.strerror}",
                "look at the disk: anpr-edge doctor disk",
            ) from problem

    def rolled_back(self, standing: Standing) -> None:
        self.standing = standing
        self._after.clear()
        self.close()

    def close(self) -> None:
        if self._returning is not None:
            self._returning.close()  # begun anew another time: what is back already is found to be held
            self._returning = None

    # what it says

    def _trusted(self) -> bool:
        return self.standing.watch is not None and self.standing.watch.trusted

    def shedding(self, now: Received) -> str:
        """The kind of record that was given up in the last ten minutes, or nothing."""
        recent = self.standing.shed_kind and now.mono_ns - self.standing.shed_at_ns < SHEDDING_FOR_NS
        return self.standing.shed_kind if recent else ""

    def usage(self, now: Received, max_bytes: int, last_row: int, flow: tuple[int, int], ballast_gone: bool) -> Usage:
        """What is buffered. `flow`: sealed bytes written and let go since the start."""
        question = "SELECT waiting, waiting_bytes, refused, damaged FROM totals"
        totals: list[Any] = self._db.execute(question).fetchall()
        ((waiting, waiting_bytes, refused, damaged),) = totals
        oldest, used = leaving.oldest_waiting(self._db), leaving.used_bytes(self._db)
        return Usage(
            waiting,
            waiting_bytes,
            refused,
            damaged,
            self._since_ms(*oldest) if oldest is not None else None,
            used,
            max_bytes,
            last_row,
            *flow,
            max_age_ms=self.terms.max_age_ms if self.terms is not None else None,
            shedding=self.shedding(now),
            shed=sum(self.standing.shed.values()),
            quarantined=len(self._folders),
            unsalvaged=sum(not soundness.is_salvaged(each) for each in self._folders),
            ballast_gone=ballast_gone,
        )

    def _since_ms(self, at: int, received_ms: int) -> int:
        """From when a row's age counts, for an alarm: where nothing is known, from its arrival."""
        since_ms = ageing.ages_from_ms(self._db, at, received_ms)
        return received_ms if since_ms is None else since_ms
