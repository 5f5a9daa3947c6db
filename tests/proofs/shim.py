"""A VFS of SQLite that tells a `Disk` of every write and sync, and writes through to plain files meanwhile.

What the unix VFS would do to the disk is what the disk is told: also that the first sync of a new log syncs its folder.
The real files are never synced: only the model says what a cut leaves.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import apsw

from tests.proofs.disk import Disk, PowerCut

_LOGS = apsw.SQLITE_OPEN_WAL | apsw.SQLITE_OPEN_MAIN_JOURNAL | apsw.SQLITE_OPEN_SUPER_JOURNAL
_NAME = "anpr-proof"


class _File(apsw.VFSFile):
    def __init__(self, base: str, name: str | apsw.URIFilename, flags: list[int], disk: Disk) -> None:
        super().__init__(base, name, flags)
        self._name = Path(name.filename() if isinstance(name, apsw.URIFilename) else name).name
        self._disk = disk
        # A full disk is met in the log alone: a checkpoint that finds none is no error to SQLite, and one to apsw.
        self._is_log = bool(flags[0] & _LOGS)
        # os_unix.c: a log opened with CREATE syncs its folder with its first sync.
        self._folder_too = bool(flags[0] & _LOGS and flags[0] & apsw.SQLITE_OPEN_CREATE)
        if flags[0] & apsw.SQLITE_OPEN_CREATE:
            disk.create(self._name)

    def xWrite(self, data: bytes, offset: int) -> None:
        written = bytes(data)
        if self._disk.room_bytes is not None and self._is_log:
            written = self._as_fits(written, offset)
        self._disk.write(self._name, offset, written)
        super().xWrite(written, offset)
        if len(written) < len(data):
            raise apsw.FullError("no space left on device")

    def _as_fits(self, data: bytes, offset: int) -> bytes:
        """A full disk takes the part that needs no new block, or that fits the last ones."""
        assert self._disk.room_bytes is not None
        growth = max(0, offset + len(data) - super().xFileSize())
        taken = min(growth, self._disk.room_bytes)
        self._disk.room_bytes -= taken
        return data[: len(data) - growth + taken]

    def xTruncate(self, newsize: int) -> None:
        if self._disk.room_bytes is not None and self._is_log:
            self._disk.room_bytes += max(0, super().xFileSize() - newsize)
        self._disk.truncate(self._name, newsize)
        super().xTruncate(newsize)

    def xSync(self, flags: int) -> None:
        folder_too, self._folder_too = self._folder_too, False
        if not self._disk.sync(self._name, folder_too):
            raise apsw.IOError("fsync: input/output error")


class _Unsynced(apsw.VFSFile):
    def xSync(self, flags: int) -> None:
        """Nothing is cut here, and a real disk would only be slow."""


class Shim(apsw.VFS):
    """The VFS; `disk` is the one it tells, exchanged between lives."""

    def __init__(self) -> None:
        self._base = apsw.vfs_names()[0]
        super().__init__(_NAME, self._base, makedefault=True)
        self.disk: Disk | None = None

    def xOpen(self, name: str | apsw.URIFilename | None, flags: list[int]) -> apsw.VFSFile:
        if self.disk is None or name is None:
            return _Unsynced(self._base, name, flags)
        return _File(self._base, name, flags, self.disk)

    def xDelete(self, filename: str, syncdir: bool) -> None:
        if self.disk is not None:
            if self.disk.room_bytes is not None and Path(filename).exists():
                self.disk.room_bytes += Path(filename).stat().st_size
            self.disk.delete(Path(filename).name, syncdir)
        super().xDelete(filename, False)


def _unless_asked_for(what: sys.UnraisableHookArgs) -> None:
    """A connection that is let go without a close cannot raise what the disk did to it."""
    if not isinstance(what.exc_value, PowerCut | apsw.Error):
        sys.__unraisablehook__(what)


@contextmanager
def shimmed() -> Iterator[Shim]:
    """Every connection of apsw goes through it meanwhile; without a disk it is like any other, but never syncs."""
    before = apsw.vfs_names()[0]
    shim, heard = Shim(), sys.unraisablehook
    sys.unraisablehook = _unless_asked_for
    try:
        yield shim
    finally:
        sys.unraisablehook = heard
        apsw.set_default_vfs(before)
        shim.unregister()
