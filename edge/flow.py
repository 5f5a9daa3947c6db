"""How fast the ledger fills and drains, from samples of what came in and what went out. Pure.

Says "never at this rate" as None, rather than a number that nobody should believe.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

WINDOW_S = 300.0


@dataclass(frozen=True, slots=True)
class Sample:
    """Bytes that came in and went out since the start, at a moment of monotonic time."""

    at_s: float
    entered_bytes: int
    left_bytes: int


@dataclass(frozen=True, slots=True)
class Flow:
    """Rates over the last minutes. `drain_s` and `full_s` are None where that is not coming."""

    in_bytes_per_s: float
    out_bytes_per_s: float
    drain_s: int | None
    full_s: int | None


NO_FLOW = Flow(0.0, 0.0, None, None)


class FlowMeter:
    """Keeps the samples of the last five minutes."""

    def __init__(self) -> None:
        self._samples: deque[Sample] = deque()

    def note(self, sample: Sample) -> None:
        self._samples.append(sample)
        while len(self._samples) > 2 and sample.at_s - self._samples[1].at_s >= WINDOW_S:
            self._samples.popleft()

    def flow(self, waiting_bytes: int, free_bytes: int) -> Flow:
        """What the rates make of what waits now and of the room that is left."""
        first, last = (self._samples[0], self._samples[-1]) if self._samples else (None, None)
        if first is None or last is None or last.at_s <= first.at_s:
            return Flow(0.0, 0.0, 0 if waiting_bytes == 0 else None, None)
        taken_s = last.at_s - first.at_s
        into = (last.entered_bytes - first.entered_bytes) / taken_s
        out = (last.left_bytes - first.left_bytes) / taken_s
        drain_s = 0 if waiting_bytes == 0 else (round(waiting_bytes / (out - into)) if out > into else None)
        return Flow(into, out, drain_s, round(free_bytes / (into - out)) if into > out else None)
