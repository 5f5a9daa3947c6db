"""What may be asked of the ledger, and what it says of itself. Pure values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from edge.chain import ChainEnd
from edge.read import Evidence


class Tier(Enum):
    """Reads and acts go before overviews, so that some 4 kB never wait behind 25 kB (wire.md, 5)."""

    FIRST = 0
    OVERVIEW = 1


class State(Enum):
    WAITING = 0
    REFUSED = 1  # by the store, with its code
    DAMAGED = 2  # its tag no longer fits


@dataclass(frozen=True, slots=True)
class Accept:
    """Store the evidence of one read, and its overview as a record of its own. Result: an `Outcome`."""

    evidence: Evidence


@dataclass(frozen=True, slots=True)
class Enter:
    """Write down an act of the node's own. Result: its seq."""

    act: str
    detail: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Settle:
    """What a verified receipt says of one epoch. Result: how many records it let go."""

    epoch: bytes = field(repr=False)
    got: tuple[tuple[int, int], ...]
    refused: tuple[tuple[int, str], ...]


Change = Accept | Enter | Settle


@dataclass(frozen=True, slots=True)
class Usage:
    """What is buffered. `oldest_ms`: from when the age of the oldest waiting record counts, None where none waits;
    `entered_bytes` and `left_bytes`: sealed bytes written and let go since the start. `max_age_ms`: the lawful age,
    None where none is set; `shedding`: the kind of record that was given up in the last minutes, or nothing; `shed`:
    how many since the start. `quarantined`: ledgers that are set aside, `unsalvaged` of them not gone through yet.
    `ballast_gone`: the disk was full, and no read is taken until it is not."""

    waiting: int
    waiting_bytes: int
    refused: int
    damaged: int
    oldest_ms: int | None
    used_bytes: int
    max_bytes: int
    last_row: int
    entered_bytes: int = 0
    left_bytes: int = 0
    max_age_ms: int | None = None
    shedding: str = ""
    shed: int = 0
    quarantined: int = 0
    unsalvaged: int = 0
    ballast_gone: bool = False


def checkpoint(end: ChainEnd, shed: Mapping[str, int], oldest: tuple[bytes, int] | None, at_ms: int) -> dict[str, Any]:
    """The statement of wire.md 4.4. `oldest`: epoch and number of the oldest record without a receipt."""
    return {
        "v": 1,
        "node": end.node,
        "epoch": end.epoch,
        "seq": end.seq,
        "head": end.head,
        "counts": end.counts(),
        "shed": dict(shed),
        "oldest": list(oldest) if oldest is not None else None,
        "at_ms": at_ms,
    }
