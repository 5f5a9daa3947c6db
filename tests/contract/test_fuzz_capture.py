"""A short turn of scripts/fuzz-capture at every target, and what its judge must notice."""

from __future__ import annotations

import json
import runpy
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from edge.claim import Heard, Life, RawImage, RawRead, Role, SignOfLife, Way
from edge.errors import Refused

SCRIPT = Path(__file__).resolve().parents[2] / "scripts" / "fuzz-capture"
FUZZ: dict[str, Any] = runpy.run_path(str(SCRIPT), run_name="fuzz_capture")
SEED = 20260302
CALLS = 300


@pytest.mark.parametrize("name", FUZZ["names"]())
def test_a_short_turn(name: str) -> None:
    print(f"seed {SEED}")
    outcome = FUZZ["fuzz"](name, FUZZ["target_named"](name), FUZZ["seeds"](name, 20_000)[:100], 30, SEED, CALLS)
    assert outcome.finding == ""
    assert outcome.calls == CALLS


def test_the_judge_notices() -> None:
    judged, outcome, peak = FUZZ["judged"], FUZZ["Outcome"]("x", "mutation"), FUZZ["peak_mb"]

    def raises(_: bytes) -> None:
        raise KeyError("AB12CDE")

    def slow(_: bytes) -> None:
        until = time.process_time() + 1.1
        while time.process_time() < until:
            pass

    assert "KeyError at test_fuzz_capture.py" in judged(raises, b"", outcome, peak())
    assert "AB12CDE" not in judged(raises, b"", outcome, peak())
    assert judged(slow, b"", outcome, peak()).startswith("took 1.1 s")
    assert judged(lambda _: None, b"", FUZZ["Outcome"]("x", "mutation"), peak() - 300).startswith("took 300 MB")
    assert judged(lambda _: None, b"", FUZZ["Outcome"]("x", "mutation"), peak()) == ""


def test_it_ends_at_the_first_break_and_keeps_its_bytes() -> None:
    def eat(data: bytes) -> None:
        if b"!" in data:
            raise IndexError

    outcome = FUZZ["fuzz"]("x", eat, [b"abc", b"d!f", b"ghi"], 30, 1, 1000)
    assert (outcome.calls, outcome.broke) == (2, b"d!f")
    assert "d!f" not in repr(outcome) + json.dumps(outcome.shown())


READ = RawRead(
    dialect="generic",
    dialect_version=1,
    camera_identity="SN-1",
    vendor_id="e-1",
    plate_heard="AB12 CDE",
    confidence=90,
    country=None,
    direction=None,
    lane="1",
    time=datetime(2026, 3, 2, tzinfo=UTC),
    time_heard="2026",
    images=(),
)


@pytest.mark.parametrize(
    "change",
    [
        {"vendor_id": "x-ab12-cde"},
        {"passage": "AB12CDE/7"},
        {"confidence": 101},
        {"confidence": 0.5},
        {"lane": ""},
        {"camera_identity": "x" * 129},
        {"time_heard": "a\nb"},
        {"heard": Heard(direction="")},
        {"time": datetime(1, 1, 1)},
        {"images": (RawImage(Role.OVERVIEW, b""),)},
        {"plate_heard": "\ud800"},
    ],
)
def test_a_claim_that_is_not_sound(change: dict[str, Any]) -> None:
    FUZZ["sound"](READ)
    with pytest.raises((FUZZ["Broken"], UnicodeEncodeError)):
        FUZZ["sound"](replace(READ, **change))


def test_other_answers_than_claims_and_refusals() -> None:
    class Odd:
        def __init__(self, act: Callable[[], Any]) -> None:
            self.understand = lambda _: act()

        recognises = answer = staticmethod(lambda *_: None)

    def refuse() -> None:
        raise Refused("no", reason="no_plate")

    target_of = FUZZ["target_of"]
    target_of(Odd(refuse))(b"")
    target_of(Odd(lambda: (READ, SignOfLife(Life.HEARTBEAT, "x", None))))(b"")
    for wrong in (lambda: ("text",), lambda: (SignOfLife(Life.HEARTBEAT, "", None),)):
        with pytest.raises(FUZZ["Broken"]):
            target_of(Odd(wrong))(b"")


def test_an_input_is_a_delivery() -> None:
    delivery = FUZZ["delivery_of"](b"ftp_drop\x1etext/xml\x1ea=1\x1ed/n.xml\x1e<a/>\x1e")
    assert (delivery.arrival.way, delivery.content_type, delivery.query) == (Way.FTP_DROP, "text/xml", "a=1")
    assert (delivery.name, delivery.body) == ("d/n.xml", b"<a/>\x1e")
    assert FUZZ["delivery_of"](b"a\x1eb").body == b"a\x1eb"


def test_the_command() -> None:
    done = subprocess.run(
        [sys.executable, str(SCRIPT), "--seconds", "0.2", "--only", "multipart", "--mutate"],
        capture_output=True,
        timeout=60,
    )
    said = json.loads(done.stdout)
    assert (done.returncode, said["broken"], said["targets"][0]["name"]) == (0, 0, "multipart")
    assert said["targets"][0]["calls"] > 10
    wrong = subprocess.run([sys.executable, str(SCRIPT), "--only", "nothing"], capture_output=True, timeout=60)
    assert wrong.returncode == 2


def test_bytes_that_were_kept_are_held_against_it_again(tmp_path: Path) -> None:
    (tmp_path / "x.bin").write_bytes(b'{"plate": "AB12CDE"}')
    done = subprocess.run(
        [sys.executable, str(SCRIPT), "--only", "generic", "--replay", str(tmp_path / "x.bin")],
        capture_output=True,
        timeout=60,
    )
    assert (done.returncode, done.stdout.decode().split(": ")[-1]) == (0, "holds\n")
