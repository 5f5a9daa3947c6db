"""Random histories of reads, faults and restarts, in virtual time, over the real ledger, intake and courier."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
from far_side import sign_receipt
from node import NODE, Build, HastyPort
from virtual_time import run_virtual
from world import World, history

from uplink.courier import Terms

TERMS = Terms(window_bytes=20_000, backlog_share_percent=30, receipt_timeout_s=10.0)
BASE = 20_260_101


def build_of(seed: int) -> Build:
    """Windows and ledgers of several sizes, small ones that fill included."""
    rng = random.Random(seed)
    terms = replace(TERMS, window_bytes=rng.choice((2_000, 20_000, 200_000)), live_for_s=rng.choice((5.0, 60.0)))
    return Build(terms, max_bytes=rng.choice((200_000, 8_000_000)))


def play(folder: Path, seed: int, build: Build | None = None, receipts_needed: bool = True) -> World:
    folder.mkdir()
    try:
        return run_virtual(history(folder, seed, build or build_of(seed), receipts_needed=receipts_needed))
    except BaseException as problem:
        problem.add_note(f"seed {seed}")
        raise


def play_many(folder: Path, seeds: range) -> Counter[str]:
    seen: Counter[str] = Counter()
    for seed in seeds:
        world = play(folder / str(seed), seed)
        seen.update(
            passages=world.passages,
            kills=world.kills,
            later=world.later,
            delivered=len(world.store.records),
            arrivals=world.store.arrivals,
            refused=len(world.store.refused),
        )
    return seen


def test_what_is_told_stored_arrives_once_whatever_happens(tmp_path: Path) -> None:
    seen = play_many(tmp_path, range(BASE, BASE + 200))
    # A run that met no trouble would prove nothing.
    assert seen["passages"] > 5_000
    assert seen["kills"] > 200
    assert seen["later"] > 0
    assert seen["refused"] > 50
    assert seen["arrivals"] > seen["delivered"] + 1000


@pytest.mark.slow
def test_many_more_histories(tmp_path: Path) -> None:
    play_many(tmp_path, range(BASE + 1000, BASE + 1800))


def test_a_genuine_receipt_reaches_no_other_epoch(tmp_path: Path) -> None:
    """A range of numbers no epoch can have must not run on into the rows of the epochs after it."""

    async def main() -> None:
        world = World(tmp_path, random.Random(BASE), Build(TERMS))
        world.start()
        assert world.node is not None
        first = world.node.port.ledger.epoch
        await world.kill()
        world.start()
        assert world.node is not None
        key, most = world.store.receipt_key, 2**53 - 1
        await world.node.courier.receipt(sign_receipt(key, NODE, first, [[1, most]], [[2**40 + 1, "malformed"]]))
        usage = world.node.port.ledger.usage()
        assert usage.waiting >= 1  # the second epoch's own first record
        assert usage.refused == 0
        await world.end()

    run_virtual(main())


def test_a_courier_that_trusts_the_broker_is_seen_to_lose(tmp_path: Path) -> None:
    trusting = Build(replace(TERMS, broker_is_enough=True))
    assert losses(tmp_path, trusting, receipts_needed=False) > 0


def test_an_answer_before_the_commit_is_seen_to_lose(tmp_path: Path) -> None:
    assert losses(tmp_path, Build(TERMS, port=HastyPort)) > 0


def losses(folder: Path, build: Build, receipts_needed: bool = True) -> int:
    """In how many of 20 histories something told stored was missing, and was seen to be."""
    lost = 0
    for seed in range(BASE, BASE + 20):
        try:
            play(folder / str(seed), seed, build, receipts_needed)
        except* AssertionError as problem:
            lost += any("told stored, and is nowhere" in str(each) for each in leaves(problem))
    return lost


def leaves(problem: BaseException) -> list[BaseException]:
    if isinstance(problem, BaseExceptionGroup):
        return [leaf for each in problem.exceptions for leaf in leaves(each)]
    return [problem]
