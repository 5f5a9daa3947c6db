"""Every size with every table, each at the finest quantiser inside the cap: the best a picture can be, at any cost.

What `compress.fit` reaches is judged against this, and its constants are fitted on the results of one half. Results go
to a JSON-lines file in the cache folder, so that a run can be stopped and continued.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from enum import Enum
from functools import lru_cache
from hashlib import sha256
from io import BytesIO
from math import exp, log
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from tests.benchmarks.pictures import OVERVIEW_CAP_BYTES, Picture, cache_dir, decoded
from tests.benchmarks.quality import Judge, Quality

LONG_SIDES_PX = (1280, 1120, 960, 880, 800, 720, 640, 560, 480)
_VERSION = 2
_FLAT_LEVEL = 32
_CHROMA = 0.85
_K_MIN, _K_MAX = 0.1, 30.0
_K_STEP = 0.004

# ITU-T T.81, Annex K.1, row by row.
ANNEX_K_LUMA = (
    *(16, 11, 10, 16, 24, 40, 51, 61),
    *(12, 12, 14, 19, 26, 58, 60, 55),
    *(14, 13, 16, 24, 40, 57, 69, 56),
    *(14, 17, 22, 29, 51, 87, 80, 62),
    *(18, 22, 37, 56, 68, 109, 103, 77),
    *(24, 35, 55, 64, 81, 104, 113, 92),
    *(49, 64, 78, 87, 103, 121, 120, 101),
    *(72, 92, 95, 98, 112, 100, 103, 99),
)
ANNEX_K_CHROMA = (
    *(17, 18, 24, 47, 99, 99, 99, 99),
    *(18, 21, 26, 66, 99, 99, 99, 99),
    *(24, 26, 56, 99, 99, 99, 99, 99),
    *(47, 66, 99, 99, 99, 99, 99, 99),
    *(99,) * 32,
)
# Tuned towards MS-SSIM on the Kodak pictures: the numbers of mozjpeg's table 2.
MS_SSIM_LUMA = (
    *(12, 17, 20, 21, 30, 34, 56, 63),
    *(18, 20, 20, 26, 28, 51, 61, 55),
    *(19, 20, 21, 26, 33, 58, 69, 55),
    *(26, 26, 26, 30, 46, 87, 86, 66),
    *(31, 33, 36, 40, 46, 96, 100, 73),
    *(40, 35, 46, 62, 81, 100, 111, 91),
    *(46, 66, 76, 86, 102, 121, 120, 101),
    *(68, 90, 90, 96, 113, 102, 105, 103),
)


class Table(Enum):
    """`OWN` is the picture's own tables, tried at its own size alone: what is coarse already loses little more."""

    ANNEX_K = "annex-k"
    MS_SSIM = "ms-ssim"
    FLAT_25 = "flat-25"
    FLAT_50 = "flat-50"
    FLAT = "flat"
    OWN = "own"


@dataclass(frozen=True, slots=True)
class Candidate:
    """One picture at one size with one table. `k`: the scale of the table, larger is coarser; None where none fits."""

    name: str
    long_side_px: int
    source: bool
    ratio: str
    table: str
    k: float | None
    bytes: int
    ss2: float
    plate_ssim: float

    @property
    def j(self) -> float:
        return self.ss2 / 100 + self.plate_ssim


Tables = tuple[tuple[int, ...], ...]


def tables(table: Table, k: float, own: Tables = ()) -> Tables:
    """Luma and chroma tables, row by row, scaled by `k` and held to 1..255."""
    if table is Table.OWN:
        return tuple(_scaled_table(part, max(1.0, k)) for part in own)
    part = {Table.FLAT_25: 0.25, Table.FLAT_50: 0.5, Table.FLAT: 1.0}.get(table, 0.0)
    luma = MS_SSIM_LUMA if table is Table.MS_SSIM else ANNEX_K_LUMA
    blended = tuple((1 - part) * step + part * _FLAT_LEVEL for step in luma)
    # Annex K stays as every encoder scales it; the others spend a little more on colour.
    chroma = 1.0 if table is Table.ANNEX_K else _CHROMA
    return _scaled_table(blended, k), _scaled_table(ANNEX_K_CHROMA, k * chroma)


def encoded(image: Image.Image, quantisers: Tables) -> bytes:
    """Baseline JPEG, 4:2:0, Huffman tables of its own."""
    out = BytesIO()
    used = [list(part) for part in quantisers[: 1 if image.mode == "L" else 2]]
    image.save(out, "JPEG", qtables=used, optimize=True, subsampling="4:2:0")
    return out.getvalue()


