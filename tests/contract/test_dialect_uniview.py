"""Uniview's LAPI notifications: vehicles, other alarms, the answer with its path, and damage."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from capture.delivery import Delivery
from capture.dialects.uniview import Uniview
from edge.claim import Heard, Life, RawImage, RawRead, Role, SignOfLife, Verdict
from tests.fixtures.trials import (
    VERDICTS,
    claims,
    life,
    picture,
    read,
    reason,
    sent,
    survives,
    text,
)

DIALECT = Uniview()
PATH = "/LAPI/V1.0/System/Event/Notification/17"
LARGE, SMALL = picture(128, 72), picture(60, 40)
VEHICLE = {
    "VehicleID": 5,
    "LargePicAttachIndex": 1,
    "SmallPicAttachIndex": 2,
    "PlateAttributeInfo": {"PlateNo": "TE57ABC"},
}


def posted(*vehicles: Any, **changed: Any) -> Delivery:
    said = {
        "AlarmType": "VehicleDetect",
        "TimeStamp": 1772439330,
        "RelatedID": "r-77",
        "StructureInfo": {
            "ObjInfo": {"VehicleNum": len(vehicles), "VehicleInfoList": list(vehicles)},
            "ImageInfoList": [
                {"Index": 1, "Type": 1, "Data": text(LARGE)},
                {"Index": 2, "Type": 2, "Data": text(SMALL)},
            ],
        },
    }
    return sent(json.dumps(said | changed).encode(), content_type="text/plain", path=PATH)


def test_a_vehicle() -> None:
    assert read(DIALECT, posted(VEHICLE)) == RawRead(
        dialect="uniview",
        dialect_version=1,
        camera_identity=None,
        vendor_id="r-77-5-1772439330",
        plate_heard="TE57ABC",
        confidence=None,
        country=None,
        direction=None,
        lane=None,
        time=datetime(2026, 3, 2, 8, 15, 30, tzinfo=UTC),
        time_heard="1772439330",
        images=(RawImage(Role.OVERVIEW, LARGE),),
        heard=Heard(),
    )


def test_each_vehicle_is_a_read_and_one_without_a_plate_is_unread() -> None:
    items = DIALECT.understand(posted(VEHICLE, {"VehicleID": 6, "SmallPicAttachIndex": 2}))
    assert [(i.plate_heard, i.vendor_id) for i in items if isinstance(i, RawRead)] == [
        ("TE57ABC", "r-77-5-1772439330"),
        ("", "r-77-6-1772439330"),
    ]
    second = items[1]
    assert isinstance(second, RawRead)
    assert [image.data for image in second.images] == [SMALL]


def test_without_its_numbers_it_has_no_identity_and_no_picture() -> None:
    item = read(DIALECT, posted({"PlateAttributeInfo": {"PlateNo": "Unknown"}}, TimeStamp="soon", RelatedID=None))
    assert (item.plate_heard, item.vendor_id, item.time, item.images) == ("Unknown", None, None, ())


def test_other_alarms_are_answered_as_signs_of_life() -> None:
    alarm = sent(b'{"AlarmInfo": {"AlarmType": "MotionDetectOn"}}', path=PATH)
    assert life(DIALECT, alarm) == SignOfLife(Life.OTHER_EVENT, "MotionDetectOn", None)
    assert life(DIALECT, sent(b"{}", path=PATH + "/KeepAlive")) == SignOfLife(Life.OTHER_EVENT, "KeepAlive", None)
    assert life(DIALECT, posted()) == SignOfLife(Life.OTHER_EVENT, "VehicleDetect", None)


def test_what_is_refused() -> None:
    assert reason(DIALECT, posted(VEHICLE | {"PlateAttributeInfo": {"PlateNo": {}}})) == "bad_member"
    assert reason(DIALECT, posted(*[VEHICLE] * 17)) == "too_large"
    assert reason(DIALECT, sent(b"[]")) == "not_an_object"
    assert reason(DIALECT, sent(b"")) == "json_malformed"
    broken = posted(VEHICLE).body.replace(text(LARGE).encode(), b"/9j/4")
    assert reason(DIALECT, sent(broken)) == "bad_base64"


def test_it_takes_no_other_vendors_payload() -> None:
    assert claims(DIALECT) == set()


@pytest.mark.parametrize(("verdict", "status"), VERDICTS)
def test_every_verdict_has_its_answer(verdict: Verdict, status: int) -> None:
    answer = DIALECT.answer(verdict, posted(VEHICLE))
    assert answer.status == status
    assert json.loads(answer.body) == {"ResponseCode": 0 if status == 200 else 1, "ResponseURL": PATH}


def test_damaged_deliveries_are_understood_or_refused() -> None:
    survives(DIALECT, [posted(VEHICLE, VEHICLE), sent(b'{"AlarmInfo": {"AlarmType": "MotionDetectOn"}}', path=PATH)])
