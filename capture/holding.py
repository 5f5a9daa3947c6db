"""Deliveries that their sender cannot send again: held until they are taken, and finished before a source is gone.

What may not happen here: the next one read while this one waits; a wait without an end once the source closes.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, TypeVar

from capture.delivery import Answer, Delivery
from edge.claim import Outcome

T = TypeVar("T")


class Faults:
    """The first of some tasks that broke. To be made where the loop runs."""

    def __init__(self) -> None:
        self._broken: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def watch(self, task: asyncio.Future[Any]) -> None:
        task.add_done_callback(self._note)

    async def failed(self) -> None:
        """Wait until one breaks, and raise what broke it."""
        await asyncio.shield(self._broken)

    def _note(self, task: asyncio.Future[Any]) -> None:
        broke = None if task.cancelled() else task.exception()
        if broke is not None and not self._broken.done():
            self._broken.set_exception(broke)


async def taken(
    delivery: Delivery, receive: Callable[[Delivery], Awaitable[Answer]], pause_s: float, held: Callable[[], None]
) -> Answer:
    """The answer that is not "later": asked again every `pause_s` seconds. `held` is called at each "later"."""
    while True:
        answer = await receive(delivery)
        if answer.verdict.outcome is not Outcome.LATER:
            return answer
        held()
        await asyncio.sleep(pause_s)


async def finished(work: Coroutine[Any, Any, T], stop_s: float) -> T:
    """What the work gives. Cancelled, it still lets the work go on for up to `stop_s`, and then cuts it off."""
    task = asyncio.ensure_future(work)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait({task}, timeout=stop_s)
        task.cancel()
        await asyncio.wait({task})
        if not task.cancelled() and (broke := task.exception()) is not None:
            raise broke from None
        raise
