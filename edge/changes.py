"""What may be asked of the ledger, and what it says of itself. Pure values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

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
    """What is buffered. `oldest_ms`: when the oldest waiting record was received, None where none waits;
    `entered_bytes` and `left_bytes`: sealed bytes written and let go since the start."""

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
