"""The courier on a working fake of the ledger's shelf and of the transport, in virtual time."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from edge.changes import Settle, Tier
from edge.read import Kind, Record
from edge.sign import verifier
from uplink.courier import Courier, Terms
from uplink.hours import OffPeak, hours
from uplink.transport import Disconnected, Message, NotTaken
from uplink.wire import Address

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "simulation"))
from far_side import sign_receipt
from virtual_time import now_s, run_virtual, until

NODE = "node-a"
OLD, EPOCH = b"\0\0\0\1before--", b"\0\0\0\2now-----"
KEY = Ed25519PrivateKey.generate()
TERMS = Terms(window_bytes=10_000, backlog_share_percent=30, receipt_timeout_s=10.0)
SIZE = 1000


class Shelf:
    """The ledger as the courier sees it: rows in order, settled by epoch and seq."""

    def __init__(self) -> None:
        self.records: dict[int, Record] = {}
        self.refused: dict[int, str] = {}
        self._last = 0

    def put(self, count: int, *, kind: Kind = Kind.READ, size: int = SIZE, epoch: bytes = EPOCH) -> None:
        for _ in range(count):
            self._last += 1
            self.records[self._last] = Record(self._last, epoch, self._last, kind, 0, bytes(size))

    async def waiting(self, tier: Tier, after_row: int, until_row: int, limit: int) -> tuple[Record, ...]:
        await asyncio.sleep(0)
        found = [r for r in self.records.values() if after_row < r.row <= until_row and r.row not in self.refused]
        return tuple(r for r in found if (r.kind is Kind.OVERVIEW) == (tier is Tier.OVERVIEW))[:limit]

    async def last_row(self) -> int:
        return self._last

    async def settle(self, settle: Settle) -> int:
        await asyncio.sleep(0)
        ours = [r for r in self.records.values() if r.epoch == settle.epoch]
        gone = [r.row for r in ours if any(first <= r.seq <= last for first, last in settle.got)]
        for row in gone:
            del self.records[row]
        self.refused |= {r.row: code for r in ours for seq, code in settle.refused if r.seq == seq}
        return len(gone)


class Line:
    """A transport whose acknowledgements the test gives: `acknowledge` decides for each message when it is sent."""

    def __init__(self, shelf: Shelf) -> None:
        self._shelf = shelf
        self.sent: list[tuple[float, Record]] = []
        self.pending: list[tuple[Record, asyncio.Future[None]]] = []
        self.most_pending_bytes = 0
        self.acknowledge: Callable[[Record], Awaitable[None]] | None = None
        self.up = asyncio.Event()
        self.down = asyncio.Event()
        self.courier: Courier

    async def publish(self, message: Message) -> None:
        record = next(r for r in self._all.values() if r.sealed is message.payload)
        self.sent.append((now_s(), record))
        if self.acknowledge is not None:
            return await self.acknowledge(record)
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.pending.append((record, done))
        self.most_pending_bytes = max(self.most_pending_bytes, sum(len(r.sealed) for r, _ in self.pending))
        await done
        return None

    @property
    def _all(self) -> dict[int, Record]:
        self._known = getattr(self, "_known", {}) | self._shelf.records
        return self._known

    def puback(self) -> Record:
        record, done = self.pending.pop(0)
        done.set_result(None)
        return record

    def connect(self) -> None:
        self.down.clear()
        self.up.set()

    def cut(self) -> None:
        self.up.clear()
        self.down.set()
        for _, done in self.pending:
            done.set_exception(Disconnected())
        self.pending.clear()

    def rows(self) -> list[int]:
        return [record.row for _, record in self.sent]

    async def receipt(self, got: list[list[int]], refused: list[list[object]], epoch: bytes = EPOCH) -> None:
        await self.courier.receipt(sign_receipt(KEY, NODE, epoch, got, refused))

    async def vouch(self, record: Record) -> None:
        """Acknowledge, and receipt a moment later."""
        await asyncio.sleep(0.01)
        asyncio.get_running_loop().create_task(self.receipt([[record.seq, record.seq]], [], record.epoch))


def courier_test(story: Callable[[Shelf, Line, Courier], Awaitable[None]], terms: Terms = TERMS) -> None:
    async def main() -> None:
        shelf = Shelf()
        line = Line(shelf)
        of_store = verifier(KEY.public_key())
        address = Address("op", "site", NODE)
        began_s = now_s()
        line.courier = Courier(
            shelf, line, address, {of_store.kid: of_store}, terms, now_s, lambda: int((now_s() - began_s) * 1000)
        )
        running = asyncio.ensure_future(line.courier.run(line.up.wait, line.down.wait))
        await story(shelf, line, line.courier)
        assert not running.done()
        running.cancel()
        line.cut()
        await asyncio.gather(running, return_exceptions=True)

    run_virtual(main())


def test_the_window_is_held_in_bytes() -> None:
    async def story(shelf: Shelf, line: Line, _courier: Courier) -> None:
        shelf.put(40)
        line.connect()
        await asyncio.sleep(1)
        assert len(line.pending) == 10
        while line.pending:
            line.puback()
            await asyncio.sleep(0.1)
        assert line.rows() == list(range(1, 41))
        assert line.most_pending_bytes == 10_000

    courier_test(story)


def test_what_waits_for_receipts_is_bounded_too() -> None:
    async def story(shelf: Shelf, line: Line, _courier: Courier) -> None:
        shelf.put(200)
        line.connect()
        await asyncio.sleep(1)
        while line.pending:
            line.puback()
            await asyncio.sleep(0.01)
        assert len(line.sent) == 80  # eight windows

    courier_test(story, replace(TERMS, receipt_timeout_s=600.0))


def test_where_the_store_lost_all_that_was_in_flight_it_is_sent_again() -> None:
    """The bound on what waits for receipts must not keep the re-sending back that alone can empty it."""

    async def story(shelf: Shelf, line: Line, _courier: Courier) -> None:
        async def lose(_record: Record) -> None:
            return None

        shelf.put(200)
        line.acknowledge = lose
        line.connect()
        await asyncio.sleep(5)
        assert len(line.sent) == 80
        line.acknowledge = line.vouch
        await until(lambda: not shelf.records, 60)

    courier_test(story)


def test_live_goes_first_and_both_move() -> None:
    async def story(shelf: Shelf, line: Line, courier: Courier) -> None:
        shelf.put(400)
        line.connect()
        await asyncio.sleep(0.1)
        under_way = len(line.sent)
        shelf.put(400)
        courier.ring()
        while len(line.sent) < 300:
            line.puback()
            await asyncio.sleep(0.01)
        later = line.rows()[under_way:]
        live = sum(row > 400 for row in later)
        assert 0.65 < live / len(later) < 0.75
        assert later[0] > 400

    courier_test(story, replace(TERMS, receipt_timeout_s=600.0, window_bytes=50_000))


def test_hours_of_live_alone_leave_live_first_at_the_next_connection() -> None:
    async def story(shelf: Shelf, line: Line, courier: Courier) -> None:
        line.acknowledge = line.vouch
        line.connect()
        await asyncio.sleep(1)
        for _ in range(500):
            shelf.put(1)
            courier.ring()
            await asyncio.sleep(1)
        assert not shelf.records
        line.cut()
        shelf.put(200)
        await asyncio.sleep(1)
        line.acknowledge = None
        before = len(line.sent)
        line.connect()
        await until(lambda: line.pending)
        shelf.put(200)
        courier.ring()
        while len(line.sent) < before + 40:
            line.puback()
            await asyncio.sleep(0.01)
        assert sum(row > 700 for row in line.rows()[before:]) > 20

    courier_test(story)


def test_what_is_in_flight_does_not_hide_what_lies_behind_it() -> None:
    """When live is divided anew, the first waiting rows are all in flight; those after them must still be found."""

    async def story(shelf: Shelf, line: Line, courier: Courier) -> None:
        async def lose(_record: Record) -> None:
            return None

        line.acknowledge = lose
        line.connect()
        await asyncio.sleep(1)
        shelf.put(100)
        courier.ring()
        await asyncio.sleep(100)
        assert sorted(set(line.rows())) == list(range(1, 81))
        await line.receipt([[41, 80]], [])
        await asyncio.sleep(1)
        assert set(line.rows()) == set(range(1, 101))

    courier_test(story, replace(TERMS, receipt_timeout_s=600.0))


def test_the_newest_go_first_again_when_live_has_grown_a_backlog() -> None:
    """A link slower than the traffic: a new read must not wait behind an hour of older ones."""

    async def story(shelf: Shelf, line: Line, courier: Courier) -> None:
        line.acknowledge = line.vouch
        line.connect()
        for _ in range(600):  # 2 kB a second come, 1 kB a second goes
            shelf.put(2)
            courier.ring()
            await asyncio.sleep(1)
        began = line.sent[0][0]
        ages = [at_s - began - (record.row - 1) // 2 for at_s, record in line.sent if at_s - began > 480]
        assert len(ages) > 100
        assert min(ages) < 5

    courier_test(story, replace(TERMS, rate_bytes_per_s=1000))


def test_reads_go_before_overviews() -> None:
    async def story(shelf: Shelf, line: Line, _courier: Courier) -> None:
        for _ in range(5):
            shelf.put(1)
            shelf.put(1, kind=Kind.OVERVIEW, size=5000)
        line.connect()
        await asyncio.sleep(0.1)
        while line.pending:
            line.puback()
            await asyncio.sleep(0.01)
        assert line.rows() == [1, 3, 5, 7, 9, 2, 4, 6, 8, 10]

    courier_test(story)


def test_without_a_receipt_it_is_sent_again_with_growing_delays() -> None:
    async def story(shelf: Shelf, line: Line, courier: Courier) -> None:
        async def lose(_record: Record) -> None:
            return None

        line.acknowledge = lose
        shelf.put(1)
        line.connect()
        await asyncio.sleep(3000)
        times = [at_s for at_s, _ in line.sent]
        gaps = [round(after - before) for before, after in pairwise(times)]
        assert gaps == [10, 20, 40, 80, 160, 320, 600, 600, 600]
        assert len({record.sealed for _, record in line.sent}) == 1
        assert courier.counts["resent"] == len(gaps)
        assert shelf.records  # a time-out counts as nothing

    courier_test(story)


def test_what_the_store_refuses_does_not_hold_back_its_neighbours() -> None:
    async def story(shelf: Shelf, line: Line, courier: Courier) -> None:
        async def refuse_odd(record: Record) -> None:
            if record.seq % 2:
                await line.receipt([], [[record.seq, "malformed"]])
            else:
                await line.receipt([[record.seq, record.seq]], [])

        line.acknowledge = refuse_odd
        shelf.put(30)
        line.connect()
        await asyncio.sleep(100)
        assert set(shelf.records) == set(shelf.refused) == set(range(1, 31, 2))
        assert len(line.sent) == 30
        assert courier.counts["refused_by_store"] == 15

    courier_test(story)


def test_what_the_broker_does_not_take_is_kept_and_tried_again() -> None:
    async def story(shelf: Shelf, line: Line, courier: Courier) -> None:
        async def deny_third(record: Record) -> None:
            if record.seq == 3 and now_s() - began < 100:
                raise NotTaken(135)
            await line.vouch(record)

        began = now_s()
        line.acknowledge = deny_third
        shelf.put(30)
        line.connect()
        await asyncio.sleep(50)
        assert set(shelf.records) == {3}
        assert courier.last_not_taken == 135
        await until(lambda: not shelf.records, 100)
        assert 2 <= courier.counts["not_taken"] <= 7

    courier_test(story)


def test_the_rate_is_kept() -> None:
    async def story(shelf: Shelf, line: Line, _courier: Courier) -> None:
        line.acknowledge = line.vouch
        shelf.put(300)
        line.connect()
        began = now_s()
        await asyncio.sleep(60)
        sent_bytes = sum(len(record.sealed) for at_s, record in line.sent if at_s - began <= 60)
        assert 0.9 * 120_000 < sent_bytes < 1.1 * 120_000

    courier_test(story, replace(TERMS, rate_bytes_per_s=2000))


def test_sending_again_is_inside_the_rate() -> None:
    async def story(shelf: Shelf, line: Line, _courier: Courier) -> None:
        async def lose(_record: Record) -> None:
            return None

        line.acknowledge = lose
        shelf.put(100)
        line.connect()
        began = now_s()
        await asyncio.sleep(100)
        sent_bytes = sum(len(record.sealed) for at_s, record in line.sent if at_s - began <= 100)
        assert sent_bytes < 1.1 * 200_000

    courier_test(story, replace(TERMS, rate_bytes_per_s=2000, receipt_timeout_s=1.0, window_bytes=100_000))


def test_an_idle_courier_with_a_rate_asks_nothing() -> None:
    async def story(shelf: Shelf, line: Line, courier: Courier) -> None:
        asked = 0
        waiting = shelf.waiting

        async def counted(tier: Tier, after_row: int, until_row: int, limit: int) -> tuple[Record, ...]:
            nonlocal asked
            asked += 1
            return await waiting(tier, after_row, until_row, limit)

        shelf.waiting = counted  # type: ignore[method-assign]
        line.acknowledge = line.vouch
        shelf.put(3)
        line.connect()
        await asyncio.sleep(600)
        assert not shelf.records
        assert asked < 100

    courier_test(story, replace(TERMS, rate_bytes_per_s=2000))


def test_a_forged_receipt_changes_nothing() -> None:
    async def story(shelf: Shelf, line: Line, courier: Courier) -> None:
        shelf.put(5)
        line.connect()
        await asyncio.sleep(1)
        everything = [[1, 5]]
        genuine = sign_receipt(KEY, NODE, EPOCH, everything, [])
        forged = [
            sign_receipt(Ed25519PrivateKey.generate(), NODE, EPOCH, everything, []),
            sign_receipt(KEY, "node-b", EPOCH, everything, []),
            sign_receipt(KEY, NODE, EPOCH, everything, [], "application/anpr-checkpoint+cbor"),
            sign_receipt(KEY, NODE, EPOCH, [[0, 5]], []),
            sign_receipt(KEY, NODE, EPOCH, [[5, 1]], []),
            sign_receipt(KEY, NODE, EPOCH, [[1, 2, 3]], []),
            genuine[:-1],
            genuine + b"\0",
            *(genuine[:i] + bytes([genuine[i] ^ 1]) + genuine[i + 1 :] for i in range(len(genuine))),
        ]
        for message in forged:
            await courier.receipt(message)
        assert len(shelf.records) == 5
        assert courier.counts["bad_receipts"] == len(forged)
        assert courier.last_receipt_s is None
        await courier.receipt(genuine)
        assert not shelf.records

    courier_test(story)


def test_a_new_connection_begins_anew() -> None:
    async def story(shelf: Shelf, line: Line, courier: Courier) -> None:
        shelf.put(6)
        line.connect()
        await asyncio.sleep(1)
        line.puback()
        await asyncio.sleep(1)
        assert line.rows() == [1, 2, 3, 4, 5, 6]
        line.cut()
        await asyncio.sleep(1)
        line.acknowledge = line.vouch
        line.connect()
        await until(lambda: not shelf.records, 5)
        assert line.rows()[6:] == [1, 2, 3, 4, 5, 6]
        assert courier.counts["resent"] == 0

    courier_test(story)


def test_a_receipt_for_an_older_epoch_is_taken() -> None:
    async def story(shelf: Shelf, line: Line, _courier: Courier) -> None:
        shelf.put(3, epoch=OLD)
        shelf.put(3)
        line.connect()
        await asyncio.sleep(1)
        await line.receipt([[1, 6]], [], OLD)
        assert set(shelf.records) == {4, 5, 6}
        await line.receipt([[1, 6]], [])
        assert not shelf.records

    courier_test(story)


def test_the_brokers_word_is_enough_only_where_it_is_agreed() -> None:
    async def story(shelf: Shelf, line: Line, _courier: Courier) -> None:
        async def take(_record: Record) -> None:
            return None

        line.acknowledge = take
        shelf.put(5)
        line.connect()
        await asyncio.sleep(1)
        left.append(len(shelf.records))

    left: list[int] = []
    courier_test(story)
    courier_test(story, replace(TERMS, broker_is_enough=True))
    assert left == [5, 0]


# the hours of a metered line; the wall clock of these tests begins at midnight


def test_overviews_wait_for_the_cheap_hours_and_then_all_go() -> None:
    async def story(shelf: Shelf, line: Line, courier: Courier) -> None:
        line.acknowledge = line.vouch
        line.connect()
        for _ in range(60):
            shelf.put(1)
            shelf.put(1, kind=Kind.OVERVIEW, size=5000)
            courier.ring()
            await asyncio.sleep(120)
        assert {record.kind for record in shelf.records.values()} == {Kind.OVERVIEW}
        assert len(shelf.records) == 60
        await asyncio.sleep(3 * 3600 - 60 * 120 - 60)
        assert len(shelf.records) == 60
        await until(lambda: not shelf.records, 180)
        assert len(line.sent) == 120

    cheap = OffPeak(hours("03:00-05:00", "UTC"), overviews_wait=True)
    courier_test(story, replace(TERMS, off_peak=cheap))


def test_an_overview_that_is_on_its_way_when_the_hours_end_is_still_settled() -> None:
    async def story(shelf: Shelf, line: Line, _courier: Courier) -> None:
        shelf.put(3, kind=Kind.OVERVIEW)
        await asyncio.sleep(3600 - 1)
        line.connect()
        await asyncio.sleep(0.5)
        assert len(line.pending) == 3
        await asyncio.sleep(60)
        while line.pending:
            line.puback()
        await line.receipt([[1, 3]], [])
        assert not shelf.records

    cheap = OffPeak(hours("00:00-01:00", "UTC"), overviews_wait=True)
    courier_test(story, replace(TERMS, off_peak=cheap))


def test_the_cheap_hours_have_a_rate_of_their_own() -> None:
    async def story(shelf: Shelf, line: Line, _courier: Courier) -> None:
        line.acknowledge = line.vouch
        shelf.put(1200, size=20_000)
        line.connect()
        began = now_s()
        await asyncio.sleep(7200)
        by_hour = [sum(20_000 for at_s, _ in line.sent if hour <= (at_s - began) // 3600 < hour + 1) for hour in (0, 1)]
        assert 0.9 < by_hour[0] / (3600 * 1000) < 1.1
        assert 0.9 < by_hour[1] / (3600 * 4000) < 1.1

    courier_test(story, replace(TERMS, rate_bytes_per_s=1000, off_peak=OffPeak(hours("01:00-05:00", "UTC"), 4000)))


# refusals and hang-ups


@pytest.mark.parametrize("code", [0x10, 0x87, 0x90, 0x97])
def test_where_nothing_of_a_kind_is_taken_little_is_sent_in_vain(code: int) -> None:
    """A day in front of closed rules must not cost a day's traffic; and minutes after they open all is through."""

    async def story(shelf: Shelf, line: Line, courier: Courier) -> None:
        async def closed(_record: Record) -> None:
            raise NotTaken(code)

        line.acknowledge = closed
        shelf.put(500)
        line.connect()
        await asyncio.sleep(86_400)
        assert 100 < len(line.sent) < 200
        line.acknowledge = line.vouch
        await until(lambda: not shelf.records, 700)

    courier_test(story)


