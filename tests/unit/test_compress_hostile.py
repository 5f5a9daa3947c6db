"""Hostile pictures in a process with little memory: each is fitted or refused, soon, and nothing reaches the disk."""

from __future__ import annotations

import base64
import json
import subprocess
import sys
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from tests.fixtures.odd_pictures import FITTED, REFUSED

ROOT = Path(__file__).resolve().parents[2]
VECTORS = ROOT.parent / "shared" / "vectors"
CAPS = "Caps(patch_max_width_px=120, patch_max_height_px=60, patch_max_bytes=3_000, overview_max_bytes=25_000)"
ACTS = ("plate_patch", "overview", "plate_patch by box", "overview softened")
REASONS = {"unsupported_image", "too_many_bytes", "too_many_pixels", "too_many_scans", "undecodable"}

MAX_S, MAX_OVER_START_MB = 1.0, 200

# The high-water mark is read from /proc: the kernel's ru_maxrss counts what the parent had before exec. The start is
# after a first small picture: what the libraries themselves hold is no picture's.
FITTER = f"""
import base64, json, resource, sys, time
resource.setrlimit(resource.RLIMIT_AS, (1_500_000_000, 1_500_000_000))
from compress import checks
from compress.fit import fit, fit_and_measure
from compress.surround import Mode, Surround
from edge.claim import Box, Role
from edge.errors import Refused
from firmware_config.profile import Caps
caps, box, soften = {CAPS}, Box(1000, 1000, 300, 90), Surround(Mode.SOFTEN)
acts = {{
    "plate_patch": lambda data: fit(data, Role.PLATE_PATCH, caps),
    "overview": lambda data: fit_and_measure(data, caps)[0],
    "plate_patch by box": lambda data: fit(data, Role.PLATE_PATCH, caps, box),
    "overview softened": lambda data: fit_and_measure(data, caps, None, surround=soften)[0],
}}
def memory_mb(name):
    with open("/proc/self/status") as file:
        return int(next(line for line in file if line.startswith(name)).split()[1]) / 1000
checks.pictures(caps)
start_mb = memory_mb("VmRSS")
for name in sys.stdin.read().splitlines():
    with open(name, "rb") as file:
        data = file.read()
    for act in sys.argv[1:]:
        started = time.thread_time()
        try:
            made = acts[act](data)
            said = {{"jpeg": base64.b64encode(made.jpeg).decode(), "size": [made.width_px, made.height_px]}}
        except Refused as refusal:
            said = {{"reason": refusal.reason}}
        said["s"] = time.thread_time() - started
        print(json.dumps({{"name": name, "act": act, "over_start_mb": memory_mb("VmHWM") - start_mb, **said}}))
"""

WATCHED = f"""
import os, sys
written = []
def watch(event, args):
    if event == "open" and args[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT):
        written.append(args[0])
sys.addaudithook(watch)
from compress.fit import fit
from edge.errors import Refused
from edge.claim import Box, Role
from firmware_config.profile import Caps
caps, data = {CAPS}, sys.stdin.buffer.read()
for role in Role:
    fit(data, role, caps)
fit(data, Role.PLATE_PATCH, caps, Box(100, 100, 90, 40))
try:
    fit(data[:5000], Role.OVERVIEW, caps)
except Refused:
    pass
before = len(written)
open(sys.argv[1], "wb").close()
print(before, len(written))
"""


def run(script: str, given: bytes, *arguments: str) -> str:
    command = [sys.executable, "-B", "-W", "error", "-c", script, *arguments]
    done = subprocess.run(command, input=given, capture_output=True, cwd=ROOT, timeout=300)
    assert (done.returncode, done.stderr) == (0, b""), done.stderr.decode()[-2000:]
    return done.stdout.decode()


def answers(files: list[Path], acts: tuple[str, ...] = ("plate_patch", "overview")) -> list[dict[str, Any]]:
    """What each file gave, elsewhere: every answer is checked, and its time and memory are inside the limits."""
    said = [json.loads(line) for line in run(FITTER, "\n".join(map(str, files)).encode(), *acts).splitlines()]
    assert len(said) == len(acts) * len(files)
    for answer in said:
        assert answer["s"] < MAX_S, (answer["name"], answer["act"], answer["s"])
        assert answer["over_start_mb"] < MAX_OVER_START_MB, (answer["name"], answer["act"], answer["over_start_mb"])
        if "reason" in answer:
            assert answer["reason"] in REASONS, answer["name"]
        else:
            check(base64.b64decode(answer["jpeg"]), answer["act"].split()[0], answer["size"])
    return said


