"""What reads leave behind: form, shares against their own past, echoes; and an accuracy that is no claim."""

from __future__ import annotations

import json
import random
import string

import pytest

from edge.accuracy import Beside, Way, from_check, from_revisions, from_shape, wilson
from edge.misread import Echo, Flag, Misread, Tally, flags, shaped_as_issued, tally_restored

YEAR = 2026


@pytest.mark.parametrize(
    "vrm",
    [
        "AB12CDE",
        "LD76XYZ",
        "A123BCD",
        "Q123ABC",
        "ABC123D",
        "A1",
        "1A",
        "ABZ1234",
        "IAZ12",
        "1234AB",
        "101D234",
        "12345",
    ],
)
def test_marks_as_issued_have_a_form(vrm: str) -> None:
    assert shaped_as_issued(vrm, YEAR)


@pytest.mark.parametrize(
    "vrm",
    ["", "AB1ZCDE", "AI12CDE", "AB12QDE", "AB27CDE", "AB40CDE", "AB12CD3", "0B12CDE", "ABCDEFG", "1234567", "ÄB12CDE"],
)
def test_others_have_none(vrm: str) -> None:
    assert not shaped_as_issued(vrm, YEAR)


def test_how_many_single_misreads_fail_the_form() -> None:
    """Current marks with one character taken for what cameras take it for. The share is printed, and bounded."""
    rng = random.Random(1)
    alike = {
        "0": "ODQ",
        "O": "0",
        "D": "0",
        "1": "I7",
        "I": "1",
        "8": "B",
        "B": "8",
        "5": "S",
        "S": "5",
        "2": "Z",
        "Z": "2",
    }
    letters = string.ascii_uppercase.replace("I", "").replace("Q", "").replace("Z", "")
    total = failed = 0
    for _ in range(4000):
        mark = "".join(rng.choices(letters, k=2)) + f"{rng.choice([*range(2, 27), *range(51, 77)]):02d}"
        mark += "".join(rng.choices(letters, k=3))
        assert shaped_as_issued(mark, YEAR)
        places = [at for at, character in enumerate(mark) if character in alike]
        if places:
            at = rng.choice(places)
            misread = mark[:at] + rng.choice(alike[mark[at]]) + mark[at + 1 :]
            total, failed = total + 1, failed + (not shaped_as_issued(misread, YEAR))
    print(f"{failed} of {total} single confusions fail the form: {failed / total:.0%}")
    assert 0.6 < failed / total < 1


def test_a_read_leaves_bits_alone() -> None:
    assert flags(None, 5, None, YEAR) == Flag.UNREAD
    assert flags("AB12CDE", 90, "GBR", YEAR) == Flag.READ
    assert flags("AB12CD3", 30, None, YEAR) == Flag.MISSHAPEN | Flag.DOUBTFUL
    assert flags("1ABC234", 90, "FRA", YEAR) == Flag.FOREIGN
    assert flags("AB12CDE", None, None, YEAR, revised=True, repeated=True) == Flag.REVISED | Flag.REPEATED


def test_an_echo_is_heard_and_nothing_of_it_can_be_seen() -> None:
    rng, echo = random.Random(2), Echo(b"k" * 16)
    marks = [f"AB{number:02d}" + "".join(rng.choices(string.ascii_uppercase, k=3)) for number in range(2000)]
    chance = sum(echo.heard(mark, float(number)) for number, mark in enumerate(marks))
    assert chance < 20
    assert echo.heard(marks[-1], 2001.0)
    assert not echo.heard(marks[-1], 2001.0 + 3600)
    assert "k" * 4 not in repr(echo)
    assert all(value < 65536 for value in echo._last)
    assert len(echo._last) <= 64


def settled(rng: random.Random) -> tuple[Tally, float]:
    tally, at_s = Tally(), 0.0
    for _ in range(9 * 24):
        at_s += 3600
        for _ in range(100):
            tally.note(drawn(rng, 0.03))
        tally.judge(at_s)
    return tally, at_s


def drawn(rng: random.Random, misshapen: float) -> Flag:
    chance = rng.random()
    return Flag.UNREAD if chance < 0.03 else Flag.MISSHAPEN if chance < 0.03 + misshapen else Flag.READ


def test_a_share_is_odd_against_its_own_past_and_only_when_it_grows() -> None:
    rng = random.Random(3)
    tally, at_s = settled(rng)
    judged, odd = tally.judge(at_s)
    assert judged == set(Misread)
    assert not odd
    for _ in range(300):
        tally.note(drawn(rng, 0.25))
    _, odd = tally.judge(at_s + 60)
    assert set(odd) == {Misread.MISSHAPEN}
    assert odd[Misread.MISSHAPEN].seen > 0.15 > odd[Misread.MISSHAPEN].usual
    for _ in range(300):
        tally.note(Flag.READ)
    assert not tally.judge(at_s + 120)[1]


def test_few_reads_say_nothing_and_the_baseline_comes_back() -> None:
    tally = Tally()
    for _ in range(99):
        tally.note(Flag.UNREAD)
    assert tally.judge(0.0) == (frozenset(), {})
    before, _ = settled(random.Random(4))
    again = tally_restored(json.loads(json.dumps(before.kept())))
    assert again.usual.norms == before.usual.norms
    assert not again.last


def test_an_estimate_never_stands_without_its_interval_and_its_way() -> None:
    checked = from_check(388, 400)
    assert checked is not None
    assert (checked.way, checked.of, checked.at_most) == (Way.CHECKED, 400, False)
    assert checked.low < 0.97 < checked.high
    assert checked.beside() is Beside.UNDECIDED or checked.low >= 0.95
    assert checked.sentence() == (
        f"estimated 97.0% right (95 % interval {checked.low:.1%} to {checked.high:.1%}),"
        " by a person's check of 400 reads"
    )
    assert from_check(29, 29) is None
    better, worse = from_check(990, 1000), from_check(900, 1000)
    assert better is not None
    assert worse is not None
    assert (better.beside(), worse.beside()) == (Beside.ABOVE, Beside.BELOW)


def test_ways_that_see_some_errors_only_are_never_above() -> None:
    shape, revisions = from_shape(1, 5000), from_revisions(60, 1000)
    assert shape is not None
    assert revisions is not None
    assert shape.beside() is Beside.UNDECIDED
    assert revisions.share == pytest.approx(0.969, abs=0.001)  # 2 e (1 - e) = 0.06
    assert "at most" in shape.sentence()
    poor = from_shape(400, 5000)
    assert poor is not None
    assert poor.beside() is Beside.BELOW


def test_the_interval_holds_the_truth_as_often_as_it_says() -> None:
    rng, held = random.Random(5), 0
    for _ in range(2000):
        low, high = wilson(sum(rng.random() < 0.95 for _ in range(200)), 200)
        held += low <= 0.95 <= high
    assert 0.93 < held / 2000 < 0.97
