"""Each camera's share: how much of one is in hand at once, and how often it may deliver. Pure.

A camera that sends fifty times too much, or a stranger behind its address, must not cost another camera a read.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field

_SOURCES_MAX = 256  # remembered: four times the cameras a node may have


@dataclass(slots=True)
class Rates:
    """A bucket for each source: `burst` deliveries at once, refilled at `per_s`. A camera that was away may bring what
    it kept; what is over is told to come later, and nothing of it is lost where the camera does as it is told."""

    per_s: float
    burst: int
    _buckets: OrderedDict[str, tuple[float, int]] = field(default_factory=OrderedDict)

    def allows(self, source: str, now_ns: int) -> bool:
        """Whether one more may come now; it is counted where it may."""
        left, then_ns = self._buckets.pop(source, (float(self.burst), now_ns))
        left = min(self.burst, left + max(0, now_ns - then_ns) / 1e9 * self.per_s)
        allowed = left >= 1
        self._buckets[source] = (left - 1 if allowed else left, now_ns)
        if len(self._buckets) > _SOURCES_MAX:
            self._buckets.popitem(last=False)
        return allowed


@dataclass(slots=True)
class Shares:
    """How many deliveries of each source are in hand; none may have more than `most`."""

    most: int
    _held: dict[str, int] = field(default_factory=dict)

    def take(self, source: str) -> bool:
        held = self._held.get(source, 0)
        if held >= self.most:
            return False
        self._held[source] = held + 1
        return True

    def give(self, source: str) -> None:
        left = self._held[source] - 1
        if left:
            self._held[source] = left
        else:
            del self._held[source]
