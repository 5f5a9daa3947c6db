"""No plate and no picture leaves the sealed records: not to a file, not to a log, not to a message, not for a moment.

The traffic is known by its seed, so that every plate and every picture can be searched for.
"""

from __future__ import annotations

import base64
import hashlib
import http.client
import io
import itertools
from collections.abc import Callable
from pathlib import Path

import cbor2
import pytest
from needles import (
    CAMERA_ADDRESS,
    JPEG_START,
    JPEG_START_IN_NOISE,
    STREAM_ADDRESS,
    Needles,
    needles,
)
from overheard import Overheard
from PIL import Image
from whole_site import Process, Site, until

from simulators.pictures import Road
from simulators.site_files import Mounted
from simulators.traffic import Vehicle, vehicles

SEED, READS, RATE = 20_260_101, 30, 8.0
SIZE_PX = (640, 360)
ENVELOPE = {"v", "kid", "node", "epoch", "seq", "kind", "ct"}
WORDS = (STREAM_ADDRESS, CAMERA_ADDRESS)


def traffic(camera: Mounted) -> list[Vehicle]:
    """The vehicles that pass this camera."""
    return list(itertools.islice(vehicles(f"{SEED} {camera.mac}", RATE, unread=0.03), READS))


def sent(site: Site) -> tuple[list[str], list[bytes]]:
    """Every plate, and both pictures of every vehicle, as the cameras make them."""
    passing = [vehicle for camera in site.mounted for vehicle in traffic(camera)]
    shots = [Road(SEED, SIZE_PX).take(vehicle) for vehicle in passing]
    return [vehicle.vrm for vehicle in passing], [each for shot in shots for each in (shot.plate, shot.overview)]


def kept(site: Site, pictures: list[bytes]) -> list[bytes]:
    """The pictures as the node fitted them and the back office got them; they were made from the ones given."""
    made = {hashlib.sha256(picture).digest() for picture in pictures}
    signed = site.store_rows("SELECT signed FROM evidence JOIN records ON records.id = record WHERE kind = 'read'")
    originals = [each for row in signed for each in cbor2.loads(cbor2.loads(row[0]).value[2])["body"]["originals"]]
    assert len(originals) > READS
    assert {original["sha256"] for original in originals} <= made, "what is searched for is what was sent"
    return [row[0] for row in site.store_rows("SELECT jpeg FROM images")]


def push(site: Site, camera: Mounted, path: str, content_type: str, body: bytes) -> int:
    """One delivery from a camera's address; the answer's status."""
    door = http.client.HTTPConnection("127.0.0.1", site.http_port, timeout=30, source_address=(camera.address, 0))
    try:
        door.request("POST", path, body, {"Content-Type": content_type})
        return door.getresponse().status
    finally:
        door.close()


def awkward_deliveries(site: Site) -> list[int]:
    """Known plates in what cannot be understood: texts of errors are where such things get out."""
    camera, plate = site.mounted[0], traffic(site.mounted[0])[0].vrm
    picture = Road(SEED, SIZE_PX).take(traffic(camera)[0]).overview
    xml = f"<EventNotificationAlert><eventType>ANPR</eventType><ANPR><licensePlate>{plate}</licensePlate>"
    part = f'--boundary\r\nContent-Disposition: form-data; name="{plate}.xml"\r\n\r\n{xml}'.encode()
    multipart = "multipart/form-data; boundary=boundary"
    deliveries = [
        (f"/?plate={plate.replace(' ', '')}", "text/xml", xml.encode()),
        (f"/{plate.replace(' ', '')}", multipart, part + b"\r\n--boundary--\r\n"),
        ("/", multipart, part + b'\r\n--boundary\r\nContent-Disposition: form-data; name="a.jpg"\r\n\r\n' + picture),
        ("/", f"text/{plate.replace(' ', '')}", plate.encode()),
        ("/", "image/jpeg", picture),
    ]
    return [push(site, camera, *delivery) for delivery in deliveries]


def run_with_a_kill(site: Site, sought: Needles) -> tuple[Process, set[str]]:
    """Every camera to its end, with a kill in the middle; the node that runs at the end, and what was stored."""
    node = site.start_node()
    options = ("--seed", str(SEED), "--rate", str(RATE), "--reads", str(READS), "--retry-for", "60")
    cameras = [site.start_camera(each, *options) for each in site.mounted]
    until("the middle of the stream", lambda: sum(len(camera.stored()) for camera in cameras) >= READS)
    node.kill()
    check_folders(site, sought)
    node = site.start_node()
    for camera in cameras:
        assert camera.process.wait() == 0
        assert len(camera.stored()) == READS, "what is searched for has passed the node"
    return node, set().union(*(camera.stored() for camera in cameras))


