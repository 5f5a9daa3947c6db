"""One connection to a camera's broker, over paho, in the node's own loop and without a thread.

A new paho client serves each connection. What may not happen here: an acknowledgement that nobody asked for; more read
while reading is paused; a message above the limit in memory.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import paho.mqtt.client as paho
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from capture.sources.mqtt_client import MqttCamera, MqttLimits, client_of
from capture.sources.mqtt_socket import connected

_TAKEN_OVER, _PROTOCOL_ERROR, _KEEPALIVE = 142, 130, 141  # reason codes (MQTT 5, 2.4)
_UNAUTHORISED = frozenset({134, 135, 138, 140})


@dataclass(frozen=True, slots=True)
class Message:
    """What a broker passed on. `number` is 0 where it wants no acknowledgement."""

    topic: bytes = field(repr=False)
    body: bytes = field(repr=False)
    content_type: str
    retained: bool
    number: int


class Ended(Exception):
    """A connection is over, or did not come about. `why`: a stable word."""

    def __init__(self, why: str) -> None:
        super().__init__(why)
        self.why = why


class Connection:
    """One connection. `heard` is called with each message, `resumed` where the broker had kept the session."""

    def __init__(
        self,
        camera: MqttCamera,
        context: ssl.SSLContext | None,
        limits: MqttLimits,
        heard: Callable[[Connection, Message], None],
        resumed: Callable[[Connection], None],
    ) -> None:
        self._camera = camera
        self._limits = limits
        self._heard = heard
        self._resumed = resumed
        self._loop = asyncio.get_running_loop()
        self._up: asyncio.Future[None] = self._loop.create_future()
        self._end: asyncio.Future[str] = self._loop.create_future()
        self._fresh: list[Message] = []
        self._paused = False
        self._begun_s: float | None = None  # since when a message is half read
        self._sock: Any = None
        self._client = client_of(camera, limits)
        self._context = context
        self.address = ""

    async def come_up(self) -> None:
        """Connect, and subscribe to everything. Raises `Ended`."""
        why = "unreachable"
        futures: tuple[asyncio.Future[Any], ...] = (self._up, self._end)
        try:
            async with asyncio.timeout(self._limits.connect_s):
                self._join(await connected(self._camera.host, self._camera.port, self._context))
                why = "quiet"
                await asyncio.wait(futures, return_when=asyncio.FIRST_COMPLETED)
        except TimeoutError:
            raise Ended(why) from None
        except ConnectionRefusedError:
            raise Ended("refused") from None
        except ssl.SSLError:
            raise Ended("tls") from None
        except OSError:
            raise Ended("unreachable") from None
        if self._end.done():
            raise Ended(self._end.result())

    async def ended(self) -> str:
        """Why it ended, once it has."""
        return await asyncio.shield(self._end)

    def acknowledge(self, number: int) -> None:
        """Nothing, where the connection is gone: then the broker sends the message again."""
        if number and self._sock is not None:
            self._client.ack(number, 1)

    def pause(self, paused: bool) -> None:
        """Read no more, or go on reading."""
        if paused is self._paused:
            return
        self._paused = paused
        self._begun_s = None
        if self._sock is not None and paused:
            self._loop.remove_reader(self._sock)
        elif self._sock is not None:
            self._loop.add_reader(self._sock, self._read)
            self._loop.call_soon(self._read)  # TLS may hold some already

    def close(self) -> None:
        """Say goodbye as far as that can be said at once, and be gone."""
        sock = self._sock
        if sock is not None:
            self._client.disconnect()
            self._client.loop_write()
            self._leave()
            sock.close()

    def _join(self, sock: socket.socket) -> None:
        client, limits, camera = self._client, self._limits, self._camera
        more: dict[str, Any] = {}
        if camera.protocol == 5:
            asked = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]  # paho leaves it untyped
            asked.SessionExpiryInterval = limits.session_s
            asked.ReceiveMaximum = limits.in_hand
            asked.MaximumPacketSize = client.most_bytes
            more = {"clean_start": False, "properties": asked}
        self._sock = client.given = sock
        self.address = str(sock.getpeername()[0]).removeprefix("::ffff:")
        client.on_connect = self._on_connect
        client.on_subscribe = self._on_subscribe
        client.on_disconnect = self._on_disconnect
        client.on_message = self._on_message
        client.on_socket_close = self._on_socket_close
        client.on_socket_register_write = self._on_register_write
        client.on_socket_unregister_write = self._on_unregister_write
        client.connect(camera.host, camera.port, limits.keepalive_s, **more)
        if not self._paused:
            self._loop.add_reader(sock, self._read)
        self._tick()

    def _leave(self) -> None:
        """Before the socket is closed."""
        if self._sock is not None:
            self._loop.remove_reader(self._sock)
            self._loop.remove_writer(self._sock)
            self._sock = None

    def _tick(self) -> None:
        """Pings, and the end of the wait for their answers."""
        if self._sock is not None:
            self._client.loop_misc()
            if self._begun_s is not None and self._loop.time() - self._begun_s > self._limits.message_s:
                self._ends("garbage")
                self.close()
            self._loop.call_later(min(1.0, self._limits.keepalive_s / 4), self._tick)

    def _read(self) -> None:
        while self._sock is not None and not self._paused:
            try:
                self._client.loop_read()
            except Exception:  # noqa: BLE001 - hostile bytes: whatever paho makes of them, the node goes on
                self._ends("garbage")
                self.close()
                return
            if not self._client.half_read:
                self._begun_s = None
            elif self._begun_s is None:
                self._begun_s = self._loop.time()
            fresh, self._fresh = self._fresh, []
            for message in fresh:
                self._heard(self, message)
            if self._sock is None or not (isinstance(self._sock, ssl.SSLSocket) and self._sock.pending()):
                return

    def _ends(self, why: str) -> None:
        if not self._end.done():
            self._end.set_result(why)

    # what paho tells

    def _on_socket_close(self, _c: Any, _u: Any, _s: Any) -> None:
        self._leave()

    def _on_register_write(self, client: paho.Client, _u: Any, _s: Any) -> None:
        if self._sock is not None:
            self._loop.add_writer(self._sock, client.loop_write)

    def _on_unregister_write(self, _c: Any, _u: Any, _s: Any) -> None:
        if self._sock is not None:
            self._loop.remove_writer(self._sock)

    def _on_connect(self, client: paho.Client, _u: Any, flags: paho.ConnectFlags, code: ReasonCode, _p: Any) -> None:
        if code.is_failure:
            self._ends("unauthorised" if code.value in _UNAUTHORISED else "refused")
            return
        if flags.session_present:
            self._resumed(self)
        client.subscribe([(topic, 1) for topic in self._camera.topics])

    def _on_subscribe(self, _c: Any, _u: Any, _m: int, codes: list[ReasonCode], _p: Any) -> None:
        if any(code.is_failure for code in codes):
            self._ends("unauthorised")
        elif not self._up.done():
            self._up.set_result(None)

    def _on_disconnect(self, _c: Any, _u: Any, flags: paho.DisconnectFlags, code: ReasonCode, _p: Any) -> None:
        if self._client.too_large:
            self._ends("too_large")
        elif code.value == _TAKEN_OVER:
            self._ends("taken_over")
        elif code.value in _UNAUTHORISED:
            self._ends("unauthorised")
        elif code.value == _KEEPALIVE:
            self._ends("quiet")
        elif code.value == _PROTOCOL_ERROR and not flags.is_disconnect_packet_from_server:
            self._ends("garbage" if self._up.done() else "refused")
        else:
            self._ends("cut")

    def _on_message(self, _c: Any, _u: Any, message: paho.MQTTMessage) -> None:
        declared = getattr(message.properties, "ContentType", "")
        number = message.mid if message.qos else 0
        topic = message._topic  # as bytes: what is no UTF-8 is counted, not raised in here
        self._fresh.append(Message(topic, bytes(message.payload), declared, message.retain, number))
