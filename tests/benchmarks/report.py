"""The tables of the benchmark, as Markdown. Every number of one run comes from that run on that machine."""

from __future__ import annotations

import platform
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from statistics import mean, median

import cv2

from compress.fit import fit
from edge.claim import Box, Role
from edge.read import FittedImage
from tests.benchmarks.exhaustive import Table, encoded, search, tables
from tests.benchmarks.floor import Floor, floor, least_s
from tests.benchmarks.patches import kept_lines, patch_lines
from tests.benchmarks.peers import Peer, missing, peers
from tests.benchmarks.pictures import (
    CAPS,
    FORMATS,
    OVERVIEW_CAP_BYTES,
    Format,
    Half,
    Picture,
    decoded,
    quality_set,
    timing_set,
)
from tests.benchmarks.quality import Judge, Quality, agrees


@dataclass(frozen=True, slots=True)
class Effort:
    """How many pictures a size, how many runs of each act, and how much is searched."""

    pictures: int
    runs: int
    per_half: int | None
    every: int
    tables: tuple[Table, ...]


FULL = Effort(pictures=15, runs=9, per_half=None, every=1, tables=tuple(Table))
QUICK = Effort(pictures=5, runs=4, per_half=4, every=6, tables=(Table.MS_SSIM, Table.OWN))


def images_report(effort: Effort) -> Iterator[str]:
    """Every table, line by line as it is measured."""
    others = peers()
    yield (
        f"{platform.machine()}, Python {platform.python_version()}, Pillow {_pillow()}, OpenCV {cv2.__version__}. "
        f"One thread; least of {effort.runs} runs, medians over pictures. Process start is taken off the tools' times."
    )
    yield from (f"\n{name} is not installed and is left out." for name in missing())
    for format in FORMATS:
        yield from ("", *_time_lines(format, effort, others))
    yield from ("", *_quality_lines(effort, others))
    yield from ("", *patch_lines(effort.every, effort.runs))
    yield from ("", *kept_lines(effort.pictures, effort.runs))


@dataclass(frozen=True, slots=True)
class _Timed:
    fit_s: float
    result: FittedImage
    floor: Floor
    floor_again_s: float


