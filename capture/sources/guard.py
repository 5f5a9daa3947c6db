"""Connections bounded in number and in time, in front of a protocol that bounds neither.

Measured: aiohttp drops none of 500 connections that send their headers a byte at a time. What may not happen here: one
address, or all unknown ones together, taking the places of the others; a connection without a deadline.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

_SPARED_S = 1.0
"""An answer younger than this may still be on its way."""

_OURSELVES = frozenset({"127.0.0.1", "::1"})  # the node's own check of this door needs no camera

HARMLESS = frozenset({"idle_timeout", "idle_replaced", "no_request", "asked_password"})
"""Counts of connections that ended without anything having been asked."""

_UNKNOWN = ""
"""The one source that all addresses without a camera count as."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What one listening source grants.

    `header_s` and `request_s` count from the first byte of a request (the first request of a connection: from its
    opening), to the end of its headers and of its answer; `idle_s` from an answer; `stop_s` is for requests in hand
    when the source closes. `in_hand_bytes` is for all bodies together. The seconds and connection counts are those that
    held against 500 slow connections (security, section 4), widened for cameras on slow links.
    """

    per_source: int = 8
    total: int = 64
    header_s: float = 10
    request_s: float = 30
    idle_s: float = 75
    stop_s: float = 10
    body_bytes: int = 12 * 1024 * 1024
    in_hand_bytes: int = 64 * 1024 * 1024


class Guard:
    """The connections of one listening socket."""

    def __init__(
        self, limits: Limits, inner: Callable[[], asyncio.Protocol], known_address: Callable[[str], bool]
    ) -> None:
        self.limits = limits
        self.counts: Counter[str] = Counter()
        self._inner = inner
        self._known_address = known_address
        self._open: dict[asyncio.BaseTransport, _Guarded] = {}

    def __call__(self) -> asyncio.Protocol:
        """A protocol for a new connection."""
        return _Guarded(self)

    def admits(self, guarded: _Guarded, transport: asyncio.Transport) -> asyncio.Protocol | None:
        """The protocol that serves the connection, or None where there is no place for it."""
        address = address_of(transport)
        source = address if address in _OURSELVES or self._known_address(address) else _UNKNOWN
        guarded.source = source
        same = [other for other in self._open.values() if other.source == source]
        if len(same) >= self.limits.per_source and not self._make_room(same):
            self.counts["too_many_of_source"] += 1
            return None
        if len(self._open) >= self.limits.total and not self._make_room(list(self._open.values())):
            self.counts["too_many"] += 1
            return None
        self._open[transport] = guarded
        return self._inner()

    def forget(self, transport: asyncio.BaseTransport) -> None:
        self._open.pop(transport, None)

    def began(self, transport: asyncio.BaseTransport | None) -> None:
        """The headers of a request are read."""
        if transport in self._open:
            self._open[transport].began()

    def ended(self, transport: asyncio.BaseTransport | None) -> None:
        """The request is answered."""
        if transport in self._open:
            self._open[transport].ended()

    def drop_all(self) -> None:
        for guarded in list(self._open.values()):
            guarded.drop()

    def _make_room(self, among: list[_Guarded]) -> bool:
        """Close the connection that was answered longest ago and is idle: some cameras never close one."""
        longest = max(among, key=_Guarded.idle_s)
        if longest.idle_s() < _SPARED_S:
            return False
        self.counts["idle_replaced"] += 1
        longest.drop()
        return True


class _Guarded(asyncio.Protocol):
    """One connection: every callback goes on to the protocol that serves it, between deadlines."""

    def __init__(self, guard: Guard) -> None:
        self._guard = guard
        self._limits = guard.limits
        self._inner: asyncio.Protocol | None = None
        self._transport: asyncio.Transport | None = None
        self._deadline: asyncio.TimerHandle | None = None
        self._since_s = 0.0  # when the request in hand, or the wait for one, began
        self._requests = 0
        self.source = _UNKNOWN
        self.idle = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._inner = self._guard.admits(self, transport)
        if self._inner is None:
            transport.abort()
            return
        self._until(self._limits.header_s, "header_timeout")
        self._inner.connection_made(transport)

    def data_received(self, data: bytes) -> None:
        if self._inner is None:
            return
        if self.idle:
            self.idle = False
            self._until(self._limits.header_s, "header_timeout")
        self._inner.data_received(data)

    def eof_received(self) -> bool | None:
        return None if self._inner is None else self._inner.eof_received()

    def pause_writing(self) -> None:
        if self._inner is not None:
            self._inner.pause_writing()

    def resume_writing(self) -> None:
        if self._inner is not None:
            self._inner.resume_writing()

    def connection_lost(self, exc: Exception | None) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
        if self._inner is None or self._transport is None:
            return
        self._guard.forget(self._transport)
        if not self._requests:
            self._guard.counts["no_request"] += 1
        self._inner.connection_lost(exc)
        self._inner = None

    def began(self) -> None:
        self._requests += 1
        self.idle = False
        spent_s = asyncio.get_running_loop().time() - self._since_s
        self._until(max(0.0, self._limits.request_s - spent_s), "request_timeout")

    def ended(self) -> None:
        self.idle = True
        self._until(self._limits.idle_s, "idle_timeout")

    def idle_s(self) -> float:
        """How long ago its last answer was; 0 while it is not idle."""
        return asyncio.get_running_loop().time() - self._since_s if self.idle else 0.0

    def drop(self) -> None:
        """Close at once, unsent answers included."""
        if self._transport is not None:
            self._guard.forget(self._transport)
            self._transport.abort()

    def _until(self, seconds: float, reason: str) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
        loop = asyncio.get_running_loop()
        if reason != "request_timeout":
            self._since_s = loop.time()
        self._deadline = loop.call_later(seconds, self._late, reason)

    def _late(self, reason: str) -> None:
        self._guard.counts[reason] += 1
        self.drop()


def address_of(transport: asyncio.BaseTransport | None) -> str:
    """The peer's address without its port; empty where it is gone already."""
    peer = None if transport is None else transport.get_extra_info("peername")
    return str(peer[0]) if isinstance(peer, tuple) and peer else ""
