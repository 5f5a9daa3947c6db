"""What the store can say about a node's numbers and links: gaps, breaks, rollbacks and cut-off tails.

Pure: no clock, no disk. Records may come in any order; a statement is made from what is held now, and nothing that was
held is ever unsaid.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Final

ZERO: Final = bytes(32)
_LABEL: Final = b"anpr-chain-v1"

Range = tuple[int, int]
"""Numbers from and to, both included."""


class Join(Enum):
    """How an epoch's first record hangs on what came before it."""

    FIRST = "first"  # the node's very first start
    JOINED = "joined"
    ROLLED_BACK = "rolled_back"  # it names an earlier head than the store has seen
    BROKEN = "broken"  # it names a head that contradicts a held record
    WAITING = "waiting"  # the first record, or what it names, is not held
    SET_ASIDE = "set_aside"  # it says that the ledger before it was ruined, and names no head


@dataclass(frozen=True, slots=True)
class Before:
    """What a `started` act says of the epoch before."""

    epoch: bytes
    seq: int
    head: bytes


@dataclass(frozen=True, slots=True)
class Link:
    """One held record's place in the chain."""

    prev: bytes
    head: bytes
    before: Before | None = None
    set_aside: bool = False
    """A start whose ledger before was set aside, and says so."""


@dataclass(frozen=True, slots=True)
class EpochReport:
    """The findings of one epoch; `tail_missing` lies above `highest`, `missing` below it."""

    epoch: bytes
    held: int
    highest: int
    missing: tuple[Range, ...]
    tail_missing: tuple[Range, ...]
    broken: tuple[int, ...]
    head_differs: tuple[int, ...]
    run_to: int
    run_head: bytes | None
    join: Join
    shed: tuple[Range, ...] = ()
    """Numbers that are not held and that a signed act says were given up."""


def head_after(prev: bytes, digest: bytes) -> bytes:
    """Give the chain's head (32 bytes) after a record whose signed bytes have SHA-256 `digest`."""
    return hashlib.sha256(_LABEL + prev + digest).digest()


def count(ranges: Iterable[Range]) -> int:
    """How many numbers the ranges hold."""
    return sum(last - first + 1 for first, last in ranges)


@dataclass(slots=True)
class Epoch:
    """The links of one epoch, in whatever order they came, and what its node says it gave up."""

    links: dict[int, Link] = field(default_factory=dict)
    claims: dict[int, bytes] = field(default_factory=dict)
    """Heads that signed checkpoints named, by number, kept until the record is held and agrees."""
    broken: set[int] = field(default_factory=set)
    highest: int = 0
    claimed_to: int = 0
    run_to: int = 0
    given_up: list[Range] = field(default_factory=list)

    def add(self, seq: int, link: Link) -> None:
        """Take a record's link and compare it with its held neighbours."""
        self.links[seq] = link
        self.highest = max(self.highest, seq)
        below, above = self.links.get(seq - 1), self.links.get(seq + 1)
        if below is not None and below.head != link.prev:
            self.broken.add(seq)
        if above is not None and above.prev != link.head:
            self.broken.add(seq + 1)
        if self.claims.get(seq) == link.head:
            del self.claims[seq]
        while self.run_to + 1 in self.links and self.run_to + 1 not in self.broken:
            self.run_to += 1

    def claim(self, seq: int, head: bytes) -> None:
        """Take a checkpoint's word for the newest number and its head."""
        self.claimed_to = max(self.claimed_to, seq)
        held = self.links.get(seq)
        if seq > 0 and (held is None or held.head != head):
            self.claims.setdefault(seq, head)

    def shed(self) -> tuple[Range, ...]:
        """The numbers that are not held and were given up by a signed act."""
        return _both(self._absent(), _merged(self.given_up))

    def missing(self) -> tuple[Range, ...]:
        """The numbers below the highest that are neither held nor given up, as ascending ranges."""
        return _less(self._gaps(), _merged(self.given_up))

    def tail_missing(self) -> tuple[Range, ...]:
        """The numbers above the highest held that the node says there are, less what it gave up."""
        tail = ((self.highest + 1, self.claimed_to),) if self.claimed_to > self.highest else ()
        return _less(tail, _merged(self.given_up))

    def _absent(self) -> tuple[Range, ...]:
        last = max([self.highest, *(last for _, last in self.given_up)])
        return (*self._gaps(), *([(self.highest + 1, last)] if last > self.highest else []))

    def _gaps(self) -> tuple[Range, ...]:
        gaps, expected = [], self.run_to + 1
        # by held numbers, never by counting: one record may lie a quadrillion above the rest
        for seq in sorted(seq for seq in self.links if seq > self.run_to):
            if seq > expected:
                gaps.append((expected, seq - 1))
            expected = seq + 1
        return tuple(gaps)

    def head_differs(self) -> tuple[int, ...]:
        """The numbers whose held record has another head than a checkpoint said."""
        return tuple(sorted(seq for seq in self.claims if seq in self.links))

    @property
    def run_head(self) -> bytes | None:
        return self.links[self.run_to].head if self.run_to else None


