"""Messages on a TCP connection that the camera opens, or that others open to it; nothing is acknowledged.

The connection stays open between messages unless the habits say otherwise. What the other end says is read and
dropped: bytes that nobody read would make the system throw away what is still on its way.
"""

from __future__ import annotations

import asyncio
import contextlib
import time

from simulators.over.carrier import Attempt, Heard, LeftOpen, Temper, either, ended
from simulators.vendors.telling import Message, Telling

END_LIMIT_S = 3.0
GARBAGE = (b"\r\n\r\n", b"\x00\x00\x00", b"OK\r\n", b"\xff\xfe\r\n")


class TcpCalls:
    """A camera that calls `host:port` from the address `source`, and calls again when it is cut off."""

    acknowledges: str | None = None
    parallel = 1

    def __init__(self, temper: Temper, host: str, port: int, source: str) -> None:
        self._temper = temper
        self._peer = (host, port)
        self._source = source
        self._writer: asyncio.StreamWriter | None = None
        self._drain: asyncio.Task[None] | None = None
        self._left = LeftOpen()

    async def open(self) -> dict[str, object]:
        return {}

    async def awaited(self) -> None:
        return

    async def carry(self, telling: Telling) -> Heard:
        temper = self._temper
        deadline = time.monotonic() + temper.habits.retry_for_s
        tries = sent = 0
        for place, message in enumerate(telling.messages):
            await temper.pause(temper.habits.gap_s if place else 0)
            if temper.happens(temper.habits.left_open):
                with contextlib.suppress(OSError):
                    await self._left.add(*self._peer, self._source, message.body[: len(message.body) // 2])
                    temper.counts["left_open"] += 1
            _, taken, more = await temper.insist(self._attempt(message.body), deadline)
            tries, sent = tries + more, sent + more * len(message.body)
            if not taken:
                return Heard("gave_up", None, tries, sent)
        if temper.happens(temper.habits.duplicates):
            temper.counts["duplicates"] += 1
            for message in telling.messages:
                await self._write(message.body)
        return Heard("sent", None, tries, sent)

    async def beat(self, message: Message) -> bool:
        return (await self._write(message.body))[1]

    async def stray(self, message: Message | None) -> None:
        await self._write(message.body if message else self._temper.chance.choice(GARBAGE))

    async def close(self) -> None:
        self._left.close()
        await self._hang_up()

    def _attempt(self, data: bytes) -> Attempt:
        return self._temper.cutting(lambda: self._write(data), lambda: self._cut(data))

    async def _write(self, data: bytes) -> tuple[int | None, bool]:
        try:
            writer = await self._connected()
            await self._temper.write(writer, data)
        except OSError:
            await self._drop()
            return None, False
        if not self._temper.habits.keep_alive:
            await self._hang_up()
        return None, True

    async def _cut(self, data: bytes) -> None:
        writer = await self._connected()
        await self._temper.write(writer, data[: len(data) // 2])
        await self._hang_up()

    async def _connected(self) -> asyncio.StreamWriter:
        """Raises `OSError` where nobody listens."""
        if self._writer is not None and (self._drain is None or self._drain.done() or self._writer.is_closing()):
            await self._drop()
        if self._writer is None:
            reader, self._writer = await asyncio.open_connection(*self._peer, local_addr=(self._source, 0))
            self._temper.counts["connections"] += 1
            self._drain = asyncio.create_task(drained(reader))
        return self._writer

    async def _hang_up(self) -> None:
        """Say that nothing more comes, and wait until the other end has read to there and hangs up too."""
        if self._writer is None or self._drain is None:
            return
        with contextlib.suppress(OSError, TimeoutError):
            self._writer.write_eof()
            async with asyncio.timeout(END_LIMIT_S):
                await self._drain
        await self._drop()

    async def _drop(self) -> None:
        writer, self._writer = self._writer, None
        if self._drain is not None:
            self._drain.cancel()
            await asyncio.gather(self._drain, return_exceptions=True)
        if writer is not None:
            await ended(writer)


class TcpCalled:
    """A camera that listens, and writes to everybody who is connected; events without anybody there are unheard."""

    acknowledges: str | None = None
    parallel = 1

    def __init__(self, temper: Temper, address: str, port: int) -> None:
        self._temper = temper
        self._at = (address, port)
        self._writers: set[asyncio.StreamWriter] = set()
        self._heard = asyncio.Event()

    async def open(self) -> dict[str, object]:
        address, port = self._at
        self._server = await asyncio.start_server(self._connected, address, port)
        return {"ready": True, "address": address, "port": int(self._server.sockets[0].getsockname()[1])}

    async def awaited(self) -> None:
        await either(self._heard, self._temper.stopping)

    async def carry(self, telling: Telling) -> Heard:
        temper = self._temper
        temper.counts["tries"] += 1
        whole, sent = True, 0
        for place, message in enumerate(telling.messages):
            await temper.pause(temper.habits.gap_s if place else 0)
            reached = await self._give(message.body, cut=temper.happens(temper.habits.cut))
            whole, sent = whole and reached, sent + len(message.body) * reached
        if whole and temper.happens(temper.habits.duplicates):
            temper.counts["duplicates"] += 1
            for message in telling.messages:
                await self._give(message.body)
        return Heard("sent" if whole else "unheard", None, 1, sent)

    async def beat(self, message: Message) -> bool:
        return await self._give(message.body)

    async def stray(self, message: Message | None) -> None:
        await self._give(message.body if message else self._temper.chance.choice(GARBAGE))

    async def close(self) -> None:
        self._server.close()
        for writer in list(self._writers):
            await ended(writer)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        self._temper.counts["listeners"] += 1
        self._heard.set()
        await drained(reader)
        self._writers.discard(writer)
        writer.close()

    async def _give(self, data: bytes, *, cut: bool = False) -> bool:
        reached = False
        for writer in list(self._writers):
            try:
                if writer.is_closing():
                    raise ConnectionError("the listener has gone")
                await self._temper.write(writer, data[: len(data) // 2] if cut else data)
                reached = reached or not cut
            except OSError:
                self._writers.discard(writer)
            if cut:
                self._temper.counts["cut"] += 1
                writer.close()
        return reached


async def drained(reader: asyncio.StreamReader) -> None:
    """Returns when the other end has hung up."""
    with contextlib.suppress(OSError):
        while await reader.read(4096):
            pass