def untouched(folder: Path) -> tuple[int, list[Path]]:
    """When anything last came into or left a folder, ns, and what is in it: the first tells of what came and went."""
    return folder.stat().st_mtime_ns, list(folder.iterdir())


@pytest.mark.parametrize("kind", ["amqtt", pytest.param("mosquitto", marks=[pytest.mark.mosquitto, pytest.mark.slow])])
def test_plates_and_pictures_are_nowhere_in_the_clear(make_site: Callable[..., Site], kind: str) -> None:
    site = make_site(kind=kind)
    site.start_broker()
    site.start_backoffice()
    before = [untouched(folder) for folder in (site.tmp, site.cwd)]
    plates, pictures = sent(site)
    with Overheard(site) as overheard:
        node, stored = run_with_a_kill(site, needles(plates, pictures))
        assert {status // 100 for status in awkward_deliveries(site)} <= {2, 4}
        until("every read", lambda: stored <= site.held().keys())
        sought = needles(plates, pictures + kept(site, pictures))
        assert list(site.runtime.iterdir()) != []
        check_folders(site, sought)
        assert node.stop() == 0
    check_folders(site, sought)
    assert [untouched(folder) for folder in (site.tmp, site.cwd)] == before
    assert before[0][1] == before[1][1] == []
    check_logs(site, sought)
    check_messages(overheard, sought, len(stored))


def check_folders(site: Site, sought: Needles) -> None:
    assert sum(path.stat().st_size for path in site.node_state.iterdir()) > 100_000, "the ledger's pages are on disk"
    assert sought.found_below(site.node_state, JPEG_START_IN_NOISE, *WORDS) == []
    assert sought.found_below(site.runtime, JPEG_START, *WORDS) == []
    assert sought.found_below(site.folders.config, JPEG_START, STREAM_ADDRESS) == []


def check_logs(site: Site, sought: Needles) -> None:
    logs = [path for path in site.folders.logs.iterdir() if path.name.startswith("node-")]
    assert len(logs) == 4  # two lives, two streams each
    assert any(path.stat().st_size for path in logs)
    for path in logs:
        assert sought.found_in(path.read_bytes(), JPEG_START, *WORDS) == [], path.name


def check_messages(overheard: Overheard, sought: Needles, reads: int) -> None:
    """JSON holds nothing; records are sealed, and hold nothing but their place in the clear."""
    others, records = overheard.others(), overheard.records()
    assert len(others) > 10
    assert len(records) > 2 * reads
    for topic, payload in others:
        assert sought.found_in(topic.encode() + payload, JPEG_START, *WORDS) == [], topic
    for payload in records:
        envelope = cbor2.loads(payload)
        assert envelope.keys() == ENVELOPE
        assert len(envelope["ct"]) > len(payload) - 200
        assert sought.found_in(payload, JPEG_START_IN_NOISE, *WORDS) == []


PLATE = "ZZ99 QXJ"


@pytest.fixture(scope="module")
def picture() -> bytes:
    out = io.BytesIO()
    Image.effect_noise((320, 180), 60).convert("RGB").save(out, "JPEG", quality=80)
    return out.getvalue()


@pytest.mark.parametrize(
    "planted",
    [
        b"seen ZZ99QXJ today",
        b"zz99 qxj",
        "ZZ99QXJ".encode("utf-16-le"),
        *(base64.b64encode(b"x" * shift + b"plate ZZ99QXJ passed") for shift in range(3)),
        hashlib.sha256(b"ZZ99QXJ").hexdigest().encode(),
    ],
)
def test_the_search_finds_a_planted_plate(tmp_path: Path, planted: bytes, picture: bytes) -> None:
    sought = needles([PLATE], [picture])
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "file").write_bytes(bytes(1000) + b"nothing" + bytes(1000))
    assert sought.found_below(tmp_path, JPEG_START, *WORDS) == []
    (tmp_path / "deep" / "file").write_bytes(bytes(1000) + planted + bytes(1000))
    assert sought.found_below(tmp_path) != []


def test_the_search_finds_a_planted_picture(tmp_path: Path, picture: bytes) -> None:
    sought = needles([PLATE], [picture])
    (tmp_path / "whole").write_bytes(bytes(1000) + picture)
    assert len(sought.found_below(tmp_path, JPEG_START, JPEG_START_IN_NOISE)) == 4
    (tmp_path / "whole").write_bytes(picture[len(picture) // 3 :])  # without its beginning: a page of it, spilt
    assert len(sought.found_below(tmp_path, JPEG_START)) == 2


def test_the_search_finds_names_and_addresses(tmp_path: Path) -> None:
    sought = needles([PLATE], [])
    (tmp_path / "ZZ99QXJ.jpg").write_bytes(b"")
    (tmp_path / "log").write_bytes(b"from 127.0.0.11, RTSP://x/stream")
    assert len(sought.found_below(tmp_path, *WORDS)) == 3
