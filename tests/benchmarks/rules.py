"""What simple rules for size and table reach of the exhaustive search: the data by which constants are chosen.

`python -m tests.benchmarks rules` prints it for the fit half. Constants are never chosen on the report half.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from statistics import mean

from compress.fit import fit
from edge.claim import Role
from tests.benchmarks.exhaustive import LONG_SIDES_PX, Candidate, Table, search
from tests.benchmarks.pictures import CAPS, Half, Picture, decoded, quality_set
from tests.benchmarks.quality import Judge

_K_STARS = (1.0, 1.2, 1.4, 1.6, 1.8, 2.0, 2.2, 2.4, 2.7, 3.0)
_FITTED = tuple(table for table in Table if table is not Table.OWN)


@dataclass(frozen=True, slots=True)
class Searched:
    """One picture and every candidate that fits, largest size first."""

    picture: Picture
    candidates: tuple[Candidate, ...]

    @property
    def best(self) -> Candidate:
        return max(self.candidates, key=lambda candidate: candidate.j)

    def of(self, table: Table) -> tuple[Candidate, ...]:
        return tuple(candidate for candidate in self.candidates if candidate.table == table.value)


Rule = Callable[[Searched], Candidate]


def searched(half: Half) -> Iterator[Searched]:
    """Every picture of the half with its candidates; what is not in the cache is searched now."""
    for picture in quality_set():
        if picture.half is half:
            yield Searched(picture, tuple(found for found in search(picture) if found.k is not None))


def fixed(table: Table, side_px: int) -> Rule:
    """This long side, or the largest below it that there is."""

    def choose(one: Searched) -> Candidate:
        inside = [found for found in one.of(table) if found.long_side_px <= side_px]
        return inside[0]

    return choose


def threshold(table: Table, k_star: float) -> Rule:
    """The largest size whose quantiser is not coarser than `k_star`, else the smallest size."""

    def choose(one: Searched) -> Candidate:
        fits = one.of(table)
        return next((found for found in fits if found.k is not None and found.k <= k_star), fits[-1])

    return choose


def best_size(table: Table) -> Rule:
    return lambda one: max(one.of(table), key=lambda found: found.j)


def share(rule: Rule, pictures: Sequence[Searched]) -> tuple[float, float, float]:
    """Mean J, and the means of SSIMULACRA2 and plate SSIM."""
    chosen = [rule(one) for one in pictures]
    return (
        mean(found.j for found in chosen),
        mean(found.ss2 for found in chosen),
        mean(found.plate_ssim for found in chosen),
    )


def rules_report(half: Half = Half.FIT) -> Iterator[str]:
    """The tables of rules, as Markdown lines."""
    pictures = tuple(searched(half))
    most = mean(one.best.j for one in pictures)
    yield f"# Rules on the {half.value} half: {len(pictures)} pictures, mean best J {most:.3f}"
    yield from ("", *_per_picture(pictures))
    yield from ("", *_fit_now(pictures, most))
    yield from ("", "| rule | mean J | % of best | ss2 | plate SSIM |", "| --- | --- | --- | --- | --- |")
    for name, rule in _rules():
        j, ss2, plate = share(rule, pictures)
        yield f"| {name} | {j:.3f} | {100 * j / most:.1f} | {ss2:.1f} | {plate:.3f} |"


def _fit_now(pictures: Sequence[Searched], most: float) -> Iterator[str]:
    """What `compress.fit` makes of these pictures as it stands."""
    yield "| picture | fit's size | encodes | bytes | J | best J | ss2 | plate |"
    yield "| --- " * 8 + "|"
    scores = []
    for one in pictures:
        assert one.picture.box is not None
        result = fit(one.picture.jpeg, Role.OVERVIEW, CAPS)
        score = Judge(decoded(one.picture.jpeg), one.picture.box).score_jpeg(result.jpeg)
        scores.append(score.j)
        yield (
            f"| {one.picture.name[:24]} | {max(result.width_px, result.height_px)} | {result.encodes} "
            f"| {len(result.jpeg)} | {score.j:.3f} | {one.best.j:.3f} | {score.ss2:.1f} | {score.plate_ssim:.3f} |"
        )
    yield f"\nfit as it stands: mean J {mean(scores):.3f}, {100 * mean(scores) / most:.1f} % of best"


def _rules() -> Iterator[tuple[str, Rule]]:
    for table in _FITTED:
        yield f"best size, {table.value}", best_size(table)
    for table in _FITTED:
        for side in LONG_SIDES_PX:
            yield f"fixed {side}, {table.value}", fixed(table, side)
    for table in _FITTED:
        for k_star in _K_STARS:
            yield f"k <= {k_star}, {table.value}", threshold(table, k_star)


def _per_picture(pictures: Sequence[Searched]) -> Iterator[str]:
    yield "| picture | size | bytes/px | best | table | k | J | ss2 | plate | k at 800 (ms-ssim) |"
    yield "| --- " * 10 + "|"
    for one in pictures:
        best, picture = one.best, one.picture
        probe = fixed(Table.MS_SSIM, 800)(one)
        density = len(picture.jpeg) / (picture.width_px * picture.height_px)
        yield (
            f"| {picture.name[:24]} | {picture.width_px}x{picture.height_px} | {density:.3f} | {best.long_side_px} "
            f"{best.ratio} | {best.table} | {best.k:.2f} | {best.j:.3f} | {best.ss2:.1f} | {best.plate_ssim:.3f} "
            f"| {probe.k:.2f} |"
        )
