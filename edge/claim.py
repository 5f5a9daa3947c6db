"""What a camera claims, as it was understood and before it is believed: arrivals, reads, signs of life, verdicts.

Pure values. None of them shows a plate or an image in its `repr`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum


class Role(Enum):
    PLATE_PATCH = "plate_patch"
    OVERVIEW = "overview"


class Direction(Enum):
    TOWARD = "toward"
    AWAY = "away"


class Way(Enum):
    """What carried a delivery to the node."""

    HTTP_PUSH = "http_push"
    HTTP_PULL = "http_pull"
    TCP_STREAM = "tcp_stream"
    FTP_DROP = "ftp_drop"
    SERIAL_LINE = "serial_line"
    MQTT_EVENTS = "mqtt_events"


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
    """A delivery's coming: when, on which way, from which address, to which path.

    `camera`: the id of the camera whose own line it came on (one that the node called, or that logged in by name);
    None where address and path must tell.
    """

    received: Received
    address: str = field(repr=False)
    path: str = field(repr=False)
    way: Way = Way.HTTP_PUSH
    camera: str | None = None


@dataclass(frozen=True, slots=True)
class Box:
    """A rectangle in source pixels: left, top, width, height."""

    left_px: int
    top_px: int
    width_px: int
    height_px: int


@dataclass(frozen=True, slots=True)
class ScaledBox:
    """A rectangle in a vendor's own units, `scale` of which span the whole picture in either direction (1, 1000, 8192,
    10000): left, top, width, height."""

    left: float
    top: float
    width: float
    height: float
    scale: float

    def in_px(self, width_px: int, height_px: int) -> Box:
        """The same in pixels of a picture of that size."""
        across, down = width_px / self.scale, height_px / self.scale
        return Box(
            round(self.left * across), round(self.top * down), round(self.width * across), round(self.height * down)
        )


@dataclass(frozen=True, slots=True)
class RawImage:
    """An image as the camera sent it; in memory only. `plate_box`: where the plate is in it, if the camera said.
    `grabbed_ms`: of a frame that the node took from the camera's stream itself, its time less the vehicle's."""

    role: Role
    data: bytes = field(repr=False)
    plate_box: Box | ScaledBox | None = None
    grabbed_ms: int | None = None


class Stage(Enum):
    """Which of several messages on one passage a read is."""

    FIRST = "first"
    UPDATE = "update"
    LAST = "last"


@dataclass(frozen=True, slots=True)
class Heard:
    """The camera's own words, as they stood, beside what was made of them; None where it said none or nothing was
    lost in the making. `confidence` with its scale, as in `0.73/1`; `plate_box` with its unit: `12,40,80,20/1000`."""

    confidence: str | None = None
    direction: str | None = None
    country: str | None = None
    plate_box: str | None = None


@dataclass(frozen=True, slots=True)
class RawRead:
    """What a camera claims, understood but not believed.

    `time` is aware when the camera declared a zone, naive when it did not, None when it gave none. `vendor_id` is the
    camera's own identity for this message, the same on a repeat; a dialect never puts the plate in it. `passage` is its
    identity for the vehicle's passage where several messages may speak of one, and `stage` which of them this is.
    `country` is ISO 3166-1 alpha-3 where that is certain.
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
    passage: str | None = None
    stage: Stage | None = None
    heard: Heard = Heard()
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
