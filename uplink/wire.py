"""The JSON side of the wire contract, and receipts. Pure: values in, messages out, and back.

What may not happen here: a plate, an image, a key or a stream address in a message. Numbers, ids and words come in.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from edge.errors import Tampered
from edge.read import Record
from edge.sign import RECEIPT_TYPE, Verifier, decode, open_signed
from uplink.transport import Message

HEARTBEAT_MAX_BYTES = 1000
_MAX_RANGES = 10_000
_MAX_SEQ = 2**40 - 1


@dataclass(frozen=True, slots=True)
class Address:
    """Where a node's topics hang: anpr/v1/<operator>/<site>/<node>/."""

    operator: str
    site: str
    node: str

    def topic(self, rest: str) -> str:
        return f"anpr/v1/{self.operator}/{self.site}/{self.node}/{rest}"


@dataclass(frozen=True, slots=True)
class Receipt:
    """What the store says of one epoch of this node."""

    epoch: bytes = field(repr=False)
    got: tuple[tuple[int, int], ...]
    refused: tuple[tuple[int, str], ...]


def record_message(address: Address, record: Record) -> Message:
    return Message(address.topic(record.kind.value), record.sealed, content_type="application/cbor", record=True)


def json_message(
    address: Address, rest: str, content: Mapping[str, Any], *, retain: bool = False, expiry_s: int | None = None
) -> Message:
    payload = json.dumps(content, separators=(",", ":"), sort_keys=True, allow_nan=False).encode()
    return Message(address.topic(rest), payload, retain=retain, expiry_s=expiry_s)


def cleared(address: Address, rest: str) -> Message:
    """An empty retained message: what stood there no longer holds."""
    return Message(address.topic(rest), b"", retain=True)


def state_message(address: Address, state: str, session: int, at_ms: int | None) -> Message:
    content: dict[str, Any] = {"state": state, "session": session}
    return json_message(address, "state", content if at_ms is None else content | {"at_ms": at_ms}, retain=True)


def heartbeat_message(address: Address, content: Mapping[str, Any], checkpoint: bytes, interval_s: int) -> Message:
    """The heartbeat with its signed checkpoint. The list of alerts is cut where it would pass 1,000 bytes."""
    full = dict(content) | {"checkpoint": base64.b64encode(checkpoint).decode()}
    alerts = list(full.get("alerts", []))
    message = json_message(address, "heartbeat", full, expiry_s=2 * interval_s)
    while len(message.payload) >= HEARTBEAT_MAX_BYTES and alerts:
        alerts.pop()
        full["alerts"] = [*alerts, "more"]
        message = json_message(address, "heartbeat", full, expiry_s=2 * interval_s)
    return message


def read_receipt(message: bytes, node: str, store_keys: Mapping[bytes, Verifier]) -> Receipt:
    """A receipt that the store signed for this node; `Tampered` for anything else."""
    payload, _ = open_signed(message, RECEIPT_TYPE, store_keys)
    content = decode(payload)
    if not isinstance(content, dict) or content.get("v") != 1 or content.get("node") != node:
        raise Tampered("a receipt is not for this node")
    epoch, got, refused = content.get("epoch"), content.get("got"), content.get("refused")
    if not isinstance(epoch, bytes) or not isinstance(got, list) or not isinstance(refused, list):
        raise Tampered("a receipt is not of the contract's form")
    if len(got) > _MAX_RANGES or len(refused) > _MAX_RANGES:
        raise Tampered("a receipt holds too many ranges")
    return Receipt(epoch, tuple(_range(each) for each in got), tuple(_refusal(each) for each in refused))


def _range(each: object) -> tuple[int, int]:
    if isinstance(each, list) and len(each) == 2 and all(type(n) is int for n in each):
        first, last = each
        if 1 <= first <= last <= _MAX_SEQ:
            return first, last
    raise Tampered("a receipt's range is not one")


def _refusal(each: object) -> tuple[int, str]:
    if isinstance(each, list) and len(each) == 2 and type(each[0]) is int and isinstance(each[1], str):
        seq, code = each
        if 1 <= seq <= _MAX_SEQ:
            return seq, code
    raise Tampered("a receipt's refusal is not one")
