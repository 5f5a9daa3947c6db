"""What the first two dialects must do, field by field and over damage; and what all of them must: an answer to every
verdict, and each real payload named by its own dialect first."""

from __future__ import annotations

import random
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from capture.delivery import Delivery
from capture.dialects import DIALECTS, dialect_named, which
from capture.receive import Dialect
from edge.claim import Arrival, Box, ClockState, Direction, Life, Outcome, RawRead, Received, Role, SignOfLife, Verdict
from edge.errors import Misconfigured, Refused

HERE = Path(__file__).resolve().parents[1] / "fixtures"
FIELD = Path(__file__).resolve().parents[2] / ".." / "shared" / "payloads" / "hikvision"
ARRIVAL = Arrival(Received(1_772_439_330_000, 20, ClockState.SYNCHRONISED, 1, "boot"), "192.0.2.7", "/")
MAPPING = {
    "plate": "data.results.0.plate",
    "confidence": "data.results.0.score",
    "confidence_scale": "1",
    "captured_at": "data.timestamp",
    "captured_at_unit": "ms",
    "camera": "data.camera_id",
    "id": "data.uuid",
    "direction": "data.results.0.dir",
    "direction_toward": "approach",
    "direction_away": "leave",
}


def parcel(file: Path) -> Delivery:
    """A fixture: a whole request as it stood on the wire."""
    head, _, body = file.read_bytes().partition(b"\r\n\r\n")
    request, *headers = head.decode().split("\r\n")
    named = {k.lower(): v.strip() for k, _, v in (h.partition(":") for h in headers)}
    assert int(named["content-length"]) == len(body), "a fixture was altered, perhaps its line ends"
    return Delivery(ARRIVAL, named.get("content-type", ""), request.split(" ")[1].partition("?")[2], body)


def picture(name: str) -> bytes:
    return (HERE / "hikvision" / f"{name}.jpg").read_bytes()


def field(name: str) -> Delivery:
    if not FIELD.is_dir():
        pytest.skip("the payloads of real cameras are not beside this repository")
    return Delivery(ARRIVAL, "", "", (FIELD / name).read_bytes())


@dataclass(frozen=True)
class Told:
    """A read as it must come out, field by field."""

    identity: str | None = "44:19:b6:00:00:0a"
    vendor_id: str | None = None
    plate: str = ""
    confidence: int | None = None
    country: str | None = None
    direction: Direction | None = None
    lane: str | None = None
    time: datetime | None = None
    heard: str | None = None
    images: tuple[tuple[Role, bytes], ...] = ()
    box: Box | None = None
    test: bool = False


def told(item: RawRead | SignOfLife) -> Told | SignOfLife:
    if isinstance(item, SignOfLife):
        return item
    assert item.passage is None
    return Told(
        item.camera_identity,
        item.vendor_id,
        item.plate_heard,
        item.confidence,
        item.country or item.heard.country,
        item.direction,
        item.lane,
        item.time,
        item.time_heard,
        tuple((i.role, i.data) for i in item.images),
        next((i.plate_box for i in item.images if i.plate_box is not None), None),
        item.test,
    )


def at(text: str) -> datetime:
    return datetime.fromisoformat(text)


def patch(name: str = "plate") -> tuple[Role, bytes]:
    return Role.PLATE_PATCH, picture(name)


def scene(name: str = "scene") -> tuple[Role, bytes]:
    return Role.OVERVIEW, picture(name)


AWAY, TOWARD = Direction.AWAY, Direction.TOWARD
CAMERA = "44:19:b6:00:00:0a"

