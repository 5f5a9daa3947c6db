"""No room at 200 random points: reads are told "later", nothing stored is lost, and with room again it goes on."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from tests.proofs.full import Tally, prove

SEED = 20_260_103


def plainly(steps: Iterator[Tally]) -> Iterator[Tally]:
    return steps


def check(tally: Tally, points: int) -> None:
    print(tally)
    assert (tally.points, tally.reached, tally.bad) == (points, points, 0), tally.problems
    assert tally.stored > points
    assert tally.later > points


def test_the_disk_is_full_at_200_points() -> None:
    check(prove("vfs", SEED, 200, plainly), 200)


def test_at_its_own_bound_acts_still_fit_and_receipts_make_room() -> None:
    tally = prove("cap", SEED, 30, plainly)
    check(tally, 30)
    assert tally.acts > 30
    assert (tally.acts_later, tally.ended) == (0, 0)


@pytest.mark.skipif(os.geteuid() != 0, reason="a small file system needs root (to mount)")
def test_a_real_file_system_is_full() -> None:
    check(prove("tmpfs", SEED, 30, plainly), 30)


def test_a_ledger_that_says_stored_without_room_is_seen() -> None:
    """The control."""
    tally = prove("vfs", SEED, 20, plainly, "stored-without-room")
    assert tally.bad >= 15, tally
