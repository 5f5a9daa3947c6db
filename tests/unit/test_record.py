"""The payload of a record, as the wire contract has it."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from edge import record
from edge.camera import Camera, Position
from edge.claim import Direction, Received, Role
from edge.read import Evidence, FittedImage, Kind, Omitted, TimeSource
from edge.sign import decode, encode

Make = Callable[..., Any]


def test_the_first_head_is_nothing_and_each_next_one_binds_what_came_before() -> None:
    digest = hashlib.sha256(b"signed").digest()
    first = record.head_after(record.NO_HEAD, digest)
    assert first == hashlib.sha256(b"anpr-chain-v1" + bytes(32) + digest).digest()
    assert len(b"anpr-chain-v1") == 13
    assert record.head_after(first, digest) != first


def test_a_payload_holds_what_it_was_given(make_received: Make, make_evidence: Make) -> None:
    evidence = make_evidence(1)
    place = record.Place("node-a", bytes(12), 9, bytes(32))
    read = evidence.read
    made = record.payload(place, Kind.READ, read.captured, read.received, record.read_body(evidence))
    assert (made["v"], made["node"], made["epoch"], made["seq"], made["prev"]) == (1, "node-a", bytes(12), 9, bytes(32))
    assert made["kind"] == "read"
    assert made["captured"] == {
        "utc_ms": read.captured.utc_ms,
        "bound_ms": None,
        "source": "camera_offset",
        "heard": read.captured.heard,
    }
    assert made["received"]["boot_id"] == "boot-1"
    assert decode(encode(made)) == made


def test_a_read_tells_of_its_images(make_evidence: Make) -> None:
    evidence: Evidence = make_evidence(1)
    assert isinstance(evidence.patch, FittedImage)
    assert isinstance(evidence.overview, FittedImage)
    body = record.read_body(evidence)
    assert body["patch"] == {"jpeg": evidence.patch.jpeg}
    assert body["overview"] == {
        "sha256": hashlib.sha256(evidence.overview.jpeg).digest(),
        "bytes": len(evidence.overview.jpeg),
    }
    assert [each["role"] for each in body["altered"]] == ["plate_patch", "overview"]
    assert body["altered"][0] == {
        "role": "plate_patch",
        "actions": ["cropped", "recompressed"],
        "from": [320, 180],
        "to": [96, 32],
        "quality": 60,
    }
    assert body["originals"] == [
        {"role": "overview", "sha256": evidence.originals[0].sha256, "bytes": evidence.originals[0].size_bytes}
    ]
    assert record.overview_body(2, evidence.overview) == {"of": 2, "jpeg": evidence.overview.jpeg}


def test_an_image_that_does_not_travel_is_named_with_its_reason(make_evidence: Make) -> None:
    evidence = replace(
        make_evidence(1),
        patch=Omitted(Role.PLATE_PATCH, "no_plate_found"),
        overview=Omitted(Role.OVERVIEW, "not_sent"),
        originals=(),
    )
    body = record.read_body(evidence)
    assert body["patch"] == {"omitted": "no_plate_found"}
    assert body["overview"] == {"omitted": "not_sent"}
    assert body["altered"] == body["originals"] == []


@pytest.mark.parametrize(
    ("heard", "configured", "lane"), [(None, None, None), (None, "2", "2"), ("1", "2", "1"), ("", "2", "")]
)
def test_the_lane_is_the_cameras_word_before_the_configured_one(
    make_evidence: Make, heard: str | None, configured: str | None, lane: str | None
) -> None:
    evidence: Evidence = make_evidence(1)
    read = replace(
        evidence.read,
        camera=replace(evidence.read.camera, lane=configured),
        raw=replace(evidence.read.raw, lane=heard),
    )
    assert record.read_body(replace(evidence, read=read))["lane"] == lane


def test_what_is_not_known_is_null_and_a_trial_says_so(make_evidence: Make, camera: Camera) -> None:
    evidence: Evidence = make_evidence(1)
    body = record.read_body(evidence)
    assert (body["position"], body["direction"], body["country"]) == (None, None, None)
    assert "test" not in body
    raw = replace(evidence.read.raw, test=True, direction=Direction.AWAY)
    placed = replace(camera, position=Position(-1, 2))
    body = record.read_body(replace(evidence, read=replace(evidence.read, raw=raw, camera=placed, vrm=None)))
    assert body["test"] is True
    assert body["direction"] == "away"
    assert body["position"] == {"lat_e7": -1, "lon_e7": 2}
    assert body["vrm"] is None


def test_an_act_is_the_nodes_own_and_its_detail_a_copy(make_received: Make) -> None:
    received: Received = make_received(5, bound_ms=8)
    moment = record.at(received)
    assert (moment.utc_ms, moment.bound_ms, moment.source, moment.heard) == (5, 8, TimeSource.NODE, None)
    detail = {"before": None}
    body = record.act_body("started", detail)
    detail["more"] = None
    assert body == {"act": "started", "detail": {"before": None}}


def test_no_body_holds_a_float(make_evidence: Make) -> None:
    def floats(value: Any) -> bool:
        if isinstance(value, dict):
            return any(map(floats, value.values()))
        return any(map(floats, value)) if isinstance(value, list) else isinstance(value, float)

    assert not floats(record.read_body(make_evidence(1)))
