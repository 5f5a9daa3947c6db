"""Verkada's webhook: both versions, other events, damage, and answers."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from capture.dialects.verkada import Verkada
from edge.claim import Heard, Life, RawRead, SignOfLife, Verdict
from tests.fixtures.trials import VERDICTS, claims, life, read, reason, sent, survives

DIALECT = Verkada()
CAMERA = "0f0e0d0c-0000-4000-8000-000000000001"
HOOK = "0f0e0d0c-0000-4000-8000-000000000002"


def body(kind: str = "lpr", **data: Any) -> bytes:
    return json.dumps(
        {
            "org_id": "0f0e0d0c-0000-4000-8000-000000000003",
            "webhook_type": kind,
            "created_at": 1772439331,
            "webhook_id": HOOK,
            "data": {"camera_id": CAMERA, "created": 1772439329} | data,
        }
    ).encode()


NOW = {
    "detected": 1772439330250,
    "license_plate_number": "TE57ABC",
    "confidence": 0.9630414285714286,
    "crop": [0.30, 0.33, 0.52, 0.55],
    "image_url": "https://192.0.2.1/x",
    "license_plate_state": "us-ca",
}


def test_a_read() -> None:
    assert read(DIALECT, sent(body(**NOW))) == RawRead(
        dialect="verkada",
        dialect_version=1,
        camera_identity=CAMERA,
        vendor_id=f"{HOOK}-1772439330250-0.9630414285714286",
        plate_heard="TE57ABC",
        confidence=96,
        country="USA",
        direction=None,
        lane=None,
        time=datetime(2026, 3, 2, 8, 15, 30, 250_000, UTC),
        time_heard="1772439330250",
        images=(),
        heard=Heard(confidence="0.9630414285714286/1", country="us-ca"),
    )


def test_the_older_version_has_seconds_alone() -> None:
    item = read(DIALECT, sent(body("LPR", license_plate_number="TE57ABC", confidence=0.85)))
    assert item.time == datetime(2026, 3, 2, 8, 15, 29, tzinfo=UTC)
    assert item.vendor_id == f"{HOOK}-1772439329-0.85"


def test_two_vehicles_of_one_subscription_are_two() -> None:
    one, two = (read(DIALECT, sent(body(**NOW | {"detected": when}))) for when in (1772439330250, 1772439330251))
    assert one.vendor_id != two.vendor_id
    bare = read(DIALECT, sent(body(license_plate_number="TE57ABC")))
    assert (bare.vendor_id, bare.confidence, bare.heard) == (None, None, Heard())


def test_another_event_is_a_sign_of_life() -> None:
    assert life(DIALECT, sent(body("notification"))) == SignOfLife(Life.OTHER_EVENT, "notification", CAMERA)


def test_what_is_refused() -> None:
    assert reason(DIALECT, sent(body())) == "no_plate"
    assert reason(DIALECT, sent(b'{"org_id": 1, "webhook_type": "lpr"}')) == "no_plate"
    assert reason(DIALECT, sent(b"[]")) == "not_an_object"


def test_an_unread_plate_without_confidence() -> None:
    item = read(DIALECT, sent(body(license_plate_number=None, confidence=0)))
    assert (item.plate_heard, item.confidence) == ("", None)


def test_it_takes_no_other_vendors_payload() -> None:
    assert claims(DIALECT) == set()


@pytest.mark.parametrize(("verdict", "status"), VERDICTS)
def test_every_verdict_has_its_answer(verdict: Verdict, status: int) -> None:
    answer = DIALECT.answer(verdict, sent(b""))
    assert (answer.status, verdict.outcome.value.encode() in answer.body) == (status, True)


def test_damaged_deliveries_are_understood_or_refused() -> None:
    survives(DIALECT, [sent(body(**NOW)), sent(body("LPR", license_plate_number="TE57ABC", confidence=0.85))])
