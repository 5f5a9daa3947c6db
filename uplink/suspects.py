"""Which record makes the broker hang up: what was in the air is sent alone, and one that falls alone three times is it.

Nothing is deleted and nothing is for ever: what is set aside is tried again after a wait that doubles.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from edge.changes import Settle
from uplink.flights import Key

FALLS = 3
MOST_ASIDE_S = 86_400.0


@dataclass(slots=True)
class Suspects:
    """`aside_s`: how long the first setting aside lasts."""

    aside_s: float
    _falls: dict[Key, int] = field(default_factory=dict, repr=False)

    def __contains__(self, key: Key) -> bool:
        return key in self._falls

    def fell(self, key: Key, *, alone: bool) -> float | None:
        """The broker hung up while it was in the air. How long to set it aside, where that is proven; else None."""
        falls = self._falls.get(key, 0) + alone
        self._falls[key] = falls
        return None if falls < FALLS else float(min(MOST_ASIDE_S, self.aside_s * 2 ** min(20, falls - FALLS)))

    def cleared(self, key: Key) -> None:
        self._falls.pop(key, None)

    def settled(self, settle: Settle) -> None:
        """Forget what a receipt names."""
        spans = (*settle.got, *((seq, seq) for seq, _ in settle.refused))
        for epoch, seq in list(self._falls):
            if epoch == settle.epoch and any(first <= seq <= last for first, last in spans):
                del self._falls[epoch, seq]
