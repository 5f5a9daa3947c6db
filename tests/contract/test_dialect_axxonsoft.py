"""AxxonSoft: the XML of one port, the line of the other, damage, and answers."""

from __future__ import annotations

from datetime import datetime

import pytest

from capture.delivery import Delivery
from capture.dialects.axxonsoft import AxxonSoft
from edge.claim import Direction, Heard, RawImage, RawRead, Role, Verdict, Way
from edge.vrm import normalise
from tests.fixtures.trials import VERDICTS, claims, picture, read, reason, sent, survives, text

DIALECT = AxxonSoft()
PATCH, SCENE = picture(400, 160), picture(1600, 900)


def xml(
    plate: str = "TE57ABC",
    *,
    direction: str = "in",
    time: str = "2026-03-02T08:15:30.250",
    more: str = "",
    inside: str = "",
) -> Delivery:
    body = (
        f'<?xml version="1.0" encoding="UTF-8"?><CAR_PLATE version="1.0" direction = "{direction}" cam-id = "4"'
        f' time = "{time}" plate = "{plate}" plate_mask = "GBR" {more} >{inside}</CAR_PLATE>'
    )
    return sent(body.encode(), way=Way.TCP_STREAM)


def line(body: bytes) -> Delivery:
    return sent(body, way=Way.TCP_STREAM)


def test_the_xml() -> None:
    more = f'confidence = "99"  plateImage = "{text(PATCH)}"'
    assert read(DIALECT, xml(more=more, inside=text(SCENE))) == RawRead(
        dialect="axxonsoft",
        dialect_version=1,
        camera_identity="4",
        vendor_id="4-2026-03-02T08:15:30.250",
        plate_heard="TE57ABC",
        confidence=99,
        country="GBR",
        direction=Direction.TOWARD,
        lane=None,
        time=datetime(2026, 3, 2, 8, 15, 30, 250_000),
        time_heard="2026-03-02T08:15:30.250",
        images=(RawImage(Role.PLATE_PATCH, PATCH), RawImage(Role.OVERVIEW, SCENE)),
        heard=Heard(direction="in", country="GBR"),
    )


def test_the_older_xml_has_the_plates_picture_in_a_comment() -> None:
    assert len(text(PATCH)) > 1024
    assert read(DIALECT, xml(inside="<!--run-0-->")).images == ()  # nobody's word for a picture
    item = read(DIALECT, xml(time="2026-03-02T08:15:30", inside=f"<!-- {text(PATCH)} -->"))
    assert item.images == (RawImage(Role.PLATE_PATCH, PATCH),)
    assert (item.confidence, item.vendor_id) == (None, None)  # a second may have two vehicles


def test_not_defined_is_a_vehicle_without_a_read() -> None:
    item = read(DIALECT, xml("Not defined", direction="none", time="0000-00-00T00:00:00", more='confidence="0"'))
    assert (item.plate_heard, normalise(item.plate_heard), item.confidence) == ("Not defined", None, None)
    assert (item.direction, item.heard.direction, item.time) == (None, "none", None)
    assert read(DIALECT, line(b"\x022026030208153004Not defined\x03")).plate_heard == "Not defined"


@pytest.mark.parametrize(
    ("said", "means"), [("out", Direction.AWAY), ("left", None), ("right", None), ("IN", Direction.TOWARD)]
)
def test_directions(said: str, means: Direction | None) -> None:
    assert read(DIALECT, xml(direction=said)).direction is means


@pytest.mark.parametrize("body", [b"\x022026030208153004TE57ABC\x03", b"\x0220260302081530 04 TE57ABC\x03"])
def test_the_line(body: bytes) -> None:
    assert read(DIALECT, line(body)) == RawRead(
        dialect="axxonsoft",
        dialect_version=1,
        camera_identity="04",
        vendor_id=None,
        plate_heard="TE57ABC",
        confidence=None,
        country=None,
        direction=None,
        lane=None,
        time=datetime(2026, 3, 2, 8, 15, 30),
        time_heard="20260302081530",
        images=(),
        heard=Heard(),
    )


def test_the_line_in_other_letters_and_without_its_ends() -> None:
    for encoding in ("utf-8", "cp1251"):
        item = read(DIALECT, line(b"\x022026030208153004" + "А123ВС77".encode(encoding) + b"\x03"))
        assert item.plate_heard == "А123ВС77"
    (bare,) = DIALECT.understand(line(b"2026030208153004TE57ABC\r\n"))
    assert isinstance(bare, RawRead)
    assert bare.plate_heard == "TE57ABC"
    assert not DIALECT.recognises(line(b"2026030208153004TE57ABC"))
    assert read(DIALECT, line(b"\x022026130208153004TE57ABC\x03")).time is None


def test_what_is_refused() -> None:
    assert reason(DIALECT, line(b"\x02hello\x03")) == "not_axxonsoft"
    assert reason(DIALECT, line(b"\x022026030208153004TE57ABC")) == "not_axxonsoft"
    assert reason(DIALECT, line(b"<CAR_PLATE cam-id='4'/>")) == "no_plate"
    assert reason(DIALECT, line(b"<a><CAR_PLATE plate='4'/></a>")) == "no_plate"
    assert reason(DIALECT, xml(inside="AAA")) == "bad_base64"
    assert reason(DIALECT, xml("A" * 2000)) == "vrm_too_long"
    assert reason(DIALECT, line(xml().body[:-3])) == "xml_malformed"


def test_it_takes_no_other_vendors_payload() -> None:
    assert claims(DIALECT) == set()


@pytest.mark.parametrize(("verdict", "status"), VERDICTS)
def test_every_verdict_has_its_answer(verdict: Verdict, status: int) -> None:
    assert DIALECT.answer(verdict, sent(xml().body)).status == status
    assert DIALECT.answer(verdict, xml()).body == b""


def test_damaged_deliveries_are_understood_or_refused() -> None:
    more = f'confidence = "99"  plateImage = "{text(picture(40, 16))}"'
    survives(
        DIALECT,
        [xml(more=more), xml(inside=f"<!-- {text(PATCH)} -->"), line(b"\x022026030208153004TE57ABC\x03")],
    )
