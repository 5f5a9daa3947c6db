"""Room held back on the disk: given up when the disk is full, so that acts and deletions still fit; made anew later.

On a full disk SQLite can neither delete nor checkpoint; a few megabytes let go set it free at once (security.md, 4).
"""

from __future__ import annotations

import os
from pathlib import Path

from edge.errors import StorageFailed
from edge.retention import capped

FILE = "ballast"
BYTES = 16_777_216  # four write-ahead logs of 1,000 pages
_FULL_BYTES = 4_194_304  # with fewer free bytes than this, a group of reads or its log may not fit


class Ballast:
    """One file in the state folder. `size_bytes` 0: there is none, and nothing here does anything."""

    def __init__(self, state: Path, size_bytes: int) -> None:
        self._path = state / FILE
        self._size_bytes = size_bytes

    def room_for(self, max_bytes: int) -> int:
        """The largest a ledger of `max_bytes` may be on this partition; the rest is for its log, for this, and for
        whatever else is there."""
        folder = next(each for each in self._path.parents if each.exists())
        found = os.statvfs(folder)
        return capped(max_bytes, found.f_blocks * found.f_frsize, self._size_bytes)

    @property
    def gone(self) -> bool:
        """Whether it was given up and not yet made anew."""
        return self._size_bytes > 0 and not self._path.exists()

    def make(self) -> bool:
        """Hold the room back, where there is twice as much free. False where it is not held."""
        if not self.gone:
            return self._size_bytes > 0
        try:
            if free_bytes(self._path.parent) < 2 * self._size_bytes:
                return False
            handle = os.open(self._path, os.O_CREAT | os.O_WRONLY, 0o600)
            try:
                os.posix_fallocate(handle, 0, self._size_bytes)
                os.fsync(handle)
            finally:
                os.close(handle)
        except OSError:  # it did not fit after all; the disk's own state is told by whoever writes evidence
            self.release()
            return False
        return True

    def release(self) -> bool:
        """Let the room go. True where some was held."""
        try:
            self._path.unlink()
        except FileNotFoundError:
            return False
        except OSError as problem:
            raise StorageFailed(
                f"the ballast cannot be let go: {problem.strerror}", "look at the disk: anpr-edge doctor disk"
            ) from problem
        return True

    def release_if_full(self) -> bool:
        """Let it go only where the disk has no room left: a ledger at its own bound has no use for it."""
        return self._size_bytes > 0 and free_bytes(self._path.parent) < _FULL_BYTES and self.release()


def free_bytes(folder: Path) -> int:
    """Bytes free to this user. OSError where the folder is not there."""
    found = os.statvfs(folder)
    return found.f_bavail * found.f_frsize
