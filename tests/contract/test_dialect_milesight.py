"""Milesight: a real post field by field, ours for GET, the poll, and the other events on the same address."""

from __future__ import annotations

import base64
import json
import time
from datetime import datetime
from typing import Any
from urllib.parse import urlencode

import pytest

from capture.dialects.milesight import Milesight
from edge.claim import Direction, Heard, Life, RawImage, RawRead, Role, ScaledBox, SignOfLife, Way
from edge.vrm import normalise
from tests.fixtures.onvif.trials import answered, damaged, delivery, from_the_field, jpeg, life, read, reason

MILESIGHT = Milesight()
PATCH, SCENE = jpeg(96, 42), jpeg(320, 180)
POST: dict[str, Any] = {
    "device": "Network Camera",
    "time": "2026-03-02 08:15:30",
    "time_msec": "2026-03-02 08:15:30.509",
    "plate": "TE57ABC",
    "type": "Visitor",
    "speed": "-",
    "direction": "Approach",
    "detection_region": "1",
    "region": "GBR",
    "resolution_width": "1920",
    "resolution_height": "1080",
    "coordinate_x1": "960",
    "coordinate_y1": "540",
    "coordinate_x2": "1152",
    "coordinate_y2": "594",
    "confidence": "0.70",
    "plate_color": "Yellow",
    "vehicle_type": "-",
    "Vehicle Brand": "-",
    "plate_image": base64.b64encode(PATCH).decode(),
    "full_image": base64.b64encode(SCENE).decode(),
}
POLL = (
    b"time_0=2026-03-02 08:15:30\nplate_0=TE57ABC\ntype_0=Visitor\ndirection_0=1\npath_0=2026/03/02/0815_TE57ABC.jpg\n"
    b"time_1=2026-03-02 08:15:12\nplate_1=AB12CDE\ntype_1=White\ndirection_1=2\npath_1=\n"
)


def post(**changes: Any) -> bytes:
    return json.dumps({k: v for k, v in {**POST, **changes}.items() if v is not ...}).encode()


def test_a_real_post_field_by_field() -> None:
    files = from_the_field("milesight")
    assert set(files) == {"lpr_http_post_real.json", "lpr_http_post_real_plate.jpg"}
    body, picture = files["lpr_http_post_real.json"], files["lpr_http_post_real_plate.jpg"]
    assert MILESIGHT.recognises(delivery(body))
    assert read(MILESIGHT, delivery(body)) == RawRead(
        dialect="milesight",
        dialect_version=1,
        camera_identity=None,
        vendor_id="2024-02-01T06:00:05.509-1",
        plate_heard="62D3680",
        confidence=None,
        country="LVA",
        direction=None,
        lane="1",
        time=datetime(2024, 2, 1, 6, 0, 5, 509_000),
        time_heard="2024-02-01 06:00:05.509",
        images=(RawImage(Role.PLATE_PATCH, picture),),
        heard=Heard(country="LVA", plate_box="1014,624,96,42/1920x1080"),
    )
    # The picture beside it was taken out of the message: alone it is no delivery of any camera.
    assert not MILESIGHT.recognises(delivery(picture))
    assert reason(MILESIGHT, delivery(picture)) == "not_milesight"


def test_a_post_with_everything() -> None:
    said = read(MILESIGHT, delivery(post(device="gate 7")))
    assert (said.camera_identity, said.confidence, said.direction) == ("gate 7", 70, Direction.TOWARD)
    assert said.images == (
        RawImage(Role.PLATE_PATCH, PATCH),
        RawImage(Role.OVERVIEW, SCENE, ScaledBox(0.5, 0.5, 0.1, 0.05, 1.0)),
    )
    assert said.heard == Heard("0.70/1", "Approach", "GBR", "960,540,192,54/1920x1080")
    assert said.time is not None
    assert said.time.tzinfo is None


@pytest.mark.parametrize("text", ["-", "", "nan", "70", "-0.1", "٠", None, {}, True])
def test_a_confidence_that_is_none(text: Any) -> None:
    assert read(MILESIGHT, delivery(post(confidence=text))).confidence is None


@pytest.mark.parametrize("side", ["", "-", "x", "-5", "1921", "9" * 5000, None, [1]])
def test_a_box_that_is_none(side: Any) -> None:
    said = read(MILESIGHT, delivery(post(coordinate_x2=side)))
    assert said.images[1].plate_box is None
    assert said.heard.plate_box is None


def test_evidence_stands_in_for_the_scene_without_its_box() -> None:
    said = read(MILESIGHT, delivery(post(full_image="-", evidence_image0="", evidence_image1=POST["full_image"])))
    assert said.images == (RawImage(Role.PLATE_PATCH, PATCH), RawImage(Role.OVERVIEW, SCENE))
    assert read(MILESIGHT, delivery(post(full_image="", plate_image=""))).images == ()
    assert reason(MILESIGHT, delivery(post(full_image="!!"))) == "bad_base64"


def test_a_vehicle_without_a_read() -> None:
    for plate in ("", "-", "--", "unknown"):
        said = read(MILESIGHT, delivery(post(plate=plate, confidence="0")))
        assert (said.plate_heard, normalise(plate), said.confidence) == (plate, None, None)
    assert reason(MILESIGHT, delivery(post(plate=...))) == "no_plate"


