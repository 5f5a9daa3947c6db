"""The gate and the segment walk: what a header says, what is refused before a decoder, and lossless stripping."""

from __future__ import annotations

import random
import struct
import time
from collections.abc import Callable
from dataclasses import replace
from io import BytesIO
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from compress import cost, jpeg, png
from compress.decode import decode
from compress.fit import fit
from compress.inspect import Format, Limits, inspect
from edge.claim import Role
from edge.errors import Refused
from firmware_config.profile import Caps

SHARED = Path(__file__).resolve().parents[2].parent / "shared"


def made(mode: str = "RGB", size: tuple[int, int] = (64, 48), kind: str = "JPEG", **options: object) -> bytes:
    out = BytesIO()
    Image.new(mode, size, 90).save(out, kind, **options)
    return out.getvalue()


def why(data: bytes, limits: Limits | None = None) -> str:
    with pytest.raises(Refused) as caught:
        inspect(data, limits or Limits())
    return caught.value.reason


def answer(ask: Callable[[bytes], object], data: bytes) -> str:
    """The reason for which this is refused, empty where it is not."""
    try:
        ask(data)
    except Refused as refusal:
        return refusal.reason
    return ""


def with_frame(data: bytes, marker: int | None = None, bits: int | None = None, height: int | None = None) -> bytes:
    at = data.index(b"\xff\xc0")
    changed = bytearray(data)
    if marker is not None:
        changed[at + 1] = marker
    if bits is not None:
        changed[at + 4] = bits
    if height is not None:
        changed[at + 5 : at + 7] = height.to_bytes(2, "big")
    return bytes(changed)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "BMP"])
def test_header_says_what_the_picture_is(kind: str) -> None:
    header = inspect(made(kind=kind))
    assert (header.format, header.width_px, header.height_px) == (Format(kind.lower()), 64, 48)
    assert (header.bits, header.orientation) == ((24 if kind == "BMP" else 8), 1)


def test_bytes_before_the_picture_are_skipped() -> None:
    left_over = b"--frame\r\nContent-Type: image/jpeg\r\n\r\n"
    assert inspect(left_over + made()).width_px == 64
    assert jpeg.strip(left_over + made()) == jpeg.strip(made())
    assert why(b"x" * 2000 + made()) == "unsupported_image"


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "unsupported_image"),
        (b"\xff\xd8", "unsupported_image"),
        (b"<html>no picture</html>", "unsupported_image"),
        (made(kind="GIF", mode="L"), "unsupported_image"),
        (made(kind="WEBP"), "unsupported_image"),
        (made(kind="TIFF"), "unsupported_image"),
        (with_frame(made(), bits=12), "unsupported_image"),
        (with_frame(made(), marker=0xC3), "unsupported_image"),  # lossless
        (with_frame(made(), marker=0xC9), "unsupported_image"),  # arithmetic
        (with_frame(made(), height=0), "unsupported_image"),
        (with_frame(made(), height=65535) + b"", None),
        (made()[:30], "undecodable"),
        (b"\x89PNG\r\n\x1a\n" + b"\x00" * 40, "undecodable"),
        (b"BM" + b"\x00" * 10, "undecodable"),
    ],
)
def test_refused_at_the_gate(data: bytes, reason: str | None) -> None:
    if reason is None:
        assert inspect(data).height_px == 65535
        assert why(data, Limits(max_source_pixels=64 * 65534)) == "too_many_pixels"
    else:
        assert why(data) == reason


def test_limits_of_bytes_pixels_and_scans() -> None:
    data = made()
    assert why(data, Limits(max_source_bytes=len(data) - 1)) == "too_many_bytes"
    assert why(data, Limits(max_source_pixels=64 * 48 - 1)) == "too_many_pixels"
    assert inspect(data, Limits(max_source_bytes=len(data), max_source_pixels=64 * 48)).width_px == 64
    progressive = made(progressive=True)
    scans = jpeg.facts(progressive).scans
    assert scans > 1
    assert inspect(progressive, Limits(max_scans=scans)).width_px == 64
    assert why(progressive, Limits(max_scans=scans - 1)) == "too_many_scans"


