"""How likely so few, or so many, reads are where a number was expected: tails of the negative binomial. Pure.

Counts are counts: an expected 0.3 is no 0, and 300 that scatter like traffic are no Poisson 300.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

_STEPS = 500
_TINY = 1e-300
_SHAPE_MAX = 1e6  # from here on it is a Poisson


@dataclass(frozen=True, slots=True)
class Spread:
    """How counts scatter about a mean m: variance is `burst` * m + `swing` * m^2. `burst`: 1 for Poisson, more where
    vehicles come in platoons. `swing`: of whole hours and days, as the square of a share."""

    burst: float
    swing: float

    def shape(self, mean: float) -> float:
        """Of the gamma that the mean itself scatters with."""
        return min(_SHAPE_MAX, mean / max(1e-9, self.burst - 1 + self.swing * mean))


def so_few(seen: int, mean: float, spread: Spread) -> float:
    """-log10 of the probability of `seen` or fewer."""
    if mean <= 0:
        return 0.0
    shape = spread.shape(mean)
    return _evidence(shape, seen + 1.0, shape / (shape + mean))


def so_many(seen: int, mean: float, spread: Spread) -> float:
    """-log10 of the probability of `seen` or more. `mean` above 0."""
    if seen <= 0:
        return 0.0
    shape = spread.shape(mean)
    return _evidence(float(seen), shape, mean / (shape + mean))


def _evidence(a: float, b: float, x: float) -> float:
    return max(0.0, -log_incomplete_beta(a, b, x) / math.log(10))


def log_incomplete_beta(a: float, b: float, x: float) -> float:
    """The natural logarithm of the regularised incomplete beta function I_x(a, b), 0 < x < 1, also far below 1e-300."""
    front = math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b) + a * math.log(x) + b * math.log1p(-x)
    if x < (a + 1) / (a + b + 2):
        return front + math.log(_fraction(a, b, x) / a)
    other = math.exp(front) * _fraction(b, a, 1 - x) / b
    return math.log1p(-other) if other < 1 else -math.inf


def _fraction(a: float, b: float, x: float) -> float:
    """Its continued fraction by Lentz's method (Numerical Recipes, 6.4)."""
    c, d = 1.0, 1 / _away(1 - (a + b) * x / (a + 1))
    value = d
    for step in range(1, _STEPS):
        for term in (
            step * (b - step) * x / ((a + 2 * step - 1) * (a + 2 * step)),
            -(a + step) * (a + b + step) * x / ((a + 2 * step) * (a + 2 * step + 1)),
        ):
            d = 1 / _away(1 + term * d)
            c = _away(1 + term / c)
            value *= d * c
        if abs(d * c - 1) < 1e-10:
            break
    return value


def _away(value: float) -> float:
    return value if abs(value) > _TINY else _TINY
