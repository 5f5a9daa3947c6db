"""Reads that the node asks for: what the recipes and the source hand on, byte for byte, read by the dialects.

Every answer here is a whole one, with other reads before and behind; each read is handed on alone in what surrounded
all of them, with the pictures that the camera still had.
"""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from PIL import Image

from capture.asking import Place
from capture.backoff import Backoff
from capture.delivery import Delivery
from capture.dialects import dialect_named, which
from capture.dialects.pictures import role_by_shape, size_px
from capture.grouping import joined
from capture.multipart import parts
from capture.recipes import Poll, recipe_named
from capture.sources.http_pull import Pull, PullLimits, open_http_pull
from edge.claim import Box, Direction, Heard, Life, RawImage, RawRead, Role, SignOfLife, Way
from tests.fixtures.onvif.trials import FIELD, damaged, delivery, jpeg, png, read, reason
from tests.fixtures.peers_http import HttpCamera, http_camera, page
from tests.fixtures.peers_tcp import Site, clock, run, until

PLATE, SCENE = jpeg(184, 40), jpeg(640, 360)
DIALECTS = {"hikvision_plates": "hikvision", "milesight_last": "milesight", "axis_search": "axis"}

HIKVISION = b"""\r\n<?xml version="1.0" encoding="UTF-8"?>
<Plates version="2.0" xmlns="http://www.isapi.org/ver20/XMLSchema">
<Plate>
<captureTime>20260302T0815300000</captureTime><plateNumber>TE57ABC</plateNumber><picName>202603020815306200</picName>
<country>GBR</country><laneNo>1</laneNo><direction>forward</direction><matchingResult>otherlist</matchingResult>
</Plate>
<Plate>
<captureTime>20260302T0815120000</captureTime><plateNumber>unknown</plateNumber><picName>202603020815121700</picName>
<country>GBR</country><laneNo>2</laneNo><direction>reverse</direction>
</Plate>
</Plates>
"""
MILESIGHT = (
    b"time_0=2026-03-02 08:15:30\nplate_0=TE57ABC\ntype_0=Visitor\npath_0=2026-03-02/081530_TE57ABC.jpg\n"
    b"region_0=GBR\ndirection_0=1\nroi_id_0=1\nplate_left_0=356\nplate_top_0=546\nplate_right_0=590\nplate_bottom_0=614\n"
    b"time_1=2026-03-02 08:15:12\nplate_1=AB12CDE\ntype_1=White\npath_1=2026-03-02/081512.jpg\nregion_1=DEU\n"
    b"direction_1=2\nroi_id_1=2\nplate_left_1=0\nplate_top_1=0\nplate_right_1=0\nplate_bottom_1=0\n"
)
EVENT = """
    <event>
        <TS>{ts}</TS> <MOD_TS>2026-03-02 10:15:30 EET</MOD_TS> <END_TS>0</END_TS> <CAR_ID>{car}</CAR_ID>
        <LPR>TE57ABC</LPR> <LPR_UTF8>TE57 ABC</LPR_UTF8> <LPR_UNICODE>\\u0054\\u0045</LPR_UNICODE>
        <RTIME>223.0</RTIME> <ACTION>100</ACTION> <ACT_PARAM /> <THRESHOLD>0.701837122440338</THRESHOLD>
        <ROI_X>{x}</ROI_X> <ROI_Y>{x}</ROI_Y> <ROI_W>640</ROI_W> <ROI_H>360</ROI_H>
        <LP_X>64</LP_X> <LP_Y>178</LP_Y> <LP_W>120</LP_W> <LP_H>32</LP_H>
        <ROI_ID>1</ROI_ID> <ROI_IDU>0</ROI_IDU> <DIRECTION>{way}</DIRECTION>
        <LP_BMP>
            tools.cgi?action=getImage &amp; name=53/20260302081530_601572roi_TE57ABC_8565355.jpg
        </LP_BMP>
        <ROI_BMP>
            tools.cgi?action=getImage &amp; name=51/20260302081530_259638lp_TE57ABC_Astra G_8565354.jpg
        </ROI_BMP>
        <COUNTRY>{country}</COUNTRY> <LP_LIST_MODE>1</LP_LIST_MODE> <CAR_M_TYPE>CAR</CAR_M_TYPE>
        <CAR_CONF>55.88</CAR_CONF>
    </event>"""


