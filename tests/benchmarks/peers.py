"""What others do to bring a JPEG under 25 kB, each as its documents say, timed in the same run.

Tools run as processes; the time of a run that does nothing is taken off. Whether the cap is kept is counted on the
bytes that came out, never taken from the tool.
"""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from tests.benchmarks.floor import least_s
from tests.benchmarks.pictures import OVERVIEW_CAP_BYTES

_LONG_SIDE_PX = 800
_IMAGEMAGICK = ("magick", "convert-im6.q16", "convert")


@dataclass(frozen=True, slots=True)
class Peer:
    """`shrink`: JPEG to JPEG, empty where it gives none. `start_s`: what a run that does nothing takes."""

    name: str
    shrink: Callable[[bytes], bytes]
    start_s: float = 0.0


def peers() -> tuple[Peer, ...]:
    """Those that this machine has; a tool that is missing is left out, and `missing` names it."""
    found = [
        Peer("Pillow thumbnail 800 + bisection", pillow_bisection),
        Peer("OpenCV area 800 + bisection", opencv_bisection),
    ]
    if tool := shutil.which("jpegoptim"):
        found.append(Peer("jpegoptim --size=24", lambda data: _jpegoptim(tool, data), _start_s([tool, "--version"])))
    if magick := _imagemagick():
        shrink = _with_file(lambda path: [magick, str(path), "-define", "jpeg:extent=25kb", "jpeg:-"])
        found.append(Peer("ImageMagick jpeg:extent=25kb", shrink, _start_s([magick, "-version"])))
    return tuple(found)


def missing() -> tuple[str, ...]:
    """The tools that are not installed."""
    return tuple(
        name
        for name, there in (("jpegoptim", shutil.which("jpegoptim")), ("ImageMagick", _imagemagick()))
        if there is None
    )


def pillow_bisection(data: bytes) -> bytes:
    """Pillow's documented way to a small picture, and the highest quality whose JPEG fits."""
    with Image.open(BytesIO(data)) as image:
        image.thumbnail((_LONG_SIDE_PX, _LONG_SIDE_PX))
        small = image.convert("RGB")
    return _bisection(lambda quality: _by_pillow(small, quality))


def opencv_bisection(data: bytes) -> bytes:
    """Decoded whole, resized by area, and the highest quality whose JPEG, with standard Huffman tables, fits."""
    image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    assert image is not None
    scale = min(1.0, _LONG_SIDE_PX / max(image.shape[:2]))
    if scale < 1:
        size = (round(image.shape[1] * scale), round(image.shape[0] * scale))
        image = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
    return _bisection(lambda quality: cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, quality])[1].tobytes())


def _bisection(encode: Callable[[int], bytes]) -> bytes:
    low, high, best = 1, 95, b""
    while low <= high:
        quality = (low + high) // 2
        data = encode(quality)
        if len(data) <= OVERVIEW_CAP_BYTES:
            best, low = data, quality + 1
        else:
            high = quality - 1
    return best


def _by_pillow(image: Image.Image, quality: int) -> bytes:
    out = BytesIO()
    image.save(out, "JPEG", quality=quality, optimize=True)
    return out.getvalue()


def _jpegoptim(tool: str, data: bytes) -> bytes:
    shrink = _with_file(lambda path: [tool, "--quiet", "--strip-all", "--size=24", "--stdout", str(path)])
    # Nothing comes where it found nothing to gain: then the picture stays as it was.
    return shrink(data) or data


def _with_file(command: Callable[[Path], list[str]]) -> Callable[[bytes], bytes]:
    def shrink(data: bytes) -> bytes:
        with tempfile.NamedTemporaryFile(suffix=".jpg", dir=_memory()) as file:
            file.write(data)
            file.flush()
            return _output(command(Path(file.name)))

    return shrink


def _memory() -> str | None:
    """A folder in memory where there is one, so that no disk is timed."""
    return "/dev/shm" if Path("/dev/shm").is_dir() else None


def _output(command: list[str]) -> bytes:
    # OMP: one thread, as for all others.
    environment = {"PATH": "/usr/bin:/bin", "OMP_NUM_THREADS": "1", "MAGICK_THREAD_LIMIT": "1"}
    return subprocess.run(command, capture_output=True, env=environment, check=False, timeout=60).stdout


def _start_s(command: list[str]) -> float:
    return least_s(lambda: _output(command), 10)


def _imagemagick() -> str | None:
    """A program that says it is ImageMagick: `convert` may be anything."""
    for name in _IMAGEMAGICK:
        if (tool := shutil.which(name)) and b"ImageMagick" in _output([tool, "-version"]):
            return tool
    return None
