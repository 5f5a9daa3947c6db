"""`python -m tests.proofs power [--cuts N] [--seed S] [--control NAME]`: the power goes, at any write or sync.

The real ledger lives on `Disk` by `shim`: it stores, settles, closes and opens until the cut; what the disk may then
hold is opened by the real code and held against every answer. The next life begins on the same remains, so that
cuts also meet recoveries. A control weakens one thing, and its losses must be seen.
"""

from __future__ import annotations

import argparse
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from shutil import copytree

import apsw

from edge.changes import Accept, Change, Enter, Settle
from edge.claim import Outcome
from edge.errors import EdgeError, StorageFailed
from edge.ledger import Ledger
from tests.proofs.disk import Disk, Faults, PowerCut
from tests.proofs.figures import say, told
from tests.proofs.pieces import evidence, open_ledger, workplace
from tests.proofs.promises import Found, Promises, look_into
from tests.proofs.shim import Shim, shimmed

CUTS_OF_A_LIFE = 12
"""Then a new ledger: the older one has grown, and its cuts come more slowly."""


@dataclass(frozen=True, slots=True)
class Weakness:
    """What a control takes away. `pragma` is set on the writer's connection once it is open."""

    pragma: str = ""
    faults: Faults = field(default_factory=Faults)


KEEPING = ("none", "sync-errors")
"""Those that must lose nothing."""
CONTROLS: dict[str, Weakness] = {
    "none": Weakness(),
    "sync-errors": Weakness(faults=Faults(sync_errors=0.08)),
    "synchronous-normal": Weakness("PRAGMA synchronous = NORMAL"),
    "no-folder-sync": Weakness(faults=Faults(folder_syncs=True)),
    "card-lies-always": Weakness(faults=Faults(file_syncs=1.0, folder_syncs=True)),
    "card-lies-20-percent": Weakness(faults=Faults(file_syncs=0.2)),
}


@dataclass(slots=True)
class Tally:
    """What the cuts did."""

    cuts: int = 0
    bad: int = 0
    answered: int = 0
    lost: int = 0
    unanswered_kept: int = 0
    in_an_opening: int = 0
    sync_errors: int = 0
    """Times the ledger said that the disk failed, and was opened anew, the power still on."""
    problems: Counter[str] = field(default_factory=Counter)
    worst_seed: str = ""


def run(seed: int, cuts: int, weakness: Weakness, folder: Path) -> Iterator[Tally]:
    """Cut after cut; the tally after each. One `Tally`, growing."""
    tally, history = Tally(), 0
    with shimmed() as shim:
        while tally.cuts < cuts:
            history += 1
            chance = Random(f"{seed} {history}")
            yield from _history(chance, shim, weakness, folder / str(history), tally, cuts)


def _history(chance: Random, shim: Shim, weakness: Weakness, folder: Path, tally: Tally, cuts: int) -> Iterator[Tally]:
    """One ledger from its birth through a dozen cuts, or until one of them harms it."""
    promises, state = Promises(), folder / "0"
    ledger = open_ledger(state, chance)
    promises.look(ledger)
    ledger.close()
    for life in range(1, CUTS_OF_A_LIFE + 1):
        _live_until_cut(chance, shim, weakness, state, promises, tally)
        after = folder / str(life)
        after.mkdir()
        assert shim.disk is not None
        shim.disk.found(after)
        shim.disk = None
        found = reopened(chance, after, promises)
        tally.cuts += 1
        tally.bad += bool(found.problems)
        tally.lost += len(found.lost)
        tally.problems.update(set(found.problems))
        tally.unanswered_kept += sum(at not in promises.records for at in found.records)
        yield tally
        if found.problems or tally.cuts >= cuts:
            break
        promises.adopt(found)
        state = after
    tally.answered += len(promises.records) + len(promises.gone)


def _live_until_cut(
    chance: Random, shim: Shim, weakness: Weakness, state: Path, promises: Promises, tally: Tally
) -> None:
    cut_at = chance.randint(1, chance.choice((20, 100, 200, 300)))
    disk = shim.disk = Disk(chance, cut_at, weakness.faults)
    disk.load(state)
    opening, failed = True, False
    try:
        while not disk.dark:  # a cut inside a connection's end may be heard by nobody
            opening = True
            # A sync that fails in a close is none of SQLite's business, but apsw raises what a VFS in Python raised.
            with suppress(StorageFailed, apsw.IOError):
                ledger = open_ledger(state, chance)
                if failed:
                    _decided(shim, chance, state, promises)
                opening = failed = False
                _session(ledger, chance, weakness, promises)
                continue
            failed = True
            tally.sync_errors += 1
    except PowerCut:
        tally.in_an_opening += opening


