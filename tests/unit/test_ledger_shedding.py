"""A ledger that gives up what it must: by room and by age, in order, each number in a signed act."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import apsw
import pytest

from edge.changes import Accept, Enter, Settle, State, Tier, Usage
from edge.claim import ClockState, Outcome
from edge.clock import Clock
from edge.ledger import Ledger
from edge.read import Record
from edge.retention import Terms
from edge.schema import FILE
from edge.sign import CHECKPOINT_TYPE, decode, open_signed
from tests.fixtures.turned_clock import TurnedClock

Make = Callable[..., Any]
ALL = (0, 2**62, 10_000)
DAY_MS = 24 * 3600 * 1000
TERMS = Terms(max_age_ms=7 * DAY_MS)


@pytest.fixture
def state(tmp_path: Path) -> Path:
    return tmp_path / "state"


@pytest.fixture
def turned() -> TurnedClock:
    return TurnedClock()


def forwarded(ledger: Ledger) -> list[Record]:
    return sorted((r for tier in Tier for r in ledger.waiting(tier, *ALL)), key=lambda r: r.row)


def read_now(make_evidence: Make, clock: Clock, name: object, **change: Any) -> Accept:
    """A read that arrives at this moment of the clock."""
    evidence = make_evidence(name, **change)
    return Accept(replace(evidence, read=replace(evidence.read, received=clock.now())))


def bodies(ledger: Ledger, keys: Any) -> list[dict[str, Any]]:
    return [keys.unseal(record.sealed)[1]["body"] for record in forwarded(ledger)]


def told(ledger: Ledger, keys: Any, act: str) -> list[dict[str, Any]]:
    return [body["detail"] for body in bodies(ledger, keys) if body.get("act") == act]


def shed_numbers(details: list[dict[str, Any]]) -> set[tuple[bytes, int]]:
    return {
        (part["epoch"], seq)
        for detail in details
        for part in detail["which"]
        for first, last in part["ranges"]
        for seq in range(first, last + 1)
    }


def check_nothing_is_missing(ledger: Ledger, state: Path, keys: Any, let_go: set[tuple[bytes, int]]) -> None:
    """Every number of every epoch waits, was let go on a receipt, or stands in an act; and none in two of these."""
    waiting = {(r.epoch, r.seq) for r in forwarded(ledger)}
    shed = shed_numbers(told(ledger, keys, "shed"))
    db = apsw.Connection(str(state / FILE), flags=apsw.SQLITE_OPEN_READONLY)
    epochs = db.execute("SELECT epoch, seq FROM epochs").fetchall()
    counted = dict(db.execute("SELECT state, count(*) FROM records GROUP BY state").fetchall())
    db.close()
    assert waiting | shed | let_go == {(e, n) for e, last in epochs for n in range(1, int(last) + 1)}
    assert not waiting & shed
    assert ledger.usage().waiting == counted.get(State.WAITING.value, 0)


def test_under_pressure_every_read_is_taken_and_what_goes_is_in_the_right_order(
    open_ledger: Make, make_evidence: Make, state: Path, keys: Any, turned: TurnedClock
) -> None:
    ledger: Ledger = open_ledger(clock=turned.clock, terms=TERMS, max_bytes=1_200_000)
    seen: list[str] = []
    reads_shed = 0
    for n in range(900):
        turned.pass_ms(60_000)
        assert ledger.commit([read_now(make_evidence, turned.clock, n)]) == [Outcome.STORED], n
        usage = ledger.usage()
        assert usage.used_bytes < 1_200_000
        seen += [usage.shedding] if usage.shedding not in seen else []
        reads_shed += usage.shedding == "read"
        if reads_shed > 60:
            break
    assert seen == ["", "overview", "read"]
    told_now = bodies(ledger, keys)
    reads = [body for body in told_now if "vrm" in body]
    assert not [body for body in told_now if "of" in body and "jpeg" in body]  # no overview is left
    assert reads[-1]["patch"] == reads[-1]["overview"] == {"omitted": "no_room"}  # the newest came in as text
    assert "jpeg" in reads[0]["patch"] or "omitted" in reads[0]["patch"]
    assert {d["reason"] for d in told(ledger, keys, "shed")} == {"room"}
    check_nothing_is_missing(ledger, state, keys, set())
    shed = shed_numbers(told(ledger, keys, "shed"))
    assert ledger.usage().shed == len(shed)
    payload, _ = open_signed(ledger.checkpoint(), CHECKPOINT_TYPE, {keys.signer.kid: keys.signer.verifier})
    assert decode(payload)["shed"] == {"room": len(shed)}


def test_old_overviews_go_first_and_fresh_ones_stay(
    open_ledger: Make, make_evidence: Make, keys: Any, turned: TurnedClock
) -> None:
    ledger: Ledger = open_ledger(clock=turned.clock, terms=TERMS, max_bytes=2_000_000)
    for n in range(40):
        ledger.commit([read_now(make_evidence, turned.clock, f"old-{n}")])
    turned.pass_ms(2 * 3600 * 1000)
    n = 0
    while not ledger.usage().shedding:
        ledger.commit([read_now(make_evidence, turned.clock, f"new-{n}")])
        n += 1
    (detail,) = told(ledger, keys, "shed")
    assert detail["counts"].keys() == {"overview"}
    assert all(seq <= 81 for _, seq in shed_numbers([detail]))
    assert 0.75 < ledger.usage().used_bytes / 2_000_000 < 0.82


def test_what_is_shed_leaves_a_chain_that_goes_on(
    open_ledger: Make, make_evidence: Make, state: Path, keys: Any, turned: TurnedClock
) -> None:
    ledger: Ledger = open_ledger(clock=turned.clock, terms=TERMS, max_bytes=1_000_000)
    for n in range(120):
        turned.pass_ms(60_000)
        ledger.commit([read_now(make_evidence, turned.clock, n)])
    opened = [(r.seq, *keys.unseal(r.sealed)) for r in forwarded(ledger)]
    for (seq, signed, inner), (next_seq, _, following) in pairwise(opened):
        if next_seq == seq + 1:
            digest = hashlib.sha256(signed).digest()
            assert following["prev"] == hashlib.sha256(b"anpr-chain-v1" + inner["prev"] + digest).digest()
    check_nothing_is_missing(ledger, state, keys, set())


def test_without_terms_nothing_is_given_up(
    open_ledger: Make, make_evidence: Make, keys: Any, turned: TurnedClock
) -> None:
    ledger: Ledger = open_ledger(clock=turned.clock, max_bytes=700_000)
    for n in range(60):
        ledger.commit([read_now(make_evidence, turned.clock, n)])
    turned.pass_ms(100 * DAY_MS)
    ledger.tend()
    assert told(ledger, keys, "shed") == []
    assert ledger.usage().waiting > 30


# age


def test_what_was_not_sent_within_the_lawful_age_is_erased_with_an_act(
    open_ledger: Make, make_evidence: Make, state: Path, keys: Any, turned: TurnedClock
) -> None:
    ledger: Ledger = open_ledger(clock=turned.clock, terms=TERMS)
    for n in range(300):
        turned.pass_ms(60_000)
        ledger.commit([read_now(make_evidence, turned.clock, n, overview=n % 3 == 0)])
    ledger.commit([Settle(ledger.epoch, (), ((4, "malformed"),))])
    first = ledger.epoch
    ledger.close()
    turned.pass_ms(7 * DAY_MS - 10 * 60_000)
    ledger = open_ledger(clock=turned.clock, terms=TERMS)
    assert ledger.usage().waiting == 401  # nothing is deleted to start
    while ledger.tend().more:
        pass
    details = told(ledger, keys, "shed")
    assert {d["reason"] for d in details} == {"age"}
    kinds = sum((Counter(d["counts"]) for d in details), Counter[str]())
    assert kinds["read"] == 289
    assert len(details) == 2  # 256 records at a time
    assert {epoch for epoch, _ in shed_numbers(details)} == {first}
    assert (first, 4) in shed_numbers(details)  # also what the store had refused
    assert ledger.usage().refused == 0
    check_nothing_is_missing(ledger, state, keys, set())
    assert next(body["act"] for body in bodies(ledger, keys) if "act" in body) == "started"  # no act is erased
    turned.pass_ms(30 * DAY_MS)
    while ledger.tend().more:
        pass
    assert all("act" in body for body in bodies(ledger, keys))
    check_nothing_is_missing(ledger, state, keys, set())


def test_a_tend_that_has_nothing_to_do_writes_nothing(
    open_ledger: Make, make_evidence: Make, turned: TurnedClock
) -> None:
    ledger: Ledger = open_ledger(clock=turned.clock, terms=TERMS)
    ledger.commit([read_now(make_evidence, turned.clock, 1)])
    ledger.tend()
    before = ledger._db.total_changes()
    assert ledger.tend().acts == 0
    assert ledger._db.total_changes() == before


def test_a_wrong_clock_erases_nothing(open_ledger: Make, make_evidence: Make, keys: Any, turned: TurnedClock) -> None:
    """Years ahead, by a step: nobody vouches for it, and nothing is erased until somebody does."""
    ledger: Ledger = open_ledger(clock=turned.clock, terms=TERMS)
    ledger.commit([read_now(make_evidence, turned.clock, n) for n in range(5)])
    turned.state = ClockState.UNSYNCHRONISED
    turned.step_ms(14 * 365 * DAY_MS)
    for _ in range(5):
        turned.pass_ms(10_000)
        ledger.tend()
    assert told(ledger, keys, "shed") == []
    assert ledger.usage().waiting == 12
    turned.step_ms(-14 * 365 * DAY_MS)
    turned.state = ClockState.SYNCHRONISED
    for _ in range(5):
        turned.pass_ms(10_000)
        ledger.tend()
    assert told(ledger, keys, "shed") == []
    assert [d["by_ms"] for d in told(ledger, keys, "clock_step")] == [14 * 365 * DAY_MS, -14 * 365 * DAY_MS]


def test_reads_of_a_boot_with_a_wrong_clock_age_from_when_the_clock_is_believed(
    open_ledger: Make, make_evidence: Make, keys: Any, turned: TurnedClock
) -> None:
    """A node without a battery clock comes up in 2019, is cut off, comes up right: what it took in 2019 is not old."""
    right_ms = turned.utc_ms
    turned.boot(right_ms - 6 * 365 * DAY_MS, ClockState.UNSYNCHRONISED)
    ledger: Ledger = open_ledger(clock=turned.clock, terms=TERMS)
    ledger.commit([read_now(make_evidence, turned.clock, n) for n in range(5)])
    ledger.close()
    turned.boot(right_ms, ClockState.SYNCHRONISED)
    ledger = open_ledger(clock=turned.clock, terms=TERMS)
    ledger.tend()
    assert told(ledger, keys, "shed") == []
    turned.pass_ms(7 * DAY_MS - 1000)
    ledger.tend()
    assert told(ledger, keys, "shed") == []
    turned.pass_ms(2000)
    ledger.tend()
    (detail,) = told(ledger, keys, "shed")
    assert detail["counts"] == {"read": 5, "overview": 5}


# the clock


def test_a_step_is_an_act_that_corrects_the_times_of_its_boot(
    open_ledger: Make, make_evidence: Make, keys: Any, turned: TurnedClock
) -> None:
    turned.boot(10**12, ClockState.UNSYNCHRONISED)
    ledger: Ledger = open_ledger(clock=turned.clock)
    ledger.commit([read_now(make_evidence, turned.clock, 1, overview=False)])
    turned.pass_ms(90_000)
    true_ms = turned.utc_ms - 90_000 + 5 * DAY_MS
    turned.step_ms(5 * DAY_MS)
    turned.state = ClockState.SYNCHRONISED
    ledger.commit([read_now(make_evidence, turned.clock, 2, overview=False)])
    inner = [keys.unseal(r.sealed)[1] for r in forwarded(ledger)]
    assert [i["body"].get("act", "read") for i in inner] == ["started", "read", "clock_step", "read"]
    received, step = inner[1]["received"], inner[2]["body"]["detail"]
    assert received["clock"] == "unsynchronised"
    assert received["boot_id"] == step["boot_id"]
    assert step["to_ms"] - (step["mono_ns"] - received["mono_ns"]) // 10**6 == true_ms
    ledger.close()
    turned.step_ms(-DAY_MS)  # also one that came while the service was down
    ledger = open_ledger(clock=turned.clock)
    assert [d["by_ms"] for d in told(ledger, keys, "clock_step")] == [5 * DAY_MS, -DAY_MS]


def test_a_step_that_did_not_become_durable_is_said_again(
    open_ledger: Make, make_evidence: Make, keys: Any, turned: TurnedClock
) -> None:
    ledger: Ledger = open_ledger(clock=turned.clock, max_bytes=600_000)
    act = Enter("refused", {"counts": {f"cam-{n}": {"vrm_too_long": n} for n in range(1000)}})
    while isinstance(ledger.commit([act])[0], int):
        pass
    turned.step_ms(DAY_MS)
    assert not isinstance(ledger.commit([act])[0], int)
    ledger.commit([Settle(ledger.epoch, ((1, 30),), ())])
    assert [d["by_ms"] for d in told(ledger, keys, "clock_step")] == [DAY_MS]


def test_usage_says_what_an_alarm_needs(open_ledger: Make, make_evidence: Make, turned: TurnedClock) -> None:
    ledger: Ledger = open_ledger(clock=turned.clock, terms=TERMS)
    ledger.commit([read_now(make_evidence, turned.clock, 1)])
    usage: Usage = ledger.usage()
    assert usage.max_age_ms == TERMS.max_age_ms
    assert (usage.shedding, usage.shed, usage.quarantined, usage.unsalvaged, usage.ballast_gone) == ("", 0, 0, 0, False)