def event(
    car: str = "42628", ts: str = "1772439330250123", way: str = "2", country: str = "GBR", x: str = "96"
) -> bytes:
    return EVENT.format(car=car, ts=ts, way=way, country=country, x=x).encode()


def search(*events: bytes, now: bytes = b"1772439400000000") -> bytes:
    return b"<events>    <currentTimestampUs>" + now + b"</currentTimestampUs>" + b"".join(events) + b"</events>\n"


def handed_on(recipe: str, answer: bytes, kind: str, *pictures: bytes) -> list[Delivery]:
    """Each read of an answer as the source puts it together, each with these pictures in the order of its own."""
    found = []
    for polled in poll_named(recipe).cut(answer):
        held = [f"Content-Type: {kind}\r\n\r\n".encode() + polled.body]
        for its, data in zip(polled.pictures, pictures, strict=False):
            head = (
                f'Content-Disposition: form-data; name="{its.key}"; filename="{its.name}"\r\nContent-Type: image/jpeg'
            )
            held.append(head.encode() + b"\r\n\r\n" + data)
        if len(held) == 1:
            found.append(delivery(polled.body, kind, way=Way.HTTP_PULL))
            continue
        group = joined(held, b"--anpr-edge-0f0f")
        found.append(delivery(group.body, group.content_type, way=Way.HTTP_PULL))
    return found


def poll_named(name: str) -> Poll:
    recipe = recipe_named(name)
    assert isinstance(recipe, Poll)
    return replace(recipe, every_s=0.02)


def told(recipe: str, parcel: Delivery) -> RawRead:
    """The read in it, by the dialect that recognises it first."""
    assert which(parcel)[0] == DIALECTS[recipe]
    return read(dialect_named(DIALECTS[recipe]), parcel)


def asked(recipe: str, answer: bytes, kind: str, pages: Mapping[str, bytes], count: int) -> list[Delivery]:
    """What the source hands on when a camera on a real socket answers so."""
    site = Site()

    async def scene() -> None:
        poll = poll_named(recipe)
        path = poll.request(poll.first).target.partition("?")[0]
        camera = HttpCamera(pages={path: page(answer, kind), **{p: page(d, "image/jpeg") for p, d in pages.items()}})
        limits = PullLimits(connect_s=1, answer_s=1, whole_s=1, hold_s=0.02, backoff=Backoff(0.01, 0.02))
        async with http_camera(camera):
            pulls = [Pull("c", Place("127.0.0.1", camera.port), poll)]
            pull = await open_http_pull(pulls, limits, site.receive, site, clock)
            try:
                await until(lambda: len(site.deliveries) == count, "every read is handed on")
            finally:
                await pull.close()

    run(scene())
    return site.deliveries


def same(ours: Delivery, sources: Delivery) -> bool:
    if not ours.content_type.startswith("multipart/"):
        return (ours.content_type, ours.body) == (sources.content_type, sources.body)
    return parts(ours.body, ours.content_type) == parts(sources.body, sources.content_type)


