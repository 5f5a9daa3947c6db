"""The quarantine: text alone, sealed, bounded, of authorised cameras; and what an engineer gets back with the key."""

from __future__ import annotations

import asyncio
import base64
import random
from collections.abc import Callable
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from capture import quarantine
from capture.delivery import Delivery
from capture.quarantine import EVERY_MS, KEPT_FOR_MS, MOST_FILES, Quarantine, entries, forget_old, keep, opened
from capture.redact import MOST_BYTES, text_only, unmarked
from edge.camera import Authorisation, Camera
from edge.errors import Tampered

Make = Callable[..., Any]
NOW_MS = 1_767_225_600_000
KEY = X25519PrivateKey.from_private_bytes(bytes(range(32)))


@pytest.fixture
def deliver(make_arrival: Make) -> Callable[..., Delivery]:
    def make(body: bytes = b"<Event><plate>TE57 ABC</plate></Event>", at_ms: int = NOW_MS) -> Delivery:
        return Delivery(make_arrival(at_ms), "application/xml", "a=1", body)

    return make


def pictures(make_jpeg: Make) -> list[bytes]:
    return [make_jpeg(width, height) for width, height in ((8, 8), (96, 32), (640, 360))]


def test_no_picture_is_left_however_it_is_wrapped(make_jpeg: Make) -> None:
    for jpeg in pictures(make_jpeg):
        coded = base64.b64encode(jpeg)
        wrapped = {
            "bare": jpeg,
            "multipart": b'--b\r\nContent-Disposition: form-data; name="p.jpg"\r\n\r\n' + jpeg + b"\r\n--b--\r\n",
            "json": b'{"plate": "TE57 ABC", "image": "' + coded + b'", "after": "all of this stays as it was"}',
            "lines": b"<image>" + base64.encodebytes(jpeg) + b"</image><after>all of this stays as it was</after>",
            "escaped": b'{"image": "' + coded.replace(b"/", b"\\/") + b'"}',
            "escaped lines": b'{"image": "' + base64.encodebytes(jpeg).replace(b"\n", b"\\n") + b'"}',
            "hex": b'{"image": "' + jpeg.hex().encode() + b'"}',
        }
        for how, body in wrapped.items():
            left = text_only(body)
            for data in (jpeg, coded, jpeg.hex().encode()):
                pieces = [data[at : at + 200] for at in range(0, len(data) - 200, 50)]
                assert not [piece for piece in pieces if piece in left], how
            if b"after" in body:
                assert b"all of this stays as it was" in left
    assert b'{"plate": "TE57 ABC"' in text_only(wrapped["json"])


def test_texts_are_kept_as_they_are_and_bounded() -> None:
    xml = "<a><plate>蓝皖A7XG66</plate><when>2026-01-01T00:00:00+08:00</when></a>"
    assert text_only(xml.encode()) == xml.encode()
    assert text_only(xml.encode("gb18030")) == xml.encode("gb18030")
    assert text_only(b"") == b""
    assert len(text_only(b"a b " * 100_000)) < MOST_BYTES + 100
    noise = random.Random(1).randbytes(1_000_000)
    assert len(text_only(noise)) < 1000


def test_what_is_kept_is_sealed_and_opens_with_the_key_alone(tmp_path: Path, deliver: Make) -> None:
    folder = tmp_path / "q"
    keep(folder, KEY.public_key(), deliver(), "cam-north", "xml_malformed")
    ((entry, path),) = entries(folder)
    assert (entry.camera, entry.reason, entry.at_ms, entry.way) == ("cam-north", "xml_malformed", NOW_MS, "http_push")
    assert b"TE57" not in path.read_bytes()
    assert opened(path, KEY)["body"] == deliver().body
    with pytest.raises(Tampered):
        opened(path, X25519PrivateKey.generate())
    outer = path.read_bytes().replace(b"cam-north", b"cam-south")
    path.write_bytes(outer)
    with pytest.raises(Tampered):
        opened(path, KEY)
    assert path.stat().st_mode & 0o077 == 0


def test_the_folder_is_bounded_by_number_size_and_age(
    tmp_path: Path, deliver: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    for n in range(MOST_FILES + 5):
        keep(tmp_path, KEY.public_key(), deliver(at_ms=NOW_MS + n), "c", "r")
    kept = [entry.at_ms for entry, _ in entries(tmp_path)]
    assert kept == [NOW_MS + n for n in range(5, MOST_FILES + 5)]
    (tmp_path / "half.new").write_bytes(b"x")
    keep(tmp_path, KEY.public_key(), deliver(at_ms=NOW_MS + KEPT_FOR_MS + 50), "c", "r")
    assert [entry.at_ms - NOW_MS for entry, _ in entries(tmp_path)] == [*range(50, 105), KEPT_FOR_MS + 50]
    assert not list(tmp_path.glob("*.new"))
    monkeypatch.setattr(quarantine, "MOST_BYTES", 1000)
    keep(tmp_path, KEY.public_key(), deliver(at_ms=NOW_MS + KEPT_FOR_MS + 51), "c", "r")
    assert sum(path.stat().st_size for _, path in entries(tmp_path)) < 2000


def test_what_is_old_goes_also_where_nothing_new_comes(tmp_path: Path, deliver: Make) -> None:
    keep(tmp_path, KEY.public_key(), deliver(), "c", "r")
    forget_old(tmp_path, NOW_MS + KEPT_FOR_MS)
    assert len(list(entries(tmp_path))) == 1
    forget_old(tmp_path, NOW_MS + KEPT_FOR_MS + 1)
    assert not list(entries(tmp_path))
    forget_old(tmp_path / "none", NOW_MS)


def test_without_its_marks_a_delivery_is_as_if_no_picture_had_been_sent(make_jpeg: Make) -> None:
    body = b'{"plate": "TE57 ABC", "overview": "' + base64.b64encode(make_jpeg(320, 180)) + b'"}'
    assert unmarked(text_only(body)) == b'{"plate": "TE57 ABC", "overview": ""}'


def test_one_of_a_kind_a_minute_and_none_of_a_camera_without_authority(
    tmp_path: Path, deliver: Make, camera: Camera
) -> None:
    async def play() -> dict[str, int]:
        kept = Quarantine(tmp_path / "q", KEY.public_key())
        ended = replace(camera, authorisation=Authorisation("A", date(2020, 1, 1), date(2020, 2, 1)))
        kept.set_aside(deliver(), ended, "xml_malformed")
        for at_ms in (0, 1, EVERY_MS - 1, EVERY_MS):
            kept.set_aside(deliver(at_ms=NOW_MS + at_ms), camera, "xml_malformed")
        kept.set_aside(deliver(), camera, "too_deep")
        await kept.settled()
        return kept.counts

    assert asyncio.run(play()) == {"kept": 3, "left_out": 2, "failed": 0}
    assert len(list(entries(tmp_path / "q"))) == 3


def test_a_folder_that_cannot_be_made_costs_no_read(tmp_path: Path, deliver: Make, camera: Camera) -> None:
    (tmp_path / "q").write_text("in the way")

    async def play() -> dict[str, int]:
        kept = Quarantine(tmp_path / "q", KEY.public_key())
        kept.set_aside(deliver(), camera, "xml_malformed")
        await kept.settled()
        return kept.counts

    assert asyncio.run(play())["failed"] == 1
