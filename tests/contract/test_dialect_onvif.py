"""ONVIF Profile M: the specification's examples, and ours for MQTT, notifications, metadata frames and their quirks."""

from __future__ import annotations

import base64
import json
import time
from datetime import UTC, datetime
from typing import Any

import pytest

from capture.dialects.onvif import Onvif
from edge.claim import Heard, Life, RawImage, RawRead, Role, ScaledBox, SignOfLife, Stage, Way
from edge.vrm import normalise
from tests.fixtures.onvif.trials import answered, damaged, delivery, from_the_field, jpeg, life, read, reason

ONVIF = Onvif()
PATCH, SCENE, VEHICLE = jpeg(120, 40), jpeg(320, 180), jpeg(160, 120)
TOPIC = "E4:30:22:00:00:AA/onvif-ej/RuleEngine/Recognition/LicensePlate/&1/LPR_1"
INFO = {
    "PlateNumber": {"@Likelihood": 0.92, "#text": "TE57 ABC"},
    "PlateType": {"#text": "Normal"},
    "CountryCode": {"@Likelihood": "0.7", "#text": "GB"},
}
DATA: dict[str, Any] = {
    "Likelihood": "0.8",
    "ObjectId": "15",
    "BoundingBox": {"@left": "-0.5", "@top": "0.5", "@right": 0, "@bottom": "0.25"},
    "Image": base64.b64encode(PATCH).decode(),
    "VehicleImage": base64.b64encode(VEHICLE).decode(),
    "LicensePlateInfo": {"LicensePlateInfo": INFO},
    "Speed": 8.3,
    "Direction": "Approaching",
}
EVENT = {"UtcTime": "2026-03-02T08:15:30.250Z", "Source": {"VideoSource": "1", "Rule": "LPR_1"}, "Data": DATA}
NOTICE = """<?xml version="1.0" encoding="UTF-8"?>
<s:Envelope xmlns:s="http://www.w3.org/2003/05/soap-envelope" xmlns:wsnt="http://docs.oasis-open.org/wsn/b-2"
 xmlns:tns1="http://www.onvif.org/ver10/topics" xmlns:tt="http://www.onvif.org/ver10/schema"><s:Body><wsnt:Notify>
<wsnt:NotificationMessage><wsnt:Topic>tns1:RuleEngine/Recognition/%(topic)s</wsnt:Topic><wsnt:Message>
<tt:Message UtcTime="2026-03-02T08:15:30.250Z" PropertyOperation="%(operation)s">
<tt:Source><tt:SimpleItem Name="VideoSource" Value="1"/><tt:SimpleItem Name="Rule" Value="LPR_1"/></tt:Source>
<tt:Data><tt:SimpleItem Name="Likelihood" Value="0.8"/>
<tt:ElementItem Name="ObjectId"><tt:ObjectId>15</tt:ObjectId></tt:ElementItem>
<tt:ElementItem Name="BoundingBox">
<tt:BoundingBox left="-0.5" top="0.5" right="0" bottom="0.25"/></tt:ElementItem>
<tt:ElementItem Name="LicensePlateInfo"><tt:LicensePlateInfo>
<tt:PlateNumber Likelihood="0.92">TE57 ABC</tt:PlateNumber><tt:CountryCode>GB</tt:CountryCode>
</tt:LicensePlateInfo></tt:ElementItem>
<tt:ElementItem Name="Image"><tt:Image>%(image)s</tt:Image></tt:ElementItem></tt:Data>
</tt:Message></wsnt:Message></wsnt:NotificationMessage></wsnt:Notify></s:Body></s:Envelope>"""
OBJECT = """<tt:Object ObjectId="%(id)s"><tt:Appearance>
<tt:Shape><tt:BoundingBox left="%(left)s" top="0.5" right="0" bottom="0.25"/></tt:Shape>
<tt:Class><tt:Type Likelihood="0.9">%(kind)s</tt:Type></tt:Class>
<tt:VehicleInfo><tt:Type>Car</tt:Type></tt:VehicleInfo>
<tt:LicensePlateInfo><tt:PlateNumber Likelihood="%(likelihood)s">%(plate)s</tt:PlateNumber></tt:LicensePlateInfo>
<tt:Image>%(image)s</tt:Image></tt:Appearance></tt:Object>"""