def fit_all(files: list[Path]) -> dict[str, int]:
    """Fits each file at both roles elsewhere and checks every answer; how often each answer came."""
    counts: dict[str, int] = {}
    for answer in answers(files):
        word = answer.get("reason", "fitted")
        counts[word] = counts.get(word, 0) + 1
    return counts


def check(jpeg: bytes, role: str, size: list[int]) -> None:
    assert len(jpeg) <= {"plate_patch": 3_000, "overview": 25_000}[role]
    assert jpeg.endswith(b"\xff\xd9")
    assert not any(name in jpeg for name in (b"Exif\0", b"ICC_PROFILE\0", b"http://ns.adobe"))
    with Image.open(BytesIO(jpeg), formats=["JPEG"]) as image:
        image.load()
        assert list(image.size) == size
    if role == "plate_patch":
        assert size[0] <= 120
        assert size[1] <= 60


@pytest.mark.parametrize(
    ("folder", "least"),
    [("images-hostile", 20), ("images-pillow", 60), ("images-libjpeg-turbo", 100), ("gofuzz/jpeg", 90)],
)
def test_public_hostile_pictures(folder: str, least: int) -> None:
    if not VECTORS.is_dir():
        pytest.skip(f"no hostile pictures: {VECTORS} is absent")
    files = sorted(file for file in (VECTORS / folder).rglob("*") if file.is_file())
    assert len(files) >= least
    counts = fit_all(files)
    print(folder, counts)
    assert counts["fitted"] > 0
    assert sum(counts.values()) > counts["fitted"]


@pytest.mark.parametrize("name", FITTED)
def test_large_and_odd_pictures_are_fitted(name: str, tmp_path: Path) -> None:
    file = tmp_path / "picture"
    file.write_bytes(FITTED[name]())
    said = answers([file], ACTS)
    assert [answer.get("reason") for answer in said] == [None] * len(ACTS)
    print(shown(name, file, said))


@pytest.mark.parametrize("name", REFUSED)
def test_what_would_take_too_much_is_refused_by_name(name: str, tmp_path: Path) -> None:
    make, reason = REFUSED[name]
    file = tmp_path / "picture"
    file.write_bytes(make())
    said = answers([file], ACTS)
    assert [answer.get("reason") for answer in said] == [reason] * len(ACTS)
    assert said[-1]["over_start_mb"] < 20
    print(shown(name, file, said))


def shown(name: str, file: Path, said: list[dict[str, Any]]) -> str:
    """A line of the table in docs/images.md: `pytest -s -k "odd or refused_by_name"` prints them."""
    slowest, most = max(answer["s"] for answer in said), max(answer["over_start_mb"] for answer in said)
    became = said[0].get("reason", "fitted")
    return f"\n| {name} | {file.stat().st_size:,} | {became} | {slowest:.2f} | {most:.0f} |"


TOGETHER = """
import sys, threading
from compress import checks
from compress.fit import fit
from edge.claim import Role
from firmware_config.profile import Caps
def memory_mb(name):
    with open("/proc/self/status") as file:
        return int(next(line for line in file if line.startswith(name)).split()[1]) / 1000
caps, data = CAPS, sys.stdin.buffer.read()
checks.pictures(caps)
start_mb = memory_mb("VmRSS")
threads = [threading.Thread(target=fit, args=(data, Role.OVERVIEW, caps)) for _ in range(3)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
print(memory_mb("VmHWM") - start_mb)
""".replace("CAPS,", f"{CAPS},")


def test_several_large_pictures_at_once_take_no_more_than_one() -> None:
    assert float(run(TOGETHER, FITTED["JPEG 5000x4000, progressive CMYK"]())) < MAX_OVER_START_MB


def test_the_memory_limit_of_these_tests_bites() -> None:
    """Negative control: under the same limit, a picture of the size that the gate refuses cannot even be made."""
    script = FITTER.split("from compress.fit")[0] + "from PIL import Image\nImage.new('RGB', (20000, 20000))"
    done = subprocess.run([sys.executable, "-B", "-c", script], capture_output=True, cwd=ROOT, timeout=60)
    assert b"MemoryError" in done.stderr


def test_nothing_is_written_to_disk(tmp_path: Path) -> None:
    out = BytesIO()
    Image.effect_noise((1600, 1200), 60).convert("RGB").save(out, "JPEG", quality=95)
    before, after = map(int, run(WATCHED, out.getvalue(), str(tmp_path / "control")).split())
    assert (before, after) == (0, 1)  # the one is the control: the hook sees a file that is written
