"""The courier against a model of ledger, broker and store, in histories drawn by hypothesis.

Whatever happens in whatever order: nothing is deleted without a receipt, nothing is sent for ever, the order of sending
is kept, and nothing is missing at the store in the end. A history is a random sequence of arrivals, acknowledgements,
refusals, losses of the link, restarts, and receipts that come now, late, again, forged, or for another epoch. Time is
virtual.
"""

from __future__ import annotations

import asyncio
import sys
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from edge.changes import Settle, Tier
from edge.read import Kind, Record
from edge.sign import verifier
from uplink.courier import Courier, Terms
from uplink.transport import Disconnected, Message, NotTaken
from uplink.wire import Address

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "simulation"))
from far_side import sign_receipt
from virtual_time import VirtualLoop, now_s

NODE = "node-a"
KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
FORGER = Ed25519PrivateKey.from_private_bytes(bytes(range(32, 64)))
TERMS = Terms(window_bytes=20_000, backlog_share_percent=30, receipt_timeout_s=10.0, set_aside_s=60.0)
SIZES = {Kind.READ: 1000, Kind.ACT: 500, Kind.OVERVIEW: 4000}
SENT_MOST = 60
"""Of one record in one history: growing waits and single probes bound it; a loop without them would pass this."""
Key = tuple[bytes, int]


@dataclass
class Ledger:
    """What the courier may ask of the ledger; deletes by receipts alone, and remembers what it deleted."""

    records: dict[int, Record] = field(default_factory=dict)
    refused: dict[Key, str] = field(default_factory=dict)
    deleted: set[Key] = field(default_factory=set)
    session: int = 1
    seq: int = 0

    @property
    def epoch(self) -> bytes:
        return self.session.to_bytes(4, "big") + b"epoch---"

    def put(self, kind: Kind) -> None:
        self.seq += 1
        row = self.session << 40 | self.seq
        sealed = row.to_bytes(8, "big") + bytes(SIZES[kind] - 8)
        self.records[row] = Record(row, self.epoch, self.seq, kind, 0, sealed)

    def restart(self) -> None:
        self.session, self.seq = self.session + 1, 0

    async def waiting(self, tier: Tier, after_row: int, until_row: int, limit: int) -> tuple[Record, ...]:
        await asyncio.sleep(0)
        found = (
            r
            for r in self.records.values()
            if after_row < r.row <= until_row
            and (r.epoch, r.seq) not in self.refused
            and (r.kind is Kind.OVERVIEW) is (tier is Tier.OVERVIEW)
        )
        return tuple(sorted(found, key=lambda r: r.row))[:limit]

    async def last_row(self) -> int:
        return self.session << 40 | self.seq

    async def settle(self, settle: Settle) -> int:
        await asyncio.sleep(0)
        of_epoch = [r for r in self.records.values() if r.epoch == settle.epoch]
        gone = [r for r in of_epoch if any(first <= r.seq <= last for first, last in settle.got)]
        for record in gone:
            del self.records[record.row]
            self.deleted.add((record.epoch, record.seq))
        named = dict(settle.refused)
        self.refused |= {(r.epoch, r.seq): named[r.seq] for r in of_epoch if r.seq in named and r not in gone}
        return len(gone)


@dataclass
class Publish:
    record: Record
    done: asyncio.Future[None]
    alone: bool


