"""Readers on a serial line: template lines, STX ... ETX, or packets that want an acknowledgement.

Each line is read in a thread of its own, so that a stuck adapter holds up nothing else. What may not happen here: an
acknowledgement before the receiver's answer, or to a packet whose sum is wrong.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import NoReturn

from capture.delivery import Answer, Delivery
from capture.holding import Faults, finished, taken
from capture.links import Links, Telling
from capture.sources.serial_port import News, Port, SerialLimits, SerialLine
from edge.claim import Arrival, Received, Way

_REFUSED = frozenset({"garbage", "overrun"})


class SerialLines:
    """The source."""

    def __init__(self, lines: Sequence[_Line], counted: Counter[str], limits: SerialLimits) -> None:
        self._lines = lines
        self._counted = counted
        self._limits = limits
        self._faults = Faults()
        self._executor = ThreadPoolExecutor(max(1, len(lines)), thread_name_prefix="serial_line")
        loop = asyncio.get_running_loop()
        self._threads = [loop.run_in_executor(self._executor, line.port.run) for line in lines]
        self._tasks = [asyncio.create_task(line.run()) for line in lines]
        for thread in self._threads:
            self._faults.watch(thread)
        for task in self._tasks:
            self._faults.watch(task)

    def counts(self) -> dict[str, int]:
        """What went wrong, by a stable word, since the start."""
        counted = self._counted + Counter(overrun=sum(line.port.overruns for line in self._lines))
        return {word: count for word, count in counted.items() if count}

    def refused(self) -> dict[str, int]:
        """Of those, what somebody may have wanted to be heard."""
        return {word: count for word, count in self.counts().items() if word in _REFUSED}

    async def failed(self) -> None:
        """Wait until something of ours breaks, and raise it."""
        await self._faults.failed()

    async def close(self) -> None:
        """Let deliveries in hand finish for up to `stop_s`, then close the devices."""
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)
        for line in self._lines:
            line.port.stop()
        stuck = bool(self._threads) and (await asyncio.wait(self._threads, timeout=self._limits.stop_s))[1]
        self._executor.shutdown(wait=not stuck)


async def open_serial_line(
    lines: Sequence[SerialLine],
    limits: SerialLimits,
    receive: Callable[[Delivery], Awaitable[Answer]],
    links: Links,
    clock: Callable[[], Received],
) -> SerialLines:
    """Read these lines for ever, whether their devices are there yet or not."""
    counted: Counter[str] = Counter()
    return SerialLines([_Line(line, limits, receive, links, clock, counted) for line in lines], counted, limits)


class _Line:
    """The loop's side of a device."""

    def __init__(
        self,
        line: SerialLine,
        limits: SerialLimits,
        receive: Callable[[Delivery], Awaitable[Answer]],
        links: Links,
        clock: Callable[[], Received],
        counted: Counter[str],
    ) -> None:
        self._line = line
        self._limits = limits
        self._receive = receive
        self._clock = clock
        self._counted = counted
        self._framer = line.framing.framer()
        self._tell = Telling(links, line.camera)
        self._open = False
        self.port = Port(line, limits)

    async def run(self) -> NoReturn:
        opening = 0
        while True:
            news = await self._next_news()
            garbage = self._framer.garbage
            if news is None:
                frames = self._framer.give_up()
            elif news.data:
                self._tell("")
                frames = self._framer.feed(news.data)
            else:
                self._changed(news)
                continue
            opening = opening if news is None else news.opening
            self._counted["garbage"] += self._framer.garbage - garbage
            for frame in frames:
                await finished(self._deliver(frame, opening), self._limits.stop_s)
            if news is not None:
                self.port.consumed(len(news.data))

    async def _next_news(self) -> News | None:
        """What the thread tells next; None where a message has begun and nothing more of it comes."""
        while True:
            wait_s = self._limits.between_s if self._framer.pending else self._line.quiet_s
            try:
                async with asyncio.timeout(wait_s if self._open else None):
                    return await self.port.news.get()
            except TimeoutError:
                if self._framer.pending:
                    return None
                self._tell("quiet")

    def _changed(self, news: News) -> None:
        self._open = not news.why
        self._counted["cut_off"] += self._framer.pending
        self._framer = self._line.framing.framer()
        if news.why:
            self._counted[news.why] += 1
        self._tell(news.why)

    async def _deliver(self, frame: bytes, opening: int) -> None:
        line = self._line
        arrival = Arrival(self._clock(), line.device, "/", Way.SERIAL_LINE, line.camera)
        delivery = Delivery(arrival, line.framing.content_type, "", frame)
        answer = await taken(delivery, self._receive, self._limits.hold_s, self._later)
        if answer.body:
            self.port.write(opening, answer.body)

    def _later(self) -> None:
        self._counted["later"] += 1
