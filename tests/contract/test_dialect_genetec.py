"""Genetec SharpV: the XML of its FTP drop and of its HTTP export, their JSON, damage, and answers."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from capture.delivery import Delivery
from capture.dialects.genetec import Genetec
from edge.claim import Direction, Heard, RawImage, RawRead, Role, Verdict, Way
from tests.fixtures.trials import VERDICTS, claims, picture, read, reason, sent, survives, text

DIALECT = Genetec()
GUID = "6ee17b00-82c1-466b-9fd6-003417bc82c4"
PATCH, SCENE = picture(160, 60), picture(1600, 900)
FTP = f"""\ufeff<?xml version="1.0" encoding="utf-8"?>
<AutoVu>
<Plate>TE57 ABC</Plate>
<State>CA</State>
<UTCDate>2026:03:02</UTCDate>
<UTCTime>08:15:30.250</UTCTime>
<CameraName>North</CameraName>
<SourceName>SHARPV12345</SourceName>
<ContextImage>{text(SCENE)}</ContextImage>
<PlateImage>{text(PATCH)}</PlateImage>
<ConfidenceScore>93</ConfidenceScore>
<Lane>Lane 1</Lane>
<RelativeMotion>Approaching</RelativeMotion>
<Guid>{GUID}</Guid>
</AutoVu>
""".encode()
HTTP = f"""<Plate>
  <ContextCameraName>Context Camera</ContextCameraName>
  <ContextImage/>
  <Id>{GUID}</Id>
  <PlateAnalytics>
    <PlateAnalytics><Key>State Name</Key><Score>-1.0</Score><Value>-</Value></PlateAnalytics>
    <PlateAnalytics><Key>Relative Motion</Key><Score>1</Score><Value>Moving Away</Value></PlateAnalytics>
    <PlateAnalytics><Key>Confidence Score</Key><Score>1</Score><Value>100</Value></PlateAnalytics>
  </PlateAnalytics>
  <PlateImage>{text(PATCH)}</PlateImage>
  <PlateRead>TE57ABC</PlateRead>
  <SourceUrl>SHARPV12345</SourceUrl>
  <Timestamp>2026-03-02T08:15:30.2504622+00:00</Timestamp>