class Wire:
    """The broker's side: each publish waits until the history says what becomes of it."""

    def __init__(self, ledger: Ledger) -> None:
        self.ledger = ledger
        self.all: dict[bytes, Record] = {}
        self.air: list[Publish] = []
        self.sent: Counter[Key] = Counter()
        self.up = asyncio.Event()
        self.down = asyncio.Event()
        self.poison: set[Key] = set()
        self.at_store: set[Key] = set()
        self.good = False
        self.boundary = 0
        self.on_this: set[int] = set()
        self.calm = True
        self.courier: Courier

    async def publish(self, message: Message) -> None:
        record = self.all[message.payload]
        key = record.epoch, record.seq
        self.sent[key] += 1
        self._in_order(record)
        if message.alone:
            assert not self.air, "whoever goes alone goes alone"
        assert not any(each.alone for each in self.air), "nobody goes beside one that goes alone"
        assert len(self.air) < 16
        assert sum(len(each.record.sealed) for each in self.air) < TERMS.window_bytes
        if key in self.poison:
            await asyncio.sleep(0)
            self.cut(suspect=True)
            raise Disconnected(suspect=True)
        if self.good:
            await asyncio.sleep(0.01)
            self.at_store.add(key)
            asyncio.get_running_loop().create_task(self.vouch(record))
            return
        publish = Publish(record, asyncio.get_running_loop().create_future(), message.alone)
        self.air.append(publish)
        await publish.done

    def _in_order(self, record: Record) -> None:
        """Of the backlog of a connection on which nothing was refused: oldest first, and no overview before a read."""
        if record.row > self.boundary or record.row in self.on_this or not self.calm:
            return
        self.on_this.add(record.row)
        ledger = self.ledger
        older = [
            each
            for each in ledger.records.values()
            if each.row <= self.boundary
            and each.row not in self.on_this
            and (each.epoch, each.seq) not in ledger.refused
        ]
        is_overview = record.kind is Kind.OVERVIEW
        for each in older:
            assert (each.kind is Kind.OVERVIEW) or not is_overview, "an overview went before a read"
            assert (each.kind is Kind.OVERVIEW) is not is_overview or each.row > record.row, "a newer one went first"

    async def vouch(self, record: Record) -> None:
        await asyncio.sleep(0.01)
        await self.courier.receipt(sign_receipt(KEY, NODE, record.epoch, [[record.seq, record.seq]], []))

    def cut(self, *, suspect: bool = False) -> None:
        self.calm = self.calm and not suspect
        self.up.clear()
        self.down.set()
        air, self.air = self.air, []
        for each in air:
            if not each.done.done():
                each.done.set_exception(Disconnected(suspect=suspect))

    def connect(self) -> None:
        if not self.up.is_set():
            self.boundary, self.on_this = self.ledger.session << 40 | self.ledger.seq, set()
        self.down.clear()
        self.up.set()


