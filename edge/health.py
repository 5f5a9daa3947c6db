"""How cameras and node are: reachable, delivering, last read. Pure bookkeeping; numbers and words only.

A camera that is connected is not thereby seeing: each of these is kept apart. No plate comes in here.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from statistics import median, mode
from typing import Any

from edge.claim import Outcome, Received, Verdict
from edge.read import Evidence, FittedImage, PictureMeasures, Read


class CameraState(Enum):
    UP = "up"
    SILENT = "silent"  # answers, but delivers nothing
    DOWN = "down"  # does not answer
    UNKNOWN = "unknown"  # nothing was heard yet and nothing says that it should have been


PICTURES = 50
"""So many of a camera's last pictures are summed up: enough that a lorry is not a covered lens."""


@dataclass(frozen=True, slots=True)
class Picture:
    """Numbers of one overview: as it came, and the quality it travels with (None: as the camera coded it)."""

    measures: PictureMeasures
    quality: int | None


READS, FRAMES = "reads", "frames"
"""The lines there may be to one camera: that on which its reads come, and that of its frames."""


@dataclass(slots=True)
class Link:
    """The line to a camera that the node calls, or that stays open: `why` it is down (a stable word of capture.links),
    None while it is up; `lost` counts how often it went down."""

    why: str | None
    since_ns: int
    lost: int = 0


_WORD = {Outcome.STORED: "stored", Outcome.REPEATED: "repeated", Outcome.REFUSED: "refused"}


@dataclass(slots=True)
class CameraHealth:
    """One camera's ages and counts. `reachable` is set by a probe; None means that none is configured."""

    id: str
    silent_after_s: int
    since_mono_ns: int
    reachable: bool | None = None
    last_delivery_ns: int | None = None
    last_read_ns: int | None = None
    counts: Counter[str] = field(default_factory=Counter)
    reasons: Counter[str] = field(default_factory=Counter)
    clock_skew_ms: int | None = None
    links: dict[str, Link] = field(default_factory=dict)
    pictures: deque[Picture] = field(default_factory=lambda: deque(maxlen=PICTURES))

    def heard(self, received: Received) -> None:
        self.last_delivery_ns = received.mono_ns

    def read(self, verdict: Verdict, read: Read) -> None:
        self.last_delivery_ns = read.received.mono_ns
        self.clock_skew_ms = read.clock_skew_ms
        self.counts[_WORD.get(verdict.outcome, "other")] += 1
        if read.vrm is None:
            self.counts["unread"] += 1
        if verdict.outcome is Outcome.STORED:
            self.last_read_ns = read.received.mono_ns

    def saw(self, evidence: Evidence) -> None:
        """Keep the numbers of the overview; no picture and no plate."""
        overview = evidence.overview
        if evidence.measures is not None and isinstance(overview, FittedImage):
            self.pictures.append(Picture(evidence.measures, overview.quality))

    def refused(self, reason: str) -> None:
        self.counts["refused"] += 1
        self.reasons[reason] += 1

    def linked(self, line: str, now_ns: int) -> None:
        """A line is up."""
        before = self.links.get(line)
        self.links[line] = Link(None, now_ns, before.lost if before else 0)

    def unlinked(self, line: str, why: str, now_ns: int) -> None:
        """A line is down; told again while it is, only the word may change."""
        before = self.links.get(line)
        if before is not None and before.why is not None:
            before.why = why
        else:
            self.links[line] = Link(why, now_ns, 1 + (before.lost if before else 0))

    def delivering(self, now_ns: int) -> bool:
        return self.last_delivery_ns is not None and now_ns - self.last_delivery_ns <= self.silent_after_s * 10**9

    def state(self, now_ns: int) -> CameraState:
        if self.delivering(now_ns):
            return CameraState.UP
        if self.reachable is False:
            return CameraState.DOWN
        waited = now_ns - (self.last_delivery_ns or self.since_mono_ns) > self.silent_after_s * 10**9
        return CameraState.SILENT if waited else CameraState.UNKNOWN

    def report(self, now_ns: int, authorised: bool) -> dict[str, Any]:
        """The `health/camera` message of wire.md 3.4, less its time."""
        return {
            "state": self.state(now_ns).value,
            "reachable": self.reachable,
            "delivering": self.delivering(now_ns),
            "last_delivery_age_s": _age_s(self.last_delivery_ns, now_ns),
            "last_read_age_s": _age_s(self.last_read_ns, now_ns),
            "reads": {word: self.counts[word] for word in ("stored", "repeated", "refused", "unread")},
            "clock_skew_ms": self.clock_skew_ms,
            "authorised": authorised,
            "link": self._link(READS, now_ns),
            "frames": self._link(FRAMES, now_ns),
            "picture": summed_up(list(self.pictures)),
        }

    def _link(self, line: str, now_ns: int) -> dict[str, Any] | None:
        link = self.links.get(line)
        if link is None:
            return None
        return {"up": link.why is None, "why": link.why, "age_s": _age_s(link.since_ns, now_ns), "lost": link.lost}


@dataclass(frozen=True, slots=True)
class Lines:
    """What sources say of their lines, to each camera's health. `line`: READS or FRAMES; `mono_ns`: the clock."""

    health: Mapping[str, CameraHealth]
    line: str
    mono_ns: Callable[[], int]

    def up(self, camera: str) -> None:
        self.health[camera].linked(self.line, self.mono_ns())

    def down(self, camera: str, why: str) -> None:
        self.health[camera].unlinked(self.line, why, self.mono_ns())


def summed_up(pictures: list[Picture]) -> dict[str, Any] | None:
    """Medians, each over the pictures that have the number (None: none has), and the share without colour.

    Sharpness is compared only at one scale: of the pictures at the scale that most of them were decoded at.
    """
    if not pictures:
        return None
    measures = [picture.measures for picture in pictures]
    scale = mode(one.scale for one in measures)
    return {
        "of": len(pictures),
        "scale": scale,
        "plate_width_px": _median(one.plate_width_px for one in measures),
        "sharpness": _median(one.sharpness for one in measures if one.scale == scale),
        "luma_p5": _median(one.luma_p5 for one in measures),
        "luma_p50": _median(one.luma_p50 for one in measures),
        "luma_p95": _median(one.luma_p95 for one in measures),
        "saturation": _median(one.saturation for one in measures),
        "contrast": _median(one.plate_contrast for one in measures),
        "infrared": round(sum(one.infrared for one in measures) / len(measures), 2),
        "quality": _median(picture.quality for picture in pictures),
    }


def _median(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return round(median(known), 4) if known else None


def _age_s(then_ns: int | None, now_ns: int) -> int | None:
    return None if then_ns is None else (now_ns - then_ns) // 10**9


def camera_summary(cameras: list[CameraHealth], now_ns: int) -> dict[str, int]:
    """How many cameras are up, down and silent, for the heartbeat."""
    states = Counter(camera.state(now_ns) for camera in cameras)
    return {state.value: states[state] for state in (CameraState.UP, CameraState.DOWN, CameraState.SILENT)}
