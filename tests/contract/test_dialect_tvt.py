"""TVT (Viewtron and others): every payload from the field, every message kind and quirk, damage, and the answers."""

from __future__ import annotations

import base64
import io
import random
import time
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from defusedxml.ElementTree import fromstring
from PIL import Image

from capture.delivery import Delivery
from capture.dialects.tvt import Tvt
from edge.claim import (
    Arrival,
    Box,
    ClockState,
    Direction,
    Life,
    Outcome,
    RawImage,
    RawRead,
    Received,
    Role,
    ScaledBox,
    SignOfLife,
    Verdict,
    Way,
)
from edge.errors import Refused

FIXTURES = Path(__file__).resolve().parents[1] / "fixtures" / "tvt"
FIELD = Path(__file__).resolve().parents[2] / ".." / "shared" / "payloads" / "viewtron_tvt"
ARRIVAL = Arrival(Received(1_782_980_131_000, 20, ClockState.SYNCHRONISED, 1, "boot"), "192.0.2.7", "/API")
DIALECT = Tvt()
CAMERA, RECORDER = "58:5b:69:00:00:0a", "58:5B:69:00:00:0D"


def jpeg(width: int, height: int, shade: int) -> bytes:
    written = io.BytesIO()
    Image.effect_noise((width, height), shade).save(written, "JPEG", quality=95)
    return written.getvalue()


SCENE, LARGE, PLATE = jpeg(320, 240, 90), jpeg(1280, 720, 100), jpeg(40, 10, 60)


def posted(body: bytes) -> Delivery:
    return Delivery(ARRIVAL, "application/xml; charset=utf-8", "", body)


def fixture(name: str, *changes: tuple[bytes, bytes], scene: bytes = SCENE) -> bytes:
    """The document with its pictures, and with these texts changed, each of which must stand in it."""
    body = (FIXTURES / name).read_bytes()
    for old, new in changes:
        assert old in body
        body = body.replace(old, new)
    for mark, picture in ((b"@PLATE@", PLATE), (b"@SCENE@", scene)):
        body = body.replace(mark, base64.b64encode(picture))
    return body


def read(body: bytes) -> RawRead:
    assert DIALECT.recognises(posted(body))
    (item,) = DIALECT.understand(posted(body))
    assert isinstance(item, RawRead)
    assert (item.dialect, item.dialect_version) == ("tvt", 1)
    return item


def refusal(body: bytes) -> str:
    with pytest.raises(Refused) as refused:
        DIALECT.understand(posted(body))
    return refused.value.reason


def field(name: str) -> bytes:
    if not FIELD.is_dir():
        pytest.skip("the payloads of real cameras are not beside this repository")
    return (FIELD / name).read_bytes()


FIELD_LIVES = {
    "ipc-v1x_alarm-status.xml": SignOfLife(Life.OTHER_EVENT, "alarmStatus", "58:5b:69:5a:84:bb"),
    "ipc-v1x_keepalive.xml": SignOfLife(Life.HEARTBEAT, "keepalive", "58:5b:69:5a:84:bb"),
    "ipc-v1x_video-metadata.xml": SignOfLife(Life.OTHER_EVENT, "VSD", None),
    "nvr-v2_alarm-status.xml": SignOfLife(Life.OTHER_EVENT, "alarmStatus", "58:5B:69:40:F4:0D/1"),
    "nvr-v2_keepalive.xml": SignOfLife(Life.HEARTBEAT, "keepalive", "58:5B:69:12:F0:79"),
}


def test_every_payload_from_the_field_is_named_here() -> None:
    if not FIELD.is_dir():
        pytest.skip("the payloads of real cameras are not beside this repository")
    assert {f.name for f in FIELD.iterdir()} == {*FIELD_LIVES, "ipc-v1x_lpr.xml"}


@pytest.mark.parametrize("name", list(FIELD_LIVES))
def test_signs_of_life_in_the_field(name: str) -> None:
    delivery = posted(field(name))
    assert DIALECT.recognises(delivery)
    assert DIALECT.understand(delivery) == (FIELD_LIVES[name],)


