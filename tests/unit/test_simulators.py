"""The simulated world does what real cameras, brokers and links do; without that, no test against it means anything."""

from __future__ import annotations

import email
import email.policy
import io
import itertools
import json
import random
import re
from datetime import UTC, datetime, timedelta, timezone
from email.message import EmailMessage
from pathlib import Path

import pytest
from defusedxml import ElementTree
from PIL import Image, ImageStat

from simulators import site_files
from simulators.children import Child, SiteFailed, children
from simulators.payloads import (
    Device,
    Event,
    Headers,
    Push,
    event,
    generic_json,
    hikvision_heartbeat,
    hikvision_other,
    hikvision_push,
)
from simulators.pictures import Road
from simulators.traffic import Direction, Vehicle, vehicles

ROOT = Path(__file__).resolve().parents[2]
NS = "{http://www.hikvision.com/ver20/XMLSchema}"
DEVICE = Device(mac="02:00:00:00:00:07", address="127.0.0.17")
SMALL = (640, 360)
LIMIT_S = 30.0


def some_event(*, readable: bool = True, size: tuple[int, int] = SMALL) -> Event:
    vehicle = next(v for v in vehicles(5, 1.0, unread=0.5) if v.readable is readable)
    at = datetime(2026, 7, 1, 9, 30, 0, 123_000, timezone(timedelta(hours=1)))
    return event(random.Random(5), at, vehicle, Road(5, size).take(vehicle))


def parts(push: Push) -> dict[str, EmailMessage]:
    """The parts by name, as another implementation of multipart reads them."""
    head = f"Content-Type: {push.content_type}\r\n\r\n".encode()
    message = email.message_from_bytes(head + push.body, policy=email.policy.HTTP)
    found: dict[str, EmailMessage] = {}
    for part in message.iter_parts():
        assert isinstance(part, EmailMessage)
        found[str(part.get_param("name", header="content-disposition"))] = part
    return found


def content(part: EmailMessage) -> bytes:
    found = part.get_payload(decode=True)
    assert isinstance(found, bytes)
    return found


# --- traffic


def test_traffic_is_the_same_for_the_same_seed_and_no_other() -> None:
    def first(seed: int) -> list[Vehicle]:
        return list(itertools.islice(vehicles(seed, 3.0), 50))

    assert first(1) == first(1)
    assert first(1) != first(2)


def test_vehicles_arrive_at_their_rate_and_carry_marks_that_are_nobodys() -> None:
    some = list(itertools.islice(vehicles(1, 4.0, unread=0.2), 4000))
    assert 3.8 < len(some) / some[-1].at_s < 4.2
    assert all(re.fullmatch(r"[A-Z]{2}(3[2-9]|4\d|8[2-9]|9\d) [A-Z]{3}", v.vrm) for v in some)
    assert not any(set("IQ") & set(v.vrm) for v in some)
    assert {v.direction for v in some} == set(Direction)
    assert 0.15 < sum(not v.readable for v in some) / len(some) < 0.25
    assert some[0].vrm not in repr(some[0])


# --- pictures


@pytest.mark.parametrize("infrared", [False, True])
def test_an_overview_is_as_large_as_a_cameras_and_holds_the_plate_where_it_says(*, infrared: bool) -> None:
    vehicle = next(vehicles(3, 1.0))
    taken = Road(3, infrared=infrared).take(vehicle)
    assert 200_000 < len(taken.overview) < 400_000
    overview = Image.open(io.BytesIO(taken.overview))
    assert (overview.format, overview.size) == ("JPEG", (1920, 1080))
    x, y, w, h = taken.plate_box_px
    plate = overview.convert("L").crop((x, y, x + w, y + h))
    levels = plate.histogram()
    assert sum(levels[:60]) > w * h * 0.05
    assert sum(levels[150:]) > w * h * 0.4
    crop = Image.open(io.BytesIO(taken.plate))
    assert crop.format == "JPEG"
    assert 180 <= crop.width <= 220
    assert 50 <= crop.height <= 70


def test_infrared_is_grey_and_a_rear_plate_by_day_is_yellow() -> None:
    away = next(v for v in vehicles(3, 1.0) if v.direction is Direction.AWAY)
    for infrared, low, high in ((False, 60, 255), (True, -3, 3)):
        taken = Road(3, SMALL, infrared=infrared).take(away)
        x, y, w, _ = taken.plate_box_px
        edge = Image.open(io.BytesIO(taken.overview)).crop((x, y, x + w, y + 3))
        red, _, blue = ImageStat.Stat(edge).mean
        assert low <= red - blue <= high


# --- payloads


