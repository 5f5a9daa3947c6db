"""The multipart reader: the forms cameras write, the limits, and bodies written to break readers."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from capture.multipart import Part, looks_multipart, parts
from edge.errors import Refused

VECTORS = Path(__file__).resolve().parents[2] / ".." / "shared" / "vectors"
FORM = "multipart/form-data; boundary="


def body(nl: bytes = b"\r\n", boundary: bytes = b"boundary", closing: bytes = b"--") -> bytes:
    lines = [
        b"--" + boundary,
        b'Content-Disposition: form-data; name="a.xml";filename="f.xml"',
        b"Content-Type: text/xml",
        b"Content-Length: 3",
        b"",
        b"<one/>",
        b"--" + boundary,
        b"content-disposition:form-data;name=empty.jpg",
        b"",
        b"",
        b"--" + boundary,
        b"",
        b"no\nheaders\r",
        b"--" + boundary + closing,
    ]
    return nl.join(lines)


EXPECTED = (Part("a.xml", "f.xml", "text/xml", b"<one/>"), Part("empty.jpg", "", "", b""))


@pytest.mark.parametrize("nl", [b"\r\n", b"\n"])
@pytest.mark.parametrize(
    ("boundary", "content_type"),
    [
        (b"boundary", FORM + "boundary"),
        (b"boundary", FORM + '"boundary"'),
        (b"boundary", "multipart/form-data;Boundary = boundary; charset=utf-8"),
        (b"-----------------------------7e13971310878", FORM + "---------------------------7e13971310878"),
        (b"MIME_boundary", FORM + "boundary"),
        (b"boundary", FORM + "--boundary"),
        (b"boundary", FORM),
        (b"boundary", ""),
    ],
)
def test_boundaries_and_line_ends(nl: bytes, boundary: bytes, content_type: str) -> None:
    found = parts(body(nl, boundary), content_type)
    assert found[:2] == EXPECTED
    assert found[2].data == b"no\nheaders" + (b"\r" if nl == b"\r\n" else b"")


def test_text_before_and_after_is_no_part() -> None:
    assert parts(b"\r\nhello\r\n" + body() + b"\r\n--boundary\r\n\r\nghost", FORM + "boundary")[:2] == EXPECTED


def test_a_boundary_inside_data_is_data_unless_it_has_its_line() -> None:
    inside = b"x--boundary\r\n --boundary--\r\n--boundaryx\r\n--boundar"
    (part,) = parts(b"--boundary\r\n\r\n" + inside + b"\r\n--boundary--", FORM + "boundary")
    assert part.data == inside


@pytest.mark.parametrize("cut", [1, 2, 3, 10, 25, 100])
def test_a_body_without_its_end_is_refused(cut: int) -> None:
    with pytest.raises(Refused) as refused:
        parts(body()[:-cut], FORM + "boundary")
    assert refused.value.reason == "truncated"


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (b"", "no_boundary"),
        (b"no delimiter at all", "no_boundary"),
        (b"--" + b"b" * 300 + b"\r\n", "no_boundary"),
        (b"--b\r\n\r\nx\r\n" * 17 + b"--b--", "too_many_parts"),
        (b"--b\r\nX-Long: " + b"a" * 9000 + b"\r\n\r\ndata\r\n--b--", "part_headers_too_large"),
        (b"--b\r\nno header\r\n\r\ndata\r\n--b--", "malformed_multipart"),
    ],
)
def test_limits(bad: bytes, reason: str) -> None:
    with pytest.raises(Refused) as refused:
        parts(bad)
    assert refused.value.reason == reason


def test_sixteen_parts_are_not_too_many() -> None:
    assert len(parts(b"--b\r\n\r\nx\r\n" * 16 + b"--b--")) == 16


def test_what_looks_multipart() -> None:
    assert looks_multipart("Multipart/Form-Data; boundary=x", b"")
    assert looks_multipart("", b"\r\n--boundary\r\n")
    assert not looks_multipart("application/xml", b"<a/>")


def test_time_stays_linear() -> None:
    for bad in (
        b"--b\n\n" + b"--bx" * 1_000_000,
        b"--b\n\n" + b"\n--b" * 1_000_000,
        b"--b\n" + b"a:b\n" * 1_000_000,
        b"-" * 4_000_000,
        b'--b\nContent-Disposition: ;name="' + b'\\";name="' * 800 + b"\n\nx\n--b--",
    ):
        began = time.perf_counter()
        try:
            parts(bad, FORM + "b")
        except Refused as refused:
            assert refused.reason != "", "a refusal has a reason"  # noqa: PT017
        assert time.perf_counter() - began < 2


def test_hostile_corpora_give_parts_or_refusals() -> None:
    files = [f for d in ("multipart-*/**/*", "gofuzz/multipart/**/*") for f in VECTORS.glob(d) if f.is_file()]
    if not files:
        pytest.skip("the corpora of hostile bodies are not beside this repository")
    outcomes = {"parts": 0, "refused": 0}
    for file in files:
        data = file.read_bytes()
        for content_type in ("", FORM + "boundary", FORM + "foo"):
            began = time.perf_counter()
            try:
                assert all(isinstance(part, Part) for part in parts(data, content_type))
                outcomes["parts"] += 1
            except Refused:
                outcomes["refused"] += 1
            assert time.perf_counter() - began < 1, file.name
    assert min(outcomes.values()) > 50, outcomes


def test_bodies_of_real_browsers_are_read_whole() -> None:
    root = VECTORS / "multipart-werkzeug" / "tests" / "multipart"
    if not root.is_dir():
        pytest.skip("the corpora of multipart bodies are not beside this repository")
    seen = 0
    for request in root.glob("*/request.http"):
        pictures = {f.read_bytes() for f in request.parent.glob("*.png")}
        found = parts(request.read_bytes())
        assert {part.data for part in found if part.filename} == pictures
        text = (request.parent / "text.txt").read_bytes()
        said = [part.data.replace(b"\r\n", b"\n").rstrip() for part in found if part.name == "text"]
        assert said == [text.rstrip()], "the recorded file has the line ends of another system"
        seen += 1
    assert seen >= 5
