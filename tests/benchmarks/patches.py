"""Plate patches and pictures that comply already: the two paths that are no search for size."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from io import BytesIO
from statistics import median
from time import perf_counter_ns

import cv2
import numpy as np
from PIL import Image

from compress.fit import MARGIN, fit
from edge.claim import Role
from edge.read import FittedImage
from tests.benchmarks.exhaustive import resized
from tests.benchmarks.floor import least_s
from tests.benchmarks.patch_floor import MARGINS, Reached, reached, to_camera
from tests.benchmarks.peers import pillow_bisection
from tests.benchmarks.pictures import CAPS, FORMATS, OVERVIEW_CAP_BYTES, Picture, corpus, decoded, timing_set
from tests.benchmarks.quality import plate_ssim

_WANTED_SSIM = 0.99
_RUNS_FULL = 9  # with fewer, fit's own margin alone is searched


def patch_lines(step: int, runs: int) -> Iterator[str]:
    """Every `step`-th picture with a box."""
    pictures = [picture for picture in corpus() if picture.box][::step]
    times, beside, scores, sizes, encodes = [], [], [], [], []
    for picture in pictures:
        crop = _crop(picture)
        sent = _png(crop)
        result = fit(picture.jpeg, Role.PLATE_PATCH, CAPS, picture.box)
        # A camera's own patch, coded anew; then the same cut from an overview, less the overview's decode.
        times.append(least_s(lambda sent=sent: fit(sent, Role.PLATE_PATCH, CAPS), runs))  # type: ignore[misc]
        beside.append(
            _beside_decode_s(lambda one=picture: fit(one.jpeg, Role.PLATE_PATCH, CAPS, one.box), picture.jpeg, runs)  # type: ignore[misc]
        )
        scores.append(_patch_ssim(crop, result))
        sizes.append(len(result.jpeg))
        encodes.append(result.encodes)
    yield f"### Plate patch: {len(pictures)} boxes"
    yield from ("", "| measure | median | worst |", "| --- " * 3 + "|")
    yield f"| a lossless patch brought under the cap, ms | {median(times) * 1e3:.2f} | {max(times) * 1e3:.2f} |"
    yield f"| cut from an overview, beside its decode, ms | {median(beside) * 1e3:.2f} | {max(beside) * 1e3:.2f} |"
    yield f"| SSIM to the lossless crop | {median(scores):.4f} | {min(scores):.4f} |"
    yield f"| boxes below SSIM {_WANTED_SSIM:g} | {sum(score < _WANTED_SSIM for score in scores)} of {len(scores)} | |"
    yield f"| bytes | {median(sizes):.0f} | {max(sizes)} |"
    yield f"| encodes | {median(encodes):.0f} | {max(encodes)} |"
    low = [(one, score) for one, score in zip(pictures, scores, strict=True) if score < _WANTED_SSIM]
    yield from ("", *_floor_lines(low, runs))


def _floor_lines(low: Sequence[tuple[Picture, float]], runs: int) -> Iterator[str]:
    """For each box below 0.99: ours, the most that any setting keeps, and the most of those that keep no less of what
    the camera saw: a smoother way to shrink is easier to code, and is not closer to the vehicle for it."""
    yield f"What the cap leaves, for the {len(low)} boxes below SSIM {_WANTED_SSIM:g}; in brackets the patch enlarged"
    yield "and held against the camera's own pixels, where no way to shrink is its own judge:"
    yield ""
    yield "| box, px | ours | the codec's most at this cap | by | the most that loses nothing in brackets | by |"
    yield "| --- " * 6 + "|"
    for one, score in low:
        assert one.box is not None
        result = fit(one.jpeg, Role.PLATE_PATCH, CAPS, one.box)
        margins = MARGINS if runs >= _RUNS_FULL else (MARGIN,)
        found = [each for margin in margins for each in reached(_crop(one, margin), margin)]
        ours = to_camera(_crop(one), decoded(result.jpeg))
        most = max(found, key=lambda each: each.ssim)
        true = max((each for each in found if each.ssim_to_camera >= ours), key=lambda each: each.ssim, default=None)
        yield (
            f"| {one.box.width_px}x{one.box.height_px} | {score:.4f} ({ours:.3f}), {len(result.jpeg)} bytes "
            f"| {_reached(most)} | {_reached(true)} |"
        )


def _reached(one: Reached | None) -> str:
    if one is None:
        return "none | "
    return f"{one.ssim:.4f} ({one.ssim_to_camera:.3f}), {one.bytes} bytes | {one.setting}"


def kept_lines(count: int, runs: int) -> Iterator[str]:
    """The corpus' own pictures inside the cap and `count` made ones."""
    compliant = [picture.jpeg for picture in corpus() if len(picture.jpeg) <= OVERVIEW_CAP_BYTES]
    compliant += [pillow_bisection(picture.jpeg) for picture in timing_set(FORMATS[1], count)]
    pictures = [_with_metadata(data) for data in compliant]
    pairs = [
        _beside_decode_s(lambda data=data: fit(data, Role.OVERVIEW, CAPS), data, runs)  # type: ignore[misc]
        for data in pictures
    ]
    results = [fit(data, Role.OVERVIEW, CAPS) for data in pictures]
    same = sum(
        result.encodes == 0 and np.array_equal(np.asarray(decoded(result.jpeg)), np.asarray(decoded(data)))
        for result, data in zip(results, pictures, strict=True)
    )
    yield f"### Pass-through: {len(pictures)} JPEGs inside the cap, with 400 bytes of EXIF and a comment"
    yield (
        f"\nBeside one decode: {median(pairs) * 1e3:.3f} ms (most {max(pairs) * 1e3:.3f}); pixel-identical "
        f"{same} of {len(pictures)}."
    )