def _time_lines(format: Format, effort: Effort, others: Sequence[Peer]) -> Iterator[str]:
    pictures = timing_set(format, effort.pictures)
    ours = [_timed(picture, effort.runs) for picture in pictures]
    fit_s = median(one.fit_s for one in ours)
    ratios = [one.fit_s / one.floor.total_s for one in ours]
    noise = [one.floor_again_s / one.floor.total_s - 1 for one in ours]
    used = [len(one.result.jpeg) / OVERVIEW_CAP_BYTES for one in ours]
    encodes = [one.result.encodes for one in ours]
    steps = [median(getattr(one.floor, step) for one in ours) * 1e3 for step in ("decode_s", "resize_s", "encode_s")]
    yield f"### {format.label}: {len(pictures)} pictures, {_kb(pictures)} kB"
    yield ""
    total = median(one.floor.total_s for one in ours) * 1e3
    yield (
        f"Floor {total:.2f} ms (decode {steps[0]:.2f}, resize {steps[1]:.2f}, "
        f"encode {steps[2]:.2f}); the floor measured twice differs by {100 * median(noise):.0f} % (median), "
        f"{100 * max(noise):.0f} % (most)."
    )
    yield (
        f"fit beside it: {median(ratios):.2f} times (most {max(ratios):.2f}); encodes {mean(encodes):.2f} "
        f"(most {max(encodes)})."
    )
    yield from ("", "| | ms | times fit's | over the cap | cap used, mean | least |", "| --- " * 6 + "|")
    yield f"| fit | {fit_s * 1e3:.2f} | 1 | {_over(used)} of {len(used)} | {mean(used):.3f} | {min(used):.3f} |"
    for peer in others:
        yield _peer_line(peer, pictures, fit_s, max(2, effort.runs // 3))


def _timed(picture: Picture, runs: int) -> _Timed:
    """Both twice in turn: the least counts, and what differs between the two floors is this machine's noise."""
    result = fit(picture.jpeg, Role.OVERVIEW, CAPS)
    floors, fits = [], []
    for _ in range(2):
        floors.append(floor(picture, result.jpeg, runs))
        fits.append(least_s(lambda: fit(picture.jpeg, Role.OVERVIEW, CAPS), runs))
    low, high = sorted(floors, key=lambda one: one.total_s)
    return _Timed(min(fits), result, low, high.total_s)


def _peer_line(peer: Peer, pictures: Sequence[Picture], fit_s: float, runs: int) -> str:
    taken = median(least_s(lambda data=picture.jpeg: peer.shrink(data), runs) for picture in pictures) - peer.start_s  # type: ignore[misc]
    used = [len(peer.shrink(picture.jpeg)) / OVERVIEW_CAP_BYTES for picture in pictures]
    return (
        f"| {peer.name} | {taken * 1e3:.1f} | {taken / fit_s:.1f} | {_over(used)} of {len(used)} | {mean(used):.3f} "
        f"| {min(used):.3f} |"
    )


def _quality_lines(effort: Effort, others: Sequence[Peer]) -> Iterator[str]:
    pictures = tuple(picture for picture in quality_set() if picture.half is Half.REPORT)[: effort.per_half]
    judges = [Judge(decoded(picture.jpeg), _box(picture)) for picture in pictures]
    best = [
        max((found for found in search(picture, effort.tables) if found.k is not None), key=lambda found: found.j)
        for picture in pictures
    ]
    most = mean(found.j for found in best)
    yield f"### Quality: the {len(pictures)} pictures of the report half"
    apart = max(_apart(picture) for picture in pictures[:3])
    yield (
        "\nJ = SSIMULACRA2 / 100 + plate SSIM, at display width 1280 or the picture's own if less. SSIMULACRA2 as "
        f"it is computed here and the package's own are {apart:.4f} apart at most.\n"
    )
    yield from ("| | SSIMULACRA2 | plate SSIM | J | % of exhaustive | over the cap |", "| --- " * 6 + "|")
    yield _quality_line("exhaustive", [Quality(found.ss2, found.plate_ssim) for found in best], most, 0)
    shrinkers: list[tuple[str, Callable[[bytes], bytes]]] = [("fit", _overview)]
    for name, shrink in shrinkers + [(peer.name, peer.shrink) for peer in others]:
        results = [shrink(picture.jpeg) for picture in pictures]
        scores = [judge.score_jpeg(data) for judge, data in zip(judges, results, strict=True)]
        yield _quality_line(name, scores, most, sum(len(data) > OVERVIEW_CAP_BYTES for data in results))


def _apart(picture: Picture) -> float:
    original = decoded(picture.jpeg)
    return agrees(original, decoded(encoded(original, tables(Table.MS_SSIM, 2.0))))


def _quality_line(name: str, scores: Sequence[Quality], most: float, over: int) -> str:
    j = mean(score.j for score in scores)
    return (
        f"| {name} | {mean(score.ss2 for score in scores):.1f} | {mean(score.plate_ssim for score in scores):.3f} "
        f"| {j:.3f} | {100 * j / most:.1f} | {over} of {len(scores)} |"
    )


def _overview(data: bytes) -> bytes:
    return fit(data, Role.OVERVIEW, CAPS).jpeg


def _box(picture: Picture) -> Box:
    assert picture.box is not None
    return picture.box


def _over(used: Sequence[float]) -> int:
    return sum(share > 1 or share == 0 for share in used)


def _kb(pictures: Sequence[Picture]) -> str:
    sizes = [len(picture.jpeg) / 1000 for picture in pictures]
    return f"{min(sizes):.0f}-{max(sizes):.0f}"


def _pillow() -> str:
    from PIL import __version__

    return str(__version__)
