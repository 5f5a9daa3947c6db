"""The ledger's thread: one transaction for what comes together, and an end that everybody hears of."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import apsw
import pytest

from edge import worker
from edge.changes import Accept, Enter, Settle
from edge.claim import Outcome
from edge.errors import StorageFailed, Unavailable
from edge.keeping import Tended
from edge.ledger import Ledger
from edge.schema import FILE
from edge.worker import LedgerThread

Make = Callable[..., Any]
MakeThread = Callable[[Callable[[], Ledger], float, int], LedgerThread]
WITHIN_S = 10.0


@pytest.fixture
def make_thread() -> Iterator[MakeThread]:
    """Makes ledger threads, and ends them after the test: one left by a failed test would keep the process alive."""
    made: list[LedgerThread] = []

    def make(open_ledger: Callable[[], Ledger], group_s: float, group_count: int) -> LedgerThread:
        made.append(LedgerThread(open_ledger, group_s, group_count))
        return made[-1]

    yield make
    for thread in made:
        thread._queue.put(None)
        thread._thread.join(WITHIN_S)


def count_commits(ledger: Ledger) -> list[int]:
    """A list that grows by one at each transaction that SQLite commits."""
    commits: list[int] = []

    def hook() -> bool:
        commits.append(1)
        return False

    ledger._db.set_commit_hook(hook)
    return commits


def test_changes_that_come_together_are_one_transaction(
    make_thread: MakeThread, open_ledger: Make, make_evidence: Make
) -> None:
    async def run() -> None:
        thread = make_thread(open_ledger, 0.2, 8)
        await thread.start()
        commits = await thread.ask(count_commits)
        outcomes = await asyncio.gather(*(thread.commit(Accept(make_evidence(n))) for n in range(8)))
        assert outcomes == [Outcome.STORED] * 8
        assert len(commits) == 1
        outcomes = await asyncio.gather(*(thread.commit(Accept(make_evidence(n))) for n in range(20, 36)))
        assert outcomes == [Outcome.STORED] * 16
        assert len(commits) == 3
        await thread.stop()

    asyncio.run(run())


def test_a_change_alone_waits_no_longer_than_its_groups_time(
    make_thread: MakeThread, open_ledger: Make, make_evidence: Make
) -> None:
    async def run() -> None:
        thread = make_thread(open_ledger, 0.05, 1000)
        await thread.start()
        for n in range(3):
            done = thread.commit(Accept(make_evidence(n)))
            assert await asyncio.wait_for(done, WITHIN_S) is Outcome.STORED
        await thread.stop()

    asyncio.run(run())


def test_an_outcome_is_told_only_after_its_commit(
    make_thread: MakeThread, open_ledger: Make, make_evidence: Make
) -> None:
    async def run() -> None:
        thread = make_thread(open_ledger, 0.0, 1)
        await thread.start()
        for n in range(20):
            assert await thread.commit(Accept(make_evidence(n, overview=False))) is Outcome.STORED
            # seen by another connection, so committed
            assert await asyncio.to_thread(waiting_elsewhere, await thread.ask(lambda ledger: ledger)) == n + 2
        await thread.stop()

    def waiting_elsewhere(ledger: Ledger) -> int:
        other = apsw.Connection(ledger._db.filename, flags=apsw.SQLITE_OPEN_READONLY)
        try:
            return int(other.execute("SELECT waiting FROM totals").get)
        finally:
            other.close()

    asyncio.run(run())


def test_each_change_of_a_group_has_its_own_result(
    make_thread: MakeThread, open_ledger: Make, make_evidence: Make
) -> None:
    async def run() -> None:
        thread = make_thread(open_ledger, 0.2, 5)
        ledger = await thread.start()
        results = await asyncio.gather(
            thread.commit(Accept(make_evidence(1, overview=False))),
            thread.commit(Accept(make_evidence(1, overview=False))),
            thread.commit(Enter("refused", {"counts": {}})),
            thread.commit(Settle(ledger.epoch, ((1, 1),), ())),
            thread.commit(Settle(bytes(12), ((1, 1),), ())),
        )
        assert results == [Outcome.STORED, Outcome.REPEATED, 3, 1, 0]
        await thread.stop()

    asyncio.run(run())


def test_a_full_ledger_raises_for_reads_alone(make_thread: MakeThread, open_ledger: Make, make_evidence: Make) -> None:
    async def run() -> None:
        thread = make_thread(lambda: open_ledger(max_bytes=200_000), 0.05, 3)
        ledger = await thread.start()
        filled = await asyncio.gather(
            *(thread.commit(Accept(make_evidence(n))) for n in range(150)), return_exceptions=True
        )
        assert {type(result) for result in filled} == {Outcome, Unavailable}
        assert isinstance(filled[-1], Unavailable)
        results = await asyncio.gather(
            thread.commit(Accept(make_evidence("late"))),
            thread.commit(Settle(ledger.epoch, ((1, 5),), ())),
            thread.commit(Enter("refused", {"counts": {}})),
            return_exceptions=True,
        )
        assert isinstance(results[0], Unavailable)
        assert results[1] == 5
        assert isinstance(results[2], int)
        assert not thread.failed.done()
        await thread.stop()

    asyncio.run(run())


def test_a_question_between_changes_is_answered_in_its_turn(
    make_thread: MakeThread, open_ledger: Make, make_evidence: Make
) -> None:
    async def run() -> None:
        thread = make_thread(open_ledger, 0.2, 100)
        await thread.start()
        before, usage, after = await asyncio.gather(
            thread.commit(Accept(make_evidence(1, overview=False))),
            thread.ask(lambda ledger: ledger.usage()),
            thread.commit(Accept(make_evidence(2, overview=False))),
        )
        assert before is after is Outcome.STORED
        assert usage.waiting == 2
        await thread.stop()

    asyncio.run(run())


def test_what_is_queued_is_stored_before_it_stops(
    make_thread: MakeThread, open_ledger: Make, make_evidence: Make
) -> None:
    async def run() -> None:
        thread = make_thread(open_ledger, 5.0, 1000)
        await thread.start()
        commits = [asyncio.create_task(thread.commit(Accept(make_evidence(n)))) for n in range(5)]
        await asyncio.sleep(0)  # each has put its change into the queue
        await asyncio.wait_for(thread.stop(), WITHIN_S)
        assert await asyncio.gather(*commits) == [Outcome.STORED] * 5
        assert not thread.failed.done()

    asyncio.run(run())
    assert "ledger" not in [thread.name for thread in threading.enumerate()]
    assert open_ledger().usage().waiting == 1 + 10 + 1


# failure


def test_a_ledger_that_does_not_open_fails_the_start(make_thread: MakeThread) -> None:
    def broken() -> Ledger:
        raise StorageFailed("no disk")

    async def run() -> None:
        thread = make_thread(broken, 0.0, 1)
        with pytest.raises(StorageFailed, match="no disk"):
            await asyncio.wait_for(thread.start(), WITHIN_S)
        await asyncio.wait_for(thread.stop(), WITHIN_S)

    asyncio.run(run())


def test_a_ledger_that_breaks_ends_failed_and_everybody_who_waits(
    make_thread: MakeThread, open_ledger: Make, make_evidence: Make
) -> None:
    async def run() -> None:
        thread = make_thread(open_ledger, 0.1, 4)
        await thread.start()
        await thread.ask(lambda ledger: ledger._db.close())
        results = await asyncio.wait_for(
            asyncio.gather(
                *(thread.commit(Accept(make_evidence(n))) for n in range(10)),
                thread.ask(lambda ledger: ledger.usage()),
                return_exceptions=True,
            ),
            WITHIN_S,
        )
        assert {type(result) for result in results} == {StorageFailed}
        assert isinstance(thread.failed.exception(), StorageFailed)
        # later, too: nobody waits for a thread that has ended
        with pytest.raises(StorageFailed):
            await asyncio.wait_for(thread.commit(Enter("stopped", {})), WITHIN_S)
        with pytest.raises(StorageFailed):
            await asyncio.wait_for(thread.ask(lambda ledger: ledger.usage()), WITHIN_S)
        await asyncio.wait_for(thread.stop(), WITHIN_S)

    asyncio.run(run())
    assert "ledger" not in [thread.name for thread in threading.enumerate()]


def test_a_question_that_raises_ends_failed(make_thread: MakeThread, open_ledger: Make) -> None:
    def question(_: Ledger) -> None:
        raise StorageFailed("the disk went")

    async def run() -> None:
        thread = make_thread(open_ledger, 0.0, 1)
        await thread.start()
        with pytest.raises(StorageFailed, match="the disk went"):
            await asyncio.wait_for(thread.ask(question), WITHIN_S)
        await asyncio.wait([thread.failed], timeout=WITHIN_S)
        assert isinstance(thread.failed.exception(), StorageFailed)
        await thread.stop()

    asyncio.run(run())


def test_quiet_moments_are_used_and_said(
    make_thread: MakeThread, open_ledger: Make, make_evidence: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A ruined ledger is put back between changes, and the loop hears of it."""
    monkeypatch.setattr(worker, "TEND_S", 0.01)
    monkeypatch.setattr(worker, "TEND_MORE_S", 0.0)
    before: Ledger = open_ledger()
    before.commit([Accept(make_evidence(f"old-{n}")) for n in range(50)])
    before.close()
    with (tmp_path / "state" / FILE).open("r+b") as file:
        file.write(bytes(4096))

    async def run() -> None:
        thread, heard = make_thread(open_ledger, 0.0, 4), asyncio.Event()
        put_back: list[int] = []

        def tended(done: Tended) -> None:
            put_back.append(done.put_back)
            if sum(put_back) == 101:
                heard.set()

        thread.tended = tended
        await thread.start()
        for n in range(30):
            assert await thread.commit(Accept(make_evidence(n))) is Outcome.STORED
        await asyncio.wait_for(heard.wait(), WITHIN_S)
        assert (await thread.ask(Ledger.usage)).waiting >= 101 + 61
        await thread.stop()

    asyncio.run(run())


def test_a_thread_that_is_never_quiet_tends_all_the_same(
    make_thread: MakeThread, open_ledger: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker, "TEND_S", 0.001)
    monkeypatch.setattr(worker, "TEND_LATE_S", 0.0)

    async def run() -> None:
        thread, tends = make_thread(open_ledger, 0.0, 1), list[int]()
        await thread.start()

        def counted(ledger: Ledger) -> None:
            tend = ledger.tend

            def count() -> Tended:
                tends.append(1)
                return tend()

            ledger.tend = count  # type: ignore[method-assign]

        await thread.ask(counted)
        asked = [asyncio.ensure_future(thread.ask(Ledger.ping)) for _ in range(2000)]
        await asyncio.gather(*asked)
        await thread.stop()
        assert len(tends) >= 2

    asyncio.run(run())
