"""The far side in miniature: a broker that misbehaves on request, and a store that opens, keeps and receipts.

It shares no code with the node but the shapes of `uplink.transport`: opening, verifying and signing are its own.
"""

from __future__ import annotations

import asyncio
import hashlib
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import cbor2
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.hpke import AEAD, KDF, KEM, Suite

from uplink.transport import Disconnected, Message, NotTaken

SUITE = Suite(KEM.X25519, KDF.HKDF_SHA256, AEAD.CHACHA20_POLY1305)
RECORD_TYPE, RECEIPT_TYPE = "application/anpr-record+cbor", "application/anpr-receipt+cbor"
Key = tuple[bytes, int]  # epoch, seq


def dumps(value: object) -> bytes:
    return cbor2.dumps(value, canonical=True)


def key_id(key: Ed25519PublicKey) -> bytes:
    return hashlib.sha256(key.public_bytes_raw()).digest()[:8]


@dataclass(frozen=True, slots=True)
class Opened:
    """What is inside one sealed record."""

    epoch: bytes
    seq: int
    kind: str
    prev: bytes
    digest: bytes
    head: bytes
    body: dict[str, Any] = field(repr=False)


def open_record(sealed: bytes, key: X25519PrivateKey, node_key: Ed25519PublicKey) -> Opened:
    """Open, verify and compare inside with outside; raises where anything differs."""
    outer = cbor2.loads(sealed)
    info = dumps(["anpr-seal-v1", *(outer[name] for name in ("node", "epoch", "seq", "kind", "kid"))])
    signed = SUITE.decrypt(outer["ct"], key, info=info)
    protected, _, payload, signature = cbor2.loads(signed).value
    assert cbor2.loads(protected) == {1: -8, 3: RECORD_TYPE, 4: key_id(node_key)}
    node_key.verify(signature, dumps(["Signature1", protected, b"", payload]))
    inner = cbor2.loads(payload)
    assert all(inner[name] == outer[name] for name in ("node", "epoch", "seq", "kind"))
    digest = hashlib.sha256(signed).digest()
    head = hashlib.sha256(b"anpr-chain-v1" + inner["prev"] + digest).digest()
    return Opened(inner["epoch"], inner["seq"], inner["kind"], inner["prev"], digest, head, inner["body"])


def sign_receipt(
    key: Ed25519PrivateKey,
    node: str,
    epoch: bytes,
    got: list[list[int]],
    refused: list[list[Any]],
    content_type: str = RECEIPT_TYPE,
) -> bytes:
    statement = {"v": 1, "node": node, "epoch": epoch, "got": got, "refused": refused, "head": None, "at_ms": 1}
    protected = dumps({1: -8, 3: content_type, 4: key_id(key.public_key())})
    payload = dumps(statement)
    signature = key.sign(dumps(["Signature1", protected, b"", payload]))
    return dumps(cbor2.CBORTag(18, [protected, {}, payload, signature]))


@dataclass(slots=True)
class Weather:
    """How likely each fault is, for each message (publish faults) or receipt (receipt faults), from 0 to 1."""

    latency_s: float = 0.05
    cut: float = 0.0
    silent: float = 0.0  # the acknowledgement never comes, until the connection ends
    not_taken: float = 0.0
    lost_after_puback: float = 0.0
    twice: float = 0.0
    refused: float = 0.0
    receipt_lost: float = 0.0
    receipt_late_s: float = 0.2
    receipt_twice: float = 0.0
    receipt_replayed: float = 0.0
    receipt_forged: float = 0.0


class Store:
    """Keeps records once by (epoch, seq), and says by receipt what it keeps or will not take."""

    def __init__(self, node: str, node_key: Ed25519PublicKey) -> None:
        self.node = node
        self.node_key = node_key
        self.seal_key = X25519PrivateKey.generate()
        self.receipt_key = Ed25519PrivateKey.generate()
        self.records: dict[Key, Opened] = {}
        self.arrivals = 0
        self.refused: dict[Key, str] = {}
        self._opened: dict[bytes, Opened] = {}
        self.vouched: set[Key] = set()
        """What a genuine receipt has named as got."""

    def open(self, sealed: bytes) -> Opened:
        """What is inside; the same bytes are opened and verified once."""
        opened = self._opened.get(sealed) or open_record(sealed, self.seal_key, self.node_key)
        return self._opened.setdefault(sealed, opened)

    def take(self, sealed: bytes, refuse: bool) -> bytes:
        """Keep or refuse the record; the receipt for it."""
        self.arrivals += 1
        opened = self.open(sealed)
        key = opened.epoch, opened.seq
        if key in self.refused or (refuse and key not in self.records):
            self.refused[key] = "malformed"
            return sign_receipt(self.receipt_key, self.node, opened.epoch, [], [[opened.seq, "malformed"]])
        before = self.records.setdefault(key, opened)
        assert before.digest == opened.digest, "the same numbers came with other bytes"
        self.vouched.add(key)
        return sign_receipt(self.receipt_key, self.node, opened.epoch, [[opened.seq, opened.seq]], [])


