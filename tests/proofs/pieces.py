"""What the proofs store: keys, a clock, evidence drawn from a seed, and the real ledger over a folder of its own."""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date
from ipaddress import ip_network
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from typing import Any
from zoneinfo import ZoneInfo

import cbor2
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from edge.admit import repeat_key
from edge.camera import Authorisation, Camera, TimePolicy
from edge.claim import ClockState, RawImage, RawRead, Received, Role
from edge.clock import Clock, ClockQuality
from edge.ledger import Ledger
from edge.read import Captured, Evidence, FittedImage, Omitted, Original, Read, TimeSource
from edge.seal import SUITE, sealer
from edge.sign import RECORD_TYPE, decode, encode, held_signer, open_signed

NODE = "node-a"
NOW_MS = 1_767_225_600_000  # 2026-01-01T00:00:00Z
MEMORY = Path("/dev/shm")  # what a cut leaves is computed, so that no proof needs a real disk's speed

SIGN = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
_SIGNER = held_signer(SIGN)
SEAL = X25519PrivateKey.from_private_bytes(bytes(range(64, 96)))
_CAMERA = Camera(
    id="cam-north",
    dialect="generic",
    networks=(ip_network("192.0.2.10/32"),),
    identity=None,
    path=None,
    lane=None,
    zone=ZoneInfo("Europe/London"),
    time=TimePolicy.CAMERA_OFFSET,
    plausible_past_s=3600,
    plausible_future_s=120,
    keep_unread=True,
    position=None,
    authorisation=Authorisation("AUTH-1", date(2026, 1, 1), date(2026, 12, 31)),
)


@dataclass(frozen=True, slots=True)
class Opened:
    """A sealed record as the store would have it. `digest`: SHA-256 of the signed bytes."""

    digest: bytes = field(repr=False)
    payload: dict[str, Any] = field(repr=False)


def unseal(sealed: bytes) -> Opened:
    """Opened and verified; raises where the store could not. The place outside must be the one that was signed."""
    outer = decode(sealed)
    info = encode(["anpr-seal-v1", outer["node"], outer["epoch"], outer["seq"], outer["kind"], outer["kid"]])
    signed = SUITE.decrypt(outer["ct"], SEAL, info=info)
    payload, _ = open_signed(signed, RECORD_TYPE, {_SIGNER.kid: _SIGNER.verifier})
    inner = cbor2.loads(payload)
    if any(inner[name] != outer[name] for name in ("node", "epoch", "seq", "kind")):
        raise ValueError("a record is not what it says outside")
    return Opened(hashlib.sha256(signed).digest(), inner)


def evidence(chance: Random, name: str, most_bytes: int = 6000) -> Evidence:
    """A passage by this name, with a patch, and an overview of up to `most_bytes` in two of three.

    The pictures are random bytes: the ledger never looks into them, and random ones cannot fit together by accident.
    """
    small, large = chance.randbytes(chance.randint(200, 2000)), chance.randbytes(chance.randint(500, most_bytes))
    raw = RawRead(
        dialect="generic",
        dialect_version=1,
        camera_identity=None,
        vendor_id=name,
        plate_heard="ZZ99 QXJ",
        confidence=90,
        country=None,
        direction=None,
        lane=None,
        time=None,
        time_heard="2025-12-31T23:59:59Z",
        images=(RawImage(Role.OVERVIEW, large),),
    )
    received = Received(NOW_MS, 5, ClockState.SYNCHRONISED, NOW_MS * 1_000_000, "boot-1")
    captured = Captured(NOW_MS - 1000, None, TimeSource.CAMERA_OFFSET, raw.time_heard)
    read = Read(_CAMERA, raw, "ZZ99QXJ", captured, received, -1000, repeat_key(raw, _CAMERA))
    patch = FittedImage(Role.PLATE_PATCH, small, 96, 32, 60, 1, ("recompressed",), 320, 180)
    whole = FittedImage(Role.OVERVIEW, large, 320, 180, 60, 1, ("recompressed",), 320, 180)
    original = Original(Role.OVERVIEW, hashlib.sha256(large).digest(), len(large))
    overview = whole if chance.random() < 0.67 else Omitted(Role.OVERVIEW, "not_sent")
    return Evidence(read, patch, overview, (original,))


def open_ledger(state: Path, chance: Random, max_bytes: int = 64_000_000, node: str = NODE) -> Ledger:
    """The real ledger; its epochs and its clock come from the seed. Its keys are always the same."""
    ticks, mono = itertools.count(NOW_MS), itertools.count(0, 1_000_000)
    quality = ClockQuality(ClockState.SYNCHRONISED, 5)
    return Ledger.open(
        state,
        node=node,
        signer=_SIGNER,
        sealer=sealer(node, SEAL.public_key()),
        clock=Clock(lambda: next(ticks), lambda: next(mono), lambda: quality, boot="boot-1"),
        max_bytes=max_bytes,
        config_digest="sha256:00",
        random_bytes=chance.randbytes,
    )


@contextmanager
def workplace() -> Iterator[Path]:
    """A folder in memory where there is one, gone afterwards."""
    with TemporaryDirectory(prefix="anpr-proof-", dir=MEMORY if MEMORY.is_dir() else None) as folder:
        yield Path(folder)
