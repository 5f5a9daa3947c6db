"""Properties over drawn pictures of every form and size: inside the cap, few encodes, the cap used, the same again."""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
import zlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256
from io import BytesIO
from pathlib import Path
from random import Random

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageDraw, ImageOps

from compress.fit import fit
from edge.claim import Box, Role
from edge.errors import Refused
from edge.read import FittedImage
from firmware_config.profile import Caps
from tests.fixtures.jpeg_judge import MAX_BYTES, judged

ROOT = Path(__file__).resolve().parents[2]
CAPS = Caps(patch_max_width_px=120, patch_max_height_px=60, patch_max_bytes=3_000, overview_max_bytes=25_000)
# Of the cap, where the original was over it and quality is below FINE. The bytes of drawn noise and of grain of a few
# levels fall up to three times as steeply with the scale as a photograph's: few encodes land further off.
LEAST_USED = {"street": 0.9, "text": 0.9, "noise": 0.85, "night": 0.7, "flat": 0.0}
PATCH_USED = 0.9
FINE = 95
Size = tuple[int, int]


def noise(size: Size, random: Random) -> Image.Image:
    return Image.frombytes("RGB", size, random.randbytes(3 * size[0] * size[1]))


def flat(size: Size, random: Random) -> Image.Image:
    return Image.new("RGB", size, tuple(random.randbytes(3)))