</Plate>
""".encode()


def dropped(body: bytes, name: str = f"in/SHARPV12345_{GUID}_lpr.xml") -> Delivery:
    return sent(body, way=Way.FTP_DROP, name=name)


def test_a_file_of_the_ftp_drop() -> None:
    assert len(FTP) > 8000  # the pictures stand in it
    assert read(DIALECT, dropped(FTP)) == RawRead(
        dialect="genetec",
        dialect_version=1,
        camera_identity="SHARPV12345",
        vendor_id=GUID,
        plate_heard="TE57 ABC",
        confidence=93,
        country=None,  # California, not Canada
        direction=Direction.TOWARD,
        lane="Lane 1",
        time=datetime(2026, 3, 2, 8, 15, 30, 250_000, UTC),
        time_heard="2026:03:02 08:15:30.250",
        images=(RawImage(Role.PLATE_PATCH, PATCH), RawImage(Role.OVERVIEW, SCENE)),
        heard=Heard(direction="Approaching", country="CA"),
    )


def test_pictures_may_be_larger_than_any_xml_that_is_read() -> None:
    large = picture(160, 60) + b"\0" * 2_000_000
    body = FTP.replace(text(SCENE).encode(), text(large).encode())
    assert read(DIALECT, dropped(body)).images[1].data == large


def test_what_the_template_leaves_out_the_name_of_the_file_says() -> None:
    item = read(DIALECT, dropped(b"<AutoVu><Plate/></AutoVu>"))
    assert (item.camera_identity, item.vendor_id, item.plate_heard) == ("SHARPV12345", GUID, "")
    assert (item.time, item.time_heard, item.images) == (None, None, ())
    assert read(DIALECT, dropped(b"<AutoVu><Plate/></AutoVu>", "other.xml")).vendor_id is None


def test_the_xml_of_the_http_export() -> None:
    item = read(DIALECT, sent(HTTP))
    assert (item.camera_identity, item.vendor_id, item.plate_heard) == ("SHARPV12345", GUID, "TE57ABC")
    assert (item.confidence, item.direction, item.heard) == (100, Direction.AWAY, Heard(direction="Moving Away"))
    assert item.time == datetime(2026, 3, 2, 8, 15, 30, 250_462, UTC)
    assert item.images == (RawImage(Role.PLATE_PATCH, PATCH),)


def test_the_json_of_the_http_export() -> None:
    said: dict[str, Any] = {
        "Id": GUID,
        "PlateAnalytics": [{"Key": "Relative Motion", "Score": -1.0, "Value": "-"}],
        "PlateRead": "TE57ABC",
        "SourceUrl": "SHARPV12345",
        "PlateImage": "",
        "ContextImage": text(SCENE),
        "Timestamp": "2026-03-02T08:15:30.250",
    }
    item = read(DIALECT, sent(json.dumps(said).encode()))
    assert (item.plate_heard, item.direction, item.images) == ("TE57ABC", None, (RawImage(Role.OVERVIEW, SCENE),))
    assert item.time == datetime(2026, 3, 2, 8, 15, 30, 250_000)  # it declares no zone
    assert read(DIALECT, sent(json.dumps(said | {"PlateRead": None}).encode())).plate_heard == ""


def test_the_json_with_attributes() -> None:
    said: dict[str, Any] = {
        "Attributes": {"Relative Motion": "Moving Away", "State Name": "CA"},
        "ConfidenceScore": "99",
        "Plate": "TE57ABC",
        "SharpName": "SHARPV12345",
        "DateUtc": "2026-03-02",
        "TimeUtc": "08:15:30",
    }
    item = read(DIALECT, sent(json.dumps(said).encode()))
    assert (item.camera_identity, item.confidence, item.direction) == ("SHARPV12345", 99, Direction.AWAY)
    assert item.time == datetime(2026, 3, 2, 8, 15, 30, tzinfo=UTC)
    unclear = read(DIALECT, sent(json.dumps(said | {"DateUtc": "03/02/2026"}).encode()))
    assert (unclear.time, unclear.time_heard) == (None, "03/02/2026 08:15:30")  # day and month: nobody can say


def test_what_is_refused() -> None:
    assert reason(DIALECT, dropped(b"<AutoVu><UTCDate>2026:03:02</UTCDate></AutoVu>")) == "no_plate"
    assert reason(DIALECT, dropped(FTP.replace(text(PATCH).encode(), b"AAA"))) == "bad_base64"
    assert reason(DIALECT, dropped(b'<!DOCTYPE a [<!ENTITY b "c">]><AutoVu>&b;</AutoVu>')) == "xml_forbidden"
    assert reason(DIALECT, dropped(FTP[:-20])) == "xml_malformed"
    assert reason(DIALECT, dropped(FTP.replace(b"TE57 ABC", b"A" * 65))) == "vrm_too_long"
    assert reason(DIALECT, sent(b'{"PlateRead": {}}')) == "no_plate"


def test_it_takes_no_other_vendors_payload() -> None:
    assert claims(DIALECT) == set()


@pytest.mark.parametrize(("verdict", "status"), VERDICTS)
def test_every_verdict_has_its_answer(verdict: Verdict, status: int) -> None:
    answer = DIALECT.answer(verdict, sent(HTTP))
    assert (answer.status, verdict.outcome.value.encode() in answer.body) == (status, True)
    assert DIALECT.answer(verdict, dropped(FTP)).body == b""


def test_damaged_deliveries_are_understood_or_refused() -> None:
    small = FTP.replace(text(SCENE).encode(), text(picture(64, 36)).encode())
    said = {"PlateRead": "TE57ABC", "SourceUrl": "S", "PlateAnalytics": [{"Key": "a", "Value": "b"}], "Timestamp": "x"}
    survives(DIALECT, [dropped(small), sent(HTTP), sent(json.dumps(said).encode())])
