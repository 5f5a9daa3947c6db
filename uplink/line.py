"""One connection to a broker, over paho: opened once, ended once, nothing of it carried over.

paho keeps no thread and no queue here: this loop reads and writes its socket, and what is in the air is bounded. What
may not happen: waiting without end for an acknowledgement, or a socket left open.
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
import struct
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from typing import Any

import paho.mqtt.client as paho
from paho.mqtt.exception import MQTTException
from paho.mqtt.reasoncodes import ReasonCode

from uplink import tls, trouble
from uplink.client import IN_FLIGHT_MESSAGES, BrokerAddress, client, connect, properties_of, subscriptions_of
from uplink.transport import NOBODY_LISTENS, Disconnected, Message, NotTaken
from uplink.trouble import Ended, Fell, Trouble

OPEN_WITHIN_S = 20.0
ACKNOWLEDGE_WITHIN_S = 20.0  # of silence while something waits: a slow line that moves is not a dead one
STUCK_AFTER_S = 300.0  # one message passed over while others are acknowledged
TICK_S = 1.0
BLAME_WITHIN_S = 10.0  # a broker that chokes on a message does so at once
KEPT_FOR_REPORTS = 4
_AROUND_PAYLOAD_BYTES = 64  # header, topic length, packet id and properties, at most
_NOT_MQTT = (ValueError, LookupError, struct.error, MQTTException)


@dataclass(frozen=True, slots=True)
class _InAir:
    message: Message
    sent_s: float
    done: asyncio.Future[None]


@dataclass(slots=True)
class _Granted:
    """What the broker allows, by its CONNACK."""

    messages: int = IN_FLIGHT_MESSAGES
    packet_bytes: int | None = None
    retained: bool = True


class Line:
    """Made for one attempt: `come_up`, `publish` as long as `down` is not done, `close` in any case."""

    def __init__(
        self,
        broker: BrokerAddress,
        context: ssl.SSLContext | None,
        will: Message | None,
        subscriptions: Sequence[str],
        received: Callable[[str, bytes], None],
        utc_ms: Callable[[], int],
    ) -> None:
        self._broker = broker
        self._subscriptions = subscriptions
        self._received = received
        self._utc_ms = utc_ms
        self._loop = asyncio.get_running_loop()
        self.down: asyncio.Future[Ended] = self._loop.create_future()
        self._up: asyncio.Future[None] = self._loop.create_future()
        self._in_air: dict[int, _InAir] = {}
        self._heard_s = 0.0
        self._granted = _Granted()
        self._one_alone = asyncio.Lock()
        self._ticking: asyncio.Task[None] | None = None
        self._client = client(broker, context, will)
        self._hang_callbacks()

    async def come_up(self) -> None:
        """Up, with its subscriptions granted; `Fell` where it does not come to that."""
        broker = self._broker
        try:
            async with asyncio.timeout(OPEN_WITHIN_S):
                await asyncio.to_thread(connect, self._client, broker)
                self._watch_socket()
                self._ticking = self._loop.create_task(self._tick())
                await self._up
        except ssl.SSLError as problem:
            assert broker.tls is not None
            raise Fell(tls.why(problem, broker.tls.certificate, self._utc_ms())) from None
        except OSError as problem:  # TimeoutError is one
            raise Fell(trouble.unreachable(problem)) from None
        except ValueError:
            raise Fell(Ended(Trouble.NAME, "the broker's name is none that DNS could know")) from None
        self._places = asyncio.Semaphore(self._granted.messages)
        self._places_of_records = asyncio.Semaphore(max(1, self._granted.messages - KEPT_FOR_REPORTS))

    async def publish(self, message: Message) -> None:
        """As `Transport.publish`. Records leave places free, so that a report finds one."""
        first = self._places_of_records if message.record else contextlib.nullcontext()
        async with first, self._every_place() if message.alone else self._places:
            await self._send(message)

    async def retire(self, within_s: float, linger_s: float, why: Ended) -> None:
        """End it once nothing is in the air and a moment for receipts has passed, or at the limit. Nothing new is
        sent meanwhile, so that little need be sent twice."""
        try:
            async with asyncio.timeout(within_s), self._every_place():
                await asyncio.wait({self.down}, timeout=linger_s)
                self._end(why)  # before the places are free again
        except TimeoutError:
            self._end(why)

    @contextlib.asynccontextmanager
    async def _every_place(self) -> AsyncIterator[None]:
        held = 0
        async with self._one_alone:  # two who each hold half would wait for ever
            try:
                for _ in range(self._granted.messages):
                    await self._places.acquire()
                    held += 1
                yield
            finally:
                for _ in range(held):
                    self._places.release()

    async def _send(self, message: Message) -> None:
        if self.down.done():
            raise Disconnected
        most = self._granted.packet_bytes
        if most is not None and len(message.payload) + len(message.topic) + _AROUND_PAYLOAD_BYTES > most:
            raise NotTaken(0x95)  # packet too large: said here, because a broker would hang up over it
        info = self._client.publish(
            message.topic,
            message.payload,
            qos=1,
            retain=message.retain and self._granted.retained,
            properties=properties_of(message, self._broker.protocol),
        )
        if info.rc != paho.MQTT_ERR_SUCCESS:
            self._end(Ended(Trouble.CUT, f"the message cannot be sent: {info.rc.name}"))
            raise Disconnected
        done: asyncio.Future[None] = self._loop.create_future()
        self._in_air[info.mid] = _InAir(message, self._loop.time(), done)
        await done

    def close(self) -> None:
        """Say goodbye where that goes without waiting, and leave no socket behind."""
        self._end(Ended(Trouble.RETURNING, "this node hung up"))
        if self._ticking is not None:
            self._ticking.cancel()
        held = self._client
        held.on_socket_register_write = None  # what is left is written at once
        held.disconnect()
        sock = held.socket()
        if sock is not None:
            self._forget_socket(held, None, sock)
            held.on_socket_close = held.on_socket_unregister_write = None
            sock.close()

    # the socket

    def _watch_socket(self) -> None:
        """paho connects in a thread; from then on everything happens in this loop."""
        client, sock = self._client, self._client.socket()
        if sock is None:
            return  # on_disconnect has said why
        self._loop.add_reader(sock, self._readable)
        client.on_socket_register_write = self._wants_to_write
        client.on_socket_unregister_write = self._has_written
        client.on_socket_close = self._forget_socket
        if client.want_write():
            self._wants_to_write(client, None, sock)

    def _wants_to_write(self, client: paho.Client, _u: Any, sock: Any) -> None:
        self._loop.add_writer(sock, client.loop_write)

    def _has_written(self, _c: Any, _u: Any, sock: Any) -> None:
        self._loop.remove_writer(sock)

    def _forget_socket(self, _c: Any, _u: Any, sock: Any) -> None:
        self._loop.remove_reader(sock)
        self._loop.remove_writer(sock)

    def _readable(self) -> None:
        try:
            while self._client.loop_read() == paho.MQTT_ERR_SUCCESS:
                pending = getattr(self._client.socket(), "pending", None)
                if pending is None or not pending():  # TLS may hold bytes that no selector sees
                    return
        except _NOT_MQTT:
            self._end(Ended(Trouble.CUT, "what comes from the broker is not MQTT"))

    async def _tick(self) -> None:
        """paho's keep-alive, and the deadline for acknowledgements."""
        while not self.down.done():
            self._client.loop_misc()
            oldest = next(iter(self._in_air.values()), None)
            now_s = self._loop.time()
            if oldest is not None and (
                now_s - max(self._heard_s, oldest.sent_s) >= ACKNOWLEDGE_WITHIN_S
                or now_s - oldest.sent_s >= STUCK_AFTER_S
            ):
                self._end(Ended(Trouble.SILENT, f"no acknowledgement within {ACKNOWLEDGE_WITHIN_S:.0f} s"))
            await asyncio.sleep(TICK_S)

    def _end(self, ended: Ended) -> None:
        """The first reason holds. Whoever waits is told; a message that may be the cause is told so."""
        if self.down.done():
            return
        self.down.set_result(ended)
        if not self._up.done():
            self._up.set_exception(Fell(ended))
            self._up.exception()  # seen: `come_up` may not wait for it any more
        may_be_blamed = ended.trouble in (Trouble.BLAMED, Trouble.CUT)
        now_s = self._loop.time()
        for each in self._in_air.values():
            if not each.done.done():
                quick = now_s - each.sent_s < BLAME_WITHIN_S
                each.done.set_exception(Disconnected(suspect=may_be_blamed and quick))
                each.done.exception()
        self._in_air.clear()

    # what paho calls

    def _hang_callbacks(self) -> None:
        client = self._client
        client.on_connect = self._on_connect
        client.on_subscribe = self._on_subscribe
        client.on_publish = self._on_publish
        client.on_disconnect = self._on_disconnect
        client.on_message = lambda _c, _u, message: self._received(message.topic, bytes(message.payload))

    def _on_connect(self, client: paho.Client, _u: Any, _f: Any, code: ReasonCode, properties: Any) -> None:
        if code.is_failure:
            self._end(trouble.refused(code.value))
            return
        if getattr(properties, "MaximumQoS", 1) == 0:
            self._end(Ended(Trouble.REFUSED, "the broker acknowledges nothing: its maximum QoS is 0"))
            return
        granted = self._granted
        granted.messages = min(IN_FLIGHT_MESSAGES, getattr(properties, "ReceiveMaximum", IN_FLIGHT_MESSAGES))
        granted.packet_bytes = getattr(properties, "MaximumPacketSize", None)
        granted.retained = bool(getattr(properties, "RetainAvailable", 1))
        if self._subscriptions:
            client.subscribe(subscriptions_of(self._subscriptions, self._broker.protocol))
        else:
            self._settle_up()

    def _on_subscribe(self, _c: Any, _u: Any, _m: int, codes: list[ReasonCode], _p: Any) -> None:
        # Without receipts nothing would ever be forgotten: a link that cannot hear them is not up.
        if codes[0].is_failure:
            self._end(Ended(Trouble.REFUSED, "the broker refuses the subscription to receipts: check its rules"))
        else:
            self._settle_up()

    def _settle_up(self) -> None:
        if not self._up.done():
            self._up.set_result(None)

    def _on_publish(self, _c: Any, _u: Any, mid: int, code: ReasonCode, _p: Any) -> None:
        self._heard_s = self._loop.time()
        sent = self._in_air.pop(mid, None)
        if sent is None or sent.done.done():
            return
        unheard = code.value == NOBODY_LISTENS and sent.message.record
        if code.is_failure or unheard:
            sent.done.set_exception(NotTaken(code.value))
            sent.done.exception()
        else:
            sent.done.set_result(None)

    def _on_disconnect(self, _c: Any, _u: Any, flags: Any, code: ReasonCode, _p: Any) -> None:
        """May be called in the thread that connects."""
        if flags.is_disconnect_packet_from_server:
            how = trouble.ended(code.value)
        elif code.value == 0x8D:
            how = Ended(Trouble.SILENT, "no answer to the keep-alive")
        elif self._up.done():
            how = Ended(Trouble.CUT, "the connection was cut")
        else:
            how = Ended(Trouble.CUT, "the broker ended the connection at its beginning")
            if self._broker.tls is not None:
                how = tls.hung_up_after(self._broker.tls.certificate, self._utc_ms())
        self._loop.call_soon_threadsafe(self._end, how)
