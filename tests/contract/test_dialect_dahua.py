"""Dahua: every payload from the field, every message kind and quirk that is known, damage, and the answers."""

from __future__ import annotations

import base64
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
from capture.dialects.dahua import Dahua
from capture.dialects.dahua_events import events
from capture.dialects.dahua_pictures import pixels
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
    Stage,
    Verdict,
    Way,
)
from edge.errors import Refused
from edge.vrm import normalise

FIXTURES = Path(__file__).resolve().parents[1] / "fixtures" / "dahua"
FIELD = Path(__file__).resolve().parents[2] / ".." / "shared" / "payloads" / "dahua"
ARRIVAL = Arrival(Received(1_782_980_131_000, 20, ClockState.SYNCHRONISED, 1, "boot"), "192.0.2.7", "/")
PULLED = replace(ARRIVAL, way=Way.HTTP_PULL)
MIXED = "multipart/x-mixed-replace; boundary=myboundary"
SERIAL = "8M049B2PAJF0000"
DIALECT = Dahua()


def jpeg(width: int, height: int, shade: int) -> bytes:
    written = io.BytesIO()
    Image.new("RGB", (width, height), (shade, shade // 2, 40)).save(written, "JPEG")
    return written.getvalue()


SCENE, CAR, PLATE = jpeg(320, 240, 90), jpeg(100, 120, 120), jpeg(40, 10, 200)


def fixture(name: str) -> bytes:
    return (FIXTURES / name).read_bytes()


def changed(text: bytes, **members: Any) -> bytes:
    """The event with these members of its JSON instead; None takes one away."""
    head, _, data = text.partition(b"data=")
    value = json.loads(data) | members
    return head + b"data=" + json.dumps({k: v for k, v in value.items() if v is not None}, indent=3).encode()


def streamed(*parts: bytes, crlf: bytes = b"\r\n", length: bool = True, declared: int | None = None) -> Delivery:
    body = b""
    for part in parts:
        kind = b"image/jpeg" if part.startswith(b"\xff\xd8") else b"text/plain"
        body += b"--myboundary" + crlf + b"Content-Type: " + kind + crlf
        body += b"Content-Length: %d" % (len(part) if declared is None else declared) + crlf if length else b""
        body += crlf + part + crlf
    return Delivery(PULLED, MIXED, "", body + b"--myboundary--" + crlf)


def pushed(value: Any, path: str = "/NotificationInfo/TollgateInfo") -> Delivery:
    body = value if isinstance(value, bytes) else json.dumps(value).encode()
    return Delivery(replace(ARRIVAL, path=path), "application/json", "", body)


def tollgate(**members: dict[str, Any]) -> dict[str, Any]:
    """The push, with members of `Picture` changed one by one."""
    text = fixture("tollgate.json").decode()
    for mark, picture in (("@PLATE@", PLATE), ("@SCENE@", SCENE)):
        text = text.replace(mark, base64.b64encode(picture).decode())
    value: dict[str, Any] = json.loads(text)
    for name, inner in members.items():
        value["Picture"][name] |= inner
    return value


def read(delivery: Delivery) -> RawRead:
    assert DIALECT.recognises(delivery)
    (item,) = DIALECT.understand(delivery)
    assert isinstance(item, RawRead)
    assert (item.dialect, item.dialect_version) == ("dahua", 1)
    return item


def refusal(delivery: Delivery) -> str:
    with pytest.raises(Refused) as refused:
        DIALECT.understand(delivery)
    return refused.value.reason


def field(name: str) -> bytes:
    if not FIELD.is_dir():
        pytest.skip("the payloads of real cameras are not beside this repository")
    return (FIELD / name).read_bytes()


def test_every_payload_from_the_field_is_named_here() -> None:
    if not FIELD.is_dir():
        pytest.skip("the payloads of real cameras are not beside this repository")
    assert {f.name for f in FIELD.iterdir()} == {
        "eventmanager_mixed_header_shapes.bin",
        "itc413_direction_fields_both_ways.json",
    }


def test_header_shapes_in_the_field() -> None:
    delivery = Delivery(ARRIVAL, "", "", field("eventmanager_mixed_header_shapes.bin"))
    assert DIALECT.recognises(delivery)
    assert DIALECT.understand(delivery) == (
        SignOfLife(Life.OTHER_EVENT, "VideoMotion", None),
        SignOfLife(Life.OTHER_EVENT, "CrossLineDetection", None),
        SignOfLife(Life.HEARTBEAT, "heartbeat", None),
    )


def test_directions_in_the_field() -> None:
    body = field("itc413_direction_fields_both_ways.json")
    assert DIALECT.recognises(Delivery(ARRIVAL, "", "", body))
    assert refusal(Delivery(ARRIVAL, "", "", body)) == "not_an_object"  # the fields of two events, and no message
    found = []
    for told in json.loads(body):
        car = {"PlateNumber": "TE57 ABC", "Direction": told["Direction"], "DrivingDirection": told["DrivingDirection"]}
        rest = {name: told[name] for name in ("JunctionDirection", "VehicleDirection")}
        found.append(read(streamed(changed(fixture("junction.txt"), TrafficCar=car, **rest))))
    assert [(item.direction, item.heard.direction) for item in found] == [
        (Direction.TOWARD, "Approach"),
        (Direction.AWAY, "Leave"),
    ]


def test_an_event_with_pretty_json() -> None:
    item = read(streamed(fixture("junction.txt")))
    assert item == RawRead(
        dialect="dahua",
        dialect_version=1,
        camera_identity=SERIAL,
        vendor_id="1782980130.305-4711-1-516",
        plate_heard="TE57 ABC",
        confidence=85,
        country="GBR",
        direction=Direction.AWAY,
        lane="2",
        time=datetime(2026, 7, 2, 8, 15, 30, 305_000, UTC),
        time_heard="1782980130.305",
        images=(),
        passage="4711-495272",
        stage=Stage.FIRST,
        heard=item.heard,
    )
    assert (item.heard.confidence, item.heard.direction, item.heard.country) == (None, "Leave", "GBR")
    assert item.heard.plate_box == "2048,4096,512,128/8192"


@pytest.mark.parametrize("crlf", [b"\r\n", b"\n"])
@pytest.mark.parametrize("length", [True, False])
@pytest.mark.parametrize("declared", [None, 9])
def test_header_shapes_and_lengths_that_lie(crlf: bytes, length: bool, declared: int | None) -> None:
    delivery = streamed(fixture("junction.txt"), b"Heartbeat", crlf=crlf, length=length, declared=declared)
    first, second = DIALECT.understand(delivery)
    assert isinstance(first, RawRead)
    assert first.plate_heard == "TE57 ABC"
    assert second == SignOfLife(Life.HEARTBEAT, "heartbeat", None)


def test_a_part_that_comes_bare() -> None:
    headers = b"Content-Type: text/plain\r\nContent-Length: 1\r\n\r\n"
    for body in (fixture("junction.txt"), headers + fixture("junction.txt"), fixture("snap.txt")):
        assert read(Delivery(PULLED, "", "", body)).plate_heard in ("TE57 ABC", "YK19 XYZ")
    beat = Delivery(PULLED, "text/plain", "", b"Heartbeat\r\n")
    assert DIALECT.recognises(beat)
    assert DIALECT.understand(beat) == (SignOfLife(Life.HEARTBEAT, "heartbeat", None),)


def test_utc_is_local_time_and_real_utc_is_utc() -> None:
    old = read(streamed(changed(fixture("junction.txt"), RealUTC=None)))
    assert (old.time, old.time_heard) == (datetime(2026, 7, 2, 9, 15, 30, 305_000), "2026-07-02 09:15:30")
    no_text = read(streamed(changed(fixture("junction.txt"), RealUTC=None, LocaleTime=None)))
    assert (no_text.time, no_text.time_heard) == (datetime(2026, 7, 2, 9, 15, 30, 305_000), "1782983730.305")
    unset = read(streamed(changed(fixture("junction.txt"), RealUTC=0, UTC=0, UTCMS=-1, TrafficCar={})))
    assert unset.time == datetime(2026, 7, 2, 9, 15, 30)
    nothing = changed(fixture("junction.txt"), RealUTC=None, UTC="soon", LocaleTime=None, TrafficCar={})
    assert read(streamed(nothing)).time is None


def test_directions_without_a_driving_direction() -> None:
    for junction, vehicle, expected in (
        ("Obverse", None, Direction.TOWARD),
        ("Reverse", "Head", Direction.AWAY),
        (None, "Tail", Direction.AWAY),
        (None, "Head", Direction.TOWARD),
        ("", None, None),
    ):
        said = changed(
            fixture("junction.txt"),
            JunctionDirection=junction,
            VehicleDirection=vehicle,
            TrafficCar={"PlateNumber": "TE57 ABC", "Direction": 0},
        )
        assert read(streamed(said)).direction is expected


def test_a_vehicle_without_a_plate_is_a_read_of_none() -> None:
    item = read(streamed(fixture("nonmotor.txt")))
    assert (item.plate_heard, item.confidence, item.camera_identity, item.passage) == ("", None, None, None)
    assert (item.direction, item.lane, item.heard.confidence) == (Direction.TOWARD, "1", "0/255")
    assert item.time == datetime(2026, 7, 2, 9, 16, 0, 7_000)
    assert item.heard.plate_box is None


@pytest.mark.parametrize(
    ("confidence", "expected"),
    [(85, (85, None)), (100, (100, None)), (204, (80, "204/255")), (0, (None, "0/255")), ("-", (None, None))],
)
def test_confidence_of_either_scale(confidence: Any, expected: tuple[int | None, str | None]) -> None:
    item = read(streamed(changed(fixture("junction.txt"), Object={"Confidence": confidence, "ObjectType": "Plate"})))
    assert (item.confidence, item.heard.confidence) == expected


@pytest.mark.parametrize("unread", ["", "Unknown", "unlicensed", "--"])
def test_unread_plates_are_kept_as_heard(unread: str) -> None:
    item = read(streamed(changed(fixture("junction.txt"), TrafficCar={"PlateNumber": unread}, Object={})))
    assert item.plate_heard == unread
    assert normalise(item.plate_heard) is None


def test_plates_in_other_alphabets_and_encodings() -> None:
    def plate(text: str) -> bytes:
        told = changed(fixture("junction.txt"), TrafficCar={"PlateNumber": text}, Object={})
        return told.replace(json.dumps(text)[1:-1].encode(), text.encode())

    lookalike = "ТЕ57 АВС"  # Cyrillic: left as it was heard
    assert read(streamed(plate(lookalike))).plate_heard == lookalike
    chinese = plate("皖A12345").decode().encode("gb2312")
    assert read(streamed(chinese)).plate_heard == "皖A12345"
    lines = fixture("snap.txt").decode().replace("YK19 XYZ", "皖A12345").encode("gb2312")
    assert read(streamed(lines, SCENE)).plate_heard == "皖A12345"
    for encoding in ("utf-8", "gb2312"):
        assert read(streamed(plate("皖A12345".encode(encoding).hex().upper()))).plate_heard == "皖A12345"
    for kept in ("AB12CD", "DEADBEEF01", "FFFFFFFFFFFF"):
        assert read(streamed(plate(kept))).plate_heard == kept


def test_a_picture_stream() -> None:
    item = read(streamed(fixture("snap.txt"), SCENE, CAR, PLATE))
    box = ScaledBox(3848, 6128, 432, 160, 8192)
    assert item.images == (RawImage(Role.PLATE_PATCH, PLATE), RawImage(Role.OVERVIEW, SCENE, box))
    assert (item.plate_heard, item.confidence, item.heard.confidence) == ("YK19 XYZ", 80, "204/255")
    assert (item.direction, item.lane) == (Direction.AWAY, "1")
    assert (item.vendor_id, item.passage, item.stage) == ("1782983731.42-123-3-5864", "123-495273", Stage.LAST)
    assert item.time == datetime(2026, 7, 2, 9, 15, 31, 42_000)


def test_a_crop_of_a_vehicle_is_no_plate() -> None:
    assert read(streamed(fixture("snap.txt"), CAR, SCENE)).images[0].data == SCENE
    assert len(read(streamed(fixture("snap.txt"), SCENE, CAR)).images) == 1
    assert len(read(streamed(fixture("snap.txt"), SCENE, SCENE)).images) == 1
    assert read(streamed(fixture("snap.txt"), b"\xff\xd8\xff\xe0 no more of it")).images == ()


def test_pictures_belong_to_the_text_before_them() -> None:
    second = fixture("snap.txt").replace(b"YK19 XYZ", b"TE57 ABC")
    items = DIALECT.understand(streamed(fixture("snap.txt"), SCENE, b"Heartbeat", second, CAR))
    assert [(i.plate_heard, i.images[0].data) for i in items if isinstance(i, RawRead)] == [
        ("YK19 XYZ", SCENE),
        ("TE57 ABC", CAR),
    ]
    assert refusal(streamed(SCENE, fixture("snap.txt"))) == "no_document"


def test_a_picture_stream_that_is_cut_off_is_refused() -> None:
    whole = streamed(fixture("snap.txt"), SCENE)
    cut = replace(whole, body=whole.body[:-40])
    assert refusal(cut) == "truncated"
    text = streamed(fixture("junction.txt"))
    assert read(replace(text, body=text.body.removesuffix(b"--myboundary--\r\n"))).plate_heard == "TE57 ABC"
    assert refusal(replace(text, body=text.body[:600])) == "json_malformed"


def test_messages_of_one_group_are_one_passage_and_a_repeat_is_the_same() -> None:
    group = [
        read(streamed(changed(fixture("junction.txt"), CountInGroup=3, IndexInGroup=n, UTCMS=300 + n)))
        for n in (1, 2, 3, 3)
    ]
    assert {item.passage for item in group} == {"4711-495272"}
    assert [item.stage for item in group] == [Stage.FIRST, Stage.UPDATE, Stage.LAST, Stage.LAST]
    assert len({item.vendor_id for item in group}) == 3


def test_other_events_and_the_end_of_one() -> None:
    for code, action, data in (
        ("VideoMotion", "Start", '{ "Id" : [ 0 ], "RegionName" : [ "Region1" ] }'),
        ("TrafficFlowStat", "Start", '{ "FlowStates" : [ { "Lane" : 0, "Flow" : 50 } ] }'),
        ("TrafficJunction", "Stop", '{ "TrafficCar" : { "PlateNumber" : "TE57 ABC" } }'),
        ("NewFile", "Pulse", '{ "File" : "/mnt/a;b.jpg" }'),
    ):
        body = f"Code={code};action={action};index=0;data={data}".encode()
        assert DIALECT.understand(streamed(body)) == (SignOfLife(Life.OTHER_EVENT, code, None),)
    speeding = (
        b'Code=TrafficOverSpeed;action=Pulse;index=0;data={"TrafficCar":{"PlateNumber":"TE57 ABC"},"UTC":1782983730}'
    )
    assert read(streamed(speeding)).plate_heard == "TE57 ABC"


def test_a_replay_of_states_in_one_part() -> None:
    body = b"Code=VideoMotion;action=Start;index=0\r\nCode=AlarmLocal;action=Start;index=1;data={}\r\n"
    items = DIALECT.understand(streamed(body))
    assert [item.what for item in items if isinstance(item, SignOfLife)] == ["VideoMotion", "AlarmLocal"]


def test_an_event_without_any_plate_member_is_refused() -> None:
    assert refusal(streamed(b"Code=TrafficJunction;action=Pulse;index=0")) == "no_plate"
    assert refusal(streamed(b'Code=TrafficJunction;action=Pulse;index=0;data={"Lane":1}')) == "no_plate"


def test_a_push() -> None:
    item = read(pushed(tollgate()))
    assert item.images == (RawImage(Role.PLATE_PATCH, PLATE), RawImage(Role.OVERVIEW, SCENE, Box(120, 140, 80, 20)))
    assert (item.plate_heard, item.confidence, item.country) == ("TE57 ABC", 93, "GBR")
    assert (item.camera_identity, item.lane, item.direction) == (SERIAL, "2", Direction.TOWARD)
    assert (item.time, item.time_heard) == (datetime(2026, 7, 2, 9, 15, 30, 305_000), "2026-07-02 09:15:30.305")
    assert item.vendor_id == "20260702091530305000-0-2-Xk29dJw0qLm7Tz1c"
    assert item.heard.direction == "Obverse"
    assert (item.passage, item.stage) == (None, None)


def test_pushes_of_other_shapes() -> None:
    beside = tollgate()
    beside["SnapInfo"] = beside["Picture"].pop("SnapInfo") | {"AccurateTime": "2026-07-02 09:15:30:305"}
    item = read(pushed(beside))
    assert (item.camera_identity, item.time) == (SERIAL, datetime(2026, 7, 2, 9, 15, 30, 305_000))
    seconds = read(pushed(tollgate(SnapInfo={"AccurateTime": ""})))
    assert (seconds.time, seconds.time_heard) == (datetime(2026, 7, 2, 9, 15, 30), "2026-07-02 09:15:30")
    none = tollgate(Plate={"IsExist": False})
    del none["Picture"]["Plate"]["PlateNumber"]
    assert read(pushed(none)).plate_heard == ""
    del none["Picture"]["Plate"]["IsExist"]
    assert refusal(pushed(none)) == "no_plate"
    uploaded = tollgate(Plate={"UploadNum": 9})
    assert read(pushed(uploaded)).vendor_id == read(pushed(tollgate())).vendor_id
    named = tollgate(SnapInfo={"DefenceCode": "TE57ABC"})
    assert read(pushed(named)).vendor_id is None


def test_pictures_of_a_push() -> None:
    outside = read(pushed(tollgate(Plate={"BoundingBox": [3848, 6128, 4280, 6288]})))
    assert outside.images[1].plate_box is None
    car = base64.b64encode(CAR).decode()
    vehicle = read(pushed(tollgate(NormalPic={"Content": ""}, VehiclePic={"Content": car})))
    assert vehicle.images[1] == RawImage(Role.OVERVIEW, CAR)
    assert refusal(pushed(tollgate(CutoutPic={"Content": "not/base64!"}))) == "bad_base64"
    text = base64.b64encode(b"no picture").decode()
    assert [i.role for i in read(pushed(tollgate(CutoutPic={"Content": text}))).images] == [Role.OVERVIEW]


def test_what_else_a_camera_pushes() -> None:
    for path, value, life in (
        ("KeepAlive", {"Active": "keepAlive", "DeviceID": SERIAL}, SignOfLife(Life.HEARTBEAT, "keepAlive", SERIAL)),
        (
            "DeviceInfo",
            {"DeviceName": "ITC", "DeviceModel": "ITC413", "Manufacturer": "-", "DeviceID": SERIAL},
            SignOfLife(Life.OTHER_EVENT, "DeviceInfo", SERIAL),
        ),
        (
            "AlarmInfo",
            {"AlarmInfo": {"Type": 1}, "DeviceID": SERIAL},
            SignOfLife(Life.OTHER_EVENT, "AlarmInfo", SERIAL),
        ),
        ("ParkingInfo", {"Picture": {}, "ParkingInfo": {}}, SignOfLife(Life.OTHER_EVENT, "ParkingInfo", None)),
    ):
        delivery = pushed(value, f"/NotificationInfo/{path}")
        assert DIALECT.recognises(delivery)
        assert DIALECT.understand(delivery) == (life,)
    assert DIALECT.recognises(pushed({"Active": "keepAlive", "DeviceID": SERIAL}, "/"))
    assert DIALECT.understand(pushed(b"")) == (SignOfLife(Life.HEARTBEAT, "empty", None),)
    assert refusal(pushed({"hello": 1})) == "not_dahua"


def test_events_as_rpc_tells_them() -> None:
    data = json.loads(fixture("junction.txt").partition(b"data=")[2])
    listed = [{"Action": "Pulse", "Code": "TrafficJunction", "Data": data}, {"Action": "Start", "Code": "VideoMotion"}]
    value = {"id": 3143, "method": "client.notifyEventStream", "params": {"SID": 513, "eventList": listed}}
    delivery = pushed(value, "/")
    assert DIALECT.recognises(delivery)
    first, second = DIALECT.understand(delivery)
    assert first == read(streamed(fixture("junction.txt")))
    assert second == SignOfLife(Life.OTHER_EVENT, "VideoMotion", None)
    assert refusal(pushed(value | {"params": []}, "/")) == "no_document"


def test_a_plate_that_came_as_a_file() -> None:
    dropped = replace(ARRIVAL, way=Way.FTP_DROP)
    item = read(Delivery(dropped, "", "", PLATE, name="/anpr/2026-07-02/TE-57 ABC-20260702091530-plate.jpg"))
    assert (item.plate_heard, item.time) == ("TE-57 ABC", datetime(2026, 7, 2, 9, 15, 30))
    assert item.images == (RawImage(Role.PLATE_PATCH, PLATE),)
    assert not DIALECT.recognises(Delivery(dropped, "", "", PLATE, name="/anpr/snapshot.jpg"))


def test_what_is_not_dahuas() -> None:
    for body in (
        b"",
        b"{}",
        b'{"plate": "AB12CDE"}',
        b"<config/>",
        PLATE,
        b"--myboundary\nContent-Type: text/plain\nCamTime:2018-04-10 14:24:08\n\nMotionDetect=0\nLPR0=AB12CDE\n",
    ):
        assert not DIALECT.recognises(Delivery(ARRIVAL, "", "", body))
    assert refusal(Delivery(ARRIVAL, "", "", b"GET / HTTP/1.1")) == "not_dahua"


def test_the_size_of_a_picture_is_what_pillow_says() -> None:
    for width, height in ((320, 240), (1, 1), (40, 10)):
        for kind, options in (("JPEG", {}), ("JPEG", {"progressive": True}), ("PNG", {})):
            written = io.BytesIO()
            Image.new("RGB", (width, height)).save(written, kind, **options)
            assert pixels(written.getvalue()) == (width, height)
    assert pixels(SCENE[:20]) is None
    assert pixels(b"\xff\xd8\xff" + b"\xff" * 100_000) is None


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
    answer = DIALECT.answer(verdict, pushed(tollgate()))
    assert (answer.status, answer.verdict) == (status, verdict)
    assert json.loads(answer.body) == {"Result": status == 200, "DeviceID": SERIAL}
    assert json.loads(DIALECT.answer(verdict, pushed(b"")).body)["DeviceID"] == ""
    assert DIALECT.answer(verdict, streamed(b"Heartbeat")).body == b""


def test_a_keep_alive_hears_that_it_is_active() -> None:
    beat = pushed({"Active": "keepAlive", "DeviceID": SERIAL}, "/NotificationInfo/KeepAlive")
    answer = DIALECT.answer(Verdict(Outcome.HEARD), beat)
    assert json.loads(answer.body) == {"Active": True, "Result": True, "DeviceID": SERIAL}


def test_no_repr_shows_a_plate() -> None:
    shown = repr(read(pushed(tollgate()))) + repr(read(streamed(fixture("snap.txt"), SCENE)))
    shown += repr(events(fixture("junction.txt")))
    for secret in ("TE57", "YK19", SERIAL, "JFIF"):
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
                data[at:at] = dice.choice(
                    [b"\r\n--myboundary\r\n", b"\x00", b"9" * 5000, b'{"', b"[" * 50, b"\xff\xfe"]
                )
            case 4:
                del data[at:]
    return bytes(data)


@pytest.mark.parametrize(
    "whole",
    [
        streamed(fixture("junction.txt")),
        streamed(fixture("nonmotor.txt"), b"Heartbeat"),
        streamed(fixture("snap.txt"), SCENE, PLATE),
        pushed(tollgate()),
        Delivery(PULLED, "", "", fixture("snap.txt")),
    ],
    ids=["junction", "nonmotor", "snap", "push", "bare"],
)
def test_damaged_payloads_are_read_or_refused(whole: Delivery) -> None:
    seed = 20260702
    print(f"seed {seed}")
    dice = random.Random(seed)
    outcomes = {"read": 0, "refused": 0}
    begun = time.monotonic()
    for _ in range(2000):
        declared = dice.choice([whole.content_type, ""])
        damaged = replace(whole, body=mutated(whole.body, dice), content_type=declared)
        DIALECT.recognises(damaged)
        DIALECT.answer(Verdict(Outcome.STORED), damaged)
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
        b" " * 1_000_000,
        b"\n" * 1_000_000,
        b"Code=" * 50_000,
        b"Code=;\n" * 30_000,
        b"Events[0]." * 25_000,
        b"Events[0].a=b\n" * 18_000,
        b"Code=a;action=b;index=0;data=" + b"; " * 100_000,
        b'{"Picture":{"' + b"k" * 1_000_000 + b'":[' + b"1," * 100_000 + b"1]}}",
        b'{"Picture":{"a":' * 30 + b"[" + b"1," * 90_000 + b"1]" + b"}}" * 30,
        b'"DeviceID"' * 100_000,
        b"--a\r\n" * 100_000,
    ],
    ids=range(11),
)
def test_hostile_bodies_take_little_time(body: bytes) -> None:
    begun = time.monotonic()
    delivery = Delivery(ARRIVAL, "", "", body)
    DIALECT.recognises(delivery)
    DIALECT.answer(Verdict(Outcome.STORED), delivery)
    try:
        items = DIALECT.understand(delivery)
    except Refused:
        items = ()
    assert not any(isinstance(item, RawRead) for item in items)
    assert time.monotonic() - begun < 2
