"""The one place that asks what time it is.

Wall time is data: it is written into records and never decides a time-out. Time-outs run on monotonic time.
"""

from __future__ import annotations

import ctypes
import os
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from edge.claim import ClockState, Received

_STA_UNSYNC = 0x0040  # adjtimex(2)
_TIMESYNCD_FLAG = "run/systemd/timesync/synchronized"  # systemd-timesyncd(8): touched at each synchronisation


class _Timex(ctypes.Structure):
    """struct timex of adjtimex(2), as far as it is read here; the rest is room."""

    _fields_ = (
        ("modes", ctypes.c_uint),
        ("offset", ctypes.c_long),
        ("freq", ctypes.c_long),
        ("maxerror", ctypes.c_long),
        ("esterror", ctypes.c_long),
        ("status", ctypes.c_int),
        ("rest", ctypes.c_byte * 512),
    )


@dataclass(frozen=True, slots=True)
class ClockQuality:
    """What the kernel says of the clock. `bound_ms`: its own upper bound on the error, None where it gives none."""

    state: ClockState
    bound_ms: int | None


def kernel_quality(root: Path = Path("/")) -> ClockQuality:
    """Ask adjtimex(2), reading only; where the sandbox forbids it, look for timesyncd's flag file.

    The flag says only that the clock was set since boot, so it gives no bound.
    """
    timex = _Timex(modes=0)
    state = ctypes.CDLL(None, use_errno=True).adjtimex(ctypes.byref(timex))
    if state >= 0:
        synchronised = not timex.status & _STA_UNSYNC
        bound_ms = max(1, timex.maxerror // 1000) if synchronised else None
        return ClockQuality(ClockState.SYNCHRONISED if synchronised else ClockState.UNSYNCHRONISED, bound_ms)
    if (root / _TIMESYNCD_FLAG).exists():
        return ClockQuality(ClockState.SYNCHRONISED, None)
    return ClockQuality(ClockState.UNKNOWN, None)


def boot_id(root: Path = Path("/")) -> str:
    """The kernel's identity of this boot, as a UUID: monotonic times compare only within it.

    Under systemd's sandbox the kernel's file is hidden, and the unit hands the identity in (`%b`, without hyphens).
    """
    try:
        said = (root / "proc/sys/kernel/random/boot_id").read_text(encoding="ascii")
    except OSError:
        said = os.environ.get("ANPR_EDGE_BOOT_ID", "")
    try:
        return str(uuid.UUID(said.strip()))
    except ValueError:
        return "unknown"


def mono_ns() -> int:
    """Nanoseconds since boot, suspended time included, so that a slept node does not think it is early."""
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME)


def mono_s() -> float:
    return mono_ns() / 1e9


def utc_ms() -> int:
    return time.time_ns() // 1_000_000


class Clock:
    """The node's clock: `now()` is a `Received`. Its quality is asked at most once a second.

    Tests pass their own readers and run in virtual time.
    """

    def __init__(
        self,
        utc_ms: Callable[[], int] = utc_ms,
        mono_ns: Callable[[], int] = mono_ns,
        quality: Callable[[], ClockQuality] = kernel_quality,
        boot: str | None = None,
    ) -> None:
        self._utc_ms = utc_ms
        self._mono_ns = mono_ns
        self._ask = quality
        self._boot = boot_id() if boot is None else boot
        self._asked_ns = -(10**18)
        self._quality = ClockQuality(ClockState.UNKNOWN, None)

    def quality(self) -> ClockQuality:
        now_ns = self._mono_ns()
        if now_ns - self._asked_ns >= 1_000_000_000:
            self._quality, self._asked_ns = self._ask(), now_ns
        return self._quality

    def now(self) -> Received:
        quality = self.quality()
        return Received(self._utc_ms(), quality.bound_ms, quality.state, self._mono_ns(), self._boot)

    def mono_ns(self) -> int:
        return self._mono_ns()

    def mono_s(self) -> float:
        return self._mono_ns() / 1e9


def cores() -> int:
    """Cores this process may use."""
    return len(os.sched_getaffinity(0))
