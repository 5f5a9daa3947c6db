"""Vaxtor: the table of template variables, and ours for JSON, XML, forms, lines of text, pictures by name."""

from __future__ import annotations

import base64
import json
import time
from datetime import datetime
from typing import Any
from urllib.parse import urlencode

import pytest

from capture.dialects.vaxtor import Vaxtor
from edge.claim import Box, Direction, Heard, Life, RawImage, RawRead, Role, ScaledBox, SignOfLife, Way
from edge.vrm import normalise
from tests.fixtures.onvif.trials import answered, damaged, delivery, from_the_field, jpeg, life, read, reason

VAXTOR = Vaxtor()
PATCH, SCENE = jpeg(120, 40), jpeg(320, 180)
SAID: dict[str, Any] = {
    "date": "2026-03-02T08:15:30.045",
    "plate": "TE57ABC",
    "plateutf8": "TE57 ABC",
    "country": "GBR",
    "confidence": "93",
    "charheight": "24",
    "processingtime": "41",
    "left": "960",
    "top": "540",
    "right": "1152",
    "bottom": "594",
    "width": "1920",
    "height": "1080",
    "roiid": "2",
    "multiplate": "5",
    "direction": "1",
    "cameraid": "00005",
    "plateimage": base64.b64encode(PATCH).decode(),
    "overviewimage": base64.b64encode(SCENE).decode(),
}
SHORT = {k: v for k, v in SAID.items() if "image" not in k}
NAME = "00005_60AB11687_212753.126_ocr.jpg"
EXPECTED = RawRead(
    dialect="vaxtor",
    dialect_version=1,
    camera_identity="00005",
    vendor_id="00005-2026-03-02T08:15:30.045-2",
    plate_heard="TE57 ABC",
    confidence=93,
    country="GBR",
    direction=Direction.TOWARD,
    lane="2",
    time=datetime(2026, 3, 2, 8, 15, 30, 45_000),
    time_heard="2026-03-02T08:15:30.045",
    images=(
        RawImage(Role.PLATE_PATCH, PATCH),
        RawImage(Role.OVERVIEW, SCENE, ScaledBox(0.5, 0.5, 0.1, 0.05, 1.0)),
    ),
    heard=Heard(direction="1", country="GBR", plate_box="960,540,192,54/1920x1080"),
)


def as_json(**changes: Any) -> bytes:
    return json.dumps({k: v for k, v in {**SAID, **changes}.items() if v is not ...}).encode()


def as_xml(**changes: Any) -> bytes:
    inner = "".join(f"<{k}>{v}</{k}>" for k, v in {**SAID, **changes}.items())
    return f'<?xml version="1.0"?><event xmlns="urn:x"><lpr>{inner}</lpr></event>'.encode()


def as_lines(mark: str = "=", end: str = "\r\n", **changes: Any) -> bytes:
    return end.join(f"{k}{mark}{v}" for k, v in {**SAID, **changes}.items()).encode()


def as_form() -> bytes:
    return urlencode(SAID).encode()


def test_the_table_of_variables_is_a_template_and_no_delivery() -> None:
    files = from_the_field("vaxtor")
    assert set(files) == {"template_variables_mobotix.txt"}
    (table,) = files.values()
    assert VAXTOR.recognises(delivery(table))
    assert reason(VAXTOR, delivery(table)) == "template_unexpanded"
    variables = {word.strip("$") for word in table.decode().split() if word.startswith("$") and word.endswith("$")}
    read_here = set(SAID) | {"state", "category", "platejpegsize", "overviewjpegsize"}
    assert variables <= read_here | {"ifblacklist", "ifwhitelist", "ifnolist"}


@pytest.mark.parametrize(
    "body",
    [
        as_json(),
        as_xml(),
        as_lines(),
        as_lines(": ", "\n"),
        as_lines("=", ";"),
        as_form(),
        json.dumps({"event": {"LPR": {k.upper(): v for k, v in SAID.items()}}}).encode(),
        json.dumps([SAID]).encode(),
    ],
    ids=["json", "xml", "lines", "colons", "semicolons", "form", "nested", "list"],
)
def test_every_form_of_a_template_says_the_same(body: bytes) -> None:
    assert VAXTOR.recognises(delivery(body))
    for way in (Way.HTTP_PUSH, Way.TCP_STREAM):
        assert read(VAXTOR, delivery(body, way=way)) == EXPECTED


