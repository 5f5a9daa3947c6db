"""What the ledger has answered, and whether a state folder still holds it: rows, numbers, tags, seals, the chain.

What may not happen here: taking the ledger's word for it. The file is read by a connection of its own, the seals are
opened with the store's key, and the chain is worked out anew.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import apsw

from edge import row
from edge.changes import Accept, Change, Enter, Settle, Tier
from edge.claim import Outcome
from edge.errors import EdgeError
from edge.ledger import Ledger, row_of
from edge.read import Evidence, FittedImage, Record
from edge.record import NO_HEAD
from edge.schema import FILE
from tests.proofs.pieces import Opened, unseal

_SEQ = (1 << 40) - 1


@dataclass(slots=True)
class Promises:
    """Kept by whoever drives the ledger: what was answered, and what was asked and not answered yet."""

    records: dict[int, bytes] = field(default_factory=dict, repr=False)
    """Sealed bytes by row, of everything answered and not let go."""
    gone: set[int] = field(default_factory=set)
    ends: dict[int, int] = field(default_factory=dict)
    """The last number answered, by session."""
    epochs: dict[int, bytes] = field(default_factory=dict, repr=False)
    reads: dict[str, Evidence] = field(default_factory=dict, repr=False)
    asked: int = 0
    """Records that the group now in hand would add."""
    going: set[int] = field(default_factory=set)
    """Rows that it would let go."""
    opened: dict[bytes, Opened] = field(default_factory=dict, repr=False)
    broken: set[str] = field(default_factory=set)
    """What was wrong while the power was still on."""
    loose: bool = False
    """Seen from outside: nobody knows what was in hand, only what was answered."""

    def copy(self) -> Promises:
        """As they stand at this moment. What was unsealed is shared: it does not change."""
        kept = replace(self, records=dict(self.records), gone=set(self.gone), ends=dict(self.ends))
        kept.broken = set(self.broken)
        return replace(kept, epochs=dict(self.epochs), reads=dict(self.reads), going=set(self.going))

    def ask(self, ledger: Ledger, changes: Sequence[Change]) -> None:
        """This group is about to be committed."""
        new = {c.evidence.read.raw.vendor_id: c.evidence for c in changes if isinstance(c, Accept)}
        fresh = [e for name, e in new.items() if name not in self.reads]
        self.asked = sum(1 + _with_overview(Accept(e)) for e in fresh)
        self.asked += sum(isinstance(c, Enter) for c in changes)
        self.going = {at for c in changes if isinstance(c, Settle) for at in self._named(c)}

    def _named(self, settle: Settle) -> set[int]:
        (session,) = [s for s, epoch in self.epochs.items() if epoch == settle.epoch]
        ranges = [(row_of(session, first), row_of(session, last)) for first, last in settle.got]
        return {at for at in self.records for first, last in ranges if first <= at <= last}

    def hear(self, ledger: Ledger, changes: Sequence[Change], results: Sequence[int | Outcome | EdgeError]) -> None:
        """It was answered so: from now on all of it is a promise."""
        for change, result in zip(changes, results, strict=True):
            match change:
                case Accept(evidence) if result is Outcome.STORED:
                    self.reads[str(evidence.read.raw.vendor_id)] = evidence
                case Accept(evidence) if result is Outcome.REPEATED:
                    assert evidence.read.raw.vendor_id in self.reads, "called a repeat, and never answered"
                case Settle() if isinstance(result, int):
                    self.let_go(self._named(change))
                case _:
                    assert isinstance(result, int | EdgeError)
        told = [c for c, result in zip(changes, results, strict=True) if _added(c, result)]
        there = self.look(ledger)
        if there != sum(1 + _with_overview(change) for change in told):
            self.broken.add("other records than those answered, at once")

    def let_go(self, rows: set[int]) -> None:
        self.gone |= rows
        self.records = {at: sealed for at, sealed in self.records.items() if at not in rows}

    def look(self, ledger: Ledger) -> int:
        """Take down what the ledger says that it holds of this session; it was answered. How many records are new."""
        self.asked, self.going = 0, set()
        first = row_of(ledger.session, self.ends.get(ledger.session, 0))
        new: list[Record] = [
            r for tier in Tier for r in ledger.waiting(tier, first, row_of(ledger.session, _SEQ), 10_000)
        ]
        self.epochs[ledger.session] = ledger.epoch
        self.records |= {record.row: record.sealed for record in new}
        self.ends[ledger.session] = ledger.usage().last_row & _SEQ
        return len(new)

    def adopt(self, found: Found) -> None:
        """What survived without an answer is there from now on, and what was being let go is decided."""
        self.let_go(self.going - found.records.keys())
        self.records |= found.records
        self.ends |= found.ends
        self.epochs |= found.epochs
        self.asked, self.going = 0, set()
        for opened in (self.unsealed(sealed) for sealed in found.records.values()):
            assert opened is not None

    def unsealed(self, sealed: bytes) -> Opened:
        key = hashlib.sha256(sealed).digest()
        if key not in self.opened:
            self.opened[key] = unseal(sealed)
        return self.opened[key]


def _added(change: Change, result: int | Outcome | EdgeError) -> bool:
    return result is Outcome.STORED or (isinstance(change, Enter) and isinstance(result, int))


def _with_overview(change: Change) -> bool:
    return isinstance(change, Accept) and isinstance(change.evidence.overview, FittedImage)


@dataclass(slots=True)
class Found:
    """What lies in a state folder: what is wrong with it (in words), and what it holds below a session."""

    problems: list[str] = field(default_factory=list)
    lost: set[int] = field(default_factory=set)
    records: dict[int, bytes] = field(default_factory=dict, repr=False)
    ends: dict[int, int] = field(default_factory=dict)
    epochs: dict[int, bytes] = field(default_factory=dict, repr=False)
    besides: list[str] = field(default_factory=list)
    """What is wrong with files that are no ledger."""

    def must(self, true: bool, problem: str) -> None:
        if not true:
            self.problems.append(problem)


def look_into(state: Path, promises: Promises, newest: int) -> Found:
    """Everything in the file against what was promised. `newest`: the session that was begun to look, and holds
    its first act alone."""
    found = Found(sorted(promises.broken))
    try:
        _look(state, promises, newest, found)
    except (
        apsw.Error,
        TypeError,
        KeyError,
        UnicodeDecodeError,
    ) as problem:  # a lying card gives columns back that hold nothing
        found.must(False, f"cannot be read: {type(problem).__name__}")
    found.lost = {at for at in promises.records.keys() - promises.going if at not in found.records}
    found.must(not found.lost, "answered records are gone")
    return found


def _look(state: Path, promises: Promises, newest: int, found: Found) -> None:
    with closing(apsw.Connection(str(state / FILE), flags=apsw.SQLITE_OPEN_READONLY)) as db:
        epochs: list[Any] = db.execute(
            "SELECT session, epoch, seq, head, reads + overviews + acts FROM epochs ORDER BY 1"
        ).fetchall()
        rows: list[Any] = db.execute("SELECT row, state, size, digest, head, data FROM records ORDER BY row").fetchall()
        totals = db.execute("SELECT waiting, waiting_bytes, refused, damaged FROM totals").get
        found.must(db.execute("PRAGMA integrity_check").get == "ok", "SQLite's own check")
    found.must([e[0] for e in epochs] == list(range(1, newest + 1)), "sessions with a gap")
    found.must(totals == (len(rows), sum(r[2] for r in rows), 0, 0), "totals differ from the rows")
    before: dict[str, Any] | None = None
    for session, epoch, end, head, count in epochs:
        of_epoch = [r for r in rows if r[0] >> 40 == session]
        found.must(count == end, "an epoch's counts differ from its end")
        _check_epoch(found, promises, (session, epoch, end, head), of_epoch, before)
        before = {"epoch": epoch, "seq": end, "head": head}
        if session == newest:
            found.records = {at: sealed for at, sealed in found.records.items() if at >> 40 != newest}
        else:
            found.ends[session], found.epochs[session] = end, epoch
            _check_kept(found, promises, session, end, {r[0] for r in of_epoch})


def _check_epoch(
    found: Found,
    promises: Promises,
    said: tuple[int, bytes, int, bytes],
    rows: list[Any],
    before: dict[str, Any] | None,
) -> None:
    """Tags, seals, bytes and chain of one epoch's rows."""
    _, epoch, end, end_head = said
    known: dict[int, bytes] = {0: before["head"] if before else NO_HEAD}
    for at, state, _, digest, head, data in rows:
        seq = at & _SEQ
        try:
            sealed = row.unwrap(epoch, seq, data)
            opened = promises.unsealed(sealed)
        except Exception as problem:  # noqa: BLE001  hostile bytes: whatever is wrong with them is what is counted
            found.problems.append(f"a record that nobody can open: {type(problem).__name__}")
            continue
        inner = opened.payload
        found.must(state == 0 and (inner["epoch"], inner["seq"]) == (epoch, seq), "a record at another's place")
        found.must(known.get(seq - 1, inner["prev"]) == inner["prev"], "a broken link")
        known[seq] = hashlib.sha256(b"anpr-chain-v1" + inner["prev"] + opened.digest).digest()
        found.must((digest, head) == (opened.digest, known[seq]), "a row beside its record")
        found.must(promises.records.get(at, sealed) == sealed, "other bytes than those answered")
        found.records[at] = sealed
        if seq == 1:
            found.must(inner["body"]["detail"]["before"] == before, "a start that names another end")
    found.must(known.get(end, end_head) == end_head, "the end is not the last record's")


def _check_kept(found: Found, promises: Promises, session: int, end: int, rows: set[int]) -> None:
    """Numbers without a gap, but for what was let go; of what was never answered all or nothing."""
    answered, last = promises.ends.get(session, 0), max(promises.ends, default=0)
    extra = end - answered
    never_told = (1,)  # an epoch that was begun, and its beginning not answered
    unanswered = (0, promises.asked) if session == last else (0,) if session in promises.ends else never_told
    found.must(
        extra in unanswered or (promises.loose and extra >= 0),
        "the end is not the last answer's, nor that of the group in hand",
    )
    let_go = {at & _SEQ for at in promises.gone if at >> 40 == session}
    going = {at & _SEQ for at in promises.going if at >> 40 == session}
    there = {at & _SEQ for at in rows}
    whole = set(range(1, end + 1)) - let_go
    found.must(there in (whole, whole - going), "a gap in the numbers, or half of what was to be let go")
