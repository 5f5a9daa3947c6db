"""How cameras and node are: reachable, delivering, last read. Pure bookkeeping; numbers and words only.

A camera that is connected is not thereby seeing: each of these is kept apart. No plate comes in here.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from edge.read import Outcome, Read, Received, Verdict


class CameraState(Enum):
    UP = "up"
    SILENT = "silent"  # answers, but delivers nothing
    DOWN = "down"  # does not answer
    UNKNOWN = "unknown"  # nothing was heard yet and nothing says that it should have been


_WORD = {Outcome.STORED: "stored", Outcome.REPEATED: "repeated", Outcome.REFUSED: "refused"}


@dataclass(slots=True)
class CameraHealth:
    """One camera's ages and counts. `reachable` is set by a probe; None means that none is configured."""

    id: str
    silent_after_s: int
    since_mono_ns: int
    reachable: bool | None = None
    last_delivery_ns: int | None = None
    last_read_ns: int | None = None
    counts: Counter[str] = field(default_factory=Counter)
    reasons: Counter[str] = field(default_factory=Counter)
    clock_skew_ms: int | None = None

    def heard(self, received: Received) -> None:
        self.last_delivery_ns = received.mono_ns

    def read(self, verdict: Verdict, read: Read) -> None:
        self.last_delivery_ns = read.received.mono_ns
        self.clock_skew_ms = read.clock_skew_ms
        self.counts[_WORD.get(verdict.outcome, "other")] += 1
        if read.vrm is None:
            self.counts["unread"] += 1
        if verdict.outcome is Outcome.STORED:
            self.last_read_ns = read.received.mono_ns

    def refused(self, reason: str) -> None:
        self.counts["refused"] += 1
        self.reasons[reason] += 1

    def delivering(self, now_ns: int) -> bool:
        return self.last_delivery_ns is not None and now_ns - self.last_delivery_ns <= self.silent_after_s * 10**9

    def state(self, now_ns: int) -> CameraState:
        if self.delivering(now_ns):
            return CameraState.UP
        if self.reachable is False:
            return CameraState.DOWN
        waited = now_ns - (self.last_delivery_ns or self.since_mono_ns) > self.silent_after_s * 10**9
        return CameraState.SILENT if waited else CameraState.UNKNOWN

    def report(self, now_ns: int, authorised: bool) -> dict[str, Any]:
        """The `health/camera` message of wire.md 3.4, less its time."""
        return {
            "state": self.state(now_ns).value,
            "reachable": self.reachable,
            "delivering": self.delivering(now_ns),
            "last_delivery_age_s": _age_s(self.last_delivery_ns, now_ns),
            "last_read_age_s": _age_s(self.last_read_ns, now_ns),
            "reads": {word: self.counts[word] for word in ("stored", "repeated", "refused", "unread")},
            "clock_skew_ms": self.clock_skew_ms,
            "authorised": authorised,
        }


def _age_s(then_ns: int | None, now_ns: int) -> int | None:
    return None if then_ns is None else (now_ns - then_ns) // 10**9


def camera_summary(cameras: list[CameraHealth], now_ns: int) -> dict[str, int]:
    """How many cameras are up, down and silent, for the heartbeat."""
    states = Counter(camera.state(now_ns) for camera in cameras)
    return {state.value: states[state] for state in (CameraState.UP, CameraState.DOWN, CameraState.SILENT)}
