"""Each vendor's form read back by a reader that was written beside it: what the journal says of an event is in it.

The readers use the standard library and nothing of the simulators' or the node's.
"""

from __future__ import annotations

import base64
import email
import email.policy
import hashlib
import io
import json
import random
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import pytest
from defusedxml import ElementTree
from PIL import Image

from simulators.over.ways import WAYS, Way
from simulators.payloads import Device, Event, event
from simulators.pictures import Road
from simulators.traffic import Direction, vehicles
from simulators.vendors import nedap, telling
from simulators.vendors.telling import Mount

ROOT = Path(__file__).resolve().parents[2]
ZONE = timezone(timedelta(hours=1))
DEVICE = Device(mac="02:00:00:00:00:07", address="127.0.0.17")
ROAD = Road(5, (320, 180))


@dataclass(frozen=True, slots=True)
class Seen:
    """One request, part, file or message as it arrived."""

    body: bytes = field(repr=False)
    content_type: str = ""
    path: str = ""
    headers: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Read:
    """What was read of one passage."""

    plate: str | None
    ms: int | None
    direction: str | None
    pictures: int

    def is_of(self, line: dict[str, Any]) -> bool:
        """Whether a line of a journal says the same."""
        told = self.ms if self.ms is None else self.ms // line["within_ms"] * line["within_ms"]
        plate = None if self.plate is None else hashlib.sha256(f"{line['uuid']}{self.plate}".encode()).hexdigest()
        mine = (plate, told, self.direction, self.pictures)
        return mine == (line["plate_sha256"], line["told_ms"], line["direction"], line["pictures"])


Reader = Callable[[Sequence[Seen]], list[Read]]


def local_ms(text: str, form: str) -> int:
    return round(datetime.strptime(text, form).replace(tzinfo=ZONE).timestamp() * 1000)


def utc_ms(text: str, form: str) -> int:
    return round(datetime.strptime(text, form).replace(tzinfo=UTC).timestamp() * 1000)


def jpegs(*encoded: str) -> int:
    """How many of these texts are pictures; each that is not empty must be one."""
    for text in filter(None, encoded):
        assert Image.open(io.BytesIO(base64.b64decode(text, validate=True))).format == "JPEG"
    return len([text for text in encoded if text])


def is_jpeg(body: bytes) -> bool:
    return body.startswith(b"\xff\xd8") and body.rstrip().endswith(b"\xff\xd9")


def form_parts(seen: Seen) -> dict[str, bytes]:
    message = email.message_from_bytes(
        f"Content-Type: {seen.content_type}\r\n\r\n".encode() + seen.body, policy=email.policy.HTTP
    )
    return {
        str(part.get_param("name", header="content-disposition")): bytes(part.get_payload(decode=True))  # type: ignore[arg-type]
        for part in message.iter_parts()  # type: ignore[attr-defined]
    }


def plain(plate: str | None, *unread: str) -> str | None:
    return None if plate is None or plate in ("", *unread) else plate.upper().replace(" ", "")


def xml_of(body: bytes) -> Any:
    return ElementTree.fromstring(re.sub(rb' xmlns="[^"]*"', b"", body.strip()))


WAY = {"forward": "toward", "reverse": "away", "in": "toward", "out": "away"}


def hikvision_event(body: bytes, pictures: int) -> Read | None:
    root = xml_of(body)
    if root.findtext("eventType") != "ANPR":
        return None
    text = str(root.findtext("dateTime"))
    # the offset that stands there is the factory's, or the right one: the clock's face is the zone's either way
    ms = local_ms(text[:19], "%Y-%m-%dT%H:%M:%S")
    if exact := root.findtext(".//absTime"):
        ms = local_ms(exact + "000", "%Y%m%d%H%M%S%f")
    return Read(
        plain(root.findtext("ANPR/licensePlate"), "unknown"), ms, WAY[root.findtext("ANPR/direction")], pictures
    )


def hikvision_push(all_seen: Sequence[Seen]) -> list[Read]:
    found = []
    for seen in all_seen:
        if seen.content_type.startswith("multipart"):
            parts = form_parts(seen)
            found.append(hikvision_event(parts["anpr.xml"], sum(is_jpeg(body) for body in parts.values())))
    return [read for read in found if read]


