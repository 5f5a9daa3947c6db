"""Events as MQTT publications of quality 1; the broker's PUBACK is the acknowledgement.

What was said before is said again: the broker keeps a retained message for whoever comes later, and the camera tells
an old event anew as the state of things. Neither is a new read.
"""

from __future__ import annotations

import asyncio
import time

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion

from simulators.over.carrier import Heard, Temper
from simulators.vendors.telling import Message, Telling

ANSWER_LIMIT_S = 5.0
POLL_S = 0.2
QUALITY = 1


class MqttPublisher:
    """`name` is its client id; `forgotten` is published at the end, so that nothing is left with the broker."""

    acknowledges: str | None = "puback"
    parallel = 1

    def __init__(
        self,
        temper: Temper,
        peer: tuple[str, int],
        name: str,
        login: tuple[str, str] | None,
        forgotten: Message | None,
    ) -> None:
        self._temper = temper
        self._peer = peer
        self._forgotten = forgotten
        self._client = paho.Client(CallbackAPIVersion.VERSION2, client_id=name, protocol=paho.MQTTv311)
        self._client.reconnect_delay_set(1, 5)
        if login is not None:
            self._client.username_pw_set(*login)

    async def open(self) -> dict[str, object]:
        self._client.connect_async(*self._peer, keepalive=15)
        self._client.loop_start()
        return {}

    async def awaited(self) -> None:
        while not self._client.is_connected() and not self._temper.stopping.is_set():
            await self._temper.pause(POLL_S)

    async def carry(self, telling: Telling) -> Heard:
        """The client itself sends again what was not acknowledged before the connection broke."""
        temper = self._temper
        deadline = time.monotonic() + max(temper.habits.retry_for_s, ANSWER_LIMIT_S)
        sent = 0
        for message in telling.messages:
            temper.counts["tries"] += 1
            sent += len(message.body)
            if not await self._publish(message, deadline):
                return Heard("gave_up", None, 1, sent)
        if temper.happens(temper.habits.duplicates):
            temper.counts["duplicates"] += 1
            for message in telling.messages:
                await self._publish(message, deadline)
        return Heard("stored", None, 1, sent)

    async def beat(self, message: Message) -> bool:
        return await self._publish(message, time.monotonic() + ANSWER_LIMIT_S)

    async def stray(self, message: Message | None) -> None:
        """On a topic below the reads'; it is no JSON."""
        other = message or Message(b"online", path="status")
        await self._publish(other, time.monotonic() + ANSWER_LIMIT_S)

    async def close(self) -> None:
        if self._forgotten is not None and self._client.is_connected():
            await self._publish(self._forgotten, time.monotonic() + ANSWER_LIMIT_S)
        self._client.disconnect()
        await asyncio.to_thread(self._client.loop_stop)

    async def _publish(self, message: Message, deadline: float) -> bool:
        """Whether the broker acknowledged it in time."""
        published = self._client.publish(message.path, message.body, QUALITY, retain=message.retained)
        while not published.is_published():
            if time.monotonic() >= deadline or self._temper.stopping.is_set():
                return False
            await asyncio.to_thread(_wait, published)
        return True


def _wait(published: paho.MQTTMessageInfo) -> None:
    """At most `POLL_S`. A publication that waits for the connection is no fault."""
    try:
        published.wait_for_publish(POLL_S)
    except (RuntimeError, ValueError):
        time.sleep(POLL_S)
