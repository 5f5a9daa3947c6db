"""The pictures that are measured: one set for time, at three exact sizes, and one for quality, in two halves.

Nothing is fetched and nothing is written inside the repository: made pictures are kept in the user's cache folder.
"""

from __future__ import annotations

import csv
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import Enum
from hashlib import sha256
from io import BytesIO
from pathlib import Path

from PIL import Image

from edge.claim import Box
from firmware_config.profile import Caps

IMAGES = Path(__file__).resolve().parents[2].parent / "shared" / "images"
OVERVIEW_CAP_BYTES = 25_000
CAPS = Caps(
    patch_max_width_px=120, patch_max_height_px=60, patch_max_bytes=3_000, overview_max_bytes=OVERVIEW_CAP_BYTES
)
_QUALITY_WIDTH_MIN_PX = 600
_TIMING_WIDTH_MIN_PX = 1200
_CAMERA_QUALITY = 92


class Half(Enum):
    """Constants are fitted on one half and reported on the other."""

    FIT = "fit"
    REPORT = "report"


@dataclass(frozen=True, slots=True)
class Picture:
    """A JPEG as a camera sends it, of `width_px` x `height_px`. `box`: the plate, in px of these pixels. `plate`: what
    stands on it, "" where nobody wrote that down."""

    name: str
    jpeg: bytes = field(repr=False)
    width_px: int
    height_px: int
    box: Box | None
    plate: str = field(default="", repr=False)

    @property
    def half(self) -> Half:
        return Half.FIT if sha256(self.name.encode()).digest()[0] % 2 == 0 else Half.REPORT


@dataclass(frozen=True, slots=True)
class Format:
    """One size of camera picture and the bytes a camera spends on it."""

    label: str
    width_px: int
    height_px: int
    bytes_min: int
    bytes_max: int


FORMATS = (
    Format("720x576", 720, 576, 50_000, 100_000),
    Format("1920x1080", 1920, 1080, 300_000, 420_000),
    Format("2592x1944", 2592, 1944, 600_000, 830_000),
)


def cache_dir() -> Path:
    """Where made pictures and results are kept; made if absent, never inside the repository."""
    base = os.environ.get("XDG_CACHE_HOME")
    folder = (Path(base) if base else Path.home() / ".cache") / "anpr-edge-benchmarks"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def corpus(images: Path = IMAGES) -> tuple[Picture, ...]:
    """Every picture of the corpus as a JPEG (a PNG is coded once, at quality 92), in the order of its table."""
    return tuple(_corpus_picture(images, row) for row in _rows(images))


def quality_set(images: Path = IMAGES) -> tuple[Picture, ...]:
    """The pictures that must shrink and show enough to judge: width >= 600 px, over 25,000 bytes, plate box known."""
    return tuple(
        picture
        for picture in corpus(images)
        if picture.width_px >= _QUALITY_WIDTH_MIN_PX and len(picture.jpeg) > OVERVIEW_CAP_BYTES and picture.box
    )


def timing_set(format: Format, count: int, images: Path = IMAGES) -> tuple[Picture, ...]:
    """Up to `count` pictures cropped and resized to exactly this format, in bytes a camera would send."""
    folder = cache_dir() / "timing" / format.label
    folder.mkdir(parents=True, exist_ok=True)
    found: list[Picture] = []
    for row in _rows(images):
        if len(found) == count:
            break
        if int(row["width"]) < _TIMING_WIDTH_MIN_PX:
            continue
        kept = folder / f"{row['file']}.jpg"
        if not kept.exists():
            kept.write_bytes(_as_camera(Image.open(images / row["file"]).convert("RGB"), format) or b"")
        if data := kept.read_bytes():  # an empty file says that no quality gives such bytes
            found.append(Picture(row["file"], data, format.width_px, format.height_px, None))
    return tuple(found)


def decoded(data: bytes) -> Image.Image:
    """The whole picture, RGB."""
    with Image.open(BytesIO(data)) as image:
        return image.convert("RGB")


def _rows(images: Path) -> Iterator[dict[str, str]]:
    with (images / "SOURCES.tsv").open(encoding="utf-8", newline="") as table:
        yield from csv.DictReader(table, delimiter="\t")


def _corpus_picture(images: Path, row: dict[str, str]) -> Picture:
    data = (images / row["file"]).read_bytes()
    if row["format"] != "JPEG":
        data = _coded(decoded(data), _CAMERA_QUALITY)
    box = Box(*(int(row[name]) for name in ("plate_x", "plate_y", "plate_w", "plate_h"))) if row["plate_w"] else None
    return Picture(row["file"], data, int(row["width"]), int(row["height"]), box, row["plate_text"])


def _as_camera(image: Image.Image, format: Format) -> bytes | None:
    """The middle of the picture at this format, with the quality that comes nearest to the middle of its bytes."""
    wide = min(image.width, round(image.height * format.width_px / format.height_px))
    high = min(image.height, round(image.width * format.height_px / format.width_px))
    left, top = (image.width - wide) // 2, (image.height - high) // 2
    sized = image.resize(
        (format.width_px, format.height_px), Image.Resampling.LANCZOS, (left, top, left + wide, top + high)
    )
    aim = (format.bytes_min + format.bytes_max) // 2
    low, above = 30, 98
    while above - low > 1:
        middle = (low + above) // 2
        low, above = (middle, above) if len(_coded(sized, middle)) <= aim else (low, middle)
    data = _coded(sized, low)
    return data if format.bytes_min <= len(data) <= format.bytes_max else None


def _coded(image: Image.Image, quality: int) -> bytes:
    out = BytesIO()
    # Cameras use the standard Huffman tables.
    image.save(out, "JPEG", quality=quality, subsampling="4:2:0")
    return out.getvalue()
