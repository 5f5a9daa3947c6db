"""One TCP connection to a camera, whoever opened it: message after message, each answered before the next is read.

What may not happen here: an answer before the receiver's; bytes in memory above the limit, all connections together.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from socket import IPPROTO_TCP, SO_KEEPALIVE, SOL_SOCKET, TCP_KEEPCNT, TCP_KEEPIDLE, TCP_KEEPINTVL
from typing import NoReturn, Protocol

from capture.backoff import Backoff
from capture.delivery import MIB, Answer, Delivery
from capture.framing import Framing
from capture.holding import finished, taken
from edge.claim import Arrival, Received, Way

READ_BYTES = 64 * 1024


@dataclass(frozen=True, slots=True)
class TcpLimits:
    """`message_s` from a message's first byte to its last. A dead connection is found by TCP keepalive after about
    `keepalive_s` * 4. Of one address's connections above `per_source` the oldest goes: it called again."""

    connect_s: float = 5
    message_s: float = 30
    keepalive_s: int = 15
    write_s: float = 5
    hold_s: float = 1
    stop_s: float = 5
    per_source: int = 4
    total: int = 64
    in_hand_bytes: int = 64 * MIB
    backoff: Backoff = field(default_factory=Backoff)


class Ended(Exception):
    """A connection is over. `why`: a stable word."""

    def __init__(self, why: str) -> None:
        super().__init__(why)
        self.why = why


class LineSettings(Protocol):
    """What is set for one camera's connections."""

    @property
    def framing(self) -> Framing: ...

    @property
    def quiet_s(self) -> float | None: ...


class Shared:
    """What all connections of one source share."""

    def __init__(
        self,
        limits: TcpLimits,
        receive: Callable[[Delivery], Awaitable[Answer]],
        clock: Callable[[], Received],
    ) -> None:
        self.limits = limits
        self.receive = receive
        self.clock = clock
        self.counted: Counter[str] = Counter()
        self.held_bytes: Counter[Connection] = Counter()


class Connection:
    """One connection, whoever opened it."""

    def __init__(
        self,
        shared: Shared,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        address: str,
        line: LineSettings,
        camera: str | None,
    ) -> None:
        self._shared = shared
        self._limits = shared.limits
        self._reader = reader
        self._writer = writer
        self._line = line
        self._framer = line.framing.framer()
        self._camera = camera
        self.address = address
        self.heard = False
        _keep_alive(writer, self._limits.keepalive_s)

    async def follow(self) -> NoReturn:
        """Hand on every message, until the connection ends: raises `Ended`."""
        try:
            await self._messages()
        finally:
            self._shared.held_bytes.pop(self, None)
            self._writer.close()

    async def _messages(self) -> NoReturn:
        now_s = asyncio.get_running_loop().time
        begun_s: float | None = None
        while True:
            chunk = await self._read(None if begun_s is None else begun_s + self._limits.message_s - now_s())
            self.heard = True
            garbage = self._framer.garbage
            frames = self._framer.feed(chunk)
            self._shared.counted["garbage"] += self._framer.garbage - garbage
            self._hold(sum(map(len, frames)) + self._framer.held_bytes)
            for frame in frames:
                await finished(self._deliver(frame), self._limits.stop_s)
            self._hold(self._framer.held_bytes)
            if not self._framer.pending:
                begun_s = None
            elif frames or begun_s is None:
                begun_s = now_s()

    async def _read(self, message_left_s: float | None) -> bytes:
        waits = [wait_s for wait_s in (message_left_s, self._line.quiet_s) if wait_s is not None]
        try:
            async with asyncio.timeout(min(waits, default=None)):
                chunk = await self._reader.read(READ_BYTES)
        except TimeoutError:
            if message_left_s is None or message_left_s > min(waits):
                raise Ended("quiet") from None
            self._shared.counted["message_timeout"] += 1
            raise Ended("cut") from None
        except OSError:
            raise Ended("cut") from None
        if not chunk:
            raise Ended("cut")
        return chunk

    def _hold(self, size_bytes: int) -> None:
        held = self._shared.held_bytes
        held[self] = size_bytes
        if held.total() > self._limits.in_hand_bytes:
            self._shared.counted["busy"] += 1
            raise Ended("cut")

    async def _deliver(self, frame: bytes) -> None:
        arrival = Arrival(self._shared.clock(), self.address, "/", Way.TCP_STREAM, self._camera)
        delivery = Delivery(arrival, self._line.framing.content_type, "", frame)
        answer = await taken(delivery, self._shared.receive, self._limits.hold_s, self._later)
        if not answer.body:
            return
        self._writer.write(answer.body)
        try:
            async with asyncio.timeout(self._limits.write_s):
                await self._writer.drain()
        except (OSError, TimeoutError):
            self._writer.transport.abort()
            raise Ended("cut") from None

    def _later(self) -> None:
        self._shared.counted["later"] += 1


def _keep_alive(writer: asyncio.StreamWriter, every_s: int) -> None:
    """Have the kernel ask whether the other side is still there: a pulled cable says nothing."""
    sock = writer.get_extra_info("socket")
    with suppress(OSError):  # it is gone already, and reading will tell
        sock.setsockopt(SOL_SOCKET, SO_KEEPALIVE, 1)
        sock.setsockopt(IPPROTO_TCP, TCP_KEEPIDLE, every_s)
        sock.setsockopt(IPPROTO_TCP, TCP_KEEPINTVL, every_s)
        sock.setsockopt(IPPROTO_TCP, TCP_KEEPCNT, 3)
