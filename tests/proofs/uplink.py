"""Exactly once at the store, no gap, nothing deleted without a receipt - whatever the line, the broker and the node do.

`python -m tests.proofs uplink --messages 100000`. The control, `--control`, is an uplink to which the broker's word is
enough, with a broker that loses its queue: it must be seen to lose.
"""

from __future__ import annotations

import argparse
import asyncio
import dataclasses
import random
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.proofs.figures import say
from tests.proofs.pieces import workplace
from tests.proofs.uplink_site import Life, StoreProcess, Where, site, until
from uplink.courier import Terms

FAULTS = ("delay", "cut", "half-open", "broker restart", "broker frozen", "store frozen", "node restart")
LONGEST_S = 6.0  # of a half-open line or a frozen broker; keep-alive finds them after 4 s
TERMS = Terms(window_bytes=262_144, backlog_share_percent=25, receipt_timeout_s=3.0, live_for_s=20.0, set_aside_s=2.0)


@dataclass(slots=True)
class Figures:
    messages: int = 0
    written: int = 0
    stored: int = 0
    missing: int = 0
    deleted_unstored: int = 0
    """Records that the node had deleted and the store did not have, at any look."""
    looks: int = 0
    duplicates: int = 0
    gaps: int = 0
    broken_links: int = 0
    waiting: int = 0
    connects: int = 0
    resent: int = 0
    set_aside: int = 0
    lives: int = 0
    faults: dict[str, int] = field(default_factory=dict)

    def sound(self) -> bool:
        """Nothing lost, nothing doubled, nothing left."""
        wrong = self.missing + self.deleted_unstored + self.gaps + self.broken_links + self.waiting
        return wrong == 0 and self.stored == self.written


