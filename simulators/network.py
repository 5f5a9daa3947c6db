"""A link that can be cut, frozen and slowed: a TCP relay between two ends on this machine.

It changes no byte and keeps none: what is lost in a cut is what TCP loses in a cut.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import sys
from typing import Self

CHUNK_BYTES = 16_384
CHUNKS_IN_HAND = 64
COMMANDS = ("cut", "freeze", "heal")


class Relay:
    """Listens on 127.0.0.1 and passes bytes to one address and back; an async context manager.

    `port` is known once it listens. `delay_s` holds every byte back that long in each direction.
    """

    def __init__(self, to_host: str, to_port: int, *, port: int = 0, delay_s: float = 0.0) -> None:
        self.port = port
        self.delay_s = delay_s
        self._to = (to_host, to_port)
        self._flowing = asyncio.Event()
        self._flowing.set()
        self._server: asyncio.Server | None = None
        self._links: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        await self._listen()
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.cut()

    async def cut(self) -> None:
        """Reset every connection and refuse new ones, until `heal`."""
        if self._server is not None:
            self._server.close()
            self._server = None
        links = list(self._links)
        for link in links:
            link.cancel()
        await asyncio.gather(*links, return_exceptions=True)

    async def freeze(self) -> None:
        """Go on accepting connections, and pass nothing: what a dead modem looks like to both ends."""
        self._flowing.clear()

    async def heal(self) -> None:
        """Listen again on the same port, and let bytes held since `freeze` go on."""
        self._flowing.set()
        if self._server is None:
            await self._listen()

    @property
    def links(self) -> int:
        """Connections open now."""
        return len(self._links)

    async def _listen(self) -> None:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        link = asyncio.current_task()
        if link is None or self._server is None:  # accepted in the very moment of a cut
            writer.transport.abort()
            return
        self._links.add(link)
        try:
            await self._flowing.wait()
            far_reader, far_writer = await asyncio.open_connection(*self._to)
            try:
                async with asyncio.TaskGroup() as both:
                    both.create_task(self._pass(reader, far_writer))
                    both.create_task(self._pass(far_reader, writer))
            finally:
                far_writer.transport.abort()
        except (OSError, asyncio.CancelledError, ExceptionGroup):
            pass  # either end may go at any time, and a cut is a cancellation: the reset below tells the other
        finally:
            writer.transport.abort()
            self._links.discard(link)

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One direction. Reading and writing are apart so that a delay does not become a limit on the rate."""
        held: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue(CHUNKS_IN_HAND)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._read(reader, held))
            tasks.create_task(self._write(held, writer))

    async def _read(self, reader: asyncio.StreamReader, held: asyncio.Queue[tuple[float, bytes]]) -> None:
        loop = asyncio.get_running_loop()
        while True:
            chunk = await reader.read(CHUNK_BYTES)
            await held.put((loop.time() + self.delay_s, chunk))
            if not chunk:
                return

    async def _write(self, held: asyncio.Queue[tuple[float, bytes]], writer: asyncio.StreamWriter) -> None:
        loop = asyncio.get_running_loop()
        while True:
            due, chunk = await held.get()
            await asyncio.sleep(max(0.0, due - loop.time()))
            await self._flowing.wait()
            if not chunk:
                with contextlib.suppress(OSError):
                    writer.write_eof()
                return
            writer.write(chunk)
            await writer.drain()


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--listen", type=int, default=0, metavar="PORT", help="0: any free port")
    parser.add_argument("--to", required=True, metavar="HOST:PORT")
    parser.add_argument("--delay-ms", type=int, default=0, help="in each direction")


def run(args: argparse.Namespace) -> int:
    """Relay until the end of standard input, obeying `cut`, `freeze` and `heal` read from it."""
    host, _, port = str(args.to).rpartition(":")
    if not host or not port.isdigit():
        print("--to must be HOST:PORT", file=sys.stderr)
        return 64
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(_obey(Relay(host, int(port), port=args.listen, delay_s=args.delay_ms / 1000)))
    return 0


async def _obey(relay: Relay) -> None:
    async with relay:
        print(json.dumps({"ready": True, "port": relay.port}), flush=True)
        while line := await asyncio.to_thread(sys.stdin.readline):
            word = line.strip()
            if word == "cut":
                await relay.cut()
            elif word == "freeze":
                await relay.freeze()
            elif word == "heal":
                await relay.heal()
            elif word:
                print(f"not a command: say one of {', '.join(COMMANDS)}", file=sys.stderr)
                continue
            print(json.dumps({"done": word, "links": relay.links}), flush=True)
