"""Cameras that push over HTTP: each request a delivery, each answer the verdict on it.

Bodies are held in memory within bounds, and a source without a camera is refused before its body is read. What may not
happen here: a picture on a disk, a query string in a log (it may hold a plate), an answer before the receiver's.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace
from ipaddress import ip_address
from ssl import SSLContext

from aiohttp import web

from capture.delivery import Answer, Delivery, InHand, plain
from capture.gate import Asked, Gate
from capture.sources.guard import HARMLESS, Guard, Limits, address_of
from edge.claim import Arrival, Outcome, Received, Verdict

_RETRY_AFTER_S = 5
_LINGER_S = 1.0
"""How long a body that is not wanted is read and thrown away, so that its sender reads the answer and not a reset."""

# aiohttp logs what it cannot parse, and that may be a plate in a query string.
_SILENT = logging.Logger("capture.http_push.silent", logging.CRITICAL + 1)
_SILENT.addHandler(logging.NullHandler())


class Listening:
    """A source that listens. `port` as the kernel gave it."""

    def __init__(self, server: asyncio.Server, requests: web.Server, guard: Guard, push: _Push) -> None:
        self._server = server
        self._requests = requests
        self._guard = guard
        self._push = push
        self.port: int = server.sockets[0].getsockname()[1]

    def counts(self) -> dict[str, int]:
        """What ended before it was a delivery, by a stable word, since the start."""
        return dict(self._guard.counts)

    def refused(self) -> dict[str, int]:
        """Of those, what somebody may have wanted to be heard. A connection that ends unused is no refusal."""
        return {reason: count for reason, count in self._guard.counts.items() if reason not in HARMLESS}

    async def failed(self) -> None:
        """Wait until something of ours breaks while a delivery is in hand, and raise it."""
        await asyncio.shield(self._push.broken)

    async def close(self) -> None:
        """Stop accepting; let requests in hand finish for up to `stop_s`, then cut them off."""
        self._server.close()
        self._requests.pre_shutdown()
        await self._requests.shutdown(self._guard.limits.stop_s)
        await asyncio.sleep(0)  # what has sent its answer is gone after this turn of the loop
        self._guard.drop_all()
        await self._server.wait_closed()


@dataclass(frozen=True, slots=True)
class Door:
    """Who may come in. `known_address`: whether any camera stands there; `cameras_at`: the ids of those that may send
    from an address to a path."""

    known_address: Callable[[str], bool]
    cameras_at: Callable[[str, str], Sequence[str]] = lambda _address, _path: ()
    gate: Gate = field(default_factory=lambda: Gate({}, b""))


async def serve(
    listen: tuple[str, int],
    limits: Limits,
    receive: Callable[[Delivery], Awaitable[Answer]],
    door: Door,
    clock: Callable[[], Received],
    tls: SSLContext | None = None,
) -> Listening:
    """Listen on an address and port (0: the kernel's choice). Raises `OSError` where it cannot."""
    push = _Push(limits, receive, door, clock)
    requests = web.Server(
        push.answer,
        access_log=None,
        logger=_SILENT,
        keepalive_timeout=2 * limits.idle_s,  # the guard closes idle connections, and counts them
        lingering_time=_LINGER_S,
        auto_decompress=False,  # cameras announce encodings they do not use; and nothing may unfold in memory
    )
    push.guard = guard = Guard(limits, requests, door.known_address)
    server = await asyncio.get_running_loop().create_server(
        guard, *listen, backlog=128, ssl=tls, ssl_handshake_timeout=limits.header_s if tls else None
    )
    return Listening(server, requests, guard, push)


class _Push:
    def __init__(
        self,
        limits: Limits,
        receive: Callable[[Delivery], Awaitable[Answer]],
        door: Door,
        clock: Callable[[], Received],
    ) -> None:
        self._limits = limits
        self._receive = receive
        self._door = door
        self._clock = clock
        self._bytes = InHand(limits.total, limits.in_hand_bytes)
        self.broken: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.guard: Guard | None = None

    async def answer(self, request: web.BaseRequest) -> web.StreamResponse:
        assert self.guard is not None
        transport = request.transport
        self.guard.began(transport)
        task = asyncio.create_task(self._answer(request, address_of(transport), self.guard))
        task.add_done_callback(self._note)
        try:
            return await task
        finally:
            self.guard.ended(transport)

    def _note(self, task: asyncio.Task[web.Response]) -> None:
        """aiohttp answers 500 whatever breaks, and goes on. The program is told, and does not."""
        broke = None if task.cancelled() else task.exception()
        if broke is not None and not self.broken.done():
            self.broken.set_exception(broke)

    async def _answer(self, request: web.BaseRequest, address: str, guard: Guard) -> web.Response:
        url = request.rel_url
        if request.method == "GET" and url.raw_path == "/healthz" and _is_here(address, request.transport):
            return _plain(200, b"ok\n")
        if not self._door.known_address(address):
            guard.counts["unknown_source"] += 1
            return _response(plain(Verdict(Outcome.REFUSED, "unknown_source")), last=True)
        if request.method == "GET" and not url.raw_query_string:
            return _plain(404, b"not found\n", last=True)
        if request.method not in ("POST", "PUT", "GET"):
            return _plain(405, b"method not allowed\n", last=True)
        arrival = Arrival(self._clock(), address, url.raw_path)
        here = self._door.cameras_at(address, url.raw_path)
        asked = Asked(request.method, request.raw_path, request.headers.get("Authorization", ""))
        now_s = arrival.received.mono_ns // 10**9
        camera = self._door.gate.named(here, asked, now_s) if asked.authorization else None
        if camera is None and self._door.gate.asks(here):
            return self._challenged(self._door.gate.challenges(here, asked, now_s), bool(asked.authorization), guard)
        return await self._delivered(request, replace(arrival, camera=camera), guard)

    def _challenged(self, challenges: Sequence[str], tried: bool, guard: Guard) -> web.Response:
        """401. A first request without a password is how Digest begins, and no refusal."""
        guard.counts["wrong_password" if tried else "asked_password"] += 1
        response = _plain(401, b"who is it?\n", last=tried)
        for challenge in challenges:
            response.headers.add("WWW-Authenticate", challenge)
        return response

    async def _delivered(self, request: web.BaseRequest, arrival: Arrival, guard: Guard) -> web.Response:
        if (request.content_length or 0) > self._limits.body_bytes:
            return self._too_large(guard)
        if not self._bytes.take(0):
            return self._busy(guard)
        chunks: list[bytes] = []
        try:
            turned_away = await self._read(request, chunks, guard)
            if turned_away is not None:
                return turned_away
            chunks[:] = [b"".join(chunks)]  # one copy is kept, and counted as long as it is
            content_type = request.headers.get("Content-Type", "")
            delivery = Delivery(arrival, content_type, request.rel_url.raw_query_string, chunks[0])
            return _response(await self._receive(delivery))
        finally:
            self._bytes.give(sum(map(len, chunks)))

    async def _read(self, request: web.BaseRequest, chunks: list[bytes], guard: Guard) -> web.Response | None:
        """The body into `chunks`; or the answer, where it is too large, too much at once, or cut off."""
        if request.headers.get("Expect", "").lower() == "100-continue" and request.transport is not None:
            request.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        read_bytes = 0
        try:
            while chunk := await request.content.readany():
                read_bytes += len(chunk)
                if read_bytes > self._limits.body_bytes:
                    return self._too_large(guard)
                if not self._bytes.grow(len(chunk)):
                    return self._busy(guard)
                chunks.append(chunk)
        except (ConnectionError, web.RequestPayloadError):
            guard.counts["cut_off"] += 1
            return _response(plain(Verdict(Outcome.REFUSED, "truncated")), last=True)
        return None

    def _too_large(self, guard: Guard) -> web.Response:
        guard.counts["too_large"] += 1
        return _response(plain(Verdict(Outcome.REFUSED, "too_large")), last=True)

    def _busy(self, guard: Guard) -> web.Response:
        guard.counts["busy"] += 1
        return _response(plain(Verdict(Outcome.LATER, "busy")), last=True)


def _plain(status: int, body: bytes, *, last: bool = False) -> web.Response:
    return _made(status, "text/plain; charset=utf-8", body, last)


def _response(answer: Answer, *, last: bool = False) -> web.Response:
    return _made(answer.status, answer.content_type, answer.body, last)


def _made(status: int, content_type: str, body: bytes, last: bool) -> web.Response:
    headers = {"Content-Type": content_type, "Server": "anpr-edge"}
    if status == 503:
        headers["Retry-After"] = str(_RETRY_AFTER_S)
    response = web.Response(status=status, body=body, headers=headers)
    if last:
        response.force_close()
    return response


def _is_here(address: str, transport: asyncio.Transport | None) -> bool:
    """Whether the asker is this machine: loopback, or the very address it was asked at."""
    own = transport.get_extra_info("sockname") if transport is not None else None
    try:
        return ip_address(address).is_loopback or (own is not None and address == own[0])
    except ValueError:
        return False
