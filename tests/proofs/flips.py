"""`python -m tests.proofs flips [--flips N] [--seed S]`: one bit of the closed ledger file is turned over.

The file is opened by the real code and everything that waits is asked for, as the courier asks. What may not happen:
a record whose sealed bytes, number or kind differ from what was written; an exception that is no `EdgeError`. What
each flip came to is counted, also those that only hold a record back.
"""

from __future__ import annotations

import argparse
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from random import Random
from shutil import rmtree

import apsw

from edge import row
from edge.changes import Accept, Enter, Settle, Tier
from edge.errors import EdgeError
from edge.ledger import Ledger
from edge.read import Record
from edge.schema import FILE, PAGE_BYTES
from tests.proofs.figures import say, told
from tests.proofs.pieces import evidence, open_ledger, workplace
from tests.proofs.shim import shimmed

READS, SESSIONS = 120, 3
RECORD_PAGES = 0.8
"""Share of the flips that fall on pages of records; the others fall anywhere in the file."""
_ALL = (0, 2**62, 10_000)
_HEAD_BYTES = 24  # magic, length and tag before the sealed bytes
Steps = Callable[[Iterator[tuple["Came", str]]], Iterator[tuple["Came", str]]]


class Came(Enum):
    """What a flip came to. The first three are found; the last may never happen."""

    BY_TAG = "found by the tag: set aside and counted"
    BY_SQLITE = "found by SQLite: the ledger says so"
    SAID = "found on opening: the file is set aside whole, in a folder of its own"
    NOTHING = "nothing: everything waits as it was written"
    HEARSAY = "the time beside a record differs, not its sealed bytes"
    HELD_BACK = "records missing from what waits, and nothing says so"
    WRONG = "a record that differs was handed out"
    CRASH = "an exception that is no EdgeError"


@dataclass(frozen=True, slots=True)
class Written:
    """The untouched file, and what it hands out."""

    file: Path
    records: dict[int, Record]
    record_pages: tuple[int, ...]


def written(folder: Path, seed: int) -> Written:
    """A ledger of three sessions, part of it let go, closed."""
    chance = Random(f"{seed} flips")
    for session in range(SESSIONS):
        ledger = open_ledger(folder, chance)
        for n in range(READS // SESSIONS):
            ledger.commit([Accept(evidence(chance, f"{session}-{n}")), Enter("refused", {"counts": {}})])
        ledger.commit([Settle(ledger.epoch, ((10, 40),), ())])
        records = {r.row: r for r in _waiting(ledger)}
        ledger.close()
    return Written(folder / FILE, records, _pages(folder / FILE))


def _waiting(ledger: Ledger) -> list[Record]:
    return [record for tier in Tier for record in ledger.waiting(tier, *_ALL)]


def _pages(file: Path) -> tuple[int, ...]:
    """Numbers, from 0, of the pages on which sealed bytes lie: found by what is on them."""
    content = file.read_bytes()
    db = apsw.Connection(str(file))
    rows = [bytes(data) for (data,) in db.execute("SELECT data FROM records")]
    db.close()
    parts = {data[at : at + 40] for data in rows for at in range(60, len(data) - 40, 700)}
    return tuple(sorted({at // PAGE_BYTES for part in parts if (at := content.find(part)) >= 0}))


def run(seed: int, flips: int, folder: Path) -> Iterator[tuple[Came, str]]:
    """What each flip came to, and what was said of it."""
    with shimmed():
        whole = written(folder / "whole", seed)
        chance, state = Random(f"{seed} bits"), folder / "flipped"
        content = whole.file.read_bytes()
        for _ in range(flips):
            state.mkdir()
            flipped = bytearray(content)
            at = chance.randrange(len(content))
            if chance.random() < RECORD_PAGES:
                at = chance.choice(whole.record_pages) * PAGE_BYTES + chance.randrange(PAGE_BYTES)
            flipped[at] ^= 1 << chance.randrange(8)
            (state / FILE).write_bytes(flipped)
            yield _came(state, whole)
            rmtree(state)


def _came(state: Path, whole: Written) -> tuple[Came, str]:
    try:
        ledger = open_ledger(state, Random(0))
    except EdgeError as problem:
        return Came.BY_SQLITE, type(problem).__name__
    except Exception as problem:  # noqa: BLE001  this is what the proof is about
        return Came.CRASH, f"open: {type(problem).__name__}: {problem}"
    try:
        return _asked(ledger, state, whole)
    except EdgeError as problem:
        return Came.BY_SQLITE, type(problem).__name__
    except Exception as problem:  # noqa: BLE001
        return Came.CRASH, f"waiting: {type(problem).__name__}: {problem}"
    finally:
        ledger.close()


def _asked(ledger: Ledger, state: Path, whole: Written) -> tuple[Came, str]:
    got = {record.row: record for record in _waiting(ledger) if record.epoch != ledger.epoch}
    known = {(r.epoch, r.seq): r for r in whole.records.values()}
    for record in got.values():
        true = known.get((record.epoch, record.seq))
        if true is None or (true.sealed, true.kind) != (record.sealed, record.kind):
            return Came.WRONG, "sealed bytes" if true is None or true.sealed != record.sealed else "kind"
    usage = ledger.usage()
    if len(got) < len(whole.records):
        if usage.damaged:
            return Came.BY_TAG, ""
        moved_on = any(path.is_dir() for path in state.iterdir())
        return (Came.SAID, "another file") if moved_on else (Came.HELD_BACK, f"{len(whole.records) - len(got)}")
    same = all(known[r.epoch, r.seq].received_ms == r.received_ms for r in got.values())
    return (Came.NOTHING, "") if same else (Came.HEARSAY, "")


@contextmanager
def _without_tags() -> Iterator[None]:
    """The control: a ledger that takes a row's bytes as they come."""
    true = row.unwrap
    row.unwrap = lambda epoch, seq, data: bytes(data)[_HEAD_BYTES:]  # type: ignore[call-overload]
    try:
        yield
    finally:
        row.unwrap = true


def prove(seed: int, flips: int, steps: Steps, *, tags: bool = True) -> tuple[Counter[Came], Counter[str]]:
    """How many flips came to what, and the words for those that nobody wants. Without `tags`: the control."""
    came, words = Counter[Came](), Counter[str]()
    with workplace() as folder, nullcontext() if tags else _without_tags():
        for each, word in steps(run(seed, flips, folder)):
            came[each] += 1
            if word:
                words[f"{each.name}: {word}"] += 1
    return came, words


def main(argv: list[str]) -> int:
    """0 where no flip was handed out and none crashed; without tags, where one was handed out."""
    parser = argparse.ArgumentParser(prog="python -m tests.proofs flips")
    parser.add_argument("--flips", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=20_260_101)
    parser.add_argument("--control", choices=("none", "no-tags"), default="none")
    given = parser.parse_args(argv)
    began, tags = time.monotonic(), given.control == "none"
    came, words = prove(given.seed, given.flips, lambda s: told(s, given.flips, "flips"), tags=tags)
    say(
        {
            "proof": "flips",
            "control": given.control,
            "seed": given.seed,
            "flips": given.flips,
            **{each.name.lower(): came[each] for each in Came},
            "words": dict(words),
        },
        began,
    )
    return int(came[Came.CRASH] > 0 or (came[Came.WRONG] > 0) == tags)
