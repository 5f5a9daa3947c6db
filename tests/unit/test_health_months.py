"""Weeks of simulated cameras: every kind of fault is found and named, and alarms without a fault are rare.

The short form of `python -m tests.proofs health --months 6`. Figures of the long one: docs/camera-health.md.
"""

from __future__ import annotations

import json

import pytest

from tests.simulation.health_play import BEGIN_S, LASTS_H, RIGHT, SETTLING_DAYS, History
from tests.simulation.health_world import ROADS, Event, Trouble


def one_of_each(days_from: float) -> tuple[Event, ...]:
    """Every kind of trouble once, on six cameras, two to each but for the last."""
    lanes = [lane for road in ROADS for lane in road.lanes]
    found = []
    for number, trouble in enumerate(Trouble):
        hour = 15.5 if trouble in (Trouble.DEFOCUS, Trouble.LAMP) else 9.0
        day = days_from + (0 if number < len(lanes) else 7)
        from_s = BEGIN_S + int(day) * 86400 + hour * 3600
        found.append(Event(lanes[(5 * number) % len(lanes)], trouble, from_s, from_s + LASTS_H[trouble] * 3600))
    return tuple(found)


@pytest.fixture(scope="module")
def history() -> History:
    made = History(SETTLING_DAYS + 11, 7, None)
    made.events = made.world.events = one_of_each(SETTLING_DAYS + 0.5)
    for _ in made.play():
        pass
    print("seed 7:", json.dumps(made.found.figures()))
    return made


def test_every_fault_is_found_and_named_by_its_name(history: History) -> None:
    assert not history.found.missed
    assert set(history.found.hours) == set(Trouble)
    assert set(RIGHT) == set(Trouble)


def test_each_within_its_time(history: History) -> None:
    most_h = {
        Trouble.DEAD: 0.2,
        Trouble.FROZEN: 1.5,
        Trouble.HUNG: 1.0,
        Trouble.CLOSED: 1.0,
        Trouble.PARKED: 2.0,
        Trouble.CLOCK: 3.0,
        Trouble.POWER: 4.0,
        Trouble.DEFOCUS: 6.0,
        Trouble.LAMP: 6.0,
        Trouble.NUDGE: 12.0,
        Trouble.DIRT: 72.0,
    }
    late = {trouble: hours for trouble, hours in history.found.hours.items() if max(hours) > most_h[trouble]}
    assert not late


def test_alarms_without_a_fault_are_rare(history: History) -> None:
    found = history.found
    print(f"{len(found.false)} false alarms in {found.calm_days:.0f} camera-days without a fault: {found.false}")
    assert found.calm_days > 20
    assert found.false_per_day() <= 0.05