def _merged(ranges: Iterable[Range]) -> tuple[Range, ...]:
    """The same numbers in ascending ranges that do not touch."""
    merged: list[Range] = []
    for first, last in sorted(each for each in ranges if each[0] <= each[1]):
        if merged and first <= merged[-1][1] + 1:
            merged[-1] = (merged[-1][0], max(merged[-1][1], last))
        else:
            merged.append((first, last))
    return tuple(merged)


def _both(ones: Sequence[Range], others: Sequence[Range]) -> tuple[Range, ...]:
    """The numbers that both hold; each side ascending and apart."""
    found: list[Range] = []
    i = j = 0
    while i < len(ones) and j < len(others):
        first, last = max(ones[i][0], others[j][0]), min(ones[i][1], others[j][1])
        if first <= last:
            found.append((first, last))
        if ones[i][1] < others[j][1]:
            i += 1
        else:
            j += 1
    return tuple(found)


def _less(ones: Sequence[Range], others: Sequence[Range]) -> tuple[Range, ...]:
    """The numbers of the first that the second does not hold."""
    edges = [0, *(edge for first, last in others for edge in (first - 1, last + 1)), 1 << 64]
    return _both(ones, [each for each in zip(edges[::2], edges[1::2], strict=True) if each[0] <= each[1]])


class NodeChain:
    """All epochs of one node, and how they join."""

    def __init__(self) -> None:
        self._epochs: dict[bytes, Epoch] = {}  # in order of arrival
        self._places: dict[bytes, tuple[bytes, int]] = {}

    def add(self, epoch: bytes, seq: int, link: Link) -> None:
        """Take one record, which must not be held already."""
        self._epoch(epoch).add(seq, link)
        self._places[link.head] = (epoch, seq)
        if link.before is not None:
            named = self._epoch(link.before.epoch)
            named.claimed_to = max(named.claimed_to, link.before.seq)

    def claim(self, epoch: bytes, seq: int, head: bytes) -> None:
        """Take a verified checkpoint."""
        self._epoch(epoch).claim(seq, head)

    def give_up(self, epoch: bytes, first: int, last: int) -> None:
        """Take a signed act's word that these numbers were given up, and will not come."""
        self._epoch(epoch).given_up.append((first, last))

    def run_head(self, epoch: bytes) -> bytes | None:
        """The head after the longest unbroken run from number 1 of an epoch."""
        held = self._epochs.get(epoch)
        return None if held is None else held.run_head

    def report(self) -> tuple[EpochReport, ...]:
        """Say everything about every epoch, oldest start first."""
        ordered = self._ordered()
        return tuple(self._report(epoch, self._join(epoch, ordered[:place])) for place, epoch in enumerate(ordered))

    def _epoch(self, epoch: bytes) -> Epoch:
        return self._epochs.setdefault(epoch, Epoch())

    def _ordered(self) -> list[bytes]:
        """By start counter (the first four bytes), then by arrival: a restored disk can repeat a counter."""
        return sorted(self._epochs, key=lambda epoch: epoch[:4])

    def _report(self, epoch: bytes, join: Join) -> EpochReport:
        held = self._epochs[epoch]
        return EpochReport(
            epoch=epoch,
            held=len(held.links),
            highest=held.highest,
            missing=held.missing(),
            tail_missing=held.tail_missing(),
            broken=tuple(sorted(held.broken)),
            head_differs=held.head_differs(),
            run_to=held.run_to,
            run_head=held.run_head,
            join=join,
            shed=held.shed(),
        )

    def _join(self, epoch: bytes, earlier: list[bytes]) -> Join:
        first = self._epochs[epoch].links.get(1)
        if first is None:
            return Join.WAITING
        if first.before is not None and first.before.head != first.prev:
            return Join.BROKEN
        if first.prev == ZERO and first.set_aside:
            return Join.SET_ASIDE
        if first.prev == ZERO:
            # a very first start after others: the node's storage was wiped
            return Join.ROLLED_BACK if any(self._epochs[other].links for other in earlier) else Join.FIRST
        place = self._places.get(first.prev)
        if place is None:
            return Join.BROKEN if self._contradicted(first.before) else Join.WAITING
        parent, seq = place
        forked = any(self._follows(other, first.prev) for other in earlier)
        return Join.ROLLED_BACK if forked or seq < self._epochs[parent].highest else Join.JOINED

    def _contradicted(self, before: Before | None) -> bool:
        named = self._epochs.get(before.epoch) if before else None
        return before is not None and named is not None and before.seq in named.links

    def _follows(self, epoch: bytes, head: bytes) -> bool:
        first = self._epochs[epoch].links.get(1)
        return first is not None and first.prev == head
