"""Some seconds of scripts/fuzz-pictures, and controls that its judge and its limits see what they are for."""

from __future__ import annotations

import json
import random
import runpy
import struct
import subprocess
import sys
import time
from io import BytesIO
from pathlib import Path

import pytest
from PIL import Image

from compress import jpeg
from edge.claim import Role
from edge.read import FittedImage
from tests.fixtures.jpeg_judge import complaints, judged

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = ROOT / "scripts" / "fuzz-pictures"
FUZZER = runpy.run_path(str(SCRIPT), run_name="fuzz_pictures")
SEED, COUNT = 20, 500


def coded(image: Image.Image, **options: object) -> bytes:
    out = BytesIO()
    image.save(out, "JPEG", **options)
    return out.getvalue()


def plain(size: tuple[int, int] = (100, 50)) -> bytes:
    return coded(Image.new("RGB", size, (90, 30, 200)))


def with_segment(data: bytes, marker: int, body: bytes) -> bytes:
    """Another segment before the frame."""
    at = data.index(b"\xff\xc0")
    return data[:at] + bytes((0xFF, marker)) + struct.pack(">H", len(body) + 2) + body + data[at:]


def test_mutated_pictures_are_answered_lawfully() -> None:
    # The limit on memory is the command's: here the process has held, and freed, what other tests needed.
    tallies = list(FUZZER["trial"](SEED, range(COUNT), time.monotonic() + 120))
    violations = [violation for tally in tallies for violation in tally.violations]
    assert violations == [], f"scripts/fuzz-pictures --seed {SEED} --first NUMBER --count 1 --save DIR"
    assert sum(tally.pictures for tally in tallies) == COUNT
    answers = sum((tally.answers for tally in tallies), start=type(tallies[0].answers)())
    words = {answer.split(": ")[1] for answer in answers}
    assert words >= {"kept", "stripped", "recompressed", "undecodable", "unsupported_image", "box_outside", "measured"}


def test_the_command_sums_up_in_json_and_writes_nothing(tmp_path: Path) -> None:
    command = [
        sys.executable,
        str(SCRIPT),
        "--count",
        "40",
        "--seed",
        "3",
        "--jobs",
        "2",
        "--save",
        str(tmp_path / "no"),
    ]
    done = subprocess.run(command, capture_output=True, cwd=tmp_path, timeout=120)
    assert done.returncode == 0, done.stderr.decode()[-2000:]
    said = json.loads(done.stdout)
    assert (said["pictures"], said["violations"]) == (40, [])
    assert 0 < said["over_start_mb"] < 200
    assert 0 < said["slowest_s"] < 1
    assert list(tmp_path.iterdir()) == []


def test_a_number_is_the_same_picture_at_each_run() -> None:
    mutated, groups = FUZZER["mutated"], FUZZER["groups"]
    first, second = groups(5), groups(5)
    made = [mutated(5, number, first) for number in range(60)]
    assert made == [mutated(5, number, second) for number in range(60)]
    assert len({data for data, _ in made}) > 50
    assert made != [mutated(6, number, first) for number in range(60)]


@pytest.mark.parametrize(
    ("data", "wrong"),
    [
        (plain(), []),
        (plain().replace(b"\xff\xd9", b"\xff\xff\xd9"), []),
        (coded(Image.frombytes("RGB", (120, 60), random.Random(1).randbytes(21_600)), quality=95), ["bytes"]),
        (plain((121, 60)), ["pixels"]),
        (plain((120, 61)), ["pixels"]),
        (with_segment(plain(), 0xE1, b"Exif\0\0x"), ["segment e1"]),
        (with_segment(plain(), 0xE0, b"JFIF\0\1\1\0\0\1\0\1\1\1\0\0\0"), ["segment e0"]),
        (with_segment(plain(), 0xFE, b"a comment"), ["segment fe"]),
        (with_segment(plain(), 0xDC, b"a secret"), ["segment dc"]),
        (plain() + b"\0", ["bytes after EOI"]),
        (plain()[:-2], ["broken"]),
        (b"GIF89a", ["no SOI"]),
        (with_segment(plain(), 0xC4, b"\0" + b"\xff" * 16), ["not shown"]),
    ],
)
def test_the_judge_sees_what_it_is_for(data: bytes, wrong: list[str]) -> None:
    assert complaints(data, Role.PLATE_PATCH) == wrong


def test_the_judge_compares_the_numbers_with_the_bytes() -> None:
    def made(width_px: int, quality: int | None, encodes: int) -> FittedImage:
        return FittedImage(Role.PLATE_PATCH, plain(), width_px, 50, quality, encodes, ("recompressed",), 100, 50)

    assert judged(made(100, 80, 5), Role.PLATE_PATCH) == []
    assert judged(made(99, 80, 5), Role.PLATE_PATCH) == ["says another size"]
    assert judged(made(100, 80, 6), Role.PLATE_PATCH) == ["6 encodes"]
    assert judged(made(100, None, 2), Role.PLATE_PATCH) == ["2 encodes"]


def test_a_picture_that_kills_the_process_is_named_and_the_rest_goes_on(tmp_path: Path) -> None:
    """The control for crashes below Python: number 7 ends the process, in a copy of the command that asks for it."""
    planted = SCRIPT.read_text("utf-8").replace("        begun(number)\n", KILL)
    assert planted.count("SIGKILL") == 1
    script = tmp_path / "fuzz-pictures"
    script.write_text(planted.replace("Path(__file__).resolve().parents[1]", f"Path({str(ROOT)!r})"), "utf-8")
    done = subprocess.run([sys.executable, str(script), "--count", "12"], capture_output=True, timeout=120)
    assert done.returncode == 1
    (violation,) = json.loads(done.stdout)["violations"]
    assert (violation["number"], violation["wrong"]) == (7, ["the process died: -9"])


KILL = """        begun(number)
        if number == 7:
            import signal
            os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.parametrize("marker", [0xDC, 0xDE, 0xDF, 0xF0, 0xFD, 0x02, 0xBF, 0xC8, 0xCC])
def test_segments_that_decoders_skip_do_not_travel(marker: int) -> None:
    assert jpeg.strip(with_segment(plain(), marker, b"51.5007N 0.1246W")) == plain()