def test_a_kind_that_is_closed_holds_no_other_back() -> None:
    async def story(shelf: Shelf, line: Line, _courier: Courier) -> None:
        async def no_overviews(record: Record) -> None:
            if record.kind is Kind.OVERVIEW:
                raise NotTaken(0x87)
            await line.vouch(record)

        line.acknowledge = no_overviews
        shelf.put(50, kind=Kind.OVERVIEW)
        shelf.put(50)
        line.connect()
        await asyncio.sleep(30)
        assert {record.kind for record in shelf.records.values()} == {Kind.OVERVIEW}

    courier_test(story)


def test_a_line_that_is_cut_again_and_again_sets_nothing_aside() -> None:
    """Cuts by the network come with no word of the broker's and late: nobody is blamed for silence."""

    async def story(shelf: Shelf, line: Line, courier: Courier) -> None:
        shelf.put(5)
        for _ in range(20):
            line.connect()
            await asyncio.sleep(1)
            line.cut()
            await asyncio.sleep(1)
        assert courier.set_aside == 0
        line.acknowledge = line.vouch
        line.connect()
        await until(lambda: not shelf.records, 5)

    courier_test(story)


def test_whoever_waits_for_a_settlement_is_woken_by_it() -> None:
    async def story(shelf: Shelf, line: Line, courier: Courier) -> None:
        shelf.put(2)
        line.connect()
        await asyncio.sleep(1)
        settled = courier.settlement()
        waiting = asyncio.ensure_future(settled.wait())
        await courier.receipt(b"forged")
        await asyncio.sleep(1)
        assert not waiting.done()
        await line.receipt([[1, 1]], [])
        await asyncio.wait_for(waiting, 1)
        assert not courier.settlement().is_set()

    courier_test(story)
