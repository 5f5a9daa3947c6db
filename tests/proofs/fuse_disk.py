"""A file served over /dev/fuse, that remembers every write and every flush in one order.

The kernel's protocol spoken directly (linux/fuse.h, 7.31), so that no library is needed: the root of the mount is the
file itself. Put under a loop device it is a disk whose whole history is known. Needs root.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import mmap
import os
import struct
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO, Self

_IN = struct.Struct("<IIQQIIIHH")
_OUT = struct.Struct("<IiQ")
_INIT_OUT = struct.Struct("<IIIIHHIIHHI28x")
_ATTR = struct.Struct("<QIIQQQQQQIIIIIIIIII")  # valid for so long, then struct fuse_attr
_IO = struct.Struct("<QQIIQII")
_OPEN_OUT = struct.Struct("<QII")
_WRITE_OUT = struct.Struct("<II")
_STATFS_OUT = struct.Struct("<QQQQQIIII24x")
_ENTRY = struct.Struct("<Qi")  # offset and length of a write that follows; -1 for a flush
_MOMENT = struct.Struct("<Q")
_MAX_WRITE = 128 * 1024
_MODE = 0o100600
_BIG_WRITES = 1 << 5
_FORGET, _GETATTR, _SETATTR, _OPEN, _READ, _WRITE, _STATFS, _RELEASE = 2, 3, 4, 14, 15, 16, 17, 18
_FSYNC, _FLUSH, _INIT, _ACCESS, _INTERRUPT, _DESTROY = 20, 25, 26, 34, 36, 38
_libc = ctypes.CDLL(None, use_errno=True)


@dataclass(frozen=True, slots=True)
class Block:
    """A write to the disk; a flush where `data` is None."""

    offset: int
    data: bytes | None = field(repr=False)


class RecordedDisk:
    """Mounted at `path` between enter and exit, and served by a process of its own: a thread of this one could wait for
    the disk while it holds what the server needs."""

    def __init__(self, path: Path, content: Path) -> None:
        self._path = path
        self._content = content
        self._log = path.with_name("log")
        self._moment = path.with_name("moment")

    def __enter__(self) -> Self:
        self._path.touch()
        self._moment.write_bytes(bytes(_MOMENT.size))
        with self._moment.open("rb") as file:
            self._shared = mmap.mmap(file.fileno(), _MOMENT.size, prot=mmap.PROT_READ)
        device = os.open("/dev/fuse", os.O_RDWR | os.O_CLOEXEC)
        options = f"fd={device},rootmode={_MODE:o},user_id=0,group_id=0,max_read={_MAX_WRITE}"
        if _libc.mount(b"anpr-proof", bytes(self._path), b"fuse", 0, options.encode()) != 0:
            problem = ctypes.get_errno()
            os.close(device)
            raise OSError(problem, "cannot mount over /dev/fuse")
        files = [str(each) for each in (self._content, self._log, self._moment)]
        command = [sys.executable, str(Path(__file__)), str(device), *files]
        self._server = subprocess.Popen(command, pass_fds=(device,), cwd=self._path.parent)
        os.close(device)  # so that the kernel gives up if the server does
        return self

    def __exit__(self, *exc: object) -> None:
        _libc.umount2(bytes(self._path), 0)
        self._server.wait(30)

    def moment(self) -> int:
        """How long the log is now."""
        found: tuple[int] = _MOMENT.unpack(self._shared[:])
        return found[0]

    def log(self) -> list[Block]:
        """All of it, once the disk is no longer mounted."""
        content, at, blocks = self._log.read_bytes(), 0, list[Block]()
        while at < len(content):
            offset, size = _ENTRY.unpack_from(content, at)
            at += _ENTRY.size
            blocks.append(Block(offset, content[at : at + size] if size >= 0 else None))
            at += max(0, size)
        return blocks


class _Server:
    """Answers the kernel until the file is unmounted."""

    def __init__(self, device: int, content: bytes, log: BinaryIO, shared: mmap.mmap) -> None:
        self._device = device
        self._content = bytearray(content)
        self._log = log
        self._shared = shared
        self._count = 0
        self._answers: dict[int, Callable[[bytes], bytes]] = {
            _INIT: self._init,
            _GETATTR: lambda _: self._attributes(),
            _SETATTR: lambda _: self._attributes(),
            _OPEN: lambda _: _OPEN_OUT.pack(1, 0, 0),
            _READ: self._read,
            _WRITE: self._write,
            _FSYNC: self._flush,
            _STATFS: lambda _: _STATFS_OUT.pack(0, 0, 0, 0, 0, 4096, 255, 4096, 0),
        } | dict.fromkeys((_FLUSH, _RELEASE, _ACCESS, _DESTROY), lambda _: b"")

    def serve(self) -> None:
        while True:
            try:
                request = os.read(self._device, _MAX_WRITE + 4096)
            except OSError as problem:
                if problem.errno in (errno.EINTR, errno.EAGAIN, errno.ENOENT):
                    continue
                return  # ENODEV: unmounted
            operation, unique = struct.unpack_from("<IQ", request, 4)
            if operation in (_FORGET, _INTERRUPT):
                continue
            answer = self._answers.get(operation)
            body, error = (answer(request[_IN.size :]), 0) if answer else (b"", -errno.ENOSYS)
            with contextlib.suppress(FileNotFoundError):  # whoever asked was killed and waits no more
                os.write(self._device, _OUT.pack(_OUT.size + len(body), error, unique) + body)

    def _note(self, offset: int, size: int, data: bytes) -> None:
        self._log.write(_ENTRY.pack(offset, size) + data)
        self._count += 1
        self._shared[:] = _MOMENT.pack(self._count)

    def _init(self, body: bytes) -> bytes:
        return _INIT_OUT.pack(7, 31, 0, _BIG_WRITES, 16, 12, _MAX_WRITE, 1, 0, 0, 0)

    def _attributes(self) -> bytes:
        size = len(self._content)
        numbers, times, who = (1, size, size // 512), (0,) * 6, (_MODE, 1, 0, 0, 0, 4096, 0)
        return _ATTR.pack(3600, 0, 0, *numbers, *times, *who)

    def _read(self, body: bytes) -> bytes:
        _, offset, size, *_ = _IO.unpack_from(body)
        return bytes(self._content[offset : offset + size])

    def _write(self, body: bytes) -> bytes:
        _, offset, size, *_ = _IO.unpack_from(body)
        data = body[_IO.size : _IO.size + size]
        self._content[offset : offset + size] = data
        self._note(offset, len(data), data)
        return _WRITE_OUT.pack(size, 0)

    def _flush(self, body: bytes) -> bytes:
        self._note(0, -1, b"")
        return b""


def _serve(device: str, content: str, log: str, moment: str) -> None:
    with open(moment, "r+b") as file:
        shared = mmap.mmap(file.fileno(), _MOMENT.size)
    with open(log, "wb") as out:
        _Server(int(device), Path(content).read_bytes(), out, shared).serve()


if __name__ == "__main__":
    _serve(*sys.argv[1:])