@dataclass(slots=True)
class Run:
    """A proof on its way: what breaks, and what is looked at."""

    where: Where
    store: StoreProcess
    terms: Terms
    chance: random.Random
    every_s: float
    longest_s: float
    found: Figures = field(default_factory=Figures)
    life: Life | None = None
    stop_life: asyncio.Event = field(default_factory=asyncio.Event)

    async def live(self) -> None:
        """Lives of the node, one after the other."""
        while True:
            self.stop_life = asyncio.Event()
            async with self.where.life(self.terms) as life:
                self.life = life
                self.found.lives += 1
                try:
                    await self.stop_life.wait()
                finally:
                    self._count()
                    self.life = None

    def _count(self) -> None:
        if self.life is not None:
            self.found.connects += self.life.link.connects
            self.found.resent += self.life.courier.counts["resent"]
            self.found.set_aside += self.life.courier.counts["set_aside"]

    async def write(self, messages: int, a_second: int) -> None:
        """So many records, at about such a rate; a life that ends in between is waited out."""
        while self.found.messages < messages:
            some = min(a_second // 10, messages - self.found.messages)
            life = self.life
            if life is not None:
                writing = asyncio.ensure_future(life.write(some))
                stopped = asyncio.ensure_future(self.stop_life.wait())
                await asyncio.wait({writing, stopped}, return_when=asyncio.FIRST_COMPLETED)
                if writing.done():
                    writing.result()
                    self.found.messages += some
                for task in (writing, stopped):
                    task.cancel()
                await asyncio.gather(writing, stopped, return_exceptions=True)
            await asyncio.sleep(0.1)

    async def break_things(self, until: asyncio.Event) -> None:
        """One fault after the other; the last is whole and mended before it ends."""
        while not until.is_set():
            await asyncio.sleep(self.chance.uniform(0.3, 1.7) * self.every_s)
            fault = self.chance.choice(FAULTS)
            self._note(fault)
            await self._break(fault, self.chance.uniform(0.1, self.longest_s))
            await self.look()

    def _note(self, fault: str) -> None:
        self.found.faults[fault] = self.found.faults.get(fault, 0) + 1

    async def _break(self, fault: str, for_s: float) -> None:
        where, broker = self.where, self.where.broker
        if fault == "delay":
            where.relay.delay_s = self.chance.choice([0.0, 0.0, 0.01, 0.05, 0.2])
        elif fault == "cut":
            await where.relay.cut()
            await asyncio.sleep(for_s / 4)
            await where.relay.heal()
        elif fault == "half-open":
            await where.relay.freeze()
            await asyncio.sleep(for_s)
            await where.relay.heal()
        elif fault == "broker restart":
            await asyncio.to_thread(broker.stop)
            await asyncio.sleep(for_s / 4)
            await asyncio.to_thread(broker.start)
        elif fault == "broker frozen":
            broker.freeze()
            await asyncio.sleep(for_s)
            broker.thaw()
        elif fault == "store frozen":
            self.store.freeze()
            await asyncio.sleep(for_s / 2)
            self.store.thaw()
        else:
            self.stop_life.set()

    async def look(self) -> None:
        """What the node has deleted must be at the store: the node is asked first, the store after."""
        deleted = await asyncio.to_thread(lambda: self.where.written() - self.where.kept_by_node())
        missing = deleted - await asyncio.to_thread(self.where.kept_by_store)
        self.found.looks += 1
        self.found.deleted_unstored = max(self.found.deleted_unstored, len(missing))

    def _how_it_stands(self) -> str:
        if self.life is None:
            return "no life"
        link, courier = self.life.link, self.life.courier
        return f"up {link.up.is_set()} {link.last_problem!r}, {courier.counts}"

    async def lose_a_queue(self) -> None:
        """For the control: the store stands still, the broker takes what comes, and then forgets it."""
        self.store.freeze()
        await asyncio.sleep(self.longest_s)
        await asyncio.to_thread(self.where.broker.stop)
        self.store.thaw()
        await asyncio.to_thread(self.where.broker.start)
        self._note("queue lost")

    async def end(self, most_s: float) -> None:
        """The far side is well again: everything must arrive."""
        self.where.relay.delay_s = 0.0
        try:
            await until(lambda: not self.where.waiting(), most_s, "the ledger's end")
        except AssertionError as late:
            raise AssertionError(f"{late}; {self.found}; {self._how_it_stands()}") from None
        await self.look()
        written, stored = self.where.written(), self.where.kept_by_store()
        figures = await asyncio.to_thread(self.store.figures)
        found = self.found
        found.written, found.stored = len(written), len(stored)
        found.missing, found.waiting = len(written - stored), len(self.where.kept_by_node())
        found.duplicates = figures["duplicates"]
        found.gaps, found.broken_links = figures["gaps"], figures["broken_links"]
        self._count()


@asynccontextmanager
async def _beside(*works: object) -> AsyncIterator[None]:
    """These run until the block ends; one that fails ends the block."""
    tasks = [asyncio.ensure_future(work) for work in works]  # type: ignore[call-overload]
    inside = asyncio.current_task()
    assert inside is not None
    for task in tasks:
        task.add_done_callback(lambda done: None if done.cancelled() else inside.cancel())
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        ends = await asyncio.gather(*tasks, return_exceptions=True)
        problems = [end for end in ends if isinstance(end, Exception)]
        if problems:
            raise problems[0]


async def prove(
    messages: int, seed: int, folder: Path, *, control: bool = False, every_s: float = 1.5, longest_s: float = LONGEST_S
) -> Figures:
    """What was found. `every_s`: about how long between two faults; `longest_s`: how long the longest lasts."""
    chance = random.Random(seed)
    terms = dataclasses.replace(TERMS, broker_is_enough=control)
    async with site(folder, chance) as (where, store):
        run = Run(where, store, terms, chance, every_s, longest_s)
        async with _beside(run.live()):
            await until(lambda: run.life is not None, 10, "the node")
            if control:
                await until(lambda: run.life is not None and run.life.link.up.is_set(), 10, "the link")
                await asyncio.gather(run.write(messages, 1000), run.lose_a_queue())
            else:
                written = asyncio.Event()
                async with asyncio.TaskGroup() as both:
                    both.create_task(run.break_things(written))
                    await run.write(messages, 2000)
                    written.set()
            await run.end(60 + messages / 50)
    return run.found


def main(argv: list[str]) -> int:
    """0 where the proof holds, or where the control is seen to lose; else 1."""
    parser = argparse.ArgumentParser(prog="python -m tests.proofs uplink", description=__doc__)
    parser.add_argument("--messages", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--control", action="store_true", help="an uplink that believes the broker: must lose")
    args = parser.parse_args(argv)
    began_s = time.monotonic()
    with workplace() as folder:
        found = asyncio.run(prove(args.messages, args.seed, folder, control=args.control))
    say({"seed": args.seed, "control": args.control, **dataclasses.asdict(found), "sound": found.sound()}, began_s)
    return 0 if found.sound() is not args.control else 1
