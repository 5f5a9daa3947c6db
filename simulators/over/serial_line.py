"""A reader on a serial line: text as it is, or packets that are sent again until they are acknowledged.

The device is opened again when it has gone away.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import termios
import time
import tty

from simulators.over.carrier import Attempt, Heard, Temper
from simulators.vendors.nedap import acknowledges, packet
from simulators.vendors.telling import Message, Telling

ACKNOWLEDGE_LIMIT_S = 0.5
RETRIES = 3
"""`Timeout ms` and `Retry Number` of the reader's settings."""
GARBAGE = (b"\x00\x00", b"\xff\xff\xff", b"\x89\xab", b"\r\n")


class SerialLine:
    """`order` None: text, which nobody acknowledges; else the order of the bytes in a packet's numbers."""

    parallel = 1

    def __init__(self, temper: Temper, device: str, baud: int, order: str | None) -> None:
        self._temper = temper
        self._device = device
        self._speed = getattr(termios, f"B{baud}")
        self._order = order
        self._number = 0
        self._fd: int | None = None
        self._heard = b""
        self._news = asyncio.Event()
        self.acknowledges = None if order is None else "nedap"

    async def open(self) -> dict[str, object]:
        return {}

    async def awaited(self) -> None:
        return

    async def carry(self, telling: Telling) -> Heard:
        temper = self._temper
        data = telling.messages[0].body
        deadline = time.monotonic() + temper.habits.retry_for_s
        if self._order is not None:
            self._number += 1
            data = packet(self._number, data, order=self._order)
        _, taken, tries = await self._insist(data, deadline)
        if taken and temper.happens(temper.habits.duplicates):
            temper.counts["duplicates"] += 1
            await self._write(data)
        acknowledged = "sent" if self._order is None else "stored"
        return Heard(acknowledged if taken else "gave_up", None, tries, tries * len(data))

    async def beat(self, message: Message) -> bool:
        return await self._write(message.body)

    async def stray(self, message: Message | None) -> None:
        await self._write(message.body if message else self._temper.chance.choice(GARBAGE))

    async def close(self) -> None:
        if self._fd is not None:
            with contextlib.suppress(termios.error):
                await asyncio.to_thread(termios.tcdrain, self._fd)
        self._forget()

    async def _insist(self, data: bytes, deadline: float) -> tuple[int | None, bool, int]:
        """Text once it is written; a packet as often as the reader's settings say, without a pause between."""
        if self._order is None:
            return await self._temper.insist(self._attempt(data), deadline)
        tries = 0
        attempt = self._attempt(data)
        while tries <= RETRIES and not self._temper.stopping.is_set():
            tries += 1
            self._temper.counts["tries"] += 1
            _, taken = await attempt()
            if taken:
                return None, True, tries
            if time.monotonic() >= deadline:
                break
        return None, False, tries

    def _attempt(self, data: bytes) -> Attempt:
        async def whole() -> tuple[int | None, bool]:
            self._heard = b""
            written = await self._write(data)
            return None, written and (self._order is None or await self._acknowledged())

        async def half() -> None:
            await self._write(data[: len(data) // 2])

        return self._temper.cutting(whole, half)

    async def _acknowledged(self) -> bool:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(ACKNOWLEDGE_LIMIT_S):
                while not acknowledges(self._heard, self._number, order=self._order or "big"):
                    self._news.clear()
                    await self._news.wait()
                return True
        return False

    async def _write(self, data: bytes) -> bool:
        try:
            if self._fd is None:
                self._fd = self._opened()
            for piece in self._temper.pieces(data):
                await asyncio.to_thread(_write_all, self._fd, piece)
                if self._temper.habits.bytes_per_s:
                    await asyncio.sleep(len(piece) / self._temper.habits.bytes_per_s)
        except (OSError, termios.error):
            self._forget()
            return False
        return True

    def _opened(self) -> int:
        """The device as 8N1 without echo, and read from now on."""
        fd = os.open(self._device, os.O_RDWR | os.O_NOCTTY)
        tty.setraw(fd)
        settings = termios.tcgetattr(fd)
        settings[4] = settings[5] = self._speed
        termios.tcsetattr(fd, termios.TCSANOW, settings)
        asyncio.get_running_loop().add_reader(fd, self._hear, fd)
        return fd

    def _hear(self, fd: int) -> None:
        try:
            more = os.read(fd, 4096)
        except OSError:
            more = b""
        if not more:
            self._forget()
            return
        self._heard += more
        self._news.set()

    def _forget(self) -> None:
        if self._fd is not None:
            asyncio.get_running_loop().remove_reader(self._fd)
            os.close(self._fd)
            self._fd = None


def _write_all(fd: int, data: bytes) -> None:
    while data:
        data = data[os.write(fd, data) :]