def hikvision_stream(all_seen: Sequence[Seen]) -> list[Read]:
    found: list[Read] = []
    for seen in all_seen:
        if is_jpeg(seen.body):
            found[-1] = replace(found[-1], pictures=found[-1].pictures + 1)
        elif read := hikvision_event(seen.body, 0):
            found.append(read)
    return found


def hikvision_poll(all_seen: Sequence[Seen]) -> list[Read]:
    """The answers to the questions, and the pictures that were asked for by their names."""
    names = {seen.path for seen in all_seen if is_jpeg(seen.body)}
    found: dict[str, Read] = {}
    for seen in all_seen:
        if is_jpeg(seen.body):
            continue
        for plate in xml_of(seen.body[seen.body.index(b"<") :]).iter("Plate"):
            name = plate.findtext("picName")
            ms = local_ms(plate.findtext("captureTime")[:15], "%Y%m%dT%H%M%S")
            has = sum(str(name) in each for each in names)
            found[name] = Read(
                plain(plate.findtext("plateNumber"), "unknown"), ms, WAY[plate.findtext("direction")], has
            )
    return list(found.values())


def dahua_push(all_seen: Sequence[Seen]) -> list[Read]:
    found = []
    for seen in all_seen:
        if not seen.path.endswith("TollgateInfo"):
            continue
        picture = json.loads(seen.body)["Picture"]
        snap, plate = picture["SnapInfo"], picture["Plate"]
        way = {"Obverse": "toward", "Reverse": "away"}[snap["Direction"]]
        ms = local_ms(snap["AccurateTime"], "%Y-%m-%d %H:%M:%S.%f")
        encoded = [picture[name]["Content"] for name in ("NormalPic", "CutoutPic") if name in picture]
        found.append(Read(plain(plate["PlateNumber"]), ms, way, jpegs(*encoded)))
    return found


def dahua_event(data: dict[str, Any], pictures: int) -> Read:
    way = {"Approach": "toward", "Leave": "away"}[data["TrafficCar"]["DrivingDirection"][0]]
    shown = int(data["UTC"]) - int(ZONE.utcoffset(None).total_seconds())
    assert shown == int(data.get("RealUTC", shown))
    ms = shown * 1000 + int(data["UTCMS"])
    return Read(plain(data["TrafficCar"]["PlateNumber"]), ms, way, pictures)


def dahua_events(all_seen: Sequence[Seen]) -> list[Read]:
    found: dict[int, Read] = {}
    for seen in all_seen:
        if b"data=" in seen.body:
            data = json.loads(seen.body.partition(b"data=")[2])
            assert data["Direction" if "Direction" in data else "EventID"] in (0, 516)
            found[data["GroupID"]] = dahua_event(data, 0)
    return list(found.values())


def dahua_snaps(all_seen: Sequence[Seen]) -> list[Read]:
    found: dict[str, Read] = {}
    group = ""
    for seen in all_seen:
        if is_jpeg(seen.body):
            found[group] = replace(found[group], pictures=found[group].pictures + 1)
        elif seen.body.startswith(b"Events[0]."):
            lines = dict(line.partition("=")[::2] for line in seen.body.decode().split("\r\n") if line)
            group = lines["Events[0].GroupID"]
            data: dict[str, Any] = {name: lines[f"Events[0].{name}"] for name in ("UTC", "UTCMS", "RealUTC")}
            data["TrafficCar"] = {
                "PlateNumber": lines["Events[0].TrafficCar.PlateNumber"],
                "DrivingDirection": [lines["Events[0].TrafficCar.DrivingDirection[0]"]],
            }
            found[group] = dahua_event(data, 0)
    return list(found.values())


def axis_told(all_told: Iterable[tuple[dict[str, Any], int]]) -> list[Read]:
    """By car; the last word counts, the pictures come with any of them."""
    found: dict[str, Read] = {}
    for told, pictures in all_told:
        way = {"in": "toward", "out": "away", "unknown": None}[told["carMoveDirection"]]
        before = found.get(told["carID"])
        most = max(pictures, before.pictures if before else 0)
        found[told["carID"]] = Read(plain(told["plateUTF8"]), int(told["capture_timestamp"]), way, most)
    return list(found.values())


