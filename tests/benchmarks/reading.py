"""Whether vehicle first makes plates easier to read: one reader, the same pictures, with and without it, cap by cap.

The reader is our own and weak (`tests.benchmarks.reader`): the differences between codings count, not the level.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import Enum
from statistics import mean, median

from PIL import Image

from compress.fit import fit
from compress.surround import Mode, Surround
from edge.claim import Box, Role
from firmware_config.profile import Caps
from tests.benchmarks.exhaustive import resized
from tests.benchmarks.pictures import CAPS, Picture, corpus, decoded
from tests.benchmarks.quality import Judge
from tests.benchmarks.reader import Reader, read
from tests.benchmarks.scores import accuracy, folded, gain, plate_of
from tests.benchmarks.training import FONTS, fonts_found, made

CAPS_BYTES = (25_000, 18_000, 12_000, 8_000)
"""The legal cap and three tighter ones, so that 32 plates tell more than 32 readings do."""


class Coding(Enum):
    """How a picture was brought under the cap. The lossless one is as large as the plain one, and not coded at all."""

    LOSSLESS = "lossless, at plain's size"
    PLAIN = "plain"
    SOFTENED = "softened"
    MASKED = "masked"


_SURROUNDS = {Coding.PLAIN: None, Coding.SOFTENED: Surround(Mode.SOFTEN), Coding.MASKED: Surround(Mode.MASK)}


@dataclass(frozen=True, slots=True)
class Outcome:
    """One picture in one coding. `accuracy` and `agreement`: 1 less the normalised edit distance to what stands on the
    plate and to what is read from the original; `ssim`: of the plate; `width_px`: the plate's, in what travels."""

    accuracy: float
    agreement: float
    ssim: float
    width_px: float
    altered: bool = field(default=False)

    @property
    def exact(self) -> bool:
        return self.accuracy == 1


def reading_report(quick: bool) -> Iterator[str]:
    """The tables, line by line as they are measured."""
    pictures = [picture for picture in corpus() if picture.box and picture.plate][:: 4 if quick else 1]
    reader = made()
    yield f"### Reading: {len(pictures)} plates whose text is known"
    if missing := sorted(set(FONTS) - set(fonts_found())):
        yield f"\nFONTS MISSING, so this is another reader than the documented one: {', '.join(missing)}."
    originals = {
        picture.name: read(reader, plate_of(decoded(picture.jpeg), _box(picture))).text for picture in pictures
    }
    scores = [accuracy(folded(one.plate), originals[one.name]) for one in pictures]
    yield f"\nFrom the originals: {sum(score == 1 for score in scores)} exact, {mean(scores):.3f} of the characters."
    found: dict[tuple[int, Coding], list[Outcome]] = {}
    for cap in CAPS_BYTES:
        for one in pictures:
            for coding, outcome in _outcomes(reader, one, originals[one.name], cap):
                found.setdefault((cap, coding), []).append(outcome)
        yield from ("", *_cap_lines(cap, {coding: found[cap, coding] for coding in Coding}))
    yield from ("", *_gain_lines(found))


def _outcomes(reader: Reader, one: Picture, original: str, cap: int) -> Iterator[tuple[Coding, Outcome]]:
    whole, box = decoded(one.jpeg), _box(one)
    judge = Judge(whole, box)

    def outcome(picture: Image.Image, altered: bool) -> Outcome:
        text = read(reader, plate_of(picture, box, whole.size)).text
        return Outcome(
            accuracy(folded(one.plate), text),
            accuracy(original, text),
            judge.plate(picture),
            box.width_px * picture.width / whole.width,
            altered,
        )

    for coding, surround in _SURROUNDS.items():
        made_ = fit(one.jpeg, Role.OVERVIEW, _caps(cap), box, surround=surround)
        if coding is Coding.PLAIN:
            yield Coding.LOSSLESS, outcome(resized(whole, (made_.width_px, made_.height_px)), False)
        yield coding, outcome(decoded(made_.jpeg), made_.surround is not None)


def _cap_lines(cap: int, found: dict[Coding, list[Outcome]]) -> Iterator[str]:
    yield from (f"{cap:,} bytes:", "")
    yield "| | altered | plate px, median | plate SSIM | exact | characters | agrees with the original's reading |"
    yield "| --- " * 7 + "|"
    for coding, all_ in found.items():
        yield (
            f"| {coding.value} | {sum(one.altered for one in all_)} of {len(all_)} "
            f"| {median(one.width_px for one in all_):.0f} | {mean(one.ssim for one in all_):.3f} "
            f"| {sum(one.exact for one in all_)} | {mean(one.accuracy for one in all_):.3f} "
            f"| {mean(one.agreement for one in all_):.3f} |"
        )
    yield ""
    plain = found[Coding.PLAIN]
    for coding in (Coding.SOFTENED, Coding.MASKED):
        characters = gain([one.accuracy for one in plain], [one.accuracy for one in found[coding]])
        agrees = gain([one.agreement for one in plain], [one.agreement for one in found[coding]])
        yield f"{coding.value} less plain: characters {_by(*characters)}, agreement {_by(*agrees)}"


def _gain_lines(found: dict[tuple[int, Coding], list[Outcome]]) -> Iterator[str]:
    """Differences over all caps: a picture's mean over the caps counts once, for its four readings are not apart."""
    yield from ("Against plain, a picture's mean over the caps counted once, with the standard error:", "")
    yield "| | plate SSIM | exact | characters | agrees | better, same, worse (characters) |"
    yield "| --- " * 6 + "|"
    for coding in (Coding.LOSSLESS, Coding.SOFTENED, Coding.MASKED):
        parts = [
            gain(_means(found, Coding.PLAIN, name), _means(found, coding, name))
            for name in ("ssim", "exact", "accuracy", "agreement")
        ]
        pairs = list(zip(_means(found, Coding.PLAIN, "accuracy"), _means(found, coding, "accuracy"), strict=True))
        better, worse = (sum((after - before) * sign > 1e-9 for before, after in pairs) for sign in (1, -1))
        cells = " | ".join(_by(*part) for part in parts)
        yield f"| {coding.value} | {cells} | {better}, {len(pairs) - better - worse}, {worse} |"


def _by(difference: float, error: float) -> str:
    return f"{difference:+.3f} ± {error:.3f}"


def _means(found: dict[tuple[int, Coding], list[Outcome]], coding: Coding, name: str) -> list[float]:
    caps = [found[cap, coding] for cap in CAPS_BYTES]
    return [mean(float(getattr(one, name)) for one in same) for same in zip(*caps, strict=True)]


def _caps(cap: int) -> Caps:
    return Caps(
        patch_max_width_px=CAPS.patch_max_width_px,
        patch_max_height_px=CAPS.patch_max_height_px,
        patch_max_bytes=CAPS.patch_max_bytes,
        overview_max_bytes=cap,
    )


def _box(picture: Picture) -> Box:
    assert picture.box is not None
    return picture.box
