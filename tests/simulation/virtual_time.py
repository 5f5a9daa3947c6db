"""An event loop in virtual time: when nothing is ready, its clock jumps to the next timer.

What may not happen here: a thread or a socket being waited for. Where nothing at all is left to happen, that is said.
"""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")

BEGIN_S = 1000.0


class Standstill(RuntimeError):
    """Everything waits and no timer is set: the history hangs."""


class _JumpingSelector(selectors.DefaultSelector):  # type: ignore[misc,valid-type,unused-ignore]
    def __init__(self) -> None:
        super().__init__()
        self.now_s = BEGIN_S

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready: list[tuple[selectors.SelectorKey, int]] = super().select(0)
        if not ready:
            if timeout is None:
                raise Standstill("everything waits and nothing is left to happen")
            self.now_s += timeout
        return ready


class VirtualLoop(asyncio.SelectorEventLoop):
    def __init__(self) -> None:
        self._jumping = _JumpingSelector()
        super().__init__(self._jumping)

    def time(self) -> float:
        return self._jumping.now_s


def run_virtual(main: Coroutine[Any, Any, T]) -> T:
    """`asyncio.run`, in virtual time. What fails in a callback fails the run, too: the loop alone would only log it."""
    strays: list[BaseException] = []

    def stray(_loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        strays.append(context.get("exception") or RuntimeError(str(context["message"])))

    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        runner.get_loop().set_exception_handler(stray)
        try:
            result = runner.run(main)
        except Exception as problem:  # noqa: BLE001  raised again, with what went before it
            raise BaseExceptionGroup("a history failed", [*strays, problem]) from None
    if strays:
        raise BaseExceptionGroup("a history failed in the background", strays)
    return result


def now_s() -> float:
    return asyncio.get_running_loop().time()


async def until(true: Any, most_s: float = 60.0, step_s: float = 0.05) -> None:
    """Wait in virtual time until `true()`; `AssertionError` after `most_s`."""
    end_s = now_s() + most_s
    while not true():
        assert now_s() < end_s, f"not so within {most_s} virtual seconds"
        await asyncio.sleep(step_s)
