"""The quantisation tables that overviews and patches are coded with, and how they are scaled. Pure.

A table says how coarsely each frequency is kept. These are our own: a surface over the frequencies, fitted on pictures
with known plates (docs/images.md), flatter than the ones in the JPEG standard's annex, so that a plate's fine strokes
are not the first to go.
"""

from __future__ import annotations

Table = tuple[int, ...]

_SIDE = 8
FINEST, COARSEST = 0.04, 40.0
"""The scales between which any picture is coded."""


def _surface(flat: float, slope: float, power: float) -> tuple[float, ...]:
    """64 steps in rows of rising horizontal frequency: `flat` plus `slope` times the distance from zero to `power`."""
    return tuple(
        flat + slope * (across * across + down * down) ** (power / 2)
        for down in range(_SIDE)
        for across in range(_SIDE)
    )


LUMA = _surface(12.0, 9.0, 0.9)
CHROMA = _surface(15.0, 7.0, 1.2)
FLAT = _surface(13.0, 0.7, 1.0)
"""For patches: nearly flat, and no two neighbours alike, so that it scales in fine steps."""


def scaled(base: tuple[float, ...], scale: float) -> Table:
    """A table of whole steps from 1 to 255."""
    return tuple(max(1, min(255, round(step * scale))) for step in base)


def quality(scale: float) -> int:
    """The scale as a number from 1 to 100 as people know it from JPEG libraries: 50 at scale 1."""
    percent = scale * 100
    found = 5000 / percent if percent > 100 else (200 - percent) / 2
    return max(1, min(100, round(found)))