@pytest.mark.parametrize(
    ("recipe", "answer", "kind", "pages", "pictures"),
    [
        (
            "hikvision_plates",
            HIKVISION,
            "application/xml",
            {f"/doc/ui/images/plate/{name}.jpg": PLATE for name in ("202603020815306200", "202603020815121700")},
            (PLATE,),
        ),
        (
            "milesight_last",
            MILESIGHT,
            "text/html; charset=UTF-8",
            {f"/LPR/2026-03-02/{name}.jpg": PLATE for name in ("081530_TE57ABC", "081512")},
            (PLATE,),
        ),
        (
            "axis_search",
            search(event(), event("42627")),
            "application/xml",
            {"/local/fflprapp/tools.cgi": SCENE},
            (SCENE, SCENE),
        ),
        ("milesight_last", MILESIGHT, "text/html", {}, ()),
    ],
)
def test_the_source_hands_on_what_is_read_below(
    recipe: str, answer: bytes, kind: str, pages: dict[str, bytes], pictures: tuple[bytes, ...]
) -> None:
    ours = handed_on(recipe, answer, kind, *pictures)
    sources = asked(recipe, answer, kind, pages, len(ours))
    assert len(ours) == 2
    for mine, real in zip(ours, sources, strict=True):
        assert same(mine, real)
        assert told(recipe, real) == told(recipe, mine)


# Hikvision.


def test_a_hikvision_read_with_its_picture() -> None:
    first, second = (told("hikvision_plates", each) for each in handed_on("hikvision_plates", HIKVISION, "", PLATE))
    assert first == RawRead(
        dialect="hikvision",
        dialect_version=1,
        camera_identity=None,
        vendor_id="202603020815306200",
        plate_heard="TE57ABC",
        confidence=None,
        country="GBR",
        direction=Direction.TOWARD,
        lane="1",
        time=datetime(2026, 3, 2, 8, 15, 30),
        time_heard="20260302T0815300000",
        images=(RawImage(Role.PLATE_PATCH, PLATE),),
        heard=Heard(direction="forward", country="GBR"),
    )
    assert (second.plate_heard, second.lane, second.images) == ("unknown", "2", (RawImage(Role.PLATE_PATCH, PLATE),))
    bare, _ = handed_on("hikvision_plates", HIKVISION, "application/xml")
    assert told("hikvision_plates", bare) == replace(first, images=())
    scene, _ = handed_on("hikvision_plates", HIKVISION, "application/xml", SCENE)
    assert told("hikvision_plates", scene).images == (RawImage(Role.OVERVIEW, SCENE),)


def test_a_published_hikvision_answer_with_the_picture_that_came_with_it() -> None:
    answer, picture = FIELD / "hikvision" / "plates_poll_response_exnvr.xml", FIELD / "images/exnvr_license-plate.jpg"
    if not answer.is_file() or not picture.is_file():
        pytest.skip(f"no payloads of hikvision: {FIELD} is absent")
    (parcel,) = handed_on("hikvision_plates", answer.read_bytes(), "application/xml", picture.read_bytes())
    assert parts(parcel.body, parcel.content_type)[1].filename == "license-plate.jpg"
    heard = told("hikvision_plates", parcel)
    assert (heard.plate_heard, heard.vendor_id, heard.time) == ("ABC1234", "license-plate", datetime(2024, 4, 28, 13))
    assert heard.images == (RawImage(Role.PLATE_PATCH, picture.read_bytes()),)


def test_the_shape_of_a_picture_that_nothing_else_explains() -> None:
    for size in ((184, 40), (60, 60), (3348, 1622), (152, 80)):
        assert role_by_shape(jpeg(*size)) is role_by_shape(png(*size)) is Role.PLATE_PATCH, size
        assert size_px(jpeg(*size)) == size_px(png(*size)) == size
    for size in ((640, 360), (704, 576), (1920, 1080), (4096, 2160), (800, 600)):
        assert role_by_shape(jpeg(*size)) is Role.OVERVIEW, size
    progressive = io.BytesIO()
    Image.new("RGB", (184, 40)).save(progressive, "JPEG", progressive=True)
    assert role_by_shape(progressive.getvalue()) is Role.PLATE_PATCH
    for broken in (b"", b"\xff\xd8\xff", PLATE[:40], b"\x89PNG\r\n\x1a\n", b"\x89PNG\r\n\x1a\n" + bytes(20)):
        assert role_by_shape(broken) is Role.OVERVIEW


# Milesight.


