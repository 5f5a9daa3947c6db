"""What a lane reads in each hour of the week, learnt from its own past, and how that scatters. Pure.

What may not happen here: an average that one odd week moves, or a number where too little is known.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

from edge.tails import Spread

HOURS = 168
SUNDAY = 6
WEEKS, WEEKS_ENOUGH, WEEKS_LEAST = 8, 4, 3
_RESIDUALS = 672  # four weeks of hours
_RESIDUALS_ENOUGH = 50
_BUSY = 20.0  # reads an hour, from which on an hour tells of swings rather than of bursts
_ALONE, _BESIDE = Spread(1.5, 0.10), Spread(1.5, 0.05)  # until enough is known
_SWING_LEAST, _BURST_MOST = 0.004, 6.0
_POOLED_SWING = 0.10  # more, where another day's same hour stands in
# Of the squares of a standard normal: where the median and the 95th percentile lie.
_MEDIAN_CHI2, _HIGH, _HIGH_CHI2 = 0.455, 0.95, 3.84


def hour_of_week(utc_s: float, zone: ZoneInfo) -> tuple[int, float]:
    """Monday's first hour is 0, by the clocks of `zone`, and the share of the hour that is gone."""
    local = datetime.fromtimestamp(utc_s, UTC).astimezone(zone)
    return local.weekday() * 24 + local.hour, (local.minute * 60 + local.second) / 3600


@dataclass(frozen=True, slots=True)
class Rate:
    """Reads expected in an hour, and how they scatter: by themselves, and once sister lanes have told of the road."""

    per_hour: float
    alone: Spread
    beside: Spread


@dataclass(slots=True)
class Habit:
    """One lane's reads in each hour of the week, of the last eight weeks, and what was read where how much was
    expected: by itself, and beside its sisters."""

    weeks: list[list[int]] = field(default_factory=lambda: [[] for _ in range(HOURS)])
    alone: list[tuple[float, int]] = field(default_factory=list)
    beside: list[tuple[float, int]] = field(default_factory=list)
    spreads: tuple[Spread, Spread] = (_ALONE, _BESIDE)

    def learn(self, hour: int, seen: int, expected: float | None, adjusted: float | None) -> None:
        """One whole hour that nothing speaks against; with what was expected, also from the sisters' word."""
        for kept, mean in ((self.alone, expected), (self.beside, adjusted)):
            if mean is not None and mean > 0:
                kept.append((round(mean, 3), seen))
                del kept[:-_RESIDUALS]
        self.weeks[hour].append(seen)
        del self.weeks[hour][:-WEEKS]
        if hour % 24 == 0:
            self.spreads = (_spread(self.alone, _ALONE), _spread(self.beside, _BESIDE))

    def rate(self, hour: int, gone: float) -> Rate | None:
        """What is expected `gone` of the way through this hour; None until enough is known. Between the middles of
        hours it goes over evenly: a road does not wake at the stroke of six."""
        here = self._mean(hour)
        if here is None:
            return None
        beside = self._mean((hour + (1 if gone >= 0.5 else -1)) % HOURS)
        share = abs(gone - 0.5)
        mean = here[0] if beside is None else here[0] * (1 - share) + beside[0] * share
        more = _POOLED_SWING if here[1] else 0.0
        alone, by = (Spread(one.burst, one.swing + more) for one in self.spreads)
        return Rate(mean, alone, by)

    def _mean(self, hour: int) -> tuple[float, bool] | None:
        """Reads in this hour, and whether other days' same hour had to stand in."""
        known = self.weeks[hour]
        if len(known) >= WEEKS_ENOUGH:
            return _trimmed(known), False
        day, at = divmod(hour, 24)
        like = [day] if day >= 5 else list(range(5))
        pooled = [count for other in like for count in self.weeks[other * 24 + at]]
        return (_trimmed(pooled), True) if len(pooled) >= WEEKS_LEAST else None

    def kept(self) -> dict[str, Any]:
        """As plain JSON."""
        return {"weeks": self.weeks, "alone": self.alone, "beside": self.beside}


def restored(kept: dict[str, Any]) -> Habit:
    """What `Habit.kept` gave. Raises ValueError where it is none."""
    weeks = [[int(count) for count in week] for week in kept["weeks"]]
    if len(weeks) != HOURS:
        raise ValueError("a week has 168 hours")
    alone, beside = ([(float(mean), int(seen)) for mean, seen in kept[name]] for name in ("alone", "beside"))
    return Habit(weeks, alone, beside, (_spread(alone, _ALONE), _spread(beside, _BESIDE)))


def _trimmed(counts: Sequence[int]) -> float:
    """The mean without the upper and lower fifth; half a read more, for an hour that was always empty."""
    ranked, cut = sorted(counts), len(counts) // 5
    middle = ranked[cut : len(ranked) - cut]
    return max(sum(middle) / len(middle), 0.5 / len(counts))


def _spread(pairs: Sequence[tuple[float, int]], unknown: Spread) -> Spread:
    """Robust: by the middle of the residuals and by their upper end, whichever says more."""
    quiet = [(seen - mean) ** 2 / mean for mean, seen in pairs if 0.5 <= mean < _BUSY]
    burst = min(_BURST_MOST, max(1.05, _scale(quiet))) if len(quiet) >= _RESIDUALS_ENOUGH else unknown.burst
    busy = [(seen / mean - 1) ** 2 - burst / mean for mean, seen in pairs if mean >= _BUSY]
    swing = max(_SWING_LEAST, _scale(busy)) if len(busy) >= _RESIDUALS_ENOUGH else unknown.swing
    return Spread(burst, swing)


def _scale(squares: list[float]) -> float:
    ranked = sorted(squares)
    middle, high = ranked[len(ranked) // 2], ranked[int(_HIGH * (len(ranked) - 1))]
    return max(middle / _MEDIAN_CHI2, high / _HIGH_CHI2)