def test_bombs_are_refused_from_their_header() -> None:
    ihdr = struct.pack(">LLBBBBB", 12000, 12000, 8, 2, 0, 0, 0)
    bomb = png.SIGNATURE + struct.pack(">L", 13) + b"IHDR" + ihdr + bytes(4)
    assert why(bomb) == "too_many_pixels"
    assert why(made(mode="L", size=(8, 8), kind="BMP").replace(b"\x08\x00\x00\x00" * 2, b"\xff\xff\x00\x00" * 2)) == (
        "too_many_pixels"
    )


def test_two_frames_are_refused() -> None:
    data = made()
    at = data.index(b"\xff\xc0")
    frame = data[at : at + 2 + int.from_bytes(data[at + 2 : at + 4], "big")]
    assert why(data[:at] + frame + data[at:]) == "undecodable"


@pytest.mark.parametrize("turn", range(1, 9))
@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
def test_orientation_is_read(turn: int, kind: str) -> None:
    exif = Image.Exif()
    exif[0x0112] = turn
    assert inspect(made(kind=kind, exif=exif)).orientation == turn


@pytest.mark.parametrize(
    "tiff",
    [b"", b"II*\x00", b"II*\x00\xff\xff\xff\xff", b"MM\x00*\x00\x00\x00\x08\xff\xff", b"XX*\x00\x08\x00\x00\x00"],
)
def test_senseless_exif_means_upright(tiff: bytes) -> None:
    assert jpeg.orientation(tiff) == 1


def test_stripping_leaves_every_pixel_as_it_was() -> None:
    if not SHARED.is_dir():
        pytest.skip(f"no test pictures: {SHARED} is absent")
    files = sorted((SHARED / "images").glob("*.jpg"))
    assert len(files) > 20
    for file in files:
        data = file.read_bytes()
        bare = jpeg.strip(data)
        assert jpeg.strip(bare) == bare
        with Image.open(BytesIO(data)) as before, Image.open(BytesIO(bare)) as after:
            assert before.tobytes() == after.tobytes(), file.name


def test_a_thumbnail_in_the_jfif_header_does_not_stay() -> None:
    plain = made()
    body = plain[6:18] + b"\x02\x02" + b"THUMBNAILRGB"
    with_thumbnail = plain[:2] + b"\xff\xe0" + (len(body) + 2).to_bytes(2, "big") + body + plain[20:]
    assert b"THUMBNAIL" in with_thumbnail
    assert jpeg.strip(with_thumbnail) == jpeg.strip(plain)


@settings(max_examples=300, deadline=None, derandomize=True)
@given(st.binary(max_size=400), st.integers(0, 700), st.integers(0, 40))
def test_the_walk_survives_any_bytes(noise: bytes, at: int, cut: int) -> None:
    base = made(progressive=True)
    data = base[:at] + noise + base[at + cut :]
    segments = list(jpeg.walk(data))
    assert all(before.end <= after.start for before, after in pairwise(segments))
    assert len(jpeg.strip(data)) <= len(data) + 4
    assert jpeg.strip(jpeg.strip(data)) == jpeg.strip(data)
    known = {"", "unsupported_image", "undecodable", "too_many_scans", "too_many_pixels"}
    assert {answer(inspect, data), answer(jpeg.facts, data)} <= known


