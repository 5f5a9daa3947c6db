"""What some numbers of one camera usually are, and how far a new value lies from that. Pure.

Learnt from medians over many pictures or reads, spread over days, at commissioning; then it stands until it is reset by
a signed act. What may not happen here: a baseline that follows a lens as it grows dirty.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from statistics import median
from typing import Any

SAMPLES_ENOUGH, DAYS_ENOUGH = 40, 7
_EVERY_S = 3600.0
# A normal's standard deviations between these shares; an eighth of the samples may be fog.
_LOW, _HIGH, _TAILS = 0.125, 0.875, 2.301
_MAD = 1.4826  # of a normal's median absolute deviation to its standard deviation


@dataclass(frozen=True, slots=True)
class Norm:
    """Where a number usually lies, and its spread, both robust."""

    centre: float
    spread: float

    def off(self, value: float, least_spread: float) -> float:
        """How many spreads away; a spread counts for `least_spread` at least."""
        return (value - self.centre) / max(self.spread, least_spread)


@dataclass(slots=True)
class Usual:
    """The baseline of one camera in one light. Empty `norms`: not settled yet."""

    samples: dict[str, list[float]] = field(default_factory=dict)
    days: list[int] = field(default_factory=list)
    taken: int = 0
    taken_s: float | None = None
    norms: dict[str, Norm] = field(default_factory=dict)
    settled_s: float | None = None

    def sample(self, values: Mapping[str, float], at_s: float) -> None:
        """Take these medians, at most once an hour, until enough are known; then no more."""
        if self.norms or (self.taken_s is not None and at_s - self.taken_s < _EVERY_S):
            return
        for name, value in values.items():
            self.samples.setdefault(name, []).append(value)
        day = int(at_s // 86400)
        if day not in self.days:
            self.days.append(day)
        self.taken, self.taken_s = self.taken + 1, at_s
        if self.taken >= SAMPLES_ENOUGH and len(self.days) >= DAYS_ENOUGH:
            half = self.taken / 2
            self.norms = {name: _norm(values) for name, values in self.samples.items() if len(values) >= half}
            self.samples, self.settled_s = {}, at_s

    def kept(self) -> dict[str, Any]:
        """As plain JSON."""
        return {
            "samples": self.samples,
            "days": self.days,
            "taken": self.taken,
            "taken_s": self.taken_s,
            "norms": {name: [norm.centre, norm.spread] for name, norm in self.norms.items()},
            "settled_s": self.settled_s,
        }


def restored(kept: dict[str, Any]) -> Usual:
    """What `Usual.kept` gave. Raises KeyError, TypeError or ValueError for anything else."""
    norms = {str(name): Norm(float(centre), float(spread)) for name, (centre, spread) in kept["norms"].items()}
    samples = {str(name): [float(value) for value in values] for name, values in kept["samples"].items()}
    return Usual(samples, list(kept["days"]), int(kept["taken"]), kept["taken_s"], norms, kept["settled_s"])


def _norm(values: list[float]) -> Norm:
    ranked, middle = sorted(values), median(values)
    mad = median(abs(value - middle) for value in values)
    low, high = (ranked[round(share * (len(ranked) - 1))] for share in (_LOW, _HIGH))
    return Norm(middle, max(_MAD * mad, (high - low) / _TAILS))
