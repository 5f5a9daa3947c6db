"""The MQTT link: connects, keeps trying, chooses among brokers, and says what was acknowledged.

Losing the broker is normal and is retried in place, with back-off and full jitter. A new line serves each connection:
no state of a lost one is carried over, because the ledger is the only queue.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import ssl
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from edge.clock import utc_ms
from uplink.backoff import full_jitter
from uplink.client import BrokerAddress
from uplink.line import Line
from uplink.tls import Tls
from uplink.transport import Disconnected, Message
from uplink.trouble import PATIENT, Ended, Fell, Trouble

__all__ = ["BrokerAddress", "MqttLink", "Tls"]

FIRST_WAIT_S, MOST_WAIT_S = 1.0, 30.0  # a broker that returns has its nodes within half a minute
PATIENT_FIRST_S, PATIENT_MOST_S = 10.0, 300.0  # what a person must mend is not asked for every second
STEADY_S, PATIENT_STEADY_S = 10.0, 600.0  # how long a connection must stand before a wait begins small again
RETURN_S, RETURN_MOST_S = 300.0, 3600.0  # how often the preferred broker is looked for from another
LEAVE_WITHIN_S, LINGER_S = 5.0, 1.0  # what is in the air is acknowledged; its receipts come within 250 ms
REPORT_TAKEOVER_S = 600.0
_RETURNING = Ended(Trouble.RETURNING, "the preferred broker is back")


class MqttLink:
    """A `Transport` that is up or not. `received` is called with each message; the first subscription must be granted,
    more may be refused. `others` are asked where `broker` is away, in their order, and left when it is back."""

    def __init__(
        self,
        broker: BrokerAddress,
        will: Message,
        subscriptions: Sequence[str],
        received: Callable[[str, bytes], None],
        chance: Callable[[], float] = random.random,
        *,
        others: Sequence[BrokerAddress] = (),
        return_s: float = RETURN_S,
        utc_ms: Callable[[], int] = utc_ms,
    ) -> None:
        self._brokers = (broker, *others)
        self._will = will
        self._subscriptions = subscriptions
        self._received = received
        self._chance = chance
        self._utc_ms = utc_ms
        self._contexts = [each.tls.context() if each.tls else None for each in self._brokers]
        self._loop = asyncio.get_running_loop()
        self._line: Line | None = None
        self._first_return_s = self._return_s = return_s
        self._quick, self._patient = self._new_quick(), self._new_patient()
        self._taken_over_s: float | None = None
        self.up = asyncio.Event()
        self.went_down = asyncio.Event()
        self.trouble: Trouble | None = None
        self.last_problem = ""
        self.connects = 0
        self.takeovers = 0
        self.place = 0
        """Which broker is or was last connected; 0 is the preferred."""

    def taken_over(self) -> bool:
        """Whether another client took this node's name at the broker, within the last ten minutes."""
        return self._taken_over_s is not None and self._loop.time() - self._taken_over_s < REPORT_TAKEOVER_S

    async def run(self) -> None:
        """Connect, stay, connect again, from the preferred broker on; until cancelled."""
        place = 0
        while True:
            began_s, connects = self._loop.time(), self.connects
            ended = await self._once(place)
            was_up = self.connects > connects
            self._note(ended)
            if was_up:
                self._forget_waits(self._loop.time() - began_s)
            wait_s = next(self._patient if ended.trouble in PATIENT else self._quick)
            if not was_up and place + 1 < len(self._brokers):
                place += 1
                wait_s = min(wait_s, FIRST_WAIT_S * self._chance())  # the next broker may be well
            else:
                place = 0
            if ended.trouble is not Trouble.RETURNING:
                await asyncio.sleep(wait_s)

    async def publish(self, message: Message) -> None:
        line = self._line
        if line is None:
            raise Disconnected
        await line.publish(message)

    async def _once(self, place: int) -> Ended:
        """One connection, from its attempt to its end."""
        broker, context = self._brokers[place], self._contexts[place]
        line = Line(broker, context, self._will, self._subscriptions, self._received, self._utc_ms)
        try:
            await line.come_up()
            self._came_up(line, place)
            return await (line.down if place == 0 else self._until_down_or_better(line))
        except Fell as fell:
            return fell.ended
        finally:
            self._line = None
            self.up.clear()
            self.went_down.set()
            line.close()

    def _came_up(self, line: Line, place: int) -> None:
        if line.down.done():
            raise Fell(line.down.result())
        self._line = line
        self.place = place
        self.connects += 1
        self.trouble, self.last_problem = None, ""
        self.went_down.clear()
        self.up.set()

    def _note(self, ended: Ended) -> None:
        self.trouble, self.last_problem = ended.trouble, ended.said()
        if ended.trouble is Trouble.TAKEN_OVER:
            self.takeovers += 1
            self._taken_over_s = self._loop.time()

    # waiting

    def _new_quick(self) -> Iterator[float]:
        return full_jitter(FIRST_WAIT_S, MOST_WAIT_S, self._chance)

    def _new_patient(self) -> Iterator[float]:
        return full_jitter(PATIENT_FIRST_S, PATIENT_MOST_S, self._chance)

    def _forget_waits(self, stood_s: float) -> None:
        """A connection that stood shows that all was well; one that fell at once shows nothing."""
        if stood_s >= STEADY_S:
            self._quick = self._new_quick()
            if self.place == 0:
                self._return_s = self._first_return_s
        if stood_s >= PATIENT_STEADY_S:
            self._patient = self._new_patient()

    # the preferred broker

    async def _until_down_or_better(self, line: Line) -> Ended:
        better = self._loop.create_task(self._preferred_is_back())
        try:
            either: set[asyncio.Future[Any]] = {line.down, better}
            await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
            if line.down.done():
                return line.down.result()
            await line.retire(LEAVE_WITHIN_S, LINGER_S, _RETURNING)
            return line.down.result()
        finally:
            better.cancel()
            await asyncio.gather(better, return_exceptions=True)

    async def _preferred_is_back(self) -> None:
        """Until it takes a connection. It is not logged in to: brokers of one cluster would end this connection."""
        while True:
            await asyncio.sleep(self._return_s * (0.5 + self._chance()))
            if await self._answers(self._brokers[0], self._contexts[0]):
                self._return_s = min(RETURN_MOST_S, self._return_s * 2)  # until it has shown that it takes us in
                return

    @staticmethod
    async def _answers(broker: BrokerAddress, context: ssl.SSLContext | None) -> bool:
        with contextlib.suppress(OSError):  # TimeoutError and ssl's errors are of them
            async with asyncio.timeout(LEAVE_WITHIN_S):
                _, writer = await asyncio.open_connection(broker.host, broker.port, ssl=context)
                writer.close()
                await writer.wait_closed()
            return True
        return False
