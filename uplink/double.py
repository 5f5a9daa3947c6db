"""Whether another lives under this node's name: its birth says so, where the broker that ended a connection does not.

Mosquitto 2.0 ends the connection of whoever had the name before without a word. Births are retained and carry an epoch
that no other life has, so a node that reads the births under its own name sees its double.
"""

from __future__ import annotations

import json
from collections.abc import Callable

REPORT_S = 600.0


class Double:
    """`session` and `epoch`: this life's, the epoch in hexadecimal digits as a birth has it."""

    def __init__(self, session: int, epoch: str, mono_s: Callable[[], float]) -> None:
        self._session = session
        self._epoch = epoch
        self._mono_s = mono_s
        self._seen_s: float | None = None
        self.births = 0

    def heard(self, birth: bytes, *, born: bool) -> None:
        """A birth under this node's name. `born`: this life's own was published, so that no earlier one can follow."""
        try:
            content = json.loads(birth)
            session, epoch = content["session"], content["epoch"]
        except (ValueError, LookupError, TypeError, RecursionError):
            return
        if not isinstance(session, int) or not isinstance(epoch, str) or epoch == self._epoch:
            return
        if born or session >= self._session:
            self._seen_s = self._mono_s()
            self.births += 1

    def seen(self) -> bool:
        """Within the last ten minutes."""
        return self._seen_s is not None and self._mono_s() - self._seen_s < REPORT_S