def _beside_decode_s(act: Callable[[], object], data: bytes, runs: int) -> float:
    """How much longer `act` takes than one decode of `data`, in s; in turn, so that noise meets both alike."""
    acts, decodes = [], []
    for _ in range(runs * 3):
        acts.append(_once_s(act))
        decodes.append(_once_s(lambda: Image.open(BytesIO(data)).load()))
    return min(acts) - min(decodes)


def _once_s(act: Callable[[], object]) -> float:
    start = perf_counter_ns()
    act()
    return (perf_counter_ns() - start) / 1e9


def _crop(picture: Picture, margin: float = MARGIN) -> Image.Image:
    """The box and this margin from the whole decode, cut at the picture's edge; as the fit cuts it."""
    box = picture.box
    assert box is not None
    aside, above = round(box.width_px * margin), round(box.height_px * margin)
    return decoded(picture.jpeg).crop(
        (
            max(0, box.left_px - aside),
            max(0, box.top_px - above),
            min(picture.width_px, box.left_px + box.width_px + aside),
            min(picture.height_px, box.top_px + box.height_px + above),
        )
    )


def _patch_ssim(crop: Image.Image, result: FittedImage) -> float:
    """Luma SSIM to the crop at the patch's size. Which filter makes it small is a choice, so the nearest one counts."""
    size = (result.width_px, result.height_px)
    patch = np.asarray(decoded(result.jpeg).convert("L"))
    pixels = np.asarray(crop)
    smaller = [resized(crop, size), crop.resize(size, Image.Resampling.BICUBIC)]
    smaller += [crop.resize(size, Image.Resampling.LANCZOS, reducing_gap=3.0)]
    smaller += [
        Image.fromarray(cv2.resize(pixels, size, interpolation=how)) for how in (cv2.INTER_AREA, cv2.INTER_CUBIC)
    ]
    return max(plate_ssim(np.asarray(one.convert("L")), patch) for one in smaller)


def _with_metadata(data: bytes) -> bytes:
    exif = b"Exif\x00\x00II*\x00\x08\x00\x00\x00\x00\x00\x00\x00\x00\x00".ljust(400, b"\x00")
    comment = b"made by a camera"
    parts = b"".join(
        marker + (len(body) + 2).to_bytes(2, "big") + body
        for marker, body in ((b"\xff\xe1", exif), (b"\xff\xfe", comment))
    )
    return data[:2] + parts + data[2:]


def _png(image: Image.Image) -> bytes:
    out = BytesIO()
    image.save(out, "PNG")
    return out.getvalue()
