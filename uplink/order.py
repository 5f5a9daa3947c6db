"""In which order records leave: live before backlog, both always moving; reads before overviews; oldest first. Pure.

A lane is a tier of the live or of the backlog part. What is live is set when the link comes up: everything received
after that; and set anew when the live part itself has grown old.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from enum import Enum

from edge.changes import Tier


class Part(Enum):
    LIVE = "live"
    BACKLOG = "backlog"


@dataclass(frozen=True, slots=True)
class Lane:
    part: Part
    tier: Tier


LANES = tuple(Lane(part, tier) for part in Part for tier in (Tier.FIRST, Tier.OVERVIEW))
"""In the order of preference."""


@dataclass(frozen=True, slots=True)
class Sent:
    """Bytes sent of each part while both had something to send."""

    live_bytes: int = 0
    backlog_bytes: int = 0

    def more(self, part: Part, size_bytes: int) -> Sent:
        live, backlog = self.live_bytes, self.backlog_bytes
        live, backlog = (live + size_bytes, backlog) if part is Part.LIVE else (live, backlog + size_bytes)
        # Halved now and then, so that the share is kept over the last megabyte and not over the node's life.
        return Sent(live // 2, backlog // 2) if live + backlog > 1_000_000 else Sent(live, backlog)


def choose(ready: Collection[Lane], sent: Sent, backlog_share_percent: int) -> Lane | None:
    """The lane to send from, of those that have something; None where none has.

    Live goes first until the backlog's share of the bytes is owed.
    """
    parts = {lane.part for lane in ready}
    if len(parts) == 2:
        total = sent.live_bytes + sent.backlog_bytes
        owed = sent.backlog_bytes * 100 < backlog_share_percent * total
        parts = {Part.BACKLOG if owed else Part.LIVE}
    return next((lane for lane in LANES if lane in ready and lane.part in parts), None)