@pytest.mark.parametrize(
    "unit", [b"\xff", b"\xff\x00", b"\xff\xd0", b"\xff\xda\x00\x02", b"\xff\xe1\x00\x02", b"\xff\xc4"]
)
def test_the_walk_is_bounded_on_long_runs(unit: bytes) -> None:
    data = b"\xff\xd8\xff\xda\x00\x02" + unit * (8_000_000 // len(unit))
    started = time.thread_time()
    assert len(list(jpeg.walk(data))) <= 2_049
    assert time.thread_time() - started < 2


def test_flipped_bits_never_escape_as_another_error() -> None:
    seed = 20250
    shaken = random.Random(seed)
    for base in (made(), made(kind="PNG"), made(kind="BMP"), made(mode="P", kind="PNG")):
        for _ in range(500):
            data = bytearray(base)
            data[shaken.randrange(min(len(data), 200))] ^= 1 << shaken.randrange(8)
            try:
                header = inspect(bytes(data))
            except Refused:
                continue
            assert 0 < header.width_px * header.height_px <= 50_000_000, seed


def test_a_decoder_that_sees_another_size_than_the_gate_is_not_run() -> None:
    data = made()
    header = inspect(data)
    assert decode(data, header).info == {}  # nothing that an encoder could pick up
    with pytest.raises(Refused) as caught:
        decode(data, replace(header, width_px=63))
    assert caught.value.reason == "undecodable"


def test_each_level_of_16_bits_becomes_the_nearest_of_8() -> None:
    levels = np.arange(65_536, dtype=np.uint16).reshape(256, 256)
    out = BytesIO()
    Image.fromarray(levels).save(out, "PNG")
    shown = np.asarray(decode(out.getvalue(), inspect(out.getvalue())))
    assert shown.dtype == np.uint8
    assert (np.abs(levels.astype(np.int32) - shown.astype(np.int32) * 257) <= 128).all()


def test_a_png_reaches_the_decoder_with_its_pixels_only() -> None:
    palette = made(mode="P", kind="PNG", transparency=0, dpi=(72, 72), icc_profile=b"profile", exif=b"Exif\0\0II*\0")
    names = {name for name, _, _ in png.walk(palette)}
    assert {b"iCCP", b"pHYs", b"eXIf", b"tRNS"} <= names
    assert [name for name, _, _ in png.walk(png.essential(palette, True))] == [
        b"IHDR",
        b"PLTE",
        b"tRNS",
        b"IDAT",
        b"IEND",
    ]
    assert b"tRNS" not in png.essential(palette, False)


CAPS = Caps(patch_max_width_px=120, patch_max_height_px=60, patch_max_bytes=3_000, overview_max_bytes=25_000)


def textured(size: tuple[int, int]) -> bytes:
    few = (size[0] // 10, size[1] // 10)
    out = BytesIO()
    small = Image.frombytes("RGB", few, random.Random(9).randbytes(3 * few[0] * few[1]))
    small.resize(size, Image.Resampling.BICUBIC).save(out, "JPEG", quality=60)
    return out.getvalue()


def scanned(data: bytes) -> slice:
    """Where the coded pixels of a baseline JPEG are."""
    (scan,) = (segment for segment in jpeg.walk(data) if segment.marker == jpeg.SOS)
    header = int.from_bytes(data[scan.start + 2 : scan.start + 4], "big")
    return slice(scan.start + 2 + header, scan.end)


@pytest.mark.parametrize("size", [(320, 240), (1280, 960)], ids=str)
def test_a_jpeg_damaged_inside_its_scan_travels_as_the_camera_sent_it(size: tuple[int, int]) -> None:
    """Decoders notice nothing: a small one is kept to the byte, a large one is coded anew from what it shows."""
    seed = 77
    whole = textured(size)
    assert (len(whole) <= 25_000) == (size == (320, 240))
    where, shaken, shown = scanned(whole), random.Random(seed), 0
    for _ in range(40):
        damaged = bytearray(whole)
        damaged[shaken.randrange(where.start, where.stop)] ^= 1 << shaken.randrange(8)
        data = bytes(damaged)
        if answer(lambda data: fit(data, Role.OVERVIEW, CAPS), data) == "undecodable":
            continue
        fitted = fit(data, Role.OVERVIEW, CAPS)
        if len(whole) <= 25_000:
            assert (fitted.actions, fitted.jpeg) == (("kept",), data), seed
        else:
            assert fitted.actions[-1] == "recompressed"
        with Image.open(BytesIO(whole)) as before, Image.open(BytesIO(data)) as after:
            shown += before.tobytes() != after.tobytes()
    assert shown > 20, seed


def test_a_scan_that_ends_too_soon_is_not_noticed_but_a_missing_end_is() -> None:
    """A sender that closes what it cut short gets it kept, grey where it ends; without EOI it is refused."""
    whole = textured((320, 240))
    where = scanned(whole)
    cut = whole[: (where.start + where.stop) // 2].rstrip(b"\xff")
    assert fit(cut + b"\xff\xd9", Role.OVERVIEW, CAPS).jpeg == cut + b"\xff\xd9"
    with pytest.raises(Refused) as caught:
        fit(cut, Role.OVERVIEW, CAPS)
    assert caught.value.reason == "undecodable"


def gate(size: tuple[int, int], sampling: bytes, scanned: tuple[bytes, ...], sof: int = jpeg.PROGRESSIVE) -> jpeg.Facts:
    names = bytes(range(1, len(sampling) + 1))
    return jpeg.Facts(sof, 8, *size, names, len(scanned), 1, None, True, True, 1.0, (), sampling, scanned)


@pytest.mark.parametrize(
    ("facts", "held", "samples"),
    [
        (gate((8000, 6000), b"\x22\x11\x11", (b"\1\2\3",)), 144_000_000, 72_000_000),
        (gate((8000, 6000), b"\x22\x11\x11", (b"\1\2\3", b"\1", b"\2")), 144_000_000, 132_000_000),
        (gate((8000, 6000), b"\x22\x11\x11", (b"\1\2\3",), jpeg.BASELINE), 0, 72_000_000),
        (gate((8000, 6000), b"\x11\x11", (b"\1", b"\2"), jpeg.BASELINE), 192_000_000, 96_000_000),
        (gate((1, 1), b"\x11", (b"\1",)), 128, 64),
        (gate((17, 1), b"\x41\x11", (b"\1\2",)), 128 * 5, 64 * 5),
        (gate((8, 8), b"\x00", (b"\x09",)), 128, 0),
        (gate((8, 8), b"\x11", ()), 128, 0),
    ],
)
def test_what_a_decode_would_cost_is_known_from_the_header(facts: jpeg.Facts, held: int, samples: int) -> None:
    assert (cost.coefficient_bytes(facts), cost.scanned_samples(facts)) == (held, samples)


def test_the_reduction_goes_with_the_memory_allowed() -> None:
    for limit, reduction in ((10**9, 1), (2 * 64 * 48 * 4, 1), (64 * 48 * 4 - 1, 2), (64 * 48 // 2, 4), (64 * 48, 2)):
        data = made()
        found = inspect(data, Limits(max_memory_bytes=limit + 2 * len(data)))
        assert (found.reduction, found.memory_bytes) == (reduction, 4 * 64 * 48 // reduction**2)
        assert decode(data, found).size == (64 // reduction, 48 // reduction)
    for options, reason in (({}, "too_many_pixels"), ({"progressive": True}, "too_many_scans")):
        data = made(**options)
        assert why(data, Limits(max_memory_bytes=2 * len(data))) == reason
    assert why(made(kind="PNG"), Limits(max_memory_bytes=2 * len(made(kind="PNG")))) == "too_many_pixels"
    assert why(made(kind="PNG"), Limits(max_unpacked_bytes=64 * 48 * 3 - 1)) == "too_many_pixels"
    progressive = made(progressive=True)
    passed = cost.scanned_samples(jpeg.facts(progressive))
    assert inspect(progressive, Limits(max_scanned_samples=passed)).width_px == 64
    assert why(progressive, Limits(max_scanned_samples=passed - 1)) == "too_many_scans"
