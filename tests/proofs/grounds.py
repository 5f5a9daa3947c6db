"""Where a ledger finds no room: behind a VFS that says so, on a tmpfs that is full, at its own bound."""

from __future__ import annotations

import itertools
import subprocess
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from random import Random
from shutil import copytree

from tests.proofs.disk import Disk
from tests.proofs.pieces import open_ledger
from tests.proofs.shim import Shim, shimmed

LARGE_BYTES = 64_000_000


@dataclass(frozen=True, slots=True)
class Ground:
    """`give_back_room` is None where only receipts make room. `copy`: the files as the next process finds them;
    `left`: as a power cut might leave them. `aside`: meanwhile other files have room."""

    state: Path
    max_bytes: int
    take_room: Callable[[], None]
    give_back_room: Callable[[], None] | None
    copy: Callable[[], Path]
    left: Callable[[], Path]
    aside: Callable[[], AbstractContextManager[None]]


def _copies(state: Path, folder: Path) -> Callable[[], Path]:
    numbers = itertools.count()

    def copy() -> Path:
        there = folder / f"copy-{next(numbers)}"
        copytree(state, there)
        return there

    return copy


@contextmanager
def in_vfs(chance: Random, folder: Path) -> Iterator[Ground]:
    """Up to 400 kB of room, then none, the last page half written."""
    with _shimmed(chance, folder, LARGE_BYTES) as (ground, disk):
        yield _with_room(ground, disk, chance.randint(0, 400_000))


@contextmanager
def at_cap(chance: Random, folder: Path) -> Iterator[Ground]:
    """The ledger's own bound of 300 to 900 kB."""
    with _shimmed(chance, folder, chance.randint(300_000, 900_000)) as (ground, _):
        yield ground


def _with_room(ground: Ground, disk: Disk, room_bytes: int) -> Ground:
    def take() -> None:
        disk.room_bytes = room_bytes

    def give_back() -> None:
        disk.room_bytes = None

    return Ground(ground.state, ground.max_bytes, take, give_back, ground.copy, ground.left, ground.aside)


@contextmanager
def _shimmed(chance: Random, folder: Path, max_bytes: int) -> Iterator[tuple[Ground, Disk]]:
    state, disk, numbers = folder / "state", Disk(chance), itertools.count()
    state.mkdir()

    def left() -> Path:
        there = folder / f"left-{next(numbers)}"
        there.mkdir()
        disk.found(there)
        return there

    with shimmed() as shim:
        _born(shim, disk, state)
        yield Ground(state, max_bytes, _nothing, None, _copies(state, folder), left, lambda: _aside(shim)), disk


def _born(shim: Shim, disk: Disk, state: Path) -> None:
    """The file and its tables are durable before the disk is watched: they are made by another library."""
    open_ledger(state, Random(0)).close()
    disk.load(state)
    shim.disk = disk


@contextmanager
def _aside(shim: Shim) -> Iterator[None]:
    disk, shim.disk = shim.disk, None
    try:
        yield
    finally:
        shim.disk = disk


@contextmanager
def on_tmpfs(chance: Random, folder: Path) -> Iterator[Ground]:
    """A tmpfs of 512 kB to 2 MB, filled by the ledger and by something else; 64 MB once there is room again."""
    where = folder / "small"
    where.mkdir()
    size = f"size={chance.randint(512_000, 2_000_000)}"
    _run("mount", "-t", "tmpfs", "-o", size, "anpr-proof", str(where))
    try:
        state = where / "state"
        copy = _copies(state, folder)

        def take() -> None:
            with (where / "something-else").open("wb") as file:
                file.write(bytes(chance.randint(0, 300_000)))

        def give_back() -> None:
            _run("mount", "-o", "remount,size=64000000", str(where))

        yield Ground(state, LARGE_BYTES, take, give_back, copy, copy, nullcontext)
    finally:
        _run("umount", str(where))


def _run(*command: str) -> None:
    subprocess.run(command, check=True, capture_output=True)


def _nothing() -> None:
    """No room is taken: the ledger comes to its own bound."""


WAYS: dict[str, Callable[[Random, Path], AbstractContextManager[Ground]]] = {
    "vfs": in_vfs,
    "tmpfs": on_tmpfs,
    "cap": at_cap,
}
