"""Survision's push: each kind of message, damage, and answers."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from capture.dialects.survision import Survision
from edge.claim import Direction, Heard, Life, RawImage, RawRead, Role, SignOfLife, Verdict
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

DIALECT = Survision()
JPEG = picture(96, 64)
DECISION = {"@plate": "TE57ABC", "@reliability": "87", "@x": "410", "@direction": "front"}


def body(**members: Any) -> bytes:
    return json.dumps({"anpr": {"@date": "1772439330250"} | members}).encode()


def test_a_decision() -> None:
    decision = DECISION | {"jpeg": {"#text": text(JPEG)}}
    assert read(DIALECT, sent(body(decision=decision))) == RawRead(
        dialect="survision",
        dialect_version=1,
        camera_identity=None,
        vendor_id="decision-1772439330250",
        plate_heard="TE57ABC",
        confidence=87,
        country=None,
        direction=Direction.TOWARD,
        lane=None,
        time=datetime(2026, 3, 2, 8, 15, 30, 250_000, UTC),
        time_heard="1772439330250",
        images=(RawImage(Role.OVERVIEW, JPEG),),
        heard=Heard(direction="front"),
    )


def test_the_picture_may_stand_bare_or_beside_the_decision() -> None:
    for message in (
        body(decision=DECISION | {"jpeg": text(JPEG)}),
        body(decision=DECISION, jpeg={"#text": text(JPEG)}),
    ):
        (image,) = read(DIALECT, sent(message)).images
        assert image.data == JPEG
    assert read(DIALECT, sent(body(decision=DECISION | {"jpeg": {"#text": ""}}))).images == ()


def test_a_vehicle_without_a_plate() -> None:
    item = read(DIALECT, sent(body(noPlate={"@reliability": "0"})))
    assert (item.plate_heard, item.confidence, item.vendor_id) == ("", None, "noplate-1772439330250")


@pytest.mark.parametrize("kind", ["new", "end", "speed"])
def test_other_messages_are_signs_of_life(kind: str) -> None:
    assert life(DIALECT, sent(body(**{kind: {"@x": "1"}}))) == SignOfLife(Life.OTHER_EVENT, kind, None)


@pytest.mark.parametrize(("said", "means"), [("rear", Direction.AWAY), ("unknown", None), ("", None)])
def test_directions(said: str, means: Direction | None) -> None:
    assert read(DIALECT, sent(body(decision=DECISION | {"@direction": said}))).direction is means


def test_what_is_refused() -> None:
    assert reason(DIALECT, sent(body(decision={"@reliability": "87"}))) == "no_plate"
    assert reason(DIALECT, sent(body(decision=DECISION | {"jpeg": "/9j/4"}))) == "bad_base64"
    assert reason(DIALECT, sent(b'{"anpr": 1}')) == "not_survision"
    assert reason(DIALECT, sent(b"[]")) == "not_survision"


def test_it_takes_no_other_vendors_payload() -> None:
    assert claims(DIALECT) == set()


@pytest.mark.parametrize(("verdict", "status"), VERDICTS)
def test_every_verdict_has_its_answer(verdict: Verdict, status: int) -> None:
    answer = DIALECT.answer(verdict, sent(b""))
    assert (answer.status, verdict.outcome.value.encode() in answer.body) == (status, True)


def test_damaged_deliveries_are_understood_or_refused() -> None:
    survives(
        DIALECT,
        [sent(body(decision=DECISION | {"jpeg": {"#text": text(JPEG)}})), sent(body(noPlate={})), sent(body(new={}))],
    )
