"""What is given up, and when: the decisions alone."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.ageing import STEP_MS, Watch, look
from edge.changes import Usage
from edge.claim import ClockState, Received
from edge.clock import ClockQuality
from edge.errors import Misconfigured
from edge.read import Kind, Omitted
from edge.retention import (
    EASE,
    NO_ROOM,
    OLD_OVERVIEWS,
    OVERVIEWS,
    READS,
    TEXT_ONLY,
    Cut,
    Reason,
    Terms,
    Waiting,
    capped,
    chosen,
    cuts,
    fitting,
    ranges,
    shed_detail,
    too_old,
)
from edge.situation import Situation, alerts
from firmware_config.profile import load_profile, max_age_days

TERMS = Terms(max_age_ms=7 * 86_400_000, fresh_ms=3_600_000)
NOW, MOST = 10**12, 1_000_000


@pytest.mark.parametrize(
    ("share", "kinds"),
    [
        (OLD_OVERVIEWS - 0.001, []),
        (OLD_OVERVIEWS, [Kind.OVERVIEW]),
        (OVERVIEWS, [Kind.OVERVIEW, Kind.OVERVIEW]),
        (TEXT_ONLY, [Kind.OVERVIEW, Kind.OVERVIEW]),
        (READS, [Kind.OVERVIEW, Kind.OVERVIEW, Kind.READ]),
    ],
)
def test_the_heavy_goes_before_the_light_and_the_old_before_the_new(share: float, kinds: list[Kind]) -> None:
    found = cuts(round(share * MOST), MOST, NOW, TERMS)
    assert [cut.kind for cut in found] == kinds
    assert [cut.before_ms for cut in found[:1]] == [NOW - TERMS.fresh_ms] * bool(kinds)
    assert all(cut.before_ms > NOW for cut in found[1:])
    assert [cut.down_to_bytes for cut in found] == sorted(cut.down_to_bytes for cut in found)


def test_an_act_is_never_cut() -> None:
    assert all(cut.kind is not Kind.ACT for share in range(200) for cut in cuts(share * 10_000, MOST, NOW, TERMS))


sizes = st.lists(st.integers(100, 30_000), max_size=60)


@given(sizes, st.integers(0, 2_000_000), st.integers(0, 1_000_000))
def test_no_more_is_taken_than_is_needed_and_the_oldest_first(each: list[int], used: int, down_to: int) -> None:
    oldest = [Waiting(n, Kind.OVERVIEW, n, size) for n, size in enumerate(each)]
    taken = chosen(oldest, Cut(Kind.OVERVIEW, 1 << 62, down_to), used)
    assert list(taken) == oldest[: len(taken)]
    left = used - sum(w.size_bytes for w in taken)
    if taken:
        assert left + taken[-1].size_bytes > down_to
    assert left <= down_to or len(taken) == len(oldest)


def test_what_is_fresh_is_not_taken_by_the_cut_for_the_old() -> None:
    oldest = [Waiting(n, Kind.OVERVIEW, n * 1000, 10) for n in range(9)]
    assert [w.row for w in chosen(oldest, Cut(Kind.OVERVIEW, 3000, 0), 10**9)] == [0, 1, 2]


def test_a_new_read_comes_in_whole_then_without_overview_then_as_text(make_evidence: Callable[..., Any]) -> None:
    whole = make_evidence(1)
    assert fitting(whole, round(OVERVIEWS * MOST) - 1, MOST) is whole
    without = fitting(whole, round(OVERVIEWS * MOST), MOST)
    assert isinstance(without.overview, Omitted)
    assert without.overview.reason == NO_ROOM
    assert without.patch == whole.patch
    text = fitting(whole, round(TEXT_ONLY * MOST), MOST)
    assert isinstance(text.patch, Omitted)
    assert isinstance(text.overview, Omitted)
    assert text.read == whole.read


def test_the_lawful_age_needs_a_clock_that_is_believed() -> None:
    assert not too_old(None, NOW, TERMS)
    assert not too_old(NOW - TERMS.max_age_ms, NOW, TERMS)
    assert too_old(NOW - TERMS.max_age_ms - 1, NOW, TERMS)


@given(st.sets(st.integers(1, 300)))
def test_ranges_hold_exactly_the_numbers(numbers: set[int]) -> None:
    found = ranges(numbers)
    assert {n for first, last in found for n in range(first, last + 1)} == numbers
    assert all(a[1] + 1 < b[0] for a, b in pairwise(found))


def test_an_act_counts_by_kind_and_names_every_number() -> None:
    one, two = b"1" * 12, b"2" * 12
    gone = [(one, 3, Kind.OVERVIEW), (one, 2, Kind.READ), (two, 9, Kind.READ)]
    assert shed_detail(Reason.AGE, gone) == {
        "reason": "age",
        "counts": {"overview": 1, "read": 2},
        "which": [{"epoch": one, "ranges": [[2, 3]]}, {"epoch": two, "ranges": [[9, 9]]}],
    }


def test_the_ledger_stays_below_its_partition() -> None:
    assert capped(10**9, 10**10, 16 * 2**20) == 10**9
    assert capped(10**9, 5 * 10**8, 10**7) == 390_000_000
    assert capped(10**9, 10**6, 16 * 2**20) == 1_000_000
    assert capped(600_000, 10**6, 0) == 600_000


def test_marks_are_in_order() -> None:
    assert EASE < OLD_OVERVIEWS < OVERVIEWS < TEXT_ONLY < READS < 1


# the clock


def moment(utc_ms: int, mono_ms: int, clock: ClockState = ClockState.SYNCHRONISED, boot: str = "b") -> Received:
    return Received(utc_ms, 5, clock, mono_ms * 1_000_000, boot)


def test_a_step_is_seen_and_a_drift_is_not() -> None:
    watch, by = look(None, moment(1_000_000, 0))
    assert (by, watch.trusted) == (0, True)
    for n in range(1, 50):
        watch, by = look(watch, moment(1_000_000 + n * 60_000 + n * 20, n * 60_000))
        assert by == 0
    utc_ms = 1_000_000 + 49 * 60_020
    for by_ms in (STEP_MS, -STEP_MS, 10**11):
        utc_ms += by_ms
        watch, by = look(watch, moment(utc_ms, 49 * 60_000))
        assert by == by_ms
        assert not watch.trusted


def test_after_a_step_the_clock_is_believed_only_when_the_kernel_has_had_time_to_say_so() -> None:
    watch, _ = look(None, moment(10**12, 0))
    watch, by = look(watch, moment(2 * 10**12, 0))  # the kernel's word is a second old: it still says synchronised
    watch, _ = look(watch, moment(2 * 10**12 + 500, 500))
    assert not watch.trusted
    watch, _ = look(watch, moment(2 * 10**12 + 2500, 2500, ClockState.UNSYNCHRONISED))
    assert not watch.trusted
    watch, _ = look(watch, moment(2 * 10**12 + 9000, 9000))
    assert watch.trusted
    assert by == 10**12


def test_trust_lasts_through_a_boot_and_ends_with_it() -> None:
    watch, _ = look(None, moment(10**12, 0))
    watch, _ = look(watch, moment(10**12 + 10**9, 10**9, ClockState.UNSYNCHRONISED))
    assert watch.trusted  # an outage of NTP does not make a clock wrong
    watch, by = look(watch, moment(10**9, 0, ClockState.UNSYNCHRONISED, "next"))
    assert (by, watch.trusted) == (0, False)
    assert look(Watch("unknown", 0, True), moment(10**12, 0, ClockState.UNKNOWN, "unknown"))[0].trusted is False


# the setting, and what is said


def test_the_lawful_age_may_be_lowered_and_never_raised() -> None:
    profile = load_profile("nasple-2.4")
    assert max_age_days(profile, None) == max_age_days(profile, 7) == profile.cited("buffer_max_age_days").value == 7
    assert max_age_days(profile, 1) == 1
    with pytest.raises(Misconfigured, match="max_age_days is 8") as refused:
        max_age_days(profile, 8)
    assert "never raise" in refused.value.hint


def said(age_h: float = 0.0, **change: Any) -> dict[str, str]:
    """Level by code of the alerts of a node whose oldest record waits for so long."""
    usage = Usage(1, 9, 0, 0, NOW - round(age_h * 3_600_000), 1, 100, 1, **({"max_age_ms": TERMS.max_age_ms} | change))
    now = Situation(
        at_ms=NOW,
        session=1,
        uptime_s=1,
        boot_id="b",
        version="0",
        config_digest="sha256:0",
        clock=ClockQuality(ClockState.SYNCHRONISED, 1),
        usage=usage,
        disk_free_bytes=10**10,
        certificate_days=None,
        uplink_up=True,
        uplink_problem="",
        uplink={},
        receipt_age_s=None,
        acknowledge="store",
        cameras={},
        camera_states={},
        authorisation_days={},
    )
    return {alert.code: alert.level for alert in alerts(now)}


def test_an_alarm_comes_long_before_anything_is_erased() -> None:
    assert said(83.9) == {}
    assert said(84.1) == {"buffer-age": "poor"}
    assert said(135) == {"buffer-age": "bad"}
    assert said(500, max_age_ms=None) == {}


def test_what_is_given_up_and_what_is_set_aside_is_said() -> None:
    assert said(shedding="overview", shed=9) == {"shedding": "poor"}
    assert said(shedding="read", shed=9) == {"shedding": "bad"}
    assert said(quarantined=2, unsalvaged=1) == {"ledger-quarantined": "bad"}
    assert said(quarantined=2) == {"ledger-quarantined": "poor"}
    assert said(ballast_gone=True) == {"disk": "bad"}
