"""How long to wait before trying again. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterator


def full_jitter(first_s: float, most_s: float, chance: Callable[[], float]) -> Iterator[float]:
    """Seconds to wait: each drawn from 0 to a ceiling that doubles from `first_s` to `most_s`.

    Full jitter, so that many nodes whose broker comes back do not all come at once. `chance` gives 0 to 1.
    """
    ceiling_s = first_s
    while True:
        yield ceiling_s * chance()
        ceiling_s = min(most_s, ceiling_s * 2)