HIKVISION: dict[str, list[Told | SignOfLife] | str] = {
    "push_boundary_word": [
        Told(
            CAMERA,
            "0A1B2C3D4E5F60718293A4B5C6D7E8F9",
            "TE57 ABC",
            92,
            "59",
            TOWARD,
            "1",
            at("2026-03-02T08:15:30.123+00:00"),
            "2026-03-02T08:15:30+00:00",
            (patch(), scene()),
            Box(1204, 702, 210, 58),
        )
    ],
    "push_lf_pid_names": [  # the scene stands before the document; its box may be a grid; its fraction is its own
        Told(
            CAMERA,
            "20260302081531002b",
            "YK19 XYZ",
            88,
            "59",
            AWAY,
            "2",
            at("2026-03-02T08:15:31.417+01:00"),
            "2026-03-02T08:15:31.417+01:00",
            (patch(), scene()),
        )
    ],
    "push_other_boundary": [  # no zone in the time, the plate only where it was first read, a length that lies
        Told(
            CAMERA,
            "U-3",
            "LB07 QWE",
            70,
            "59",
            TOWARD,
            "1",
            at("2026-03-02T08:15:32"),
            "2026-03-02T08:15:32",
            (patch(),),
        )
    ],
    "push_unread_prefixed": [
        Told(
            CAMERA,
            "U-4",
            "unknown",
            None,
            "0",
            None,
            "1",
            at("2034-01-04T00:00:01+08:00"),
            "2034-01-04T00:00:01+08:00",
            (scene("car"),),
        )
    ],
    "query_with_pictures": [
        Told(
            CAMERA,
            None,
            "WX 12345",
            95,
            "Poland",
            TOWARD,
            "3",
            at("2026-03-02T08:15:34+00:00"),
            "2026-03-02T08:15:34+00:00",
            (patch(), scene()),
        )
    ],
    "other_event_bare": [SignOfLife(Life.OTHER_EVENT, "fielddetection", CAMERA)],
    "poll_two": [
        Told(
            None,
            "20260302081536777",
            "AB12CDE",
            None,
            "GBR",
            AWAY,
            "1",
            at("2026-03-02T08:15:36"),
            "20260302T0815360000",
        ),
        Told(  # its picture is named after the plate
            None,
            None,
            "AB12CDE",
            None,
            "GBR",
            TOWARD,
            "2",
            at("2026-03-02T08:15:29"),
            "20260302T0815290000",
        ),
        Told(
            None,
            "20260302081528111",
            "noPlate",
            time=at("2026-03-02T08:15:28"),
            heard="20260302T0815280000",
        ),
    ],
    "stream_beat_cut_off": [SignOfLife(Life.HEARTBEAT, "videoloss", CAMERA)],
    "push_plate_in_id": [  # characters beyond ASCII make an identity none; so does the plate in it
        Told(
            "SN-77",
            "p1",
            "蓝皖A7XG66",
            97,
            "59",
            TOWARD,
            "1",
            at("2026-03-02T08:15:30+00:00"),
            "2026-03-02T08:15:30+00:00",
            (patch(), scene()),
        )
    ],
    "push_truncated": "truncated",
    "push_truncated_bare": "truncated",
    "pictures_alone": "no_document",
    "dtd": "xml_forbidden",
}

GENERIC: dict[str, list[Told | SignOfLife] | str] = {
    "read_full": [
        Told(
            "cam-A7",
            "evt-000017",
            "TE57 ABC",
            93,
            "GBR",
            AWAY,
            "1",
            at("2026-03-02T08:15:30.250+00:00"),
            "2026-03-02T08:15:30.250Z",
            (patch(), scene()),
        )
    ],
    "read_least": [Told(None, plate="AB12CDE")],
    "read_unread": [
        Told(None, "AB12CDE", lane="2", time=at("2026-03-02T08:15:30"), heard="2026-03-02 08:15:30", test=True)
    ],
    "heartbeat": [SignOfLife(Life.HEARTBEAT, "heartbeat", "cam-A7")],
    "other": [SignOfLife(Life.OTHER_EVENT, "dooropen", "cam-A7")],
    "multipart": [Told(None, "9", "AB12CDE", heard="yesterday", images=(patch(), scene()))],
    "mapped": [
        Told(
            "north-1",
            "6a0e-11",
            "te57abc",
            93,
            direction=TOWARD,
            time=datetime(2026, 3, 2, 8, 15, 30, 250_000, UTC),
            heard="1772439330250",
        )
    ],
    "mapped_none": "no_plate",
    "bad_base64": "bad_base64",
    "no_plate": "no_plate",
    "twice": "json_duplicate_key",
    "nan": "json_not_a_number",
    "half_surrogate": "json_malformed",
    "list": "not_an_object",
    "bad_member": "bad_member",
}

CASES = [("hikvision", n, e) for n, e in HIKVISION.items()] + [("generic", n, e) for n, e in GENERIC.items()]


def speaks(name: str, fixture: str) -> Dialect:
    return dialect_named(name, MAPPING if fixture.startswith("mapped") else None)


@pytest.mark.parametrize(("name", "fixture", "expected"), CASES, ids=[f"{n}-{f}" for n, f, _ in CASES])
def test_our_own_payloads_field_by_field(name: str, fixture: str, expected: Any) -> None:
    delivery = parcel(HERE / name / f"{fixture}.http")
    dialect = speaks(name, fixture)
    if isinstance(expected, str):
        with pytest.raises(Refused) as refused:
            dialect.understand(delivery)
        assert refused.value.reason == expected
    else:
        items = dialect.understand(delivery)
        assert [told(item) for item in items] == expected
        for item in items:
            if isinstance(item, RawRead):
                assert (item.dialect, item.dialect_version) == (name, dialect.version)
    if fixture not in ("pictures_alone", "list"):
        assert name in which(delivery)


