"""A read on its way through the node: one type for each guarantee it has gained.

    Arrival, RawRead | SignOfLife   the bytes were understood                    made by capture.dialects
    Read                            the claim is accepted                        made by edge.admit
    Evidence                        every image is inside its legal cap          made by compress.fit
    Record                          numbered, chained, signed, sealed, durable   made by edge.ledger

Pure values. None of them shows a plate or an image in its `repr`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum

from edge.camera import Camera


class Role(Enum):
    PLATE_PATCH = "plate_patch"
    OVERVIEW = "overview"


class Direction(Enum):
    TOWARD = "toward"
    AWAY = "away"


class TimeSource(Enum):
    """Where a moment comes from; the words of the wire contract."""

    CAMERA_OFFSET = "camera_offset"
    CAMERA_ZONE = "camera_zone"
    ARRIVAL = "arrival"
    NODE = "node"


class ClockState(Enum):
    SYNCHRONISED = "synchronised"
    UNSYNCHRONISED = "unsynchronised"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Received:
    """When the node had something, and how far its clock may be out (`bound_ms`, None: nobody can say)."""

    utc_ms: int
    bound_ms: int | None
    clock: ClockState
    mono_ns: int
    boot_id: str


@dataclass(frozen=True, slots=True)
class Arrival:
    """A delivery's coming: when, from which address, to which path."""

    received: Received
    address: str = field(repr=False)
    path: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Box:
    """A rectangle in source pixels: left, top, width, height."""

    left_px: int
    top_px: int
    width_px: int
    height_px: int


@dataclass(frozen=True, slots=True)
class RawImage:
    """An image as the camera sent it; in memory only. `plate_box`: where the plate is in it, if the camera said."""

    role: Role
    data: bytes = field(repr=False)
    plate_box: Box | None = None


@dataclass(frozen=True, slots=True)
class RawRead:
    """What a camera claims, understood but not believed.

    `time` is aware when the camera declared a zone, naive when it did not, None when it gave none. `vendor_id` is the
    camera's own identity for the passage, the same on a repeat; a dialect never puts the plate in it.
    """

    dialect: str
    dialect_version: int
    camera_identity: str | None = field(repr=False)
    vendor_id: str | None
    plate_heard: str = field(repr=False)
    confidence: int | None
    country: str | None
    direction: Direction | None
    lane: str | None
    time: datetime | None
    time_heard: str | None
    images: tuple[RawImage, ...]
    revises: str | None = None
    test: bool = False


class Life(Enum):
    HEARTBEAT = "heartbeat"
    OTHER_EVENT = "other_event"


@dataclass(frozen=True, slots=True)
class SignOfLife:
    """A message that is not a read. `what` is the vendor's word for it, bounded; it is answered and counted."""

    life: Life
    what: str
    camera_identity: str | None = field(repr=False)


@dataclass(frozen=True, slots=True)
class Captured:
    """When the vehicle passed. `bound_ms`: the greatest error, or None where nobody can say."""

    utc_ms: int
    bound_ms: int | None
    source: TimeSource
    heard: str | None


@dataclass(frozen=True, slots=True)
class Read:
    """A claim the node accepts: a known, authorised camera, a plausible time. `repeat_key` is None where no repeat
    could be told without keeping something from which a plate can be guessed."""

    camera: Camera
    raw: RawRead
    vrm: str | None = field(repr=False)
    captured: Captured
    received: Received
    clock_skew_ms: int | None
    repeat_key: bytes | None = field(repr=False)


@dataclass(frozen=True, slots=True)
class FittedImage:
    """A JPEG inside its cap, without metadata. `quality` is None where nothing was encoded anew."""

    role: Role
    jpeg: bytes = field(repr=False)
    width_px: int
    height_px: int
    quality: int | None
    encodes: int
    actions: tuple[str, ...]
    source_width_px: int
    source_height_px: int


@dataclass(frozen=True, slots=True)
class Omitted:
    """An image that does not travel, and the stable word that says why."""

    role: Role
    reason: str


@dataclass(frozen=True, slots=True)
class Original:
    """What an image was when it came: role, SHA-256 and size. The image itself is gone."""

    role: Role
    sha256: bytes = field(repr=False)
    size_bytes: int


@dataclass(frozen=True, slots=True)
class Evidence:
    """A read whose every image is inside its legal cap, or named as omitted."""

    read: Read
    patch: FittedImage | Omitted
    overview: FittedImage | Omitted
    originals: tuple[Original, ...]


class Kind(Enum):
    READ = "read"
    OVERVIEW = "overview"
    ACT = "act"


@dataclass(frozen=True, slots=True)
class Record:
    """One durable record as it is forwarded: its number, its kind, and the sealed bytes that only the store opens."""

    row: int
    epoch: bytes = field(repr=False)
    seq: int
    kind: Kind
    received_ms: int
    sealed: bytes = field(repr=False)


class Outcome(Enum):
    """What became of something a camera sent."""

    STORED = "stored"
    REPEATED = "repeated"  # held already: the camera hears "stored" again
    HEARD = "heard"  # a sign of life
    DROPPED = "dropped"  # a vehicle without a read, where the camera is configured to keep none
    REFUSED = "refused"
    LATER = "later"


@dataclass(frozen=True, slots=True)
class Verdict:
    """The answer to a camera. `reason` is a stable word, set for REFUSED and LATER."""

    outcome: Outcome
    reason: str = ""
