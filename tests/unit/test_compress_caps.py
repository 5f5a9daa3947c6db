"""Everything that comes out is inside its cap, by a check that shares no code with what made it."""

from __future__ import annotations

import random
from io import BytesIO
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, PngImagePlugin

from compress.fit import ENCODES_MAX, fit
from edge.claim import Box, Role
from edge.errors import Refused
from edge.read import FittedImage
from firmware_config.profile import Caps

CAPS = Caps(patch_max_width_px=120, patch_max_height_px=60, patch_max_bytes=3_000, overview_max_bytes=25_000)
SHARED = Path(__file__).resolve().parents[2].parent / "shared"
SEED = 31


def complaints(jpeg: bytes, role: Role) -> list[str]:
    """What a receiver would hold against this JPEG: size, pixels, metadata, loose ends. Numbers are written out."""
    said = [] if len(jpeg) <= (3_000 if role is Role.PLATE_PATCH else 25_000) else ["bytes"]
    if jpeg[:2] != b"\xff\xd8":
        return [*said, "no SOI"]
    at, size = 2, None
    while True:
        if jpeg[at : at + 1] != b"\xff" or at + 4 > len(jpeg) + 2:
            return [*said, "broken"]
        marker = jpeg[at + 1]
        if marker == 0xD9:
            break
        length = jpeg[at + 2] << 8 | jpeg[at + 3]
        body = jpeg[at + 4 : at + 2 + length]
        if marker == 0xFE or (0xE0 <= marker <= 0xEF and not _is_allowed(marker, body)):
            said.append("metadata")
        if marker in (0xC0, 0xC1, 0xC2):
            size = (body[3] << 8 | body[4], body[1] << 8 | body[2])
        at += 2 + length
        while marker == 0xDA and at < len(jpeg) - 1 and (jpeg[at] != 0xFF or jpeg[at + 1] in (0, *range(0xD0, 0xD8))):
            at += 1
    if at + 2 != len(jpeg):
        said.append("bytes after EOI")
    if size is None or (role is Role.PLATE_PATCH and (size[0] > 120 or size[1] > 60)):
        said.append("pixels")
    with Image.open(BytesIO(jpeg), formats=["JPEG"]) as image:
        image.load()
        if image.size != size:
            said.append("two sizes")
    return said


def _is_allowed(marker: int, body: bytes) -> bool:
    return (marker == 0xE0 and body[:5] == b"JFIF\0" and len(body) == 14) or (
        marker == 0xEE and body[:5] == b"Adobe" and len(body) == 12
    )


def coded(image: Image.Image, kind: str = "JPEG", **options: object) -> bytes:
    out = BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()


def noise(size: tuple[int, int], mode: str = "RGB", seed: int = SEED) -> Image.Image:
    return Image.frombytes(
        mode, size, random.Random(seed).randbytes(size[0] * size[1] * len(Image.new(mode, (1, 1)).getbands()))
    )


def fitted(data: bytes, role: Role, box: Box | None = None) -> FittedImage:
    made = fit(data, role, CAPS, box)
    assert complaints(made.jpeg, role) == []
    assert made.encodes <= ENCODES_MAX
    with Image.open(BytesIO(made.jpeg)) as image:
        assert image.size == (made.width_px, made.height_px)
    assert set(made.actions) <= {"kept", "stripped", "cropped", "resized", "recompressed"}
    assert (made.quality is None) == (made.encodes == 0) == (made.actions[-1] in ("kept", "stripped"))
    return made


def test_the_check_itself_complains() -> None:
    """Negative control: each fault that the check is for is found."""
    good = coded(Image.new("RGB", (100, 50)))
    assert complaints(good, Role.PLATE_PATCH) == []
    assert complaints(coded(noise((120, 60)), quality=95), Role.PLATE_PATCH) == ["bytes"]
    assert complaints(coded(noise((400, 400)), quality=95), Role.OVERVIEW) == ["bytes"]
    assert complaints(coded(Image.new("RGB", (121, 60))), Role.PLATE_PATCH) == ["pixels"]
    assert complaints(coded(Image.new("RGB", (120, 61))), Role.PLATE_PATCH) == ["pixels"]
    assert complaints(coded(Image.new("RGB", (9, 9)), comment=b"x"), Role.OVERVIEW) == ["metadata"]
    assert complaints(coded(Image.new("RGB", (9, 9)), exif=b"Exif\0\0x"), Role.OVERVIEW) == ["metadata"]
    assert complaints(good + b"\0", Role.OVERVIEW) == ["bytes after EOI"]
    assert complaints(good[:-2], Role.OVERVIEW) == ["broken"]
    assert complaints(b"GIF", Role.OVERVIEW) == ["no SOI"]