def axis_push(all_seen: Sequence[Seen]) -> list[Read]:
    told = []
    for seen in all_seen:
        if seen.path.endswith("heartbeat"):
            continue
        if seen.content_type.startswith("multipart"):
            parts = form_parts(seen)
            told.append((json.loads(parts["event"]), int("image" in parts and is_jpeg(parts["image"]))))
        else:
            one = json.loads(seen.body)
            told.append((one, jpegs(*(each["BinaryImage"] for each in one.get("ImageArray", [])))))
    return axis_told(told)


def json_objects(data: bytes) -> list[Any]:
    """Objects back to back, with nothing or anything between them."""
    text, decoder, found = data.decode("utf-8", "replace"), json.JSONDecoder(), []
    at = text.find("{")
    while at >= 0:
        one, end = decoder.raw_decode(text, at)
        found.append(one)
        at = text.find("{", end)
    return found


def axis_tcp(all_seen: Sequence[Seen]) -> list[Read]:
    told = json_objects(b"".join(seen.body for seen in all_seen))
    return axis_told((one, jpegs(*(each["BinaryImage"] for each in one.get("ImageArray", [])))) for one in told)


def axis_ftp(all_seen: Sequence[Seen]) -> list[Read]:
    found = []
    for seen in all_seen:
        name = seen.path.rpartition("/")[2].removesuffix(".jpg").removesuffix("_Ford_Fiesta_CAR_BLUE")
        stamp, ms, _, _, way, _, plate, country = name.split("_")
        assert (country, is_jpeg(seen.body)) == ("GBR", True)
        assert seen.path.split("/")[-3:-1] == [stamp[:6], stamp[6:8]]
        found.append(Read(plain(plate), local_ms(f"{stamp}{ms}000", "%Y%m%d%H%M%S%f"), WAY[way], 1))
    return found


def tvt_push(all_seen: Sequence[Seen]) -> list[Read]:
    found = []
    for seen in all_seen:
        root = xml_of(seen.body)
        if root.tag != "config" or root.findtext("smartType") is None:
            continue
        text = root.findtext("currentTime")
        ms: int | None = int(text) // 1000 if text.isdigit() and len(text) < 20 else None
        if "M" in text:
            ms = local_ms(text, "%m-%d-%Y %I:%M:%S %p")
        encoded = [each.text for tag in ("targetBase64Data", "sourceBase64Data") for each in root.iter(tag)]
        plate = next((each.text for tag in ("plateNumber", "licensePlateNumber") for each in root.iter(tag)), None)
        found.append(Read(plain(plate, "<NO PLATE>"), ms, None, jpegs(*encoded)))
    return found


def milesight_fields(told: dict[str, str], pictures: int) -> Read:
    way = {"Approach": "toward", "Away": "away", "-": None}[told["direction"]]
    return Read(plain(told["plate"]), local_ms(told["time_msec"], "%Y-%m-%d %H:%M:%S.%f"), way, pictures)


def milesight_push(all_seen: Sequence[Seen]) -> list[Read]:
    told = [one for seen in all_seen if "plate" in (one := json.loads(seen.body))]
    return [milesight_fields(one, jpegs(one["plate_image"], one["full_image"])) for one in told]


def milesight_poll(all_seen: Sequence[Seen]) -> list[Read]:
    found: dict[tuple[str, str], Read] = {}
    for seen in all_seen:
        told: dict[str, dict[str, str]] = {}
        for line in seen.body.decode().split("\r\n"):
            if match := re.fullmatch(r"(.+)_(\d)=(.*)", line):
                told.setdefault(match[2], {})[match[1]] = match[3]
        found |= {(one["time"], one["plate"]): milesight_fields(one, 0) for one in told.values()}
    return list(found.values())


