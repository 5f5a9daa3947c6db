"""LILIN: every payload from the field, every message kind and quirk that is known, damage, and the answers."""

from __future__ import annotations

import json
import random
import time
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from capture.delivery import Delivery
from capture.dialects.lilin import Lilin
from edge.claim import Arrival, ClockState, Heard, Life, Outcome, RawRead, Received, SignOfLife, Verdict, Way
from edge.errors import Refused

FIXTURES = Path(__file__).resolve().parents[1] / "fixtures" / "lilin"
FIELD = Path(__file__).resolve().parents[2] / ".." / "shared" / "payloads" / "lilin"
PUSHED = Arrival(Received(1_782_980_131_000, 20, ClockState.SYNCHRONISED, 1, "boot"), "192.0.2.7", "/")
PULLED = replace(PUSHED, way=Way.HTTP_PULL)
DIALECT = Lilin()


def pulled(body: bytes, content_type: str = "multipart/x-mixed-replace; boundary=myboundary") -> Delivery:
    return Delivery(PULLED, content_type, "", body)


def fixture(name: str, *changes: tuple[bytes, bytes]) -> bytes:
    body = (FIXTURES / name).read_bytes()
    for old, new in changes:
        assert old in body
        body = body.replace(old, new)
    return body


def reads(body: bytes) -> list[RawRead]:
    assert DIALECT.recognises(pulled(body))
    return [item for item in DIALECT.understand(pulled(body)) if isinstance(item, RawRead)]


def refusal(body: bytes) -> str:
    with pytest.raises(Refused) as refused:
        DIALECT.understand(pulled(body))
    return refused.value.reason


def field(name: str) -> bytes:
    if not FIELD.is_dir():
        pytest.skip("the payloads of real cameras are not beside this repository")
    return (FIELD / name).read_bytes()


def told(**members: Any) -> RawRead:
    least = RawRead("lilin", 1, None, None, "", None, None, None, None, None, None, ())
    return replace(least, **members)


def test_every_payload_from_the_field_is_named_here() -> None:
    if not FIELD.is_dir():
        pytest.skip("the payloads of real cameras are not beside this repository")
    assert {f.name for f in FIELD.iterdir()} == {"get_search_info_white.json", "getalarmmotion_stream.txt"}


def test_a_stream_of_the_vendors() -> None:
    assert reads(field("getalarmmotion_stream.txt")) == [
        told(
            vendor_id="20190624165844_95798_132",
            plate_heard="647CBA",
            time=datetime(2019, 6, 24, 16, 58, 44, 95_000),
            time_heard="2019-06-24 16:58:44 GMT",
            heard=Heard(plate_box="1108,420,440,144/px"),
        )
    ]


def test_a_list_of_the_vendors() -> None:
    assert reads(field("get_search_info_white.json")) == [
        told(
            vendor_id="1523329162878730-43",
            plate_heard="7336GN",
            confidence=75,
            country="KGZ",
            time=datetime(2018, 4, 10, 2, 59, 22, 879_000, UTC),
            time_heard="1523329162878730",
            heard=Heard(confidence="0.74889463186264/1", country="KGZ", plate_box="693,303,264,51/px"),
        )
    ]


def test_every_filled_slot_is_a_read_and_no_empty_one() -> None:
    for crlf in (False, True):
        body = fixture("stream.txt")
        first, second = reads(body.replace(b"\n", b"\r\n") if crlf else body)
        assert (first.plate_heard, second.plate_heard) == ("TE57 ABC", "YK19XYZ")
        assert (first.vendor_id, second.vendor_id) == ("20260702091530_305798_132", "20260702091520-10-20")
        assert first.time == datetime(2026, 7, 2, 9, 15, 30, 305_000)
        assert second.time == datetime(2026, 7, 2, 9, 15, 20)
        assert second.heard.plate_box == "10,20,30,8/px"


def test_the_same_read_in_the_next_part_is_the_same() -> None:
    next_part = fixture("stream.txt", (b"CamTime:2026-07-02 09:15:40", b"CamTime:2026-07-02 09:15:41"))
    body = fixture("stream.txt") + next_part + b"--myboundary--\n"
    assert len(reads(body)) == 4
    assert [item.vendor_id for item in reads(next_part)] == [item.vendor_id for item in reads(fixture("stream.txt"))]


def test_a_part_that_comes_bare() -> None:
    body = fixture("stream.txt")
    assert len(reads(body.partition(b"\n")[2])) == 2  # with its headers
    assert len(reads(body.partition(b"\n\n")[2])) == 2  # and without


def test_the_time_of_the_part_where_a_read_has_none() -> None:
    body = fixture("stream.txt", (b"LPR_TIME0=2026-07-02 09:15:30 GMT", b"LPR_TIME0="))
    assert reads(body)[0].time == datetime(2026, 7, 2, 9, 15, 40)
    assert reads(body)[0].vendor_id == "20260702091530_305798_132"
    assert reads(body.partition(b"\n\n")[2])[0].time is None


def test_a_status_without_a_read_is_a_sign_of_life() -> None:
    quiet = (
        b"--myboundary\nContent-Type: text/plain\nCamTime:2026-07-02 09:15:40\n\nMotionDetect=0\nAlarmInputDetect=0\n"
    )
    empty = quiet + b"LPR0=,ACT_PARAM0=,LPR_TIME0=,LP_BMP0=\nLPR1=,ACT_PARAM1=,LP_BMP1= LPR2=,LPR_TIME2=,LP_BMP2=\n"
    for body in (quiet, empty):
        assert DIALECT.recognises(pulled(body))
        assert DIALECT.understand(pulled(body)) == (SignOfLife(Life.HEARTBEAT, "getalarmmotion", None),)
    moved = quiet.replace(b"MotionDetect=0", b"MotionDetect=1")
    assert DIALECT.understand(pulled(moved)) == (SignOfLife(Life.OTHER_EVENT, "MotionDetect", None),)


