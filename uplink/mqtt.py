"""MQTT over paho: the one module that knows a broker. It connects, keeps trying, and says what was acknowledged.

Losing the broker is normal and is retried in place, with back-off and full jitter. A new paho client serves each
connection: no state of a lost one is carried over, because the ledger is the only queue.
"""

from __future__ import annotations

import asyncio
import random
import socket
import ssl
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from edge.errors import Misconfigured
from uplink.backoff import full_jitter
from uplink.transport import Disconnected, Message, NotTaken

FIRST_WAIT_S, MOST_WAIT_S = 1.0, 30.0  # a broker that returns has its nodes within half a minute
USER_TIMEOUT_MS = 20_000  # a half-open link shows after this (measured: 6.4 s at 6 s; without, two keepalives)
CONNECT_TIMEOUT_S = 10.0
ACKNOWLEDGE_WITHIN_S = 30.0
IN_FLIGHT_MESSAGES = 20  # Mosquitto's own limit; a broker may state a lower one in its CONNACK
WILL_DELAY_S = 20


@dataclass(frozen=True, slots=True)
class Tls:
    """Where the certificates lie. Verification is never turned off."""

    ca: Path
    certificate: Path
    key: Path

    def context(self) -> ssl.SSLContext:
        try:
            context = ssl.create_default_context(cafile=str(self.ca))
            context.load_cert_chain(self.certificate, self.key)
        except (OSError, ssl.SSLError) as problem:
            raise Misconfigured(
                f"the uplink's certificates cannot be used: {type(problem).__name__}",
                "check uplink.ca, uplink.certificate and uplink.key: anpr-edge config check",
            ) from problem
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        return context


@dataclass(frozen=True, slots=True)
class BrokerAddress:
    host: str
    port: int
    tls: Tls | None
    protocol: int
    keepalive_s: int
    client_id: str


@dataclass(slots=True)
class _Line:
    """One connection: its client, what waits for acknowledgement, and the futures of its beginning and end."""

    client: paho.Client
    up: asyncio.Future[int]
    down: asyncio.Future[str]
    most: int = IN_FLIGHT_MESSAGES
    places: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(0))
    waiting: dict[int, asyncio.Future[None]] = field(default_factory=dict)