def test_identity_is_a_number_or_a_name_somebody_chose() -> None:
    assert read(MILESIGHT, delivery(post(mac="1C:C3:16:00:00:AA"))).camera_identity == "1C:C3:16:00:00:AA"
    for name in ("Network Camera", "network camera", "", "-", None, 7.5):
        said = read(MILESIGHT, delivery(post(device=name)))
        assert said.camera_identity == (None if not isinstance(name, float) else "7.5")


def test_a_message_is_known_by_its_milliseconds_and_never_by_its_plate() -> None:
    assert read(MILESIGHT, delivery(post())).vendor_id == "2026-03-02T08:15:30.509-1"
    assert read(MILESIGHT, delivery(post(time_msec=...))).vendor_id is None  # a second may hold two vehicles
    assert read(MILESIGHT, delivery(post(plate="2026"))).vendor_id is None


@pytest.mark.parametrize("kind", ["Vehicle Counting", "parking", "List Event", "Attributes", "violation"])
def test_other_events_on_the_same_address(kind: str) -> None:
    body = json.dumps({"device": "gate 7", "time": POST["time"], "event": kind, "plate": "TE57ABC"}).encode()
    said = life(MILESIGHT, delivery(body))
    assert (said.life, said.camera_identity) == (Life.OTHER_EVENT, "gate 7")
    assert said.what == kind.replace(" ", "")


def test_an_event_without_a_kind_or_a_plate_and_the_cameras_own_test() -> None:
    assert life(MILESIGHT, delivery(b'{"device": "x", "time": "y", "in": 4}')).what == "other"
    assert life(MILESIGHT, delivery(b"")) == SignOfLife(Life.OTHER_EVENT, "empty", None)


def test_a_get_says_the_same_in_its_query() -> None:
    query = urlencode({k: v for k, v in POST.items() if "image" not in k})
    parcel = delivery(query=query)
    assert MILESIGHT.recognises(parcel)
    said = read(MILESIGHT, parcel)
    assert (said.plate_heard, said.confidence, said.vendor_id) == ("TE57ABC", 70, "2026-03-02T08:15:30.509-1")
    assert reason(MILESIGHT, delivery(query="plate=%FF%FE")) == "query_malformed"


def test_a_poll_lists_its_entries() -> None:
    parcel = delivery(POLL, "text/html", way=Way.HTTP_PULL)
    assert MILESIGHT.recognises(parcel)
    first, second = MILESIGHT.understand(parcel)
    assert isinstance(first, RawRead)
    assert isinstance(second, RawRead)
    assert (first.plate_heard, first.direction, first.vendor_id) == (
        "TE57ABC",
        Direction.TOWARD,
        "2026/03/02/0815_.jpg",
    )
    assert first.time == datetime(2026, 3, 2, 8, 15, 30)
    assert (second.plate_heard, second.direction, second.vendor_id) == ("AB12CDE", Direction.AWAY, None)
    rotated = POLL.replace(b"_0=", b"_5=")
    assert MILESIGHT.understand(delivery(rotated))[0] == first  # an entry moves down the list and stays the same


def test_a_poll_in_html_and_one_in_quotes() -> None:
    html = b"<html><body>" + POLL.replace(b"\n", b"<br>") + b"</body></html>"
    assert len(MILESIGHT.understand(delivery(html, "text/html"))) == 2
    quoted = b"time='2026-03-02 08:15:30';plate='TE57ABC';path='a.jpg';"
    assert MILESIGHT.recognises(delivery(quoted))
    assert read(MILESIGHT, delivery(quoted)).plate_heard == "TE57ABC"
    many = b"".join(b"plate_%d=A\n" % n for n in range(1100))
    assert reason(MILESIGHT, delivery(many)) == "too_many"


def test_a_text_of_megabytes_is_no_plate_and_takes_no_time() -> None:
    began = time.perf_counter()
    assert reason(MILESIGHT, delivery(post(plate="A" * 6_000_000))) == "vrm_too_long"
    assert time.perf_counter() - began < 2
    assert reason(MILESIGHT, delivery(POLL.replace(b"TE57ABC\n", b"A" * 257 + b"\n"))) == "vrm_too_long"


def test_what_it_does_not_know_it_refuses() -> None:
    assert reason(MILESIGHT, delivery(b"hello")) == "not_milesight"
    assert reason(MILESIGHT, delivery(b'{"plate": ')) == "json_malformed"
    assert not MILESIGHT.recognises(delivery(b'{"plate": "A", "time": "b"}'))
    assert not MILESIGHT.recognises(delivery(b""))


def test_every_verdict_has_its_answer() -> None:
    answered(MILESIGHT)


def test_damaged_messages_are_read_or_refused() -> None:
    damaged(
        Milesight,
        [
            delivery(post()),
            delivery(post(full_image="", plate_image="")),
            delivery(POLL, "text/html"),
            delivery(query=urlencode({k: v for k, v in POST.items() if "image" not in k})),
        ],
    )
