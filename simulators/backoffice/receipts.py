"""Collects what a batch decided and turns it into signed receipts, one per node's topic and epoch.

Nothing is added here before it is durable with the store, and a receipt never speaks of more than one epoch.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from simulators.backoffice import cose
from simulators.backoffice.chain import Range
from simulators.backoffice.opening import Code
from simulators.backoffice.topics import Route


@dataclass(frozen=True, slots=True)
class Receipt:
    """A signed receipt and the topic it goes to."""

    topic: str
    payload: bytes = field(repr=False)


@dataclass(slots=True)
class _Answer:
    got: set[int] = field(default_factory=set)
    refused: set[tuple[int, Code]] = field(default_factory=set)


def ranges(numbers: Iterable[int]) -> list[Range]:
    """Give ascending ranges, both ends included, that hold exactly these numbers."""
    found: list[Range] = []
    for number in sorted(set(numbers)):
        if found and found[-1][1] == number - 1:
            found[-1] = (found[-1][0], number)
        else:
            found.append((number, number))
    return found


class Collector:
    """The answers that one batch owes."""

    def __init__(self) -> None:
        self._answers: dict[tuple[Route, bytes], _Answer] = {}

    def got(self, route: Route, epoch: bytes, seq: int) -> None:
        """The record is held, now or since before."""
        self._answer(route, epoch).got.add(seq)

    def refused(self, route: Route, epoch: bytes, seq: int, code: Code) -> None:
        """The record is not held, and will not be."""
        self._answer(route, epoch).refused.add((seq, code))

    def sign_all(
        self, key: Ed25519PrivateKey, now_ms: int, run_head: Callable[[str, bytes], bytes | None]
    ) -> list[Receipt]:
        """Give every receipt owed and forget them. `run_head` gives a node's chain head for an epoch."""
        signed = []
        for (route, epoch), answer in self._answers.items():
            statement = {
                "v": 1,
                "node": route.node,
                "epoch": epoch,
                "got": ranges(answer.got),
                "refused": [[seq, code.value] for seq, code in sorted(answer.refused)],
                "head": run_head(route.node, epoch),
                "at_ms": now_ms,
            }
            payload = cose.sign(cose.encode(statement), cose.Content.RECEIPT, key)
            signed.append(Receipt(topic=route.receipt_topic, payload=payload))
        self._answers.clear()
        return signed

    def _answer(self, route: Route, epoch: bytes) -> _Answer:
        return self._answers.setdefault((route, epoch), _Answer())