def vaxtor(all_seen: Sequence[Seen]) -> list[Read]:
    found = []
    for told in json_objects(b"".join(seen.body for seen in all_seen)):
        assert told["cameraid"] == "$cameraid$"
        ms = None if told["date"] == "$date$" else local_ms(told["date"], "%Y-%m-%dT%H:%M:%S.%f")
        way = {"1": "toward", "2": "away"}[told["direction"]]
        found.append(Read(plain(told["plate"]), ms, way, jpegs(told["plateimage"], told["overviewimage"])))
    return found


def rekor(all_seen: Sequence[Seen]) -> list[Read]:
    found = {}
    for told in (json.loads(seen.body) for seen in all_seen):
        if told["data_type"] == "vehicle":
            found[told["best_uuid"]] = Read(None, told["epoch_start"], None, jpegs(told["overview_jpeg"]))
        if told["data_type"] == "alpr_group" and not told["is_preview"]:
            best = told["best_plate"]
            crop = "" if isinstance(best, str) else best["plate_crop_jpeg"]
            plate = told["best_plate_number"]
            pictures = jpegs(crop, told["overview_jpeg"], told["vehicle_crop_jpeg"])
            found[told["best_uuid"]] = Read(plate, told["epoch_start"], None, pictures)
    return list(found.values())


def platerecognizer(all_seen: Sequence[Seen]) -> list[Read]:
    found = []
    for seen in all_seen:
        if seen.content_type.startswith("multipart"):
            parts = form_parts(seen)
            text, pictures = parts["json"].decode(), int(is_jpeg(parts["upload"]))
        else:
            text, pictures = parse_qs(seen.body.decode())["json"][0], 0
        data = json.loads(text)["data"]
        for result in data["results"]:
            plate = result["plate"]
            plate = plate if isinstance(plate, str) else plate["props"]["plate"][0]["value"]
            assert plate == plate.lower()
            found.append(Read(plain(plate), utc_ms(data["timestamp"], "%Y-%m-%dT%H:%M:%S.%fZ"), None, pictures))
    return found


def tattile(all_seen: Sequence[Seen]) -> list[Read]:
    data, found = b"".join(seen.body for seen in all_seen), []
    for body in re.findall(rb"<(?:root|Msg|MESSAGE)>.*?</(?:root|Msg|MESSAGE)>", data, re.DOTALL):
        root = xml_of(body)
        time = root.findtext("TIME")
        form = "%Y-%m-%d %H:%M:%S" if ":" in time else "%Y-%m-%d %H-%M-%S-%f"
        way = {"APPROACH": "toward", "GOAWAY": "away"}[root.findtext("DIRECTION")]
        pictures = jpegs(root.findtext("IMAGE_OCR"), root.findtext("IMAGE_CTX"))
        found.append(
            Read(plain(root.findtext("PLATE_STRING")), local_ms(f"{root.findtext('DATE')} {time}", form), way, pictures)
        )
    return found


def survision(all_seen: Sequence[Seen]) -> list[Read]:
    found = []
    for seen in all_seen:
        anpr = json.loads(seen.body)["anpr"]
        assert seen.headers["survision-serial-number"] == "020000000007"
        for kind in ("decision", "noPlate"):
            if kind in anpr:
                ms, one = int(anpr["@date"]), anpr[kind]
                found.append(Read(plain(one.get("@plate")), ms, None, jpegs(one["jpeg"]["#text"])))
    return found


def uniview(all_seen: Sequence[Seen]) -> list[Read]:
    found = []
    for seen in all_seen:
        told = json.loads(seen.body)
        if info := told.get("StructureInfo"):
            vehicle = info["ObjInfo"]["VehicleInfoList"][0]
            ms = local_ms(vehicle["PassTime"] + "000", "%Y%m%d%H%M%S%f")
            assert ms // 1000 == told["TimeStamp"]
            pictures = jpegs(*(each["Data"] for each in info["ImageInfoList"]))
            found.append(Read(plain(vehicle["PlateAttributeInfo"]["PlateNo"], "Unknown"), ms, None, pictures))
    return found


def lilin(all_seen: Sequence[Seen]) -> list[Read]:
    found = []
    for seen in all_seen:
        if match := re.search(rb"LPR0=([^,]+),.*LPR_TIME0=([^,]+ GMT)", seen.body):
            found.append(Read(match[1].decode(), utc_ms(match[2].decode(), "%Y-%m-%d %H:%M:%S GMT"), None, 0))
    return found