def test_every_fixture_has_an_expectation() -> None:
    assert {f.stem for f in (HERE / "hikvision").glob("*.http")} == set(HIKVISION)
    assert {f.stem for f in (HERE / "generic").glob("*.http")} == set(GENERIC)


def test_a_camera_in_the_field() -> None:
    delivery = field("parkpow_anpr.xml")
    (item,) = dialect_named("hikvision").understand(delivery)
    assert told(item) == Told(
        identity="d4:e8:53:bc:4c:02",
        vendor_id="2024011911172144900FlERIduqg06eKsYuvLX072NugIxaHw22mHG5D5KBmWqX",
        plate="PECT600",
        confidence=97,
        country="3",
        direction=Direction.AWAY,
        lane="2",
        time=datetime(2024, 1, 19, 3, 17, 19, 654_000, UTC),
        heard="2024-01-19T11:17:19+08:00",
    )
    assert which(delivery) == ["hikvision"]


def test_a_heartbeat_in_the_field_followed_by_a_cut_off_part() -> None:
    (item,) = dialect_named("hikvision").understand(field("alertstream_videoloss_heartbeat_issue88.txt"))
    assert item == SignOfLife(Life.HEARTBEAT, "videoloss", "24:32:ae:55:c9:c0")


def test_a_poll_in_the_field() -> None:
    (item,) = dialect_named("hikvision").understand(field("plates_poll_response_exnvr.xml"))
    assert told(item) == Told(
        identity=None,
        vendor_id="license-plate",
        plate="ABC1234",
        direction=Direction.TOWARD,
        time=datetime(2024, 4, 28, 13, 0),
        heard="20240428T1300000000",
    )


def test_a_log_is_not_a_delivery() -> None:
    delivery = field("http_push_headers_issue117.log")
    assert which(delivery) == ["hikvision"], "so that an engineer is told whose it is"
    with pytest.raises(Refused) as refused:
        dialect_named("hikvision").understand(delivery)
    assert refused.value.reason == "not_hikvision"


def test_every_payload_from_the_field_is_named_above() -> None:
    if not FIELD.is_dir():
        pytest.skip("the payloads of real cameras are not beside this repository")
    assert {f.name for f in FIELD.iterdir()} == {
        "parkpow_anpr.xml",
        "alertstream_videoloss_heartbeat_issue88.txt",
        "plates_poll_response_exnvr.xml",
        "http_push_headers_issue117.log",
    }


def test_a_cut_off_stream_hides_no_read() -> None:
    beat = parcel(HERE / "hikvision" / "stream_beat_cut_off.http")
    read = parcel(HERE / "hikvision" / "push_boundary_word.http").body[:1500]
    body = beat.body + b'ication/xml\r\n\r\n<EventNotificationAlert version="2.0"><eventType>ANPR' + read
    with pytest.raises(Refused) as refused:
        dialect_named("hikvision").understand(Delivery(ARRIVAL, beat.content_type, "", body))
    assert refused.value.reason == "truncated"


def test_an_identity_that_says_the_plate_is_none() -> None:
    body = b'{"plate": "AB12 CDE", "id": "2026-03-02_ab12cde_1.jpg"}'
    (item,) = dialect_named("generic").understand(Delivery(ARRIVAL, "", "", body))
    assert isinstance(item, RawRead)
    assert item.vendor_id is None


@pytest.mark.parametrize("query", ["dateTime=%FF&licensePlate=%80%FF%FF", "licensePlate=" + "&".join("a" * 99)])
def test_a_query_that_cannot_be_decoded_is_refused_and_not_unread(query: str) -> None:
    with pytest.raises(Refused) as refused:
        dialect_named("hikvision").understand(Delivery(ARRIVAL, "", query, b""))
    assert refused.value.reason == "query_malformed"


def test_a_query_in_gb18030_and_unescaped_bytes() -> None:
    for query in ("licensePlate=%CD%EEA12345", b"licensePlate=\xcd\xeeA12345".decode("utf-8", "surrogateescape")):
        (item,) = dialect_named("hikvision").understand(Delivery(ARRIVAL, "", query, b""))
        assert isinstance(item, RawRead)
        assert item.plate_heard == "皖A12345"


