"""Whether a camera still looks where it looked: shift, turn and cover of the scene, and whether its picture has frozen.

Numbers out, no pictures. A scene is kept as an outline: how many edges stand in each column of four flat strips, and in
each row of four upright ones. Nothing two-dimensional is kept: four rows of 128 and four columns of 96 numbers show
neither a plate nor a place, and only the middle of many pictures, in which no vehicle is left, is given out to be kept.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from zlib import crc32

import numpy as np

from edge.eyes import Scene

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float32]
    Bytes = NDArray[np.uint8]

SAMPLED_PX = (256, 192)
"""Width and height of what `outline` takes: the picture, every part of it, by nearest neighbour, whatever its shape."""

_PART = 2  # samples on a side of one cell of the outline
_ACROSS, _DOWN = SAMPLED_PX[0] // _PART, SAMPLED_PX[1] // _PART
_STRIPS = 4
_EDGE_MAX = 24  # levels: a headlight's edge counts no more than a kerb's
_STEP = 0.25  # levels: outlines are kept in bytes
_SMOOTH = 13  # cells: what is broader than this is light, not edges
_WHITENED = 0.5  # of the spectrum: 1 is pure phase correlation, which a vehicle in view disturbs more
_TILTS = (-4, -3, -2, -1, 0, 1, 2, 3, 4)  # cells from strip to strip; 4 is about 12 degrees at 16:9
_SHIFT_MAX = 0.4  # of the side
_BLOCKS = 8  # along each strip, for what is covered
_TEXTURED = 1.0  # levels of edge on average in a block, above which its loss says something
_LOST = 0.3  # of the edges left
OUTLINES_LEAST = 30
"""An outline that may be kept is the middle of at least so many: no single picture, and no vehicle, is in it."""

LAST, COMPARED_EVERY = 40, 20
"""Pictures that are looked at together, and after how many new ones."""


@dataclass(frozen=True, slots=True)
class Outline:
    """Edges by place, in quarter levels. `across`: four strips from top to bottom of 128, `down`: four strips from left
    to right of 96. `aspect`: width over height of the picture. Of one picture it stays in memory."""

    across: bytes
    down: bytes
    aspect: float

    def kept(self) -> dict[str, object]:
        return {"across": self.across.hex(), "down": self.down.hex(), "aspect": self.aspect}


def restored(kept: dict[str, str | float]) -> Outline:
    """What `Outline.kept` gave. Raises ValueError where it is none."""
    across, down = bytes.fromhex(str(kept["across"])), bytes.fromhex(str(kept["down"]))
    if len(across) != _STRIPS * _ACROSS or len(down) != _STRIPS * _DOWN:
        raise ValueError("no outline of this version")
    return Outline(across, down, float(kept["aspect"]))


def sampled(picture: Bytes) -> Bytes:
    """Grey samples of a grey (height, width) or RGB (height, width, 3) picture; what Pillow's `resize` by nearest
    neighbour to SAMPLED_PX gives too, in less time than it takes to hand a whole picture over."""
    rows = (2 * np.arange(SAMPLED_PX[1]) + 1) * picture.shape[0] // (2 * SAMPLED_PX[1])
    columns = (2 * np.arange(SAMPLED_PX[0]) + 1) * picture.shape[1] // (2 * SAMPLED_PX[0])
    some: Bytes = picture[rows[:, None], columns[None, :]]
    if some.ndim == 3:
        weighed = some.astype(np.uint32) @ np.array([19595, 38470, 7471], np.uint32)  # ITU-R BT.601, as Pillow has it
        some = (weighed >> 16).astype(np.uint8)
    return some


def _cells(samples: Bytes) -> Floats:
    """Means of 2x2 samples, (96, 128)."""
    if samples.shape != (SAMPLED_PX[1], SAMPLED_PX[0]):
        raise ValueError("not sampled at SAMPLED_PX")
    rows = samples.reshape(_DOWN, _PART, SAMPLED_PX[0]).sum(1, dtype=np.uint16)
    cells: Floats = rows.reshape(_DOWN, _ACROSS, _PART).sum(2, dtype=np.uint16).astype(np.float32)
    return cells * np.float32(1 / _PART**2)


def look(samples: Bytes, aspect: float) -> tuple[Outline, tuple[int | None, ...]]:
    """The outline of one picture and its marks: a number for each of 12 parts, equal only where every cell of that part
    is; None where the part is too flat to tell. `aspect`: width over height of the picture itself."""
    cells = _cells(samples)
    upright, flat = np.zeros_like(cells), np.zeros_like(cells)
    np.minimum(np.abs(cells[:, 2:] - cells[:, :-2]), _EDGE_MAX, out=upright[:, 1:-1])
    np.minimum(np.abs(cells[2:] - cells[:-2]), _EDGE_MAX, out=flat[1:-1])
    across = upright.reshape(_STRIPS, _DOWN // _STRIPS, _ACROSS).mean(1)
    down = flat.reshape(_DOWN, _STRIPS, _ACROSS // _STRIPS).mean(2).T
    return Outline(_packed(across), _packed(down), round(aspect, 3)), _marks(cells)


def _packed(levels: Floats) -> bytes:
    return bytes(np.rint(levels / _STEP).astype(np.uint8))


def _unpacked(packed: bytes) -> Floats:
    return np.frombuffer(packed, np.uint8).reshape(_STRIPS, -1).astype(np.float32) * np.float32(_STEP)


def _marks(cells: Floats) -> tuple[int | None, ...]:
    parts = np.rint(cells * _PART**2).astype(np.uint16).reshape(3, _DOWN // 3, 4, _ACROSS // 4).swapaxes(1, 2)
    flat = parts.reshape(12, -1)
    spread = flat.max(1).astype(int) - flat.min(1)
    # 12 levels within a part: below, a dark night's blocks may come out equal by the JPEG's rounding alone.
    return tuple(
        crc32(part.tobytes()) if wide >= 12 * _PART**2 else None for part, wide in zip(flat, spread, strict=True)
    )


def middle(outlines: Sequence[Outline]) -> Outline:
    """The median of at least OUTLINES_LEAST outlines of one camera: what stands still. Raises ValueError for fewer."""
    if len(outlines) < OUTLINES_LEAST:
        raise ValueError(f"an outline to keep needs {OUTLINES_LEAST} pictures")
    across = np.median([np.frombuffer(one.across, np.uint8) for one in outlines], axis=0)
    down = np.median([np.frombuffer(one.down, np.uint8) for one in outlines], axis=0)
    return Outline(bytes(np.rint(across).astype(np.uint8)), bytes(np.rint(down).astype(np.uint8)), outlines[-1].aspect)


def compare(now: Outline, before: Outline) -> Scene:
    """How the scene lies to what it was. A shift is found up to 0.4 of the side and to about half a cell."""
    across, across_before = _unpacked(now.across), _unpacked(before.across)
    down, down_before = _unpacked(now.down), _unpacked(before.down)
    along_x, along_y = _correlated(across, across_before), _correlated(down, down_before)
    squared = now.aspect**2 * _DOWN / _ACROSS
    found = [(_leaning(along_x, tilt), _leaning(along_y, -tilt * squared), tilt) for tilt in _TILTS]
    best = max(found, key=lambda one: one[0][0] + one[1][0])
    turn_deg = math.degrees(math.atan(best[2] * _STRIPS / _ACROSS * now.aspect))
    edges = float((across.sum() + down.sum()) / max(1e-6, across_before.sum() + down_before.sum()))
    return Scene(
        shift_x=best[0][1] / _ACROSS,
        shift_y=best[1][1] / _DOWN,
        turn_deg=turn_deg,
        likeness=best[0][0] + best[1][0],
        edges=edges,
        occluded=_covered(across, across_before, down, down_before),
    )


@dataclass(slots=True)
class Lookout:
    """One camera in one light: the outlines of its last pictures, in memory only, and the one from commissioning."""

    before: Outline | None = None
    last: deque[Outline] = field(default_factory=lambda: deque(maxlen=LAST))
    unseen: int = 0

    def see(self, outline: Outline) -> Scene | None:
        """One more picture; every COMPARED_EVERY, how the middle of the last lies to the baseline. Until there is a
        baseline, the first OUTLINES_LEAST make it."""
        self.last.append(outline)
        self.unseen += 1
        if len(self.last) < OUTLINES_LEAST or (self.before is not None and self.unseen < COMPARED_EVERY):
            return None
        now, self.unseen = middle(list(self.last)), 0
        if self.before is None:
            self.before = now
            return None
        return compare(now, self.before)

    def reset(self) -> None:
        """Begin anew with the pictures that come: a signed act said so."""
        self.before, self.unseen = None, 0
        self.last.clear()


def _correlated(now: Floats, before: Floats) -> Floats:
    """For each strip how well each shift fits, in units of the correlation's own scatter."""
    size = 2 * now.shape[1]
    spectrum = np.fft.rfft(_bare(now), size) * np.conj(np.fft.rfft(_bare(before), size))
    fits = np.fft.irfft(spectrum / (np.abs(spectrum) ** _WHITENED + 1e-9), size)
    scaled: Floats = (fits / (np.sqrt((fits**2).mean(1, keepdims=True)) + 1e-9)).astype(np.float32)
    return scaled


