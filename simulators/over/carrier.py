"""What all transports share: a camera's habits, its patience, and what it heard.

No transport is known here.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from typing import Protocol

from simulators.vendors.telling import Message, Telling

PAUSES_S = (0.5, 1.0, 2.0, 4.0, 5.0)
MOST_PIECES = 12
"""A message is written in at most so many pieces, so that a large one does not take all day."""
SLOW_STEPS_PER_S = 20
LEFT_OPEN_MOST = 4
"""So many abandoned connections are kept; an older one is closed."""


@dataclass(frozen=True, slots=True)
class Habits:
    """How a camera behaves. Shares are from 0 to 1.

    `retry_for_s` is per event, 0: one try. `duplicates`: events that are handed over once more afterwards.
    `bytes_per_s` 0: at once. `cut`: first tries that end in the middle. `garbage`: events with something else before
    them. `left_open`: events before which a connection is opened, used for half a message and left. `scattered`:
    messages written in pieces that end anywhere. `lie`: announced lengths that are wrong. `gap_s`: between the messages
    of one event. `replays`: events after which an old one is told again as the state of things.
    """

    retry_for_s: float = 300.0
    duplicates: float = 0.0
    bytes_per_s: int = 0
    cut: float = 0.0
    garbage: float = 0.0
    left_open: float = 0.0
    keep_alive: bool = False
    scattered: bool = False
    lie: float = 0.0
    gap_s: float = 0.05
    replays: float = 0.0


@dataclass(frozen=True, slots=True)
class Heard:
    """What became of one event.

    `stored`: acknowledged; `refused`; `gave_up`; `sent`: handed over where nothing is ever acknowledged; `unheard`:
    nobody was there; `overtaken`: nobody asked in time. `sent_bytes` counts what was written, repeats included.
    """

    verdict: str
    status: int | None
    tries: int
    sent_bytes: int = 0


Attempt = Callable[[], Awaitable[tuple[int | None, bool]]]
"""One try: the status that was heard, if any, and whether the message is taken."""


@dataclass(slots=True)
class Temper:
    """A camera's habits at work: its luck, its patience and its counts."""

    habits: Habits
    chance: random.Random
    stopping: asyncio.Event = field(default_factory=asyncio.Event)
    counts: Counter[str] = field(default_factory=Counter)

    def happens(self, share: float) -> bool:
        return share > 0 and self.chance.random() < share

    async def pause(self, seconds: float) -> None:
        """Wait, or less when the camera is stopped."""
        if seconds > 0:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self.stopping.wait(), seconds)

    async def insist(self, attempt: Attempt, deadline: float) -> tuple[int | None, bool, int]:
        """Try until it is taken, the time is over, or the camera is stopped: last status, whether taken, tries."""
        tries, status, taken = 0, None, False
        while not self.stopping.is_set():
            tries += 1
            self.counts["tries"] += 1
            status, taken = await attempt()
            if taken or time.monotonic() >= deadline:
                break
            await self.pause(min(PAUSES_S[min(tries, len(PAUSES_S)) - 1], deadline - time.monotonic()))
        return status, taken, tries

    def cutting(self, whole: Attempt, cut: Callable[[], Awaitable[None]]) -> Attempt:
        """`whole`, where now and then the first try is `cut` instead, and is not taken."""
        ends_early = self.happens(self.habits.cut)

        async def attempt() -> tuple[int | None, bool]:
            nonlocal ends_early
            if not ends_early:
                return await whole()
            ends_early = False
            self.counts["cut"] += 1
            with contextlib.suppress(OSError):
                await cut()
            return None, False

        return attempt

    def pieces(self, data: bytes) -> Iterator[bytes]:
        """The bytes as they are written: at once, in slow steps, or in pieces that end anywhere."""
        if self.habits.bytes_per_s:
            step = max(1, self.habits.bytes_per_s // SLOW_STEPS_PER_S)
            yield from (data[start : start + step] for start in range(0, len(data), step))
        elif self.habits.scattered and len(data) > 1:
            ends = sorted(self.chance.randrange(1, len(data)) for _ in range(self.chance.randrange(1, MOST_PIECES)))
            for start, end in zip([0, *ends], [*ends, len(data)], strict=True):
                if end > start:
                    yield data[start:end]
        else:
            yield data

    async def write(self, writer: asyncio.StreamWriter, data: bytes) -> None:
        """Write as the habits say. Raises `OSError` where the other end is gone."""
        for piece in self.pieces(data):
            writer.write(piece)
            await writer.drain()
            if self.habits.bytes_per_s:
                await asyncio.sleep(len(piece) / self.habits.bytes_per_s)
            elif self.habits.scattered:
                await asyncio.sleep(0)


class Carrier(Protocol):
    """One transport with a node, or a broker, at its other end."""

    parallel: int
    acknowledges: str | None
    """What stands in the journal for the kind of acknowledgement; None where there is none."""

    async def open(self) -> dict[str, object]:
        """Begin; returns what others must know to find it, such as its port."""

    async def awaited(self) -> None:
        """Returns when the first event may come."""

    async def carry(self, telling: Telling) -> Heard:
        """Hand over one event."""

    async def beat(self, message: Message) -> bool:
        """Hand over a sign of life; whether it was taken."""

    async def stray(self, message: Message | None) -> None:
        """Let through what is no read; None: what the transport has of its own."""

    async def close(self) -> None:
        """End, after all that was handed over has gone."""


async def either(one: asyncio.Event, other: asyncio.Event) -> None:
    """Returns when one of them is set."""
    waiting = {asyncio.create_task(each.wait()) for each in (one, other)}
    _, left = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
    for task in left:
        task.cancel()


async def ended(writer: asyncio.StreamWriter, limit_s: float = 5.0) -> None:
    """Close after what was written has gone out; cut off where the other end does not take it."""
    writer.close()
    try:
        async with asyncio.timeout(limit_s):
            await writer.wait_closed()
    except TimeoutError:
        writer.transport.abort()
    except OSError:
        return


class LeftOpen:
    """Connections that were used for half a message and forgotten."""

    def __init__(self) -> None:
        self._writers: list[asyncio.StreamWriter] = []

    async def add(self, host: str, port: int, source: str | None, half: bytes) -> None:
        """Raises `OSError` where nobody listens."""
        _, writer = await asyncio.open_connection(host, port, local_addr=(source, 0) if source else None)
        writer.write(half)
        await writer.drain()
        self._writers.append(writer)
        if len(self._writers) > LEFT_OPEN_MOST:
            self._writers.pop(0).close()

    def close(self) -> None:
        for writer in self._writers:
            writer.close()
