"""What the uplink's proof runs on: a real ledger, courier and MQTT link, a relay, a real Mosquitto and the real store.

The node has no cameras here: its records are small acts, as many as the proof asks for.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
import urllib.request
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import apsw

from edge import keys
from edge.changes import Enter, Settle, Tier
from edge.claim import Outcome
from edge.clock import Clock
from edge.keys import make_signing_key
from edge.ledger import Ledger
from edge.read import Record
from edge.schema import FILE
from edge.seal import sealer
from edge.worker import LedgerThread
from simulators import site_files
from simulators.backoffice.keys import make_or_load
from simulators.network import Relay
from simulators.site_files import NODE, Folders
from tests.fixtures.brokers import Broker
from uplink.courier import Courier, Terms
from uplink.mqtt import BrokerAddress, MqttLink
from uplink.wire import Address, state_message

ROOT = Path(__file__).resolve().parents[2]
ADDRESS = Address("demo", "loopback", NODE)
GROUP = 64  # records asked for at once


class Shelf:
    """What the courier may ask of the ledger."""

    def __init__(self, thread: LedgerThread) -> None:
        self._thread = thread

    async def waiting(self, tier: Tier, after_row: int, until_row: int, limit: int) -> tuple[Record, ...]:
        return await self._thread.ask(lambda ledger: ledger.waiting(tier, after_row, until_row, limit))

    async def last_row(self) -> int:
        return await self._thread.ask(lambda ledger: ledger.usage().last_row)

    async def settle(self, settle: Settle) -> int | Outcome:
        return await self._thread.commit(settle)


class Life:
    """One life of the node's uplink: from opening the ledger to its end."""

    def __init__(self, thread: LedgerThread, session: int, courier: Courier, link: MqttLink) -> None:
        self.session, self.courier, self.link, self._thread = session, courier, link, thread

    async def write(self, count: int) -> None:
        """So many more records; durable on return."""
        act = Enter("refused", {"counts": {"cam-1": {"stale": count}}})
        for begin in range(0, count, GROUP):
            await asyncio.gather(*(self._thread.commit(act) for _ in range(min(GROUP, count - begin))))
            self.courier.ring()


@dataclass(frozen=True, slots=True)
class Where:
    """A site's files and ends."""

    folders: Folders
    broker: Broker
    relay: Relay
    chance: random.Random

    def open_ledger(self) -> Ledger:
        config = self.folders.config / "keys"
        return Ledger.open(
            self.folders.state / "node" / "state",
            node=NODE,
            signer=keys.load_signer(config / "sign.pem"),
            sealer=sealer(NODE, keys.load_seal_key(config / "store-seal.pub.pem")),
            clock=Clock(),
            max_bytes=4_000_000_000,
            config_digest="sha256:00",
        )

    @asynccontextmanager
    async def life(self, terms: Terms) -> AsyncIterator[Life]:
        """The real parts, joined as the assembler does. Its end is sudden: no last words, no waiting."""
        thread = LedgerThread(self.open_ledger, 0.02, 16)
        ledger = await thread.start()
        receipts: asyncio.Queue[bytes] = asyncio.Queue(1000)
        of_store = keys.load_verifier(self.folders.config / "keys" / "store-receipt.pub.pem")
        to = BrokerAddress("127.0.0.1", self.relay.port, None, 5, 2, f"anpr-edge-{NODE}")
        will = state_message(ADDRESS, "lost", ledger.session, None)
        link = MqttLink(
            to, will, [ADDRESS.topic("receipt")], partial(_put, receipts), lambda: 0.05 * self.chance.random()
        )
        courier = Courier(Shelf(thread), link, ADDRESS, {of_store.kid: of_store}, terms, time.monotonic)

        async def hear() -> None:
            while True:
                await courier.receipt(await receipts.get())

        tasks = [
            asyncio.ensure_future(each) for each in (link.run(), courier.run(link.up.wait, link.went_down.wait), hear())
        ]
        try:
            yield Life(thread, ledger.session, courier, link)
            assert not [task for task in tasks if task.done()], [task for task in tasks if task.done()]
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await thread.stop()

    def _ledger(self, question: str) -> list[Any]:
        """By apsw, as the ledger itself: a second SQLite in one process would break the locks of the first."""
        path = str(self.folders.state / "node" / "state" / FILE)
        with contextlib.closing(apsw.Connection(path, flags=apsw.SQLITE_OPEN_READONLY)) as db:
            db.set_busy_timeout(30_000)
            return db.execute(question).fetchall()

    def kept_by_node(self) -> set[int]:
        rows = self._ledger("SELECT row FROM records")
        return {int(row) for (row,) in rows}

    def waiting(self) -> int:
        ((count,),) = self._ledger("SELECT waiting FROM totals")
        return int(count)

    def kept_by_store(self) -> set[int]:
        """As the node's rows: session and seq in one number."""
        path = self.folders.store / "backoffice.sqlite"
        with contextlib.closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=30)) as db:
            rows = db.execute("SELECT epoch, seq FROM records").fetchall()
        return {int.from_bytes(epoch[:4], "big") << 40 | seq for epoch, seq in rows}

    def written(self) -> set[int]:
        rows = self._ledger("SELECT session, seq FROM epochs")
        return {session << 40 | seq for session, last in rows for seq in range(1, last + 1)}


