"""Events as HTTP requests: each is sent again until the answer is 200, and says what the vendor waits for.

The same bytes go out at every try.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import urlsplit

import aiohttp

from simulators.over.carrier import Attempt, Heard, LeftOpen, Temper
from simulators.vendors.telling import Message, Telling

ANSWER_LIMIT_S = 10.0
STORED = 200


class HttpPush:
    """`url` with a path of its own is used as it is; without one the vendor's path comes after it.

    `login` is a name and a password, given in the way that `scheme` says: `digest` or `basic`.
    """

    acknowledges: str | None = "http"

    def __init__(
        self, temper: Temper, url: str, source: str, parallel: int, login: tuple[str, str] | None, scheme: str
    ) -> None:
        self._temper = temper
        self._url = url
        self._source = source
        self._login = login
        self._scheme = scheme
        self._left = LeftOpen()
        self.parallel = parallel

    async def open(self) -> dict[str, object]:
        keep_alive = self._temper.habits.keep_alive
        connector = aiohttp.TCPConnector(
            local_addr=(self._source, 0), force_close=not keep_alive, limit=self.parallel + 1
        )
        more: dict[str, Any] = {}
        if self._login and self._scheme == "digest":
            more["middlewares"] = (aiohttp.DigestAuthMiddleware(*self._login),)
        elif self._login:
            more["headers"] = {"Authorization": aiohttp.encode_basic_auth(*self._login)}
        limit_s = None if self._temper.habits.bytes_per_s else ANSWER_LIMIT_S
        self._http = aiohttp.ClientSession(connector=connector, timeout=aiohttp.ClientTimeout(total=limit_s), **more)
        return {}

    async def awaited(self) -> None:
        return

    async def carry(self, telling: Telling) -> Heard:
        temper = self._temper
        deadline = time.monotonic() + temper.habits.retry_for_s
        tries = sent = 0
        status: int | None = None
        for place, message in enumerate(telling.messages):
            if place:
                await temper.pause(temper.habits.gap_s)
            if temper.happens(temper.habits.left_open):
                await self._leave(message)
            status, taken, more = await temper.insist(self._attempt(message), deadline)
            tries, sent = tries + more, sent + more * len(message.body)
            if not taken:
                refused = status is not None and 400 <= status < 500
                return Heard("refused" if refused else "gave_up", status, tries, sent)
        if temper.happens(temper.habits.duplicates):
            temper.counts["duplicates"] += 1
            for message in telling.messages:
                await self._post(message)
        return Heard("stored", status, tries, sent)

    async def beat(self, message: Message) -> bool:
        return (await self._post(message))[1]

    async def stray(self, message: Message | None) -> None:
        """Without a message of the vendor's: a browser that came to the wrong port."""
        if message is not None:
            await self._post(message)
            return
        with contextlib.suppress(aiohttp.ClientError, TimeoutError, OSError):
            async with self._http.get(self._target(Message(b""))) as answer:
                await answer.read()

    async def close(self) -> None:
        self._left.close()
        await self._http.close()

    def _attempt(self, message: Message) -> Attempt:
        return self._temper.cutting(lambda: self._post(message), lambda: self._cut(message))

    def _target(self, message: Message) -> str:
        own = urlsplit(self._url).path
        return self._url if own not in ("", "/") or not message.path else self._url.rstrip("/") + message.path

    async def _post(self, message: Message) -> tuple[int | None, bool]:
        """The status of the answer, or None where none came; and whether the answer is what the vendor waits for."""
        headers = {"Content-Type": message.content_type, **dict(message.lines)}
        body: bytes | AsyncIterator[bytes] = message.body
        if self._temper.habits.bytes_per_s:
            headers["Content-Length"] = str(len(message.body))
            body = self._slowly(message.body)
        try:
            async with self._http.post(self._target(message), data=body, headers=headers) as answer:
                text = await answer.text(errors="replace")
                said = all(word.lower() in text.lower() for word in message.said)
                return answer.status, answer.status == STORED and said
        except (aiohttp.ClientError, TimeoutError, OSError):
            return None, False

    async def _slowly(self, body: bytes) -> AsyncIterator[bytes]:
        for piece in self._temper.pieces(body):
            yield piece
            await asyncio.sleep(len(piece) / self._temper.habits.bytes_per_s)

    def _half(self, message: Message) -> bytes:
        """The head of a request, and half of its body."""
        target = urlsplit(self._target(message))
        head = [
            f"POST {target.path or '/'} HTTP/1.1",
            f"Host: {target.netloc}",
            f"Content-Type: {message.content_type}",
        ]
        head += [f"{name}: {value}" for name, value in message.lines]
        head += [f"Content-Length: {len(message.body)}", "", ""]
        return "\r\n".join(head).encode() + message.body[: len(message.body) // 2]

    def _peer(self) -> tuple[str, int]:
        target = urlsplit(self._url)
        return target.hostname or "127.0.0.1", target.port or 80

    async def _cut(self, message: Message) -> None:
        _, writer = await asyncio.open_connection(*self._peer(), local_addr=(self._source, 0))
        writer.write(self._half(message))
        await writer.drain()
        writer.close()

    async def _leave(self, message: Message) -> None:
        with contextlib.suppress(OSError):
            await self._left.add(*self._peer(), self._source, self._half(message))
            self._temper.counts["left_open"] += 1
