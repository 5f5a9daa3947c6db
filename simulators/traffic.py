"""Vehicles on a road, the same ones for the same seed.

Pure: no clock, no file, no network. No plate made here belongs to anybody: the age identifiers are ones that
the United Kingdom has not issued and will not before 2032.
"""

from __future__ import annotations

import enum
import random
from collections.abc import Iterator
from dataclasses import dataclass, field

FIRST_LETTERS = "ABCDEFGHKLMNOPRSVWY"
"""Memory tags begin with the letter of a region; I, J, Q, T, U, X and Z are no region's (DVLA INF104)."""
SECOND_LETTERS = "ABCDEFGHJKLMNOPRSTUVWXY"
LAST_LETTERS = "ABCDEFGHJKLMNOPRSTUVWXYZ"
UNISSUED_AGES = (*range(32, 50), *range(82, 100))


class Direction(enum.Enum):
    """Which way a vehicle drives, as seen from the camera."""

    TOWARD = "toward"
    AWAY = "away"


@dataclass(frozen=True, slots=True)
class Vehicle:
    """One vehicle passing one camera.

    `at_s` counts seconds from the start of the traffic; `lane` counts from 1; `paint` is a number that the
    picture makes a colour of; `readable` is false where the camera will not read the plate.
    """

    vrm: str = field(repr=False)
    lane: int
    direction: Direction
    speed_kmh: int
    at_s: float
    paint: int
    readable: bool


def vrm(chance: random.Random) -> str:
    """A mark of the format AA00 AAA used since 2001, with its space."""
    age = chance.choice(UNISSUED_AGES)
    tag = chance.choice(FIRST_LETTERS) + chance.choice(SECOND_LETTERS)
    tail = "".join(chance.choices(LAST_LETTERS, k=3))
    return f"{tag}{age:02d} {tail}"


def vehicles(seed: int | str, rate_per_s: float, *, lanes: int = 2, unread: float = 0.0) -> Iterator[Vehicle]:
    """Vehicles without end, arriving as a Poisson process of `rate_per_s`.

    `unread` is the share, 0 to 1, whose plate cannot be read. Raises `ValueError` for a rate of zero or less.
    """
    if rate_per_s <= 0:
        raise ValueError("a rate of vehicles must be above zero")
    chance = random.Random(seed)
    at_s = 0.0
    while True:
        at_s += chance.expovariate(rate_per_s)
        yield Vehicle(
            vrm=vrm(chance),
            lane=chance.randint(1, lanes),
            direction=chance.choice((Direction.TOWARD, Direction.AWAY)),
            speed_kmh=max(5, round(chance.gauss(48, 9))),
            at_s=at_s,
            paint=chance.randrange(1 << 16),
            readable=chance.random() >= unread,
        )