def _put(receipts: asyncio.Queue[bytes], _topic: str, payload: bytes) -> None:
    if not receipts.full():
        receipts.put_nowait(payload)


class StoreProcess:
    """The simulated back office, which opens, verifies, keeps and receipts."""

    def __init__(self, where: Where) -> None:
        folders = where.folders
        arguments = ["simulators", "backoffice", "--broker", f"127.0.0.1:{where.broker.port}", "--mqtt", "5"]
        arguments += ["--keys", str(folders.store_keys), "--nodes", str(folders.nodes), "--state", str(folders.store)]
        with (folders.logs / "store.log").open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", *arguments],
                stdout=subprocess.PIPE,
                stderr=log,
                cwd=ROOT,
                env=os.environ | {"PYTHONPATH": str(ROOT)},
            )
        assert self._process.stdout is not None
        self.page: str = json.loads(self._process.stdout.readline())["page"]

    def freeze(self) -> None:
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        self._process.send_signal(signal.SIGCONT)

    def figures(self) -> dict[str, Any]:
        with urllib.request.urlopen(self.page + "figures", timeout=60) as answer:
            found: dict[str, Any] = json.loads(answer.read())
            return found

    def end(self) -> None:
        self.thaw()
        self._process.terminate()
        self._process.wait(30)
        assert self._process.stdout is not None
        self._process.stdout.close()


@asynccontextmanager
async def site(folder: Path, chance: random.Random) -> AsyncIterator[tuple[Where, StoreProcess]]:
    """Keys, broker, relay and store, ready."""
    folders = Folders(folder)
    folders.make()
    folders.logs.mkdir(exist_ok=True)
    make_or_load(folders.store_keys)
    make_signing_key(folders.config / "keys" / "sign.pem")
    site_files.give_store_keys_to_node(folders)
    site_files.give_node_key_to_store(folders)
    lines = ["allow_anonymous true", "max_queued_messages 100000", "max_inflight_messages 200", "log_type error"]
    broker = Broker(folder / "broker", lines, verbose=False)
    broker.start()
    try:
        async with Relay("127.0.0.1", broker.port) as relay:
            where = Where(folders, broker, relay, chance)
            store = await asyncio.to_thread(StoreProcess, where)
            try:
                yield where, store
            finally:
                await asyncio.to_thread(store.end)
    finally:
        broker.stop()


async def until(true: Callable[[], object], most_s: float, what: str) -> None:
    end_s = time.monotonic() + most_s
    while not true():
        assert time.monotonic() < end_s, f"{what}: not within {most_s:.0f} s"
        await asyncio.sleep(0.1)
