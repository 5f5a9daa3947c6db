"""Cameras that ask too much of a node, in a process of their own so that they do not slow down who measures.

    python -m tests.system.crowd slow PORT ADDRESS COUNT
    python -m tests.system.crowd flood PORT ADDRESS PER_S FILE

`slow`: so many connections from one address, each sending a byte at a time and back again when it is turned away. Says
`{"opened": ...}` once each was opened. `flood`: pushes the JSON in FILE, `ID` in it replaced, so often, and says at the
end what it was told: `{"told": {status: count}, "stored": [id, ...], "took_s": ...}`. Both end on SIGTERM.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import re
import signal
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

BYTE_S = 0.5
LINES = 6
"""Fewer than the node grants one address: what is turned away here is turned away for its rate."""

Opened = tuple[asyncio.StreamReader, asyncio.StreamWriter]


async def connected(port: int, address: str) -> Opened:
    return await asyncio.open_connection("127.0.0.1", port, local_addr=(address, 0))


async def left(writer: asyncio.StreamWriter) -> None:
    writer.transport.abort()
    with contextlib.suppress(OSError):
        await writer.wait_closed()


class Slow:
    """Connections that never come to an end of their request."""

    def __init__(self, port: int, address: str, count: int) -> None:
        self._port = port
        self._address = address
        self._count = count
        self._opened = 0
        self._each_was = asyncio.Event()

    async def run(self) -> None:
        stop = stopped()
        slow = [asyncio.create_task(self._one()) for _ in range(self._count)]
        await self._each_was.wait()
        say({"opened": self._opened})
        await stop.wait()
        for task in slow:
            task.cancel()
        await asyncio.wait(slow)
        say({"opened": self._opened})

    async def _one(self) -> None:
        opened_before = False
        while True:
            with contextlib.suppress(OSError):
                reader, writer = await connected(self._port, self._address)
                self._opened += not opened_before
                opened_before = True
                if self._opened == self._count:
                    self._each_was.set()
                try:
                    await self._drip(reader, writer)
                finally:
                    await left(writer)
            await asyncio.sleep(BYTE_S)

    async def _drip(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"POST / HTTP/1.1\r\nHost: ")
        while not reader.at_eof():
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(BYTE_S):
                    await reader.read(100)
            writer.write(b"x")
            await writer.drain()


class Flood:
    """Pushes at a steady pace over a few connections, as far as the answers come fast enough."""

    def __init__(self, port: int, address: str, per_s: float, read: str) -> None:
        self._port = port
        self._address = address
        self._per_s = per_s
        self._read = read
        self._began_s = time.monotonic()
        self._numbers = itertools.count()
        self._told: Counter[str] = Counter()
        self._stored: list[str] = []

    async def run(self) -> None:
        stop = stopped()
        await asyncio.gather(*(self._line(stop) for _ in range(LINES)))
        say({"told": self._told, "stored": self._stored, "took_s": time.monotonic() - self._began_s})

    async def _line(self, stop: asyncio.Event) -> None:
        opened: Opened | None = None
        while not stop.is_set():
            number = next(self._numbers)
            await asyncio.sleep(self._began_s + number / self._per_s - time.monotonic())
            name = f"flood-{number:06}"
            try:
                opened = opened or await connected(self._port, self._address)
                status = await self._pushed(opened, self._read.replace('"ID"', json.dumps(name)).encode())
            except (OSError, asyncio.IncompleteReadError):
                opened, status = None, "broken"
            self._told[status] += 1
            if status == "200":
                self._stored.append(name)
        if opened is not None:
            await left(opened[1])

    async def _pushed(self, opened: Opened, body: bytes) -> str:
        reader, writer = opened
        head = (
            f"POST /anpr HTTP/1.1\r\nHost: n\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        writer.write(head.encode() + body)
        await writer.drain()
        answer = (await reader.readuntil(b"\r\n\r\n")).decode()
        length = re.search(r"(?i)content-length: (\d+)", answer)
        await reader.readexactly(int(length[1]) if length else 0)
        return answer.split()[1]


def stopped() -> asyncio.Event:
    """Set by SIGTERM."""
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    return stop


def say(told: dict[str, Any]) -> None:
    print(json.dumps(told), flush=True)


async def main(kind: str, port: str, address: str, *more: str) -> None:
    if kind == "slow":
        await Slow(int(port), address, int(more[0])).run()
    else:
        await Flood(int(port), address, float(more[0]), Path(more[1]).read_text()).run()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