def test_a_read_in_the_field() -> None:
    body = field("ipc-v1x_lpr.xml")
    assert refusal(body) == "bad_base64"  # as published, words stand where the pictures were
    for words, picture in (
        (b"BASE64_JPEG_OVERVIEW_IMAGE", SCENE),
        (b"BASE64_JPEG_PLATE_CROP", PLATE),
        (b"BASE64_JPEG_SOURCE_IMAGE", LARGE),
    ):
        body = body.replace(words, base64.b64encode(picture))
    assert read(body) == RawRead(
        dialect="tvt",
        dialect_version=1,
        camera_identity=None,
        vendor_id="1732045234584193-0",
        plate_heard="ABC1234",
        confidence=None,
        country=None,
        direction=None,
        lane=None,
        time=datetime(2024, 11, 19, 19, 40, 34, 584_000, UTC),
        time_heard="1732045234584193",
        images=(RawImage(Role.PLATE_PATCH, PLATE), RawImage(Role.OVERVIEW, SCENE)),
    )


def test_a_camera_of_its_own() -> None:
    item = read(fixture("ipc.xml"))
    box = ScaledBox(4000, 6000, 1000, 500, 10_000)
    assert item.images == (RawImage(Role.PLATE_PATCH, PLATE), RawImage(Role.OVERVIEW, SCENE, box))
    assert (item.plate_heard, item.camera_identity) == ("TE57 ABC", CAMERA)
    assert (item.confidence, item.heard.confidence) == (93, "9300/10000")
    assert (item.direction, item.heard.direction) == (Direction.AWAY, "leave")
    assert (item.vendor_id, item.passage) == ("1782980130305000-104", None)
    assert item.time == datetime(2026, 7, 2, 8, 15, 30, 305_000, UTC)
    assert item.heard.plate_box == "4000,6000,1000,500/10000"


def test_behind_a_recorder() -> None:
    item = read(fixture("nvr.xml"))
    assert item.images == (RawImage(Role.PLATE_PATCH, PLATE), RawImage(Role.OVERVIEW, SCENE, Box(110, 54, 40, 10)))
    assert (item.plate_heard, item.camera_identity) == ("YK19 XYZ", f"{RECORDER}/2")
    assert (item.time, item.time_heard, item.vendor_id) == (None, "18445822972087551616", None)
    assert item.heard.plate_box is None
    timed = read(fixture("nvr.xml", (b"18445822972087551616", b"1782980130305000")))
    assert (timed.time, timed.vendor_id) == (
        datetime(2026, 7, 2, 8, 15, 30, 305_000, UTC),
        "1782980130305000-104",
    )


@pytest.mark.parametrize("word", [b"VEHICE", b"VEHICLE", b"vehicle"])
def test_every_spelling_of_a_vehicle(word: bytes) -> None:
    assert read(fixture("ipc.xml", (b">VEHICE<", b">" + word + b"<"))).plate_heard == "TE57 ABC"


def test_newer_firmware_with_the_older_tree() -> None:
    assert read(fixture("ipc.xml", (b'version="1.7"', b'version="2.1.0"'))).plate_heard == "TE57 ABC"


@pytest.mark.parametrize(
    ("when", "expected"),
    [
        (b"1782980130", datetime(2026, 7, 2, 8, 15, 30, tzinfo=UTC)),
        (b"1782980130305", datetime(2026, 7, 2, 8, 15, 30, 305_000, UTC)),
        (b"1782980130305999", datetime(2026, 7, 2, 8, 15, 30, 306_000, UTC)),
        (b"18445822972087551616", None),
        (b"2026-07-02 09:15:30", datetime(2026, 7, 2, 9, 15, 30)),
        (b"07-02-2026 12:15:30 AM", datetime(2026, 7, 2, 0, 15, 30)),
        (b"07-02-2026 12:15:30 PM", datetime(2026, 7, 2, 12, 15, 30)),
        (b"07-02-2026 01:15:30 PM", datetime(2026, 7, 2, 13, 15, 30)),
        (b"07-02-2026 13:15:30 PM", None),
        ("١٧٨٢٩٨٠١٣٠".encode(), None),
        (b"-1782980130", None),
        (b"", None),
    ],
)
def test_times(when: bytes, expected: datetime | None) -> None:
    assert read(fixture("ipc.xml", (b"1782980130305000", when))).time == expected


