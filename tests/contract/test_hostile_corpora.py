"""The public collections of hostile bytes, through every dialect: an answer or `Refused`, in a second and 256 MB."""

from __future__ import annotations

import base64
import itertools
import json
import re
import runpy
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from random import Random
from typing import Any
from xml.etree.ElementTree import ParseError, fromstring, tostring

import pytest

ROOT = Path(__file__).resolve().parents[2]
VECTORS = ROOT / ".." / "shared" / "vectors"
FUZZ: dict[str, Any] = runpy.run_path(str(ROOT / "scripts" / "fuzz-capture"), run_name="fuzz_capture")
DIALECTS = [name for name in FUZZ["names"]() if name not in FUZZ["ENGINES"]]
SEED = 20260302
JPEG = b"\xff\xd8\xff\xe0" + bytes(64) + b"\xff\xd9"


def corpus(*folders: str) -> list[bytes]:
    return [file.read_bytes() for file in files(*folders)]


@cache
def files(*folders: str) -> tuple[Path, ...]:
    if not VECTORS.is_dir():
        pytest.skip("the public vectors are not beside this repository")
    found = tuple(f for folder in folders for f in sorted((VECTORS / folder).rglob("*")) if f.is_file())
    assert found, f"{folders} hold nothing"
    return found


def put(body: bytes, kind: str = "", name: str = "", way: str = "http_push", query: bytes = b"") -> bytes:
    return FUZZ["BETWEEN"].join((way.encode(), kind.encode(), query, name.encode("utf-8", "surrogateescape"), body))


def part(name: str, data: bytes, kind: str = "application/octet-stream") -> bytes:
    return (
        f'--b\r\nContent-Disposition: form-data; name="{name}"\r\nContent-Type: {kind}\r\n\r\n'.encode()
        + data
        + b"\r\n"
    )


def hold(dialect: str, inputs: Iterator[bytes]) -> int:
    """Every input against the dialect; how many there were."""
    target, outcome, begun_mb = FUZZ["target_named"](dialect), FUZZ["Outcome"](dialect, "corpora"), FUZZ["peak_mb"]()
    count = 0
    for count, data in enumerate(inputs, 1):
        finding = FUZZ["judged"](target, data, outcome, begun_mb)
        assert not finding, f"input {count} of {dialect}: {finding}"
    return count


@pytest.mark.parametrize("dialect", DIALECTS)
def test_multipart_xml_and_json(dialect: str) -> None:
    def inputs() -> Iterator[bytes]:
        for body in corpus("multipart-python-multipart", "multipart-werkzeug"):
            boundary = body.partition(b"\n")[0].strip().removeprefix(b"--").decode("latin-1")[:100]
            yield put(body, f"multipart/form-data; boundary={boundary}")
            yield put(body, "multipart/mixed")
            yield put(body)
        for body in corpus("xml-defusedxml", "json-testsuite"):
            yield put(body, "application/octet-stream")
            yield put(body, name="drop/x.xml", way="ftp_drop")
            yield put(body, way="tcp_stream")
            yield put(
                part("event", body, "text/xml") + part("image", JPEG) + b"--b--\r\n", "multipart/form-data; boundary=b"
            )

    assert hold(dialect, inputs()) > 1000


@pytest.mark.parametrize("dialect", DIALECTS)
def test_pictures(dialect: str) -> None:
    own = next((s for s in FUZZ["seeds"](dialect, 20_000)), b"").rpartition(FUZZ["BETWEEN"])[2]

    def inputs() -> Iterator[bytes]:
        for number, data in enumerate(corpus("images-hostile", "images-pillow", "images-libjpeg-turbo")):
            if number % 3 == 0 or len(data) > 20_000:
                yield put(data, "image/jpeg", "20260302/081530_AB12CDE_GBR.jpg", "ftp_drop", b"plate=AB12CDE")
                pictures = part("licensePlatePicture.jpg", data) + part("overview", data) + b"--b--\r\n"
                yield put(part("event.xml", own, "") + pictures, "multipart/form-data; boundary=b")
                told = {"plate": "AB12CDE", "overview": base64.b64encode(data).decode(), "image": "/9j/" + "A" * 40}
                yield put(json.dumps(told).encode())

    assert hold(dialect, inputs()) > 300


@pytest.mark.parametrize("dialect", DIALECTS)
def test_names_that_climb(dialect: str) -> None:
    lines = [line for body in corpus("path-traversal") for line in body.splitlines() if line.strip()]
    step = 1 if dialect == "generic-name" else max(1, len(lines) // 300)
    bodies = (JPEG, b'{"plate": "AB12CDE"}', b"<a/>", b"")

    def inputs() -> Iterator[bytes]:
        for number, line in enumerate(lines[::step]):
            name = line.replace(FUZZ["BETWEEN"], b"").decode("utf-8", "surrogateescape")
            yield put(bodies[number % 4], name=name, way="ftp_drop")
            yield put(bodies[number % 4], name=f"20260302/081530_{name}_GBR.jpg", way="ftp_drop")
            yield put(bodies[number % 4], name=name, way="mqtt_events")

    assert hold(dialect, inputs()) > 500


@pytest.mark.parametrize("dialect", DIALECTS)
def test_naughty_strings_in_every_field(dialect: str) -> None:
    (file,) = [f for f in files("naughty-strings") if f.name == "blns.json"]
    naughty = [text.replace("\x1e", "") for text in json.loads(file.read_text("utf-8"))]
    dice = Random(SEED)
    print(f"seed {SEED}")
    forms = [seed for seed in FUZZ["seeds"](dialect, 60_000) if seed.strip()][:12]

    def inputs() -> Iterator[bytes]:
        for text, seed in zip(naughty, itertools.cycle(forms), strict=False):
            head, sign, body = seed.rpartition(FUZZ["BETWEEN"])
            for every in (True, False):
                yield head + sign + with_text(body, text, every, dice)

    assert hold(dialect, inputs()) > 900


def with_text(body: bytes, text: str, every: bool, dice: Random) -> bytes:
    """The body with this text in every field, or in one: by its form where that can be told, else in place of what
    looks like a plate or a word."""
    try:
        return json.dumps(_json_with(json.loads(body), text, every, dice)).encode()
    except ValueError:
        pass
    try:
        root = fromstring(body)
    except (ParseError, ValueError, LookupError):
        found = list(re.finditer(rb"(?<=[=:>\"'])[\w .-]{2,40}(?=[<;,&\"'\r\n])", body)) or list(
            re.finditer(rb"\w+", body)
        )
        for match in reversed(found if every else dice.sample(found, min(1, len(found)))):
            body = body[: match.start()] + text.encode("utf-8", "surrogatepass") + body[match.end() :]
        return body
    leaves = [element for element in root.iter() if len(element) == 0]
    for element in leaves if every else dice.sample(leaves, 1):
        element.text = "".join(c for c in text if c.isprintable() or c in "\t\n")
    return tostring(root)


def _json_with(value: Any, text: str, every: bool, dice: Random) -> Any:
    chance = 1.0 if every else 0.1
    if isinstance(value, dict):
        return {key: _json_with(inner, text, every, dice) for key, inner in value.items()}
    if isinstance(value, list):
        return [_json_with(inner, text, every, dice) for inner in value]
    return text if dice.random() < chance else value
