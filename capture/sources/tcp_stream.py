"""Cameras that write messages to a TCP connection, which they open or the node does.

Nothing but the framing says where a message ends, and the address says which framing. What may not happen here: a byte
read from an address that is nobody's; one camera taking the places of the others.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from ipaddress import IPv4Network, IPv6Address, IPv6Network, ip_address
from random import random
from typing import NoReturn

from capture.delivery import Answer, Delivery
from capture.framing import Framing
from capture.holding import Faults
from capture.links import Links, Telling
from capture.sources.guard import address_of
from capture.sources.tcp_connection import READ_BYTES, Connection, Ended, Shared, TcpLimits
from edge.claim import Received

_REFUSED = frozenset({"garbage", "unknown_source", "too_many", "busy", "message_timeout"})


@dataclass(frozen=True, slots=True)
class Caller:
    """Cameras that call the node from these networks. `camera`: its id where it is a single one, so that `links` hear
    of its line; its deliveries are told by their address all the same. `quiet_s`: a connection without a byte for so
    long is given up; None for cameras without a heartbeat, whose dead connections TCP keepalive finds."""

    networks: tuple[IPv4Network | IPv6Network, ...] = field(repr=False)
    framing: Framing
    camera: str | None = None
    quiet_s: float | None = None


@dataclass(frozen=True, slots=True)
class Called:
    """A camera that the node calls. `quiet_s` as above."""

    camera: str
    host: str = field(repr=False)
    port: int
    framing: Framing
    quiet_s: float | None = None


class TcpStream:
    """The source. `port` as the kernel gave it, 0 where it does not listen."""

    def __init__(self, streams: _Streams, server: asyncio.Server | None, calls: Sequence[Called]) -> None:
        self._streams = streams
        self._server = server
        self._calls = [asyncio.create_task(streams.call(called)) for called in calls]
        for task in self._calls:
            streams.faults.watch(task)
        self.port: int = server.sockets[0].getsockname()[1] if server is not None else 0

    def counts(self) -> dict[str, int]:
        """What went wrong, by a stable word, since the start."""
        return {word: count for word, count in self._streams.counted.items() if count}

    def refused(self) -> dict[str, int]:
        """Of those, what somebody may have wanted to be heard."""
        return {word: count for word, count in self.counts().items() if word in _REFUSED}

    async def failed(self) -> None:
        """Wait until something of ours breaks, and raise it."""
        await self._streams.faults.failed()

    async def close(self) -> None:
        """Stop accepting and calling; let deliveries in hand finish for up to `stop_s`."""
        if self._server is not None:
            self._server.close()
        tasks = {*self._calls, *self._streams.accepted}
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)
        if self._server is not None:
            await self._server.wait_closed()


async def open_tcp_stream(
    listen: tuple[str, int] | None,
    callers: Sequence[Caller],
    calls: Sequence[Called],
    limits: TcpLimits,
    receive: Callable[[Delivery], Awaitable[Answer]],
    links: Links,
    clock: Callable[[], Received],
) -> TcpStream:
    """Listen for `callers` (port 0: the kernel's choice; None: do not), and call `calls`. Raises `OSError` where it
    cannot listen."""
    streams = _Streams(callers, limits, receive, links, clock)
    server = None
    if listen is not None:
        server = await asyncio.start_server(streams.accept, *listen, limit=READ_BYTES)
    return TcpStream(streams, server, calls)


class _Streams:
    """The connections, and who may open one."""

    def __init__(
        self,
        callers: Sequence[Caller],
        limits: TcpLimits,
        receive: Callable[[Delivery], Awaitable[Answer]],
        links: Links,
        clock: Callable[[], Received],
    ) -> None:
        self._callers = tuple(callers)
        self._links = links
        self._tellings: dict[str, Telling] = {}
        self._open: dict[Connection, asyncio.Task[None]] = {}  # the accepted ones, oldest first
        self._limits = limits
        self._shared = Shared(limits, receive, clock)
        self.counted = self._shared.counted
        self.faults = Faults()

    @property
    def accepted(self) -> list[asyncio.Task[None]]:
        return list(self._open.values())

    def accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        address = address_of(writer.transport)
        caller = next((caller for caller in self._callers if _is_among(address, caller.networks)), None)
        if caller is None:
            self.counted["unknown_source"] += 1
            writer.transport.abort()
            return
        same = [other for other in self._open if other.address == address]
        if len(same) >= self._limits.per_source:
            self.counted["replaced"] += 1
            self._open.pop(same[0]).cancel()
        if len(self._open) >= self._limits.total:
            self.counted["too_many"] += 1
            writer.transport.abort()
            return
        new = Connection(self._shared, reader, writer, address, caller, None)
        self._open[new] = task = asyncio.create_task(self._serve(new, caller.camera))
        task.add_done_callback(lambda _: self._open.pop(new, None))
        self.faults.watch(task)

    async def call(self, called: Called) -> NoReturn:
        """Keep a line to a camera for ever."""
        failures = 0
        while True:
            failures += 1
            try:
                connection = await self._connected(called)
                self._tell(called.camera, "")
                try:
                    await connection.follow()
                finally:
                    failures = 1 if connection.heard else failures
            except Ended as ended:
                self.counted[ended.why] += 1
                self._tell(called.camera, ended.why)
            await asyncio.sleep(self._limits.backoff.wait_s(failures, random()))

    async def _serve(self, connection: Connection, camera: str | None) -> None:
        if camera is not None:
            self._tell(camera, "")
        try:
            await connection.follow()
        except Ended as ended:
            self.counted[ended.why] += 1
            if camera is not None and not [c for c in self._open if c.address == connection.address][1:]:
                self._tell(camera, ended.why)

    async def _connected(self, called: Called) -> Connection:
        try:
            async with asyncio.timeout(self._limits.connect_s):
                reader, writer = await asyncio.open_connection(called.host, called.port, limit=READ_BYTES)
        except ConnectionRefusedError:
            raise Ended("refused") from None
        except (OSError, TimeoutError):
            raise Ended("unreachable") from None
        return Connection(self._shared, reader, writer, address_of(writer.transport), called, called.camera)

    def _tell(self, camera: str, why: str) -> None:
        self._tellings.setdefault(camera, Telling(self._links, camera))(why)


def _is_among(address: str, networks: Sequence[IPv4Network | IPv6Network]) -> bool:
    try:
        heard = ip_address(address)
    except ValueError:
        return False
    if isinstance(heard, IPv6Address) and heard.ipv4_mapped is not None:
        heard = heard.ipv4_mapped
    return any(heard.version == network.version and heard in network for network in networks)
