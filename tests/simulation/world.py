"""A camera, a node that is killed now and then, a broker with weather, a store: and what must hold at every instant.

(a) nothing told "stored" is ever missing; (b) nothing is delivered that was not accepted; (c) the chain verifies over
what store and ledger hold together; (d) nothing leaves the ledger unless a genuine receipt has named it.
"""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from pathlib import Path

import apsw
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from far_side import Link, Opened, Store, Weather
from node import NODE, Build, Node
from virtual_time import until

from edge.claim import Outcome, RawImage, RawRead, Role, Verdict
from edge.schema import FILE

OVERVIEW = RawImage(Role.OVERVIEW, b"\xff\xd8" + bytes(range(256)) * 8 + b"\xff\xd9")
_WAITING, _REFUSED = 0, 1


class Broken(AssertionError):
    """A property does not hold."""


def raw_read(number: int, overview: bool) -> RawRead:
    return RawRead(
        dialect="generic",
        dialect_version=1,
        camera_identity=None,
        vendor_id=f"p{number}",
        plate_heard=f"TEST{number}",
        confidence=90,
        country=None,
        direction=None,
        lane=None,
        time=None,
        time_heard=None,
        images=(OVERVIEW,) if overview else (),
    )


class World:
    """All of it. `play` runs one history; `check` is made after every commit, arrival and restart."""

    def __init__(self, folder: Path, rng: random.Random, build: Build, receipts_needed: bool = True) -> None:
        self._folder = folder
        self._rng = rng
        self._build = build
        self._receipts_needed = receipts_needed
        self._key = Ed25519PrivateKey.generate()
        self.store = Store(NODE, self._key.public_key())
        self.link = Link(self.store, rng, Weather())
        self.link.after_store = self.check
        self._opened: dict[int, Opened] = {}
        self._present: dict[int, int] = {}
        self._reader: apsw.Connection | None = None
        self._lives = 0
        self.passages = 0
        self.offered: set[str] = set()
        self.told: set[str] = set()
        self.later = 0
        self._in_hand: set[asyncio.Task[None]] = set()
        self.kills = 0
        self.node: Node | None = None

    # the node's lives

    def start(self) -> None:
        self._lives += 1
        state = self._state()
        self.node = Node(state, self._key, self.store, self.link, self._build, self._rng, self.check)
        self._reader = apsw.Connection(str(state / FILE), flags=apsw.SQLITE_OPEN_READONLY)
        self.check()

    def _state(self) -> Path:
        return self._folder / f"life-{self._lives}"

    async def kill(self) -> None:
        if self.node is None:
            return
        node, self.node = self.node, None
        self.kills += 1
        self.link.cut()
        assert self._reader is not None
        self._reader.close()
        await node.kill(self._folder / f"life-{self._lives + 1}")
        if node.problems:
            raise node.problems[0]

    async def end(self) -> None:
        """Leave nothing open."""
        for task in self._in_hand:
            task.cancel()
        await asyncio.gather(*self._in_hand, return_exceptions=True)
        await self.kill()

    # the camera

    def passage(self, *, stranger: bool = False) -> None:
        """A vehicle passes; the camera delivers until it hears "stored", or from an address nobody knows."""
        self.passages += 1
        raw = raw_read(self.passages, self._rng.random() < 0.4)
        if not stranger:
            self.offered.add(f"p{self.passages}")
        task = asyncio.ensure_future(self._deliver(raw, "203.0.113.9" if stranger else "192.0.2.1"))
        self._in_hand.add(task)
        task.add_done_callback(self._in_hand.discard)

    async def _deliver(self, raw: RawRead, address: str) -> None:
        while True:
            node = self.node
            if node is not None:
                verdict = await self._attempt(node, raw, address)
                if verdict is not None and verdict.outcome is Outcome.LATER:
                    self.later += 1
                elif verdict is not None and self._rng.random() > 0.1:  # else the answer is lost on its way
                    if verdict.outcome in (Outcome.STORED, Outcome.REPEATED):
                        self.told.add(str(raw.vendor_id))
                    return
            await asyncio.sleep(1 + self._rng.random() * 20)

    async def _attempt(self, node: Node, raw: RawRead, address: str) -> Verdict | None:
        """The node's answer, or None where it died over it."""
        answer: asyncio.Future[Verdict] = asyncio.get_running_loop().create_future()

        async def accept() -> None:
            try:
                answer.set_result(await node.intake.accept(raw, node.arrival(address)))
            finally:
                answer.cancel()

        node.do(accept())
        await asyncio.wait({answer}, timeout=30)
        return answer.result() if answer.done() and not answer.cancelled() else None

    # what must hold

    def check(self) -> None:
        if self.node is None or self._reader is None:
            return
        rows = self._read_rows()
        self._nothing_let_go_unnamed(rows)
        held = {(o.epoch, o.seq): o for o in (self._opened[row] for row in rows)} | self.store.records
        stored = {o.body["vendor_id"] for o in held.values() if o.kind == "read"}
        if self.told - stored:
            raise Broken(f"told stored, and is nowhere: {sorted(self.told - stored)}")
        if stored - self.offered:
            raise Broken(f"held, and was never accepted: {sorted(stored - self.offered)}")
        self._chain_verifies(held)

    def _read_rows(self) -> dict[int, int]:
        """State by row, and every new row opened with the store's key and compared with its columns."""
        assert self._reader is not None
        rows = {}
        for row, state, digest, head in self._reader.execute("SELECT row, state, digest, head FROM records"):
            if row not in self._opened:
                ((data,),) = self._reader.execute("SELECT data FROM records WHERE row = ?", (row,)).fetchall()
                self._opened[row] = self.store.open(data[24:])
            opened = self._opened[row]
            if (opened.digest, opened.head) != (digest, head):
                raise Broken(f"row {row} says another digest or head than its record has")
            rows[row] = state
        return rows

    def _nothing_let_go_unnamed(self, rows: dict[int, int]) -> None:
        gone, self._present = self._present.keys() - rows.keys(), rows
        keys = {(self._opened[row].epoch, self._opened[row].seq) for row in gone}
        if self._receipts_needed and keys - self.store.vouched:
            raise Broken(f"let go without a receipt: {sorted(seq for _, seq in keys - self.store.vouched)}")

    def _chain_verifies(self, held: dict[tuple[bytes, int], Opened]) -> None:
        assert self._reader is not None
        head = bytes(32)
        for epoch, last, end in self._reader.execute("SELECT epoch, seq, head FROM epochs ORDER BY session"):
            for seq in range(1, last + 1):
                if (epoch, seq) not in held:
                    raise Broken(f"a gap in the chain at {seq}")
                if held[epoch, seq].prev != head:
                    raise Broken(f"the chain does not join at {seq}")
                head = held[epoch, seq].head
            if head != end:
                raise Broken("an epoch's end is not its last record's head")
        if len(held) != self._reader.execute("SELECT sum(seq) FROM epochs").fetchall()[0][0]:
            raise Broken("a record beyond an epoch's end")

    # the end

    async def heal(self) -> None:
        """All faults over; everything arrives within a few hours, once."""
        self.link.weather = Weather()
        if self.node is None:
            self.start()
        self.link.cut_if_hanging()
        await asyncio.sleep(1)
        self.link.connect()
        await until(lambda: not self._in_hand, 3600, 5)
        await until(lambda: _WAITING not in self._read_rows().values(), 4 * 3600, 20)
        self.check()
        self._all_arrived_once()

    def _all_arrived_once(self) -> None:
        refused = {self._opened[row].body["vendor_id"] for row in self._refused_reads()}
        arrived = Counter(o.body["vendor_id"] for o in self.store.records.values() if o.kind == "read")
        if self.offered - refused != set(arrived):
            raise Broken("what arrived is not what was told stored, less what the store refused")
        if arrived and max(arrived.values()) > 1:
            raise Broken("a passage arrived twice as evidence")
        if self.told != self.offered:
            raise Broken("a camera was never told")

    def _refused_reads(self) -> list[int]:
        rows = [row for row, state in self._present.items() if state == _REFUSED]
        assert {(self._opened[row].epoch, self._opened[row].seq) for row in rows} == set(self.store.refused)
        return [row for row in rows if self._opened[row].kind == "read"]

    # the story

    async def play(self, acts: int) -> None:
        self.start()
        self.link.connect()
        for _ in range(acts):
            await self._act()
            await asyncio.sleep(self._rng.choice((0.01, 0.3, 5.0, 40.0)) * self._rng.random())
        await self.heal()

    async def _act(self) -> None:
        rng = self._rng
        match rng.choices(("pass", "weather", "cut", "connect", "kill", "start", "wait"), (50, 10, 8, 14, 6, 12, 3))[0]:
            case "pass":
                for _ in range(rng.choice((1, 1, 2, 6))):
                    self.passage(stranger=rng.random() < 0.1)
            case "weather":
                self.link.weather = any_weather(rng)
            case "cut":
                self.link.cut()
            case "connect":
                self.link.connect()
            case "kill":
                await self.kill()
            case "start" if self.node is None:
                self.start()
            case "wait":
                await asyncio.sleep(rng.random() * 1200)


def any_weather(rng: random.Random) -> Weather:
    """Fair, or some faults at once."""

    def some() -> float:
        return rng.choice((0.0, 0.0, 0.1, 0.5))

    return Weather(
        latency_s=rng.choice((0.01, 0.5, 5.0)),
        cut=some() / 2,
        silent=some() / 4,
        not_taken=some(),
        lost_after_puback=some(),
        twice=some(),
        refused=some() / 4,
        receipt_lost=some(),
        receipt_late_s=rng.choice((0.1, 5.0, 60.0)),
        receipt_twice=some(),
        receipt_replayed=some(),
        receipt_forged=some(),
    )


async def history(folder: Path, seed: int, build: Build, acts: int = 45, receipts_needed: bool = True) -> World:
    """Play one history; the world as it is at its end."""
    world = World(folder, random.Random(seed), build, receipts_needed)
    try:
        await world.play(acts)
    finally:
        await world.end()
    return world
