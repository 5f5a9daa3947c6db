"""How many of a camera's reads look wrong, told without keeping one: each leaves a few bits and nothing else. Pure.

What may not happen here: a plate, or anything from which one could be told, outliving the call that was given it.
"""

from __future__ import annotations

import math
import re
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum, IntFlag
from hashlib import blake2b
from typing import Any

from edge.usual import Usual, restored

WINDOW, WINDOW_LEAST, _SAMPLED_EVERY = 300, 100, 100
ODD, ODD_STILL = 4.0, 3.0
DOUBTFUL_BELOW = 60
"""Per cent of confidence. Cameras differ, so only the share's change against the camera's own past says anything."""

_LEAST_SPREAD = 0.02
_REMEMBERED, _REPEAT_S = 64, 1800.0

# Forms of marks issued in Great Britain and Northern Ireland (DVLA, INF104 and INF46), without spaces.
_LETTER, _SERIAL = "[A-HJ-PR-Y]", "[A-HJ-PR-Z]"  # no I, Q, Z in a place; no I, Q in a serial
_CURRENT = re.compile(rf"{_LETTER}{_LETTER}([0-9]{{2}}){_SERIAL}{{3}}")
_OTHERS = re.compile(
    rf"[A-HJ-NPR-TV-Y][1-9][0-9]{{0,2}}{_SERIAL}{{3}}"  # prefix, 1983 to 2001
    rf"|Q[1-9][0-9]{{0,2}}{_SERIAL}{{3}}"  # age not known
    rf"|{_SERIAL}{{3}}[1-9][0-9]{{0,2}}[A-HJ-NPR-TV-Y]"  # suffix, 1963 to 1983
    r"|[A-PR-Z][A-Z]?[A-Z]?[1-9][0-9]{0,3}"  # no date, letters first; Northern Ireland has I and Z
    r"|[1-9][0-9]{0,3}[A-Z]{1,3}"  # no date, figures first
    r"|[0-9]{3}[DX][0-9]{3}"  # diplomats
    r"|[0-9]{2}[A-Z]{2}[0-9]{2}|[A-Z]{2}[0-9]{2}[A-Z]{2}"  # forces
    r"|[0-9]{5}"  # trade plates
)


def shaped_as_issued(vrm: str, year: int) -> bool:
    """Whether a normalised VRM has the form of a mark that may have been issued in the United Kingdom by `year`. Most
    single misreads of today's form fail it; a wrong letter for a letter does not."""
    found = _CURRENT.fullmatch(vrm)
    if found is None:
        return _OTHERS.fullmatch(vrm) is not None
    age, now = int(found[1]), year % 100
    return 2 <= age <= now or 51 <= age <= 50 + now


class Flag(IntFlag):
    """What one read leaves behind."""

    READ = 0
    UNREAD = 1
    MISSHAPEN = 2
    DOUBTFUL = 4
    REVISED = 8  # another message on the same passage had another plate
    REPEATED = 16  # this camera had the same not long ago: something stands in its view
    FOREIGN = 32  # of another country: its form is not tested


class Misread(Enum):
    """What may be odd about reads."""

    UNREAD = "unread_share"
    MISSHAPEN = "misshapen_share"
    DOUBTFUL = "doubtful_share"
    REVISED = "revised_share"
    REPEATED = "repeated_share"


_BIT = {each: int(Flag[each.name]) for each in Misread}
_UNREAD, _FOREIGN = int(Flag.UNREAD), int(Flag.FOREIGN)


def flags(
    vrm: str | None,
    confidence: int | None,
    country: str | None,
    year: int,
    revised: bool = False,
    repeated: bool = False,
) -> Flag:
    """The bits of one read. `country`: ISO 3166-1 alpha-3 where the camera is certain; `year`: of the read."""
    if vrm is None:
        return Flag.UNREAD
    found = Flag.READ
    if country not in (None, "GBR"):
        found |= Flag.FOREIGN
    elif not shaped_as_issued(vrm, year):
        found |= Flag.MISSHAPEN
    if confidence is not None and confidence < DOUBTFUL_BELOW:
        found |= Flag.DOUBTFUL
    return found | (Flag.REVISED if revised else Flag.READ) | (Flag.REPEATED if repeated else Flag.READ)


