"""How long to wait before trying again."""

from __future__ import annotations

import random
from itertools import islice

from uplink.backoff import full_jitter


def test_the_ceiling_doubles_up_to_the_most() -> None:
    assert list(islice(full_jitter(1.0, 60.0, lambda: 1.0), 8)) == [1, 2, 4, 8, 16, 32, 60, 60]


def test_the_whole_range_down_to_nothing_is_drawn_from() -> None:
    assert list(islice(full_jitter(1.0, 60.0, lambda: 0.0), 8)) == [0] * 8
    chance = random.Random(11)
    waits_s = list(islice(full_jitter(1.0, 60.0, chance.random), 5000))[6:]
    assert all(0 <= wait_s <= 60 for wait_s in waits_s)
    assert min(waits_s) < 1
    assert max(waits_s) > 59
    assert 28 < sum(waits_s) / len(waits_s) < 32


def test_each_chance_is_drawn_only_when_a_wait_is_asked_for() -> None:
    drawn = []

    def chance() -> float:
        drawn.append(1)
        return 0.5

    waits = full_jitter(2.0, 4.0, chance)
    assert drawn == []
    assert [next(waits), next(waits), next(waits)] == [1.0, 2.0, 2.0]
    assert len(drawn) == 3


def test_a_most_below_the_first_holds_from_the_second_on() -> None:
    assert list(islice(full_jitter(5.0, 3.0, lambda: 1.0), 3)) == [5, 3, 3]