def nedap_raw(all_seen: Sequence[Seen]) -> list[Read]:
    lines = b"".join(seen.body for seen in all_seen).decode().split("\r\n")
    return [Read(None if line == "NOREAD" else line.removesuffix("-GBR"), None, None, 0) for line in lines if line]


def genetec(all_seen: Sequence[Seen]) -> list[Read]:
    found = []
    for seen in all_seen:
        root = xml_of(seen.body)
        ms = utc_ms(f"{root.findtext('UTCDate')} {root.findtext('UTCTime')}", "%Y:%m:%d %H:%M:%S.%f")
        assert re.fullmatch(r"SHARPV12345_[0-9a-f-]{36}_lpr\.xml", seen.path.rpartition("/")[2])
        found.append(
            Read(
                plain(root.findtext("Plate")),
                ms,
                None,
                jpegs(root.findtext("ContextImage"), root.findtext("PlateImage")),
            )
        )
    return found


def verkada(all_seen: Sequence[Seen]) -> list[Read]:
    data = [json.loads(seen.body)["data"] for seen in all_seen]
    return [Read(plain(d["license_plate_number"]), d.get("detected", d["created"] * 1000), None, 0) for d in data]


def onvif(all_seen: Sequence[Seen]) -> list[Read]:
    found = []
    for seen in all_seen:
        if not seen.body.startswith(b"{") or "PropertyOperation" in (told := json.loads(seen.body)):
            continue
        plate = told["Data"]["LicensePlateInfo"]["PlateNumber"]
        ms = utc_ms(told["UtcTime"], "%Y-%m-%dT%H:%M:%S.%fZ")
        found.append(
            Read(plain(plate if isinstance(plate, str) else plate["#text"]), ms, None, jpegs(told["Data"]["Image"]))
        )
    return found


def axxonsoft(all_seen: Sequence[Seen]) -> list[Read]:
    data, found = b"".join(seen.body for seen in all_seen), []
    for text in re.findall(rb"\x02(\d{14})\d\d([^\x03]+)\x03", data):
        found.append(Read(plain(text[1].decode(), "Not defined"), local_ms(text[0].decode(), "%Y%m%d%H%M%S"), None, 0))
    for body in re.findall(rb"<CAR_PLATE.*?</CAR_PLATE>", data, re.DOTALL):
        root = xml_of(body)
        pictures = jpegs(root.text, root.get("plateImage", ""))
        ms = local_ms(root.get("time"), "%Y-%m-%dT%H:%M:%S.%f")
        found.append(Read(plain(root.get("plate"), "Not defined"), ms, WAY[root.get("direction")], pictures))
    return found


def generic(all_seen: Sequence[Seen]) -> list[Read]:
    found = []
    for told in (json.loads(seen.body) for seen in all_seen):
        if "captured_at" in told:
            ms = round(datetime.fromisoformat(told["captured_at"]).timestamp() * 1000)
            pictures = jpegs(told.get("plate_patch", ""), told["overview"])
            found.append(Read(plain(told["plate"]), ms, told["direction"], pictures))
    return found


READERS: dict[tuple[str, str], Reader] = {
    ("hikvision", "push"): hikvision_push,
    ("hikvision", "stream"): hikvision_stream,
    ("hikvision", "poll"): hikvision_poll,
    ("dahua", "push"): dahua_push,
    ("dahua", "events"): dahua_events,
    ("dahua", "snaps"): dahua_snaps,
    ("axis", "push"): axis_push,
    ("axis", "tcp"): axis_tcp,
    ("axis", "ftp"): axis_ftp,
    ("tvt", "push"): tvt_push,
    ("milesight", "push"): milesight_push,
    ("milesight", "poll"): milesight_poll,
    ("vaxtor", "tcp"): vaxtor,
    ("vaxtor", "push"): vaxtor,
    ("rekor", "push"): rekor,
    ("platerecognizer", "push"): platerecognizer,
    ("tattile", "tcp"): tattile,
    ("survision", "push"): survision,
    ("uniview", "push"): uniview,
    ("lilin", "stream"): lilin,
    ("nedap", "serial"): nedap_raw,
    ("genetec", "ftp"): genetec,
    ("verkada", "push"): verkada,
    ("onvif", "mqtt"): onvif,
    ("axxonsoft", "tcp"): axxonsoft,
    ("axxonsoft", "serial"): axxonsoft,
    ("generic", "push"): generic,
}
SHAPES = [(name, shape) for name, way in WAYS.items() for shape in way.shapes if not shape.startswith("packets")]
"""A packet is made around its text when it is sent."""


