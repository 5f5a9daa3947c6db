"""What a source says of its line to a camera. Pure: a protocol, and the words for what can be wrong."""

from __future__ import annotations

from typing import Protocol


class Links(Protocol):
    """Told at each change, by the camera's id. `why` is a stable word: refused, unreachable, unauthorised, quiet, cut,
    garbage, no_device, tls."""

    def up(self, camera: str) -> None: ...

    def down(self, camera: str, why: str) -> None: ...