@pytest.mark.parametrize("role", Role)
def test_public_photographs(role: Role) -> None:
    if not SHARED.is_dir():
        pytest.skip(f"no test pictures: {SHARED} is absent")
    files = sorted(file for file in (SHARED / "images").iterdir() if file.suffix in (".jpg", ".png"))
    assert len(files) > 30
    for file in files:
        made = fitted(file.read_bytes(), role)
        with Image.open(file) as source:
            assert (made.source_width_px, made.source_height_px) == source.size
        if role is Role.OVERVIEW:
            assert made.quality is None or made.quality >= 25, file.name


def test_plates_cut_from_public_photographs() -> None:
    table = SHARED / "images" / "SOURCES.tsv"
    if not table.is_file():
        pytest.skip(f"no test pictures: {table} is absent")
    head, *rows = (line.split("\t") for line in table.read_text(encoding="utf-8").splitlines())
    cut = 0
    for row in (dict(zip(head, line, strict=False)) for line in rows):
        if row["plate_w"].isdigit():
            x, y, width, height = (int(row[name]) for name in ("plate_x", "plate_y", "plate_w", "plate_h"))
            made = fitted((table.parent / row["file"]).read_bytes(), Role.PLATE_PATCH, Box(x, y, width, height))
            assert made.actions[0] == "cropped"
            assert made.width_px <= min(120, width * 1.24 + 2)
            assert made.height_px <= min(60, height * 1.24 + 2)
            cut += 1
    assert cut > 20


SIZES = [(1, 1), (1, 300), (300, 1), (7, 5), (120, 60), (121, 60), (640, 480), (1119, 3), (4000, 3000)]


@pytest.mark.parametrize("role", Role)
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("content", ["flat", "noise", "grey"])
def test_generated_pictures(content: str, size: tuple[int, int], role: Role) -> None:
    image = (
        Image.new("RGB", size, (10, 200, 90)) if content == "flat" else noise(size, "L" if content == "grey" else "RGB")
    )
    kind = "PNG" if size[0] * size[1] < 1_000_000 else "JPEG"
    fitted(coded(image, kind), role)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(
    st.sampled_from(["RGB", "L", "CMYK", "RGBA", "LA", "P", "1", "I;16"]),
    st.integers(1, 400),
    st.integers(1, 300),
    st.integers(0, 2**32),
    st.sampled_from(Role),
)
def test_any_kind_of_picture(mode: str, width: int, height: int, seed: int, role: Role) -> None:
    if mode == "I;16":
        image = Image.frombytes(mode, (width, height), random.Random(seed).randbytes(2 * width * height))
    elif mode in ("P", "1"):
        image = noise((width, height), "RGB", seed).convert(mode)
    else:
        image = noise((width, height), mode, seed)
    made = fitted(coded(image, "JPEG" if mode == "CMYK" else "PNG"), role)
    assert (made.source_width_px, made.source_height_px) == (width, height)
    assert made.width_px <= width
    assert made.height_px <= height


