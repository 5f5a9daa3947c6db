"""Reads against the hour of the week: certain in a minute on a trunk road, in hours at night, never on a quiet road."""

from __future__ import annotations

import json
import math
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.expect import Lane, Marked, Slot, State, Verdict, judge, lane_restored
from edge.habit import HOURS, Habit, hour_of_week, restored
from edge.tails import Spread, so_few, so_many

LONDON = ZoneInfo("Europe/London")
MONDAY_S = datetime(2026, 1, 5, tzinfo=UTC).timestamp()
NIGHT, NOON = 3, 12


def known(per_hour: dict[int, float], weeks: int = 6, seed: int = 1, swing: float = 0.005) -> Lane:
    """A lane that has read so much in each hour of the day for weeks."""
    rng, lane = np.random.default_rng(seed), Lane()
    for _ in range(weeks):
        for hour in range(HOURS):
            rate = lane.habit.rate(hour, 0.5)
            seen = int(rng.poisson(per_hour[hour % 24] * rng.gamma(1 / swing, swing)))
            mean = None if rate is None else rate.per_hour
            lane.habit.learn(hour, seen, mean, mean)
    return lane


def road(noon: float, night: float) -> dict[int, float]:
    return {hour: night + (noon - night) * max(0.0, math.sin(math.pi * (hour - 4) / 18)) for hour in range(24)}


def after(lane: Lane, hour: int, reads: list[int], length_s: float = 60) -> list[Verdict]:
    """Verdicts on these slots, one after the other, from an hour of a Monday on."""
    begin_s = MONDAY_S + hour * 3600
    slots = [Slot(begin_s + number * length_s, length_s, count) for number, count in enumerate(reads)]
    return [judge({"a": lane}, {"a": slot}, LONDON)["a"] for slot in slots]


def minutes_to(state: State, verdicts: list[Verdict]) -> int | None:
    return next((number + 1 for number, verdict in enumerate(verdicts) if verdict.state is state), None)


@given(
    seen=st.integers(0, 60),
    mean=st.floats(0.1, 60),
    burst=st.floats(1.05, 4),
    swing=st.floats(0.001, 0.3),
)
@settings(max_examples=200, deadline=None)
def test_tails_are_sums_of_the_negative_binomial(seen: int, mean: float, burst: float, swing: float) -> None:
    spread = Spread(burst, swing)
    shape = spread.shape(mean)
    share = shape / (shape + mean)
    terms = [
        math.exp(
            math.lgamma(shape + k) - math.lgamma(k + 1) - math.lgamma(shape) + shape * math.log(share)
            + k * math.log1p(-share)
        )
        for k in range(2000)
    ]  # fmt: skip
    below, above = sum(terms[: seen + 1]), sum(terms[seen:])
    assert so_few(seen, mean, spread) == pytest.approx(-math.log10(min(1.0, below)), abs=1e-6)
    if above > 1e-12:
        assert so_many(seen, mean, spread) == pytest.approx(-math.log10(min(1.0, above)), abs=1e-4)


def test_far_out_a_tail_is_still_a_number() -> None:
    assert 100 < so_few(0, 3000, Spread(1.05, 0.004)) < 1000
    assert so_few(0, 0.0, Spread(1.5, 0.1)) == 0
    assert so_many(0, 1.0, Spread(1.5, 0.1)) == 0


def test_a_silent_trunk_road_is_certain_within_minutes_and_a_silent_night_hour_is_nothing() -> None:
    busy = after(known(road(1500, 30)), NOON, [0] * 10)
    assert minutes_to(State.FEW, busy) in (1, 2, 3)
    quiet = after(known(road(60, 2)), NIGHT, [0] * 60)
    assert minutes_to(State.FEW, quiet) is None
    assert quiet[-1].state is State.AS_EXPECTED


def test_the_window_grows_until_a_quiet_lane_has_said_enough() -> None:
    verdicts = after(known(road(60, 2)), NIGHT, [0] * 60 * 12)
    taken = minutes_to(State.FEW, verdicts)
    assert taken is not None
    assert 120 < taken < 600
    assert verdicts[taken - 1].since_s <= MONDAY_S + NIGHT * 3600 + 120
    assert verdicts[taken - 1].evidence >= 7


def test_too_many_is_told_and_a_busy_hour_is_not() -> None:
    rng = np.random.default_rng(4)
    parked = after(known(road(300, 6)), NIGHT, [int(count) for count in rng.poisson(2.1, 120)])
    assert minutes_to(State.MANY, parked) is not None
    busy = after(known(road(300, 6)), NOON, [int(count) for count in rng.poisson(300 / 60 * 1.3, 240)])
    assert {verdict.state for verdict in busy} == {State.AS_EXPECTED}


def test_a_lane_that_reads_again_is_soon_as_expected() -> None:
    lane, rng = known(road(600, 20)), np.random.default_rng(5)
    assert after(lane, NOON, [0] * 60)[-1].state is State.FEW
    again = after(lane, NOON + 1, [int(count) for count in rng.poisson(9, 60)])
    assert minutes_to(State.AS_EXPECTED, again) is not None
    assert again[-1].state is State.AS_EXPECTED


def two(factors: tuple[float, float], minutes: int = 90, seed: int = 6) -> list[dict[str, Verdict]]:
    rng = np.random.default_rng(seed)
    lanes = {"a": known(road(900, 20)), "b": known(road(600, 20), seed=2)}
    found = []
    for minute in range(minutes):
        at_s = MONDAY_S + NOON * 3600 + minute * 60
        means = (900 / 60 * factors[0], 600 / 60 * factors[1])
        slots = {lane: Slot(at_s, 60, int(rng.poisson(mean))) for lane, mean in zip("ab", means, strict=True)}
        found.append(judge(lanes, slots, LONDON))
    return found


