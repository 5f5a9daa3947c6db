"""How a proof tells how far it is and what it found: a bar on standard error, one line of JSON on standard output."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterable, Iterator, Mapping
from typing import TypeVar

from tqdm import tqdm

Step = TypeVar("Step")


def told(steps: Iterable[Step], total: int, what: str) -> Iterator[Step]:
    """The same steps, with a bar; a line every ten seconds where standard error is no terminal."""
    quiet = not sys.stderr.isatty()
    yield from tqdm(steps, desc=what, total=total, file=sys.stderr, mininterval=10 if quiet else 0.2, ascii=quiet)


def say(figures: Mapping[str, object], began_s: float) -> None:
    """The figures as one line, with the seconds since `began_s` (monotonic)."""
    print(json.dumps({**figures, "seconds": round(time.monotonic() - began_s, 1)}), flush=True)
