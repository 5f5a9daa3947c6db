"""A camera that is asked again and again: it keeps its reads and answers with those that the vendor's list holds.

A read is `sent` when an answer with it was written; one that was pushed out of the list before is `overtaken`.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import Awaitable, Callable

from simulators.over.carrier import Heard, Temper, either
from simulators.over.http_server import Digest, HttpServer, Request, respond
from simulators.vendors.asked import Answerer
from simulators.vendors.telling import Message, Telling

KEPT = 1000
PICTURE_WAIT_S = 5.0
"""How long a camera that has no more to tell waits for somebody who still wants a picture."""


class HttpPoll:
    """`last` None: the list has all kept reads; else only so many."""

    acknowledges: str | None = None
    parallel = 64

    def __init__(
        self,
        temper: Temper,
        answerer: Answerer,
        last: int | None,
        at: tuple[str, int],
        realm: str,
        login: tuple[str, str] | None,
    ) -> None:
        self._temper = temper
        self._answerer = answerer
        self._last = last
        self._at = at
        self._kept: deque[Telling] = deque(maxlen=KEPT)
        self._waiting: dict[str, asyncio.Future[str]] = {}
        self._wanted: set[str] = set()
        self._fetched, self._asked = asyncio.Event(), asyncio.Event()
        self._server = HttpServer(self._serve, Digest(realm, login, temper.counts) if login else None)

    async def open(self) -> dict[str, object]:
        address, port = self._at
        return {"ready": True, "address": address, "port": await self._server.open(address, port)}

    async def awaited(self) -> None:
        """The first question sets the asker's cursor: what came before it, no one would ask for."""
        await either(self._asked, self._temper.stopping)

    async def carry(self, telling: Telling) -> Heard:
        """Returns when it was given out, or overtaken, or the camera is stopped."""
        self._temper.counts["tries"] += 1
        future: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._waiting[telling.uuid] = future
        self._kept.append(telling)
        if self._last is not None:
            for each in list(self._kept)[: -self._last]:
                self._settle(each.uuid, "overtaken")
        settled = asyncio.Event()
        future.add_done_callback(lambda _: settled.set())
        await either(settled, self._temper.stopping)
        verdict = future.result() if future.done() else "unheard"
        self._waiting.pop(telling.uuid, None)
        return Heard(verdict, None, 1, len(telling.messages[0].body) * (verdict == "sent"))

    async def beat(self, message: Message) -> bool:
        del message
        return False

    async def stray(self, message: Message | None) -> None:
        del message

    async def close(self) -> None:
        """A picture of what was given out may still be on its way."""
        with contextlib.suppress(TimeoutError):
            if not self._temper.stopping.is_set():
                async with asyncio.timeout(PICTURE_WAIT_S):
                    while self._wanted:
                        self._fetched.clear()
                        await self._fetched.wait()
        await self._server.close()

    async def _serve(self, request: Request, writer: asyncio.StreamWriter) -> bool:
        for telling in self._kept:
            for message in telling.messages:
                if message.path and message.path == request.target:
                    await respond(writer, 200, message.content_type, message.body)
                    self._temper.counts["pictures_fetched"] += 1
                    self._wanted.discard(message.path)
                    self._fetched.set()
                    return True
        self._temper.counts["questions"] += 1
        reply = self._answerer(list(self._kept), request.target, request.body)
        if reply is None:
            await respond(writer, 404, "text/html", b"")
            return True
        self._asked.set()
        await self._answer(writer, lambda out: respond(out, 200, reply.content_type, reply.body))
        for telling in self._kept:
            if telling.uuid in reply.told:
                self._settle(telling.uuid, "sent", telling)
        return True

    async def _answer(
        self, writer: asyncio.StreamWriter, answer: Callable[[asyncio.StreamWriter], Awaitable[None]]
    ) -> None:
        """With the habit to cut, the connection ends before the answer does."""
        if self._temper.happens(self._temper.habits.cut):
            self._temper.counts["cut"] += 1
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/xml\r\nContent-Length: 1000\r\n\r\n<Pla")
            await writer.drain()
            writer.close()
            raise ConnectionError("cut")
        await answer(writer)

    def _settle(self, uuid: str, verdict: str, told: Telling | None = None) -> None:
        future = self._waiting.get(uuid)
        if future is None or future.done():
            return
        future.set_result(verdict)
        if told is not None:
            self._wanted |= {message.path for message in told.messages if message.path}
