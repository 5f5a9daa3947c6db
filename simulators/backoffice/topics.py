"""The contract's topics, taken apart. Nothing that is not one of them gets a meaning here."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from simulators.backoffice import shapes

SUBSCRIPTION: Final = "anpr/v1/+/+/+/#"
KINDS: Final = frozenset({"read", "overview", "act"})


@dataclass(frozen=True, slots=True)
class Route:
    """Where a node speaks, and where its receipts go."""

    operator: str
    site: str
    node: str

    @property
    def receipt_topic(self) -> str:
        return f"anpr/v1/{self.operator}/{self.site}/{self.node}/receipt"


@dataclass(frozen=True, slots=True)
class Topic:
    route: Route
    words: tuple[str, ...]

    @property
    def is_record(self) -> bool:
        return len(self.words) == 1 and self.words[0] in KINDS


def parse(topic: str) -> Topic | None:
    """Take a topic apart, or give None where its names are not the contract's."""
    words = topic.split("/")
    if len(words) < 6 or words[:2] != ["anpr", "v1"] or not all(map(shapes.name, words[2:5])):
        return None
    return Topic(route=Route(*words[2:5]), words=tuple(words[5:]))