def test_a_plate_not_read_is_kept_as_heard() -> None:
    for word in (b"", b"unknown", b"<![CDATA[--]]>"):
        item = read(fixture("ipc.xml", (b"<![CDATA[TE57 ABC]]>", word), (b'count="9300"', b'count="0"')))
        assert item.plate_heard == word.decode().removeprefix("<![CDATA[").removesuffix("]]>")
        assert item.confidence is None


def test_confidence_without_a_scale_is_believed_only_in_whole_per_cent() -> None:
    for text, expected in (
        (b"93", (93, None)),
        (b"0.93", (None, "0.93")),
        (b"-", (None, None)),
        (b"9300", (None, None)),
    ):
        item = read(fixture("ipc.xml", (b' count="9300">1<', b">" + text + b"<")))
        assert (item.confidence, item.heard.confidence) == expected


def test_boxes_that_are_none() -> None:
    for old, new in (
        (b"<x2>150</x2>", b"<x2>151</x2>"),  # not as large as the plate's picture: pixels of what?
        (b"<x1>110</x1>", b"<x1>-1</x1>"),
        (b"<width>320</width>", b"<width>0</width>"),
        (b"<x2>150</x2>", b"<x2>110</x2>"),
    ):
        assert read(fixture("nvr.xml", (old, new))).images[1].plate_box is None
    outside = fixture("ipc.xml", (b">5000<", b">10001<"))
    assert read(outside).images[1].plate_box is None


def test_pictures_that_do_not_come() -> None:
    no_list = fixture("ipc.xml", (b"<![CDATA[@SCENE@]]></targetBase64Data>", b"</targetBase64Data>"))
    assert [image.data for image in read(no_list).images] == [PLATE, SCENE]
    none = fixture("ipc.xml", (b"@SCENE@", b""), (b"@PLATE@", b""))
    assert read(none).images == ()
    text = fixture("ipc.xml", (b"@PLATE@", base64.b64encode(b"no picture")))
    assert [image.role for image in read(text).images] == [Role.OVERVIEW]
    assert refusal(fixture("ipc.xml", (b"@PLATE@", b"%%%"))) == "bad_base64"


def test_pictures_larger_than_any_document() -> None:
    item = read(fixture("ipc.xml", scene=LARGE))
    assert len(LARGE) > 256 * 1024
    assert item.images[1].data == LARGE


def test_two_plates_in_one_list() -> None:
    body = fixture("ipc.xml")
    at, end = body.rindex(b"<item>"), body.rindex(b"</item>") + len(b"</item>")
    second = body[at:end].replace(b"TE57 ABC", b"YK19 XYZ").replace(b">104<", b">105<")
    first, other = DIALECT.understand(posted(body[:end] + second + body[end:]))
    assert isinstance(first, RawRead)
    assert isinstance(other, RawRead)
    assert (first.plate_heard, other.plate_heard) == ("TE57 ABC", "YK19 XYZ")
    assert first.vendor_id != other.vendor_id
    assert refusal(body[:end] + second * 20 + body[end:]) in ("too_many_reads", "too_many_pictures")


def test_reads_without_a_plate_element_are_refused() -> None:
    assert refusal(fixture("ipc.xml", (b"plateNumber", b"plateText"))) == "no_plate"
    assert refusal(fixture("nvr.xml", (b"licensePlateNumber", b"number"))) == "no_plate"


def test_other_messages() -> None:
    config = b'<config version="1.7" xmlns="http://www.ipc.com/ver10">%s</config>'
    for inner, expected in (
        (b"<smartType>PEA</smartType>", SignOfLife(Life.OTHER_EVENT, "PEA", None)),
        (b'<traject type="list" count="1"/>', SignOfLife(Life.OTHER_EVENT, "traject", None)),
        (b"<messageType>alarmStatus</messageType>", SignOfLife(Life.OTHER_EVENT, "alarmStatus", None)),
        (b"", SignOfLife(Life.OTHER_EVENT, "unnamed", None)),
    ):
        assert DIALECT.understand(posted(config % inner)) == (expected,)
    assert DIALECT.understand(posted(b"")) == (SignOfLife(Life.HEARTBEAT, "empty", None),)


def test_an_address_of_zeros_is_no_identity() -> None:
    body = fixture("ipc.xml", (b"58:5b:69:00:00:0a", b"00:00:00:00:00:00"))
    assert read(body).camera_identity == "I84BB0A00000"


