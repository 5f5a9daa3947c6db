"""Of plates read, the share that is right: an estimate, its interval and how it was made. Never a claim. Pure.

Without the truth beside it a node can not know its accuracy. What may not happen here: a number without its interval,
or an interval without the way it was come by.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import Enum

BENCHMARK = 0.95
"""Of captured plates, read correctly, at fixed sites: often quoted for UK police systems, but no public text was found
that states it; so it is what an estimate is laid beside, and no more."""

_Z95 = 1.959964
_SURE_OF = 30


class Way(Enum):
    """How an estimate was made."""

    CHECKED = "checked"  # a person compared so many reads, drawn by chance, with their pictures
    REVISIONS = "revisions"  # messages that spoke of one passage, and how many of those differ
    SHAPE = "shape"  # marks of no form ever issued are wrong; others may be


class Beside(Enum):
    """Where the interval lies beside the benchmark."""

    ABOVE = "interval above"
    BELOW = "interval below"
    UNDECIDED = "not told apart"


@dataclass(frozen=True, slots=True)
class Estimate:
    """`share` and its 95 % interval, from `of` reads. `at_most`: the way sees some errors only, so that the truth may
    lie below the interval, and never is told to be above."""

    share: float
    low: float
    high: float
    of: int
    way: Way
    at_most: bool

    def beside(self, benchmark: float = BENCHMARK) -> Beside:
        if self.high < benchmark:
            return Beside.BELOW
        return Beside.ABOVE if self.low >= benchmark and not self.at_most else Beside.UNDECIDED

    def sentence(self) -> str:
        """For a report: the number never stands alone."""
        most = "at most " if self.at_most else ""
        return (
            f"estimated {most}{self.share:.1%} right (95 % interval {self.low:.1%} to {self.high:.1%}),"
            f" {_SAID[self.way]} of {self.of} reads"
        )


_SAID = {
    Way.CHECKED: "by a person's check",
    Way.REVISIONS: "by the messages that differ on one passage,",
    Way.SHAPE: "by the form of the marks",
}


def from_check(right: int, checked: int) -> Estimate | None:
    """`right` of `checked` reads, which must have been drawn by chance. None for too few to speak of."""
    return _of(checked - right, checked, Way.CHECKED, at_most=False)


def from_revisions(differed: int, passages: int) -> Estimate | None:
    """Passages with two messages, of which so many had two plates: at least one of the two was wrong. Read as
    independent errors; a mistake made twice alike is not seen, hence `at_most`."""
    agreed = _of(differed, passages, Way.REVISIONS, at_most=True)
    if agreed is None:
        return None
    share, low, high = ((1 + math.sqrt(max(0.0, 2 * one - 1))) / 2 for one in (agreed.share, agreed.low, agreed.high))
    return Estimate(share, low, high, passages, Way.REVISIONS, at_most=True)


def from_shape(misshapen: int, at_home: int) -> Estimate | None:
    """`misshapen` of the `at_home` reads whose form can be tested: those are wrong, and others may be."""
    return _of(misshapen, at_home, Way.SHAPE, at_most=True)


def _of(wrong: int, total: int, way: Way, at_most: bool) -> Estimate | None:
    if total < _SURE_OF or not 0 <= wrong <= total:
        return None
    low, high = wilson(total - wrong, total)
    return Estimate((total - wrong) / total, low, high, total, way, at_most)


def wilson(right: int, total: int, z: float = _Z95) -> tuple[float, float]:
    """The score interval of a share (E. B. Wilson, 1927); 95 % unless told."""
    share, scale = right / total, 1 + z * z / total
    middle = (share + z * z / (2 * total)) / scale
    half = z / scale * math.sqrt(share * (1 - share) / total + z * z / (4 * total * total))
    return max(0.0, middle - half), min(1.0, middle + half)
