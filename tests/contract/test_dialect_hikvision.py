"""Hikvision beyond the plain push: JSON, Chinese codings, a recorder's channels, the event stream, words as heard."""

from __future__ import annotations

import io
import json
import random
import time
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from capture.delivery import Delivery
from capture.dialects.hikvision import Hikvision
from edge.claim import (
    Arrival,
    Box,
    ClockState,
    Direction,
    Life,
    Outcome,
    RawRead,
    Received,
    Role,
    SignOfLife,
    Verdict,
)
from edge.errors import Refused

FIELD = Path(__file__).resolve().parents[2] / ".." / "shared" / "payloads" / "hikvision"
ARRIVAL = Arrival(Received(1_772_439_330_000, 20, ClockState.SYNCHRONISED, 1, "boot"), "192.0.2.7", "/")
MAC = "44:19:b6:00:00:0a"
EVENT: dict[str, Any] = {
    "ipAddress": "192.0.2.7",
    "macAddress": MAC,
    "channelID": 1,
    "dateTime": "2026-03-02T08:15:30+01:00",
    "activePostCount": 1,
    "eventType": "ANPR",
    "eventState": "active",
    "ANPR": {
        "country": 59,
        "licensePlate": "TE57 ABC",
        "line": 2,
        "direction": "reverse",
        "confidenceLevel": 92.5,
        "pictureInfoList": [
            {"fileName": "licensePlatePicture.jpg", "type": "licensePlatePicture", "pId": "p-1"},
            {
                "fileName": "detectionPicture.jpg",
                "type": "detectionPicture",
                "absTime": "20260302081530250",
                "plateRect": {"X": 691, "Y": 397, "width": 59, "height": 34},
                "pId": "p-2",
            },
        ],
    },
    "UUID": "U-77",
    "detectionBackgroundImageResolution": {"width": 2560, "height": 1568},
}


def jpeg(width: int, height: int) -> bytes:
    out = io.BytesIO()
    Image.linear_gradient("L").resize((width, height)).convert("RGB").save(out, "JPEG", quality=40)
    return out.getvalue()


PATCH, SCENE = jpeg(48, 16), jpeg(80, 48)


def sent(body: bytes, content_type: str = "", query: str = "") -> Delivery:
    return Delivery(ARRIVAL, content_type, query, body)


def in_json(**change: Any) -> Delivery:
    return sent(json.dumps({"EventNotificationAlert": EVENT | change}).encode(), "application/json")


def multipart(*parts: tuple[str, str, bytes], subtype: str = "form-data") -> Delivery:
    body = b"".join(
        f'--b\r\nContent-Disposition: form-data; name="{name}"\r\nContent-Type: {kind}\r\n\r\n'.encode()
        + data
        + b"\r\n"
        for name, kind, data in parts
    )
    return sent(body + b"--b--\r\n", f"multipart/{subtype}; boundary=b")


def xml(
    anpr: str = "", *, top: str = "", encoding: str = "UTF-8", declared: str | None = None, prefix: str = ""
) -> bytes:
    p = f"{prefix}:" if prefix else ""
    text = (
        f'<?xml version="1.0" encoding="{declared or encoding}"?>\n'
        f'<{p}EventNotificationAlert xmlns{":" + prefix if prefix else ""}="http://www.isapi.org/ver20/XMLSchema">'
        f"<{p}macAddress>{MAC}</{p}macAddress><{p}dateTime>2026-03-02T08:15:30+00:00</{p}dateTime>{top}"
        f"<{p}eventType>ANPR</{p}eventType><{p}eventState>active</{p}eventState>"
        f"<{p}ANPR>{anpr}</{p}ANPR></{p}EventNotificationAlert>"
    )
    return text.encode(encoding)


def read(delivery: Delivery) -> RawRead:
    assert Hikvision().recognises(delivery)
    (item,) = Hikvision().understand(delivery)
    assert isinstance(item, RawRead)
    return item


def life(delivery: Delivery) -> SignOfLife:
    assert Hikvision().recognises(delivery)
    (item,) = Hikvision().understand(delivery)
    assert isinstance(item, SignOfLife)
    return item


@pytest.mark.parametrize("wrapped", [True, False])
def test_json_with_the_same_names(wrapped: bool) -> None:
    one = read(in_json() if wrapped else sent(b"\n" + json.dumps(EVENT).encode()))
    assert (one.camera_identity, one.vendor_id, one.plate_heard) == (MAC, "U-77", "TE57 ABC")
    assert (one.lane, one.direction, one.heard.direction) == ("2", Direction.AWAY, "reverse")
    assert (one.confidence, one.heard.confidence) == (92, "92.5/100")
    assert (one.country, one.heard.country) == (None, "59")
    assert one.time == datetime.fromisoformat("2026-03-02T08:15:30.250+01:00")
    assert one.heard.plate_box == "691,397,59,34/unknown"
    assert one.images == ()


