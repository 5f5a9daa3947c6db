"""Builders that several tests share, as fixtures: cameras, reads, evidence, keys and ledgers. All real, nothing mocked.

Each builder takes only what a test is about; the rest stays the same.
"""

from __future__ import annotations

import hashlib
import io
import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime
from ipaddress import ip_network
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import cbor2
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from PIL import Image

from edge.admit import repeat_key
from edge.camera import Authorisation, Camera, TimePolicy
from edge.claim import Arrival, ClockState, RawImage, RawRead, Received, Role
from edge.clock import Clock, ClockQuality
from edge.ledger import Ledger
from edge.read import Captured, Evidence, FittedImage, Omitted, Original, Read, TimeSource
from edge.seal import SUITE, Sealer, sealer
from edge.sign import RECORD_TYPE, HeldSigner, decode, encode, held_signer, open_signed

SHARED = Path(__file__).resolve().parents[1].parent / "shared"
NODE = "node-a"
NOW_MS = 1_767_225_600_000  # 2026-01-01T00:00:00Z
PLATE = "ZZ99 QXJ"
"""A plate that looks like one and stands in no other text, so that a file can be searched for it."""


@pytest.fixture(scope="session")
def vectors_folder() -> Path:
    """The public vectors beside the repository; the test is skipped, and says so, where they are not."""
    folder = SHARED / "vectors"
    if not folder.is_dir():
        pytest.skip(f"no public vectors: {folder} is absent")
    return folder


@pytest.fixture(scope="session")
def make_jpeg() -> Callable[[int, int], bytes]:
    """A real JPEG of this width and height in pixels, plain, without metadata."""

    def make(width_px: int, height_px: int) -> bytes:
        out = io.BytesIO()
        Image.linear_gradient("L").resize((width_px, height_px)).convert("RGB").save(out, "JPEG", quality=60)
        return out.getvalue()

    return make


@pytest.fixture
def camera() -> Camera:
    """A camera at 192.0.2.10, authorised in all of 2026, its clock in London."""
    return Camera(
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


@pytest.fixture
def make_received() -> Callable[..., Received]:
    def make(utc_ms: int = NOW_MS, **change: Any) -> Received:
        return replace(Received(utc_ms, 5, ClockState.SYNCHRONISED, utc_ms * 1_000_000, "boot-1"), **change)

    return make


@pytest.fixture
def make_arrival(make_received: Callable[..., Received]) -> Callable[..., Arrival]:
    def make(utc_ms: int = NOW_MS, address: str = "192.0.2.10", path: str = "/") -> Arrival:
        return Arrival(make_received(utc_ms), address, path)

    return make


@pytest.fixture
def make_raw() -> Callable[..., RawRead]:
    """A camera's claim of one plate a second before `NOW_MS`; any field may be given otherwise."""
    plain = RawRead(
        dialect="generic",
        dialect_version=1,
        camera_identity=None,
        vendor_id=None,
        plate_heard=PLATE,
        confidence=90,
        country=None,
        direction=None,
        lane=None,
        time=datetime.fromtimestamp(NOW_MS / 1000 - 1, UTC),
        time_heard="2025-12-31T23:59:59Z",
        images=(),
    )

    def make(**change: Any) -> RawRead:
        return replace(plain, **change)

    return make


@pytest.fixture
def make_evidence(
    camera: Camera,
    make_raw: Callable[..., RawRead],
    make_received: Callable[..., Received],
    make_jpeg: Callable[[int, int], bytes],
) -> Callable[..., Evidence]:
    """Evidence of one passage. `passage` becomes the camera's own identity for it, None leaves it without one."""
    patch_jpeg, overview_jpeg = make_jpeg(96, 32), make_jpeg(320, 180)

    def make(passage: int | str | None = None, *, overview: bool = True, plate: str = PLATE) -> Evidence:
        raw = make_raw(
            vendor_id=None if passage is None else f"passage-{passage}",
            plate_heard=plate,
            images=(RawImage(Role.OVERVIEW, overview_jpeg),),
        )
        key = repeat_key(raw, camera) if passage is not None else None
        captured = Captured(NOW_MS - 1000, None, TimeSource.CAMERA_OFFSET, raw.time_heard)
        read = Read(camera, raw, plate.replace(" ", ""), captured, make_received(), -1000, key)
        patch = FittedImage(Role.PLATE_PATCH, patch_jpeg, 96, 32, 60, 1, ("cropped", "recompressed"), 320, 180)
        whole = FittedImage(Role.OVERVIEW, overview_jpeg, 320, 180, 60, 1, ("recompressed",), 320, 180)
        original = Original(Role.OVERVIEW, hashlib.sha256(overview_jpeg).digest(), len(overview_jpeg))
        return Evidence(read, patch, whole if overview else Omitted(Role.OVERVIEW, "not_sent"), (original,))

    return make


@dataclass(frozen=True, slots=True)
class Keys:
    """A node's signing key and both halves of a store's sealing key."""

    signer: HeldSigner
    seal: X25519PrivateKey = field(repr=False)
    sealer: Sealer

    def unseal(self, sealed: bytes) -> tuple[bytes, Any]:
        """The signed bytes and the payload of a sealed record, checked as a store would check them."""
        outer = decode(sealed)
        info = encode(["anpr-seal-v1", outer["node"], outer["epoch"], outer["seq"], outer["kind"], outer["kid"]])
        signed = SUITE.decrypt(outer["ct"], self.seal, info=info)
        payload, _ = open_signed(signed, RECORD_TYPE, {self.signer.kid: self.signer.verifier})
        inner = cbor2.loads(payload)
        assert all(inner[name] == outer[name] for name in ("node", "epoch", "seq", "kind"))
        return signed, inner


@pytest.fixture(scope="session")
def keys() -> Keys:
    seal = X25519PrivateKey.from_private_bytes(bytes(range(64, 96)))
    signer = held_signer(Ed25519PrivateKey.from_private_bytes(bytes(range(32))))
    return Keys(signer, seal, sealer(NODE, seal.public_key()))


@pytest.fixture
def clock() -> Clock:
    """A clock that goes one millisecond on at each look."""
    ticks = itertools.count(NOW_MS)
    mono = itertools.count(0, 1_000_000)
    quality = ClockQuality(ClockState.SYNCHRONISED, 5)
    return Clock(lambda: next(ticks), lambda: next(mono), lambda: quality, boot="boot-1")


@pytest.fixture
def open_ledger(tmp_path: Path, keys: Keys, clock: Clock) -> Iterator[Callable[..., Ledger]]:
    """Opens the ledger in a state folder, by default `tmp_path/state`; what is still open at the end is closed."""
    opened: list[Ledger] = []

    def make(state: Path | None = None, max_bytes: int = 64_000_000, **change: Any) -> Ledger:
        given: dict[str, Any] = {
            "node": NODE,
            "signer": keys.signer,
            "sealer": keys.sealer,
            "clock": clock,
            "max_bytes": max_bytes,
            "config_digest": "sha256:00",
        }
        ledger = Ledger.open(state or tmp_path / "state", **(given | change))
        opened.append(ledger)
        return ledger

    yield make
    for ledger in opened:
        ledger.close()
