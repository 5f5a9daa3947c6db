"""Cameras that are asked over HTTP: streams that never end, and polls with a cursor.

The vendor part is a recipe (`capture/recipes.py`). While a delivery waits to be taken nothing more is read, so that the
camera feels it. At most twice `delivery_bytes` are held for each camera. What may not happen here: a camera asked so
often with a wrong password that it locks itself; a vehicle lost because its picture was.
"""

from __future__ import annotations

import asyncio
import re
import secrets
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from random import random
from typing import NoReturn

from capture.asking import Asking, Failed, Place, more, whole
from capture.backoff import Backoff
from capture.delivery import MIB, Answer, Delivery
from capture.grouping import Group, Groups, joined
from capture.holding import Faults, finished, taken
from capture.links import Links, Telling
from capture.recipes import Poll, Polled, Recipe, Request, Stream
from edge.claim import Arrival, Received, Way

_SEEN_MAX = 20_000
_REFUSED = frozenset({"garbage", "left_out", "picture_missing"})


@dataclass(frozen=True, slots=True)
class Pull:
    """One camera that is asked: by which recipe, and where. `camera`: its id."""

    camera: str
    place: Place
    recipe: Recipe


@dataclass(frozen=True, slots=True)
class PullLimits:
    """`answer_s` to the headers of an answer, `whole_s` for all of one that ends. `group_s`: silence after which a text
    and its pictures are complete. `hold_s` between two tries of a delivery that is put off. `unauthorised_s` between
    two wrong passwords: cameras lock themselves after five or so. `again_s`: how often a poll begins at the beginning,
    because cameras set their clocks back."""

    delivery_bytes: int = 8 * MIB
    connect_s: float = 5
    answer_s: float = 15
    whole_s: float = 30
    group_s: float = 1
    hold_s: float = 1
    unauthorised_s: float = 300
    again_s: float = 900
    stop_s: float = 5
    backoff: Backoff = field(default_factory=Backoff)


class HttpPull:
    """The source."""

    def __init__(self, lines: Sequence[_Line], counted: Counter[str]) -> None:
        self._counted = counted
        self._lines = lines
        self._faults = Faults()
        self._tasks = [asyncio.create_task(line.run()) for line in lines]
        for task in self._tasks:
            self._faults.watch(task)

    def counts(self) -> dict[str, int]:
        """What went wrong, by a stable word, since the start."""
        return dict(self._counted)

    def refused(self) -> dict[str, int]:
        """Of those, what somebody may have wanted to be heard."""
        return {word: count for word, count in self._counted.items() if word in _REFUSED}

    async def failed(self) -> None:
        """Wait until something of ours breaks, and raise it."""
        await self._faults.failed()

    async def close(self) -> None:
        """Stop asking; let deliveries in hand finish for up to `stop_s`."""
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)
        for line in self._lines:
            await line.close()


async def open_http_pull(
    pulls: Sequence[Pull],
    limits: PullLimits,
    receive: Callable[[Delivery], Awaitable[Answer]],
    links: Links,
    clock: Callable[[], Received],
) -> HttpPull:
    """Ask these cameras for ever. Raises `Misconfigured` where a CA file cannot be used."""
    counted: Counter[str] = Counter()
    return HttpPull([_Line(pull, limits, receive, links, clock, counted) for pull in pulls], counted)