def event(**changes: Any) -> bytes:
    return json.dumps({**EVENT, "Data": {**DATA, **changes}}).encode()


def notice(topic: str = "LicensePlate", operation: str = "Changed") -> bytes:
    return (NOTICE % {"topic": topic, "operation": operation, "image": base64.b64encode(PATCH).decode()}).encode()


def thing(**changes: str) -> str:
    told = {"id": "7", "left": "-0.5", "kind": "LicensePlate", "likelihood": "0.9", "plate": "TE57 ABC"}
    return OBJECT % {**told, "image": base64.b64encode(PATCH).decode(), **changes}


def frame(*objects: str, inside: str = "", time: str = "2026-03-02T08:15:30.250Z") -> str:
    return f'<tt:Frame UtcTime="{time}">{inside}{"".join(objects)}</tt:Frame>'


def stream(*frames: str) -> bytes:
    inner = f"<tt:VideoAnalytics>{''.join(frames)}</tt:VideoAnalytics>"
    return f'<tt:MetadataStream xmlns:tt="http://www.onvif.org/ver10/schema">{inner}</tt:MetadataStream>'.encode()


def test_the_examples_of_the_specification() -> None:
    files = from_the_field("onvif")
    assert set(files) == {"metadata_LicensePlateInfo.xml", "mqtt_event_1.json", "rule_LicensePlateRecognition.xml"}
    assert all(ONVIF.recognises(delivery(body)) for body in files.values())
    assert read(ONVIF, delivery(files["metadata_LicensePlateInfo.xml"])) == RawRead(
        dialect="onvif",
        dialect_version=1,
        camera_identity=None,
        vendor_id="12-2010-10-20T12:24:57.321",
        plate_heard="6DZG261",
        confidence=90,
        country="USA",
        direction=None,
        lane=None,
        time=datetime(2010, 10, 20, 12, 24, 57, 321_000, UTC),  # it lacks the Z
        time_heard="2010-10-20T12:24:57.321",
        images=(),
        passage="12@2010-10-20T12",
        stage=Stage.UPDATE,
        heard=Heard(confidence="0.9/1", country="US"),
    )
    fence = life(ONVIF, delivery(files["mqtt_event_1.json"]))
    assert fence == SignOfLife(Life.OTHER_EVENT, "event", None)
    # The description of a rule is what a camera can be told, not what it tells.
    assert reason(ONVIF, delivery(files["rule_LicensePlateRecognition.xml"])) == "not_an_event"


def test_an_mqtt_event_field_by_field() -> None:
    parcel = delivery(event(), name=TOPIC, way=Way.MQTT_EVENTS)
    assert ONVIF.recognises(parcel)
    assert read(ONVIF, parcel) == RawRead(
        dialect="onvif",
        dialect_version=1,
        camera_identity="E4:30:22:00:00:AA",
        vendor_id="LPR_1-15-2026-03-02T08:15:30.250Z",
        plate_heard="TE57 ABC",
        confidence=92,
        country="GBR",
        direction=None,
        lane=None,
        time=datetime(2026, 3, 2, 8, 15, 30, 250_000, UTC),
        time_heard="2026-03-02T08:15:30.250Z",
        images=(RawImage(Role.PLATE_PATCH, PATCH), RawImage(Role.OVERVIEW, VEHICLE)),
        passage="LPR_1-15@2026-03-02T08",
        stage=Stage.UPDATE,
        heard=Heard("0.92/1", "Approaching", "GB", "0.2500,0.2500,0.2500,0.1250/1"),
    )


@pytest.mark.parametrize(
    "info",
    [
        INFO,
        {"LicensePlateInfo": INFO},
        {"PlateNumber": "TE57 ABC", "CountryCode": "GB", "Likelihood": 1},
        {"PlateNumber": {"Likelihood": "0.92", "Value": "TE57 ABC"}},
    ],
)
def test_every_form_of_the_plate_in_json(info: Any) -> None:
    said = read(ONVIF, delivery(event(LicensePlateInfo=info), name=TOPIC))
    assert said.plate_heard == "TE57 ABC"
    assert said.confidence in (92, 80)


