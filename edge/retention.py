"""What the ledger gives up, and when: by room, the heavy and the old first; by age, what the law says. Pure.

What may not happen here: an act being given up, or a record's age being told by a clock that nobody vouches for. Why
this order, and why a patch is never cut out of a stored read: docs/decisions/0013-shedding.md.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from enum import Enum
from typing import Any

from edge.claim import Role
from edge.read import Evidence, Kind, Omitted

OLD_OVERVIEWS, OVERVIEWS, TEXT_ONLY, READS = 0.80, 0.90, 0.95, 0.98
"""Shares of the ledger's room from which each tier is shed (80, 90 and 95 %: security.md 4)."""
EASE = 0.02  # shed this far below the mark, so that one act speaks of many records
AT_ONCE = 256  # records in one transaction and one act: some 3 kB of numbers
NO_ROOM = "no_room"
_SHARE_PERCENT = 80  # of its partition
_LEAST_BYTES = 1_000_000  # ledger.max_bytes has the same floor


class Reason(Enum):
    ROOM = "room"
    AGE = "age"


@dataclass(frozen=True, slots=True)
class Terms:
    """`max_age_ms`: after this, what was not sent is erased. `fresh_ms`: an overview younger than this is not old."""

    max_age_ms: int
    fresh_ms: int = 3_600_000


@dataclass(frozen=True, slots=True)
class Cut:
    """Give up waiting records of this kind, oldest first, received before this time, until so much is used."""

    kind: Kind
    before_ms: int
    down_to_bytes: int


@dataclass(frozen=True, slots=True)
class Waiting:
    """A record that could be given up; `row` as in the ledger."""

    row: int
    kind: Kind
    received_ms: int
    size_bytes: int


def capped(max_bytes: int, partition_bytes: int, ballast_bytes: int) -> int:
    """The largest the ledger may be on a partition of this size."""
    return min(max_bytes, max(_LEAST_BYTES, partition_bytes * _SHARE_PERCENT // 100 - ballast_bytes))


def cuts(used_bytes: int, max_bytes: int, now_ms: int, terms: Terms) -> tuple[Cut, ...]:
    """What to give up at this fill, in this order. The time of the last two is past every record's."""
    share, ever = used_bytes / max_bytes, 1 << 62
    marks = (
        (OLD_OVERVIEWS, Kind.OVERVIEW, now_ms - terms.fresh_ms),
        (OVERVIEWS, Kind.OVERVIEW, ever),
        (READS, Kind.READ, ever),
    )
    return tuple(Cut(kind, before, int(max_bytes * (mark - EASE))) for mark, kind, before in marks if share >= mark)


def chosen(oldest: Sequence[Waiting], cut: Cut, used_bytes: int) -> tuple[Waiting, ...]:
    """Of these, oldest first, those that this cut takes."""
    taken: list[Waiting] = []
    for each in oldest:
        if used_bytes <= cut.down_to_bytes or each.received_ms >= cut.before_ms:
            break
        taken.append(each)
        used_bytes -= each.size_bytes
    return tuple(taken)


def fitting(evidence: Evidence, used_bytes: int, max_bytes: int) -> Evidence:
    """A new read as it may come in at this fill: whole, without its overview, or as text. What is left out is said in
    the read itself."""
    share = used_bytes / max_bytes
    if share >= OVERVIEWS and not isinstance(evidence.overview, Omitted):
        evidence = replace(evidence, overview=Omitted(Role.OVERVIEW, NO_ROOM))
    if share >= TEXT_ONLY and not isinstance(evidence.patch, Omitted):
        evidence = replace(evidence, patch=Omitted(Role.PLATE_PATCH, NO_ROOM))
    return evidence


def too_old(ages_from_ms: int | None, now_ms: int, terms: Terms) -> bool:
    """Whether a record is past the lawful age. None: no clock that could be believed has counted yet."""
    return ages_from_ms is not None and now_ms - ages_from_ms > terms.max_age_ms


def ranges(numbers: Iterable[int]) -> list[list[int]]:
    """Ascending ranges, both ends included, of exactly these numbers."""
    found: list[list[int]] = []
    for number in sorted(numbers):
        if found and found[-1][1] == number - 1:
            found[-1][1] = number
        else:
            found.append([number, number])
    return found


def shed_detail(reason: Reason, gone: Iterable[tuple[bytes, int, Kind]]) -> dict[str, Any]:
    """The detail of a `shed` act (wire.md 4.1) over these epochs, numbers and kinds."""
    counts: dict[str, int] = {}
    by_epoch: dict[bytes, list[int]] = {}
    for epoch, seq, kind in gone:
        counts[kind.value] = counts.get(kind.value, 0) + 1
        by_epoch.setdefault(epoch, []).append(seq)
    which = [{"epoch": epoch, "ranges": ranges(seqs)} for epoch, seqs in by_epoch.items()]
    return {"reason": reason.value, "counts": counts, "which": which}
