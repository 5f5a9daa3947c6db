"""What a camera answers to a question over HTTP. Pure: the reads that it keeps, and the question, make the answer."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from simulators.vendors.telling import Telling


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer with status 200; `told` are the events that are in it."""

    content_type: str
    body: bytes = field(repr=False)
    told: frozenset[str] = frozenset()


Answerer = Callable[[Sequence[Telling], str, bytes], Reply | None]
"""From the kept reads, oldest first, the target of the request and its body; None where the target is not known."""
