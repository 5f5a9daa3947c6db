"""Axis License Plate Verifier, FF Group, CAMMRA: published messages field by field, ours for every kind and quirk."""

from __future__ import annotations

import base64
import json
import time
from datetime import UTC, datetime
from typing import Any

import pytest

from capture.dialects.axis import Axis
from edge.claim import Box, Direction, Heard, Life, RawImage, RawRead, Role, SignOfLife, Stage, Way
from edge.vrm import normalise
from tests.fixtures.onvif.trials import answered, damaged, delivery, from_the_field, jpeg, life, png, read, reason

AXIS = Axis()
PATCH, SCENE = jpeg(136, 43), jpeg(320, 240)
EVENT: dict[str, Any] = {
    "packetCounter": "41",
    "capture_timestamp": "1772439330250",
    "frame_timestamp": "1772439330250123",
    "capture_ts": "1772439330250000000",
    "datetime": "20260302 101530250",
    "plateText": "TE57ABC",
    "plateUnicode": "TE57ABC",
    "plateUTF8": "TE57ABC",
    "plateASCII": "TE57ABC",
    "plateCountry": "GBR",
    "plateConfidence": "0.915000",
    "carState": "update",
    "roiID": "2",
    "geotag": {"lat": 55.70421, "lon": 13.19366},
    "imageType": "roi",
    "carMoveDirection": "in",
    "plateCoordinates": [612, 410, 120, 28],
    "plateCoordinatesRelative": [112, 160, 120, 28],
    "carID": "77",
    "imagesURI": ["/local/fflprapp/tools.cgi?action=getImage&name=1/20260302101530_1lp_TE57AEC_40.jpg"],
    "vehicle_info": {"make": "Astra G", "confidenceMMR": "71"},
    "camera_info": {"SerialNumber": "ACCC8E0000AA", "MACAddress": "AC:CC:8E:00:00:AA", "IPAddress": "192.0.2.7"},
    "sensorProviderID": "defaultID",
}
NOTICE = """<?xml version="1.0" encoding="UTF-8"?>
<tt:MetadataStream xmlns:tt="http://www.onvif.org/ver10/schema"><tt:Event><wsnt:NotificationMessage
 xmlns:tnsaxis="http://www.axis.com/2009/event/topics" xmlns:wsnt="http://docs.oasis-open.org/wsn/b-2">
<wsnt:Topic> tnsaxis:CameraApplicationPlatform/ALPV.%s </wsnt:Topic>
<wsnt:Message><tt:Message UtcTime="2026-03-02T08:15:30.250000Z"%s><tt:Source /><tt:Data>%s</tt:Data></tt:Message>
</wsnt:Message></wsnt:NotificationMessage></tt:Event></tt:MetadataStream>"""
ITEMS = {
    "capture_timestamp": "1772439330250",
    "frame_timestamp": "1710439731",
    "carMoveDirection": "out",
    "carState": "lost",
    "carID": "4",
    "roiID": "1",
    "MACAddress": "ACCC8E0000AA",
    "country": "GBR",
    "text": "TE 57 ABC",
    "lpImage": base64.b64encode(PATCH).decode(),
    "left": "1",
    "top": "2",
    "width": "30",
    "height": "8",
}
BEAT = {
    "system": {"timestamp": "2026-03-02T08:15:30.000Z"},
    "identify": {"platform": "AXIS", "macAddress": "AC:CC:8E:00:00:AA", "anprVersion": "2.7.1"},
    "ALPV": {"device_ID": "defaultID", "numFrames": "2476", "numberOfReads": "51"},
}
FTP = "AC-CC-8E-00-00-AA/202603/02/20260302081530_250_roi_1_in_7543_TE57ABC_GBR_Ford_Explorer_SUV_BLACK.jpg"
PLATE_FILE = "20260302081530_413731lp_TE57 ABC_2117396.jpg"


def pushed(**changes: Any) -> bytes:
    return json.dumps({**EVENT, **changes}, ensure_ascii=False).encode()


