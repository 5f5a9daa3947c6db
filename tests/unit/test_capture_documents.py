"""XML and JSON out of hostile bytes: bounded, or refused."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from capture.documents import local_name, read_json, read_xml, texts
from edge.errors import Refused

VECTORS = Path(__file__).resolve().parents[2] / ".." / "shared" / "vectors"


def reason_of(read: object, body: bytes) -> str:
    assert callable(read)
    with pytest.raises(Refused) as refused:
        read(body)
    return refused.value.reason


@pytest.mark.parametrize(
    "body",
    [
        b"<a><b>x</b></a>",
        b"\xef\xbb\xbf<a><b>x</b></a>",
        b"\r\n\r\n <?xml version='1.0'?><a><b> x </b></a>",
        b'<n:a xmlns:n="urn:x"><n:b>x</n:b></n:a>',
        b'<a xmlns="urn:y"><b>x</b><b>second</b><!-- no --></a>',
        "<?xml version='1.0' encoding='utf-16'?><a><b>x</b></a>".encode("utf-16"),
    ],
)
def test_forms_of_xml(body: bytes) -> None:
    root = read_xml(body)
    assert local_name(root.tag) == "a"
    assert texts(root) == {"b": "x"}


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"", "xml_malformed"),
        (b"text", "xml_malformed"),
        (b"<a>", "xml_malformed"),
        (b"<a/><b/>", "xml_malformed"),
        (b"<a>\xff</a>", "xml_malformed"),
        (b"<a>\x00</a>", "xml_malformed"),
        (b"<a b='1' b='2'/>", "xml_malformed"),
        (b"<x:a/>", "xml_malformed"),
        (b"<?xml version='1.0' encoding='gb2312'?><a/>", "xml_malformed"),
        (b"<?xml version='1.0' encoding='no-such'?><a/>", "xml_malformed"),
        (b"<!DOCTYPE a><a/>", "xml_forbidden"),
        (b"<!DOCTYPE a [<!ENTITY e SYSTEM 'file:///etc/hostname'>]><a>&e;</a>", "xml_forbidden"),
        (b"<a>" * 33 + b"</a>" * 33, "too_deep"),
        (b"<a>" * 60_000, "too_deep"),
        (b"<a>" + b"x" * 12_600_000 + b"</a>", "too_large"),
        (b"<a " + b'b="" ' * 50_001 + b"/>", "too_large"),
        (b"<a>" + b"<b/>" * 20_001 + b"</a>", "too_deep"),
    ],
)
def test_xml_refused(body: bytes, reason: str) -> None:
    assert reason_of(read_xml, body) == reason


def test_xml_as_deep_as_allowed() -> None:
    assert read_xml(b"<a>" * 32 + b"</a>" * 32).tag == "a"


def test_bombs_and_fuzzed_xml() -> None:
    files = [f for d in ("xml-defusedxml/xmltestdata", "gofuzz/xml") for f in (VECTORS / d).rglob("*") if f.is_file()]
    if not files:
        pytest.skip("the corpora of hostile XML are not beside this repository")
    refusals: dict[str, str] = {}
    for file in files:
        began = time.perf_counter()
        try:
            read_xml(file.read_bytes())
        except Refused as refused:
            refusals[file.name] = refused.reason
        assert time.perf_counter() - began < 1, file.name
    for bomb in ("xmlbomb.xml", "xmlbomb2.xml", "quadratic.xml", "external.xml", "dtd.xml", "cyclic.xml"):
        assert refusals[bomb] == "xml_forbidden"


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"", "json_malformed"),
        (b'{"a":1', "json_malformed"),
        (b'{"a":1}x', "json_malformed"),
        (b'{"a":"\xff"}', "json_malformed"),
        (b'{"a":"\\ud800"}', "json_malformed"),
        (b"1" * 5000, "json_malformed"),
        (b'{"a":NaN}', "json_not_a_number"),
        (b'{"a":-Infinity}', "json_not_a_number"),
        (b'{"a":1e999}', "json_not_a_number"),
        (b'{"a":1,"a":1}', "json_duplicate_key"),
        (b"[" * 33 + b"]" * 33, "too_deep"),
        (b"[" * 100_000, "too_deep"),
        (b"[" + b"[]," * 300_000 + b"[]]", "too_deep"),
        (b'"' + b"\\/" * 600_000 + b'"', "too_large"),
        (b'"' + b"a" * 13_000_000 + b'"', "too_large"),
    ],
    ids=lambda v: v if isinstance(v, str) else None,
)
def test_json_refused(body: bytes, reason: str) -> None:
    began = time.perf_counter()
    assert reason_of(read_json, body) == reason
    assert time.perf_counter() - began < 1


def test_json_within_bounds() -> None:
    assert read_json(b'\xef\xbb\xbf{"a": "[[[[\\"{{{{", "b": "\\ud83d\\ude97"}') == {
        "a": '[[[["{{{{',
        "b": "\U0001f697",
    }
    deep = read_json(b"[" * 32 + b"]" * 32)
    assert isinstance(deep, list)
    assert read_json(b'"' + b"\\/9j/" * 100_000 + b'"') == "/9j/" * 100_000


def test_the_json_test_suite() -> None:
    root = VECTORS / "json-testsuite" / "test_parsing"
    if not root.is_dir():
        pytest.skip("the JSON test suite is not beside this repository")
    over_our_limits = {"y_object_duplicated_key.json", "y_object_duplicated_key_and_value.json"}
    accepted = set()
    for file in root.iterdir():
        try:
            read_json(file.read_bytes())
            accepted.add(file.name)
        except Refused:
            continue
    names = {f.name for f in root.iterdir()}
    assert {n for n in names if n.startswith("y_")} - accepted == over_our_limits
    assert not {n for n in accepted if n.startswith("n_")}
