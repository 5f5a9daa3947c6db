"""What a source says of its line to a camera. Pure: a protocol, and the words for what can be wrong."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol


class Links(Protocol):
    """Told at each change, by the camera's id. `why` is a stable word: refused, unreachable, unauthorised, quiet, cut,
    garbage, no_device, tls."""

    def up(self, camera: str) -> None: ...

    def down(self, camera: str, why: str) -> None: ...


@dataclass(slots=True)
class Telling:
    """One camera's line, as `links` was told of it last: each change is told once."""

    links: Links
    camera: str
    said: str | None = None

    def __call__(self, why: str) -> None:
        """`why` it is down; empty for up."""
        if why == self.said:
            return
        self.said = why
        if why:
            self.links.down(self.camera, why)
        else:
            self.links.up(self.camera)
