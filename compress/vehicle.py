"""Vehicle first, as one picture is fitted: where its region is, and how strong the blur for the size it leaves in.

Pure. What was done is returned beside the picture, in the px of the JPEG that travels: nothing is altered and not said.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from PIL import Image

from compress.codec import Coded, Encoder
from compress.decode import Size
from compress.locate import locate
from compress.overview import Prospect, probed, side_wanted
from compress.surround import Mode, Surround, region_round, scaled, soften
from edge.claim import Box
from edge.read import AlteredSurround, BoxBy

_ROUNDS, _NEAR = 2, 1.1  # a weaker blur leaves a smaller picture, whose blur must be stronger: two rounds settle it


@dataclass(frozen=True, slots=True)
class Region:
    """What stays as it is, in px of the camera's picture of this size, upright, and who said where the plate is."""

    box: Box = field(repr=False)
    by: BoxBy
    size: Size


def region_of(plate: Box | None, size: Size, picture: Image.Image, scale: int) -> Region | None:
    """The vehicle's region in a picture of this size, by the box that came with it or, where none did, by one that is
    proposed. `picture`: the same, decoded at one part in `scale`. None where there is nothing to alter."""
    by = BoxBy.PROPOSED if plate is None else BoxBy.CAMERA
    if plate is None:
        proposed = locate(np.asarray(picture.convert("L")), scale)
        plate = None if proposed is None else proposed.box
    box = None if plate is None else region_round(plate, *size)
    return None if box is None else Region(box, by, size)


@dataclass(frozen=True, slots=True)
class Choice:
    """What an operator chose, and where, in one picture."""

    surround: Surround
    region: Region


@dataclass(frozen=True, slots=True)
class Ready:
    """A picture as it is to be coded, what probes say of it, and its blur in its own px."""

    picture: Image.Image
    prospect: Prospect
    choice: Choice | None = None
    sigma_px: float = 0.0

    def said(self, coded: Coded) -> AlteredSurround | None:
        """What is to be told of the surround, in px of the picture as coded: a region no larger than what was left."""
        if self.choice is None:
            return None
        region, mode = self.choice.region, self.choice.surround.mode
        sigma_x100 = round(100 * self.sigma_px * max(coded.size) / max(self.picture.size))
        clear = scaled(region.box, region.size, coded.size, within=True)
        return AlteredSurround(mode.value, sigma_x100, clear, region.by)


def made_ready(
    picture: Image.Image, choice: Choice | None, encoder: Encoder, cap: int, start: Size, guess: float
) -> Ready:
    """The picture with its surround altered before it is probed, so that the bytes that this frees go to the vehicle.
    `start`: the largest it may leave as; `guess`: the scale at which it might fill the cap."""
    plain = Ready(picture, probed(picture, encoder, cap, guess))
    if choice is None:
        return plain
    if choice.surround.mode is Mode.MASK:
        return _altered(plain, picture, choice, 0.0, encoder, cap)
    made, longest = plain, max(picture.size)
    for _ in range(_ROUNDS):
        leaves = min(float(max(start)), longest, side_wanted(longest, made.prospect.scale))
        sigma_px = choice.surround.sigma_px * longest / leaves
        if made.sigma_px and 1 / _NEAR < sigma_px / made.sigma_px < _NEAR:
            break
        made = _altered(made, picture, choice, sigma_px, encoder, cap)
    return made


def _altered(before: Ready, picture: Image.Image, choice: Choice, sigma_px: float, encoder: Encoder, cap: int) -> Ready:
    clear = scaled(choice.region.box, choice.region.size, picture.size)
    made = Image.fromarray(soften(np.asarray(picture), clear, sigma_px, choice.surround.mode))
    return Ready(made, probed(made, encoder, cap, before.prospect.scale), choice, sigma_px)