def test_a_milesight_read_with_its_picture() -> None:
    first, second = (told("milesight_last", each) for each in handed_on("milesight_last", MILESIGHT, "", PLATE))
    assert first == RawRead(
        dialect="milesight",
        dialect_version=1,
        camera_identity=None,
        vendor_id="2026-03-02/081530_.jpg",
        plate_heard="TE57ABC",
        confidence=None,
        country="GBR",
        direction=Direction.TOWARD,
        lane="1",
        time=datetime(2026, 3, 2, 8, 15, 30),
        time_heard="2026-03-02 08:15:30",
        images=(RawImage(Role.PLATE_PATCH, PLATE),),
        heard=Heard(direction="1", country="GBR", plate_box="356,546,234,68/unknown"),
    )
    assert (second.vendor_id, second.direction, second.lane) == ("2026-03-02/081512.jpg", Direction.AWAY, "2")
    assert second.heard.plate_box is None
    scene, _ = handed_on("milesight_last", MILESIGHT, "text/html", SCENE)
    assert told("milesight_last", scene).images == (RawImage(Role.OVERVIEW, SCENE),)
    bare, _ = handed_on("milesight_last", MILESIGHT, "text/html")
    assert told("milesight_last", bare) == replace(first, images=())


def test_a_milesight_picture_that_is_a_page_is_none() -> None:
    parcel, _ = handed_on("milesight_last", MILESIGHT, "text/html", b"<html>no such picture</html>")
    assert told("milesight_last", parcel).images == ()
    group = joined([b"Content-Type: text/html\r\n\r\nno", b"Content-Type: image/jpeg\r\n\r\n" + PLATE], b"--b")
    assert reason(dialect_named("milesight"), delivery(group.body, group.content_type)) == "no_document"


# Axis.


def test_an_axis_event_with_its_pictures() -> None:
    answer = search(event(), event("42627", way="3", country="XX"))
    first, second = (told("axis_search", each) for each in handed_on("axis_search", answer, "", PLATE, SCENE))
    assert first == RawRead(
        dialect="axis",
        dialect_version=1,
        camera_identity=None,
        vendor_id="42628-1772439330250123",
        plate_heard="TE57 ABC",
        confidence=70,
        country="GBR",
        direction=Direction.TOWARD,
        lane="1",
        time=datetime(2026, 3, 2, 8, 15, 30, 250_000, UTC),
        time_heard="1772439330250123",
        images=(RawImage(Role.PLATE_PATCH, PLATE), RawImage(Role.OVERVIEW, SCENE)),
        heard=Heard("0.701837122440338/1", "in", "GBR", "64,178,120,32/unknown"),
    )
    assert (second.vendor_id, second.direction, second.country) == (
        "42627-1772439330250123",
        Direction.AWAY,
        None,
    )
    bare = handed_on("axis_search", answer, "application/xml")[0]
    assert told("axis_search", bare) == replace(first, images=())


def test_an_axis_picture_is_what_its_key_says_and_neither_its_name_nor_its_shape() -> None:
    (parcel,) = handed_on("axis_search", search(event()), "application/xml", SCENE, PLATE)
    assert [image.data for image in told("axis_search", parcel).images] == [SCENE, PLATE]
    only_region = event().replace(b"LP_BMP", b"LP_NONE")
    (parcel,) = handed_on("axis_search", search(only_region), "application/xml", SCENE)
    assert told("axis_search", parcel).images == (RawImage(Role.OVERVIEW, SCENE),)


@pytest.mark.parametrize(
    ("x", "scene", "box"), [("0", SCENE, Box(64, 178, 120, 32)), ("0", PLATE, None), ("96", SCENE, None)]
)
def test_an_axis_box_is_told_only_where_frame_and_region_are_one(x: str, scene: bytes, box: Box | None) -> None:
    (parcel,) = handed_on("axis_search", search(event(x=x)), "application/xml", PLATE, scene)
    assert [image.plate_box for image in told("axis_search", parcel).images] == [None, box]


