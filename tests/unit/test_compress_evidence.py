"""A read becomes evidence: which picture fills which role, what is omitted and why, and the hash of what came."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime
from hashlib import sha256
from io import BytesIO
from pathlib import Path
from zoneinfo import ZoneInfo

from PIL import Image

from compress.evidence import evidence, without_pictures
from compress.reason import Reason
from edge.camera import Authorisation, Camera, TimePolicy
from edge.claim import Box, ClockState, RawImage, RawRead, Received, Role
from edge.read import Captured, FittedImage, Omitted, Read, TimeSource
from firmware_config.profile import Caps

CAPS = Caps(patch_max_width_px=120, patch_max_height_px=60, patch_max_bytes=3_000, overview_max_bytes=25_000)
DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "images.md"
BOX = Box(100, 200, 80, 40)


def picture(size: tuple[int, int], box: Box | None = None) -> bytes:
    """A gradient, with a red rectangle where the plate is."""
    drawn = Image.linear_gradient("L").resize(size).convert("RGB")
    if box is not None:
        drawn.paste((220, 30, 30), (box.left_px, box.top_px, box.left_px + box.width_px, box.top_px + box.height_px))
    out = BytesIO()
    drawn.save(out, "JPEG", quality=95)
    return out.getvalue()


def read_of(*images: RawImage) -> Read:
    authorisation = Authorisation("ref", date(2025, 1, 1), date(2030, 1, 1))
    zone = ZoneInfo("Europe/London")
    camera = Camera("north", "test", (), None, None, None, zone, TimePolicy.ARRIVAL, 60, 60, True, None, authorisation)
    raw = RawRead("test", 1, None, None, "", None, None, None, None, datetime(2025, 6, 1, tzinfo=UTC), None, images)
    received = Received(0, None, ClockState.UNKNOWN, 0, "boot")
    return Read(camera, raw, None, Captured(0, None, TimeSource.ARRIVAL, None), received, None, None)


def test_both_pictures_travel_and_the_originals_are_hashed() -> None:
    patch, overview = picture((110, 50)), picture((1600, 1200))
    made = evidence(read_of(RawImage(Role.PLATE_PATCH, patch), RawImage(Role.OVERVIEW, overview)), CAPS)
    assert isinstance(made.patch, FittedImage)
    assert isinstance(made.overview, FittedImage)
    assert (made.patch.role, made.overview.role) == (Role.PLATE_PATCH, Role.OVERVIEW)
    assert [(o.role, o.sha256, o.size_bytes) for o in made.originals] == [
        (Role.PLATE_PATCH, sha256(patch).digest(), len(patch)),
        (Role.OVERVIEW, sha256(overview).digest(), len(overview)),
    ]


def test_nothing_sent() -> None:
    made = evidence(read_of(), CAPS)
    assert made.patch == Omitted(Role.PLATE_PATCH, "not_sent")
    assert made.overview == Omitted(Role.OVERVIEW, "not_sent")
    assert made.originals == ()


def test_patch_is_cut_from_the_overview_only_where_the_camera_gave_the_box() -> None:
    overview = picture((640, 480), BOX)
    without = evidence(read_of(RawImage(Role.OVERVIEW, overview)), CAPS)
    assert without.patch == Omitted(Role.PLATE_PATCH, "not_sent")
    made = evidence(read_of(RawImage(Role.OVERVIEW, overview, BOX)), CAPS)
    assert isinstance(made.patch, FittedImage)
    assert made.patch.actions[0] == "cropped"
    assert (made.patch.width_px, made.patch.height_px) == (100, 50)
    with Image.open(BytesIO(made.patch.jpeg)) as shown:
        middle = shown.convert("RGB").getpixel((50, 25))
        corner = shown.convert("RGB").getpixel((1, 1))
    assert isinstance(middle, tuple)
    assert isinstance(corner, tuple)
    assert middle[0] > middle[1] + 100
    assert abs(corner[0] - corner[1]) < 60


def test_a_bad_picture_costs_only_itself() -> None:
    overview = picture((640, 480))
    made = evidence(read_of(RawImage(Role.PLATE_PATCH, overview[:200]), RawImage(Role.OVERVIEW, overview)), CAPS)
    assert made.patch == Omitted(Role.PLATE_PATCH, "undecodable")
    assert isinstance(made.overview, FittedImage)
    assert made.originals[0].size_bytes == 200


def test_a_bad_patch_gives_way_to_the_box_and_keeps_its_reason_where_that_fails_too() -> None:
    bad, overview = RawImage(Role.PLATE_PATCH, b"GIF89a"), picture((640, 480), BOX)
    cut = evidence(read_of(bad, RawImage(Role.OVERVIEW, overview, BOX)), CAPS).patch
    assert isinstance(cut, FittedImage)
    outside = RawImage(Role.OVERVIEW, overview, Box(640, 0, 10, 10))
    assert evidence(read_of(bad, outside), CAPS).patch == Omitted(Role.PLATE_PATCH, "unsupported_image")
    assert evidence(read_of(outside), CAPS).patch == Omitted(Role.PLATE_PATCH, "box_outside")


def test_the_same_from_many_threads() -> None:
    read = read_of(RawImage(Role.OVERVIEW, picture((800, 600), BOX), BOX))
    alone = evidence(read, CAPS)
    with ThreadPoolExecutor(4) as threads:
        assert all(made == alone for made in threads.map(lambda _: evidence(read, CAPS), range(16)))


def test_every_reason_is_explained_in_the_document() -> None:
    text = DOCUMENT.read_text(encoding="utf-8")
    assert [reason.value for reason in Reason if f"`{reason.value}`" not in text] == []


def test_a_read_whose_pictures_took_too_long_goes_alone_and_their_hashes_stay() -> None:
    overview = picture((640, 480))
    made = without_pictures(read_of(RawImage(Role.OVERVIEW, overview)), Reason.TOO_SLOW)
    assert made.patch == Omitted(Role.PLATE_PATCH, "too_slow")
    assert made.overview == Omitted(Role.OVERVIEW, "too_slow")
    assert [original.sha256 for original in made.originals] == [sha256(overview).digest()]
