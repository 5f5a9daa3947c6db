"""The courier: carries sealed records out and forgets one only on the store's signed receipt.

It holds no queue of its own: a few records of each lane at most, bounded in bytes; the ledger is the queue. A PUBACK
moves a record to "in flight" and no further; a time-out counts as nothing.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace

from edge.changes import Settle, Tier
from edge.clock import utc_ms
from edge.errors import Tampered
from edge.read import Record
from edge.sign import Verifier
from uplink.flights import Flight, Flights, key_of
from uplink.holds import FIRST_WAIT_S, OF_THE_TOPIC, Holds
from uplink.hours import OffPeak, rate_bytes_per_s, tiers
from uplink.lanes import Lanes, Shelf
from uplink.order import Sent, choose
from uplink.pace import Pace
from uplink.suspects import Suspects
from uplink.transport import Disconnected, NotTaken, Transport
from uplink.window import window
from uplink.wire import Address, read_receipt, record_message

log = logging.getLogger(__name__)

_WINDOW_MESSAGES = 16  # of the 20 that a Mosquitto lets be in flight: heartbeats always find a place
_UNRECEIPTED_WINDOWS = 8  # how many windows of acknowledged bytes may wait for receipts
_RESEND_MOST_S = 600.0
_NOT_TAKEN_WAIT_S = 60.0
_HOURS_LOOKED_AT_S = 60.0


@dataclass(frozen=True, slots=True)
class Terms:
    """How the courier works. `window_bytes` bounds what the broker has not acknowledged; rate 0 is unlimited.

    `set_aside_s`: how long a record that makes the broker hang up is first set aside.
    """

    window_bytes: int
    backlog_share_percent: int
    receipt_timeout_s: float
    broker_is_enough: bool = False
    rate_bytes_per_s: int = 0
    live_for_s: float = 60.0
    off_peak: OffPeak | None = None
    set_aside_s: float = 600.0


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
        utc_ms: Callable[[], int] = utc_ms,
    ) -> None:
        self._shelf = shelf
        self._transport = transport
        self._address = address
        self._store_keys = store_keys
        self._terms = terms
        self._mono_s = mono_s
        self._utc_ms = utc_ms
        self._bell = asyncio.Event()
        self._settled = asyncio.Event()
        self._flights = Flights()
        self._alone: Flight | None = None
        self._lanes = Lanes(shelf, terms.live_for_s, self._flights.__contains__, mono_s)
        self._sent = Sent()
        self._pace = Pace()
        self._window = window(terms.window_bytes)
        self._holds = Holds()
        self._suspects = Suspects(terms.set_aside_s)
        self.counts: Counter[str] = Counter()
        self.last_receipt_s: float | None = None
        self.last_not_taken: int | None = None

    @property
    def set_aside(self) -> int:
        """How many records are set aside because the broker hangs up over them."""
        return self._flights.aside()

    def ring(self) -> None:
        self._lanes.ring()
        self._bell.set()

    def look_again(self) -> None:
        """Old records were put back into the ledger."""
        self._lanes.look_again()
        self._bell.set()

    def settlement(self) -> asyncio.Event:
        """Set at the next receipt that is taken in. Asked for before the question whose answer it may change."""
        return self._settled

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
        self._flights.begin_anew(self._mono_s())
        self._holds.begin_anew()
        self._alone = None
        await self._lanes.divide()

    async def _send_all(self, tasks: asyncio.TaskGroup) -> None:
        while True:
            self._bell.clear()
            while (flight := await self._next()) is not None:
                tasks.create_task(self._send(flight))
            await self._until_bell()

    async def _until_bell(self) -> None:
        """Until something new, a receipt or an acknowledgement; or until what is due, allowed or cheap again."""
        now_s = self._mono_s()
        dues = [at_s - now_s for at_s in (self._flights.next_due_s(), self._holds.next_s()) if at_s is not None]
        if (pause_s := self._pace.wait_s(self._rate())) is not None:
            dues.append(pause_s)
        if len(tiers(self._terms.off_peak, self._utc_ms())) < len(Tier):
            dues.append(_HOURS_LOOKED_AT_S)
        try:
            async with asyncio.timeout(max(0.01, min(dues)) if dues else None):
                await self._bell.wait()
        except TimeoutError:
            return

    # which one

    async def _next(self) -> Flight | None:
        """The flight to send, in the air from now; None where the window, the rate or the shelf says so."""
        if not self._room():
            return None
        flight = self._overdue()
        if flight is not None:
            flight.tries += 1
            self.counts["resent"] += 1
        else:
            # Only after what is overdue: where the store lost everything in flight, re-sending alone makes room again.
            if self._flights.waiting_bytes >= self._terms.window_bytes * _UNRECEIPTED_WINDOWS:
                return None
            record = await self._fresh()
            if record is None:
                return None
            flight = Flight(record, 0.0)
        flight.alone = key_of(flight.record) in self._suspects
        if flight.alone:
            self._alone = flight
        flight.sent_s = self._mono_s()
        self._flights.send(flight)
        self._holds.sent(flight.record.kind)
        self._pace.spend(flight.size_bytes)
        return flight

    def _room(self) -> bool:
        flights = self._flights
        if flights.in_air >= _WINDOW_MESSAGES or flights.in_air_bytes >= self._window.size_bytes:
            return False
        if self._alone is not None:
            return False
        return self._pace.allows(self._rate(), self._mono_s())

    def _rate(self) -> int:
        return rate_bytes_per_s(self._terms.rate_bytes_per_s, self._terms.off_peak, self._utc_ms())

    def _overdue(self) -> Flight | None:
        now_s = self._mono_s()
        while (flight := self._flights.overdue(now_s)) is not None:
            if self._holds.allows(flight.record.kind, now_s):
                return flight if self._may_go(flight.record) else None
            self._flights.put_off(flight, self._holds.until_s(flight.record.kind, now_s))
        return None

    def _may_go(self, record: Record) -> bool:
        """Whoever goes alone waits until the air is empty."""
        return key_of(record) not in self._suspects or not self._flights.in_air

    async def _fresh(self) -> Record | None:
        """The next record of the lane that is to go; not a moment before it may."""
        first = await self._lanes.refill(tiers(self._terms.off_peak, self._utc_ms()))
        now_s = self._mono_s()
        ready = [lane for lane, record in first.items() if self._holds.allows(record.kind, now_s)]
        lane = choose(ready, self._sent, self._terms.backlog_share_percent)
        if lane is None or not self._may_go(first[lane]):
            return None
        record = self._lanes.take(lane)
        if len({each.part for each in ready}) == 2:  # else hours of live alone would owe the next backlog all of it
            self._sent = self._sent.more(lane.part, len(record.sealed))
        return record

    # what becomes of it

    async def _send(self, flight: Flight) -> None:
        message = record_message(self._address, flight.record)
        try:
            await self._transport.publish(replace(message, alone=True) if flight.alone else message)
        except Disconnected as end:
            self._lost(flight, end.suspect)
            return  # the connection is over; the next one begins anew
        except NotTaken as refusal:
            self._not_taken(flight, refusal.code)
        else:
            await self._acknowledged(flight)
        if self._alone is flight:
            self._alone = None
        self._bell.set()

    def _lost(self, flight: Flight, suspect: bool) -> None:
        if not suspect:
            return
        aside_s = self._suspects.fell(key_of(flight.record), alone=flight.alone)
        if aside_s is not None:
            flight.aside = True
            self._flights.answered(flight, self._mono_s() + aside_s)
            self.counts["set_aside"] += 1
            log.warning("record %d is set aside: the broker hangs up over it", flight.record.seq)

    def _not_taken(self, flight: Flight, code: int) -> None:
        now_s, wait_s = self._mono_s(), _NOT_TAKEN_WAIT_S
        self.counts["not_taken"] += 1
        self.last_not_taken = code
        if code in OF_THE_TOPIC:
            self._holds.refused(flight.record.kind, now_s)
            wait_s = FIRST_WAIT_S
        wait_s = min(_RESEND_MOST_S, wait_s * 2 ** (flight.tries - 1))
        self._flights.answered(flight, now_s + wait_s)
        log.warning("the broker does not take record %d: code %d", flight.record.seq, code)

    async def _acknowledged(self, flight: Flight) -> None:
        now_s, record = self._mono_s(), flight.record
        self.counts["acknowledged"] += 1
        self._window = self._window.acknowledged(flight.size_bytes, now_s - flight.sent_s, now_s)
        self._holds.taken(record.kind)
        self._suspects.cleared(key_of(record))
        flight.aside = False
        wait_s = min(_RESEND_MOST_S, self._terms.receipt_timeout_s * 2 ** (flight.tries - 1))
        self._flights.answered(flight, now_s + wait_s)
        if self._terms.broker_is_enough:
            await self._settle(Settle(record.epoch, ((record.seq, record.seq),), ()))

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
        self._flights.settle(settle)
        self._suspects.settled(settle)
        self._settled.set()
        self._settled = asyncio.Event()
        self._bell.set()


async def _ended(wait_down: Callable[[], Awaitable[object]]) -> None:
    await wait_down()