def test_a_query_says_it_too() -> None:
    parcel = delivery(query=urlencode(SHORT))
    assert VAXTOR.recognises(parcel)
    assert read(VAXTOR, parcel).plate_heard == "TE57 ABC"
    assert reason(VAXTOR, delivery(query="plate=%FF%FE&charheight=2")) == "query_malformed"


def test_attributes_of_xml() -> None:
    body = b'<lpr plate="TE57ABC" date="2026-03-02T08:15:30Z" roiid="1" multiplate="3"/>'
    said = read(VAXTOR, delivery(body))
    assert (said.plate_heard, said.lane, said.vendor_id) == ("TE57ABC", "1", None)
    assert said.time is not None
    assert said.time.tzinfo is not None


@pytest.mark.parametrize("make", [as_json, as_xml, as_lines])
def test_a_variable_left_unexpanded_is_absent(make: Any) -> None:
    unknown = dict.fromkeys(("date", "cameraid", "plateimage", "overviewimage", "direction", "confidence"))
    body = make(**{name: f"${name}$" for name in unknown}, plateimagefile="$plateimagefile$")
    said = read(VAXTOR, delivery(body))
    assert (said.plate_heard, said.time, said.time_heard, said.camera_identity) == ("TE57 ABC", None, None, None)
    assert (said.images, said.direction, said.confidence, said.vendor_id) == ((), None, None, None)
    assert read(VAXTOR, delivery(make(plateutf8="$plateutf8$"))).plate_heard == "TE57ABC"
    assert reason(VAXTOR, delivery(make(plateutf8="$plateutf8$", plate="$plate$"))) == "template_unexpanded"


@pytest.mark.parametrize(
    ("word", "direction"),
    [
        ("0", None),
        ("1", Direction.TOWARD),
        ("2", Direction.AWAY),
        ("3", None),
        ("Away", Direction.AWAY),
        (2, Direction.AWAY),
    ],
)
def test_directions(word: Any, direction: Direction | None) -> None:
    said = read(VAXTOR, delivery(as_json(direction=word)))
    assert (said.direction, said.heard.direction) == (direction, str(word))


@pytest.mark.parametrize("text", ["-", "", "nan", "101", "-1", "٩", None, [], "1_0"])
def test_a_confidence_that_is_none(text: Any) -> None:
    assert read(VAXTOR, delivery(as_json(confidence=text))).confidence is None


def test_a_vehicle_without_a_read_and_a_read_without_a_plate() -> None:
    unread = read(VAXTOR, delivery(as_json(plate="", plateutf8=..., confidence=0)))
    assert (unread.plate_heard, normalise(unread.plate_heard), unread.confidence) == ("", None, None)
    assert reason(VAXTOR, delivery(as_json(plate=..., plateutf8=...))) == "no_plate"


def test_a_box_without_the_size_of_its_picture_is_in_pixels() -> None:
    said = read(VAXTOR, delivery(as_json(width=..., height=...)))
    assert said.images[1].plate_box == Box(960, 540, 192, 54)
    assert said.heard.plate_box == "960,540,192,54/px"
    for left in ("-1", "1152", "nan", "9" * 300, "", None):
        assert read(VAXTOR, delivery(as_json(left=left))).images[1].plate_box is None
    assert read(VAXTOR, delivery(as_json(right="1921"))).images[1].plate_box is None


def test_pictures_are_optional_and_strict() -> None:
    assert read(VAXTOR, delivery(as_json(plateimage="", overviewimage=...))).images == ()
    assert reason(VAXTOR, delivery(as_json(plateimage="not base64!"))) == "bad_base64"