def test_json_as_a_part_with_pictures() -> None:
    document = json.dumps({"EventNotificationAlert": EVENT}).encode()
    one = read(multipart(("anpr.json", "application/json", document), ("x", "image/jpeg", PATCH), ("y", "", SCENE)))
    assert [(i.role, i.data, i.plate_box) for i in one.images] == [
        (Role.PLATE_PATCH, PATCH, None),
        (Role.OVERVIEW, SCENE, None),  # within a grid of 1000: nobody can say that it is pixels
    ]
    assert one.vendor_id == "U-77"


def test_json_pictures_under_their_own_name_and_a_box_in_pixels() -> None:
    shown = {
        "pictureInfo": [{"type": "detectionPicture", "plateRect": {"X": 1204, "Y": 7, "width": 210, "height": 58}}]
    }
    event = EVENT | {"ANPR": EVENT["ANPR"] | {"pictureInfoList": shown}}
    one = read(multipart(("e", "application/json", json.dumps(event).encode()), ("z", "image/jpeg", SCENE)))
    assert [i.plate_box for i in one.images] == [Box(1204, 7, 210, 58)]
    assert one.heard.plate_box is None


def test_a_poll_in_json() -> None:
    body = b'{"Plates": {"Plate": [{"captureTime": "20260302T0815360000", "plateNumber": "AB12CDE", "picName": "7"}]}}'
    assert read(sent(body)).vendor_id == "7"
    (empty,) = [Hikvision().understand(sent(b'{"Plates": []}'))]
    assert empty == ()


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"eventType": "videoloss", "eventState": "inactive", "channelID": 0}, (Life.HEARTBEAT, "videoloss", MAC)),
        ({"eventType": "videoloss", "eventState": "active"}, (Life.OTHER_EVENT, "videoloss", MAC)),
        ({"eventType": "heartBeat"}, (Life.HEARTBEAT, "heartBeat", MAC)),
        ({"eventType": "VMD", "channelID": 3}, (Life.OTHER_EVENT, "VMD", f"{MAC}/3")),
    ],
)
def test_other_events_in_json(change: dict[str, Any], expected: tuple[Life, str, str]) -> None:
    assert life(in_json(**change)) == SignOfLife(*expected)


def test_parts_of_the_event_stream() -> None:
    beat = xml().replace(b">ANPR</eventType>", b">videoloss</eventType>").replace(b">active<", b">inactive<")
    assert life(multipart(("", "application/xml", beat), subtype="mixed")).life is Life.HEARTBEAT
    assert life(sent(beat, "application/xml")).life is Life.HEARTBEAT
    lost = beat.replace(b">inactive<", b">active<")
    assert life(multipart(("", "application/xml", lost), subtype="x-mixed-replace")).life is Life.OTHER_EVENT
    event = json.dumps(EVENT).encode()
    parts = (("", "application/json", event), ("licensePlatePicture.jpg", "image/jpeg", PATCH))
    assert len(read(multipart(*parts, subtype="mixed")).images) == 1


@pytest.mark.parametrize(
    ("encoding", "declared"), [("gb2312", "GB2312"), ("gb18030", "GBK"), ("utf-8", "UTF-8"), ("gb2312", "UTF-8")]
)
def test_chinese_codings(encoding: str, declared: str) -> None:
    body = xml("<licensePlate>蓝皖A7XG66</licensePlate>", encoding=encoding, declared=declared)
    assert read(sent(body)).plate_heard == "蓝皖A7XG66"
    part = body.partition(b"?>")[2]
    assert read(multipart(("a.xml", f'text/xml; charset="{encoding}"', part))).plate_heard == "蓝皖A7XG66"
    told = json.dumps(EVENT | {"ANPR": {"licensePlate": "皖A7XG66"}}, ensure_ascii=False).encode(encoding)
    assert read(sent(told)).plate_heard == "皖A7XG66"


def test_another_coding_is_not_guessed() -> None:
    with pytest.raises(Refused) as refused:
        read(sent(xml("<licensePlate>MÖ 12</licensePlate>", encoding="latin-1", declared="UTF-8")))
    assert refused.value.reason == "xml_malformed"


@pytest.mark.parametrize(
    ("channel", "identity"), [("", MAC), ("0", MAC), ("1", MAC), ("2", f"{MAC}/2"), ("33", f"{MAC}/33"), ("x", MAC)]
)
def test_a_recorder_is_told_apart_by_its_channels(channel: str, identity: str) -> None:
    top = f"<ns1:channelID>{channel}</ns1:channelID>"
    anpr = "<ns1:licensePlate>TE57ABC</ns1:licensePlate>"
    assert read(sent(xml(anpr, top=top, prefix="ns1"))).camera_identity == identity


def test_a_digital_channel_counts_before_the_analogue() -> None:
    assert read(in_json(channelID=1, dynChannelID="4")).camera_identity == f"{MAC}/4"
    assert read(in_json(channelID=2, macAddress="00:00:00:00:00:00")).camera_identity is None


