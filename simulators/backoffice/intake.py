"""Takes messages from the broker's thread and works them off in batches: decide, make durable, then answer.

The one place where order matters: no receipt leaves before the commit that holds its records has returned.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import queue
import time
from collections import deque
from collections.abc import Callable
from typing import Any, Final

from simulators.backoffice.chains import Chains
from simulators.backoffice.keys import NodeKeys, StoreKeys
from simulators.backoffice.opening import Code, Record, Refused, open_record, read_checkpoint, read_outside
from simulators.backoffice.receipts import Collector, Receipt
from simulators.backoffice.store import Kept, Store
from simulators.backoffice.topics import Topic, parse

BATCH_MOST: Final = 100
LINGER_S: Final = 0.05
"""How long a batch waits for company; with the commit it stays well inside the contract's 250 ms."""
QUEUE_MOST: Final = 2_000
QUEUE_WAIT_S: Final = 5.0
"""After this the message is dropped unanswered, and the node sends it again."""
LATENCIES_KEPT: Final = 20_000
NOTICE_MOST_BYTES: Final = 65_536
"""The contract bounds only heartbeats (1,000 bytes); this bounds what any notice may cost."""
_NOTICES: Final = frozenset({"state", "birth", "heartbeat", "health", "alert"})

Message = tuple[str, bytes]


def now_ms() -> int:
    return time.time_ns() // 1_000_000


class Intake:
    """The worker between the broker and the store."""

    def __init__(
        self, store: Store, chains: Chains, keys: StoreKeys, nodes: NodeKeys, send: Callable[[Receipt], None]
    ) -> None:
        self._store, self._chains, self._keys, self._nodes, self._send = store, chains, keys, nodes, send
        self._seal_kid = keys.seal_kid
        self._queue: queue.Queue[Message | None] = queue.Queue(QUEUE_MOST)
        self._owed = Collector()
        self._fresh: list[int] = []
        self._latencies: deque[int] = deque(maxlen=LATENCIES_KEPT)
        self._stopped = False
        self.dropped = 0

    def take(self, topic: str, payload: bytes) -> None:
        """Queue one message; called from the broker's thread, which does no more than this."""
        if self._stopped:
            return
        try:
            self._queue.put((topic, payload), timeout=QUEUE_WAIT_S)
        except queue.Full:
            self.dropped += 1

    def stop(self, *, alive: bool) -> None:
        """Take nothing more, and where the worker is alive let `run` return after what is queued."""
        self._stopped = True
        if alive:
            self._queue.put(None)

    def run(self) -> None:
        """Work until stopped. Raises sqlite3.Error where the store cannot keep: then nothing more is answered."""
        while (batch := self._batch()) is not None:
            self._store.begin()
            for topic, payload in batch:
                self._one(topic, payload)
            self._store.commit()
            self._answer()

    def latencies_ms(self) -> list[int]:
        """From a record's `received.utc_ms` to its receipt's sending, for the newest records since the start."""
        return list(self._latencies)

    def _batch(self) -> list[Message] | None:
        first = self._queue.get()
        if first is None:
            return None
        batch, until = [first], time.monotonic() + LINGER_S
        while len(batch) < BATCH_MOST and (left := until - time.monotonic()) > 0:
            try:
                message = self._queue.get(timeout=left)
            except queue.Empty:
                break
            if message is None:
                self._queue.put(None)  # the next batch ends the run, after this one is answered
                break
            batch.append(message)
        return batch

    def _answer(self) -> None:
        for receipt in self._owed.sign_all(self._keys.receipt, now_ms(), self._chains.run_head):
            self._send(receipt)
        sent_ms = now_ms()
        self._latencies.extend(sent_ms - received_ms for received_ms in self._fresh)
        self._fresh.clear()

    def _one(self, name: str, payload: bytes) -> None:
        topic = parse(name)
        if topic is None:
            return
        if topic.is_record:
            self._record(topic, payload)
        elif topic.words[0] in _NOTICES and self._nodes.knows(topic.route.node):
            self._notice(topic, payload)

    def _record(self, topic: Topic, payload: bytes) -> None:
        outside = read_outside(topic, payload)
        if isinstance(outside, Refused):
            self._refuse(topic, outside, payload)
            return
        if self._store.holds_payload(outside):
            self._again(topic, outside.epoch, outside.seq)
            return
        opened = open_record(outside, self._seal_kid, self._keys.seal, self._nodes.find)
        if isinstance(opened, Refused):
            self._refuse(topic, opened, payload)
            return
        match self._store.keep(opened, now_ms()):
            case Kept.NEW:
                self._kept(topic, opened)
            case Kept.HELD:
                self._again(topic, opened.epoch, opened.seq)
            case Kept.OTHER_HELD:
                self._refuse(topic, Refused(Code.MISMATCHED, opened.epoch, opened.seq), payload)

    def _kept(self, topic: Topic, record: Record) -> None:
        self._chains.add(record.node, record.epoch, record.seq, record.link)
        for epoch, first, last in record.given_up():
            self._chains.give_up(record.node, epoch, first, last)
        self._owed.got(topic.route, record.epoch, record.seq)
        self._fresh.append(record.received_ms)

    def _again(self, topic: Topic, epoch: bytes, seq: int) -> None:
        self._store.note_duplicate(topic.route.node)
        self._owed.got(topic.route, epoch, seq)

    def _refuse(self, topic: Topic, refused: Refused, payload: bytes) -> None:
        digest = hashlib.sha256(payload).digest()
        self._store.note_refusal(topic.route.node, refused.epoch, refused.seq, refused.code, digest, now_ms())
        if refused.epoch is not None and refused.seq is not None and refused.code is not Code.UNKNOWN_KEY:
            self._owed.refused(topic.route, refused.epoch, refused.seq, refused.code)

    def _notice(self, topic: Topic, payload: bytes) -> None:
        name = "/".join(topic.words)
        if not payload:  # how a retained message is cleared
            self._store.keep_notice(topic.route, name, None, now_ms())
            return
        notice = read_json(payload)
        if notice is None or (name == "state" and self._is_stale(topic.route.node, notice)):
            return
        # written anew in ASCII: escaped lone surrogates would not survive the way to disk or page as text
        self._store.keep_notice(topic.route, name, json.dumps(notice), now_ms())
        if name == "heartbeat":
            self._checkpoint(topic.route.node, notice.get("checkpoint"))

    def _is_stale(self, node: str, state: dict[str, Any]) -> bool:
        birth = self._store.notice(node, "birth")
        return birth is not None and is_old_loss(state, json.loads(birth))

    def _checkpoint(self, node: str, encoded: object) -> None:
        try:
            signed = base64.b64decode(encoded, validate=True) if isinstance(encoded, str) else b""
        except (binascii.Error, ValueError):
            return
        checkpoint = read_checkpoint(signed, node, self._nodes.find)
        if checkpoint is not None:
            self._store.keep_checkpoint(checkpoint)
            self._chains.claim(node, checkpoint.epoch, checkpoint.seq, checkpoint.head)


def read_json(payload: bytes) -> dict[str, Any] | None:
    """Give the object that a notice holds, or None where it is not one or beyond NOTICE_MOST_BYTES."""
    if len(payload) > NOTICE_MOST_BYTES:
        return None
    try:
        value = json.loads(payload)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def is_old_loss(state: dict[str, Any], birth: dict[str, Any]) -> bool:
    """Say whether a `lost` belongs to a session that the newest birth has left behind."""
    session, newest = state.get("session"), birth.get("session")
    return state.get("state") == "lost" and isinstance(session, int) and isinstance(newest, int) and session < newest
