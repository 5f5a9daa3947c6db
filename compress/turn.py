"""Large pictures take turns: one at a time in the whole process, while all others go on beside it.

A board of 1 GB has room for one decode of 180 MB, not for one in each image thread. What comes out does not depend on
the order; only the wait does, and the reader's deadline covers it.
"""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from threading import Lock

_LARGE_BYTES = 45_000_000  # above what an ordinary camera's picture takes: 10 Mpx in colour take 40 MB
_ONE_LARGE = Lock()


def turn(memory_bytes: int) -> AbstractContextManager[object]:
    """To be held while a picture whose decode takes so much is worked on."""
    return _ONE_LARGE if memory_bytes > _LARGE_BYTES else nullcontext()
