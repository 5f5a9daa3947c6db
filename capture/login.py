"""A name and a password, as a camera wants them from the node or gives them to it. Neither is ever shown."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Login:
    user: str = field(repr=False)
    password: str = field(repr=False)
