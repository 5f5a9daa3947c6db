"""In which order records leave: live first, the backlog's share kept, reads before overviews."""

from __future__ import annotations

import random
from itertools import combinations

import pytest

from edge.changes import Tier
from uplink.order import LANES, Lane, Part, Sent, choose

LIVE, LIVE_OVERVIEW, BACKLOG, BACKLOG_OVERVIEW = LANES
SIZES = {Tier.FIRST: 4_000, Tier.OVERVIEW: 25_000}


def test_lanes_in_their_order() -> None:
    assert [(lane.part, lane.tier) for lane in LANES] == [
        (Part.LIVE, Tier.FIRST),
        (Part.LIVE, Tier.OVERVIEW),
        (Part.BACKLOG, Tier.FIRST),
        (Part.BACKLOG, Tier.OVERVIEW),
    ]


def test_nothing_ready_chooses_nothing() -> None:
    assert choose([], Sent(), 30) is None


def test_what_is_chosen_is_ready_and_the_first_of_its_part() -> None:
    chance = random.Random(3)
    for count in range(1, 5):
        for ready in combinations(LANES, count):
            for _ in range(20):
                sent = Sent(chance.randrange(10**6), chance.randrange(10**6))
                chosen = choose(ready, sent, chance.randrange(101))
                assert chosen in ready
                assert chosen is not None
                assert Lane(chosen.part, Tier.FIRST) not in ready or chosen.tier is Tier.FIRST


@pytest.mark.parametrize("only", LANES, ids=str)
def test_one_lane_alone_goes_whatever_is_owed(only: Lane) -> None:
    for sent in (Sent(), Sent(10**6, 0), Sent(0, 10**6)):
        assert choose([only], sent, 30) is only


def test_live_goes_first_and_the_backlog_when_it_is_owed() -> None:
    assert choose(LANES, Sent(), 30) is LIVE
    assert choose(LANES, Sent(100_000, 0), 30) is BACKLOG
    assert choose(LANES, Sent(70_000, 30_000), 30) is LIVE
    assert choose([LIVE_OVERVIEW, BACKLOG], Sent(70_000, 30_000), 30) is LIVE_OVERVIEW


@pytest.mark.parametrize("share_percent", [1, 10, 30, 50, 90])
def test_over_a_long_run_both_move_and_the_share_is_kept(share_percent: int) -> None:
    chance = random.Random(share_percent)
    sent, moved = Sent(), dict.fromkeys(Part, 0)
    longest_wait = waited = 0
    for _ in range(20_000):
        ready = [
            chance.choice([LIVE, LIVE_OVERVIEW]),
            chance.choice([BACKLOG, BACKLOG_OVERVIEW]),
        ]
        lane = choose(ready, sent, share_percent)
        assert lane is not None
        size_bytes = SIZES[lane.tier]
        sent = sent.more(lane.part, size_bytes)
        moved[lane.part] += size_bytes
        waited = 0 if lane.part is Part.BACKLOG else waited + size_bytes
        longest_wait = max(longest_wait, waited)
    share = 100 * moved[Part.BACKLOG] / sum(moved.values())
    assert abs(share - share_percent) < 1.5
    assert longest_wait < 25_000 * (100 / share_percent + 2)


def test_a_share_of_nothing_never_holds_the_live_part_back() -> None:
    assert choose(LANES, Sent(10**6, 0), 0) is LIVE
    assert choose([BACKLOG], Sent(10**6, 0), 0) is BACKLOG


def test_what_was_long_ago_is_forgotten() -> None:
    sent = Sent()
    for _ in range(1000):
        sent = sent.more(Part.LIVE, 25_000)
    assert sent.live_bytes + sent.backlog_bytes <= 1_000_000
    rounds = 0
    while choose(LANES, sent, 50) is BACKLOG:
        sent = sent.more(Part.BACKLOG, 25_000)
        rounds += 1
    assert 0 < rounds * 25_000 < 1_000_000


def test_both_tiers_of_both_parts_empty_in_the_end() -> None:
    left = dict.fromkeys(LANES, 200)
    sent, order = Sent(), []
    while any(left.values()):
        lane = choose([lane for lane in LANES if left[lane]], sent, 30)
        assert lane is not None
        left[lane] -= 1
        order.append(lane)
        sent = sent.more(lane.part, SIZES[lane.tier])
    for part in Part:
        tiers = [lane.tier.value for lane in order if lane.part is part]
        assert tiers == sorted(tiers)
