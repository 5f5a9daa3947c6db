"""A read on its way through the node: one type for each guarantee it has gained.

    Arrival, RawRead | SignOfLife   the bytes were understood                    made by capture.dialects (edge.claim)
    Read                            the claim is accepted                        made by edge.admit
    Evidence                        every image is inside its legal cap          made by compress.fit
    Record                          numbered, chained, signed, sealed, durable   made by edge.ledger

Pure values. None of them shows a plate or an image in its `repr`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum

from edge.camera import Camera
from edge.claim import Box, RawRead, Received, Role


class TimeSource(Enum):
    """Where a moment comes from; the words of the wire contract."""

    CAMERA_OFFSET = "camera_offset"
    CAMERA_ZONE = "camera_zone"
    ARRIVAL = "arrival"
    NODE = "node"


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
    could be told without keeping something from which a plate can be guessed. `passage_key`: the same for every message
    on one passage, where there may be several."""

    camera: Camera
    raw: RawRead
    vrm: str | None = field(repr=False)
    captured: Captured
    received: Received
    clock_skew_ms: int | None
    repeat_key: bytes | None = field(repr=False)
    passage_key: bytes | None = field(default=None, repr=False)


class BoxBy(Enum):
    """Who said where the plate is: the camera, or a locator of ours that may be wrong."""

    CAMERA = "camera"
    PROPOSED = "proposed"


@dataclass(frozen=True, slots=True)
class AlteredSurround:
    """What was done to the scene round the vehicle, in px of the JPEG that travels. `mode`: soften or mask.
    `sigma_x100`: the blur in hundredths of a px, 0 where it is masked. `region`: what was left as it was."""

    mode: str
    sigma_x100: int
    region: Box = field(repr=False)
    box: BoxBy


@dataclass(frozen=True, slots=True)
class FittedImage:
    """A JPEG inside its cap, without metadata. `quality` is None where nothing was encoded anew, `surround` where the
    scene is as the camera saw it."""

    role: Role
    jpeg: bytes = field(repr=False)
    width_px: int
    height_px: int
    quality: int | None
    encodes: int
    actions: tuple[str, ...]
    source_width_px: int
    source_height_px: int
    surround: AlteredSurround | None = None


@dataclass(frozen=True, slots=True)
class PictureMeasures:
    """Numbers of one picture before any cap. Those of the plate are None without a box inside the picture.

    `plate_width_px`, `plate_height_px`: in px of the camera's own picture, the part of the box inside it.
    `sharpness`, `plate_sharpness`: energy of the finest detail over luma variance, above 0 and seldom above 10, to be
    compared only with the same camera at the same `scale`; None where all is flat, or decoded below a half.
    `luma_p5`, `luma_p50`, `luma_p95`: 0 to 255. `clipped`: share of pixels at 250 or above. `saturation`: mean distance
    of the strongest from the weakest primary, 0 to 1. `plate_contrast`: p95 less p5 of luma inside the box, 0 to 1.
    `surround_contrast`: mean luma of the plate less that of the ring round it, -1 to 1. `infrared`: without colour.
    """

    scale: int
    plate_width_px: int | None
    plate_height_px: int | None
    sharpness: float | None
    plate_sharpness: float | None
    luma_p5: float
    luma_p50: float
    luma_p95: float
    clipped: float
    saturation: float
    plate_contrast: float | None
    surround_contrast: float | None
    infrared: bool


@dataclass(frozen=True, slots=True)
class Omitted:
    """An image that does not travel, and the stable word that says why."""

    role: Role
    reason: str


@dataclass(frozen=True, slots=True)
class Original:
    """What an image was when it came: role, SHA-256 and size. The image itself is gone. `grabbed_ms`: as RawImage."""

    role: Role
    sha256: bytes = field(repr=False)
    size_bytes: int
    grabbed_ms: int | None = None


@dataclass(frozen=True, slots=True)
class Evidence:
    """A read whose every image is inside its legal cap, or named as omitted. `measures`: of the overview as it came,
    for whoever watches the camera; they enter no record."""

    read: Read
    patch: FittedImage | Omitted
    overview: FittedImage | Omitted
    originals: tuple[Original, ...]
    measures: PictureMeasures | None = None


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