def some_event(*, readable: bool = True, direction: Direction = Direction.TOWARD) -> Event:
    passing = vehicles(5, 1.0, unread=0.5)
    vehicle = next(v for v in passing if v.readable is readable and v.direction is direction)
    at = datetime(2026, 7, 1, 9, 30, 0, 123_000, ZONE)
    return event(random.Random(5), at, vehicle, ROAD.take(vehicle))


def seen_of(way: Way, mount: Mount, what: Event) -> list[Seen]:
    messages = way.tell(mount, what).messages
    found = [Seen(m.body, m.content_type, m.path, dict(m.lines)) for m in messages]
    if way.answerer is None:
        return found
    told = way.tell(mount, what)
    target = "/ISAPI/Traffic/channels/1/vehicleDetect/plates"
    reply = way.answerer([told], target, b"") or way.answerer([told], "/operator.cgi?action=get.lpr.lastdata", b"")
    assert reply is not None
    assert reply.told == {told.uuid}
    return [Seen(reply.body), *found[1:]]


def test_every_way_has_a_reader_here() -> None:
    assert READERS.keys() == WAYS.keys()


@pytest.mark.parametrize(
    ("name", "shape"), SHAPES, ids=lambda part: "-".join(part) if isinstance(part, tuple) else part
)
@pytest.mark.parametrize("direction", list(Direction))
@pytest.mark.parametrize("readable", [True, False], ids=["read", "unread"])
def test_the_truth_of_the_journal_is_what_a_reader_gets(
    name: tuple[str, str], shape: str, direction: Direction, *, readable: bool
) -> None:
    way = WAYS[name]
    mount = Mount(DEVICE, stamp=way.stamp, shape=shape)
    what = some_event(readable=readable, direction=direction)
    told = way.tell(mount, what)
    line = {
        "uuid": told.uuid,
        "within_ms": told.truth.within_ms,
        "plate_sha256": telling.plate_digest(told.uuid, told.truth.plate),
        "told_ms": told.truth.at_ms,
        "direction": told.truth.direction and told.truth.direction.value,
        "pictures": told.truth.pictures,
    }
    seen = seen_of(way, mount, what)
    if shape == "old" and name[1] == "snaps":
        seen = [replace(seen[0], body=seen[0].body + b"Events[0].RealUTC=1782894600\r\n"), *seen[1:]]
    found = READERS[name](seen)
    if not told.truth.tells:
        assert found == []
        return
    assert [read.is_of(line) for read in found] == [True]
    plate = what.vehicle.vrm.replace(" ", "")
    assert plate not in (told.truth.vendor_id or "")
    assert plate not in repr(told)


def test_an_offset_of_the_factory_leaves_the_clocks_face() -> None:
    what = some_event()
    way = WAYS["hikvision", "stream"]
    body = way.tell(Mount(DEVICE, stamp=way.stamp), what).messages[0].body
    assert b"<dateTime>2026-07-01T09:30:00+08:00</dateTime>" in body


def test_an_old_dahua_does_not_tell_utc() -> None:
    for shape, known in (("real-utc", True), ("old", False)):
        body = WAYS["dahua", "events"].tell(Mount(DEVICE, shape=shape), some_event()).messages[0].body
        data = json.loads(body.partition(b"data=")[2])
        assert ("RealUTC" in data) is known
        assert data["UTC"] - 3600 == int(some_event().captured_at.timestamp())