def text(size: Size, random: Random) -> Image.Image:
    picture = Image.new("RGB", size, (235, 235, 225))
    pen = ImageDraw.Draw(picture)
    for _ in range(min(900, 5 + size[0] * size[1] // 2_000)):
        word = "".join(random.choices("ABCDEFGHJKLMNOPRSTUVWXYZ0123456789", k=7))
        ink = tuple(byte // 2 for byte in random.randbytes(3))
        pen.text((random.randrange(size[0]), random.randrange(size[1])), word, fill=ink)
    return picture


def night(size: Size, random: Random) -> Image.Image:
    """Dark, a sensor's noise of a few levels, and some lights that are white in the middle."""
    grain = np.frombuffer(random.randbytes(size[0] * size[1]), np.uint8) // 24
    picture = Image.fromarray(grain.reshape(size[1], size[0])).convert("RGB")
    pen = ImageDraw.Draw(picture)
    for _ in range(6):
        x, y, radius = random.randrange(size[0]), random.randrange(size[1]), 1 + max(size) // 60
        pen.ellipse((x - 2 * radius, y - 2 * radius, x + 2 * radius, y + 2 * radius), fill=(130, 110, 60))
        pen.ellipse((x - radius, y - radius, x + radius, y + radius), fill=(255, 255, 240))
    return picture


def street(size: Size, random: Random) -> Image.Image:
    """As busy as a photograph: shapes and letters under a little noise."""
    shapes = noise((max(1, size[0] // 40), max(1, size[1] // 40)), random).resize(size, Image.Resampling.BICUBIC)
    return Image.blend(Image.blend(shapes, text(size, random), 0.5), noise(size, random), 0.06)


CONTENTS = {each.__name__: each for each in (noise, flat, text, night, street)}


def pillow(kind: str, mode: str = "RGB", **options: object) -> Callable[[Image.Image], bytes]:
    def code(picture: Image.Image) -> bytes:
        out = BytesIO()
        grey = picture.convert("L")
        made = grey.convert("I;16").point(lambda value: value * 257) if mode == "I;16" else picture.convert(mode)
        made.save(out, kind, **options)
        return out.getvalue()

    return code


def opencv(kind: str, *options: int, bits: int = 8) -> Callable[[Image.Image], bytes]:
    def code(picture: Image.Image) -> bytes:
        pixels = np.asarray(picture)[..., ::-1]
        pixels = pixels.astype(np.uint16) * 257 if bits == 16 else pixels
        return cv2.imencode(kind, pixels, options)[1].tobytes()

    return code


SAMPLING = cv2.IMWRITE_JPEG_SAMPLING_FACTOR
FORMS: dict[str, Callable[[Image.Image], bytes]] = {
    "baseline": pillow("JPEG", quality=92),
    "grey": pillow("JPEG", "L", quality=92),
    "progressive": pillow("JPEG", quality=90, progressive=True),
    "restarts": pillow("JPEG", quality=92, restart_marker_blocks=5),
    "restarts progressive": pillow("JPEG", quality=85, progressive=True, restart_marker_rows=1),
    "4:4:4": pillow("JPEG", quality=90, subsampling=0),
    "4:1:1": opencv(".jpg", SAMPLING, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_411),
    "4:4:0": opencv(".jpg", SAMPLING, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_440),
    "CMYK": pillow("JPEG", "CMYK", quality=92),
    "PNG": pillow("PNG", compress_level=1),
    "PNG palette": pillow("PNG", "P", compress_level=1),
    "PNG palette alpha": pillow("PNG", "P", compress_level=1, transparency=3),
    "PNG alpha": pillow("PNG", "RGBA", compress_level=1),
    "PNG grey alpha": pillow("PNG", "LA", compress_level=1),
    "PNG 1 bit": pillow("PNG", "1"),
    "PNG 16 bit grey": pillow("PNG", "I;16", compress_level=1),
    "PNG 16 bit": opencv(".png", bits=16),
    "BMP": pillow("BMP"),
}


def drawn(content: str, form: str, size: Size, seed: int = 1) -> bytes:
    return FORMS[form](CONTENTS[content](size, Random(f"{seed} {content} {size}")))


def fitted(data: bytes, role: Role, least_used: float = 0.0, box: Box | None = None) -> FittedImage:
    made = fit(data, role, CAPS, box)
    assert judged(made, role) == []
    assert made.encodes <= 5
    if made.quality is not None and made.quality < FINE and len(data) > MAX_BYTES[role]:
        least = PATCH_USED if least_used and role is Role.PLATE_PATCH else least_used
        assert len(made.jpeg) >= least * MAX_BYTES[role], (len(made.jpeg), made.quality, made.encodes)
    return made


SIZES = [(1, 1), (2, 1), (1, 9), (8, 8), (17, 16), (121, 61), (3, 6500), (6500, 3), (720, 576), (1920, 1080)]


@pytest.mark.parametrize("size", SIZES, ids=str)
@pytest.mark.parametrize("content", CONTENTS)
def test_contents_and_sizes(content: str, size: Size) -> None:
    data = drawn(content, "baseline", size)
    for role in Role:
        made = fitted(data, role, LEAST_USED[content])
        assert (made.source_width_px, made.source_height_px) == size
        assert made.width_px <= size[0]
        assert made.height_px <= size[1]


@pytest.mark.parametrize("form", FORMS)
def test_forms(form: str) -> None:
    for content, size in (("street", (1000, 700)), ("text", (150, 70)), ("night", (3, 500)), ("noise", (400, 260))):
        data = drawn(content, form, size)
        for role in Role:
            made = fitted(data, role, LEAST_USED[content])
            assert made == fit(data, role, CAPS)
            assert (made.source_width_px, made.source_height_px) == size
        fitted(data, Role.PLATE_PATCH, box=Box(size[0] // 3, size[1] // 3, size[0] // 2, size[1] // 4))


@settings(max_examples=80, deadline=None, derandomize=True)
@given(
    st.sampled_from(sorted(CONTENTS)),
    st.sampled_from(sorted(FORMS)),
    st.one_of(
        st.tuples(st.integers(1, 300), st.integers(1, 300)),
        st.tuples(st.integers(1, 900), st.integers(1, 700)),
        st.tuples(st.integers(1, 9), st.integers(1, 6500)),
    ),
    st.integers(0, 2**32),
)
def test_any_picture(content: str, form: str, size: Size, seed: int) -> None:
    data = drawn(content, form, size, seed)
    for role in Role:
        made = fitted(data, role, LEAST_USED[content])
        assert (made.source_width_px, made.source_height_px) == size


def enlarged(content: str, form: str, size: Size, seed: int = 1) -> bytes:
    """Drawn at a quarter, for its bytes to stay below the limit, as those of a camera's large pictures do."""
    part = (-(-size[0] // 4), -(-size[1] // 4))
    picture = CONTENTS[content](part, Random(f"{seed} {content} {size}"))
    return LARGE_FORMS[form](picture.resize(size, Image.Resampling.BICUBIC))


def pillow_palette(picture: Image.Image) -> bytes:
    """Without dither, which no packing bears."""
    out = BytesIO()
    picture.convert("P", dither=Image.Dither.NONE).save(out, "PNG", compress_level=1)
    return out.getvalue()


LARGE_FORMS = FORMS | {
    "baseline": pillow("JPEG", quality=15),
    "grey": pillow("JPEG", "L", quality=30),
    "progressive": pillow("JPEG", quality=30, progressive=True),
    "4:4:4": pillow("JPEG", quality=20, subsampling=0),
    "CMYK": pillow("JPEG", "CMYK", quality=10),
    "PNG palette": pillow_palette,
}
LARGE = [
    ("noise", "baseline"),
    ("night", "baseline"),
    ("text", "baseline"),
    ("flat", "baseline"),
    ("street", "grey"),
    ("text", "progressive"),
    ("street", "4:4:4"),
    ("flat", "CMYK"),
    ("flat", "PNG palette"),
    ("flat", "PNG 16 bit grey"),
    ("flat", "PNG 1 bit"),
]


@pytest.mark.parametrize(("content", "form"), LARGE)
def test_the_largest_that_is_let_through(content: str, form: str) -> None:
    """8000x6000: what a 48 megapixel sensor gives."""
    data = enlarged(content, form, (8000, 6000))
    for role in Role:
        made = fitted(data, role)
        assert (made.source_width_px, made.source_height_px) == (8000, 6000)
        assert max(made.width_px, made.height_px) <= 2000


@settings(max_examples=25, deadline=None, derandomize=True)
@given(
    st.sampled_from(sorted(CONTENTS)),
    st.sampled_from(sorted(FORMS)),
    st.tuples(st.integers(900, 4000), st.integers(700, 3000)),
    st.integers(0, 2**32),
)
def test_any_large_picture(content: str, form: str, size: Size, seed: int) -> None:
    """Fitted; refused only by its bytes, where it is no JPEG: what a camera sends is let through."""
    data = enlarged(content, form, size, seed)
    for role in Role:
        if len(data) > 8_000_000:
            with pytest.raises(Refused) as caught:
                fit(data, role, CAPS)
            assert caught.value.reason == "too_many_bytes"
            continue
        made = fitted(data, role)
        assert (made.source_width_px, made.source_height_px) == size


def test_a_plate_in_a_picture_too_large_to_be_held_is_cut_where_it_is() -> None:
    """Decoded at a half or a quarter, the box lies where it lay."""
    picture = Image.new("RGB", (8000, 6000), "gray")
    ImageDraw.Draw(picture).rectangle((4003, 3001, 4003 + 479, 3001 + 239), fill=(250, 240, 20))
    box = Box(4003, 3001, 480, 240)
    for form in ("baseline", "progressive", "PNG palette"):
        made = fitted(FORMS[form](picture), Role.PLATE_PATCH, box=box)
        assert made.actions == ("cropped", "resized", "recompressed")
        with Image.open(BytesIO(made.jpeg)) as image:
            yellow = np.asarray(image.convert("RGB"))[..., 2] < 80
        rows, columns = yellow.any(axis=1).nonzero()[0], yellow.any(axis=0).nonzero()[0]
        margin = 0.12 / 1.24
        for found, length in ((rows, image.height), (columns, image.width)):
            assert abs(found[0] / length - margin) < 0.03
            assert abs((found[-1] + 1) / length - (1 - margin)) < 0.03


@pytest.mark.parametrize("form", ["baseline", "PNG 1 bit"])
@pytest.mark.parametrize("size", [(10_000, 6_000), (50_001, 1_001)], ids=str)
def test_above_the_limit_of_pixels(size: Size, form: str) -> None:
    whole = drawn("flat", form, (64, 48))
    if form == "baseline":
        at = whole.index(b"\xff\xc0") + 5
        data = whole[:at] + size[1].to_bytes(2, "big") + size[0].to_bytes(2, "big") + whole[at + 4 :]
    else:
        head = b"IHDR" + size[0].to_bytes(4, "big") + size[1].to_bytes(4, "big") + whole[24:29]
        data = whole[:12] + head + zlib.crc32(head).to_bytes(4, "big") + whole[33:]
    for role in Role:
        with pytest.raises(Refused) as caught:
            fit(data, role, CAPS)
        assert caught.value.reason == "too_many_pixels"


@pytest.mark.parametrize("form", ["JPEG", "PNG"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_orientations(orientation: int, form: str) -> None:
    """As another implementation turns it, for both roles, small and large; a corner of each colour tells them apart."""
    exif = Image.Exif()
    exif[0x0112] = orientation
    for size in ((96, 48), (1400, 900)):
        stored = Image.new("RGB", size, "black")
        for colour, corner in (("red", (0, 0)), ("green", (size[0] // 2, 0)), ("blue", (0, size[1] // 2))):
            stored.paste(colour, (*corner, corner[0] + size[0] // 2, corner[1] + size[1] // 2))
        out = BytesIO()
        stored.save(out, form, exif=exif)
        with Image.open(out) as image:
            expected = ImageOps.exif_transpose(image).convert("RGB")
        for role in Role:
            made = fitted(out.getvalue(), role)
            assert (made.source_width_px, made.source_height_px) == size
            with Image.open(BytesIO(made.jpeg)) as image:
                shown = np.asarray(image.convert("RGB"), np.int16)
            wanted = np.asarray(expected.resize((made.width_px, made.height_px)), np.int16)
            assert np.abs(shown - wanted).mean() < 6
            assert abs(made.width_px / made.height_px - expected.width / expected.height) < 0.1


@pytest.mark.parametrize("role", Role)
def test_photographs_use_the_cap(role: Role) -> None:
    folder = ROOT.parent / "shared" / "images"
    if not folder.is_dir():
        pytest.skip(f"no test pictures: {folder} is absent")
    files = sorted(file for file in folder.iterdir() if file.suffix in (".jpg", ".png"))
    assert len(files) > 30
    made = [fitted(file.read_bytes(), role, LEAST_USED["street"]) for file in files]
    used = [len(one.jpeg) / MAX_BYTES[role] for one in made if one.quality is not None and one.quality < FINE]
    assert len(used) > 10
    assert sum(used) / len(used) >= 0.95


def several() -> list[bytes]:
    """40 pictures, of every content and form."""
    forms = list(FORMS)
    return [
        drawn(content, forms[(5 * number + place) % len(forms)], (160 + 70 * number, 90 + 50 * number), number)
        for number in range(8)
        for place, content in enumerate(CONTENTS)
    ]


def test_threads_give_what_one_alone_gives() -> None:
    pictures = several()
    assert len(pictures) == 40
    alone = [[fit(data, role, CAPS) for role in Role] for data in pictures]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(lambda data: [fit(data, role, CAPS) for role in Role], pictures))
    assert together == alone


ELSEWHERE = """
import base64, hashlib, json, os, sys
written = []
def watch(event, args):
    if event in ("os.mkdir", "os.rename", "os.symlink", "os.link", "tempfile.mkstemp", "tempfile.mkdtemp"):
        written.append(event)
    if event == "open" and args[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT):
        written.append(args[0])
sys.addaudithook(watch)
from compress.fit import fit
from edge.claim import Role
from firmware_config.profile import Caps
caps = Caps(patch_max_width_px=120, patch_max_height_px=60, patch_max_bytes=3_000, overview_max_bytes=25_000)
said = []
for data in map(base64.b64decode, json.load(sys.stdin)):
    for role in Role:
        made = fit(data, role, caps)
        said.append([hashlib.sha256(made.jpeg).hexdigest(), made.quality, made.encodes])
print(json.dumps([said, written]))
"""


def test_the_same_in_another_process_and_no_file_is_created() -> None:
    pictures = several()
    here = []
    for data in pictures:
        for role in Role:
            made = fit(data, role, CAPS)
            here.append([sha256(made.jpeg).hexdigest(), made.quality, made.encodes])
    given_in = json.dumps([base64.b64encode(data).decode() for data in pictures])
    command = [sys.executable, "-B", "-W", "error", "-c", ELSEWHERE]
    for hash_seed in ("1", "2"):
        environment = os.environ | {"PYTHONHASHSEED": hash_seed}
        done = subprocess.run(command, input=given_in, capture_output=True, text=True, cwd=ROOT, env=environment)
        assert done.returncode == 0, done.stderr[-2000:]
        assert json.loads(done.stdout) == [here, []]


def test_the_watch_for_files_sees_one(tmp_path: Path) -> None:
    """Negative control of the watch."""
    planted = f"open({str(tmp_path / 'planted')!r}, 'wb').close()\nprint(json.dumps([[], written]))\n"
    done = subprocess.run(
        [sys.executable, "-B", "-c", ELSEWHERE.split("from compress")[0] + planted], capture_output=True, cwd=ROOT
    )
    assert json.loads(done.stdout) == [[], [str(tmp_path / "planted")]]