def test_pictures_as_parts() -> None:
    body = b"--b\r\n\r\n" + json.dumps(SHORT).encode()
    for data in (PATCH, SCENE):
        body += b"\r\n--b\r\nContent-Type: image/jpeg\r\n\r\n" + data
    said = read(VAXTOR, delivery(body + b"\r\n--b--", "multipart/form-data; boundary=b"))
    assert said == EXPECTED


def test_a_picture_whose_name_is_the_read() -> None:
    parcel = delivery(PATCH, name=f"lane1/{NAME}", way=Way.FTP_DROP)
    assert VAXTOR.recognises(parcel)
    said = read(VAXTOR, parcel)
    assert (said.plate_heard, said.camera_identity, said.time, said.time_heard) == (
        "60AB11687",
        "00005",
        None,
        "212753.126",
    )
    assert said.images == (RawImage(Role.PLATE_PATCH, PATCH),)
    assert said.vendor_id is None  # the next day may have the same name


@pytest.mark.parametrize(
    ("name", "plate", "time", "role"),
    [
        (
            "2026-03-02/7_TE57_ABC_081530.045_ocr.jpg",
            "TE57_ABC",
            datetime(2026, 3, 2, 8, 15, 30, 45_000),
            Role.PLATE_PATCH,
        ),
        ("a/20260302/7__081530.045_env.jpg", "", datetime(2026, 3, 2, 8, 15, 30, 45_000), Role.OVERVIEW),
        ("2026/03/02/7_TÖL-1_081530.045_overview.png", "TÖL-1", datetime(2026, 3, 2, 8, 15, 30, 45_000), Role.OVERVIEW),
        ("2026/13/02/7_A1_081530.045_ocr.jpg", "A1", None, Role.PLATE_PATCH),
    ],
)
def test_the_day_may_stand_in_a_folder(name: str, plate: str, time: datetime | None, role: Role) -> None:
    said = read(VAXTOR, delivery(PATCH, name=name))
    assert (said.plate_heard, said.time, said.images[0].role) == (plate, time, role)


def test_a_browser_is_another_event() -> None:
    for query in ("", "favicon=1"):
        assert life(VAXTOR, delivery(query=query)) == SignOfLife(Life.OTHER_EVENT, "empty", None)
    assert not VAXTOR.recognises(delivery())


def test_a_text_of_megabytes_is_no_plate_and_takes_no_time() -> None:
    for make in (as_json, as_xml, as_lines):
        began = time.perf_counter()
        assert reason(VAXTOR, delivery(make(plate="A" * 6_000_000, plateutf8="A" * 6_000_000))) in (
            "vrm_too_long",
            "too_large",
        )
        assert time.perf_counter() - began < 2
        assert reason(VAXTOR, delivery(make(plate="A" * 257, plateutf8="A" * 257))) == "vrm_too_long"


def test_what_it_does_not_know_it_refuses() -> None:
    assert reason(VAXTOR, delivery(b"hello")) == "not_vaxtor"
    assert reason(VAXTOR, delivery(b'{"a": "b"}')) == "not_vaxtor"
    assert reason(VAXTOR, delivery(b'{"plate": ')) == "json_malformed"
    assert reason(VAXTOR, delivery(PATCH, name="x.jpg")) == "not_vaxtor"
    assert reason(VAXTOR, delivery(b"top=1;" * 300)) == "too_many"
    assert not VAXTOR.recognises(delivery(b'{"plate": "A", "confidence": 1, "direction": "x"}'))


def test_no_identity_holds_the_plate() -> None:
    assert read(VAXTOR, delivery(as_json(plateutf8="2026"))).vendor_id is None


def test_every_verdict_has_its_answer() -> None:
    answered(VAXTOR)


def test_damaged_messages_are_read_or_refused() -> None:
    short = {"plateimage": "", "overviewimage": ""}
    damaged(
        Vaxtor,
        [
            delivery(as_json()),
            delivery(as_json(**short)),
            delivery(as_xml(**short)),
            delivery(as_lines(**short)),
            delivery(as_form()),
            delivery(query=urlencode(SHORT)),
            delivery(PATCH, name=NAME),
        ],
    )
