"""The ledger: numbered, chained, signed, sealed and durable - in one transaction.

One thread owns it. A change returns only after its commit. No record goes but on a receipt or by a signed act
(edge.keeping), and nothing counts its rows: start and steady cost do not grow with depth.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import apsw

from edge import leaving, record, row, seen
from edge.ballast import Ballast
from edge.chain import ChainEnd, link
from edge.changes import Accept, Change, Enter, Settle, State, Tier, Usage, checkpoint
from edge.claim import Outcome, Received
from edge.clock import Clock
from edge.errors import EdgeError, StorageFailed, Tampered, Unavailable
from edge.keeping import Keeping, Tended
from edge.read import Captured, Evidence, FittedImage, Kind, Record
from edge.retention import Terms, fitting
from edge.schema import PAGE_BYTES, RESERVE_PAGES, disk_failing
from edge.seal import Sealer
from edge.sign import CHECKPOINT_TYPE, Signer, encode, sign
from edge.soundness import SetAside, opened, session_before

_SESSION_SHIFT = 40
_SEQ_MASK = (1 << _SESSION_SHIFT) - 1


@dataclass(frozen=True, slots=True)
class _Begin:
    """Begin the epoch of this session; always together with its `started` act."""


@dataclass(frozen=True, slots=True)
class _Tend:
    """What a quiet moment is for. Result: a `Tended`."""


def row_of(session: int, seq: int) -> int:
    return session << _SESSION_SHIFT | seq


class Ledger:
    """Made by `Ledger.open`, which also begins a new epoch. Used from one thread only."""

    def __init__(
        self,
        db: apsw.Connection,
        state: Path,
        node: str,
        signer: Signer,
        sealer: Sealer,
        clock: Clock,
        max_bytes: int,
        terms: Terms | None,
        ballast: Ballast,
    ) -> None:
        self._db = db
        self._state = state
        self._node = node
        self._signer = signer
        self._sealer = sealer
        self._clock = clock
        self._max_bytes = max_bytes
        self._ballast = ballast
        self._keeping = Keeping(db, state, node, terms, self._enter)
        self.session = 0
        self.epoch = b""
        self._end = ChainEnd(node, self.epoch, 0, record.NO_HEAD)
        self._entered_bytes = self._left_bytes = 0

    @classmethod
    def open(
        cls,
        state: Path,
        *,
        node: str,
        signer: Signer,
        sealer: Sealer,
        clock: Clock,
        max_bytes: int,
        config_digest: str,
        random_bytes: Callable[[int], bytes] = os.urandom,
        terms: Terms | None = None,
        ballast_bytes: int = 0,
    ) -> Ledger:
        """Open the file in `state` and begin an epoch, whose first record names the end of the one before. A ruined
        file is set aside whole, and that record says so. Without `terms` nothing is ever shed or erased."""
        ballast = Ballast(state, ballast_bytes)

        def begun() -> Ledger:
            room = ballast.room_for(max_bytes)
            found = opened(state, room, clock.now().utc_ms, clock.mono_s)
            with ExitStack() as undo:
                undo.callback(found.db.close)
                ledger = cls(found.db, state, node, signer, sealer, clock, room, terms, ballast)
                ledger._begin(config_digest, random_bytes, found.set_aside)
                undo.pop_all()
            return ledger

        try:
            ledger = begun()
        except StorageFailed:
            if not ballast.release_if_full():
                raise
            ledger = begun()
        ballast.make()
        return ledger

    def close(self) -> None:
        self._keeping.close()
        self._db.close()

    # changes

    def commit(self, changes: Sequence[Change]) -> list[int | Outcome | EdgeError]:
        """All changes in one transaction, durable on return; each one's result, or the error that it alone met.

        Raises `StorageFailed` where the disk fails: then nothing is known and the process must end.
        """
        try:
            return self._transaction(changes)
        except apsw.FullError:
            # Only receipts free room, and only acts say why it is short: they go through when nothing else does.
            released = self._ballast.release_if_full()
        if released:
            with suppress(apsw.FullError):
                return self._some_alone(changes, (Settle, Enter))
        with disk_failing(self._state):
            return self._some_alone(changes, (Settle,))

    def _some_alone(self, changes: Sequence[Change], kinds: tuple[type, ...]) -> list[int | Outcome | EdgeError]:
        """The changes of these kinds in a transaction of their own; the others hear that there is no room."""
        todo = [change for change in changes if isinstance(change, kinds)]
        done = iter(self._transaction(todo) if todo else ())
        return [next(done) if isinstance(change, kinds) else _no_room() for change in changes]

    def tend(self) -> Tended:
        """Use a quiet moment: erase what is past its age, make room, put back what was salvaged, note the clock."""
        self._ballast.make()
        seq = self._end.seq
        try:
            (done,) = self._transaction([_Tend()])
        except apsw.FullError:
            self._ballast.release_if_full()
            return Tended()
        return Tended(self._end.seq - seq, done.put_back, done.more)

    def _transaction(self, changes: Sequence[Change | _Begin | _Tend]) -> list[Any]:
        """Each change's result, all durable. `apsw.FullError` where they did not fit: then nothing was done."""
        end, flow, standing = self._end, (self._entered_bytes, self._left_bytes), self._keeping.standing
        with disk_failing(self._state, but=apsw.FullError):
            try:
                self._db.execute("BEGIN IMMEDIATE")
                results = self._applied(changes)
                if self._end is not end:
                    self._write_end()
                self._db.execute("COMMIT")
            except apsw.FullError:
                self._end, (self._entered_bytes, self._left_bytes) = end, flow
                self._keeping.rolled_back(standing)
                if self._db.in_transaction:
                    self._db.execute("ROLLBACK")
                raise
        self._keeping.committed()
        return results

    def _applied(self, changes: Sequence[Change | _Begin | _Tend]) -> list[Any]:
        now = self._clock.now()
        begins = any(isinstance(change, _Begin) for change in changes)
        if not begins:
            self._keeping.look(now)
        if any(isinstance(change, Accept) for change in changes):
            self._keeping.make_room(now, leaving.used_bytes(self._db), self._max_bytes)
        used = leaving.used_bytes(self._db)
        results = [self._apply(change, used) for change in changes]
        if begins:  # an epoch's first record is its `started` act
            self._keeping.look(now)
        return results

    def _apply(self, change: Change | _Begin | _Tend, used_bytes: int) -> int | Outcome | EdgeError | Tended:
        match change:
            case Accept(evidence):
                full = self._ballast.gone or used_bytes >= self._max_bytes // PAGE_BYTES * PAGE_BYTES
                return _no_room() if full else self._accept(evidence, used_bytes)
            case Enter(act, detail):
                return self._enter(act, detail)
            case Settle():
                return self._settle(change)
            case _Tend():
                return self._keeping.tend(self._clock.now(), self.session, used_bytes, self._max_bytes)
            case _Begin():
                row_of_epoch = (self.session, self.epoch, self._end.head, self._clock.now().utc_ms)
                self._db.execute("INSERT INTO epochs VALUES (?, ?, 0, ?, 0, 0, 0, ?)", row_of_epoch)
                return 0

    def _enter(self, act: str, detail: Mapping[str, Any]) -> int:
        now = self._clock.now()
        return self._append(Kind.ACT, record.at(now), now, record.act_body(act, detail))

    def _accept(self, evidence: Evidence, used_bytes: int) -> Outcome:
        read = evidence.read
        if self._keeping.terms is not None:
            evidence = fitting(evidence, used_bytes, self._max_bytes)
        if read.repeat_key is not None and not seen.first_time(self._db, read.repeat_key, read.received.utc_ms):
            return Outcome.REPEATED
        first = seen.first_on(self._db, read.passage_key, read.received.utc_ms)
        revises = None if first is None else (self._epoch(first >> _SESSION_SHIFT), first & _SEQ_MASK)
        seq = self._append(Kind.READ, read.captured, read.received, record.read_body(evidence, revises))
        if read.passage_key is not None and first is None:
            seen.began(self._db, read.passage_key, read.received.utc_ms, row_of(self.session, seq))
        if isinstance(evidence.overview, FittedImage):
            body = record.overview_body(seq, evidence.overview)
            self._append(Kind.OVERVIEW, read.captured, read.received, body)
        return Outcome.STORED

    def _append(self, kind: Kind, captured: Captured, received: Received, body: record.Body) -> int:
        new = link(self._end, kind, captured, received, body, self._signer, self._sealer)
        at = row_of(self.session, new.end.seq)
        fresh = leaving.enter(self._db, at, kind, new.received_ms, (new.digest, new.end.head), new.data)
        if not fresh:  # a disk that took back what it had said was written
            raise StorageFailed("the ledger holds a record under a new number", "the disk lies: anpr-edge doctor disk")
        self._keeping.appended(at, kind)
        self._end = new.end
        self._entered_bytes += len(new.data)
        return new.end.seq

    def _settle(self, settle: Settle) -> int:
        found = self._db.execute("SELECT session FROM epochs WHERE epoch = ?", (settle.epoch,)).fetchone()
        if found is None:
            return 0
        # A number beyond what an epoch can hold would reach into the rows of the next.
        got = [(first, min(last, _SEQ_MASK)) for first, last in settle.got if first <= _SEQ_MASK]
        left = [leaving.let_go(self._db, row_of(found[0], first), row_of(found[0], last)) for first, last in got]
        self._left_bytes += sum(size for _, size in left)
        for seq, code in ((seq, code) for seq, code in settle.refused if seq <= _SEQ_MASK):
            leaving.set_aside(self._db, row_of(found[0], seq), State.REFUSED, code)
        return sum(count for count, _ in left)

    # questions

    def waiting(self, tier: Tier, after_row: int, until_row: int, limit: int) -> tuple[Record, ...]:
        """The oldest waiting records of a tier with after_row < row <= until_row, their tags checked.

        A damaged row is set aside and counted, and is not among them.
        """
        rows = self._ask(
            "SELECT r.row, e.epoch, CAST(r.kind AS BLOB), r.received_ms, r.data FROM records r"
            " JOIN epochs e ON e.session = r.row >> 40"
            " WHERE r.state = 0 AND r.tier = ? AND r.row > ? AND r.row <= ? ORDER BY r.row LIMIT ?",
            (tier.value, after_row, until_row, limit),
        )
        return tuple(self._sound(rows))

    def _sound(self, rows: Iterable[tuple[Any, ...]]) -> Iterable[Record]:
        for at, epoch, kind, received_ms, data in rows:
            seq = at & _SEQ_MASK
            try:
                yield Record(at, epoch, seq, Kind(kind.decode()), received_ms, row.unwrap(epoch, seq, data))
            except (Tampered, ValueError):
                with disk_failing(self._state), self._db:
                    leaving.set_aside(self._db, at, State.DAMAGED, "row_tag")

    def usage(self) -> Usage:
        last, flow = row_of(self.session, self._end.seq), (self._entered_bytes, self._left_bytes)
        with disk_failing(self._state):
            return self._keeping.usage(self._clock.now(), self._max_bytes, last, flow, self._ballast.gone)

    def checkpoint(self) -> bytes:
        """A signed statement of the chain's end and of what has no receipt yet (wire.md 4.4)."""
        with disk_failing(self._state):
            first = leaving.oldest_waiting(self._db)
            oldest = (self._epoch(first[0] >> _SESSION_SHIFT), first[0] & _SEQ_MASK) if first else None
        statement = checkpoint(self._end, self._keeping.standing.shed, oldest, self._clock.now().utc_ms)
        return sign(self._signer, CHECKPOINT_TYPE, encode(statement))

    def ping(self) -> None:
        """That the thread turns and the file takes a write lock; for the watchdog."""
        with disk_failing(self._state):
            self._db.execute("BEGIN IMMEDIATE; ROLLBACK")

    # the epoch

    def _begin(self, config_digest: str, random_bytes: Callable[[int], bytes], aside: SetAside | None) -> None:
        found = self._ask("SELECT session, epoch, seq, head FROM epochs ORDER BY session DESC LIMIT 1")
        last = found[0] if found else (aside.last if aside is not None else None)
        before = {"epoch": last[1], "seq": last[2], "head": last[3]} if last else None
        detail: dict[str, Any] = {"before": before, "config": config_digest}
        if aside is not None:
            detail["quarantined"] = {"name": aside.name, "reason": aside.reason, "bytes": aside.size_bytes}
        self.session = 1 + (last[0] if last else session_before(self._state, aside, self._clock.mono_s))
        self.epoch = self.session.to_bytes(4, "big") + random_bytes(8)
        self._end = ChainEnd(self._node, self.epoch, 0, last[3] if last else record.NO_HEAD)
        with disk_failing(self._state):
            self._transaction([_Begin(), Enter("started", detail)])

    def _write_end(self) -> None:
        end = self._end
        self._db.execute(
            "UPDATE epochs SET seq = ?, head = ?, reads = ?, overviews = ?, acts = ? WHERE session = ?",
            (end.seq, end.head, end.reads, end.overviews, end.acts, self.session),
        )

    def _epoch(self, session: int) -> bytes:
        epoch: bytes = self._ask("SELECT epoch FROM epochs WHERE session = ?", (session,))[0][0]
        return epoch

    # the file

    def _ask(self, question: str, values: tuple[Any, ...] = ()) -> list[Any]:
        with disk_failing(self._state):
            return self._db.execute(question, values).fetchall()


def _no_room() -> Unavailable:
    return Unavailable(
        "the ledger has no room for more reads", "see why records do not leave: anpr-edge doctor receipts"
    )


assert RESERVE_PAGES * PAGE_BYTES >= 16 * 40_000, "a group of reads must fit the reserve"
