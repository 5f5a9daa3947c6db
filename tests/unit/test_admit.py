"""Who is admitted, when a vehicle is said to have passed, and how a passage is known again."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta, timezone
from ipaddress import ip_network
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.admit import admit, judge_time, known_camera, repeat_key
from edge.camera import Authorisation, Camera, TimePolicy
from edge.claim import Arrival, ClockState, RawImage, RawRead, Received, Role
from edge.errors import Refused
from edge.read import TimeSource

Make = Callable[..., Any]
BERLIN, LONDON = ZoneInfo("Europe/Berlin"), ZoneInfo("Europe/London")
FACTORY = timezone(timedelta(hours=8))


def ms(*parts: int) -> int:
    return round(datetime(*parts, tzinfo=UTC).timestamp() * 1000)  # type: ignore[misc]


def reason(raw: RawRead, arrival: Arrival, *cameras: Camera) -> str:
    with pytest.raises(Refused) as refused:
        admit(raw, arrival, cameras)
    assert raw.plate_heard not in f"{refused.value.sentence} {refused.value.hint}" or not raw.plate_heard
    return refused.value.reason


# which camera


@pytest.mark.parametrize(
    ("network", "path", "address", "sent_to", "known"),
    [
        ("192.0.2.10/32", None, "192.0.2.10", "/any", True),
        ("192.0.2.10/32", None, "192.0.2.11", "/any", False),
        ("192.0.2.0/24", None, "192.0.2.11", "/any", True),
        ("192.0.2.10/32", None, "::ffff:192.0.2.10", "/any", True),
        ("192.0.2.10/32", None, "::ffff:192.0.2.11", "/any", False),
        ("192.0.2.10/32", None, "::192.0.2.10", "/any", False),
        ("2001:db8::/64", None, "2001:db8::5", "/any", True),
        ("2001:db8::/64", None, "2001:db8:0:1::5", "/any", False),
        ("0.0.0.0/0", None, "2001:db8::5", "/any", False),
        ("::/0", None, "192.0.2.10", "/any", False),
        ("192.0.2.10/32", "/cam", "192.0.2.10", "/cam", True),
        ("192.0.2.10/32", "/cam", "192.0.2.10", "/cam/", False),
        ("192.0.2.10/32", "/cam", "192.0.2.10", "/CAM", False),
        ("192.0.2.10/32", None, "", "/any", False),
        ("192.0.2.10/32", None, "cam.example", "/any", False),
        ("192.0.2.10/32", None, "192.0.2.010", "/any", False),
    ],
)
def test_a_source_is_known_or_not(
    camera: Camera, make_raw: Make, make_arrival: Make, network: str, path: str, address: str, sent_to: str, known: bool
) -> None:
    here = replace(camera, networks=(ip_network(network),), path=path)
    arrival = make_arrival(address=address, path=sent_to)
    if known:
        assert admit(make_raw(), arrival, [here]).camera is here
    else:
        assert reason(make_raw(), arrival, here) == "unknown_source"


def test_no_cameras_know_no_source(make_raw: Make, make_arrival: Make) -> None:
    assert reason(make_raw(), make_arrival()) == "unknown_source"


@pytest.mark.parametrize(
    ("configured", "heard", "known"),
    [
        (None, None, True),
        (None, "anything", True),
        ("SN-1", "SN-1", True),
        ("SN-1", "sn1", True),
        ("00:11:22:AA:bb:cc", "00-11-22-aa-BB-CC", True),
        ("SN-1", "SN-2", False),
        ("SN-1", "", False),
        ("SN-1", None, False),
    ],
)
def test_an_identity_is_the_configured_one(
    camera: Camera, make_raw: Make, make_arrival: Make, configured: str | None, heard: str | None, known: bool
) -> None:
    here, raw = replace(camera, identity=configured), make_raw(camera_identity=heard)
    if known:
        assert admit(raw, make_arrival(), [here]).camera is here
    else:
        assert reason(raw, make_arrival(), here) == "unknown_identity"


def test_of_cameras_behind_one_address_the_one_with_the_identity_is_meant(
    camera: Camera, make_raw: Make, make_arrival: Make
) -> None:
    one, two = replace(camera, id="one", identity="A1"), replace(camera, id="two", identity="B2")
    rest = replace(camera, id="rest")
    for order in ([one, two, rest], [rest, two, one]):
        for heard, found in (("A1", one), ("b-2", two), ("C3", rest), (None, rest)):
            assert known_camera(make_raw(camera_identity=heard), make_arrival(), order) is found
    elsewhere = replace(camera, id="elsewhere", networks=(ip_network("198.51.100.0/24"),), identity="A1")
    assert known_camera(make_raw(camera_identity="A1"), make_arrival(), [elsewhere, one]) is one


# authorised


@pytest.mark.parametrize(
    ("at_ms", "answer"),
    [
        (ms(2025, 12, 31, 23, 59, 59), "not_yet_authorised"),
        (ms(2026, 1, 1), None),
        (ms(2026, 3, 31, 23, 59, 59), None),
        (ms(2026, 4, 1), "authorisation_expired"),
        (ms(2027, 1, 1), "authorisation_expired"),
    ],
)
def test_both_days_of_an_authorisation_count_in_utc(
    camera: Camera, make_raw: Make, make_arrival: Make, at_ms: int, answer: str | None
) -> None:
    given_to = replace(camera, authorisation=Authorisation("A", date(2026, 1, 1), date(2026, 3, 31)))
    if answer is None:
        assert admit(make_raw(time=None), make_arrival(at_ms), [given_to]).camera is given_to
    else:
        assert reason(make_raw(time=None), make_arrival(at_ms), given_to) == answer


def test_the_nodes_clock_decides_not_the_cameras(camera: Camera, make_raw: Make, make_arrival: Make) -> None:
    past = replace(camera, authorisation=Authorisation("A", date(2025, 1, 1), date(2025, 6, 1)))
    raw = make_raw(time=datetime(2025, 3, 1, tzinfo=UTC))
    assert reason(raw, make_arrival(), past) == "authorisation_expired"


def test_a_text_too_long_to_be_a_plate_is_refused(camera: Camera, make_raw: Make, make_arrival: Make) -> None:
    assert admit(make_raw(plate_heard="A" * 64), make_arrival(), [camera]).vrm == "A" * 64
    assert reason(make_raw(plate_heard="A" * 65), make_arrival(), camera) == "vrm_too_long"


# when


@pytest.mark.parametrize(
    ("policy", "zone", "said", "utc_ms", "source"),
    [
        ("camera_offset", LONDON, datetime(2026, 7, 1, 12, tzinfo=UTC), ms(2026, 7, 1, 12), "camera_offset"),
        ("camera_offset", LONDON, datetime(2026, 7, 1, 20, tzinfo=FACTORY), ms(2026, 7, 1, 12), "camera_offset"),
        # a clock face without a zone is read in the configured one, in summer and in winter
        ("camera_offset", LONDON, datetime(2026, 7, 1, 13), ms(2026, 7, 1, 12), "camera_zone"),
        ("camera_offset", BERLIN, datetime(2026, 7, 1, 14), ms(2026, 7, 1, 12), "camera_zone"),
        ("camera_zone", BERLIN, datetime(2026, 2, 1, 13), ms(2026, 2, 1, 12), "camera_zone"),
        # a factory zone on a clock set to local time
        ("camera_zone", LONDON, datetime(2026, 7, 1, 13, tzinfo=FACTORY), ms(2026, 7, 1, 12), "camera_zone"),
        ("camera_zone", BERLIN, datetime(2026, 7, 1, 14, tzinfo=FACTORY), ms(2026, 7, 1, 12), "camera_zone"),
        # the hour that comes twice (first of the two) and the hour that does not come
        ("camera_zone", LONDON, datetime(2026, 10, 25, 1, 30), ms(2026, 10, 25, 0, 30), "camera_zone"),
        ("camera_zone", LONDON, datetime(2026, 3, 29, 1, 30), ms(2026, 3, 29, 1, 30), "camera_zone"),
        ("arrival", LONDON, datetime(2026, 7, 1, 12, tzinfo=UTC), ms(2026, 7, 1, 12) + 2_000, "arrival"),
    ],
)
def test_a_time_in_its_zone(
    camera: Camera,
    make_raw: Make,
    make_arrival: Make,
    policy: str,
    zone: ZoneInfo,
    said: datetime,
    utc_ms: int,
    source: str,
) -> None:
    here = replace(camera, time=TimePolicy(policy), zone=zone)
    arrived_ms = utc_ms if policy == "arrival" else utc_ms + 2_000
    read = admit(make_raw(time=said, time_heard="as heard"), make_arrival(arrived_ms), [here])
    assert read.captured.utc_ms == utc_ms
    assert read.captured.source is TimeSource(source)
    assert read.captured.heard == "as heard"
    assert read.captured.bound_ms is None
    assert read.clock_skew_ms == -2_000


@pytest.mark.parametrize("policy", TimePolicy)
def test_without_a_time_it_is_the_arrival_and_there_is_no_skew(
    camera: Camera, make_raw: Make, make_arrival: Make, policy: TimePolicy
) -> None:
    read = admit(
        make_raw(time=None, time_heard=None), make_arrival(5_000 + ms(2026, 2, 2)), [replace(camera, time=policy)]
    )
    assert read.captured.utc_ms == 5_000 + ms(2026, 2, 2)
    assert read.captured.source is TimeSource.ARRIVAL
    assert (read.captured.heard, read.clock_skew_ms) == (None, None)


@pytest.mark.parametrize(
    ("skew_ms", "believed"),
    [
        (0, True),
        (120_000, True),
        (120_001, False),
        (-3_600_000, True),
        (-3_600_001, False),
        (8 * 3_600_000, False),
        (-10 * 365 * 86_400_000, False),
        (20 * 365 * 86_400_000, False),
    ],
)
def test_an_implausible_time_is_replaced_by_the_arrival_and_its_skew_kept(
    camera: Camera, make_raw: Make, make_arrival: Make, skew_ms: int, believed: bool
) -> None:
    arrived_ms = ms(2026, 5, 5)
    said = datetime.fromtimestamp(0, UTC) + timedelta(milliseconds=arrived_ms + skew_ms)
    read = admit(make_raw(time=said, time_heard="as heard"), make_arrival(arrived_ms), [camera])
    assert read.clock_skew_ms == skew_ms
    assert read.captured.heard == "as heard"
    expected = (arrived_ms + skew_ms, "camera_offset") if believed else (arrived_ms, "arrival")
    assert (read.captured.utc_ms, read.captured.source.value) == expected


@pytest.mark.parametrize("zone", ["Europe/London", "Europe/Berlin", "Asia/Shanghai", "America/Los_Angeles"])
@pytest.mark.parametrize("policy", [TimePolicy.CAMERA_OFFSET, TimePolicy.CAMERA_ZONE])
@pytest.mark.parametrize(
    "said",
    [
        datetime.min,
        datetime.max,
        datetime(1970, 1, 1),
        datetime.min.replace(tzinfo=FACTORY),
        datetime.max.replace(tzinfo=timezone(timedelta(hours=-8))),
    ],
    ids=str,
)
def test_a_clock_at_the_end_of_the_calendar_is_only_implausible(
    camera: Camera, make_raw: Make, make_arrival: Make, zone: str, policy: TimePolicy, said: datetime
) -> None:
    here = replace(camera, zone=ZoneInfo(zone), time=policy)
    read = admit(make_raw(time=said), make_arrival(), [here])
    assert read.captured.source is TimeSource.ARRIVAL


_CAMERA = Camera(
    *("c", "generic", (ip_network("192.0.2.10/32"),), None, None, None, LONDON),
    *(TimePolicy.CAMERA_OFFSET, 3600, 120, True, None, Authorisation("A", date(2026, 1, 1), date(2026, 12, 31))),
)


@given(
    st.datetimes(datetime(1900, 1, 1), datetime(2100, 1, 1), timezones=st.none() | st.timezones()),
    st.sampled_from(TimePolicy),
    st.timezones(),
)
@settings(deadline=None)  # the first look at a zone reads its file
def test_any_moment_is_within_the_plausible_span_of_the_arrival(
    said: datetime, policy: TimePolicy, zone: ZoneInfo
) -> None:
    here = replace(_CAMERA, time=policy, zone=zone)
    raw = RawRead("generic", 1, None, None, "A", None, None, None, None, said, "as heard", ())
    received = Received(ms(2026, 6, 1), 5, ClockState.SYNCHRONISED, 1, "b")
    captured, skew_ms = judge_time(raw, here, received)
    assert skew_ms is not None
    assert -3_600_000 <= captured.utc_ms - received.utc_ms <= 120_000
    if captured.source is TimeSource.ARRIVAL:
        assert captured.utc_ms == received.utc_ms
    else:
        assert captured.utc_ms == received.utc_ms + skew_ms


# known again


PICTURE = RawImage(Role.OVERVIEW, b"a picture")


def test_a_passage_with_a_vendors_identity_is_known_by_it_alone(camera: Camera, make_raw: Make) -> None:
    key = repeat_key(make_raw(vendor_id="p-1"), camera)
    assert key is not None
    assert len(key) == 16
    for change in ({"plate_heard": "OTHER"}, {"images": (PICTURE,)}, {"time_heard": "later"}, {"confidence": 1}):
        assert repeat_key(make_raw(vendor_id="p-1", **change), camera) == key
    assert repeat_key(make_raw(vendor_id="p-2"), camera) != key
    assert repeat_key(make_raw(vendor_id="p-1"), replace(camera, id="cam-south")) != key


def test_a_passage_without_one_is_known_by_its_pictures_and_time(camera: Camera, make_raw: Make) -> None:
    key = repeat_key(make_raw(images=(PICTURE,)), camera)
    assert key is not None
    assert repeat_key(make_raw(images=(PICTURE,), plate_heard="OTHER"), camera) == key
    other = RawImage(Role.OVERVIEW, b"another picture")
    for images in ((other,), (PICTURE, other), (PICTURE, PICTURE), (other, PICTURE)):
        assert repeat_key(make_raw(images=images), camera) != key
    assert repeat_key(make_raw(images=(PICTURE,), time_heard="later"), camera) != key
    assert repeat_key(make_raw(images=(PICTURE,)), replace(camera, id="cam-south")) != key


@pytest.mark.parametrize("vendor_id", [None, ""])
def test_a_text_alone_has_no_key(camera: Camera, make_raw: Make, vendor_id: str | None) -> None:
    for plate in ("", "AB12 CDE", "ZZ99 QXJ"):
        assert repeat_key(make_raw(vendor_id=vendor_id, plate_heard=plate), camera) is None


def test_an_identity_is_not_taken_for_a_picture(camera: Camera, make_raw: Make) -> None:
    keys = {
        repeat_key(make_raw(vendor_id="x"), camera),
        repeat_key(make_raw(images=(RawImage(Role.OVERVIEW, b"x"),)), camera),
        repeat_key(make_raw(images=(RawImage(Role.OVERVIEW, b""),)), camera),
        repeat_key(make_raw(images=(RawImage(Role.OVERVIEW, b"x"),), time_heard=None), camera),
    }
    assert len(keys) == 4


def test_the_accepted_read_carries_all_of_it(camera: Camera, make_raw: Make, make_arrival: Make) -> None:
    raw, arrival = make_raw(vendor_id="p-1", plate_heard="ab12 cde"), make_arrival()
    read = admit(raw, arrival, [camera])
    assert (read.camera, read.raw, read.vrm, read.received) == (camera, raw, "AB12CDE", arrival.received)
    assert read.repeat_key == repeat_key(raw, camera)
    assert "AB12CDE" not in repr(read)
    assert "ab12 cde" not in repr(read)