def form(event: bytes, *pictures: tuple[str, bytes]) -> tuple[bytes, str]:
    """The multipart of a push profile: `event` and `image` are both files."""
    body = b'--b1\r\nContent-Disposition: form-data; name="event"; filename="event.json"\r\n'
    body += b"Content-Type: application/json\r\n\r\n" + event + b"\r\n"
    for name, data in pictures:
        body += f'--b1\r\nContent-Disposition: form-data; name="image"; filename="{name}"\r\n\r\n'.encode() + data
        body += b"\r\n"
    return body + b"--b1--\r\n", "multipart/form-data; boundary=b1"


def notice(event: str = "AllPlates", attributes: str = "", **changes: str | None) -> bytes:
    told = {k: v for k, v in {**ITEMS, **changes}.items() if v is not None}
    items = "".join(f'<tt:SimpleItem Name="{k}" Value="{v}"/>' for k, v in told.items())
    return (NOTICE % (event, attributes, items)).encode()


def test_every_published_message_is_read_field_by_field() -> None:
    files = from_the_field("axis")
    assert set(files) == {
        "alpv_heartbeat_single_quoted_as_published.txt",
        "alpv_push_lost_event.json",
        "alpv_push_update_http.json",
        "alpv_tcp_new_with_ImageArray_umlaut.json",
        "alpv_vapix_event_AllPlates.xml",
    }
    assert all(AXIS.recognises(delivery(body)) for body in files.values())
    beat = life(AXIS, delivery(files["alpv_heartbeat_single_quoted_as_published.txt"]))
    assert beat == SignOfLife(Life.HEARTBEAT, "ALPV", "AC:CC:8E:9B:B1:6D")
    assert read(AXIS, delivery(files["alpv_push_lost_event.json"])) == RawRead(
        dialect="axis",
        dialect_version=1,
        camera_identity="ACCC8ED3290D",
        vendor_id="1144696-lost-1623405938252-11890300",
        plate_heard="RLE11684",
        confidence=72,
        country="POL",
        direction=Direction.TOWARD,
        lane="2",
        time=datetime(2021, 6, 11, 10, 5, 38, 252_000, UTC),
        time_heard="1623405938252",
        images=(),
        passage="1144696@2021-06-11T10",
        stage=Stage.LAST,
        heard=Heard(confidence="0.719034/1", direction="in", country="POL"),
    )
    update = read(AXIS, delivery(files["alpv_push_update_http.json"]))
    assert (update.plate_heard, update.stage, update.passage) == ("HWR6677", Stage.UPDATE, "54950@2023-12-11T12")
    assert (update.direction, update.lane, update.confidence) == (Direction.AWAY, "1", 74)
    assert update.time == datetime(2023, 12, 11, 12, 27, 5, 507_000, UTC)
    new = read(AXIS, delivery(files["alpv_tcp_new_with_ImageArray_umlaut.json"], way=Way.TCP_STREAM))
    assert (new.plate_heard, new.stage, new.direction) == ("TÖLSL123", Stage.FIRST, None)
    assert new.heard.direction == "unknown"
    (patch,) = new.images
    assert patch.role is Role.PLATE_PATCH
    assert patch.data.startswith(b"\x89PNG")  # declared jpg
    vapix = read(AXIS, delivery(files["alpv_vapix_event_AllPlates.xml"]))
    assert (vapix.plate_heard, vapix.country, vapix.camera_identity) == ("II04458", "PRT", None)
    assert (vapix.stage, vapix.passage) == (Stage.FIRST, "1139066@2021-05-20T11")
    assert vapix.time == datetime(2021, 5, 20, 11, 54, 21, 894_000, UTC)


def test_the_time_is_utc_and_not_the_cameras_clock() -> None:
    assert read(AXIS, delivery(pushed())).time == datetime(2026, 3, 2, 8, 15, 30, 250_000, UTC)
    stamps: list[Any] = ["0", "", "-", "nan", "9" * 400, "١٧٧٢", True, []]
    for stamp in stamps:
        local = read(AXIS, delivery(pushed(capture_timestamp=stamp)))
        assert (local.time, local.time_heard) == (datetime(2026, 3, 2, 10, 15, 30, 250_000), "20260302 101530250")
    nothing = read(AXIS, delivery(pushed(capture_timestamp="0", datetime="yesterday")))
    assert (nothing.time, nothing.time_heard, nothing.passage) == (None, "yesterday", None)


