"""Which kinds of record the broker does not take now: one is asked with, after a growing wait, before the others go."""

from __future__ import annotations

from dataclasses import dataclass, field

from edge.read import Kind
from uplink.transport import NOBODY_LISTENS

FIRST_WAIT_S, MOST_WAIT_S = 2.0, 600.0  # a store that follows a broker's restart is there within seconds
OF_THE_TOPIC = frozenset({NOBODY_LISTENS, 0x87, 0x90, 0x97})
"""Nobody listens, not authorised, topic name invalid, quota exceeded: what holds for one holds for its kind."""


@dataclass(slots=True)
class _Hold:
    until_s: float
    wait_s: float
    asking: bool = False


@dataclass(slots=True)
class Holds:
    """Monotonic seconds throughout. Without a hold, everything is allowed."""

    _held: dict[Kind, _Hold] = field(default_factory=dict)

    def allows(self, kind: Kind, now_s: float) -> bool:
        hold = self._held.get(kind)
        return hold is None or (now_s >= hold.until_s and not hold.asking)

    def until_s(self, kind: Kind, now_s: float) -> float:
        """When to ask again, of a kind that is not allowed."""
        hold = self._held[kind]
        return max(hold.until_s, now_s + 1.0)

    def sent(self, kind: Kind) -> None:
        if kind in self._held:
            self._held[kind].asking = True

    def taken(self, kind: Kind) -> None:
        self._held.pop(kind, None)

    def refused(self, kind: Kind, now_s: float) -> None:
        """Wait, and longer each time; many refused at once are one refusal."""
        hold = self._held.get(kind)
        if hold is None:
            self._held[kind] = _Hold(now_s + FIRST_WAIT_S, FIRST_WAIT_S)
        elif now_s >= hold.until_s:
            hold.wait_s = min(MOST_WAIT_S, hold.wait_s * 2)
            hold.until_s, hold.asking = now_s + hold.wait_s, False

    def begin_anew(self) -> None:
        """Another connection may meet other rules, but is not asked with more than one."""
        for hold in self._held.values():
            hold.asking = False

    def next_s(self) -> float | None:
        """When the first of them may be asked with."""
        return min((hold.until_s for hold in self._held.values() if not hold.asking), default=None)