def _session(ledger: Ledger, chance: Random, weakness: Weakness, promises: Promises) -> None:
    try:
        _settle_in(ledger, weakness, chance)
        promises.look(ledger)
        _work(ledger, chance, promises)
    finally:
        with suppress(apsw.IOError):
            ledger.close()


def _decided(shim: Shim, chance: Random, state: Path, promises: Promises) -> None:
    """The process ended after an error, and the next one has opened: what was in hand is what it goes on from."""
    disk, shim.disk = shim.disk, None
    copy = state.with_name(f"{state.name}-error-{chance.getrandbits(32)}")
    copytree(state, copy)
    found = reopened(chance, copy, promises)
    shim.disk = disk
    promises.broken |= set(found.problems)
    promises.adopt(found)


def _settle_in(ledger: Ledger, weakness: Weakness, chance: Random) -> None:
    if weakness.pragma:
        ledger._db.execute(weakness.pragma)
    if chance.random() < 0.5:  # checkpoints as they come, only sooner: 1000 pages are seldom reached here
        ledger._db.execute(f"PRAGMA wal_autocheckpoint = {chance.randint(5, 60)}")


def _work(ledger: Ledger, chance: Random, promises: Promises) -> None:
    """Groups of changes, then a clean end; the cut comes somewhere in between, or in a later session."""
    for _ in range(chance.randint(1, 40)):
        changes = list(group(chance, promises))
        promises.ask(ledger, changes)
        promises.hear(ledger, changes, ledger.commit(changes))


def group(chance: Random, promises: Promises, receipts: float = 0.3) -> Iterator[Change]:
    """What one commit may carry: new reads, repeats, acts, and a receipt for part of what was answered."""
    for _ in range(chance.choice((1, 1, 2, 3, 6))):
        drawn = chance.random()
        if drawn < 0.7:
            yield Accept(evidence(chance, f"passage-{chance.getrandbits(64):016x}"))
        elif drawn < 0.78 and promises.reads:
            yield Accept(promises.reads[chance.choice(list(promises.reads))])
        elif drawn < 0.86:
            yield Enter("refused", {"counts": {}})
    if chance.random() < receipts:
        session = chance.choice(list(promises.epochs))
        first = chance.randint(1, promises.ends[session])
        last = min(promises.ends[session], first + chance.randrange(30))
        yield Settle(promises.epochs[session], ((first, last),), ())


def reopened(chance: Random, remains: Path, promises: Promises) -> Found:
    """The remains, opened by the real code (in a copy: the next life opens them for itself) and looked into."""
    state = remains.with_name(remains.name + "-opened")
    copytree(remains, state)
    try:
        ledger = open_ledger(state, Random(0))
    except EdgeError as problem:
        return Found([f"does not open: {type(problem).__name__}"], set(promises.records))
    try:
        found = look_into(state, promises, ledger.session)
        if promises.reads and not found.problems:
            _goes_on(chance, ledger, promises, found)
        return found
    finally:
        ledger.close()


def _goes_on(chance: Random, ledger: Ledger, promises: Promises, found: Found) -> None:
    again = promises.reads[chance.choice(list(promises.reads))]
    try:
        repeated, stored = ledger.commit([Accept(again), Accept(evidence(Random(1), "after the cut"))])
    except EdgeError as problem:
        found.must(False, f"does not go on: {type(problem).__name__}")
        return
    found.must(repeated is Outcome.REPEATED, "an answered read is taken for a new one")
    found.must(stored is Outcome.STORED, "nothing is stored any more")


def prove(seed: int, cuts: int, weakness: Weakness, steps: Callable[[Iterator[Tally]], Iterator[Tally]]) -> Tally:
    """All cuts; the last tally. `steps` may show how far they are."""
    with workplace() as folder:
        tally = Tally()
        for tally in steps(run(seed, cuts, weakness, folder)):  # noqa: B007
            pass
        return tally


def main(argv: list[str]) -> int:
    """0 where nothing answered was lost; for a control, where something was."""
    parser = argparse.ArgumentParser(prog="python -m tests.proofs power")
    parser.add_argument("--cuts", type=int, default=5000)
    parser.add_argument("--seed", type=int, default=20_260_101)
    parser.add_argument("--control", choices=list(CONTROLS), default="none")
    given = parser.parse_args(argv)
    began = time.monotonic()
    tally = prove(given.seed, given.cuts, CONTROLS[given.control], lambda s: told(s, given.cuts, given.control))
    figures = {
        "proof": "power",
        "control": given.control,
        "seed": given.seed,
        "cuts": tally.cuts,
        "bad_cuts": tally.bad,
        "answered_records": tally.answered,
        "lost_records": tally.lost,
        "unanswered_kept": tally.unanswered_kept,
        "cuts_in_an_opening": tally.in_an_opening,
        "sync_errors_met": tally.sync_errors,
        "problems": dict(tally.problems),
    }
    say(figures, began)
    return int((tally.bad > 0) == (given.control in KEEPING))
