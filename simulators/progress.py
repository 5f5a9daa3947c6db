"""How far a long run is, said on standard error and never on standard output.

No animation where standard error is not a terminal, or under NO_COLOR.
"""

from __future__ import annotations

import os
import sys
import time


class Progress:
    """One line a second on a terminal, one in ten elsewhere, always on standard error."""

    def __init__(self) -> None:
        self._live = sys.stderr.isatty() and "NO_COLOR" not in os.environ
        self._began = self._last = time.monotonic()

    def tell(self, text: str) -> None:
        """Say how far things are, unless that was said just now."""
        now = time.monotonic()
        if now - self._last < (1.0 if sys.stderr.isatty() else 10.0):
            return
        self._last = now
        line = f"{now - self._began:5.0f} s  {text}"
        print(f"\r\x1b[K{line}" if self._live else line, end="" if self._live else "\n", file=sys.stderr, flush=True)

    def say(self, text: str) -> None:
        """Say it now, on a line of its own."""
        print(f"\r\x1b[K{text}" if self._live else text, file=sys.stderr, flush=True)
