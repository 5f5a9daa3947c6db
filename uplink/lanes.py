"""What lies ready in each lane: a few records fetched from the ledger, oldest first, and where the next ones begin."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Protocol

from edge.changes import Settle, Tier
from edge.claim import Outcome
from edge.read import Record
from uplink.order import LANES, Lane, Part

_FETCH = {Tier.FIRST: 32, Tier.OVERVIEW: 8}  # records of a lane fetched at a time: at most some 240 kB each
_DRY_FOR_S = 1.0  # an empty lane is not asked about again before that, unless something was said to have come
_NO_END = 1 << 62


class Shelf(Protocol):
    """What the courier needs of the ledger, and no more."""

    async def waiting(self, tier: Tier, after_row: int, until_row: int, limit: int) -> tuple[Record, ...]: ...
    async def last_row(self) -> int: ...
    async def settle(self, settle: Settle) -> int | Outcome: ...


class Lanes:
    """`live_for_s`: how long what came is live, where more of it comes than goes. `under_way`: what is not to be
    fetched again."""

    def __init__(
        self,
        shelf: Shelf,
        live_for_s: float,
        under_way: Callable[[Record], bool],
        mono_s: Callable[[], float],
    ) -> None:
        self._shelf = shelf
        self._live_for_s = live_for_s
        self._under_way = under_way
        self._mono_s = mono_s
        self._fetched: dict[Lane, list[Record]] = {lane: [] for lane in LANES}
        self._cursor: dict[Lane, int] = dict.fromkeys(LANES, 0)
        self._deep: frozenset[Lane] = frozenset()  # whose last fetch was full: more lies behind it
        self._boundary = 0
        self._live_since_s = 0.0
        self._rung = 0
        self._anew = False
        self._dry: dict[Lane, tuple[int, float]] = {}

    def ring(self) -> None:
        """Something new lies in the ledger."""
        self._rung += 1

    def look_again(self) -> None:
        """Something lies in the ledger behind what was fetched already: old records were put back."""
        self._anew = True
        self.ring()

    async def divide(self) -> None:
        """Set what is live anew: what comes from now on."""
        self._boundary = await self._shelf.last_row()
        self._live_since_s = self._mono_s()
        self._deep = frozenset()
        self._dry.clear()
        for lane in LANES:
            self._fetched[lane].clear()
            self._cursor[lane] = self._boundary if lane.part is Part.LIVE else 0

    async def refill(self, tiers: Collection[Tier]) -> dict[Lane, Record]:
        """The first record of each lane of these tiers that has one."""
        if self._anew or (self._mono_s() - self._live_since_s > self._live_for_s and self._live_is_old()):
            self._anew = False
            await self.divide()
        lanes = [lane for lane in LANES if lane.tier in tiers]
        for lane in lanes:
            until = self._boundary if lane.part is Part.BACKLOG else _NO_END
            while not self._fetched[lane] and not self._is_dry(lane):
                rung, most = self._rung, _FETCH[lane.tier]  # as it was before the question
                records = await self._shelf.waiting(lane.tier, self._cursor[lane], until, most)
                self._deep = self._deep | {lane} if len(records) == most else self._deep - {lane}
                if not records:
                    self._dry[lane] = rung, self._mono_s()
                    break
                self._cursor[lane] = records[-1].row
                self._fetched[lane] = [record for record in records if not self._under_way(record)]
        return {lane: self._fetched[lane][0] for lane in lanes if self._fetched[lane]}

    def _is_dry(self, lane: Lane) -> bool:
        """Each question goes to the ledger's thread, and behind a commit where one is being made."""
        rung, at_s = self._dry.get(lane, (-1, 0.0))
        return rung == self._rung and self._mono_s() - at_s < _DRY_FOR_S

    def take(self, lane: Lane) -> Record:
        return self._fetched[lane].pop(0)

    def _live_is_old(self) -> bool:
        """Whether the live part has a backlog of its own: then the newest are to go first again."""
        return any(lane.part is Part.LIVE for lane in self._deep)