def test_what_is_not_tvts() -> None:
    for body in (b"", b"<root/>", b"{}", b"<EventNotificationAlert/>", PLATE):
        assert not DIALECT.recognises(posted(body))
    assert refusal(b"<root/>") == "not_tvt"
    assert refusal(b'<!DOCTYPE a [<!ENTITY b "c">]><config>&b;</config>') == "xml_forbidden"


VERDICTS = [
    (Verdict(Outcome.STORED), 200),
    (Verdict(Outcome.REPEATED), 200),
    (Verdict(Outcome.HEARD), 200),
    (Verdict(Outcome.DROPPED), 200),
    (Verdict(Outcome.LATER, "busy"), 503),
    (Verdict(Outcome.REFUSED, "unknown_source"), 403),
    (Verdict(Outcome.REFUSED, "too_large"), 413),
    (Verdict(Outcome.REFUSED, "no_plate"), 400),
]


@pytest.mark.parametrize(("verdict", "status"), VERDICTS)
def test_every_verdict_has_its_answer(verdict: Verdict, status: int) -> None:
    answer = DIALECT.answer(verdict, posted(b""))
    assert (answer.status, answer.verdict, answer.content_type) == (status, verdict, "application/xml")
    root = fromstring(answer.body)
    assert root.tag == "{http://www.ipc.com/ver10}config"
    assert [child.text for child in root] == ["success" if status == 200 else "failed"]
    silent = Delivery(replace(ARRIVAL, way=Way.TCP_STREAM), "", "", b"")
    assert DIALECT.answer(verdict, silent).body == b""


def test_no_repr_shows_a_plate() -> None:
    shown = repr(read(fixture("ipc.xml"))) + repr(read(fixture("nvr.xml")))
    for secret in ("TE57", "YK19", CAMERA, RECORDER, "JFIF"):
        assert secret not in shown


def mutated(body: bytes, dice: random.Random) -> bytes:
    data = bytearray(body)
    for _ in range(dice.choice([1, 1, 1, 2, 4])):
        at = dice.randrange(len(data) + 1)
        match dice.choice([0, 0, 0, 1, 2, 3, 4]):
            case 0:
                data[at : at + 1] = bytes([dice.randrange(256)])
            case 1:
                del data[at : at + dice.randint(1, 40)]
            case 2:
                data[at:at] = data[dice.randrange(len(data) + 1) :][: dice.randint(1, 200)]
            case 3:
                data[at:at] = dice.choice([b"<a>" * 40, b"\x00", b"9" * 5000, b"<![CDATA[", b"&amp;", b"\xff\xfe"])
            case 4:
                del data[at:]
    return bytes(data)


SMALL = jpeg(16, 12, 90)


@pytest.mark.parametrize("name", ["ipc.xml", "nvr.xml"])
def test_damaged_payloads_are_read_or_refused(name: str) -> None:
    seed = 20260702
    print(f"seed {seed}")
    dice = random.Random(seed)
    whole = fixture(name, scene=SMALL)
    outcomes = {"read": 0, "refused": 0}
    begun = time.monotonic()
    for _ in range(2000):
        damaged = posted(mutated(whole, dice))
        DIALECT.recognises(damaged)
        try:
            for item in DIALECT.understand(damaged):
                if isinstance(item, RawRead):
                    item.plate_heard.encode()
                    if item.time is not None and item.time.tzinfo is not None:
                        item.time.astimezone(UTC)
            outcomes["read"] += 1
        except Refused:
            outcomes["refused"] += 1
    assert min(outcomes.values()) > 50, outcomes
    assert time.monotonic() - begun < 60


@pytest.mark.parametrize(
    "body",
    [
        b"<" * 1_000_000,
        b"<targetBase64Data" * 60_000,
        b"<targetBase64Data>" * 60_000,
        b"<targetBase64Data>" + b" " * 1_000_000,
        b"<a:" + b"b" * 1_000_000 + b"Base64Data>",
        b"<config><listInfo>"
        + b"<item><plateNumber/></item>" * 9000
        + b"</listInfo><smartType>VEHICE</smartType></config>",
    ],
    ids=range(6),
)
def test_hostile_bodies_take_little_time(body: bytes) -> None:
    begun = time.monotonic()
    DIALECT.recognises(posted(body))
    assert refusal(body)
    assert time.monotonic() - begun < 2
