"""How much room the state folder's file system has."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Disk:
    free_bytes: int
    total_bytes: int


def disk(folder: Path) -> Disk:
    """Bytes free to the service's user, and in all."""
    found = os.statvfs(folder)
    return Disk(found.f_bavail * found.f_frsize, found.f_blocks * found.f_frsize)