class Link:
    """A `Transport` with weather. The broker's session is clean: what is under way when it goes down is gone."""

    def __init__(self, store: Store, rng: random.Random, weather: Weather) -> None:
        self.store = store
        self.weather = weather
        self._rng = rng
        self.up = asyncio.Event()
        self._down: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._down.set_result(None)
        self.deliver: Callable[[bytes], None] = lambda _receipt: None
        self.after_store: Callable[[], None] = lambda: None
        self._receipts: list[bytes] = []
        self.hangs = self._down
        """The last connection on which an acknowledgement was swallowed."""

    async def wait_up(self) -> None:
        await self.up.wait()

    async def wait_down(self) -> None:
        await asyncio.wait({self._down})

    def connect(self) -> None:
        if self._down.done():
            self._down = asyncio.get_running_loop().create_future()
            self.up.set()

    def cut(self) -> None:
        if not self._down.done():
            self._down.set_result(None)
            self.up.clear()

    def cut_if_hanging(self) -> None:
        """A broker that swallows acknowledgements is no longer sound; nothing is to be hoped for but a new start."""
        if self.hangs is self._down:
            self.cut()

    async def publish(self, message: Message) -> None:
        connection = self._down
        await self._travel(connection, self._rng.random() * self.weather.latency_s)
        weather = self.weather
        if self._happens(weather.not_taken):
            raise NotTaken(135)
        if self._happens(weather.cut):
            if self._rng.random() < 0.5:
                self._at_store(connection, message.payload)
            self.cut()
            raise Disconnected
        if not self._happens(weather.lost_after_puback):
            for _ in range(2 if self._happens(weather.twice) else 1):
                self._at_store(connection, message.payload)
        if self._happens(weather.silent):
            self.hangs = connection
            await asyncio.wait({connection})
            raise Disconnected
        await self._travel(connection, self._rng.random() * weather.latency_s)

    async def _travel(self, connection: asyncio.Future[None], for_s: float) -> None:
        await asyncio.wait({connection}, timeout=for_s)
        if connection.done():
            raise Disconnected

    def _happens(self, chance: float) -> bool:
        return chance > 0 and self._rng.random() < chance

    def _at_store(self, connection: asyncio.Future[None], sealed: bytes) -> None:
        weather = self.weather
        receipt = self.store.take(sealed, self._happens(weather.refused))
        self._receipts.append(receipt)
        self.after_store()
        if self._happens(weather.receipt_forged):
            self._send(connection, self._forged(cbor2.loads(sealed)["epoch"]))
        if self._happens(weather.receipt_replayed):
            self._send(connection, self._rng.choice(self._receipts))
        if not self._happens(weather.receipt_lost):
            for _ in range(2 if self._happens(weather.receipt_twice) else 1):
                self._send(connection, receipt)

    def _send(self, connection: asyncio.Future[None], receipt: bytes) -> None:
        """Each with its own delay, so that they overtake each other."""

        def arrive() -> None:
            if not connection.done():
                self.deliver(receipt)

        asyncio.get_running_loop().call_later(self._rng.random() * self.weather.receipt_late_s, arrive)

    def _forged(self, epoch: bytes) -> bytes:
        """A receipt for everything, which must change nothing: each has one thing wrong."""
        everything, store = [[1, 1_000_000]], self.store
        genuine = sign_receipt(store.receipt_key, store.node, epoch, [], [])
        flipped = bytearray(genuine)
        flipped[self._rng.randrange(len(flipped))] ^= 1 << self._rng.randrange(8)
        return self._rng.choice(
            [
                sign_receipt(Ed25519PrivateKey.generate(), store.node, epoch, everything, []),
                sign_receipt(store.receipt_key, "another-node", epoch, everything, []),
                sign_receipt(store.receipt_key, store.node, epoch, everything, [], RECORD_TYPE),
                sign_receipt(store.receipt_key, store.node, epoch[:4] + bytes(8), everything, []),
                bytes(flipped),
                b"",
            ]
        )