def _bare(levels: Floats) -> Floats:
    """Without what is broader than edges, and fading towards the ends, so that what leaves the view weighs little."""
    running = np.cumsum(np.pad(levels, ((0, 0), (_SMOOTH // 2 + 1, _SMOOTH // 2)), mode="edge"), axis=1)
    broad = (running[:, _SMOOTH:] - running[:, :-_SMOOTH]) / _SMOOTH
    return ((levels - broad) * np.hanning(levels.shape[1])).astype(np.float32)


def _leaning(fits: Floats, tilt: float) -> tuple[float, float]:
    """The best common shift of the strips, each shifted by `tilt` from the one before: how well it fits, and cells."""
    size = fits.shape[1]
    shifts = [round((strip - (_STRIPS - 1) / 2) * tilt) for strip in range(_STRIPS)]
    together = np.sum([np.roll(row, -shift) for row, shift in zip(fits, shifts, strict=True)], axis=0)
    most = int(_SHIFT_MAX * size / 2)
    near = np.concatenate([together[-most:], together[: most + 1]])
    place = int(np.argmax(near))
    return float(near[place]), place - most + _vertex(near, place)


def _vertex(values: Floats, place: int) -> float:
    """Where a parabola through the greatest value and its neighbours is highest, from that value."""
    if not 0 < place < len(values) - 1:
        return 0.0
    left, here, right = (float(value) for value in values[place - 1 : place + 2])
    bend = left - 2 * here + right
    return 0.0 if bend >= 0 else 0.5 * (left - right) / bend


def _covered(across: Floats, across_before: Floats, down: Floats, down_before: Floats) -> float | None:
    """Share of the blocks with edges that have lost them; None where there were hardly any."""
    now = np.concatenate([_blocks(across), _blocks(down)])
    before = np.concatenate([_blocks(across_before), _blocks(down_before)])
    told = before >= _TEXTURED
    if told.sum() < _BLOCKS:
        return None
    return float((now[told] < _LOST * before[told]).mean())


def _blocks(levels: Floats) -> Floats:
    means: Floats = levels.reshape(_STRIPS * _BLOCKS, -1).mean(1)
    return means
