"""What a known camera sent and nobody understood, kept for an engineer: text alone, sealed, bounded, for some days.

Only of cameras that are authorised at that moment. What may not happen here: a picture on the disk, a word in the
clear, a delivery of a stranger, a folder that grows, a card worn out by a camera that repeats itself.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey

from capture.delivery import Delivery
from capture.redact import text_only
from edge.admit import utc_day
from edge.camera import AuthorisationState, Camera
from edge.errors import Tampered
from edge.schema import sync_directory
from edge.seal import SUITE
from edge.sign import decode, encode, key_id

FOLDER = "quarantine"
SUFFIX = ".sealed"
MOST_FILES = 100
MOST_BYTES = 4_000_000
KEPT_FOR_MS = 7 * 24 * 3600 * 1000
EVERY_MS = 60_000
"""Between two of the same camera and reason: one tells as much as a thousand."""

_MOST_IN_HAND = 4  # each holds its delivery, pictures and all, until it is written

_LABEL = "anpr-quarantine-v1"

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Entry:
    """What can be seen without the key."""

    id: str
    at_ms: int
    camera: str
    way: str
    reason: str
    size_bytes: int


@dataclass(slots=True)
class Quarantine:
    """The folder, and the engineers' public key. `counts`: kept, and left out because one of the kind was just kept."""

    folder: Path
    key: X25519PublicKey = field(repr=False)
    counts: dict[str, int] = field(default_factory=lambda: {"kept": 0, "left_out": 0, "failed": 0})
    _last_ms: dict[tuple[str, str], int] = field(default_factory=dict)
    _writes: set[asyncio.Task[None]] = field(default_factory=set)
    _one_by_one: asyncio.Lock = field(default_factory=asyncio.Lock)

    def set_aside(self, delivery: Delivery, camera: Camera, reason: str) -> None:
        """Keep it, in a thread; the camera's answer does not wait for it. To be called in the event loop."""
        now_ms = delivery.arrival.received.utc_ms
        if camera.authorisation.state(utc_day(now_ms)) is not AuthorisationState.AUTHORISED:
            return
        last_ms = self._last_ms.get((camera.id, reason))
        lately = last_ms is not None and 0 <= now_ms - last_ms < EVERY_MS
        if lately or len(self._writes) >= _MOST_IN_HAND:
            self.counts["left_out"] += 1
            return
        self._last_ms[camera.id, reason] = now_ms
        task = asyncio.create_task(self._keep(delivery, camera, reason))
        self._writes.add(task)
        task.add_done_callback(self._writes.discard)

    async def _keep(self, delivery: Delivery, camera: Camera, reason: str) -> None:
        try:
            async with self._one_by_one:
                await asyncio.to_thread(keep, self.folder, self.key, delivery, camera.id, reason)
        except OSError as problem:
            self.counts["failed"] += 1
            log.warning("a delivery could not be put into quarantine: %s", problem.strerror)
        else:
            self.counts["kept"] += 1

    async def forget_old(self, now_ms: int) -> None:
        """What is too old goes, also where nothing new comes."""
        async with self._one_by_one:
            await asyncio.to_thread(forget_old, self.folder, now_ms)

    async def settled(self) -> None:
        """Wait until what was set aside is on the disk."""
        await asyncio.gather(*self._writes)


def keep(folder: Path, key: X25519PublicKey, delivery: Delivery, camera: str, reason: str) -> Entry:
    """Seal a delivery's texts into a file of its own, durable on return; the oldest make room. Raises OSError."""
    folder.mkdir(mode=0o700, exist_ok=True)
    at_ms = delivery.arrival.received.utc_ms
    _make_room(folder, at_ms)
    entry = Entry(_free_id(folder, at_ms), at_ms, camera, delivery.arrival.way.value, reason, len(delivery.body))
    kid = key_id(key.public_bytes_raw())
    told = {
        "content_type": delivery.content_type[:200],
        "query": delivery.query[:4000],
        "name": delivery.name[:500],
        "path": delivery.arrival.path[:500],
        "body": text_only(delivery.body),
    }
    outside = {"v": 1, "kid": kid, **_outside(entry)}
    content = encode(outside | {"ct": SUITE.encrypt(encode(told), key, info=encode([_LABEL, outside]))})
    new = folder / (entry.id + ".new")
    handle = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(handle, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    new.replace(folder / (entry.id + SUFFIX))
    sync_directory(folder)
    return entry


def entries(folder: Path) -> Iterator[tuple[Entry, Path]]:
    """What is kept, oldest first; a file that is none of ours is passed over."""
    for path in sorted(folder.glob("*" + SUFFIX)):
        try:
            outer = _outer(path)
            yield Entry(path.stem, *(outer[name] for name in ("at_ms", "camera", "way", "reason", "bytes"))), path
        except (Tampered, OSError, KeyError):
            continue


def opened(path: Path, key: X25519PrivateKey) -> dict[str, Any]:
    """`content_type`, `query`, `name`, `path` and `body` (text alone). Raises `Tampered` where it is another key's."""
    outer = _outer(path)
    sealed = outer.pop("ct", b"")
    try:
        told: dict[str, Any] = decode(SUITE.decrypt(sealed, key, info=encode([_LABEL, outer])))
    except (InvalidTag, ValueError):
        raise Tampered(f"{path.name} is not sealed to this key", "name the engineers' private key") from None
    return told


def _outer(path: Path) -> dict[str, Any]:
    outer = decode(path.read_bytes())
    if not isinstance(outer, dict):
        raise Tampered(f"{path.name} is no quarantined delivery")
    return outer


def _outside(entry: Entry) -> dict[str, Any]:
    return {
        "at_ms": entry.at_ms,
        "camera": entry.camera,
        "way": entry.way,
        "reason": entry.reason,
        "bytes": entry.size_bytes,
    }


def _free_id(folder: Path, at_ms: int) -> str:
    n = 0
    while (folder / f"{at_ms}-{n}{SUFFIX}").exists():
        n += 1
    return f"{at_ms}-{n}"


def forget_old(folder: Path, now_ms: int) -> None:
    """Remove what is older than `KEPT_FOR_MS`. Raises OSError."""
    if folder.is_dir():
        _make_room(folder, now_ms, more=0)


def _make_room(folder: Path, now_ms: int, more: int = 1) -> None:
    """Remove what is too old, then the oldest, until so many more fit; and what a power cut left half written."""
    for left in folder.glob("*.new"):
        left.unlink(missing_ok=True)
    kept = sorted((path, path.stat().st_size) for path in folder.glob("*" + SUFFIX))
    size_bytes = sum(size for _, size in kept)
    while kept:
        path, size = kept[0]
        begun = path.stem.partition("-")[0]
        old = not begun.isdigit() or now_ms - int(begun) > KEPT_FOR_MS
        if not old and len(kept) + more <= MOST_FILES and size_bytes <= MOST_BYTES:
            return
        path.unlink(missing_ok=True)
        size_bytes -= size
        kept.pop(0)