def test_every_real_payload_is_named_by_its_own_dialect_first() -> None:
    if not FIELD.is_dir():
        pytest.skip("the payloads of real cameras are not beside this repository")
    owners = {"openalpr_rekor": "rekor", "viewtron_tvt": "tvt"}
    named = 0
    for file in sorted(FIELD.parent.glob("*/*")):
        for name in (file.name, ""):
            found = which(Delivery(ARRIVAL, "", "", file.read_bytes(), name))
            owner = owners.get(file.parent.name, file.parent.name)
            assert not found or found[0] == owner, f"{file.name}: {found}"
            assert set(found) <= {owner, "generic"}, f"{file.name}: {found}"
            named += bool(found)
    assert named >= 40


VERDICTS = [
    (Verdict(Outcome.STORED), 200),
    (Verdict(Outcome.REPEATED), 200),
    (Verdict(Outcome.HEARD), 200),
    (Verdict(Outcome.DROPPED), 200),
    (Verdict(Outcome.LATER, "busy"), 503),
    (Verdict(Outcome.REFUSED, "unknown_source"), 403),
    (Verdict(Outcome.REFUSED, "unknown_identity"), 403),
    (Verdict(Outcome.REFUSED, "authorisation_expired"), 403),
    (Verdict(Outcome.REFUSED, "too_large"), 413),
    (Verdict(Outcome.REFUSED, "xml_malformed"), 400),
]


@pytest.mark.parametrize("name", list(DIALECTS))
@pytest.mark.parametrize(("verdict", "status"), VERDICTS)
def test_every_verdict_has_its_answer(name: str, verdict: Verdict, status: int) -> None:
    answer = dialect_named(name).answer(verdict, Delivery(ARRIVAL, "", "", b""))
    assert (answer.status, answer.verdict) == (status, verdict)
    if name == "hikvision":
        assert (b"<statusCode>1</statusCode>" in answer.body) == (status == 200)
    elif name == "generic":
        assert f'"{verdict.outcome.value}"'.encode() in answer.body
        assert verdict.reason.encode() in answer.body


def test_no_repr_shows_a_plate_or_a_body() -> None:
    for name, fixture, expected in CASES:
        delivery = parcel(HERE / name / f"{fixture}.http")
        shown = repr(delivery)
        if not isinstance(expected, str):
            shown += repr(speaks(name, fixture).understand(delivery))
        for secret in ("TE57", "te57", "YK19", "LB07", "12345", "A7XG66", "JFIF", "192.0.2.7", CAMERA):
            assert secret not in shown


def test_a_wrong_name_or_mapping_is_the_operators() -> None:
    for name, mapping in (
        ("hikvison", None),
        ("hikvision", {"plate": "x"}),
        ("generic", {"plat": "x"}),
        ("generic", {"confidence_scale": "many"}),
        ("generic", {"captured_at_unit": "weeks"}),
    ):
        with pytest.raises(Misconfigured):
            dialect_named(name, mapping)


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
                    [b"<a>" * 40, b"\r\n--boundary\r\n", b"\x00", b"9" * 5000, b'{"', b"[" * 50, b"&amp;", b"\xff\xfe"]
                )
            case 4:
                del data[at:]
    return bytes(data)


@pytest.mark.parametrize("name", ["hikvision", "generic"])
def test_damaged_payloads_are_read_or_refused(name: str) -> None:
    seed = 20260302
    print(f"seed {seed}")
    dice = random.Random(seed)
    bodies = [(n, f, parcel(HERE / n / f"{f}.http")) for n, f, _ in CASES]
    outcomes = {"read": 0, "refused": 0}
    for _ in range(2000):
        owner, fixture, delivery = dice.choice([b for b in bodies if b[0] == name] if dice.random() < 0.9 else bodies)
        whole = mutated(delivery.body, dice)
        damaged = Delivery(
            ARRIVAL, dice.choice([delivery.content_type, ""]), delivery.query[: dice.randrange(400)], whole
        )
        which(damaged)
        try:
            for item in speaks(name, fixture if owner == name else "").understand(damaged):
                assert isinstance(item, RawRead | SignOfLife)
                if isinstance(item, RawRead):
                    item.plate_heard.encode()
                    if item.time is not None and item.time.tzinfo is not None:
                        item.time.astimezone(UTC)
            outcomes["read"] += 1
        except Refused:
            outcomes["refused"] += 1
    assert min(outcomes.values()) > 100, outcomes
