"""Turns a sealed record from the wire into a checked value, or into the code it is refused with.

Pure: keys and bytes in, value out. Nothing is accepted in part, and no exception text carries what a record holds.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final, cast

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.hpke import AEAD, KDF, KEM, Suite

from simulators.backoffice import cose, jpeg, shapes, strict_cbor
from simulators.backoffice.chain import Before, Link, head_after
from simulators.backoffice.topics import Topic

_SUITE: Final = Suite(KEM.X25519, KDF.HKDF_SHA256, AEAD.CHACHA20_POLY1305)
_SEAL_LABEL: Final = "anpr-seal-v1"


class Code(StrEnum):
    """Why a record is refused (docs/wire.md, 5). `UNKNOWN_KEY` is counted and never answered: the key may come yet."""

    UNKNOWN_KEY = "unknown_key"

    UNOPENED = "unopened"
    UNVERIFIED = "unverified"
    MISMATCHED = "mismatched"
    OVER_CAP = "over_cap"
    MALFORMED = "malformed"


@dataclass(frozen=True, slots=True)
class Refused:
    """A record that is not kept. `epoch` and `seq` are None where the outside could not be read."""

    code: Code
    epoch: bytes | None = None
    seq: int | None = None


@dataclass(frozen=True, slots=True)
class Outside:
    """What a sealed record says of itself to everyone."""

    kid: bytes
    node: str
    epoch: bytes
    seq: int
    kind: str
    payload_digest: bytes
    ct: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Record:
    """An opened, verified and lawful record. `body` is the map of its kind, as records.cddl gives it."""

    node: str
    epoch: bytes
    seq: int
    kind: str
    link: Link
    digest: bytes
    payload_digest: bytes
    captured_ms: int
    received_ms: int
    body: dict[str, Any] = field(repr=False)
    signed: bytes = field(repr=False)

    def given_up(self) -> list[tuple[bytes, int, int]]:
        """Epoch, from and to of what a `shed` act says will not come."""
        if self.body.get("act") != "shed":
            return []
        parts = self.body["detail"]["which"]
        return [(part["epoch"], first, last) for part in parts for first, last in part["ranges"]]


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A node's signed word on its newest durable record."""

    node: str
    epoch: bytes
    seq: int
    head: bytes
    at_ms: int
    signed: bytes = field(repr=False)


def read_outside(topic: Topic, payload: bytes) -> Outside | Refused:
    """Read the unsealed part and hold it against the topic."""
    outer = _shaped(payload, shapes.SEALED)
    if outer is None:
        return Refused(Code.MALFORMED)
    epoch, seq = outer["epoch"], outer["seq"]
    if (outer["node"], outer["kind"]) != (topic.route.node, topic.words[-1]):
        return Refused(Code.MISMATCHED, epoch, seq)
    return Outside(
        kid=outer["kid"],
        node=outer["node"],
        epoch=epoch,
        seq=seq,
        kind=outer["kind"],
        payload_digest=hashlib.sha256(payload).digest(),
        ct=outer["ct"],
    )


def open_record(
    outside: Outside, kid: bytes, key: X25519PrivateKey, find: Callable[[bytes], cose.Verifier | None]
) -> Record | Refused:
    """Open with the store's key (whose identity is `kid`), verify with a node's, and hold inside against outside."""
    if outside.kid != kid:
        return _refuse(outside, Code.UNKNOWN_KEY)
    signed = _unseal(outside, key)
    if signed is None:
        return _refuse(outside, Code.UNOPENED)
    verified = cose.verify(signed, cose.Content.RECORD, find)
    if verified is None:
        return _refuse(outside, Code.UNKNOWN_KEY if cose.names_unknown_key(signed, find) else Code.UNVERIFIED)
    inner = _shaped(verified.payload, shapes.RECORD)
    if inner is None:
        return _refuse(outside, Code.MALFORMED)
    if verified.signer != inner["node"]:  # a good signature, but of another node
        return _refuse(outside, Code.UNVERIFIED)
    if any(inner[key] != getattr(outside, key) for key in ("node", "epoch", "seq", "kind")):
        return _refuse(outside, Code.MISMATCHED)
    if _is_start(inner) and inner["seq"] != 1:
        return _refuse(outside, Code.MALFORMED)
    if not _lawful(inner):
        return _refuse(outside, Code.OVER_CAP)
    return _record(outside, inner, signed)


def read_checkpoint(signed: bytes, node: str, find: Callable[[bytes], cose.Verifier | None]) -> Checkpoint | None:
    """Give a checkpoint that `node` itself signed, or None."""
    verified = cose.verify(signed, cose.Content.CHECKPOINT, find)
    inner = None if verified is None else _shaped(verified.payload, shapes.CHECKPOINT)
    if verified is None or inner is None or not verified.signer == inner["node"] == node:
        return None
    return Checkpoint(
        node=node, epoch=inner["epoch"], seq=inner["seq"], head=inner["head"], at_ms=inner["at_ms"], signed=signed
    )


def _shaped(data: bytes, check: shapes.Check) -> dict[str, Any] | None:
    try:
        value = strict_cbor.decode(data)
    except strict_cbor.NotDeterministic:
        return None
    return cast("dict[str, Any]", value) if check(value) else None


def _refuse(outside: Outside, code: Code) -> Refused:
    return Refused(code, outside.epoch, outside.seq)


def _unseal(outside: Outside, key: X25519PrivateKey) -> bytes | None:
    info = cose.encode([_SEAL_LABEL, outside.node, outside.epoch, outside.seq, outside.kind, outside.kid])
    try:
        return _SUITE.decrypt(outside.ct, key, info=info)
    except (InvalidTag, ValueError):  # ValueError: too short, or a point of low order
        return None


def _is_start(inner: dict[str, Any]) -> bool:
    return bool(inner["kind"] == "act" and inner["body"]["act"] == "started")


def _lawful(inner: dict[str, Any]) -> bool:
    body = inner["body"]
    if inner["kind"] == "overview":
        return jpeg.overview_is_lawful(body["jpeg"])
    if inner["kind"] == "read" and "jpeg" in body["patch"]:
        return jpeg.patch_is_lawful(body["patch"]["jpeg"])
    return True


def _record(outside: Outside, inner: dict[str, Any], signed: bytes) -> Record:
    digest = hashlib.sha256(signed).digest()
    start = inner["body"]["detail"] if _is_start(inner) else {"before": None}
    before = start["before"]
    return Record(
        node=outside.node,
        epoch=outside.epoch,
        seq=outside.seq,
        kind=outside.kind,
        link=Link(
            prev=inner["prev"],
            head=head_after(inner["prev"], digest),
            before=None if before is None else Before(**before),
            set_aside="quarantined" in start,
        ),
        digest=digest,
        payload_digest=outside.payload_digest,
        captured_ms=inner["captured"]["utc_ms"],
        received_ms=inner["received"]["utc_ms"],
        body=inner["body"],
        signed=signed,
    )
