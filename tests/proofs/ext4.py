"""A recorded disk with a real ext4 on it, and what a cut at any moment of its log may leave. Needs root, loop, FUSE.

A cut keeps every write before the last flush, and any part of those since, whole or torn into 512 bytes.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from random import Random

from tests.proofs.fuse_disk import Block, RecordedDisk

IMAGE_BYTES = 48 << 20
_TOOLS = ("mkfs.ext4", "e2fsck", "losetup", "mount", "umount")
_CHECK_IS_CLEAN = 0


class NotMounted(Exception):
    """The kernel does not take this disk as it is."""


def missing() -> str:
    """What this machine lacks for it, in words; empty where nothing."""
    if os.geteuid() != 0:
        return "needs root (to mount)"
    for device in ("/dev/fuse", "/dev/loop-control"):
        if not Path(device).exists():
            return f"needs {device}"
    lacking = [tool for tool in _TOOLS if shutil.which(tool, path="/usr/sbin:/sbin:/usr/bin:/bin") is None]
    return f"needs {', '.join(lacking)}" if lacking else ""


def _fresh_image(path: Path) -> None:
    """An empty ext4, nothing of it left for the kernel to fill in later."""
    with path.open("wb") as file:
        file.truncate(IMAGE_BYTES)
    lazy = "lazy_itable_init=0,lazy_journal_init=0"
    _run("mkfs.ext4", "-q", "-E", lazy, "-J", "size=4", str(path))


@contextmanager
def mounted(image: Path, where: Path, options: str = "") -> Iterator[None]:
    """A file as a disk at `where`, through a loop device."""
    where.mkdir(exist_ok=True)
    loop = _run("losetup", "--find", "--show", str(image)).strip()
    try:
        try:
            _run("mount", *(["-o", options] if options else []), loop, str(where))
        except subprocess.CalledProcessError as problem:
            raise NotMounted(problem.stderr) from problem
        try:
            yield
        finally:
            _run("umount", str(where))
    finally:
        _run("losetup", "--detach", loop)
        _let_go(Path("/sys/block") / Path(loop).name / "loop")


def _let_go(held: Path) -> None:
    """A loop device lets go of its file a little after it was told to."""
    until = time.monotonic() + 10
    while held.exists() and time.monotonic() < until:
        time.sleep(0.001)


@contextmanager
def recorded(folder: Path, options: str = "") -> Iterator[RecordedDisk]:
    """An ext4 on a recorded disk, mounted at `folder/mnt`."""
    _fresh_image(folder / "fresh")
    with (
        RecordedDisk(folder / "disk", folder / "fresh") as disk,
        mounted(folder / "disk", folder / "mnt", options),
    ):
        yield disk


def sound(image: Path) -> bool:
    """Whether e2fsck finds nothing, on a disk that was unmounted."""
    return subprocess.run(["e2fsck", "-fn", str(image)], capture_output=True).returncode == _CHECK_IS_CLEAN


def repair(image: Path) -> None:
    """What an engineer would do with a card that does not mount."""
    subprocess.run(["e2fsck", "-fy", str(image)], capture_output=True)


def _run(*command: str) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


class Replay:
    """What may be left of a log at rising moments; the durable part is applied once and kept."""

    def __init__(self, fresh: bytes, log: Sequence[Block]) -> None:
        self._image = bytearray(fresh)
        self._log = log
        self._flushes = [n for n, block in enumerate(log) if block.data is None]
        self._applied = 0

    def remains(self, moment: int, chance: Random) -> bytes:
        """The disk after a cut when the log was `moment` long. Moments must not go back."""
        before = bisect_left(self._flushes, moment)
        flushed = self._flushes[before - 1] if before else 0
        for block in self._log[self._applied : flushed]:
            _put(self._image, block)
        self._applied = max(self._applied, flushed)
        image = bytearray(self._image)
        sector, keep = chance.choice((512, 4096)), chance.choice((0.0, 0.1, 0.5, 0.9, 1.0))
        for block in self._log[flushed:moment]:
            data = block.data or b""
            for at in range(0, len(data), sector):
                if chance.random() < keep:
                    _put(image, Block(block.offset + at, data[at : at + sector]))
        return bytes(image)


def _put(image: bytearray, block: Block) -> None:
    if block.data is not None:
        image[block.offset : block.offset + len(block.data)] = block.data