def test_three_messages_on_one_car_are_one_passage_and_three_messages() -> None:
    changes = (
        {"carState": "new", "carMoveDirection": "unknown", "packetCounter": "40"},
        {"carState": "update", "capture_timestamp": "1772439330900", "plateUTF8": "TE57A8C"},
        {"carState": "lost", "frame_timestamp": "0", "packetCounter": "44"},
    )
    said = [read(AXIS, delivery(pushed(**change))) for change in changes]
    assert {one.passage for one in said} == {"77@2026-03-02T08"}
    assert [one.stage for one in said] == [Stage.FIRST, Stage.UPDATE, Stage.LAST]
    assert len({one.vendor_id for one in said}) == 3
    again = read(AXIS, delivery(pushed(**changes[2])))
    assert again.vendor_id == said[2].vendor_id
    restarted = read(AXIS, delivery(pushed(capture_timestamp="1772446530900")))
    assert restarted.passage != said[0].passage  # the same carID two hours later is another car


def test_no_identity_holds_the_plate() -> None:
    said = read(AXIS, delivery(pushed(carID="57", plateUTF8="57", plateText="57")))
    assert (said.vendor_id, said.passage) == (None, None)


def test_the_event_and_image_files_of_a_multipart_push() -> None:
    body, kind = form(pushed(), ("20260302101530_1roi_TE57AEC_40.jpg", SCENE), ("20260302101530_2lp_X_41.jpg", PATCH))
    said = read(AXIS, delivery(body, kind))
    assert AXIS.recognises(delivery(body, kind))
    assert said.plate_heard == "TE57ABC"  # not the older reading in a picture's name
    assert said.images == (
        RawImage(Role.PLATE_PATCH, PATCH),
        RawImage(Role.OVERVIEW, SCENE, Box(112, 160, 120, 28)),
    )
    body, kind = form(pushed(imageType="frame"), ("image", SCENE), ("image", PATCH))
    first, second = read(AXIS, delivery(body, kind)).images
    assert (first.role, second.plate_box) == (Role.PLATE_PATCH, Box(612, 410, 120, 28))
    body, kind = form(pushed(imageType="plate"), ("image", b""), ("image", PATCH))
    assert [i.role for i in read(AXIS, delivery(body, kind)).images] == [Role.PLATE_PATCH]
    assert reason(AXIS, delivery(body[:-40], kind)) == "truncated"
    assert reason(AXIS, delivery(form(b"no json")[0], kind)) == "no_document"


def test_pictures_in_the_json_are_what_their_bytes_say() -> None:
    array = [
        {"ImageType": "", "ImageFormat": "jpg", "BinaryImage": base64.b64encode(png(120, 40)).decode()},
        {"ImageType": "vehicle", "ImageFormat": "jpg", "BinaryImage": base64.b64encode(SCENE).decode()},
        {"ImageType": "roi", "BinaryImage": ""},
    ]
    said = read(AXIS, delivery(pushed(ImageArray=array, imageType="plate"), way=Way.TCP_STREAM))
    assert [(i.role, i.data[:4]) for i in said.images] == [
        (Role.PLATE_PATCH, b"\x89PNG"),
        (Role.OVERVIEW, b"\xff\xd8\xff\xe0"),
    ]
    assert said.images[1].plate_box == Box(112, 160, 120, 28)
    bad = [{"BinaryImage": "!!!!"}]
    assert reason(AXIS, delivery(pushed(ImageArray=bad))) == "bad_base64"


def test_a_box_is_told_only_where_it_is_certain() -> None:
    for changes in ({"plateCoordinatesRelative": "x"}, {"plateCoordinatesRelative": [1, 2, 3]}, {"imageType": "other"}):
        body, kind = form(pushed(**changes), ("image", SCENE))
        assert [i.plate_box for i in read(AXIS, delivery(body, kind)).images] == [None]


def test_confidence_is_a_text_from_0_to_1() -> None:
    assert read(AXIS, delivery(pushed())).heard.confidence == "0.915000/1"
    for text in ("71", "-1", "nan", "", "-", "1_0", "٠"):
        assert read(AXIS, delivery(pushed(plateConfidence=text))).confidence is None
    unread = read(
        AXIS, delivery(pushed(plateUTF8="", plateText="", plateUnicode="", plateASCII="", plateConfidence="0"))
    )
    assert (unread.plate_heard, normalise(unread.plate_heard), unread.confidence) == ("", None, None)


