"""Rekor: its captures field by field, every kind of message an agent posts, damage, and answers."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from capture.dialects.rekor import Rekor
from edge.claim import Heard, Life, Role, ScaledBox, SignOfLife, Stage, Verdict
from tests.fixtures.trials import (
    VERDICTS,
    claims,
    life,
    payload,
    picture,
    read,
    reason,
    sent,
    survives,
    text,
)

DIALECT = Rekor()
AGENT = "TESTTESTTESTTESTTESTTESTTESTTESTTESTTEST"
UUID = "63PHH1MHEXF9U245NFI66RGPUXTQEREKAJI7K44Y-177622-1627675927855"
OURS = "AGENT0000000000000000000000000000000TEST-1000-1772439330250"


def group(**changed: Any) -> dict[str, Any]:
    """A group as an agent of version 2 posts it, with invented values."""
    said: dict[str, Any] = {
        "data_type": "alpr_group",
        "version": 2,
        "epoch_start": 1772439330000,
        "epoch_end": 1772439334000,
        "agent_uid": "AGENT-A",
        "company_id": "0f0e0d0c-0000-4000-8000-000000000000",
        "camera_id": 1000,
        "country": "gb",
        "best_plate": {
            "plate": "TE57ABC",
            "confidence": 91.4,
            "region": "gb",
            "coordinates": [{"x": 100, "y": 60}, {"x": 180, "y": 50}, {"x": 184, "y": 80}, {"x": 104, "y": 90}],
            "plate_crop_jpeg": text(picture(80, 30)),
        },
        "best_confidence": 91.4,
        "best_plate_number": "TE57ABC",
        "best_region": "gb",
        "best_uuid": OURS,
        "best_image_width": 640,
        "best_image_height": 360,
        "overview_jpeg": text(picture(64, 36)),
        "vehicle_crop_jpeg": text(picture(40, 30)),
        "travel_direction": 178.25,
        "is_preview": False,
    }
    return said | changed


def body(said: Any) -> bytes:
    return json.dumps(said, indent=1).encode()


@pytest.mark.parametrize(
    ("file", "plate", "epoch_ms"),
    [("alpr_group_v3.json", "19462SH", 1634475947845), ("alpr_alert_v3.json", "2BH375", 1630695989342)],
)
def test_an_agent_in_the_field(file: str, plate: str, epoch_ms: int) -> None:
    item = read(DIALECT, sent(payload("openalpr_rekor", file)))
    assert item.camera_identity == f"{AGENT}/1000"
    assert (item.vendor_id, item.passage, item.stage) == (f"{UUID}-group", UUID, Stage.LAST)
    assert (item.plate_heard, item.confidence, item.country) == (plate, 93, "USA")
    assert (item.direction, item.lane, item.test) == (None, None, False)
    assert item.time == datetime.fromtimestamp(epoch_ms / 1000, UTC)
    assert item.time_heard == str(epoch_ms)
    assert item.heard == Heard(
        direction="296.55792236", country="us-ma", plate_box="601,284,58,41/1280x720", confidence=None
    )
    patch, overview = item.images
    assert (patch.role, patch.data) == (Role.PLATE_PATCH, payload("openalpr_rekor", "img_plate_crop.jpg"))
    assert (overview.role, overview.data) == (Role.OVERVIEW, payload("openalpr_rekor", "img_overview.jpg"))
    assert patch.plate_box is None
    assert overview.plate_box == ScaledBox(601 / 1280, 284 / 720, 58 / 1280, 41 / 720, 1)
    # The overview is sent at 560 x 315: there the plate is as large as it is there.
    placed = overview.plate_box.in_px(560, 315)
    assert (placed.left_px, placed.top_px, placed.width_px, placed.height_px) == (263, 124, 25, 18)


def test_it_takes_no_other_vendors_payload() -> None:
    assert claims(DIALECT) == {"openalpr_rekor/alpr_group_v3.json", "openalpr_rekor/alpr_alert_v3.json"}


def test_a_preview_is_the_first_word_on_a_passage_and_the_group_the_last() -> None:
    first, last = (read(DIALECT, sent(body(group(is_preview=preview)))) for preview in (True, False))
    assert first.passage == last.passage == OURS
    assert (first.stage, last.stage) == (Stage.FIRST, Stage.LAST)
    assert first.vendor_id != last.vendor_id
    assert (last.plate_heard, last.confidence, last.country) == ("TE57ABC", 91, "GBR")


def test_an_alert_is_the_group_inside_it() -> None:
    alert = {"data_type": "alpr_alert", "version": 1, "plate_number": "TE57ABC", "group": group()}
    assert read(DIALECT, sent(body(alert))) == read(DIALECT, sent(body(group())))
    wrapped = {"data_type": None, "group": group()}
    assert read(DIALECT, sent(body(wrapped))) == read(DIALECT, sent(body(group())))
    assert read(DIALECT, sent(body(group(data_type=None)))) == read(DIALECT, sent(body(group())))


def test_the_frames_of_a_group_are_not_reads() -> None:
    said = {"data_type": "alpr_results", "version": 2, "agent_uid": "AGENT-A", "camera_id": 7, "results": []}
    assert life(DIALECT, sent(body(said))) == SignOfLife(Life.OTHER_EVENT, "alpr_results", "AGENT-A/7")


def test_a_vehicle_without_a_plate_is_a_vehicle_without_a_read() -> None:
    item = read(DIALECT, sent(body(group(data_type="vehicle", best_plate=None, best_confidence=0))))
    assert (item.plate_heard, item.confidence, item.passage) == ("", None, OURS)
    assert [image.role for image in item.images] == [Role.OVERVIEW]


def test_a_heartbeat_speaks_for_each_camera_that_streams() -> None:
    said: dict[str, Any] = {"data_type": "heartbeat", "agent_uid": "AGENT-A"}
    assert life(DIALECT, sent(body(said))) == SignOfLife(Life.HEARTBEAT, "heartbeat", "AGENT-A")
    said["video_streams"] = [{"camera_id": 1, "is_streaming": True}, {"camera_id": 2, "is_streaming": False}, 7]
    assert DIALECT.understand(sent(body(said))) == (
        SignOfLife(Life.HEARTBEAT, "heartbeat", "AGENT-A/1"),
        SignOfLife(Life.OTHER_EVENT, "not_streaming", "AGENT-A/2"),
        SignOfLife(Life.HEARTBEAT, "heartbeat", "AGENT-A"),
    )


def test_a_test_is_answered_and_no_more() -> None:
    assert life(DIALECT, sent(b'{"openalpr_webhook": "test"}')) == SignOfLife(Life.OTHER_EVENT, "test", None)


def test_what_is_missing_is_none() -> None:
    item = read(DIALECT, sent(body({"data_type": "alpr_group", "best_plate": "TE57ABC"})))
    assert (item.plate_heard, item.confidence, item.time, item.images) == ("TE57ABC", None, None, ())
    assert (item.vendor_id, item.passage, item.stage, item.camera_identity) == (None, None, None, None)
    assert item.heard == Heard()
    no_size = read(DIALECT, sent(body(group(best_image_width=None))))
    assert no_size.images[1].plate_box is None
    assert no_size.heard.plate_box == "100,50,84,40/px"
    outside = read(DIALECT, sent(body(group(best_image_width=150))))
    assert outside.images[1].plate_box is None
    no_overview = read(DIALECT, sent(body(group(overview_jpeg=""))))
    assert [(i.role, i.data, i.plate_box) for i in no_overview.images[1:]] == [(Role.OVERVIEW, picture(40, 30), None)]


def test_an_identity_with_the_plate_in_it_is_none() -> None:
    item = read(DIALECT, sent(body(group(best_uuid="x-TE57ABC-1"))))
    assert (item.vendor_id, item.passage, item.stage) == (None, None, None)


@pytest.mark.parametrize("epoch", ["nan", "-", -1, 10**400, "٣", None, [1], True])
def test_a_time_that_is_none(epoch: Any) -> None:
    assert read(DIALECT, sent(body(group(epoch_start=epoch)))).time is None


@pytest.mark.parametrize(
    ("said", "why"),
    [
        ({"data_type": "alpr_group", "agent_uid": "A"}, "no_plate"),
        ({"data_type": "alpr_group", "best_plate": {"confidence": 1}}, "no_plate"),
        (group(best_plate_number=["TE57ABC"]), "bad_member"),
        (group(overview_jpeg="/9j/4AA"), "bad_base64"),
        (group(best_plate_number="A" * 65), "vrm_too_long"),
        ([1], "not_an_object"),
    ],
)
def test_what_is_refused(said: Any, why: str) -> None:
    assert reason(DIALECT, sent(body(said))) == why


@pytest.mark.parametrize(("verdict", "status"), VERDICTS)
def test_every_verdict_has_its_answer(verdict: Verdict, status: int) -> None:
    answer = DIALECT.answer(verdict, sent(b"{}"))
    assert answer.status == status
    assert verdict.outcome.value.encode() in answer.body


def test_damaged_deliveries_are_understood_or_refused() -> None:
    beat = {"data_type": "heartbeat", "agent_uid": "A", "video_streams": [{"camera_id": 1, "is_streaming": True}]}
    alert = {"data_type": "alpr_alert", "group": group(overview_jpeg=None)}
    survives(DIALECT, [sent(body(said)) for said in (group(), alert, beat, {"openalpr_webhook": "test"})])


def test_no_repr_shows_a_plate() -> None:
    assert "TE57ABC" not in repr(read(DIALECT, sent(body(group()))))
