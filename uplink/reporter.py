"""Says how the node is: birth, state, heartbeat with checkpoint, health, alerts. Never a plate.

Heartbeats do not wait behind reads: they go straight to the transport, and the window leaves them room.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

from edge.situation import Situation, alert_topics, alerts, health_groups, heartbeat, state
from uplink.transport import Disconnected, Message, NotTaken, Transport
from uplink.wire import Address, cleared, heartbeat_message, json_message, state_message

HEALTH_EVERY_S = 3600.0


@dataclass(slots=True)
class _Told:
    """What was last published of one health topic, and when."""

    content: str
    at_s: float


class Reporter:
    """One per node. `connected` at each coming up of the link; `beat` at each interval."""

    def __init__(
        self,
        transport: Transport,
        address: Address,
        session: int,
        birth: Mapping[str, Any],
        situation: Callable[[], Awaitable[Situation]],
        checkpoint: Callable[[], Awaitable[bytes]],
        interval_s: int,
        mono_s: Callable[[], float],
    ) -> None:
        self._transport = transport
        self._address = address
        self._session = session
        self._birth = birth
        self._situation = situation
        self._checkpoint = checkpoint
        self._interval_s = interval_s
        self._mono_s = mono_s
        self._told: dict[str, _Told] = {}
        self._since_ms: dict[str, int] = {}
        self._said_alerts: dict[str, str] = {}
        self._seq = 0
        self._last_state = ""
        self.born = False
        """Whether this life's birth is at a broker."""

    async def run(self, wait_up: Callable[[], Awaitable[object]], wait_down: Callable[[], Awaitable[object]]) -> None:
        """Report from each coming up of the link, at every interval, until it goes down; until cancelled."""
        while True:
            await wait_up()
            try:
                await self._connected()
                await self._beat_until_down(wait_down)
            except Disconnected:
                continue

    async def _beat_until_down(self, wait_down: Callable[[], Awaitable[object]]) -> None:
        """A link that is lost and comes back between two beats is a new beginning: its will has been heard."""
        while True:
            await self._beat()
            try:
                async with asyncio.timeout(self._interval_s):
                    await wait_down()
            except TimeoutError:
                continue
            return

    async def say_stopped(self, at_ms: int) -> None:
        """A clean stop, as the last word: `lost` comes only from the broker."""
        try:
            await self._transport.publish(state_message(self._address, "stopped", self._session, at_ms))
        except (Disconnected, NotTaken):
            return

    async def _connected(self) -> None:
        now = await self._situation()
        self._told.clear()
        self._said_alerts.clear()
        await self._say(state_message(self._address, "init", self._session, now.at_ms))
        await self._say(json_message(self._address, "birth", {**self._birth, "at_ms": now.at_ms}, retain=True))
        self.born = True
        self._last_state = ""
        # What an earlier life left standing at the broker and no longer holds.
        for topic in set(alert_topics(now.cameras)) - {alert.topic() for alert in alerts(now)}:
            await self._say(cleared(self._address, topic))

    async def _beat(self) -> None:
        now = await self._situation()
        if (word := state(now)) != self._last_state:
            await self._say(state_message(self._address, word, self._session, now.at_ms))
            self._last_state = word
        self._seq += 1
        content = heartbeat(now, self._seq, self._interval_s)
        await self._say(heartbeat_message(self._address, content, await self._checkpoint(), self._interval_s))
        await self._say_alerts(now)
        for group, health in health_groups(now).items():
            await self._say_health(f"health/{group}", health, now.at_ms)
        for camera, report in now.cameras.items():
            await self._say_health(f"health/camera/{camera}", report, now.at_ms)

    async def _say_alerts(self, now: Situation) -> None:
        current = {alert.topic(): alert for alert in alerts(now)}
        for topic in self._since_ms.keys() - current.keys():
            await self._say(cleared(self._address, topic))
            del self._since_ms[topic]
            self._said_alerts.pop(topic, None)
        for topic, alert in current.items():
            since_ms = self._since_ms.setdefault(topic, now.at_ms - (alert.began_age_s or 0) * 1000)
            if self._said_alerts.get(topic) != alert.level:
                content = {"level": alert.level, "since_ms": since_ms, "sentence": alert.sentence, "hint": alert.hint}
                await self._say(json_message(self._address, topic, content, retain=True))
                self._said_alerts[topic] = alert.level

    async def _say_health(self, topic: str, content: Mapping[str, Any], at_ms: int) -> None:
        """On change of a word or a truth, and hourly: a number that moves is no news by itself."""
        gist = json.dumps({k: v for k, v in content.items() if isinstance(v, str | bool)}, sort_keys=True)
        told = self._told.get(topic)
        if told is None or told.content != gist or self._mono_s() - told.at_s >= HEALTH_EVERY_S:
            await self._say(json_message(self._address, topic, {**content, "at_ms": at_ms}, retain=True))
            self._told[topic] = _Told(gist, self._mono_s())

    async def _say(self, message: Message) -> None:
        """Publish; a broker that refuses a report must not keep the others from being made."""
        try:
            await self._transport.publish(message)
        except NotTaken:
            return
