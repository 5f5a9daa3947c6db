"""How long to wait before a line to a camera is tried again. Pure; the chance is drawn by the caller."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Backoff:
    """Full jitter: each wait lies evenly between `least_s` and a ceiling that doubles up to `most_s`, so that cameras
    behind one switch that comes back are not all called at once."""

    least_s: float = 1.0
    most_s: float = 30.0

    def wait_s(self, failures: int, chance: float) -> float:
        """The wait after so many failures in a row (1 is the first); `chance` in 0..1."""
        ceiling = min(self.most_s, self.least_s * 2.0 ** min(failures, 16))
        return self.least_s + (ceiling - self.least_s) * chance
