"""Cameras that publish to an MQTT broker: each message a delivery, acknowledged when the receiver has it.

The broker keeps what is not acknowledged. What may not happen here: an acknowledgement before the receiver's answer; a
retained message taken for a new one; two nodes of one name that throw each other out without a pause.
"""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from random import random
from typing import NoReturn

from capture.delivery import Answer, Delivery
from capture.holding import Faults, finished, taken
from capture.links import Links, Telling
from capture.sources.mqtt_client import MqttCamera, MqttLimits
from capture.sources.mqtt_connection import Connection, Ended, Message
from capture.tls import client_context
from edge.claim import Arrival, Outcome, Received, Way

_REFUSED = frozenset({"garbage", "too_large", "taken_over"})
_CUTS = 3
"""So many lines cut in a row, none of which had settled, look like two clients of one name (Mosquitto 2.0.11 sends no
"session taken over")."""


class MqttEvents:
    """The source."""

    def __init__(self, shared: _Shared) -> None:
        self._shared = shared
        self._counted = shared.counted
        self._faults = Faults()
        self._work = [asyncio.create_task(line.work()) for line in shared.lines]
        self._runs = [asyncio.create_task(line.run()) for line in shared.lines]
        for task in self._work + self._runs:
            self._faults.watch(task)

    def counts(self) -> dict[str, int]:
        """What went wrong, by a stable word, since the start."""
        return dict(self._counted)

    def refused(self) -> dict[str, int]:
        """Of those, what somebody may have wanted to be heard."""
        return {word: count for word, count in self._counted.items() if word in _REFUSED}

    async def failed(self) -> None:
        """Wait until something of ours breaks, and raise it."""
        await self._faults.failed()

    async def close(self) -> None:
        """Stop hearing; let the delivery in hand of each line finish for up to `stop_s`. What waits stays the
        broker's."""
        for tasks in (self._work, self._runs):  # the connections last: what is in hand wants its acknowledgement
            for task in tasks:
                task.cancel()
            if tasks:
                await asyncio.wait(tasks)


async def open_mqtt_events(
    cameras: Sequence[MqttCamera],
    limits: MqttLimits,
    receive: Callable[[Delivery], Awaitable[Answer]],
    links: Links,
    clock: Callable[[], Received],
) -> MqttEvents:
    """Hear these cameras for ever. Raises `Misconfigured` where a CA file cannot be used."""
    shared = _Shared(limits, receive, links, clock, Counter())
    shared.lines.extend(_Line(camera, shared) for camera in cameras)
    return MqttEvents(shared)


class _Shared:
    """What all lines share: the counts, and the bytes that wait."""

    def __init__(
        self,
        limits: MqttLimits,
        receive: Callable[[Delivery], Awaitable[Answer]],
        links: Links,
        clock: Callable[[], Received],
        counted: Counter[str],
    ) -> None:
        self.limits = limits
        self.receive = receive
        self.links = links
        self.clock = clock
        self.counted = counted
        self.held_bytes = 0
        self.lines: list[_Line] = []

    def hold(self, size_bytes: int) -> None:
        """More in hand, or less: whoever has too much of it stops reading."""
        self.held_bytes += size_bytes
        for line in self.lines:
            line.balance()


@dataclass(frozen=True, slots=True, eq=False)
class _Waiting:
    connection: Connection
    message: Message
    delivery: Delivery


class _Line:
    """One camera: its connection, one after the other, and what came over it."""

    def __init__(self, camera: MqttCamera, shared: _Shared) -> None:
        self._camera = camera
        self._shared = shared
        self._limits = shared.limits
        self._context = client_context(camera.trust, camera.authority)
        self._connection: Connection | None = None
        self._waiting: deque[_Waiting] = deque()
        self._some = asyncio.Event()
        self._room = asyncio.Event()
        self._room.set()
        self._cuts = 0
        self._tell = Telling(shared.links, camera.camera)

    # the connection

    async def run(self) -> NoReturn:
        failures = 0
        while True:
            await self._room.wait()
            why, held_s = await self._connected()
            why = self._suspected(why, held_s)
            failures = 1 if held_s >= self._limits.settled_s else failures + 1
            self._shared.counted[why] += 1
            self._tell(why)
            await asyncio.sleep(self._pause_s(why, failures))

    def _suspected(self, why: str, held_s: float) -> str:
        """Few brokers say that another client of the same name has come: they cut, as often as one comes back."""
        self._cuts = self._cuts + 1 if why == "cut" and 0 < held_s < self._limits.settled_s else 0
        return "taken_over" if self._cuts >= _CUTS else why

    def _pause_s(self, why: str, failures: int) -> float:
        """Who was taken over waits longest: two that fight for one name would both hear nothing."""
        backoff = self._limits.backoff
        longest = why in ("taken_over", "unauthorised")
        return backoff.most_s if longest else backoff.wait_s(failures, random())

    async def _connected(self) -> tuple[str, float]:
        """Why a connection ended, and for how many seconds it had held."""
        now_s = asyncio.get_running_loop().time
        connection = Connection(self._camera, self._context, self._limits, self._heard, self._resumed)
        self._connection = connection
        try:
            await connection.come_up()
            self._tell("")
            began_s = now_s()
            why = await connection.ended()
            return ("busy" if not self._room.is_set() and why == "quiet" else why), now_s() - began_s
        except Ended as ended:
            return ended.why, 0.0
        finally:
            self._connection = None
            connection.close()

    # what comes over it

    def _heard(self, connection: Connection, message: Message) -> None:
        try:
            topic = message.topic.decode("utf-8")
        except UnicodeDecodeError:
            self._shared.counted["garbage"] += 1
            connection.acknowledge(message.number)  # the broker would only repeat it
            return
        if not message.body:  # takes back what was retained
            self._shared.counted["cleared"] += 1
            connection.acknowledge(message.number)
            return
        arrival = Arrival(self._shared.clock(), connection.address, "/", Way.MQTT_EVENTS, self._camera.camera)
        delivery = Delivery(arrival, message.content_type, "", message.body, topic, message.retained)
        self._waiting.append(_Waiting(connection, message, delivery))
        self._some.set()
        self._shared.hold(len(message.body))

    def _resumed(self, connection: Connection) -> None:
        """The broker has kept the session, and sends again what an earlier connection did not acknowledge."""
        again = [each for each in self._waiting if each.connection is not connection and each.message.number]
        for each in again:
            self._waiting.remove(each)
            self._shared.hold(-len(each.message.body))

    def balance(self) -> None:
        """Read as long as there is room."""
        limits = self._limits
        full = len(self._waiting) > limits.in_hand or (
            bool(self._waiting) and self._shared.held_bytes > limits.in_hand_bytes
        )
        if full:
            self._room.clear()
        else:
            self._room.set()
        if self._connection is not None:
            self._connection.pause(full)

    async def work(self) -> NoReturn:
        """Hand on what waits, one after the other."""
        while True:
            await self._some.wait()
            if not self._waiting:
                self._some.clear()
                continue
            await finished(self._hand_on(self._waiting.popleft()), self._limits.stop_s)

    async def _hand_on(self, waiting: _Waiting) -> None:
        try:
            answer = await taken(waiting.delivery, self._shared.receive, self._limits.hold_s, self._held)
            if answer.verdict.outcome is Outcome.REFUSED:
                self._shared.counted["refused_messages"] += 1  # acknowledged: the broker would only repeat it
            waiting.connection.acknowledge(waiting.message.number)
        finally:
            self._shared.hold(-len(waiting.message.body))

    def _held(self) -> None:
        self._shared.counted["held"] += 1
