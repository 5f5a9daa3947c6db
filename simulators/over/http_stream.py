"""A camera that is called and answers without end: parts of a stream to everybody who listens.

Nothing is acknowledged and nothing is kept: what happens while nobody listens is `unheard`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field

from simulators.over.carrier import Heard, Temper, either, ended
from simulators.over.http_server import Digest, HttpServer, Request, respond
from simulators.over.parts import Shape, framed, lie
from simulators.vendors.telling import Message, Telling


@dataclass(frozen=True, slots=True)
class Stream:
    """What one vendor's stream is asked with and made of. `needs` are parts of the query that must be there."""

    path: str
    needs: tuple[str, ...]
    content_type: str
    boundary: str
    shapes: Sequence[Shape]
    realm: str
    announces: str = ""
    """A header line that may be untrue, such as a coding that is not there."""


@dataclass(eq=False, slots=True)
class Listener:
    """One client of the stream; `gone` when a write failed."""

    writer: asyncio.StreamWriter
    gone: asyncio.Event = field(default_factory=asyncio.Event)


class HttpStream:
    """Waits for its first listener before the traffic begins."""

    acknowledges: str | None = None
    parallel = 1

    def __init__(self, temper: Temper, stream: Stream, address: str, port: int, login: tuple[str, str] | None) -> None:
        self._temper = temper
        self._stream = stream
        self._at = (address, port)
        self._listeners: set[Listener] = set()
        self._heard = asyncio.Event()
        self._parts = 0
        self._turn = asyncio.Lock()
        digest = Digest(stream.realm, login, temper.counts) if login else None
        self._server = HttpServer(self._serve, digest)

    async def open(self) -> dict[str, object]:
        address, port = self._at
        return {"ready": True, "address": address, "port": await self._server.open(address, port)}

    async def awaited(self) -> None:
        await either(self._heard, self._temper.stopping)

    async def carry(self, telling: Telling) -> Heard:
        """A text and its pictures go without anything between them; the next of its group comes later."""
        temper = self._temper
        temper.counts["tries"] += 1
        runs = _runs(telling.messages)
        sent, whole = 0, True
        for place, run in enumerate(runs):
            await temper.pause(temper.habits.gap_s if place else 0)
            reached = await self._give(run, cut=temper.happens(temper.habits.cut))
            whole = whole and reached
            sent += sum(len(message.body) for message in run) * reached
        if whole and temper.happens(temper.habits.duplicates):
            temper.counts["duplicates"] += 1
            for run in runs:
                await self._give(run)
        return Heard("sent" if whole else "unheard", None, 1, sent)

    async def beat(self, message: Message) -> bool:
        return await self._give([message])

    async def stray(self, message: Message | None) -> None:
        await self._give([message or Message(b"Code=VideoMotion;action=Start;index=0\n", "text/plain")])

    async def close(self) -> None:
        for listener in list(self._listeners):
            await ended(listener.writer)
        await self._server.close()

    async def _serve(self, request: Request, writer: asyncio.StreamWriter) -> bool:
        path, _, query = request.target.partition("?")
        if path != self._stream.path or not all(part in query for part in self._stream.needs):
            await respond(writer, 404, "text/html", b"")
            return True
        head = ["HTTP/1.1 200 OK", f"Content-Type: {self._stream.content_type}", "Connection: close"]
        head += [self._stream.announces] if self._stream.announces else []
        writer.write("\r\n".join([*head, "", ""]).encode())
        await writer.drain()
        listener = Listener(writer)
        self._listeners.add(listener)
        self._temper.counts["listeners"] += 1
        self._heard.set()
        try:
            await listener.gone.wait()
        finally:
            self._listeners.discard(listener)
        return False

    async def _give(self, run: Sequence[Message], *, cut: bool = False) -> bool:
        """Write parts to every listener; whether one of them got all. `cut`: half of them, and the connection ends."""
        async with self._turn:
            data = b"".join(self._framed(message) for message in run)
            reached = False
            for listener in list(self._listeners):
                try:
                    if listener.writer.is_closing():
                        raise ConnectionError("the listener has gone")
                    await self._temper.write(listener.writer, data[: len(data) // 2] if cut else data)
                    reached = reached or not cut
                except OSError:
                    listener.gone.set()
                if cut:
                    self._temper.counts["cut"] += 1
                    listener.gone.set()
            return reached

    def _framed(self, message: Message) -> bytes:
        shape = self._stream.shapes[self._parts % len(self._stream.shapes)]
        self._parts += 1
        wrong = lie(self._temper.chance) if self._temper.happens(self._temper.habits.lie) else 0
        return framed(message, self._stream.boundary, shape, wrong)


def _runs(messages: Sequence[Message]) -> list[list[Message]]:
    """Messages of the first one's type each begin a run."""
    runs: list[list[Message]] = []
    for message in messages:
        if not runs or message.content_type == messages[0].content_type:
            runs.append([])
        runs[-1].append(message)
    return runs