@pytest.mark.parametrize(
    ("sides", "heard"), [((0, 0, 0, 0), None), ((1, 2, 3.5, 4), "1,2,3.5,4/unknown"), ((-1, 2, 3, 4), None)]
)
def test_a_rectangle_as_heard(sides: tuple[float, ...], heard: str | None) -> None:
    rectangle = dict(zip(("X", "Y", "width", "height"), sides, strict=True))
    shown = [{"type": "detectionPicture", "plateRect": rectangle}]
    assert read(in_json(ANPR={"licensePlate": "A1", "pictureInfoList": shown})).heard.plate_box == heard


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b'{"EventNotificationAlert": [1]}', "not_an_object"),
        (b'{"EventNotificationAlert": {"eventType": "ANPR", "ANPR": {}}}', "no_plate"),
        (b'{"EventNotificationAlert": {"eventType": "ANPR"', "json_malformed"),
        (b'{"EventNotificationAlert": {"a": "' + b"x" * 300_000 + b'"}}', "too_large"),
        (b'{"EventNotificationAlert": ' + b'{"a":' * 40 + b"1" + b"}" * 41, "too_deep"),
    ],
)
def test_json_that_is_refused(body: bytes, reason: str) -> None:
    with pytest.raises(Refused) as refused:
        Hikvision().understand(sent(body))
    assert refused.value.reason == reason


def test_a_text_too_long_for_a_plate_is_refused() -> None:
    with pytest.raises(Refused) as refused:
        Hikvision().understand(sent(xml(f"<licensePlate>{'A' * 257}</licensePlate>")))
    assert refused.value.reason == "vrm_too_long"


def test_other_json_is_not_theirs() -> None:
    for body in (b'{"plate": "AB12CDE"}', b'{"eventType": "ANPR"}', b'{"dateTime": "x", "eventType": "y"}'):
        assert not Hikvision().recognises(sent(body))


@pytest.mark.parametrize(
    ("verdict", "status", "code"),
    [
        (Verdict(Outcome.STORED), 200, 1),
        (Verdict(Outcome.HEARD), 200, 1),
        (Verdict(Outcome.LATER, "busy"), 503, 2),
        (Verdict(Outcome.REFUSED, "unknown_source"), 403, 4),
    ],
)
def test_who_speaks_json_is_answered_in_json(verdict: Verdict, status: int, code: int) -> None:
    answer = Hikvision().answer(verdict, in_json())
    assert (answer.status, json.loads(answer.body)["statusCode"]) == (status, code)
    parts = multipart(("e", "application/json", b"{}"))
    assert Hikvision().answer(verdict, parts).content_type == "application/json"
    assert b"<statusCode>%d<" % code in Hikvision().answer(verdict, sent(xml())).body


def test_a_real_camera_keeps_its_rectangle_as_heard() -> None:
    if not FIELD.is_dir():
        pytest.skip("the payloads of real cameras are not beside this repository")
    one = read(sent((FIELD / "parkpow_anpr.xml").read_bytes()))
    assert (one.heard.plate_box, one.heard.direction) == ("691,397,59,34/unknown", "reverse")
    assert (one.heard.confidence, one.confidence) == (None, 97)
    assert one.camera_identity == "d4:e8:53:bc:4c:02"


def test_damage_is_read_or_refused() -> None:
    dice = random.Random(20260302)
    document = json.dumps({"EventNotificationAlert": EVENT}).encode()
    seeds = [
        in_json(),
        multipart(("e", "application/json", document), ("licensePlatePicture.jpg", "image/jpeg", PATCH)),
        sent(xml("<licensePlate>蓝皖A7XG66</licensePlate>", encoding="gb2312", declared="GB2312")),
        sent(xml("<ns1:licensePlate>TE57ABC</ns1:licensePlate>", prefix="ns1")),
    ]
    begun, outcomes = time.process_time(), {"read": 0, "refused": 0}
    for n in range(8000):
        delivery = seeds[n % len(seeds)]
        body = bytearray(delivery.body)
        for _ in range(dice.choice([1, 1, 2, 4])):
            at = dice.randrange(len(body) + 1)
            match dice.randrange(5):
                case 0:
                    body[at : at + 1] = bytes([dice.randrange(256)])
                case 1:
                    del body[at : at + dice.randint(1, 40)]
                case 2:
                    body[at:at] = body[dice.randrange(len(body) + 1) :][: dice.randint(1, 200)]
                case 3:
                    body[at:at] = dice.choice(
                        [b"[" * 50, b"<a>" * 40, b"9" * 5000, b"\\ud800", b"\x81\x30\x81\x30", b"{"]
                    )
                case 4:
                    del body[at:]
        damaged = replace(delivery, body=bytes(body))
        Hikvision().recognises(damaged)
        try:
            for item in Hikvision().understand(damaged):
                if isinstance(item, RawRead):
                    item.plate_heard.encode()
                    if item.time is not None and item.time.tzinfo is not None:
                        item.time.astimezone(UTC)
            outcomes["read"] += 1
        except Refused:
            outcomes["refused"] += 1
    assert min(outcomes.values()) > 500, outcomes
    assert time.process_time() - begun < 60
