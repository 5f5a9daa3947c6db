"""Plate Recognizer Stream: its CSV row field by field, the webhook in all its forms, damage, and answers."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

import pytest

from capture.delivery import Delivery
from capture.dialects.pictures import size_px
from capture.dialects.platerecognizer import PlateRecognizer
from edge.claim import Box, Direction, Heard, Life, RawImage, RawRead, Role, SignOfLife, Verdict
from tests.fixtures.trials import VERDICTS, claims, life, payload, picture, read, reason, sent, survives

DIALECT = PlateRecognizer()
FRAME, CROP = picture(640, 360), picture(220, 160)
VEHICLE = {"score": 0.8, "type": "Sedan", "box": {"xmin": 120, "ymin": 80, "xmax": 330, "ymax": 230}}
OLD = {
    "box": {"xmin": 200, "ymin": 190, "xmax": 260, "ymax": 206},
    "plate": "te57abc",
    "region": {"code": "gb", "score": 0.413},
    "score": 0.839,
    "vehicle": VEHICLE,
    "direction": 225,
}
NEW = {
    "plate": {
        "type": "Plate",
        "score": 0.7,
        "box": {"xmin": 200, "ymin": 190, "xmax": 260, "ymax": 206},
        "props": {
            "plate": [{"value": "te57abc", "score": 0.839}, {"value": "te57a8c", "score": 0.6}],
            "region": [{"value": "gb", "score": 0.4}],
        },
    },
    "vehicle": VEHICLE,
    "direction": 225,
}


def said(*results: Any, **changed: Any) -> dict[str, Any]:
    data = {
        "camera_id": "north-1",
        "filename": "north-1_screenshots/26-03-02/08-15-30.250000.jpg",
        "timestamp": "2026-03-02T08:15:30.250000Z",
        "timestamp_local": "2026-03-02 09:15:30.250000+01:00",
        "results": list(results),
    }
    return {"hook": {"target": "http://192.0.2.1/", "id": "north-1", "event": "recognition"}, "data": data | changed}


def posted(document: dict[str, Any], upload: bytes = FRAME) -> Delivery:
    body = (
        b'--xyz\r\nContent-Disposition: form-data; name="json"\r\n\r\n'
        + json.dumps(document).encode()
        + b'\r\n--xyz\r\nContent-Disposition: form-data; name="upload"; filename="a.jpg"\r\n\r\n'
        + upload
        + b"\r\n--xyz--\r\n"
    )
    return sent(body, content_type="multipart/form-data; boundary=xyz")


def form(document: dict[str, Any]) -> Delivery:
    body = f"json={quote(json.dumps(document))}".encode()
    return sent(body, content_type="application/x-www-form-urlencoded")


def test_the_row_of_the_csv() -> None:
    item = read(DIALECT, sent(payload("platerecognizer", "stream_output_row.csv")))
    assert item == RawRead(
        dialect="platerecognizer",
        dialect_version=1,
        camera_identity="camera-1",
        vendor_id="/camera-1_screenshots/21-10-27/06-20-43.970337.jpg#847,80",
        plate_heard="sjubi1",
        confidence=78,
        country=None,
        direction=None,
        lane=None,
        time=datetime(2021, 10, 27, 6, 20, 43, 970337, UTC),
        time_heard="2021-10-27 06:20:43.970337+00:00",
        images=(),
        heard=Heard(confidence="0.781/1", direction="225", plate_box="847,80,97,25/px"),
    )


def test_a_row_without_its_header_is_the_same() -> None:
    body = payload("platerecognizer", "stream_output_row.csv")
    assert read(DIALECT, sent(body.partition(b"\n")[2])) == read(DIALECT, sent(body))


def test_it_takes_no_other_vendors_payload() -> None:
    assert claims(DIALECT) == {"platerecognizer/stream_output_row.csv"}


@pytest.mark.parametrize("result", [OLD, NEW], ids=["old", "new"])
def test_the_webhook_with_a_picture(result: dict[str, Any]) -> None:
    item = read(DIALECT, posted(said(result)))
    assert item == RawRead(
        dialect="platerecognizer",
        dialect_version=1,
        camera_identity="north-1",
        vendor_id="north-1_screenshots/26-03-02/08-15-30.250000.jpg#200,190",
        plate_heard="te57abc",
        confidence=84,
        country="GBR",
        direction=None,
        lane=None,
        time=datetime(2026, 3, 2, 8, 15, 30, 250_000, UTC),
        time_heard="2026-03-02T08:15:30.250000Z",
        images=(RawImage(Role.OVERVIEW, FRAME, Box(200, 190, 60, 16)),),
        heard=Heard(confidence="0.839/1", direction="225", country="gb", plate_box="200,190,60,16/px"),
    )


def test_a_crop_of_the_vehicle_has_no_box() -> None:
    (image,) = read(DIALECT, posted(said(OLD), CROP)).images
    assert image == RawImage(Role.OVERVIEW, CROP, None)
    near_the_corner = OLD | {
        "box": {"xmin": 20, "ymin": 20, "xmax": 60, "ymax": 30},
        "vehicle": {"box": {"xmin": 0, "ymin": 0, "xmax": 210, "ymax": 150}},
    }
    (image,) = read(DIALECT, posted(said(near_the_corner), CROP)).images
    assert image.plate_box is None


def test_without_a_picture_it_is_a_form() -> None:
    item = read(DIALECT, form(said(NEW)))
    assert (item.plate_heard, item.images) == ("te57abc", ())
    assert read(DIALECT, sent(json.dumps(said(NEW)).encode())) == item


def test_two_vehicles_of_one_frame_are_two_reads_however_they_come() -> None:
    other = OLD | {"plate": "yk19xyz", "box": {"xmin": 400, "ymin": 190, "xmax": 460, "ymax": 206}}
    together = DIALECT.understand(posted(said(OLD, other)))
    apart = [read(DIALECT, posted(said(each))) for each in (OLD, other)]
    assert list(together) == apart
    assert apart[0].vendor_id != apart[1].vendor_id


@pytest.mark.parametrize(
    "result",
    [
        {"plate": None, "vehicle": VEHICLE},
        {"vehicle": VEHICLE},
        {"plate": {"props": {"plate": []}}},
        {"plate": {"props": {"plate": None}}},
        {"plate": "", "score": 0},
    ],
)
def test_a_vehicle_without_a_plate(result: dict[str, Any]) -> None:
    item = read(DIALECT, form(said(result)))
    assert (item.plate_heard, item.confidence) == ("", None)


def test_what_is_no_read_is_a_sign_of_life() -> None:
    assert life(DIALECT, form(said())) == SignOfLife(Life.OTHER_EVENT, "recognition", "north-1")
    beat = said() | {"hook": {"event": "heartbeat"}}
    assert life(DIALECT, form(beat)) == SignOfLife(Life.HEARTBEAT, "heartbeat", "north-1")


def test_degrees_are_no_direction() -> None:
    for degrees in (0, 90, 180, 270, "", None):
        item = read(DIALECT, form(said(OLD | {"direction": degrees})))
        assert item.direction not in list(Direction)


def test_a_name_with_the_plate_in_it_is_no_identity() -> None:
    item = read(DIALECT, form(said(OLD, filename="shots/TE57ABC.jpg")))
    assert item.vendor_id is None


@pytest.mark.parametrize(
    ("delivery", "why"),
    [
        (form(said({"score": 1})), "no_plate"),
        (form(said(OLD | {"plate": ["te57abc"]})), "bad_member"),
        (form(said(*[OLD] * 65)), "too_large"),
        (sent(b"json=%7Bcamera_id"), "json_malformed"),
        (sent(b"json={%FF&camera_id"), "form_malformed"),
        (sent("json={é camera_id".encode()), "form_malformed"),
        (sent(b"json={" + b"&a=1" * 40), "form_malformed"),
        (sent(posted(said(OLD)).body[:-6], content_type="multipart/form-data; boundary=xyz"), "truncated"),
        (sent(b"json={" + b"%20" * 400_000), "too_large"),
        (sent(b"timestamp,plate,score,file\n"), "no_plate"),
        (sent(b"timestamp,plate,score,file\na," + b"b" * 65 + b",1,c\n"), "vrm_too_long"),
        (sent(b"timestamp,plate,score,file\na,b\n"), "csv_malformed"),
        (sent(b'timestamp,plate,score,file\na,"b\n'), "csv_malformed"),
        (sent(b"timestamp,plate,score,file\n" + b"a,b,1,d\n" * 257), "too_large"),
        (sent(b"[]"), "not_an_object"),
    ],
)
def test_what_is_refused(delivery: Delivery, why: str) -> None:
    assert reason(DIALECT, delivery) == why


def test_the_size_of_a_jpeg() -> None:
    assert size_px(FRAME) == (640, 360)
    for broken in (b"", b"\xff\xd8", FRAME[:40], b"\xff\xd8" + b"\xff\xe0\x00\x00" * 100, b"\x89PNG" + b"\0" * 40):
        assert size_px(broken) is None


@pytest.mark.parametrize(("verdict", "status"), VERDICTS)
def test_every_verdict_has_its_answer(verdict: Verdict, status: int) -> None:
    answer = DIALECT.answer(verdict, sent(b""))
    assert (answer.status, verdict.outcome.value.encode() in answer.body) == (status, True)


def test_damaged_deliveries_are_understood_or_refused() -> None:
    row = (
        b"timestamp,plate,score,dscore,file,box,model_make,color,vehicle,region,orientation,candidates,source_url,"
        b"position_sec,direction\n2026-03-02 08:15:30.250+00:00,te57abc,0.781,0.4,/north-1_screenshots/a.jpg,"
        b"\"{'xmin': 847, 'ymin': 80, 'xmax': 944, 'ymax': 105}\",[],[],\"{'box': {'xmin': 1, 'ymin': 2, 'xmax': 3,"
        b" 'ymax': 4}}\",\"{'code': 'gb', 'score': 0}\",[],[],/v.mp4,4.0,225\n"
    )
    survives(DIALECT, [posted(said(OLD, NEW), CROP), form(said(NEW)), sent(row)])