def test_items_as_lists_and_with_numbers_as_texts() -> None:
    listed = {
        "SimpleItem": [{"Name": "Likelihood", "Value": "0.8"}, {"Name": "ObjectId", "Value": 15}],
        "ElementItem": [{"Name": "LicensePlateInfo", "LicensePlateInfo": INFO}],
    }
    source = {"SimpleItem": {"Name": "Rule", "Value": "LPR_1"}}
    body = json.dumps({**EVENT, "Source": source, "Data": listed}).encode()
    said = read(ONVIF, delivery(body, name=TOPIC))
    assert (said.plate_heard, said.passage) == ("TE57 ABC", "LPR_1-15@2026-03-02T08")


def test_retained_and_deleted_states_are_no_reads() -> None:
    assert life(ONVIF, delivery(event(), name=TOPIC, replayed=True)).what == "retained"
    assert life(ONVIF, delivery(b"", name=TOPIC)) == SignOfLife(Life.OTHER_EVENT, "Deleted", "E4:30:22:00:00:AA")
    for operation in ("Initialized", "Deleted"):
        assert life(ONVIF, delivery(notice(operation=operation))).what == operation


def test_other_topics_are_other_events() -> None:
    for topic, what in (
        ("cam/onvif-ej/RuleEngine/CountAggregation/Counter/&1/Counter_1", "Counter"),
        ("cam/onvif-ej/Device/tns1:Trigger/tns1:Relay/&Relay-1", "Relay"),
        ("cam/onvif-ej/RuleEngine/Recognition/Face/&1", "Face"),
    ):
        body = json.dumps({**EVENT, "Data": {"Count": 4}}).encode()
        assert life(ONVIF, delivery(body, name=topic, way=Way.MQTT_EVENTS)) == SignOfLife(Life.OTHER_EVENT, what, None)


def test_a_plate_event_without_a_plate_is_refused_and_an_empty_plate_is_unread() -> None:
    assert reason(ONVIF, delivery(event(LicensePlateInfo={"PlateType": "Normal"}), name=TOPIC)) == "no_plate"
    unread = read(ONVIF, delivery(event(LicensePlateInfo={"PlateNumber": ""}, Likelihood="0"), name=TOPIC))
    assert (unread.plate_heard, normalise(unread.plate_heard), unread.confidence) == ("", None, None)


@pytest.mark.parametrize("text", ["nan", "-", "", "1.5", "-0.1", "1e999", "٠", True, None, []])
def test_a_likelihood_that_is_none(text: Any) -> None:
    info = {"PlateNumber": {"@Likelihood": text, "#text": "TE57 ABC"}}
    said = read(ONVIF, delivery(event(LicensePlateInfo=info, Likelihood="x"), name=TOPIC))
    assert said.confidence is None


def test_a_notification_in_soap() -> None:
    said = read(ONVIF, delivery(notice()))
    assert ONVIF.recognises(delivery(notice()))
    assert (said.plate_heard, said.country, said.confidence) == ("TE57 ABC", "GBR", 92)
    assert (said.vendor_id, said.passage) == ("LPR_1-15-2026-03-02T08:15:30.250Z", "LPR_1-15@2026-03-02T08")
    assert said.images == (RawImage(Role.PLATE_PATCH, PATCH),)
    assert said.heard.plate_box == "0.2500,0.2500,0.2500,0.1250/1"
    plateless = notice(topic="Face").replace(b"LicensePlateInfo", b"HumanFace")
    assert life(ONVIF, delivery(plateless)).what == "Face"


def test_a_box_lies_in_the_scene_and_in_no_other_picture() -> None:
    scene = f"<tt:SceneImage>{base64.b64encode(SCENE).decode()}</tt:SceneImage>"
    patch, overview = read(ONVIF, delivery(stream(frame(thing(), inside=scene)))).images
    assert (patch.role, patch.plate_box) == (Role.PLATE_PATCH, None)
    assert (overview.data, overview.plate_box) == (SCENE, ScaledBox(0.25, 0.25, 0.25, 0.125, 1.0))
    assert isinstance(overview.plate_box, ScaledBox)
    assert overview.plate_box.in_px(320, 180).top_px == 45
    vehicle = read(ONVIF, delivery(stream(frame(thing(kind="Vehicle"), inside=scene))))
    assert vehicle.images == (RawImage(Role.OVERVIEW, SCENE),)
    assert vehicle.heard.plate_box is None  # it is the vehicle's
    alone = read(ONVIF, delivery(stream(frame(thing(kind="Vehicle")))))
    assert alone.images == (RawImage(Role.OVERVIEW, PATCH),)


