"""The ledger's own work on a recorded disk, and what was answered at each moment of the disk's log."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from random import Random

from capture.delivery import Delivery
from capture.quarantine import entries, keep, opened
from edge.claim import Arrival, ClockState, Received
from edge.errors import Tampered
from edge.ledger import Ledger
from tests.proofs.fuse_disk import Block, RecordedDisk
from tests.proofs.pieces import NODE, NOW_MS, SEAL, open_ledger
from tests.proofs.power import group
from tests.proofs.promises import Found, Promises

SESSIONS, GROUPS = 12, 40
_BODY = b"nobody understands this"


@dataclass(frozen=True, slots=True)
class Moment:
    """What was promised when the log was so long. `kept`: names of quarantined deliveries."""

    length: int
    promises: Promises
    kept: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Recording:
    """A piece of work on a disk. `others` looks at whatever is no ledger, and adds what is wrong."""

    state: str
    node: str
    moments: Sequence[Moment]
    others: Callable[[Path, Moment, Found], None]
    start: Callable[[], None] | None = None
    """Starts the whole service on the remains, mounted where they were recorded, until it is ready."""
    fresh: bytes = field(default=b"", repr=False)
    log: Sequence[Block] = field(default=(), repr=False)

    def ended(self, fresh: bytes, log: Sequence[Block]) -> Recording:
        return replace(self, fresh=fresh, log=log)

    def at(self, length: int) -> Moment:
        """The last moment that is not after this one."""
        at = bisect_right([moment.length for moment in self.moments], length)
        return self.moments[at - 1]

    @property
    def last(self) -> Promises:
        return self.moments[-1].promises


class _Work:
    """A ledger from its birth on, closed cleanly or left as a crash leaves it."""

    def __init__(self, folder: Path, disk: RecordedDisk, chance: Random, pragma: str) -> None:
        self._state = folder / "state"
        self._disk = disk
        self._chance = chance
        self._pragma = pragma
        self._promises = Promises()
        self._kept: set[str] = set()
        self.moments = [Moment(0, Promises())]

    def _now(self) -> None:
        self.moments.append(Moment(self._disk.moment(), self._promises.copy(), frozenset(self._kept)))

    def session(self) -> None:
        ledger = open_ledger(self._state, self._chance)
        length = self._disk.moment()
        if self._pragma:
            ledger._db.execute(self._pragma)
        ledger._db.execute(f"PRAGMA wal_autocheckpoint = {self._chance.choice((20, 200, 1000))}")
        self._promises.look(ledger)
        self.moments.append(Moment(length, self._promises.copy(), frozenset(self._kept)))
        for _ in range(GROUPS):
            self._group(ledger)
            if self._chance.random() < 0.05:
                self._quarantine()
        ledger.close()

    def _group(self, ledger: Ledger) -> None:
        changes = list(group(self._chance, self._promises))
        self._promises.ask(ledger, changes)
        self._now()
        results = ledger.commit(changes)
        length = self._disk.moment()
        self._promises.hear(ledger, changes, results)
        self.moments.append(Moment(length, self._promises.copy(), frozenset(self._kept)))

    def _quarantine(self) -> None:
        received = Received(NOW_MS, 5, ClockState.SYNCHRONISED, 0, "boot-1")
        delivery = Delivery(Arrival(received, "192.0.2.10", "/"), "text/plain", "", _BODY)
        entry = keep(self._state / "quarantine", SEAL.public_key(), delivery, "cam-north", "unrecognised")
        self._kept.add(entry.id)
        self._now()


def record(folder: Path, disk: RecordedDisk, seed: int, control: str) -> Recording:
    """A dozen sessions of one ledger."""
    pragma = "PRAGMA synchronous = NORMAL" if control == "synchronous-normal" else ""
    work = _Work(folder, disk, Random(f"{seed} block"), pragma)
    for _ in range(SESSIONS):
        work.session()
    return Recording("state", NODE, work.moments, _quarantined)


def _quarantined(where: Path, moment: Moment, found: Found) -> None:
    """Each kept delivery is there, and opens; one that is no promise yet may be there, and is whole."""
    folder = where / "state" / "quarantine"
    there = {entry.id: path for entry, path in entries(folder)} if folder.exists() else {}
    if not moment.kept <= there.keys():
        found.besides.append("a quarantined delivery is gone")
    for path in there.values():
        try:
            if opened(path, SEAL)["body"] != _BODY:
                found.besides.append("a quarantined delivery is another")
        except Tampered:
            found.besides.append("a quarantined delivery does not open")
