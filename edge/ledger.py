"""The ledger: numbered, chained, signed, sealed and durable - in one transaction.

One thread owns it. A change returns only after its commit. Nothing here deletes a record but a receipt, and nothing
counts its rows: start and steady cost do not grow with depth.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import apsw

from edge import leaving, record, row, seen
from edge.chain import ChainEnd, link
from edge.changes import Accept, Change, Enter, Settle, State, Tier, Usage
from edge.claim import Outcome, Received
from edge.clock import Clock
from edge.errors import EdgeError, StorageFailed, Tampered, Unavailable
from edge.read import Captured, Evidence, FittedImage, Kind, Record
from edge.schema import PAGE_BYTES, RESERVE_PAGES, open_writer
from edge.seal import Sealer
from edge.sign import CHECKPOINT_TYPE, Signer, encode, sign

_SESSION_SHIFT = 40
_SEQ_MASK = (1 << _SESSION_SHIFT) - 1


@dataclass(frozen=True, slots=True)
class _Begin:
    """Begin the epoch of this session; always together with its `started` act."""


def row_of(session: int, seq: int) -> int:
    return session << _SESSION_SHIFT | seq


class Ledger:
    """Made by `Ledger.open`, which also begins a new epoch. Used from one thread only."""

    def __init__(
        self, db: apsw.Connection, node: str, signer: Signer, sealer: Sealer, clock: Clock, max_bytes: int
    ) -> None:
        self._db = db
        self._node = node
        self._signer = signer
        self._sealer = sealer
        self._clock = clock
        self._max_bytes = max_bytes
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
    ) -> Ledger:
        """Open the file in `state` and begin an epoch, whose first record names the end of the one before."""
        ledger = cls(open_writer(state, max_bytes), node, signer, sealer, clock, max_bytes)
        ledger._begin(config_digest, random_bytes)
        return ledger

    def close(self) -> None:
        self._db.close()

    # changes

    def commit(self, changes: Sequence[Change]) -> list[int | Outcome | EdgeError]:
        """All changes in one transaction, durable on return; each one's result, or the error that it alone met.

        Raises `StorageFailed` where the disk fails: then nothing is known and the process must end.
        """
        full = self._full()
        results: list[int | Outcome | EdgeError] = [
            full if full is not None and isinstance(change, Accept) else 0 for change in changes
        ]
        todo = [i for i, result in enumerate(results) if not isinstance(result, EdgeError)]
        try:
            done = self._transaction([changes[i] for i in todo])
        except apsw.FullError:
            # Only receipts free room: they must go through when nothing else does.
            settles = [i for i in todo if isinstance(changes[i], Settle)]
            done = self._settle_alone([changes[i] for i in settles])
            results = [_no_room() for _ in changes]
            todo = settles
        for i, result in zip(todo, done, strict=True):
            results[i] = result
        return results

    def _settle_alone(self, settles: Sequence[Change]) -> list[int | Outcome]:
        try:
            return self._transaction(settles) if settles else []
        except apsw.FullError as problem:
            raise _broken(problem) from problem

    def _transaction(self, changes: Sequence[Change | _Begin]) -> list[int | Outcome]:
        end, flow = self._end, (self._entered_bytes, self._left_bytes)
        try:
            self._db.execute("BEGIN IMMEDIATE")
            results = [self._apply(change) for change in changes]
            self._write_end()
            self._db.execute("COMMIT")
        except apsw.FullError:
            self._end, (self._entered_bytes, self._left_bytes) = end, flow
            self._roll_back()
            raise
        except apsw.Error as problem:
            raise _broken(problem) from problem
        return results

    def _apply(self, change: Change | _Begin) -> int | Outcome:
        match change:
            case Accept(evidence):
                return self._accept(evidence)
            case Enter(act, detail):
                now = self._clock.now()
                return self._append(Kind.ACT, record.at(now), now, record.act_body(act, detail))
            case Settle():
                return self._settle(change)
            case _Begin():
                row_of_epoch = (self.session, self.epoch, self._end.head, self._clock.now().utc_ms)
                self._db.execute("INSERT INTO epochs VALUES (?, ?, 0, ?, 0, 0, 0, ?)", row_of_epoch)
                return 0

    def _accept(self, evidence: Evidence) -> Outcome:
        read = evidence.read
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
        size = len(new.data)
        tier = Tier.OVERVIEW if kind is Kind.OVERVIEW else Tier.FIRST
        at = row_of(self.session, new.end.seq)
        self._db.execute(
            "INSERT INTO records VALUES (?, ?, ?, 0, NULL, ?, ?, ?, ?, ?)",
            (at, kind.value, tier.value, new.received_ms, size, new.digest, new.end.head, new.data),
        )
        self._db.execute("UPDATE totals SET waiting = waiting + 1, waiting_bytes = waiting_bytes + ?", (size,))
        self._end = new.end
        self._entered_bytes += size
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
            "SELECT r.row, e.epoch, r.kind, r.received_ms, r.data FROM records r"
            " JOIN epochs e ON e.session = r.row >> 40"
            " WHERE r.state = 0 AND r.tier = ? AND r.row > ? AND r.row <= ? ORDER BY r.row LIMIT ?",
            (tier.value, after_row, until_row, limit),
        )
        return tuple(self._sound(rows))

    def _sound(self, rows: Iterable[tuple[Any, ...]]) -> Iterable[Record]:
        for at, epoch, kind, received_ms, data in rows:
            seq = at & _SEQ_MASK
            try:
                yield Record(at, epoch, seq, Kind(kind), received_ms, row.unwrap(epoch, seq, data))
            except (Tampered, ValueError):
                self._damaged(at)

    def _damaged(self, at: int) -> None:
        try:
            with self._db:
                leaving.set_aside(self._db, at, State.DAMAGED, "row_tag")
        except apsw.Error as problem:
            raise _broken(problem) from problem

    def usage(self) -> Usage:
        ((waiting, waiting_bytes, refused, damaged),) = self._ask(
            "SELECT waiting, waiting_bytes, refused, damaged FROM totals"
        )
        oldest = self._oldest()
        used = (self._pragma("page_count") - self._pragma("freelist_count")) * PAGE_BYTES
        last = row_of(self.session, self._end.seq)
        oldest_ms = oldest[1] if oldest else None
        flow = (self._entered_bytes, self._left_bytes)
        return Usage(waiting, waiting_bytes, refused, damaged, oldest_ms, used, self._max_bytes, last, *flow)

    def _oldest(self) -> tuple[int, int] | None:
        """Row and time of the oldest waiting record: the first of either tier."""
        firsts = [
            found
            for tier in Tier
            for found in self._ask(
                "SELECT row, received_ms FROM records WHERE state = 0 AND tier = ? ORDER BY row LIMIT 1", (tier.value,)
            )
        ]
        return min(firsts) if firsts else None

    def checkpoint(self) -> bytes:
        """A signed statement of the chain's end and of what has no receipt yet (wire.md 4.4)."""
        oldest = self._oldest()
        epoch_of_oldest = self._epoch(oldest[0] >> _SESSION_SHIFT) if oldest else b""
        statement = {
            "v": 1,
            "node": self._node,
            "epoch": self.epoch,
            "seq": self._end.seq,
            "head": self._end.head,
            "counts": self._end.counts(),
            "shed": {},
            "oldest": [epoch_of_oldest, oldest[0] & _SEQ_MASK] if oldest else None,
            "at_ms": self._clock.now().utc_ms,
        }
        return sign(self._signer, CHECKPOINT_TYPE, encode(statement))

    def ping(self) -> None:
        """That the thread turns and the file takes a write lock; for the watchdog."""
        try:
            self._db.execute("BEGIN IMMEDIATE; ROLLBACK")
        except apsw.Error as problem:
            raise _broken(problem) from problem

    # the epoch

    def _begin(self, config_digest: str, random_bytes: Callable[[int], bytes]) -> None:
        last = self._ask("SELECT session, epoch, seq, head FROM epochs ORDER BY session DESC LIMIT 1")
        before = {"epoch": last[0][1], "seq": last[0][2], "head": last[0][3]} if last else None
        self.session = last[0][0] + 1 if last else 1
        self.epoch = self.session.to_bytes(4, "big") + random_bytes(8)
        self._end = ChainEnd(self._node, self.epoch, 0, last[0][3] if last else record.NO_HEAD)
        try:
            self._transaction([_Begin(), Enter("started", {"before": before, "config": config_digest})])
        except apsw.FullError as problem:
            raise _broken(problem) from problem

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

    def _full(self) -> Unavailable | None:
        used = self._pragma("page_count") - self._pragma("freelist_count")
        return _no_room() if used >= self._max_bytes // PAGE_BYTES else None

    def _pragma(self, name: str) -> int:
        return int(self._ask(f"PRAGMA {name}")[0][0])

    def _ask(self, question: str, values: tuple[Any, ...] = ()) -> list[Any]:
        try:
            return self._db.execute(question, values).fetchall()
        except apsw.Error as problem:
            raise _broken(problem) from problem

    def _roll_back(self) -> None:
        if self._db.in_transaction:
            self._db.execute("ROLLBACK")


def _no_room() -> Unavailable:
    return Unavailable(
        "the ledger has no room for more reads", "see why records do not leave: anpr-edge doctor receipts"
    )


def _broken(problem: apsw.Error) -> StorageFailed:
    return StorageFailed(
        f"the disk failed under the ledger: {type(problem).__name__}",
        "the service ends and opens the ledger anew; if this repeats, look at the disk: anpr-edge doctor disk",
    )


assert RESERVE_PAGES * PAGE_BYTES >= 16 * 40_000, "a group of reads must fit the reserve"