def test_sister_lanes_tell_the_road_from_the_camera() -> None:
    """The road is shut: no lane is accused. One lane falls silent: that one is, and its sister is not."""
    shut = two((0, 0))
    assert {verdicts[lane].state for verdicts in shut for lane in "ab"} <= {State.AS_EXPECTED, State.ROAD_FEW}
    assert shut[-1]["a"].state is State.ROAD_FEW
    one = two((0, 1.5))
    assert one[-1]["a"].state is State.FEW
    assert one[-1]["a"].controlled
    assert one[-1]["b"].state in (State.AS_EXPECTED, State.MANY)
    assert minutes_to(State.FEW, [verdicts["a"] for verdicts in one]) in range(1, 10)


def test_a_camera_that_reads_two_fifths_is_found_beside_a_sister_and_not_on_a_day_that_is_so() -> None:
    half = two((0.4, 1.0), minutes=300)
    assert State.FEW in {verdicts["a"].state for verdicts in half}
    both = two((0.6, 0.6), minutes=300)
    assert State.FEW not in {verdicts[lane].state for verdicts in both for lane in "ab"}


def test_a_marked_time_is_not_judged_and_a_bank_holiday_is_judged_as_a_sunday() -> None:
    lane = known(road(600, 20))
    for hour in range(24):
        lane.habit.weeks[6 * 24 + hour] = [3] * 8  # a road that sleeps on Sundays
    slot = Slot(MONDAY_S + NOON * 3600, 3600, 3)
    works = Marked(MONDAY_S, MONDAY_S + 86400, "road works")
    assert judge({"a": lane}, {"a": slot}, LONDON, [works])["a"].state is State.UNKNOWN
    holiday = Marked(MONDAY_S, MONDAY_S + 86400, "bank holiday", as_sunday=True)
    assert judge({"a": lane}, {"a": slot}, LONDON, [holiday])["a"].state is State.AS_EXPECTED
    assert judge({"a": lane}, {"a": slot}, LONDON)["a"].state is State.FEW
    assert all(len(week) <= 8 for week in lane.habit.weeks)


def test_without_enough_past_nothing_is_said() -> None:
    assert after(Lane(), NOON, [0] * 30)[-1].state is State.UNKNOWN
    days = known(road(600, 20), weeks=1)
    rate = days.habit.rate(NOON, 0.5)
    assert rate is not None  # five working days stand in for each other
    assert rate.alone.swing > 0.15
    assert days.habit.rate(5 * 24 + NOON, 0.5) is None  # a single Saturday does not


def test_a_camera_that_is_down_is_not_accused_and_leaves_nothing_to_be_learnt() -> None:
    lane = known(road(600, 20))
    before = json.dumps(lane.habit.weeks)
    slots = [Slot(MONDAY_S + NOON * 3600 + 60 * n, 60, 0, judged=False) for n in range(130)]
    found = {judge({"a": lane}, {"a": slot}, LONDON)["a"].state for slot in slots}
    assert found == {State.UNKNOWN}
    assert json.dumps(lane.habit.weeks) == before


def test_whole_hours_are_learnt_and_odd_weeks_do_not_move_the_habit() -> None:
    lane = known(road(600, 20))
    after(lane, NOON, [10] * 121)
    assert lane.habit.weeks[NOON][-1] == 600
    habit = Habit()
    for count in (100, 104, 97, 0, 101, 900, 99, 103):
        habit.learn(5, count, None, None)
    rate = habit.rate(5, 0.5)
    assert rate is not None
    assert rate.per_hour == pytest.approx(100, abs=3)


def test_the_scatter_is_estimated_from_the_past() -> None:
    calm, wild = known(road(600, 20), weeks=8, swing=0.005), known(road(600, 20), weeks=8, swing=0.09)
    assert calm.habit.spreads[0].swing < 0.02 < 0.06 < wild.habit.spreads[0].swing < 0.15


def test_chance_alone_is_no_fault() -> None:
    """Four lonely lanes for four weeks, swinging by 15 % from hour to hour: no verdict but as expected."""
    rng, found = np.random.default_rng(11), set()
    for per_noon in (20, 150, 600, 2000):
        rates = road(per_noon, per_noon / 40)
        lane = known(rates, seed=per_noon, swing=0.02)
        for hour in range(4 * HOURS):
            swing = rng.gamma(1 / 0.02, 0.02)
            begin_s = MONDAY_S + hour * 3600
            for part in range(6):
                reads = int(rng.poisson(rates[hour % 24] * swing / 6))
                found.add(judge({"a": lane}, {"a": Slot(begin_s + part * 600, 600, reads)}, LONDON)["a"].state)
    assert found == {State.AS_EXPECTED}


def test_local_hours_follow_summer_time() -> None:
    assert hour_of_week(MONDAY_S, LONDON) == (0, 0.0)
    summer_s = datetime(2026, 7, 6, 11, 30, tzinfo=UTC).timestamp()
    assert hour_of_week(summer_s, LONDON) == (12, 0.5)


def test_state_is_plain_json_and_comes_back() -> None:
    lane = known(road(600, 20))
    after(lane, NOON, [2] * 20)
    again = lane_restored(json.loads(json.dumps(lane.kept())))
    assert again.kept() == lane.kept()
    assert (again.alone, again.beside) == (lane.alone, lane.beside)
    assert after(again, NOON + 1, [0] * 30)[-1].state is State.FEW
    with pytest.raises(ValueError, match="168"):
        restored(lane.habit.kept() | {"weeks": [[]]})