@dataclass(slots=True)
class Echo:
    """Whether a camera reads the same again: 16 bits of a keyed hash of its last 64 reads, in memory only. Some 600
    of 40 million plates share each value, so that not even who has the key can tell a plate; one read in a thousand is
    taken for a repeat by chance."""

    key: bytes = field(repr=False)
    _last: dict[int, float] = field(default_factory=dict, repr=False)

    def heard(self, vrm: str, at_s: float) -> bool:
        mark = int.from_bytes(blake2b(vrm.encode(), key=self.key, digest_size=2).digest(), "big")
        before = self._last.pop(mark, None)
        self._last[mark] = at_s
        if len(self._last) > _REMEMBERED:
            del self._last[next(iter(self._last))]
        return before is not None and at_s - before <= _REPEAT_S


@dataclass(frozen=True, slots=True)
class OddShare:
    """A share that is not as usual: by how many spreads, what it is and what it usually is, over how many reads."""

    misread: Misread
    off: float
    seen: float
    usual: float
    of: int


@dataclass(slots=True)
class Tally:
    """One camera's last reads as bits, and what their shares usually are."""

    last: deque[int] = field(default_factory=deque)
    counts: list[int] = field(default_factory=lambda: [0] * (2 * max(Flag)))
    since_sample: int = 0
    usual: Usual = field(default_factory=Usual)
    odd: set[Misread] = field(default_factory=set)

    def note(self, flag: Flag) -> None:
        self.last.append(int(flag))
        self.counts[int(flag)] += 1
        if len(self.last) > WINDOW:
            self.counts[self.last.popleft()] -= 1
        self.since_sample += 1

    def shares(self) -> Mapping[Misread, tuple[float, int]]:
        """Of each kind, over the reads of which it can be asked, and how many those are."""
        kinds = [(flag, count) for flag, count in enumerate(self.counts) if count]
        seen = sum(count for flag, count in kinds if not flag & _UNREAD)
        at_home = sum(count for flag, count in kinds if not flag & (_UNREAD | _FOREIGN))
        of = {Misread.UNREAD: len(self.last), Misread.MISSHAPEN: at_home}
        counted = {each: sum(count for flag, count in kinds if flag & bit) for each, bit in _BIT.items()}
        return {each: (counted[each] / total, total) for each in Misread if (total := of.get(each, seen))}

    def judge(self, at_s: float, learn: bool = True) -> tuple[frozenset[Misread], dict[Misread, OddShare]]:
        """What could be judged, and what of it is odd: only more than usual is."""
        if len(self.last) < WINDOW_LEAST:
            return frozenset(), {}
        shares = self.shares()
        if learn and self.since_sample >= _SAMPLED_EVERY:
            self.usual.sample({each.value: share for each, (share, _) in shares.items()}, at_s)
            self.since_sample = 0
        judged, odd = set(), {}
        for each, (share, of) in shares.items():
            norm = self.usual.norms.get(each.value)
            if norm is None or of < WINDOW_LEAST // 2:
                continue
            judged.add(each)
            chance = math.sqrt(max(norm.centre, 1 / of) * (1 - min(norm.centre, 0.99)) / of)
            off = norm.off(share, math.hypot(_LEAST_SPREAD, chance))
            if off >= (ODD_STILL if each in self.odd else ODD):
                odd[each] = OddShare(each, off, share, norm.centre, of)
        self.odd = set(odd)
        return frozenset(judged), odd

    def kept(self) -> dict[str, Any]:
        """The baseline as plain JSON; reads are gathered anew."""
        return self.usual.kept()


def tally_restored(kept: dict[str, Any]) -> Tally:
    """What `Tally.kept` gave. Raises KeyError, TypeError or ValueError for anything else."""
    return Tally(usual=restored(kept))
