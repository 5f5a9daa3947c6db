"""The payload of a record, as wire.md 4.1 has it. Pure: values in, a map for deterministic CBOR out.

What may not happen here: a number, a time or a chain head being made up. Those come from the ledger's transaction.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from edge.claim import Received
from edge.read import AlteredSurround, Captured, Evidence, FittedImage, Kind, Omitted, Original, TimeSource

CHAIN_LABEL = b"anpr-chain-v1"
NO_HEAD = bytes(32)
"""`prev` of the first record of a node's life."""

Body = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Place:
    """Where a record stands: given in the transaction that stores it."""

    node: str
    epoch: bytes = field(repr=False)
    seq: int
    prev: bytes = field(repr=False)


def head_after(prev: bytes, digest: bytes) -> bytes:
    """The chain's head after the record with this digest (wire.md 4.2)."""
    return hashlib.sha256(CHAIN_LABEL + prev + digest).digest()


def payload(place: Place, kind: Kind, captured: Captured, received: Received, body: Body) -> Body:
    return {
        "v": 1,
        "node": place.node,
        "epoch": place.epoch,
        "seq": place.seq,
        "prev": place.prev,
        "kind": kind.value,
        "captured": {
            "utc_ms": captured.utc_ms,
            "bound_ms": captured.bound_ms,
            "source": captured.source.value,
            "heard": captured.heard,
        },
        "received": {
            "utc_ms": received.utc_ms,
            "bound_ms": received.bound_ms,
            "clock": received.clock.value,
            "mono_ns": received.mono_ns,
            "boot_id": received.boot_id,
        },
        "body": body,
    }


def read_body(evidence: Evidence, revises: tuple[bytes, int] | None = None) -> Body:
    """`revises`: epoch and seq of the first record on the same passage."""
    read, raw, camera = evidence.read, evidence.read.raw, evidence.read.camera
    position = camera.position
    body: Body = {
        "camera": camera.id,
        "vendor_id": raw.vendor_id,
        "lane": raw.lane if raw.lane is not None else camera.lane,
        "direction": raw.direction.value if raw.direction else None,
        "vrm": read.vrm,
        "vrm_heard": raw.plate_heard,
        "confidence": raw.confidence,
        "country": raw.country,
        "position": {"lat_e7": position.lat_e7, "lon_e7": position.lon_e7} if position else None,
        "authorisation": camera.authorisation.reference,
        "patch": _patch(evidence.patch),
        "overview": _overview(evidence.overview),
        "originals": [_original(original) for original in evidence.originals],
        "altered": [
            _alteration(image) for image in (evidence.patch, evidence.overview) if isinstance(image, FittedImage)
        ],
        "clock_skew_ms": read.clock_skew_ms,
        "dialect": {"name": raw.dialect, "version": raw.dialect_version},
    }
    words = {name: text for name, text in asdict(raw.heard).items() if text is not None}
    body |= {"heard": words} if words else {}
    body |= {"revises": list(revises)} if revises is not None else {}
    return body | {"test": True} if raw.test else body


def _original(original: Original) -> Body:
    told: Body = {"role": original.role.value, "sha256": original.sha256, "bytes": original.size_bytes}
    return told if original.grabbed_ms is None else told | {"grabbed_ms": original.grabbed_ms}


def _patch(image: FittedImage | Omitted) -> Body:
    return {"omitted": image.reason} if isinstance(image, Omitted) else {"jpeg": image.jpeg}


def _overview(image: FittedImage | Omitted) -> Body:
    if isinstance(image, Omitted):
        return {"omitted": image.reason}
    return {"sha256": hashlib.sha256(image.jpeg).digest(), "bytes": len(image.jpeg)}


def _alteration(image: FittedImage) -> Body:
    return {
        "role": image.role.value,
        "actions": list(image.actions),
        "from": [image.source_width_px, image.source_height_px],
        "to": [image.width_px, image.height_px],
        "quality": image.quality,
    } | ({} if image.surround is None else {"surround": _surround(image.surround)})


def _surround(altered: AlteredSurround) -> Body:
    region = altered.region
    return {
        "mode": altered.mode,
        "sigma_x100": altered.sigma_x100,
        "region": [region.left_px, region.top_px, region.width_px, region.height_px],
        "box": altered.box.value,
    }


def overview_body(of_seq: int, image: FittedImage) -> Body:
    return {"of": of_seq, "jpeg": image.jpeg}


def act_body(act: str, detail: Mapping[str, Any]) -> Body:
    return {"act": act, "detail": dict(detail)}


def at(received: Received) -> Captured:
    """The moment of the node's own act."""
    return Captured(received.utc_ms, received.bound_ms, TimeSource.NODE, None)
