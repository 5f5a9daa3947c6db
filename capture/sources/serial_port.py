"""The thread that a serial device is read in, and what it tells the loop.

The device is named by a path, and waited for where it is not there. What may not happen here: an answer written to a
device that was opened since; more than `backlog_bytes` read that the loop has not taken.
"""

from __future__ import annotations

import asyncio
import errno
from collections import deque
from dataclasses import dataclass, field
from random import random
from termios import error as TermiosError
from threading import Event, Lock

from serial import Serial

from capture.backoff import Backoff
from capture.framing import Framing

_READ_S = 0.5
"""A read that waits longer than this sees late that the source closes, should waking it fail."""

_PARITIES = {"none": "N", "even": "E", "odd": "O"}
_NO_DEVICE = frozenset({errno.ENOENT, errno.ENODEV, errno.ENXIO, errno.EIO})


@dataclass(frozen=True, slots=True)
class SerialLine:
    """One reader. `device`: a path that stays the same when the adapter comes back (/dev/serial/by-path/...).
    `parity`: none, even or odd.
    `quiet_s`: silence after which the line is said to be quiet (None: never; an empty road is quiet too)."""

    camera: str
    device: str
    framing: Framing
    baud: int = 9600
    bits: int = 8
    parity: str = "none"
    stop_bits: float = 1
    rtscts: bool = False
    xonxoff: bool = False
    quiet_s: float | None = None


@dataclass(frozen=True, slots=True)
class SerialLimits:
    """`between_s`: silence in the middle of a message after which it is given up."""

    between_s: float = 2
    write_s: float = 2
    hold_s: float = 1
    stop_s: float = 5
    backlog_bytes: int = 64 * 1024
    backoff: Backoff = field(default_factory=Backoff)


@dataclass(frozen=True, slots=True)
class News:
    """What the thread tells: bytes that came, or, where `why` is set, that the device is gone; else that it is there.
    `opening` counts how often it was opened."""

    opening: int
    data: bytes = b""
    why: str = ""


class Port:
    """The thread's side of a device."""

    def __init__(self, line: SerialLine, limits: SerialLimits) -> None:
        self._line = line
        self._limits = limits
        self._loop = asyncio.get_running_loop()
        self._lock = Lock()
        self._port: Serial | None = None
        self._answers: deque[tuple[int, bytes]] = deque()
        self._backlog_bytes = 0
        self._room = Event()
        self._stopping = Event()
        self._opening = 0
        self.news: asyncio.Queue[News] = asyncio.Queue()
        self.overruns = 0  # how often reading waited, and the kernel may have lost bytes

    def run(self) -> None:
        """In the thread: open, read and write, until `stop`."""
        failures = 0
        while not self._stopping.is_set():
            failures += 1
            why = ""
            try:
                port = self._opened()
            except (OSError, TermiosError) as error:
                why = "no_device" if getattr(error, "errno", None) in _NO_DEVICE else "refused"
            else:
                self._tell(News(self._opening))
                try:
                    while not self._stopping.is_set():
                        failures = 0 if self._once(port) else failures
                    self._write(port)
                except (OSError, TermiosError):
                    why = "cut"
                finally:
                    self._close()
            if why:
                self._tell(News(self._opening, why=why))
                self._stopping.wait(self._limits.backoff.wait_s(max(1, failures), random()))

    def write(self, opening: int, data: bytes) -> None:
        """From the loop: an answer to what came since that opening."""
        self._answers.append((opening, data))
        self._wake()

    def consumed(self, size_bytes: int) -> None:
        """From the loop: so much of what was told is done with."""
        with self._lock:
            self._backlog_bytes -= size_bytes
        self._room.set()

    def stop(self) -> None:
        self._stopping.set()
        self._wake()

    def _wake(self) -> None:
        self._room.set()
        with self._lock:
            if self._port is not None:
                self._port.cancel_read()

    def _opened(self) -> Serial:
        line = self._line
        port = Serial(
            line.device,
            line.baud,
            bytesize=line.bits,
            parity=_PARITIES[line.parity],
            stopbits=line.stop_bits,
            timeout=_READ_S,
            write_timeout=self._limits.write_s,
            rtscts=line.rtscts,
            xonxoff=line.xonxoff,
            exclusive=True,
        )
        with self._lock:
            self._port = port
            self._opening += 1
        return port

    def _close(self) -> None:
        with self._lock:
            if self._port is not None:
                self._port.close()
            self._port = None

    def _once(self, port: Serial) -> bool:
        """Write what is to be written, and read what is there; whether anything was."""
        self._write(port)
        with self._lock:
            full = self._backlog_bytes >= self._limits.backlog_bytes
            if full:
                self._room.clear()
        if full:
            self.overruns += 1
            self._room.wait(_READ_S)
            return True
        data = bytes(port.read(1))
        if not data:
            return False
        data += port.read(min(port.in_waiting, self._limits.backlog_bytes))
        with self._lock:
            self._backlog_bytes += len(data)
        self._tell(News(self._opening, data))
        return True

    def _write(self, port: Serial) -> None:
        while self._answers:
            opening, answer = self._answers.popleft()
            if opening == self._opening:
                port.write(answer)

    def _tell(self, news: News) -> None:
        self._loop.call_soon_threadsafe(self.news.put_nowait, news)