def test_an_axis_event_that_is_listed_again_is_known() -> None:
    def known(*events: bytes, now: bytes = b"1") -> list[str | None]:
        parcels = handed_on("axis_search", search(*events, now=now), "application/xml", PLATE)
        return [told("axis_search", each).vendor_id for each in parcels]

    first = known(event(), event("42627"), now=b"1772439400000000")
    corrected = event().replace(b"TE57 ABC", b"TE57 ABD").replace(b"10:15:30", b"10:16:30")
    again = known(event("42629"), corrected, now=b"1772439405000000")
    assert again[1] == first[0], "a car and a time, whatever else is said of it by now"
    assert len({*first, *again}) == 3
    assert known(event(ts="1872439330250123")) != first[:1], "carID begins anew"
    assert known(event(car="")) == [None]


@pytest.mark.parametrize(
    ("ts", "shown", "time", "vendor_id"),
    [
        ("1714316400000", "", datetime(2024, 4, 28, 15, tzinfo=UTC), "42628-1714316400000"),
        ("1714316400", "", datetime(2024, 4, 28, 15, tzinfo=UTC), "42628-1714316400"),
        ("CAR", "2026-03-02 10:15:30 EET", datetime(2026, 3, 2, 10, 15, 30), "42628-2026-03-02T10:15:30TEET"),
        ("0", "2026-03-02 10:15:30 GMT", datetime(2026, 3, 2, 10, 15, 30, tzinfo=UTC), "42628-2026-03-02T10:15:30TGMT"),
        ("9" * 16, "2026-03-02 10:15:30", datetime(2026, 3, 2, 10, 15, 30), "42628-2026-03-02T10:15:30"),
        ("-", "", None, None),
        ("\u0661" * 13, "yesterday", None, "42628-yesterday"),
    ],
)
def test_an_axis_time_by_its_digits_or_as_shown(
    ts: str, shown: str, time: datetime | None, vendor_id: str | None
) -> None:
    body = event(ts=ts).replace(b"2026-03-02 10:15:30 EET", shown.encode())
    (parcel,) = handed_on("axis_search", search(body), "application/xml", PLATE)
    heard = told("axis_search", parcel)
    assert (heard.time, heard.vendor_id) == (time, vendor_id)


def test_axis_answers_without_a_read() -> None:
    axis = dialect_named("axis")
    count = search(b"<vcount><total>1000</total></vcount>")
    assert which(delivery(count)) == ["axis"]
    assert axis.understand(delivery(count)) == (SignOfLife(Life.OTHER_EVENT, "events", None),)
    nameless = search(event().replace(b"LPR", b"XYZ"))
    assert reason(axis, delivery(nameless)) == "no_plate"
    assert reason(axis, delivery(search(event().replace(b"TE57 ABC", b"A" * 300)))) == "vrm_too_long"
    assert not axis.recognises(delivery(b"<events><event><name>x</name></event></events>"))


def test_of_several_reads_nothing_says_whose_a_picture_is() -> None:
    for recipe, body in (
        ("hikvision_plates", HIKVISION.strip()),
        ("milesight_last", MILESIGHT),
        ("axis_search", search(event(), event("42627"))),
    ):
        group = joined(
            [b"Content-Type: text/plain\r\n\r\n" + body, b"Content-Type: image/jpeg\r\n\r\n" + PLATE], b"--b"
        )
        items = dialect_named(DIALECTS[recipe]).understand(delivery(group.body, group.content_type))
        assert [item.images for item in items if isinstance(item, RawRead)] == [(), ()]


def test_damaged_answers_are_read_or_refused() -> None:
    for recipe, answer in (
        ("hikvision_plates", HIKVISION),
        ("milesight_last", MILESIGHT),
        ("axis_search", search(event())),
    ):
        parcels = [handed_on(recipe, answer, "text/xml", PLATE, SCENE)[0], handed_on(recipe, answer, "text/xml")[0]]
        damaged(lambda name=DIALECTS[recipe]: dialect_named(name), parcels)  # type: ignore[misc]