class _Line:
    """One camera."""

    def __init__(
        self,
        pull: Pull,
        limits: PullLimits,
        receive: Callable[[Delivery], Awaitable[Answer]],
        links: Links,
        clock: Callable[[], Received],
        counted: Counter[str],
    ) -> None:
        self._pull = pull
        self._limits = limits
        self._receive = receive
        self._clock = clock
        self._counted = counted
        self._asking = Asking(pull.place, limits.connect_s, limits.answer_s)
        self._tell = Telling(links, pull.camera)
        self._failures = 0
        self._seen: dict[bytes, None] = {}  # in the order they came
        self._tried: set[bytes] = set()  # reads whose pictures broke the line

    async def run(self) -> NoReturn:
        while True:
            try:
                if isinstance(self._pull.recipe, Stream):
                    await self._follow(self._pull.recipe)
                else:
                    await self._poll(self._pull.recipe)
            except Failed as failed:
                self._failures += 1
                self._counted[failed.why] += 1
                self._tell(failed.why)
                wait_s = self._limits.backoff.wait_s(self._failures, random())
                await asyncio.sleep(self._limits.unauthorised_s if failed.why == "unauthorised" else wait_s)

    async def close(self) -> None:
        await self._asking.close()

    async def _follow(self, stream: Stream) -> NoReturn:
        async with self._asking.ask(Request("GET", stream.target)) as response:
            self._tell("")
            groups = Groups(response.headers.get("Content-Type", ""), self._limits.delivery_bytes)
            loop = asyncio.get_running_loop()
            heard_s = loop.time()
            while True:
                left_s = heard_s + stream.quiet_s - loop.time()
                if left_s <= 0:
                    await self._hand_on(groups, groups.end(), stream)
                    raise Failed("quiet")
                chunk = None
                with suppress(TimeoutError):
                    async with asyncio.timeout(min(left_s, self._limits.group_s) if groups.waits else left_s):
                        chunk = await more(response)
                if chunk is None:
                    await self._hand_on(groups, groups.quiet(), stream)
                elif chunk:
                    await self._hand_on(groups, groups.feed(chunk), stream)
                    heard_s = loop.time()
                else:
                    await self._hand_on(groups, groups.end(), stream)
                    raise Failed("cut")

    async def _hand_on(self, groups: Groups, done: Sequence[Group], stream: Stream) -> None:
        for word, count in groups.told().items():
            self._counted[word] += count
        for group in done:
            await self._deliver(group, stream.target)

    async def _poll(self, poll: Poll) -> NoReturn:
        loop = asyncio.get_running_loop()
        while True:
            cursor, begun_s = poll.first, loop.time()
            while loop.time() < begun_s + self._limits.again_s:
                request = poll.request(cursor)
                body, content_type = await self._asked(request)
                self._tell("")
                for polled in poll.cut(body):
                    if polled.mark not in self._seen:
                        await self._deliver(await self._with_pictures(polled, content_type), request.target)
                        self._saw(polled.mark)
                self._failures = 0
                cursor = poll.cursor(body, cursor)
                await asyncio.sleep(poll.every_s)

    def _saw(self, mark: bytes) -> None:
        self._tried.discard(mark)
        self._seen[mark] = None
        if len(self._seen) > _SEEN_MAX:
            del self._seen[next(iter(self._seen))]

    async def _asked(self, request: Request) -> tuple[bytes, str]:
        """The body of an answer that ends, and its type."""
        try:
            async with asyncio.timeout(self._limits.whole_s), self._asking.ask(request) as response:
                content_type = re.sub(r"[^\x20-\x7e]", "", response.headers.get("Content-Type", ""))
                return await whole(response, self._limits.delivery_bytes), content_type
        except TimeoutError:
            raise Failed("unreachable") from None

    async def _with_pictures(self, polled: Polled, content_type: str) -> Group:
        """The read with what pictures of it the camera still has."""
        parts = [f"Content-Type: {content_type}\r\n\r\n".encode() + polled.body]
        for picture in polled.pictures:
            try:
                data, kind = await self._asked(Request("GET", picture.target))
            except Failed as failed:
                if not failed.status and polled.mark not in self._tried:
                    self._tried.add(polled.mark)  # the line broke: once more with the picture, then without
                    raise
                self._counted["picture_missing"] += 1
                continue
            name = re.sub(r'[\x00-\x1f"\\]', "", picture.name)
            head = f'Content-Disposition: form-data; name="{picture.key}"; filename="{name}"\r\nContent-Type: {kind}'
            if sum(map(len, parts)) + len(data) > self._limits.delivery_bytes:
                self._counted["left_out"] += 1
                continue
            parts.append(head.encode() + b"\r\n\r\n" + data)
        if len(parts) == 1:
            return Group(content_type, polled.body)
        return joined(parts, b"--anpr-edge-" + secrets.token_hex(16).encode())

    async def _deliver(self, group: Group, target: str) -> None:
        self._failures = 0
        place = self._pull.place
        path = target.partition("?")[0]
        arrival = Arrival(self._clock(), place.host, path, Way.HTTP_PULL, self._pull.camera)
        delivery = Delivery(arrival, group.content_type, "", group.body)
        held = taken(delivery, self._receive, self._limits.hold_s, self._later)
        await finished(held, self._limits.stop_s)

    def _later(self) -> None:
        self._counted["later"] += 1
