"""Hostile pictures in a process with little memory: each is fitted or refused, soon, and nothing reaches the disk."""

from __future__ import annotations

import base64
import json
import subprocess
import sys
from io import BytesIO
from pathlib import Path

import pytest
from PIL import Image

ROOT = Path(__file__).resolve().parents[2]
VECTORS = ROOT.parent / "shared" / "vectors"
CAPS = "Caps(patch_max_width_px=120, patch_max_height_px=60, patch_max_bytes=3_000, overview_max_bytes=25_000)"
REASONS = {"unsupported_image", "too_many_bytes", "too_many_pixels", "too_many_scans", "undecodable"}

# The high-water mark is read from /proc: the kernel's ru_maxrss counts what the parent had before exec.
FITTER = f"""
import base64, json, resource, sys, time
resource.setrlimit(resource.RLIMIT_AS, (1_500_000_000, 1_500_000_000))
from compress.fit import fit
from edge.errors import Refused
from edge.claim import Role
from firmware_config.profile import Caps
caps = {CAPS}
for name in sys.stdin.read().splitlines():
    with open(name, "rb") as file:
        data = file.read()
    for role in Role:
        started = time.thread_time()
        try:
            made = fit(data, role, caps)
            said = {{"jpeg": base64.b64encode(made.jpeg).decode(), "size": [made.width_px, made.height_px]}}
        except Refused as refusal:
            said = {{"reason": refusal.reason}}
        print(json.dumps({{"name": name, "role": role.value, "s": time.thread_time() - started, **said}}))
with open("/proc/self/status") as file:
    peak = next(line for line in file if line.startswith("VmHWM"))
print(json.dumps({{"peak_kb": int(peak.split()[1])}}))
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
    assert done.returncode == 0, done.stderr.decode()[-2000:]
    return done.stdout.decode()


def fit_all(files: list[Path], peak_mb: int = 256) -> dict[str, int]:
    """Fits each file at both roles elsewhere and checks every answer; how often each answer came."""
    *answers, last = (json.loads(line) for line in run(FITTER, "\n".join(map(str, files)).encode()).splitlines())
    assert len(answers) == 2 * len(files)
    counts: dict[str, int] = {}
    for answer in answers:
        assert answer["s"] < 1, (answer["name"], answer["s"])
        if "reason" in answer:
            assert answer["reason"] in REASONS, answer["name"]
        else:
            check(base64.b64decode(answer["jpeg"]), answer["role"], answer["size"])
        word = answer.get("reason", "fitted")
        counts[word] = counts.get(word, 0) + 1
    assert last["peak_kb"] < peak_mb * 1000
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


def test_the_largest_that_is_let_through(tmp_path: Path) -> None:
    shade = Image.linear_gradient("L").resize((5000, 4000))
    colour = Image.merge("RGB", (shade, shade.transpose(Image.Transpose.ROTATE_180), shade))
    pictures = {
        "progressive.jpg": (colour, {"progressive": True, "subsampling": 0}),
        "cmyk.jpg": (colour.convert("CMYK"), {}),
        "alpha.png": (colour.convert("RGBA"), {"compress_level": 1}),
        "grey16.png": (Image.new("I;16", (5000, 4000), 900), {"compress_level": 1}),
        "palette.png": (shade.quantize(16), {"compress_level": 1, "transparency": 3}),
    }
    for name, (image, options) in pictures.items():
        image.save(tmp_path / name, **options)
    over = tmp_path / "over.png"
    Image.new("1", (5001, 4000)).save(over)
    counts = fit_all([*(tmp_path / name for name in pictures), over], peak_mb=360)
    assert counts == {"fitted": 10, "too_many_pixels": 2}


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
