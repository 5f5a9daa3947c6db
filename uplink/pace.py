"""The byte rate: an allowance that fills with time and that every byte sent, first or again, is taken from. Pure."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True)
class Pace:
    """`allowance_bytes` may go below 0 by one record; at most a second's worth is saved up."""

    allowance_bytes: float = 0.0
    _at_s: float = 0.0

    def allows(self, rate_bytes_per_s: int, now_s: float) -> bool:
        if not rate_bytes_per_s:
            self.allowance_bytes, self._at_s = 0.0, now_s
            return True
        grown = self.allowance_bytes + (now_s - self._at_s) * rate_bytes_per_s
        self.allowance_bytes, self._at_s = min(float(rate_bytes_per_s), grown), now_s
        return self.allowance_bytes > 0

    def spend(self, size_bytes: int) -> None:
        self.allowance_bytes -= size_bytes

    def wait_s(self, rate_bytes_per_s: int) -> float | None:
        """How long until something is allowed; None where it is now."""
        if not rate_bytes_per_s or self.allowance_bytes > 0:
            return None
        return max(0.01, -self.allowance_bytes / rate_bytes_per_s)