def test_a_frames_own_units() -> None:
    grid = '<tt:Transformation><tt:Translate x="-1.0" y="1.0"/><tt:Scale x="0.002" y="-0.004"/></tt:Transformation>'
    told = thing().replace(
        'left="-0.5" top="0.5" right="0" bottom="0.25"', 'left="250" top="125" right="500" bottom="250"'
    )
    said = read(ONVIF, delivery(stream(frame(told, inside=grid))))
    assert said.heard.plate_box == "0.2500,0.2500,0.2500,0.2500/1"
    for left in ("-3", "nan", "0", "", "x"):
        assert read(ONVIF, delivery(stream(frame(thing(left=left))))).heard.plate_box is None


def test_the_likeliest_of_several_frames_counts() -> None:
    frames = [
        frame(thing(likelihood="0.6", plate="TE57 A8C")),
        frame(thing(), thing(id="8", plate="AB12 CDE"), time="2026-03-02T08:15:30.350Z"),
        frame(thing(likelihood="0.7", plate="TE57")),
    ]
    items = ONVIF.understand(delivery(stream(*frames)))
    assert [i.plate_heard for i in items if isinstance(i, RawRead)] == ["TE57 ABC", "AB12 CDE"]
    assert items[0].passage == "7@2026-03-02T08"  # type: ignore[union-attr]
    plenty = stream(frame(*(thing(id=str(n), image="") for n in range(65))))
    assert reason(ONVIF, delivery(plenty)) == "too_many"


def test_frames_without_plates_are_a_sign_of_life() -> None:
    assert life(ONVIF, delivery(stream(frame()))) == SignOfLife(Life.OTHER_EVENT, "frame", None)


def test_no_identity_holds_the_plate() -> None:
    said = read(ONVIF, delivery(stream(frame(thing(id="TE57ABC")))))
    assert (said.vendor_id, said.passage) == (None, None)


def test_a_text_of_megabytes_is_no_plate_and_takes_no_time() -> None:
    began = time.perf_counter()
    hostile = delivery(event(LicensePlateInfo={"PlateNumber": "A" * 6_000_000}), name=TOPIC)
    assert reason(ONVIF, hostile) == "vrm_too_long"
    assert time.perf_counter() - began < 2
    assert reason(ONVIF, delivery(event(LicensePlateInfo={"PlateNumber": "A" * 257}), name=TOPIC)) == "vrm_too_long"


def test_what_it_does_not_know_it_refuses_and_axis_events_are_not_claimed() -> None:
    assert reason(ONVIF, delivery(b"")) == "not_onvif"
    assert reason(ONVIF, delivery(b"<a/>")) == "not_onvif"
    assert reason(ONVIF, delivery(b"<tt:Frame")) == "xml_malformed"
    assert reason(ONVIF, delivery(b'<!DOCTYPE a [<!ENTITY b "c">]><tt:Frame/>')) in ("xml_malformed", "xml_forbidden")
    assert reason(ONVIF, delivery(b"[1]", name=TOPIC)) == "not_onvif"
    assert not ONVIF.recognises(delivery(notice().replace(b"tns1:RuleEngine", b"tnsaxis:CameraApplicationPlatform")))
    assert not ONVIF.recognises(delivery(b'{"UtcTime": 1}'))


def test_every_verdict_has_its_answer() -> None:
    answered(ONVIF)


def test_damaged_messages_are_read_or_refused() -> None:
    small = {"Image": "", "VehicleImage": ""}
    damaged(
        Onvif,
        [
            delivery(event(), name=TOPIC, way=Way.MQTT_EVENTS),
            delivery(event(**small)),
            delivery(notice()),
            delivery(stream(frame(thing(image=""), thing(id="8", image="")))),
            delivery(stream(frame(thing())).replace(b' xmlns:tt="http://www.onvif.org/ver10/schema"', b"")),
        ],
    )
