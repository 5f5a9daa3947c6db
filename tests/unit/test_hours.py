"""What a metered line may carry at which hour, and how fast."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.changes import Tier
from edge.read import Kind
from uplink.holds import Holds
from uplink.hours import OffPeak, hours, rate_bytes_per_s, tiers
from uplink.pace import Pace
from uplink.window import LEAST_BYTES, SLOW_S, Window, window


def ms(text: str, zone: str = "UTC") -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone)).timestamp() * 1000)


@pytest.mark.parametrize(
    ("text", "at", "holds"),
    [
        ("22:00-06:00", "2026-03-01T21:59:59", False),
        ("22:00-06:00", "2026-03-01T22:00:00", True),
        ("22:00-06:00", "2026-03-02T00:00:00", True),
        ("22:00-06:00", "2026-03-02T05:59:59", True),
        ("22:00-06:00", "2026-03-02T06:00:00", False),
        ("09:30-17:00", "2026-03-02T09:29:59", False),
        ("09:30-17:00", "2026-03-02T09:30:00", True),
        ("09:30-17:00", "2026-03-02T16:59:59", True),
        ("09:30-17:00", "2026-03-02T17:00:00", False),
        ("00:00-23:59", "2026-03-02T23:59:30", False),
    ],
)
def test_the_begin_is_within_and_the_end_is_not(text: str, at: str, holds: bool) -> None:
    assert hours(text, "UTC").hold(ms(at)) is holds


def test_hours_are_those_of_the_zone_also_when_its_clock_changes() -> None:
    night = hours("01:00-02:00", "Europe/London")
    assert night.hold(ms("2026-07-01T01:30:00", "Europe/London"))
    assert not night.hold(ms("2026-07-01T01:30:00"))  # 02:30 in London's summer
    spring, autumn = ms("2026-03-29T00:00:00"), ms("2026-10-25T00:00:00")
    minutes = range(0, 3 * 60 * 60_000, 60_000)
    assert sum(night.hold(spring + at) for at in minutes) == 0  # 01:00 to 02:00 does not exist that night
    assert sum(night.hold(autumn + at) for at in minutes) == 120  # and comes twice on this one


@pytest.mark.parametrize("text", ["", "22-06", "22:00", "24:00-06:00", "22:60-06:00", "22:00-22:00", "22:00-06:00 "])
def test_what_is_not_hours_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="22:00-06:00"):
        hours(text, "UTC")


@given(st.integers(0, 23), st.integers(0, 59), st.integers(0, 23), st.integers(0, 59), st.integers(0, 10**9))
def test_every_moment_is_in_the_hours_or_in_the_rest(h: int, m: int, to_h: int, to_m: int, seconds: int) -> None:
    if (h, m) == (to_h, to_m):
        return
    at_ms = int((datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=seconds)).timestamp() * 1000)
    one = hours(f"{h:02}:{m:02}-{to_h:02}:{to_m:02}", "UTC")
    other = hours(f"{to_h:02}:{to_m:02}-{h:02}:{m:02}", "UTC")
    assert one.hold(at_ms) is not other.hold(at_ms)


def test_overviews_wait_for_the_cheap_hours_and_reads_never_do() -> None:
    night, day = ms("2026-03-01T23:00:00"), ms("2026-03-01T12:00:00")
    cheap = OffPeak(hours("22:00-06:00", "UTC"), 90_000, overviews_wait=True)
    assert tiers(cheap, day) == {Tier.FIRST}
    assert tiers(cheap, night) == set(Tier)
    assert tiers(None, day) == tiers(OffPeak(cheap.hours), day) == set(Tier)
    assert rate_bytes_per_s(1000, cheap, day) == rate_bytes_per_s(1000, None, night) == 1000
    assert rate_bytes_per_s(1000, cheap, night) == 90_000
    assert rate_bytes_per_s(1000, OffPeak(cheap.hours), night) == 0


@given(st.integers(1, 10**6), st.lists(st.tuples(st.floats(0, 5), st.integers(1, 65_536)), max_size=200))
def test_no_more_than_the_rate_leaves_but_for_one_record(rate: int, tries: list[tuple[float, int]]) -> None:
    pace, now_s, sent = Pace(), 1000.0, 0
    assert pace.allows(rate, now_s)
    for wait_s, size in tries:
        now_s += wait_s
        if pace.allows(rate, now_s):
            pace.spend(size)
            sent += size
        else:
            later_s = pace.wait_s(rate)
            assert later_s is not None
            assert later_s > 0
        assert sent <= rate * (now_s - 1000.0 + 1) + 65_536 + 1


def test_a_rate_that_ends_leaves_no_debt() -> None:
    pace = Pace()
    assert pace.allows(100, 1000.0)
    pace.spend(60_000)
    assert not pace.allows(100, 1001.0)
    assert pace.allows(0, 1002.0)
    assert pace.wait_s(0) is None
    assert pace.allows(100, 1003.0)


def test_the_window_narrows_on_a_slow_line_and_widens_on_a_quick_one() -> None:
    now_s, seen = 0.0, window(524_288)
    for _ in range(200):
        now_s += 0.1
        seen = seen.acknowledged(25_000, 0.1, now_s)
    assert seen.size_bytes == 524_288
    seen = seen.acknowledged(25_000, SLOW_S + 2, now_s)
    assert seen.size_bytes == 262_144
    assert seen.acknowledged(25_000, SLOW_S + 2, now_s + 1) == seen, "what was sent together narrows it once"
    for _ in range(20):
        now_s += 10
        seen = seen.acknowledged(25_000, SLOW_S + 2, now_s)
    assert seen.size_bytes == LEAST_BYTES
    assert Window(10_000, 10_000).acknowledged(1000, 60.0, now_s).size_bytes == 10_000


def test_on_64_kbit_s_a_heartbeat_waits_seconds_and_not_a_minute() -> None:
    """The line as a queue of 8 kB a second that the window keeps full of overviews."""
    seen, now_s, in_air = window(524_288), 0.0, []
    waits_s = []
    for _ in range(400):
        while sum(in_air) < seen.size_bytes:
            in_air.append(25_000)
        took_s = sum(in_air) / 8000  # for the one sent last; about so for each
        now_s += 25_000 / 8000
        seen = seen.acknowledged(in_air.pop(0), took_s, now_s)
        waits_s.append(sum(in_air) / 8000)
    assert max(waits_s[20:]) < 10


def test_a_kind_that_is_refused_is_asked_with_one_after_growing_waits() -> None:
    holds, now_s, asked_s = Holds(), 0.0, []
    for what in (holds.sent, lambda kind: holds.refused(kind, now_s)):
        for _ in range(16):
            what(Kind.READ)
    while now_s < 5000:
        if holds.allows(Kind.READ, now_s):
            holds.sent(Kind.READ)
            assert not holds.allows(Kind.READ, now_s), "one at a time"
            asked_s.append(now_s)
            holds.refused(Kind.READ, now_s + 1)
        assert holds.allows(Kind.OVERVIEW, now_s)
        now_s += 1
    assert asked_s[:4] == [2, 7, 16, 33]
    assert asked_s[-1] - asked_s[-2] == 601
    holds.sent(Kind.READ)
    holds.begin_anew()
    holds.taken(Kind.READ)
    assert holds.allows(Kind.READ, 0.0)
    assert holds.next_s() is None
