"""The courier: carries sealed records out and forgets one only on the store's signed receipt.

It holds no queue of its own: a few records of each lane at most, bounded in bytes; the ledger is the queue. A PUBACK
moves a record to "in flight" and no further; a time-out counts as nothing.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

from edge.changes import Settle, Tier
from edge.claim import Outcome
from edge.errors import Tampered
from edge.read import Record
from edge.sign import Verifier
from uplink.order import LANES, Lane, Part, Sent, choose
from uplink.transport import Disconnected, NotTaken, Transport
from uplink.wire import Address, read_receipt, record_message

log = logging.getLogger(__name__)

_WINDOW_MESSAGES = 16  # of the 20 that a Mosquitto lets be in flight: heartbeats always find a place
_FETCH = 8  # records of a lane fetched at a time: at most some 240 kB each
_UNRECEIPTED_WINDOWS = 8  # how many windows of acknowledged bytes may wait for receipts
_RESEND_MOST_S = 600.0
_NOT_TAKEN_WAIT_S = 60.0


@dataclass(frozen=True, slots=True)
class Terms:
    """How the courier works. `window_bytes` bounds what the broker has not acknowledged; rate 0 is unlimited."""

    window_bytes: int
    backlog_share_percent: int
    receipt_timeout_s: float
    broker_is_enough: bool = False
    rate_bytes_per_s: int = 0
    live_for_s: float = 60.0


class Shelf(Protocol):
    """What the courier needs of the ledger, and no more."""

    async def waiting(self, tier: Tier, after_row: int, until_row: int, limit: int) -> tuple[Record, ...]: ...
    async def last_row(self) -> int: ...
    async def settle(self, settle: Settle) -> int | Outcome: ...


@dataclass(slots=True)
class Flight:
    """A record on its way. `due_s`: when it is sent again unless a receipt comes; None until acknowledged."""

    record: Record
    tries: int = 1
    acknowledged: bool = False
    due_s: float | None = None

    @property
    def size_bytes(self) -> int:
        return len(self.record.sealed)


class Courier:
    """One per node. `run` lives as long as the service; `ring` says that there is something new."""

    def __init__(
        self,
        shelf: Shelf,
        transport: Transport,
        address: Address,
        store_keys: Mapping[bytes, Verifier],
        terms: Terms,
        mono_s: Callable[[], float],
    ) -> None:
        self._shelf = shelf
        self._transport = transport
        self._address = address
        self._store_keys = store_keys
        self._terms = terms
        self._mono_s = mono_s
        self._bell = asyncio.Event()
        self._flights: dict[int, Flight] = {}
        self._fetched: dict[Lane, list[Record]] = {lane: [] for lane in LANES}
        self._cursor: dict[Lane, int] = dict.fromkeys(LANES, 0)
        self._deep: frozenset[Lane] = frozenset()  # whose last fetch was full: more lies behind it
        self._boundary = 0
        self._live_since_s = 0.0
        self._sent = Sent()
        self._allowance_bytes = 0.0
        self._allowed_at_s = 0.0
        self.counts: Counter[str] = Counter()
        self.last_receipt_s: float | None = None
        self.last_not_taken: int | None = None

    def ring(self) -> None:
        self._bell.set()

    async def run(self, wait_up: Callable[[], Awaitable[object]], wait_down: Callable[[], Awaitable[object]]) -> None:
        """Serve each connection from its coming up to its going down; until cancelled."""
        while True:
            await wait_up()
            async with asyncio.TaskGroup() as tasks:
                # Waited for from the first moment, so that a link that goes and returns meanwhile is not missed.
                down = tasks.create_task(_ended(wait_down))
                await self._begin()
                sending = tasks.create_task(self._send_all(tasks))
                await down
                sending.cancel()

    async def _begin(self) -> None:
        """A new connection: nothing is in flight, and everything that waits so far is backlog."""
        self._flights.clear()
        await self._divide()

    async def _divide(self) -> None:
        """Set what is live anew: what comes from now on."""
        self._boundary = await self._shelf.last_row()
        self._live_since_s = self._mono_s()
        self._deep = frozenset()
        for lane in LANES:
            self._fetched[lane].clear()
            self._cursor[lane] = self._boundary if lane.part is Part.LIVE else 0

    async def _send_all(self, tasks: asyncio.TaskGroup) -> None:
        while True:
            self._bell.clear()
            while (record := await self._next()) is not None:
                tasks.create_task(self._send(self._flights[record.row]))
            await self._until_bell()

    async def _until_bell(self) -> None:
        """Until something new, a receipt or an acknowledgement; or until the next re-send or allowance is due."""
        now_s = self._mono_s()
        dues = [flight.due_s - now_s for flight in self._flights.values() if flight.due_s is not None]
        if self._terms.rate_bytes_per_s and self._allowance_bytes <= 0:
            dues.append(0.1)
        try:
            async with asyncio.timeout(max(0.01, min(dues)) if dues else None):
                await self._bell.wait()
        except TimeoutError:
            return

    async def _next(self) -> Record | None:
        """The record to send now, entered as a flight; None where the window, the rate or the shelf says so."""
        if not self._room():
            return None
        overdue = self._overdue()
        if overdue is not None:
            overdue.tries += 1
            overdue.acknowledged, overdue.due_s = False, None
            self.counts["resent"] += 1
            self._allowance_bytes -= overdue.size_bytes
            return overdue.record
        # Only after what is overdue: where the store lost everything in flight, re-sending alone makes room again.
        if sum(f.size_bytes for f in self._flights.values()) >= self._terms.window_bytes * _UNRECEIPTED_WINDOWS:
            return None
        await self._refill()
        ready = [lane for lane in LANES if self._fetched[lane]]
        lane = choose(ready, self._sent, self._terms.backlog_share_percent)
        if lane is None:
            return None
        record = self._fetched[lane].pop(0)
        self._flights[record.row] = Flight(record)
        if len({each.part for each in ready}) == 2:  # else hours of live alone would owe the next backlog all of it
            self._sent = self._sent.more(lane.part, len(record.sealed))
        self._allowance_bytes -= len(record.sealed)
        return record

    def _room(self) -> bool:
        unacknowledged = [f.size_bytes for f in self._flights.values() if not f.acknowledged]
        if len(unacknowledged) >= _WINDOW_MESSAGES or sum(unacknowledged) >= self._terms.window_bytes:
            return False
        return self._allowed()

    def _allowed(self) -> bool:
        rate = self._terms.rate_bytes_per_s
        if not rate:
            return True
        now_s = self._mono_s()
        self._allowance_bytes = min(float(rate), self._allowance_bytes + (now_s - self._allowed_at_s) * rate)
        self._allowed_at_s = now_s
        return self._allowance_bytes > 0

    def _overdue(self) -> Flight | None:
        now_s = self._mono_s()
        return next((f for f in self._flights.values() if f.due_s is not None and f.due_s <= now_s), None)

    async def _refill(self) -> None:
        if self._mono_s() - self._live_since_s > self._terms.live_for_s and self._live_is_old():
            await self._divide()
        for lane in LANES:
            until = self._boundary if lane.part is Part.BACKLOG else (1 << 62)
            while not self._fetched[lane]:
                records = await self._shelf.waiting(lane.tier, self._cursor[lane], until, _FETCH)
                self._deep = self._deep | {lane} if len(records) == _FETCH else self._deep - {lane}
                if not records:
                    break
                self._cursor[lane] = records[-1].row
                self._fetched[lane] = [record for record in records if record.row not in self._flights]

    def _live_is_old(self) -> bool:
        """Whether the live part has a backlog of its own: then the newest are to go first again."""
        return any(lane.part is Part.LIVE for lane in self._deep)

    async def _send(self, flight: Flight) -> None:
        try:
            await self._transport.publish(record_message(self._address, flight.record))
        except Disconnected:
            return  # the connection is over; the next one begins anew
        except NotTaken as refusal:
            self.counts["not_taken"] += 1
            self.last_not_taken = refusal.code
            flight.acknowledged, flight.due_s = True, self._mono_s() + _NOT_TAKEN_WAIT_S
            log.warning("the broker does not take record %d: code %d", flight.record.seq, refusal.code)
        else:
            await self._acknowledged(flight)
        self._bell.set()

    async def _acknowledged(self, flight: Flight) -> None:
        self.counts["acknowledged"] += 1
        flight.acknowledged = True
        flight.due_s = self._mono_s() + min(_RESEND_MOST_S, self._terms.receipt_timeout_s * 2 ** (flight.tries - 1))
        if self._terms.broker_is_enough:
            await self._settle(Settle(flight.record.epoch, ((flight.record.seq, flight.record.seq),), ()))

    async def receipt(self, message: bytes) -> None:
        """Take a receipt in. One that does not verify changes nothing and is counted."""
        try:
            receipt = read_receipt(message, self._address.node, self._store_keys)
        except Tampered as problem:
            self.counts["bad_receipts"] += 1
            log.warning("a receipt is not taken: %s", problem.sentence)
            return
        self.last_receipt_s = self._mono_s()
        await self._settle(Settle(receipt.epoch, receipt.got, receipt.refused))

    async def _settle(self, settle: Settle) -> None:
        let_go = await self._shelf.settle(settle)
        assert isinstance(let_go, int)
        self.counts["receipted"] += let_go
        self.counts["refused_by_store"] += len(settle.refused)
        refused = {seq for seq, _ in settle.refused}
        for row, flight in list(self._flights.items()):
            seq = flight.record.seq
            if flight.record.epoch == settle.epoch and (
                seq in refused or any(first <= seq <= last for first, last in settle.got)
            ):
                del self._flights[row]
        self._bell.set()


async def _ended(wait_down: Callable[[], Awaitable[object]]) -> None:
    await wait_down()