class Histories(RuleBasedStateMachine):
    """One history: its rules are what may happen."""

    broker_is_enough = False

    @initialize()
    def begin(self) -> None:
        self.loop = VirtualLoop()
        self.strays: list[object] = []
        self.loop.set_exception_handler(lambda _loop, context: self.strays.append(context))
        self.ledger = Ledger()
        self.vouched: set[Key] = set()
        self.late: list[bytes] = []
        self.said: list[bytes] = []
        self.wire: Wire | None = None
        self.known: dict[bytes, Record] = {}
        self.at_store: set[Key] = set()
        self.sent: Counter[Key] = Counter()
        self.poison: set[Key] = set()
        self.do(self._live())

    def do(self, work: object) -> None:
        self.loop.run_until_complete(work)  # type: ignore[arg-type]

    async def _live(self) -> None:
        """A life of the process: a courier with nothing remembered, on the ledger as it lies."""
        self.wire = wire = Wire(self.ledger)
        wire.all, wire.at_store, wire.sent, wire.poison = self.known, self.at_store, self.sent, self.poison
        of_store = verifier(KEY.public_key())
        terms = Terms(**{**_fields(TERMS), "broker_is_enough": self.broker_is_enough})
        courier = Courier(
            self.ledger, wire, Address("op", "site", NODE), {of_store.kid: of_store}, terms, now_s, lambda: 0
        )
        wire.courier = self.courier = courier
        self.running = asyncio.ensure_future(courier.run(wire.up.wait, wire.down.wait))

    async def _pass(self, seconds: float) -> None:
        await asyncio.sleep(seconds)

    # arrivals, and time

    @rule(kinds=st.lists(st.sampled_from([Kind.READ, Kind.READ, Kind.OVERVIEW, Kind.ACT]), min_size=1, max_size=12))
    def records_come(self, kinds: list[Kind]) -> None:
        for kind in kinds:
            self.ledger.put(kind)
        self.known.update({record.sealed: record for record in self.ledger.records.values()})
        self.courier.ring()
        self.do(self._pass(0.01))

    @rule(seconds=st.sampled_from([0.05, 1.0, 11.0, 70.0, 700.0]))
    def time_passes(self, seconds: float) -> None:
        self.do(self._pass(seconds))

    # the link

    @rule()
    def link_comes(self) -> None:
        assert self.wire is not None
        self.wire.connect()
        self.do(self._pass(0.05))

    @rule(suspect=st.booleans())
    def link_goes(self, suspect: bool) -> None:
        assert self.wire is not None
        self.wire.cut(suspect=suspect)
        self.do(self._pass(0.05))

    @precondition(lambda self: self.wire is not None and self.ledger.records and len(self.poison) < 2)
    @rule(which=st.integers(0, 10**6))
    def broker_cannot_stand_one(self, which: int) -> None:
        record = sorted(self.ledger.records.values(), key=lambda r: r.row)[which % len(self.ledger.records)]
        self.poison.add((record.epoch, record.seq))

    # the broker

    def _take(self, which: int) -> Publish | None:
        assert self.wire is not None
        return self.wire.air.pop(which % len(self.wire.air)) if self.wire.air else None

    @rule(which=st.integers(0, 15), stored=st.booleans(), many=st.integers(1, 16))
    def acknowledged(self, which: int, stored: bool, many: int) -> None:
        """A PUBACK; the record may have reached the store, or have got lost behind the broker."""
        for _ in range(many):
            if (publish := self._take(which)) is not None and not publish.done.done():
                if stored:
                    self.at_store.add((publish.record.epoch, publish.record.seq))
                publish.done.set_result(None)
        self.do(self._pass(0.01))

    @rule(which=st.integers(0, 15), code=st.sampled_from([0x10, 0x80, 0x87, 0x95, 0x97]))
    def not_taken(self, which: int, code: int) -> None:
        if (publish := self._take(which)) is not None and not publish.done.done():
            assert self.wire is not None
            self.wire.calm = False  # a kind that is held lets others pass
            publish.done.set_exception(NotTaken(code))
        self.do(self._pass(0.01))

    # receipts

    def _hear(self, receipt: bytes) -> None:
        self.do(self.courier.receipt(receipt))
        self.do(self._pass(0.01))

    @rule(late=st.booleans(), refuse=st.booleans(), wide=st.booleans())
    def store_speaks(self, late: bool, refuse: bool, wide: bool) -> None:
        """Of what it has: one by one or as ranges; at once, or kept for later."""
        for epoch in {epoch for epoch, _ in self.at_store}:
            seqs = sorted(seq for of, seq in self.at_store if of == epoch and (of, seq) not in self.ledger.refused)
            refused = [[seqs.pop(), "malformed"]] if refuse and seqs and (epoch, seqs[-1]) not in self.vouched else []
            self.at_store -= {(epoch, seq) for seq, _ in refused}  # type: ignore[misc]
            got = _ranges(seqs) if wide else [[seq, seq] for seq in seqs]
            receipt = sign_receipt(KEY, NODE, epoch, got, refused)
            self.vouched |= {(epoch, seq) for seq in seqs}
            self.said.append(receipt)
            if late:
                self.late.append(receipt)
            else:
                self._hear(receipt)

    @precondition(lambda self: self.late)
    @rule(which=st.integers(0, 100))
    def a_late_receipt_comes(self, which: int) -> None:
        self._hear(self.late.pop(which % len(self.late)))

    @precondition(lambda self: self.said)
    @rule(which=st.integers(0, 100))
    def a_receipt_is_replayed(self, which: int) -> None:
        self._hear(self.said[which % len(self.said)])

    @rule(how=st.integers(0, 5))
    def a_receipt_is_forged(self, how: int) -> None:
        """For everything there is; each has one thing wrong."""
        before, epoch, everything = dict(self.ledger.records), self.ledger.epoch, [[1, 10_000]]
        genuine = sign_receipt(KEY, NODE, epoch, everything, [])
        forged = [
            sign_receipt(FORGER, NODE, epoch, everything, []),
            sign_receipt(KEY, "node-b", epoch, everything, []),
            sign_receipt(KEY, NODE, epoch, everything, [], "application/anpr-record+cbor"),
            sign_receipt(KEY, NODE, epoch[:4] + b"another-", everything, []),
            genuine[:-1] + bytes([genuine[-1] ^ 1]),
            genuine[: len(genuine) // 2],
        ][how]
        self.do(self.courier.receipt(forged))
        assert self.ledger.records == before

    # the process

    @rule()
    def node_restarts(self) -> None:
        async def end() -> None:
            assert self.wire is not None
            self.running.cancel()
            self.wire.cut()
            await asyncio.gather(self.running, return_exceptions=True)
            self.ledger.restart()
            await self._live()

        self.do(end())

    # what always holds

    @invariant()
    def nothing_fails(self) -> None:
        if hasattr(self, "running"):
            assert not self.running.done(), self.running
            assert not self.strays, self.strays

    @invariant()
    def nothing_is_deleted_without_a_receipt(self) -> None:
        if hasattr(self, "ledger"):
            assert self.ledger.deleted <= self.vouched, "deleted, and the store never said that it has it"

    @invariant()
    def nothing_is_sent_for_ever(self) -> None:
        if hasattr(self, "sent"):
            assert all(times <= SENT_MOST for times in self.sent.values()), self.sent.most_common(1)

    def teardown(self) -> None:
        """The far side becomes sound: everything arrives, and nothing is missing at the store."""
        if not hasattr(self, "running"):
            return
        try:
            self.do(self._heal())
            store = self.at_store | set(self.ledger.refused)
            missing = {(r.epoch, r.seq) for r in self.known.values()} - store
            assert not missing, f"{len(missing)} records are missing at the store"
            assert not [r for r in self.ledger.records.values() if (r.epoch, r.seq) not in self.ledger.refused]
        finally:
            self.do(self._end())
            self.loop.close()

    async def _heal(self) -> None:
        assert self.wire is not None
        self.poison.clear()
        self.wire.good = True
        self.wire.cut()
        await asyncio.sleep(1)
        self.wire.connect()
        end_s = now_s() + 10_000
        while any((r.epoch, r.seq) not in self.ledger.refused for r in self.ledger.records.values()):
            assert now_s() < end_s, "it never empties"
            await asyncio.sleep(5)

    async def _end(self) -> None:
        assert self.wire is not None
        self.running.cancel()
        self.wire.cut()
        await asyncio.gather(self.running, return_exceptions=True)


def _fields(terms: Terms) -> dict[str, object]:
    return {name: getattr(terms, name) for name in Terms.__slots__}  # type: ignore[attr-defined]


def _ranges(seqs: list[int]) -> list[list[int]]:
    found: list[list[int]] = []
    for seq in seqs:
        if found and found[-1][1] == seq - 1:
            found[-1][1] = seq
        else:
            found.append([seq, seq])
    return found


class OnTheBrokersWord(Histories):
    """The control: acknowledged is taken for delivered."""

    broker_is_enough = True


_HOW = {
    "deadline": None,
    "derandomize": True,
    "suppress_health_check": list(HealthCheck),
    "print_blob": False,
    "report_multiple_bugs": False,
}


def test_in_whatever_order_things_happen() -> None:
    run_state_machine_as_test(Histories, settings=settings(max_examples=60, stateful_step_count=40, **_HOW))


@pytest.mark.slow
def test_in_ten_thousand_histories() -> None:
    """The goal U4 of the design: 10,000 sequences."""
    run_state_machine_as_test(Histories, settings=settings(max_examples=10_000, stateful_step_count=30, **_HOW))


def test_a_courier_that_believes_the_broker_is_found_out() -> None:
    once = settings(max_examples=200, stateful_step_count=30, phases=[Phase.generate], **_HOW)
    with pytest.raises(AssertionError, match=r"never said that it has it|missing at the store"):
        run_state_machine_as_test(OnTheBrokersWord, settings=once)
