"""Tattile's XML and Lector Vision's JSON: roots, clocks, pictures, damage, and answers."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any

import pytest

from capture.delivery import Delivery
from capture.dialects.tattile import Tattile
from edge.claim import Box, Direction, Heard, RawImage, RawRead, Role, Verdict, Way
from tests.fixtures.trials import VERDICTS, claims, picture, read, reason, sent, survives, text

DIALECT = Tattile()
FRAME, CROP, CONTEXT = picture(1440, 1080), picture(220, 80), picture(640, 480)


def xml(root: str = "root", **elements: str) -> Delivery:
    told = {
        "PLATE_STRING": "TE57ABC",
        "DATE": "2026-03-02",
        "TIME": "08-15-30-250",
        "DEVICE_SN": "TAT-000001",
        "OCRSCORE": "093",
        "DIRECTION": "GOAWAY",
        "LANE_ID": "2",
        "ORIG_PLATE_MIN_X": "700",
        "ORIG_PLATE_MIN_Y": "500",
        "ORIG_PLATE_MAX_X": "900",
        "ORIG_PLATE_MAX_Y": "560",
        "PLATE_COUNTRY_CODE": "GBR",
        "PLATE_COUNTRY": "United Kingdom",
        "IMAGE_OCR": text(CROP),
        "IMAGE_CTX": text(CONTEXT),
    } | elements
    inside = "\n".join(f"  <{name}>{value}</{name}>" for name, value in told.items())
    return sent(f"<{root}>\n{inside}\n</{root}>".encode(), way=Way.TCP_STREAM)


@pytest.mark.parametrize("root", ["root", "Msg", "MESSAGE"])
def test_a_message(root: str) -> None:
    assert read(DIALECT, xml(root)) == RawRead(
        dialect="tattile",
        dialect_version=1,
        camera_identity="TAT-000001",
        vendor_id="2026-03-02T08-15-30-250--2",
        plate_heard="TE57ABC",
        confidence=93,
        country="GBR",
        direction=Direction.AWAY,
        lane="2",
        time=datetime(2026, 3, 2, 8, 15, 30, 250_000),  # no zone
        time_heard="2026-03-02 08-15-30-250",
        images=(RawImage(Role.PLATE_PATCH, CROP), RawImage(Role.OVERVIEW, CONTEXT)),
        heard=Heard(direction="GOAWAY", country="GBR", plate_box="700,500,200,60/px"),
    )


def test_the_box_is_on_the_ocr_cameras_frame_and_never_on_the_context() -> None:
    both = read(DIALECT, xml(IMAGE_OCR=text(FRAME))).images
    assert both == (
        RawImage(Role.OVERVIEW, CONTEXT),
        RawImage(Role.OVERVIEW, FRAME, Box(700, 500, 200, 60)),
    )
    assert read(DIALECT, xml(IMAGE_OCR=text(FRAME), IMAGE_CTX="")).images == both[1:]
    no_box = read(DIALECT, xml(IMAGE_OCR=text(FRAME), ORIG_PLATE_MAX_X="-"))
    assert [image.role for image in no_box.images] == [Role.PLATE_PATCH, Role.OVERVIEW]
    assert no_box.heard.plate_box is None


def test_empty_pictures_are_absent() -> None:
    assert read(DIALECT, xml(IMAGE_OCR="", IMAGE_CTX=" \n ")).images == ()


def test_other_clocks_and_scores() -> None:
    item = read(DIALECT, xml(TIME="15:42:10", OCRSCORE="92.5", DIRECTION="", PLATE_COUNTRY_CODE="-"))
    assert (item.time, item.time_heard) == (datetime(2026, 3, 2, 15, 42, 10), "2026-03-02 15:42:10")
    assert (item.confidence, item.direction, item.country, item.heard.country) == (92, None, None, "United Kingdom")
    assert item.vendor_id is None  # a second may have two vehicles
    counted = read(DIALECT, xml(TIME="15:42:10", TRANSIT_ID="711"))
    assert counted.vendor_id == "2026-03-02T15:42:10-711-2"
    assert read(DIALECT, xml(OCRSCORE="930")).confidence is None  # not of 100
    for wrong in ("25-00-00", "now", "", "08-15-3٠"):
        assert read(DIALECT, xml(TIME=wrong)).time is None


def test_a_vehicle_without_a_read() -> None:
    item = read(DIALECT, xml(PLATE_STRING="", OCRSCORE="000"))
    assert (item.plate_heard, item.confidence) == ("", None)


def test_pictures_may_be_larger_than_any_xml_that_is_read() -> None:
    large = CONTEXT + b"\0" * 2_000_000
    whole = text(large)
    wrapped = "\r\n".join(whole[at : at + 76] for at in range(0, len(whole), 76))
    assert read(DIALECT, xml(IMAGE_CTX=wrapped)).images[1].data == large


def lector(**changed: Any) -> Delivery:
    said = {
        "Plate": "TE57ABC",
        "TimeStamp": "2026/03/02 08:15:30.250",
        "SerialNumber": "LV-01",
        "Fiability": 87,
        "LaneNumber": 2,
        "Direction": "IN",
        "PlateCoord": [10, 20, 110, 50],
        "Country": 724,
        "ImageOcr": text(CROP),
    } | changed
    return sent(json.dumps(said).encode())


def test_lector_vision() -> None:
    item = read(DIALECT, lector())
    assert (item.plate_heard, item.camera_identity, item.confidence, item.lane) == ("TE57ABC", "LV-01", 87, "2")
    assert item.time == datetime(2026, 3, 2, 8, 15, 30, 250_000)
    assert (item.direction, item.country) == (None, None)
    assert item.heard == Heard(direction="IN", country="724", plate_box="10,20,100,30/px")
    assert item.images == (RawImage(Role.PLATE_PATCH, CROP),)
    assert read(DIALECT, lector(IdDevice="7", SerialNumber=None)).camera_identity == "7"
    assert read(DIALECT, lector(Plate=None)).plate_heard == ""


def test_what_is_refused() -> None:
    assert reason(DIALECT, sent(b"<root><DEVICE_SN>1</DEVICE_SN></root>")) == "no_plate"
    assert reason(DIALECT, sent(b'{"TimeStamp": "x"}')) == "no_plate"
    assert reason(DIALECT, xml(IMAGE_OCR="/9j/4")) == "bad_base64"
    assert reason(DIALECT, xml(PLATE_STRING="A" * 2000)) == "vrm_too_long"
    assert reason(DIALECT, sent(xml().body[:-8])) == "xml_malformed"
    assert reason(DIALECT, sent(b"")) == "xml_malformed"


def test_it_takes_no_other_vendors_payload() -> None:
    assert claims(DIALECT) == set()


@pytest.mark.parametrize(("verdict", "status"), VERDICTS)
def test_every_verdict_has_its_answer(verdict: Verdict, status: int) -> None:
    answer = DIALECT.answer(verdict, lector())
    assert (answer.status, verdict.outcome.value.encode() in answer.body) == (status, True)
    assert DIALECT.answer(verdict, xml()).body == b""


def test_damaged_deliveries_are_understood_or_refused() -> None:
    survives(DIALECT, [xml(IMAGE_CTX=""), xml("MESSAGE", TIME="15:42:10", TRANSIT_ID="7"), lector()])