def finest(image: Image.Image, table: Table, cap: int = OVERVIEW_CAP_BYTES, own: Tables = ()) -> tuple[float, bytes]:
    """The smallest scale within 0.4 % whose JPEG is inside the cap, and that JPEG; infinite and empty if none is."""
    fine, coarse = log(1.0 if table is Table.OWN else _K_MIN), log(_K_MAX)
    best: tuple[float, bytes] = (float("inf"), b"")
    if len(data := encoded(image, tables(table, exp(fine), own))) <= cap:
        return exp(fine), data
    if len(data := encoded(image, tables(table, exp(coarse), own))) > cap:
        return best
    best = (exp(coarse), data)
    while coarse - fine > _K_STEP:
        middle = (fine + coarse) / 2
        data = encoded(image, tables(table, exp(middle), own))
        if len(data) <= cap:
            coarse, best = middle, (exp(middle), data)
        else:
            fine = middle
    return best


def sizes(width_px: int, height_px: int) -> tuple[tuple[int, int], ...]:
    """The sizes tried, largest first: as it is if its long side is at most 1280, the fixed long sides, 1/2 and 1/4."""
    longest = max(width_px, height_px)
    sides = {side for side in LONG_SIDES_PX if side < longest} | {-(-longest // 2), -(-longest // 4)}
    sides = {side for side in sides if side >= LONG_SIDES_PX[-1] // 2}
    if longest <= LONG_SIDES_PX[0]:
        sides.add(longest)
    return tuple(_size(width_px, height_px, side) for side in sorted(sides, reverse=True))


def resized(image: Image.Image, size: tuple[int, int]) -> Image.Image:
    """By area where whole pixels meet, else by Lanczos."""
    if image.size == size:
        return image
    if image.width in (size[0] * 2, size[0] * 4):
        return Image.fromarray(cv2.resize(np.asarray(image), size, interpolation=cv2.INTER_AREA))
    return image.resize(size, Image.Resampling.LANCZOS)


def search(picture: Picture, wanted: Iterable[Table] = Table) -> Iterator[Candidate]:
    """Every candidate of one picture, from the cache where it is there; what is new is added to it."""
    kept = _cached(_cache_file())
    key = sha256(picture.jpeg).hexdigest()[:12]
    judge: Judge | None = None
    image = decoded(picture.jpeg)
    for size in sizes(*image.size):
        for table in wanted:
            if table is Table.OWN and size != image.size:
                continue
            mark = f"{_VERSION}/{key}/{max(size)}/{table.value}"
            if mark not in kept:
                judge = judge or _judge(picture, image)
                _keep(mark, _candidate(picture, image, size, table, judge))
                kept = _cached(_cache_file())
            yield kept[mark]


def _judge(picture: Picture, image: Image.Image) -> Judge:
    assert picture.box is not None
    return Judge(image, picture.box)


def _candidate(picture: Picture, image: Image.Image, size: tuple[int, int], table: Table, judge: Judge) -> Candidate:
    smaller = resized(_grey_if_neutral(image), size)
    k, data = finest(smaller, table, own=own_tables(picture.jpeg))
    score = judge.score_jpeg(data) if data else Quality(float("nan"), float("nan"))
    ratio = {1: "1:1", 2: "1:2", 4: "1:4"}.get(round(image.width / size[0], 2), "")  # type: ignore[call-overload]
    return Candidate(
        picture.name,
        max(size),
        size == image.size,
        ratio,
        table.value,
        k if data else None,
        len(data),
        score.ss2,
        score.plate_ssim,
    )


def own_tables(data: bytes) -> Tables:
    """The quantisation tables in this JPEG, row by row, luma first."""
    with Image.open(BytesIO(data)) as image:
        found = getattr(image, "quantization", {})
    parts = tuple(tuple(found[index]) for index in sorted(found))
    return (parts * 2)[:2]


def _grey_if_neutral(image: Image.Image) -> Image.Image:
    _, blue, red = image.convert("YCbCr").split()
    low_high = np.asarray((*blue.getextrema(), *red.getextrema()))
    return image.convert("L") if low_high.min() >= 125 and low_high.max() <= 131 else image


def _scaled_table(steps: Iterable[float], k: float) -> tuple[int, ...]:
    return tuple(min(255, max(1, round(step * k))) for step in steps)


def _size(width_px: int, height_px: int, side: int) -> tuple[int, int]:
    longest = max(width_px, height_px)
    return max(1, round(width_px * side / longest)), max(1, round(height_px * side / longest))


def _cache_file() -> Path:
    return cache_dir() / "exhaustive.jsonl"


@lru_cache(maxsize=1)
def _read(path: Path, _bytes: int) -> dict[str, Candidate]:
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    found = (json.loads(line) for line in lines)
    return {line.pop("mark"): Candidate(**line) for line in found}


def _cached(path: Path) -> dict[str, Candidate]:
    return _read(path, path.stat().st_size if path.exists() else 0)


def _keep(mark: str, candidate: Candidate) -> None:
    with _cache_file().open("a", encoding="utf-8") as lines:
        lines.write(json.dumps({"mark": mark, **asdict(candidate)}) + "\n")
