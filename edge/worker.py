"""The ledger thread: the one thread that holds the ledger, the group commit in front of it, and its quiet moments.

A caller's `await` ends after the commit. What waits here is bounded by its callers: each awaits before the next.
"""

from __future__ import annotations

import asyncio
import queue
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, TypeVar

from edge.changes import Change
from edge.claim import Outcome
from edge.keeping import Tended
from edge.ledger import Ledger

T = TypeVar("T")

TEND_S = 5.0  # how often a quiet moment is used for what age, room and the clock ask
TEND_MORE_S = 0.05  # while there is more of it: salvage takes some 2 MB at a time, between reads
TEND_LATE_S = 30.0  # after so long without a quiet moment, all the same


@dataclass(frozen=True, slots=True)
class _Commit:
    change: Change
    done: asyncio.Future[int | Outcome]


@dataclass(frozen=True, slots=True)
class _Question:
    ask: Callable[[Ledger], Any]
    done: asyncio.Future[Any]


class LedgerThread:
    """Carries changes and questions from the event loop to the ledger and their results back.

    `group_s` and `group_count`: how long and for how many changes one commit waits (security.md 3.3: ten reads in a
    commit write 1.9 times their bytes, one by one 2.7 times). `failed` ends with the error that ended the thread.
    `tended` is called in the loop where a quiet moment wrote an act or put back old records: the courier must know.
    """

    def __init__(self, open_ledger: Callable[[], Ledger], group_s: float, group_count: int) -> None:
        self._open = open_ledger
        self._group_s = group_s
        self._group_count = group_count
        self._queue: queue.SimpleQueue[_Commit | _Question | None] = queue.SimpleQueue()
        self._loop = asyncio.get_running_loop()
        self._thread = threading.Thread(target=self._live, name="ledger")
        self._opened: asyncio.Future[Ledger] = self._loop.create_future()
        self.failed: asyncio.Future[None] = self._loop.create_future()
        self.tended: Callable[[Tended], None] = lambda _: None
        self._tend_at_s = 0.0

    async def start(self) -> Ledger:
        """Open the ledger in its thread. What it returns may be read (session, epoch) and not used."""
        self._thread.start()
        return await self._opened

    async def commit(self, change: Change) -> int | Outcome:
        """The change's result once it is durable. Raises `Unavailable` where there is no room."""
        done: asyncio.Future[int | Outcome] = self._loop.create_future()
        self._queue.put(_Commit(change, done))
        return await self._unless_failed(done)

    async def ask(self, question: Callable[[Ledger], T]) -> T:
        done: asyncio.Future[T] = self._loop.create_future()
        self._queue.put(_Question(question, done))
        return await self._unless_failed(done)

    async def stop(self) -> None:
        """Let what is queued finish, close the ledger, end the thread."""
        self._queue.put(None)
        await asyncio.to_thread(self._thread.join)
        if self.failed.done() and not self.failed.cancelled():
            self.failed.exception()  # seen here; whoever ran the service has raised it

    async def _unless_failed(self, done: asyncio.Future[T]) -> T:
        either: set[asyncio.Future[Any]] = {done, self.failed}
        await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
        if not done.done():
            done.cancel()
            self.failed.result()
        return done.result()

    # in the thread

    def _live(self) -> None:
        try:
            ledger = self._open()
        except BaseException as problem:  # noqa: BLE001  carried to the loop, which ends the process
            self._tell(self._opened, problem)
            return
        self._tell(self._opened, ledger)
        try:
            self._serve(ledger)
        except BaseException as problem:  # noqa: BLE001  carried to the loop, which ends the process
            self._tell(self.failed, problem)
        finally:
            ledger.close()

    def _serve(self, ledger: Ledger) -> None:
        self._tend_at_s = time.monotonic() + TEND_S
        item = self._next(ledger)
        while item is not None:
            following: _Commit | _Question | None = None
            if isinstance(item, _Commit):
                group, following, ended = self._gather(item)
                for each, result in zip(group, ledger.commit([g.change for g in group]), strict=True):
                    self._tell(each.done, result)
                if ended:
                    return
            else:
                self._answer(item, ledger)
            item = following if following is not None else self._next(ledger)

    def _next(self, ledger: Ledger) -> _Commit | _Question | None:
        """What comes next; until it comes, the ledger is tended."""
        while True:
            wait_s = self._tend_at_s - time.monotonic()
            if wait_s > -TEND_LATE_S:
                with suppress(queue.Empty):
                    return self._queue.get(timeout=max(0.0, wait_s))
            done = ledger.tend()
            self._tend_at_s = time.monotonic() + (TEND_MORE_S if done.more else TEND_S)
            if done.acts or done.put_back:
                self._loop.call_soon_threadsafe(self._say_tended, done)

    def _say_tended(self, done: Tended) -> None:
        self.tended(done)

    def _gather(self, first: _Commit) -> tuple[list[_Commit], _Question | None, bool]:
        """Changes that come within the group's time, until a question or the end comes between."""
        group, until = [first], time.monotonic() + self._group_s
        while len(group) < self._group_count:
            try:
                item = self._queue.get(timeout=max(0.0, until - time.monotonic()))
            except queue.Empty:
                break
            if not isinstance(item, _Commit):
                return group, item, item is None
            group.append(item)
        return group, None, False

    def _answer(self, item: _Question, ledger: Ledger) -> None:
        try:
            result = item.ask(ledger)
        except BaseException as problem:
            self._tell(item.done, problem)
            raise
        self._tell(item.done, result)

    def _tell(self, future: asyncio.Future[Any], result: object) -> None:
        def settle() -> None:
            if future.done():
                return
            if isinstance(result, BaseException):
                future.set_exception(result)
            else:
                future.set_result(result)

        self._loop.call_soon_threadsafe(settle)