@pytest.mark.parametrize(
    ("image", "kind", "shown"),
    [
        (Image.new("I;16", (90, 40), 65535 // 2), "PNG", (127, 127, 127)),
        (Image.new("RGBA", (90, 40), (200, 0, 0, 255)), "PNG", (200, 0, 0)),
        (Image.new("RGBA", (90, 40), (200, 0, 0, 0)), "PNG", (255, 255, 255)),
        (Image.new("LA", (90, 40), (60, 255)), "PNG", (60, 60, 60)),
        (Image.new("LA", (90, 40), (60, 0)), "PNG", (255, 255, 255)),
        (Image.new("RGB", (90, 40), (30, 90, 220)).quantize(4), "PNG", (30, 90, 220)),
        (Image.new("1", (90, 40), 1), "PNG", (255, 255, 255)),
        (Image.new("RGB", (90, 40), (30, 90, 220)), "BMP", (30, 90, 220)),
        (Image.new("CMYK", (90, 40), (0, 255, 255, 0)), "JPEG", (255, 0, 0)),
    ],
)
def test_colours_survive(image: Image.Image, kind: str, shown: tuple[int, int, int]) -> None:
    made = fitted(coded(image, kind), Role.PLATE_PATCH)
    with Image.open(BytesIO(made.jpeg)) as out:
        seen = out.convert("RGB").getpixel((45, 20))
    assert isinstance(seen, tuple)
    assert all(abs(a - b) <= 6 for a, b in zip(seen, shown, strict=True)), (seen, shown)


def test_a_compliant_jpeg_is_not_touched() -> None:
    data = coded(Image.linear_gradient("L").resize((120, 60)).convert("RGB"))
    for role in Role:
        made = fitted(data, role)
        assert (made.jpeg, made.actions, made.quality, made.encodes) == (data, ("kept",), None, 0)
    assert fitted(data + b"more", Role.PLATE_PATCH).actions == ("stripped",)
    assert fitted(data + b"more", Role.PLATE_PATCH).jpeg == data


@pytest.mark.parametrize("size", [(100, 50), (1500, 900)])
@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
@pytest.mark.parametrize("role", Role)
def test_no_metadata_comes_through(size: tuple[int, int], kind: str, role: Role) -> None:
    word = b"51.5007N-0.1246W-SERIAL"
    exif = Image.Exif()
    exif[0x010F] = word.decode()
    exif.get_ifd(0x8825)[1] = word.decode()
    options: dict[str, object] = {"exif": exif, "icc_profile": word * 40}
    if kind == "JPEG":
        options |= {"comment": word, "xmp": word}
    else:
        text = PngImagePlugin.PngInfo()
        text.add_text("Comment", word.decode())
        text.add_itxt("XML:com.adobe.xmp", word.decode())
        options["pnginfo"] = text
    data = coded(noise(size), kind, **options)
    assert word in data
    made = fitted(data, role)
    assert word not in made.jpeg
    assert not any(name in made.jpeg for name in (b"Exif", b"ICC_PROFILE", b"http"))


@pytest.mark.parametrize("role", Role)
def test_a_turned_picture_comes_out_upright(role: Role) -> None:
    stored = Image.new("RGB", (80, 40), "black")
    stored.paste((255, 255, 255), (0, 0, 40, 40))  # white on the left as stored: on top once turned by 90 degrees
    exif = Image.Exif()
    exif[0x0112] = 6
    made = fitted(coded(stored, exif=exif), role)
    height = 60 if role is Role.PLATE_PATCH else 80
    assert (made.width_px, made.height_px) == (height // 2, height)
    assert (made.source_width_px, made.source_height_px) == (80, 40)
    with Image.open(BytesIO(made.jpeg)) as out:
        top, bottom = (out.convert("L").getpixel((made.width_px // 2, y)) for y in (8, made.height_px - 8))
    assert isinstance(top, int)
    assert isinstance(bottom, int)
    assert (top > 240, bottom < 15) == (True, True)


def test_the_same_bytes_give_the_same_picture() -> None:
    data = coded(noise((900, 700)).resize((1400, 900)))
    for role in Role:
        assert fit(data, role, CAPS) == fit(data, role, CAPS)


@pytest.mark.parametrize("most", [3_000, 1_200, 700, 500])
def test_caps_far_below_the_law_still_hold(most: int) -> None:
    caps = Caps(40, 20, most, most, overview_max_side_px=333)
    for role in Role:
        for data in (coded(noise((1000, 800))), coded(Image.new("RGB", (1000, 800)))):
            made = fit(data, role, caps)
            assert len(made.jpeg) <= most
            assert made.encodes <= ENCODES_MAX
            assert max(made.width_px, made.height_px) <= (40 if role is Role.PLATE_PATCH else 333)


def test_what_cannot_fit_is_refused_and_not_sent_too_large() -> None:
    with pytest.raises(Refused) as caught:
        fit(coded(noise((500, 500))), Role.OVERVIEW, Caps(120, 60, 3_000, 100))
    assert caught.value.reason == "cannot_fit"


@pytest.mark.parametrize(
    "box", [Box(500, 0, 9, 9), Box(0, 400, 9, 9), Box(-9, 0, 9, 9), Box(5, 5, 0, 9), Box(5, 5, 9, -1)]
)
def test_a_box_beside_the_picture_is_refused(box: Box) -> None:
    with pytest.raises(Refused) as caught:
        fit(coded(Image.new("RGB", (500, 400))), Role.PLATE_PATCH, CAPS, box)
    assert caught.value.reason == "box_outside"