def test_escaped_and_accented_plates() -> None:
    body = pushed(plateUTF8="").replace(b'"plateUnicode": "TE57ABC"', rb'"plateUnicode": "\u0054\u00d6L 1"')
    assert read(AXIS, delivery(body)).plate_heard == "TÖL 1"


@pytest.mark.parametrize(
    ("camera", "sensor", "identity"),
    [
        ({"SerialNumber": "ACCC8E0000AA"}, "gate", "ACCC8E0000AA"),
        ({"MACAddress": "AC:CC:8E:00:00:AA"}, "gate", "AC:CC:8E:00:00:AA"),
        ({}, "gate-7", "gate-7"),
        ({}, "defaultID", None),
        ({}, "defaultID_176", None),
        ("x", "", None),
    ],
)
def test_the_camera_is_its_serial_and_never_a_default_name(camera: Any, sensor: str, identity: str | None) -> None:
    assert read(AXIS, delivery(pushed(camera_info=camera, sensorProviderID=sensor))).camera_identity == identity


def test_heartbeats_as_json_and_as_published() -> None:
    good = json.dumps(BEAT).encode()
    single = good.replace(b'"', b"'")
    framed = b"Host: 192.0.2.1:8080\r\nContent-Type: application/json\r\n\r\n" + single
    for body in (good, single, framed):
        assert AXIS.recognises(delivery(body))
        assert life(AXIS, delivery(body)) == SignOfLife(Life.HEARTBEAT, "ALPV", "AC:CC:8E:00:00:AA")


def test_a_command_on_the_socket_is_no_read() -> None:
    parcel = delivery(b'{"command":"who","id":1}\r\n', way=Way.TCP_STREAM)
    assert AXIS.recognises(parcel)
    assert life(AXIS, parcel) == SignOfLife(Life.OTHER_EVENT, "who", None)


def test_a_vapix_event() -> None:
    said = read(AXIS, delivery(notice("Lost")))
    assert AXIS.recognises(delivery(notice("Lost")))
    assert (said.plate_heard, said.stage, said.direction) == ("TE 57 ABC", Stage.LAST, Direction.AWAY)
    assert (said.camera_identity, said.lane, said.passage) == ("ACCC8E0000AA", "1", "4@2026-03-02T08")
    assert said.vendor_id == "4-lost-1772439330250-1710439731"
    assert said.images == (RawImage(Role.PLATE_PATCH, PATCH),)
    assert read(AXIS, delivery(notice(capture_timestamp="0"))).time == datetime(2026, 3, 2, 8, 15, 30, 250_000, UTC)
    assert reason(AXIS, delivery(notice(text=None))) == "no_plate"


@pytest.mark.parametrize(
    ("event", "attributes", "changes"),
    [
        ("AllPlates", ' PropertyOperation="Initialized"', {}),
        ("AllPlates", ' PropertyOperation="Deleted"', {}),
        ("RealTime", "", {}),
        ("PlateInView", ' PropertyOperation="Changed"', dict.fromkeys(ITEMS) | {"active": "1"}),
    ],
)
def test_states_and_triggers_are_other_events(event: str, attributes: str, changes: dict[str, Any]) -> None:
    assert life(AXIS, delivery(notice(event, attributes, **changes))).what == f"ALPV{event}"


def test_the_same_event_from_the_cameras_mqtt_client() -> None:
    told = {
        "topic": "axis:CameraApplicationPlatform/ALPV.AllPlates",
        "timestamp": 1772439330250,
        "serial": "ACCC8E0000AA",
        "message": {"source": {}, "key": {}, "data": {**ITEMS, "MACAddress": None}},
    }
    body = json.dumps(told).encode()
    parcel = delivery(body, name="axis/ACCC8E0000AA/event/tns:axis/CameraApplicationPlatform", way=Way.MQTT_EVENTS)
    assert AXIS.recognises(parcel)
    assert read(AXIS, parcel).plate_heard == "TE 57 ABC"
    retained = delivery(body, name=parcel.name, way=Way.MQTT_EVENTS, replayed=True)
    assert life(AXIS, retained).life is Life.OTHER_EVENT


