"""A delivery and its answer: what a source holds and what it sends back.

Neither leaves `capture`. What may not happen here: a body, a query or an address in a `repr`; deliveries in memory
without a bound.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from edge.claim import Arrival, Outcome, Verdict

MIB = 1024 * 1024

_FORBIDDEN = frozenset(
    {"unknown_source", "unknown_identity", "not_authorised", "not_yet_authorised", "authorisation_expired"}
)
"""The reasons that mean "not you, or not now", as opposed to "not in this form"."""


@dataclass(frozen=True, slots=True)
class Delivery:
    """The bytes of one delivery. `content_type` as declared (may be empty or wrong), `query` undecoded. `name`: the
    file's or topic's, where the way has such. `replayed`: the way itself says that this was said before."""

    arrival: Arrival
    content_type: str
    query: str = field(repr=False)
    body: bytes = field(repr=False)
    name: str = field(default="", repr=False)
    replayed: bool = False


@dataclass(frozen=True, slots=True)
class Answer:
    """What a camera is told: the verdict, and how its vendor says it. On a way without a status, `body` is what is
    written back, empty for nothing."""

    verdict: Verdict
    status: int
    content_type: str
    body: bytes = field(repr=False)


def said(verdict: Verdict, content_type: str, body: bytes) -> Answer:
    """The answer with the HTTP status that the verdict deserves."""
    return Answer(verdict, status_of(verdict), content_type, body)


def status_of(verdict: Verdict) -> int:
    """The HTTP status a verdict deserves: a camera must keep what it is not told 200 for."""
    if verdict.outcome is Outcome.LATER:
        return 503
    if verdict.outcome is not Outcome.REFUSED:
        return 200
    if verdict.reason in _FORBIDDEN:
        return 403
    return 413 if verdict.reason == "too_large" else 400


def plain(verdict: Verdict) -> Answer:
    """The answer where no dialect can be told."""
    body = verdict.outcome.value + (f" {verdict.reason}" if verdict.reason else "") + "\n"
    return said(verdict, "text/plain; charset=utf-8", body.encode())


class InHand:
    """How much is held at this moment, against two limits."""

    def __init__(self, most: int, most_bytes: int) -> None:
        self._most = most
        self._most_bytes = most_bytes
        self.held = 0
        self.held_bytes = 0

    def take(self, size_bytes: int) -> bool:
        """Hold one more of this size; False, and nothing is held, where it would go over a limit."""
        if self.held >= self._most or self.held_bytes + size_bytes > self._most_bytes:
            return False
        self.held += 1
        self.held_bytes += size_bytes
        return True

    def grow(self, size_bytes: int) -> bool:
        """Hold more bytes for one already taken."""
        if self.held_bytes + size_bytes > self._most_bytes:
            return False
        self.held_bytes += size_bytes
        return True

    def give(self, size_bytes: int) -> None:
        """Let go of one, with all its bytes."""
        self.held -= 1
        self.held_bytes -= size_bytes