def test_a_slot_with_a_time_and_no_plate_is_a_vehicle_without_a_read() -> None:
    first = reads(fixture("stream.txt", (b"LPR0=TE57 ABC", b"LPR0=")))[0]
    assert (first.plate_heard, first.time) == ("", datetime(2026, 7, 2, 9, 15, 30, 305_000))


def test_an_identity_that_would_say_the_plate_is_another() -> None:
    body = fixture("stream.txt", (b"LPR0=TE57 ABC", b"LPR0=0702"), (b"lp_TE57ABC_132", b"lp_0702_132"))
    assert reads(body)[0].vendor_id is None


def test_the_log_believes_ts_and_not_what_is_called_gmt() -> None:
    items = DIALECT.understand(pulled(fixture("log.json"), "application/json"))
    first, listed = items
    assert isinstance(first, RawRead)
    assert (first.time, first.time_heard) == (datetime(2026, 7, 2, 8, 15, 30, 306_000, UTC), "1782980130305798")
    assert (first.plate_heard, first.confidence, first.country) == ("TE57ABC", 72, "GBR")
    assert first.vendor_id == "1782980130305798-45"
    assert listed == SignOfLife(Life.OTHER_EVENT, "listed_plate", None)


def test_a_log_without_ts_is_timed_by_the_camera_s_clock() -> None:
    first = reads(fixture("log.json", (b'"TS":"1782980130305798"', b'"TS":""')))[0]
    assert (first.time, first.time_heard) == (datetime(2026, 7, 2, 16, 15, 30, 305_000), "2026-07-02 16:15:30 GMT")
    assert first.vendor_id == "20260702161530_305812_3153"
    huge = reads(fixture("log.json", (b'"TS":"1782980130305798"', b'"TS":"' + b"9" * 400 + b'"')))[0]
    assert huge.time == datetime(2026, 7, 2, 16, 15, 30, 305_000)


def test_members_that_are_none() -> None:
    entry: dict[str, Any] = {"TS": 1782980130305798, "LPR": None, "THRESHOLD": "-", "COUNTRY": [], "LP_X": "x"}
    (item,) = reads(json.dumps({"LPR_COUNT": 1, "INFORMATION": [entry]}).encode())
    assert (item.plate_heard, item.confidence, item.country, item.heard) == ("", None, None, Heard())
    del entry["LPR"]
    assert refusal(json.dumps({"INFORMATION": [entry]}).encode()) == "no_plate"
    assert refusal(b'{"LPR_COUNT": 1, "INFORMATION": [1]}') == "not_lilin"
    empty = pulled(b'{"LPR_COUNT": 0, "INFORMATION": []}')
    assert DIALECT.understand(empty) == (SignOfLife(Life.OTHER_EVENT, "get_search_info", None),)


def test_what_is_not_lilins() -> None:
    for body in (
        b"",
        b"{}",
        b'{"plate": "AB12CDE"}',
        b"--myboundary\r\n\r\nHeartbeat",
        b"Code=VideoMotion;action=Start;index=0",
    ):
        assert not DIALECT.recognises(pulled(body))
        assert refusal(body) == "not_lilin"
    assert refusal(fixture("stream.txt", (b"TE57 ABC", b"\xc3\x28"))) == "undecodable"
    assert refusal(b"MotionDetect=0\n" * 20_000) == "too_large"


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
    answer = DIALECT.answer(verdict, Delivery(PUSHED, "", "", b""))
    assert (answer.status, answer.verdict) == (status, verdict)
    assert json.loads(answer.body) == {"verdict": verdict.outcome.value, "reason": verdict.reason}
    assert DIALECT.answer(verdict, pulled(b"")).body == b""


def test_no_repr_shows_a_plate() -> None:
    shown = repr(reads(fixture("stream.txt"))) + repr(reads(fixture("log.json")))
    for secret in ("TE57", "YK19"):
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


@pytest.mark.parametrize("name", ["stream.txt", "log.json"])
def test_damaged_payloads_are_read_or_refused(name: str) -> None:
    seed = 20260702
    print(f"seed {seed}")
    dice = random.Random(seed)
    outcomes = {"read": 0, "refused": 0}
    begun = time.monotonic()
    for _ in range(2000):
        damaged = pulled(mutated(fixture(name), dice))
        DIALECT.recognises(damaged)
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
        b"LPR0=" * 50_000,
        b"LPR0=" + b"a" * 250_000,
        b"MotionDetect=0\n" + b"a_" * 120_000,
        b"--a\n" * 60_000 + b"LPR0=",
        b"LPR0=A,LP_BMP0=" + b"12345678901234_1lp_" * 10_000,
        b"LPR0=A,LPR_TIME0=x" + b" " * 200_000 + b"x",
    ],
    ids=range(6),
)
def test_hostile_bodies_take_little_time(body: bytes) -> None:
    begun = time.monotonic()
    DIALECT.recognises(pulled(body))
    try:
        items = DIALECT.understand(pulled(body))
    except Refused:
        items = ()
    assert len(items) < 10
    assert time.monotonic() - begun < 2