def test_a_group_is_one_passage_told_twice() -> None:
    messages = WAYS["dahua", "events"].tell(Mount(DEVICE, groups=1.0), some_event()).messages
    data = [json.loads(message.body.partition(b"data=")[2]) for message in messages]
    assert [(one["IndexInGroup"], one["CountInGroup"]) for one in data] == [(1, 2), (2, 2)]
    assert data[0]["GroupID"] == data[1]["GroupID"]


def test_the_first_word_of_an_axis_camera_may_be_wrong_and_the_last_is_not() -> None:
    told = WAYS["axis", "push"].tell(Mount(DEVICE, misread=1.0), some_event())
    plates = [json.loads(message.body)["plateUTF8"] for message in told.messages]
    assert plates[0] != plates[1] == plates[2] == told.truth.plate


def test_a_template_is_filled_in_with_what_the_firmware_knows() -> None:
    template = "$plate$;$date$;$nosuchname$"
    told = WAYS["vaxtor", "tcp"].tell(Mount(DEVICE, template=template, unexpanded=1.0), some_event())
    plate, date, unknown = told.messages[0].body.decode().split(";")
    assert (plate, date, unknown) == (told.truth.plate, "$date$", "$nosuchname$")
    assert (told.truth.at_ms, told.truth.direction, told.truth.pictures) == (None, None, 0)
    told = WAYS["nedap", "serial"].tell(Mount(DEVICE, template="%DATE% %TIME% %PLATE_STRING%0x0D"), some_event())
    assert told.messages[0].body == f"2026-07-01 09-30-00 {told.truth.plate}\r".encode()
    assert told.truth.at_ms == int(some_event().captured_at.timestamp()) * 1000


def test_a_packet_has_its_checksum_and_is_acknowledged_by_its_number_only() -> None:
    packet = nedap.packet(7, b"AB12CDE")
    assert packet[:12] == bytes.fromhex("89ABCDEF 00000007 00000007")
    xor = 0
    for byte in packet[:-5]:
        xor ^= byte
    assert packet[-5:] == bytes([xor]) + bytes.fromhex("12345678")
    assert nedap.acknowledges(b"noise" + packet, 7)
    assert not nedap.acknowledges(packet, 8)
    assert not nedap.acknowledges(packet[:-1], 7)


@pytest.mark.parametrize(
    ("name", "sample", "tag"),
    [
        (("tvt", "push"), "viewtron_tvt/ipc-v1x_lpr.xml", "config"),
        (("hikvision", "poll"), "hikvision/plates_poll_response_exnvr.xml", "Plate"),
    ],
)
def test_elements_are_those_of_a_sample(name: tuple[str, str], sample: str, tag: str) -> None:
    path = ROOT / "../shared/payloads" / sample
    if not path.exists():
        pytest.skip(f"no samples of real cameras at {path.parent}")
    ours = seen_of(WAYS[name], Mount(DEVICE, shape=WAYS[name].shapes[0]), some_event())[0].body
    mine = {each.tag for each in next(xml_of(ours[ours.index(b"<") :]).iter(tag)).iter()}
    theirs = {each.tag for each in next(xml_of(path.read_bytes()).iter(tag)).iter()}
    assert mine - theirs <= {"mac", "country", "laneNo"}


@pytest.mark.parametrize(
    ("name", "sample"),
    [
        (("axis", "push"), "axis/alpv_push_lost_event.json"),
        (("milesight", "push"), "milesight/lpr_http_post_real.json"),
        (("rekor", "push"), "openalpr_rekor/alpr_group_v3.json"),
    ],
)
def test_members_are_those_of_a_sample(name: tuple[str, str], sample: str) -> None:
    path = ROOT / "../shared/payloads" / sample
    if not path.exists():
        pytest.skip(f"no samples of real cameras at {path.parent}")
    ours = json.loads(WAYS[name].tell(Mount(DEVICE, shape=WAYS[name].shapes[0]), some_event()).messages[-1].body)
    theirs = json.loads(path.read_text("utf-8"))
    extra = {"plateRegion", "plateList", "plateListMode", "vehicle_info", "full_image", "evidence_image0"}
    assert ours.keys() - theirs.keys() <= extra | {"evidence_image1"}