@pytest.mark.parametrize("headers", list(Headers))
def test_a_push_can_be_read_by_another_implementation(headers: Headers) -> None:
    what = some_event()
    push = hikvision_push(DEVICE, what, headers)
    assert push.content_type == "multipart/form-data; boundary=boundary"
    found = parts(push)
    assert content(found["licensePlatePicture.jpg"]) == what.pictures.plate
    assert content(found["detectionPicture.jpg"]) == what.pictures.overview
    xml = ElementTree.fromstring(content(found["anpr.xml"]))
    assert xml.tag == f"{NS}EventNotificationAlert"
    assert xml.get("version") == "2.0"
    assert xml.findtext(f"{NS}macAddress") == DEVICE.mac
    assert xml.findtext(f"{NS}eventType") == "ANPR"
    assert xml.findtext(f"{NS}dateTime") == "2026-07-01T09:30:00+01:00"
    assert xml.findtext(f"{NS}UUID") == what.uuid
    assert xml.findtext(f"{NS}picNum") == "2"
    assert xml.findtext(f"{NS}isDataRetransmission") == "false"
    assert xml.findtext(f"{NS}ANPR/{NS}licensePlate") == what.vehicle.vrm.replace(" ", "")
    assert xml.findtext(f"{NS}ANPR/{NS}direction") in ("forward", "reverse")
    assert [t.text for t in xml.iter(f"{NS}absTime")] == ["20260701093000123"] * 2


def test_the_plates_box_is_in_thousandths_of_the_scene() -> None:
    what = some_event()
    xml = ElementTree.fromstring(content(parts(hikvision_push(DEVICE, what))["anpr.xml"]))
    rect = next(xml.iter(f"{NS}plateRect"))
    told = [int(str(rect.findtext(f"{NS}{name}"))) for name in ("X", "Y", "width", "height")]
    for thousandths, pixels, whole in zip(told, what.pictures.plate_box_px, (*SMALL, *SMALL), strict=True):
        assert abs(thousandths * whole / 1000 - pixels) <= whole / 1000


def test_an_unread_vehicle_has_no_plate_and_no_picture_of_one() -> None:
    what = some_event(readable=False)
    push = hikvision_push(DEVICE, what)
    xml = ElementTree.fromstring(content(parts(push)["anpr.xml"]))
    assert "licensePlatePicture.jpg" not in parts(push)
    assert xml.findtext(f"{NS}ANPR/{NS}licensePlate") == "unknown"
    assert xml.findtext(f"{NS}ANPR/{NS}confidenceLevel") == "0"
    assert xml.findtext(f"{NS}picNum") == "1"
    assert what.vehicle.vrm.replace(" ", "").encode() not in push.body
    told = json.loads(generic_json("lane-1", what).body)
    assert told["plate"] is None
    assert "plate_patch" not in told


def test_heartbeat_and_other_events_are_told_apart_from_reads() -> None:
    at = datetime(2026, 1, 2, tzinfo=UTC)
    beat = ElementTree.fromstring(hikvision_heartbeat(DEVICE, at).body)
    assert [beat.findtext(f"{NS}{n}") for n in ("eventType", "eventState", "channelID")] == [
        "videoloss",
        "inactive",
        "0",
    ]
    other = ElementTree.fromstring(hikvision_other(DEVICE, at).body)
    assert other.findtext(f"{NS}eventType") == "fielddetection"


def test_a_captured_heartbeat_has_the_same_fields_as_ours() -> None:
    captured = ROOT / "../shared/payloads/hikvision/alertstream_videoloss_heartbeat_issue88.txt"
    if not captured.exists():
        pytest.skip(f"no captures of real cameras at {captured.parent}")
    real = captured.read_text().partition("--boundary")[0]
    ours = hikvision_heartbeat(DEVICE, datetime(2026, 1, 2, tzinfo=UTC)).body
    assert [e.tag for e in ElementTree.fromstring(real)] == [e.tag for e in ElementTree.fromstring(ours)]


def test_a_captured_reads_fields_hold_all_of_ours() -> None:
    captured = ROOT / "../shared/payloads/hikvision/parkpow_anpr.xml"
    if not captured.exists():
        pytest.skip(f"no captures of real cameras at {captured.parent}")
    real = {e.tag for e in ElementTree.fromstring(captured.read_bytes()).iter()}
    ours = ElementTree.fromstring(content(parts(hikvision_push(DEVICE, some_event()))["anpr.xml"]))
    assert {e.tag for e in ours.iter()} - real == {f"{NS}speed"}


def test_a_time_without_a_zone_is_refused() -> None:
    what = some_event()
    with pytest.raises(ValueError, match="zone"):
        event(random.Random(1), datetime(2026, 1, 1), what.vehicle, what.pictures)


# --- site


def test_a_child_that_ends_too_early_is_named_with_the_end_of_its_log(tmp_path: Path) -> None:
    with children(tmp_path) as them:
        child = them.start("broken", ["simulators", "network", "--to", "nowhere"])
        with pytest.raises(SiteFailed, match=r"broken ended with code 64(.|\n)*--to must be HOST:PORT"):
            them.wait_for("the broken one", child.last_json, LIMIT_S)


def test_children_are_stopped_however_the_block_ends(tmp_path: Path) -> None:
    started: list[Child] = []

    def site() -> None:
        with children(tmp_path) as them:
            started.append(them.start("broker", ["simulators", "broker", "--kind", "amqtt"]))
            them.wait_for("the broker", started[0].last_json, LIMIT_S)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        site()
    assert started[0].last_json() is not None
    assert started[0].ended


def test_the_cameras_of_a_site_have_addresses_and_identities_of_their_own() -> None:
    mounted = site_files.cameras(200)
    assert len({camera.address for camera in mounted}) == len({camera.mac for camera in mounted}) == 200
    with pytest.raises(ValueError, match="1 to 200"):
        site_files.cameras(201)
