"""Single bits turned over in the ledger's file: none of them is ever sent, and none crashes it."""

from __future__ import annotations

from collections.abc import Iterator

from tests.proofs.flips import Came, prove

SEED, FLIPS = 20_260_102, 100


def plainly(steps: Iterator[tuple[Came, str]]) -> Iterator[tuple[Came, str]]:
    return steps


def test_a_hundred_flips_are_found_before_a_row_is_sent() -> None:
    came, words = prove(SEED, FLIPS, plainly)
    print(dict(came), dict(words))
    assert came.total() == FLIPS
    assert came[Came.WRONG] + came[Came.CRASH] == 0, words
    assert came[Came.BY_TAG] > FLIPS // 2


def test_without_tags_they_would_be_sent() -> None:
    """The control: what the proof looks for is there to be seen."""
    came, words = prove(SEED, FLIPS, plainly, tags=False)
    print(dict(came), dict(words))
    assert came[Came.WRONG] > FLIPS // 2
