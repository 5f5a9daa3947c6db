"""A node in one event loop: the real ledger, intake and courier; only the ledger's thread is replaced.

What may not happen here: an answer before the commit. (`HastyPort` does just that, to be seen to lose.)
"""

from __future__ import annotations

import asyncio
import hashlib
import random
import shutil
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from datetime import date
from ipaddress import ip_network
from pathlib import Path
from typing import Any, TypeVar
from zoneinfo import ZoneInfo

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from far_side import Link, Store
from virtual_time import now_s

from edge.camera import Authorisation, Camera, TimePolicy
from edge.changes import Accept, Change, Settle, Tier
from edge.claim import Arrival, ClockState, Outcome, RawImage, Role
from edge.clock import Clock, ClockQuality
from edge.errors import EdgeError
from edge.health import CameraHealth
from edge.intake import Intake
from edge.ledger import Ledger
from edge.read import Evidence, FittedImage, Omitted, Original, Read, Record
from edge.schema import FILE
from edge.seal import sealer
from edge.sign import held_signer, verifier
from uplink.courier import Courier, Terms
from uplink.wire import Address

T = TypeVar("T")

NODE = "node-a"
ADDRESS = Address("op", "site", NODE)
BEGIN_MS = 1_780_000_000_000
CAMERA = Camera(
    id="north",
    dialect="generic",
    networks=(ip_network("192.0.2.1/32"),),
    identity=None,
    path=None,
    lane=None,
    zone=ZoneInfo("Europe/London"),
    time=TimePolicy.ARRIVAL,
    plausible_past_s=86_400,
    plausible_future_s=60,
    keep_unread=True,
    position=None,
    authorisation=Authorisation("REF-1", date(2020, 1, 1), date(2099, 1, 1)),
)


def clock() -> Clock:
    """Wall and monotonic time from the loop's virtual time."""
    return Clock(
        lambda: BEGIN_MS + int(now_s() * 1000),
        lambda: int(now_s() * 1e9),
        lambda: ClockQuality(ClockState.SYNCHRONISED, 5),
        "boot",
    )


async def fit(read: Read) -> Evidence:
    """The overview as it came; the patch left out. Fitting has tests of its own."""
    originals = tuple(Original(i.role, hashlib.sha256(i.data).digest(), len(i.data)) for i in read.raw.images)
    overview = next((_as_it_is(i) for i in read.raw.images), Omitted(Role.OVERVIEW, "none_sent"))
    return Evidence(read, Omitted(Role.PLATE_PATCH, "none_sent"), overview, originals)


def _as_it_is(image: RawImage) -> FittedImage:
    return FittedImage(image.role, image.data, 8, 8, None, 0, (), 8, 8)


class Port:
    """`LedgerThread`'s `commit` and `ask` within the loop: a few virtual milliseconds, groups, then the answer."""

    def __init__(self, ledger: Ledger, rng: random.Random, watch: Callable[[], None]) -> None:
        self.ledger = ledger
        self._rng = rng
        self._watch = watch
        self._group: list[tuple[Change, asyncio.Future[int | Outcome]]] = []

    async def commit(self, change: Change) -> int | Outcome:
        done: asyncio.Future[int | Outcome] = asyncio.get_running_loop().create_future()
        self._group.append((change, done))
        if len(self._group) == 1:
            asyncio.get_running_loop().call_later(self._rng.random() * 0.02, self._flush)
        result = await done
        await asyncio.sleep(self._rng.random() * 0.02)  # a kill may fall between the commit and the answer
        return result

    def _flush(self) -> None:
        group, self._group = self._group, []
        if not group:
            return
        for (_, done), result in zip(group, self.ledger.commit([change for change, _ in group]), strict=True):
            if done.cancelled():
                continue
            if isinstance(result, EdgeError):
                done.set_exception(result)
            else:
                done.set_result(result)
        self._watch()

    async def ask(self, question: Callable[[Ledger], T]) -> T:
        await asyncio.sleep(self._rng.random() * 0.005)
        return question(self.ledger)

    def drop(self) -> None:
        group, self._group = self._group, []
        for _, done in group:
            done.cancel()


class HastyPort(Port):
    """Answers a read before its commit: a fault put in on purpose."""

    async def commit(self, change: Change) -> int | Outcome:
        if isinstance(change, Accept):
            later = asyncio.ensure_future(super().commit(change))
            later.add_done_callback(lambda done: done.cancelled() or done.exception())
            return Outcome.STORED
        return await super().commit(change)


class PortShelf:
    """What the courier may ask of the ledger."""

    def __init__(self, port: Port) -> None:
        self._port = port

    async def waiting(self, tier: Tier, after_row: int, until_row: int, limit: int) -> tuple[Record, ...]:
        return await self._port.ask(lambda ledger: ledger.waiting(tier, after_row, until_row, limit))

    async def last_row(self) -> int:
        return await self._port.ask(lambda ledger: ledger.usage().last_row)

    async def settle(self, settle: Settle) -> int | Outcome:
        return await self._port.commit(settle)


@dataclass(frozen=True, slots=True)
class Build:
    """How a node is put together; the negative controls differ in one part."""

    terms: Terms
    max_bytes: int = 8_000_000
    port: type[Port] = Port


class Node:
    """One life of the process, from opening the ledger to being killed."""

    def __init__(
        self,
        state: Path,
        key: Ed25519PrivateKey,
        store: Store,
        link: Link,
        build: Build,
        rng: random.Random,
        watch: Callable[[], None],
    ) -> None:
        self.state = state
        ledger = Ledger.open(
            state,
            node=NODE,
            signer=held_signer(key),
            sealer=sealer(NODE, store.seal_key.public_key()),
            clock=clock(),
            max_bytes=build.max_bytes,
            config_digest="sha256:00",
            random_bytes=rng.randbytes,
        )
        self.port = build.port(ledger, rng, watch)
        of_store = verifier(store.receipt_key.public_key())
        self.courier = Courier(PortShelf(self.port), link, ADDRESS, {of_store.kid: of_store}, build.terms, now_s)
        self.intake = Intake(
            [CAMERA], fit, self.port.commit, {CAMERA.id: CameraHealth(CAMERA.id, 60, 0)}, self.courier.ring
        )
        self.tasks: dict[asyncio.Task[Any], None] = {}  # in order, so that a seed plays the same again
        self.problems: list[BaseException] = []
        self.do(self.courier.run(link.wait_up, link.wait_down))
        link.deliver = lambda receipt: self.do(self.courier.receipt(receipt))

    def do(self, work: Coroutine[Any, Any, Any]) -> None:
        task = asyncio.ensure_future(work)
        self.tasks[task] = None
        task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[Any]) -> None:
        self.tasks.pop(task, None)
        if not task.cancelled() and (problem := task.exception()) is not None:
            self.problems.append(problem)

    def arrival(self, address: str) -> Arrival:
        return Arrival(clock().now(), address, "/")

    async def kill(self, to: Path) -> None:
        """As kill -9: the file as it lies, write-ahead log and all, is what the next life finds in `to`."""
        to.mkdir()
        for name in (FILE, FILE + "-wal"):
            if (self.state / name).exists():
                shutil.copy(self.state / name, to / name)
        self.port.drop()
        tasks = list(self.tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self.port.ledger.close()
