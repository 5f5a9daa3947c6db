"""How many bytes may be in the air: so many that the line is busy, so few that a heartbeat passes soon. Pure."""

from __future__ import annotations

from dataclasses import dataclass, replace

FIRST_BYTES = 65_536
LEAST_BYTES = 32_768  # one overview and its read
SLOW_S = 4.0
"""An acknowledgement that takes longer halves the window; one that takes less than half of it widens it.
At 64 kbit/s a window of 512 kB would take a minute, and a heartbeat would wait behind it."""


@dataclass(frozen=True, slots=True)
class Window:
    most_bytes: int
    size_bytes: int
    narrowed_s: float = -1e9

    def acknowledged(self, size_bytes: int, took_s: float, now_s: float) -> Window:
        """After a message of this size was acknowledged after so long. Narrowed once for what was sent together."""
        if took_s > SLOW_S:
            if now_s - self.narrowed_s < took_s:
                return self
            least = min(self.most_bytes, LEAST_BYTES)
            return replace(self, size_bytes=max(least, self.size_bytes // 2), narrowed_s=now_s)
        if took_s < SLOW_S / 2:
            return replace(self, size_bytes=min(self.most_bytes, self.size_bytes + size_bytes))
        return self


def window(most_bytes: int) -> Window:
    return Window(most_bytes, min(most_bytes, FIRST_BYTES))
