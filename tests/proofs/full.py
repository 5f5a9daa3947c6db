"""`python -m tests.proofs full [--points N] [--how vfs|tmpfs|cap]`: the disk is full at a random point.

`vfs`: SQLite hears that nothing more fits, anywhere, also in the middle of a page. `tmpfs`: a real file system that is
small (needs root). `cap`: the ledger's own bound. Reads go on coming, and acts and receipts; where the ledger gives
up, it is opened anew, as systemd would. Then there is room again. What may not happen: an answered read that is gone,
a read that is neither stored nor told "later", a ledger that does not go on by itself.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

from edge.changes import Accept, Change, Enter, Settle
from edge.claim import Outcome
from edge.errors import EdgeError, StorageFailed, Unavailable
from edge.ledger import Ledger
from tests.proofs.figures import say, told
from tests.proofs.grounds import WAYS, Ground
from tests.proofs.pieces import evidence, open_ledger, workplace
from tests.proofs.power import group, reopened
from tests.proofs.promises import Promises

GROUPS_WITHOUT_ROOM, MOST_GROUPS = 12, 600
"""Groups of changes after the first that found no room; and at most until then."""
RECEIPTS = 0.05
TRIES_TO_GO_ON = 3


Result = int | Outcome | EdgeError
Hear = Callable[[Change, Result], Result]


def _plainly(_: Change, result: Result) -> Result:
    return result


def _as_stored(change: Change, result: Result) -> Result:
    """The control: a ledger that would say "stored" where it has no room."""
    return Outcome.STORED if isinstance(change, Accept) and isinstance(result, Unavailable) else result


CONTROLS: dict[str, Hear] = {"none": _plainly, "stored-without-room": _as_stored}


@dataclass(slots=True)
class Tally:
    """What the points came to."""

    points: int = 0
    reached: int = 0
    bad: int = 0
    stored: int = 0
    later: int = 0
    acts: int = 0
    acts_later: int = 0
    receipts: int = 0
    ended: int = 0
    """Times the ledger said that the disk failed, and the process would end."""
    no_opening: int = 0
    """Of its openings while there was no room, those that failed."""
    problems: Counter[str] = field(default_factory=Counter)


class _Point:
    """One ledger that finds no room, is opened anew where it must be, and has room again in the end."""

    def __init__(self, ground: Ground, chance: Random, tally: Tally, hear: Hear) -> None:
        self._ground = ground
        self._hear = hear
        self._chance = chance
        self._tally = tally
        self._promises = Promises()
        self._ledger: Ledger | None = None
        self.problems: list[str] = []

    def live(self) -> None:
        self._open()
        self._ground.take_room()
        full_for = 0
        for _ in range(MOST_GROUPS):
            no_room = self._turn(list(group(self._chance, self._promises, RECEIPTS)))
            full_for += no_room or full_for > 0
            if full_for > GROUPS_WITHOUT_ROOM:
                break
        self._tally.reached += full_for > 0
        if self._ground.give_back_room is None:
            self._turn([Settle(epoch, ((1, 10_000),), ()) for epoch in self._promises.epochs.values()])
        else:
            self._ground.give_back_room()
        self._go_on()
        self._look(self._ground.left)
        if self._ledger is not None:
            self._ledger.close()

    def _open(self) -> None:
        self._ledger = open_ledger(self._ground.state, self._chance, self._ground.max_bytes)
        self._promises.look(self._ledger)

    def _turn(self, changes: list[Change]) -> bool:
        """Commit them, opening first where there is no ledger; whether something found no room."""
        if self._ledger is None:
            try:
                self._open()
            except StorageFailed:
                self._tally.no_opening += 1
                return True
        assert self._ledger is not None
        self._promises.ask(self._ledger, changes)
        try:
            done = self._ledger.commit(changes)
            results = [self._hear(change, result) for change, result in zip(changes, done, strict=True)]
            self._promises.hear(self._ledger, changes, results)
        except StorageFailed:
            self._end()
            return True
        no_room = [self._count(change, result) for change, result in zip(changes, results, strict=True)]
        return any(no_room)

    def _count(self, change: Change, result: Result) -> bool:
        tally, no_room = self._tally, isinstance(result, Unavailable)
        if isinstance(change, Accept):
            tally.stored += result is Outcome.STORED
            tally.later += no_room
            if not no_room and result not in (Outcome.STORED, Outcome.REPEATED):
                self.problems.append("a read was neither stored nor told later")
        elif isinstance(change, Enter):
            tally.acts += not no_room
            tally.acts_later += no_room
        else:
            tally.receipts += not no_room
        return no_room

    def _end(self) -> None:
        """The process would end here, and what was in hand is decided by what it left."""
        assert self._ledger is not None
        self._tally.ended += 1
        with suppress(EdgeError):
            self._ledger.close()
        self._ledger = None
        self._look(self._ground.copy)

    def _look(self, remains: Callable[[], Path]) -> None:
        with self._ground.aside():
            found = reopened(self._chance, remains(), self._promises)
        self.problems += found.problems
        if not found.problems:
            self._promises.adopt(found)

    def _go_on(self) -> None:
        """With room again a read is stored, by itself, within a restart or two."""
        for _ in range(TRIES_TO_GO_ON):
            stored = self._tally.stored
            fresh = evidence(self._chance, f"after-{self._chance.getrandbits(64):x}")
            self._turn([Accept(fresh), Enter("refused", {"counts": {}})])
            if self._tally.stored > stored:
                return
        self.problems.append("it does not go on with room again")


def run(how: str, seed: int, points: int, folder: Path, control: str) -> Iterator[Tally]:
    """One growing tally, after each point."""
    tally = Tally()
    for n in range(points):
        chance, here = Random(f"{seed} {how} {n}"), folder / str(n)
        here.mkdir()
        with ExitStack() as stack:
            point = _Point(stack.enter_context(WAYS[how](chance, here)), chance, tally, CONTROLS[control])
            point.live()
        tally.points += 1
        tally.bad += bool(point.problems)
        tally.problems.update(set(point.problems))
        yield tally


def prove(
    how: str, seed: int, points: int, steps: Callable[[Iterator[Tally]], Iterator[Tally]], control: str = "none"
) -> Tally:
    """All points; the last tally."""
    with workplace() as folder:
        tally = Tally()
        for tally in steps(run(how, seed, points, folder, control)):  # noqa: B007
            pass
        return tally


def main(argv: list[str]) -> int:
    """0 where nothing was lost and all went on, or where the control was seen; 77 where it cannot run here."""
    parser = argparse.ArgumentParser(prog="python -m tests.proofs full")
    parser.add_argument("--how", choices=list(WAYS), default="vfs")
    parser.add_argument("--points", type=int, default=200)
    parser.add_argument("--seed", type=int, default=20_260_101)
    parser.add_argument("--control", choices=list(CONTROLS), default="none")
    given = parser.parse_args(argv)
    if given.how == "tmpfs" and os.geteuid() != 0:
        print("NOT RUN: a small file system needs root (to mount)", file=sys.stderr)
        return 77
    began = time.monotonic()
    tally = prove(given.how, given.seed, given.points, lambda s: told(s, given.points, given.how), given.control)
    figures = {name: getattr(tally, name) for name in tally.__slots__ if name != "problems"}
    asked = {"proof": "full", "how": given.how, "control": given.control, "seed": given.seed}
    say({**asked, **figures, "problems": dict(tally.problems)}, began)
    return int((tally.bad > 0) == (given.control == "none"))