class MqttLink:
    """A `Transport` that is up or not. `connected` is called at each coming up, `received` with each message."""

    def __init__(
        self,
        broker: BrokerAddress,
        will: Message,
        subscriptions: Sequence[str],
        received: Callable[[str, bytes], None],
        chance: Callable[[], float] = random.random,
    ) -> None:
        self._broker = broker
        self._will = will
        self._subscriptions = subscriptions
        self._received = received
        self._chance = chance
        self._context = broker.tls.context() if broker.tls else None
        self._line: _Line | None = None
        self._loop = asyncio.get_running_loop()
        self.up = asyncio.Event()
        self.went_down = asyncio.Event()
        self.last_problem = ""
        self.connects = 0

    async def run(self) -> None:
        """Connect, stay, connect again; until cancelled."""
        waits = full_jitter(FIRST_WAIT_S, MOST_WAIT_S, self._chance)
        while True:
            line = self._new_line()
            try:
                await self._connect(line)
                waits = full_jitter(FIRST_WAIT_S, MOST_WAIT_S, self._chance)
                self.last_problem = await line.down
            except Disconnected as problem:
                self.last_problem = str(problem.__cause__ or problem) or f"no answer within {CONNECT_TIMEOUT_S:.0f} s"
            finally:
                await self._hang_up(line)
            await asyncio.sleep(next(waits))

    async def publish(self, message: Message) -> None:
        line = self._line
        if line is None:
            raise Disconnected
        async with line.places:
            await self._publish(line, message)

    async def _publish(self, line: _Line, message: Message) -> None:
        if line is not self._line or line.down.done():
            raise Disconnected
        done: asyncio.Future[None] = self._loop.create_future()
        # The acknowledgement is handed to this loop, so it cannot overtake the entry below.
        info = line.client.publish(
            message.topic, message.payload, qos=1, retain=message.retain, properties=self._properties(message)
        )
        if info.rc not in (paho.MQTT_ERR_SUCCESS, paho.MQTT_ERR_NO_CONN):
            raise Disconnected
        line.waiting[info.mid] = done
        try:
            async with asyncio.timeout(ACKNOWLEDGE_WITHIN_S):
                await done
        except TimeoutError:
            # Nothing is known of it, and its place in the window would be lost: begin anew.
            settle(line.down, f"no acknowledgement within {ACKNOWLEDGE_WITHIN_S:.0f} s")
            raise Disconnected from None

    async def _connect(self, line: _Line) -> None:
        broker = self._broker
        clean: dict[str, Any] = {}
        if broker.protocol == 5:
            # A will waits no longer than its session lives (MQTT 5, 3.1.3.2.2).
            session = _properties(PacketTypes.CONNECT)
            session.SessionExpiryInterval = WILL_DELAY_S
            clean = {"clean_start": True, "properties": session}
        try:
            await asyncio.to_thread(line.client.connect, broker.host, broker.port, broker.keepalive_s, **clean)
            line.client.loop_start()
            async with asyncio.timeout(CONNECT_TIMEOUT_S):
                line.places = asyncio.Semaphore(await line.up)
        except (OSError, ssl.SSLError, TimeoutError, ValueError) as problem:
            raise Disconnected from problem
        self._line = line
        self.connects += 1
        self.last_problem = ""
        self.went_down.clear()
        self.up.set()

    async def _hang_up(self, line: _Line) -> None:
        self._line = None
        self.up.clear()
        self.went_down.set()
        line.client.disconnect()
        await asyncio.to_thread(line.client.loop_stop)
        ends: list[asyncio.Future[Any]] = [line.up, line.down, *line.waiting.values()]
        for future in ends:
            if not future.done():
                future.set_exception(Disconnected())
            if not future.cancelled():
                future.exception()  # seen: nobody needs to wait for it

    def _new_line(self) -> _Line:
        five = self._broker.protocol == 5
        client = paho.Client(
            CallbackAPIVersion.VERSION2,
            client_id=self._broker.client_id,
            clean_session=None if five else True,
            protocol=paho.MQTTv5 if five else paho.MQTTv311,
            reconnect_on_failure=False,
        )
        client.connect_timeout = CONNECT_TIMEOUT_S
        client.max_inflight_messages_set(IN_FLIGHT_MESSAGES)
        if self._context is not None:
            client.tls_set_context(self._context)
        will = None
        if five:
            will = _properties(PacketTypes.WILLMESSAGE)
            will.WillDelayInterval = WILL_DELAY_S
        client.will_set(self._will.topic, self._will.payload, qos=1, retain=True, properties=will)
        line = _Line(client, self._loop.create_future(), self._loop.create_future())
        self._hang_callbacks(line)
        return line

    def _hang_callbacks(self, line: _Line) -> None:
        """paho calls these in its own thread: each only hands over to the loop."""
        tell = self._loop.call_soon_threadsafe

        def on_connect(client: paho.Client, _u: Any, _f: Any, code: ReasonCode, properties: Properties | None) -> None:
            if code.is_failure:
                tell(_fail, line.up, ConnectionRefusedError(f"the broker refuses the connection: {code}"))
                return
            line.most = min(IN_FLIGHT_MESSAGES, getattr(properties, "ReceiveMaximum", IN_FLIGHT_MESSAGES))
            client.subscribe([(topic, 1) for topic in self._subscriptions])

        def on_subscribe(_c: Any, _u: Any, _m: int, codes: list[ReasonCode], _p: Any) -> None:
            # Without receipts nothing would ever be forgotten: a link that cannot hear them is not up.
            if any(code.is_failure for code in codes):
                tell(_fail, line.up, ConnectionRefusedError("the broker refuses the subscription to receipts"))
            else:
                tell(settle, line.up, line.most)

        def on_publish(_c: Any, _u: Any, mid: int, code: ReasonCode, _p: Any) -> None:
            tell(self._acknowledged, line, mid, code.value if code.is_failure else 0)

        def on_disconnect(_c: Any, _u: Any, _f: Any, code: ReasonCode, _p: Any) -> None:
            # TLS 1.3: a broker refuses the node's certificate only after the handshake, and paho drops its reason.
            hint = "" if self._context is None else "; does the broker refuse this node's certificate?"
            tell(
                _fail, line.up, ConnectionResetError(f"the broker ended the connection at its beginning: {code}{hint}")
            )
            tell(settle, line.down, str(code))

        def on_message(_c: Any, _u: Any, message: paho.MQTTMessage) -> None:
            tell(self._received, message.topic, bytes(message.payload))

        line.client.on_connect = on_connect
        line.client.on_subscribe = on_subscribe
        line.client.on_publish = on_publish
        line.client.on_disconnect = on_disconnect
        line.client.on_message = on_message
        line.client.on_socket_open = _watch_for_half_open

    def _acknowledged(self, line: _Line, mid: int, failure: int) -> None:
        done = line.waiting.pop(mid, None)
        if done is None or done.done():
            return
        if failure:
            done.set_exception(NotTaken(failure))
        else:
            done.set_result(None)

    def _properties(self, message: Message) -> Properties | None:
        if self._broker.protocol != 5:
            return None
        properties = _properties(PacketTypes.PUBLISH)
        properties.ContentType = message.content_type
        if message.expiry_s is not None:
            properties.MessageExpiryInterval = message.expiry_s
        return properties


def _properties(packet: int) -> Properties:
    return Properties(packet)  # type: ignore[no-untyped-call]  # paho leaves it untyped


def _watch_for_half_open(_c: Any, _u: Any, sock: Any) -> None:
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, USER_TIMEOUT_MS)


def settle(future: asyncio.Future[Any], value: object) -> None:
    """Give a future its value unless it has one: paho may say a thing twice."""
    if not future.done():
        future.set_result(value)


def _fail(future: asyncio.Future[Any], problem: Exception) -> None:
    if not future.done():
        future.set_exception(problem)