def test_a_file_on_ftp_whose_name_is_the_read() -> None:
    said = read(AXIS, delivery(SCENE, name=FTP, way=Way.FTP_DROP))
    assert AXIS.recognises(delivery(SCENE, name=FTP))
    assert said == RawRead(
        dialect="axis",
        dialect_version=1,
        camera_identity="AC-CC-8E-00-00-AA",
        vendor_id=None,
        plate_heard="TE57ABC",
        confidence=None,
        country="GBR",
        direction=Direction.TOWARD,
        lane="1",
        time=datetime(2026, 3, 2, 8, 15, 30, 250_000),
        time_heard="20260302081530_250",
        images=(RawImage(Role.OVERVIEW, SCENE),),
        passage="7543@2026-03-02T08L",
        heard=Heard(direction="in", country="GBR"),
    )
    stored = read(AXIS, delivery(PATCH, name=PLATE_FILE))
    assert (stored.plate_heard, stored.images[0].role) == ("TE57 ABC", Role.PLATE_PATCH)
    assert stored.time == datetime(2026, 3, 2, 8, 15, 30, 413_000)
    assert read(AXIS, delivery(PATCH, name=FTP)).images[0].role is Role.PLATE_PATCH  # by its shape


@pytest.mark.parametrize(
    ("name", "plate", "country", "identity"),
    [
        ("gate/20260302081530_250_roi_1_in_7_TE_57_ABC_GBR.jpg", "TE_57_ABC", "GBR", "gate"),
        ("20260302081530-250-1-OUT-7-TE57ABC-DEU-Audi.jpg", "TE57ABC", "DEU", None),
        ("20260302081530_250_roi_1_unk_7_TÖL-1_UNK_Ford.jpg", "TÖL-1", None, None),
        ("20260302081530_250_roi_1_in_7__GBR.jpg", "", "GBR", None),
        ("ACCC8E0000AA/x/20260302081530_250_roi_1_in_7_GBR.png", "GBR", None, "ACCC8E0000AA"),
    ],
)
def test_a_name_is_split_from_its_ends(name: str, plate: str, country: str | None, identity: str | None) -> None:
    said = read(AXIS, delivery(SCENE, name=name, way=Way.FTP_DROP))
    assert (said.plate_heard, said.country, said.camera_identity) == (plate, country, identity)


def test_a_text_of_megabytes_is_no_plate_and_takes_no_time() -> None:
    began = time.perf_counter()
    assert reason(AXIS, delivery(pushed(plateUTF8="A" * 6_000_000))) == "vrm_too_long"
    assert reason(AXIS, delivery(notice(text="A" * 257))) == "vrm_too_long"
    assert time.perf_counter() - began < 2


def test_what_it_does_not_know_it_refuses() -> None:
    assert reason(AXIS, delivery(b'{"a": 1}')) == "not_axis"
    assert reason(AXIS, delivery(b'{"carState": "new", "carID": "1"}')) == "no_plate"
    assert reason(AXIS, delivery(b'{"plateUTF8": "A"')) == "json_malformed"
    assert reason(AXIS, delivery(b"<a/>")) == "not_axis"
    assert reason(AXIS, delivery(SCENE, name="picture.jpg")) == "not_axis"
    assert reason(AXIS, delivery(b"")) == "not_axis"
    assert not AXIS.recognises(delivery(SCENE, name="picture.jpg"))


def test_every_verdict_has_its_answer() -> None:
    answered(AXIS)


def test_no_repr_shows_a_plate() -> None:
    shown = repr(AXIS.understand(delivery(pushed()))) + repr(delivery(SCENE, name=FTP))
    assert "TE57" not in shown
    assert "ACCC8E" not in shown


def test_damaged_messages_are_read_or_refused() -> None:
    body, kind = form(pushed(), ("image", SCENE))
    array = [{"ImageType": "roi", "BinaryImage": base64.b64encode(PATCH).decode()}]
    damaged(
        Axis,
        [
            delivery(pushed(ImageArray=array)),
            delivery(body, kind),
            delivery(notice()),
            delivery(json.dumps(BEAT).encode().replace(b'"', b"'")),
            delivery(SCENE, name=FTP),
            delivery(PATCH, name=PLATE_FILE),
        ],
    )
