"""One picture inside its legal cap, or refused. Pure: the same bytes, caps and library versions give the same JPEG.

A picture that complies is never coded again. What is returned is inside its cap, checked on the bytes themselves, and
holds no metadata. How large and how fine is `compress.overview`'s to say; a patch keeps its size and gives up quality.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from PIL import Image

from compress import jpeg, tables
from compress.codec import Coded, Encoder
from compress.decode import Size, decode, turned, upright
from compress.inspect import LIMITS, Header, Limits, inspect
from compress.overview import Guess, overview, probed, resized, side_wanted
from compress.reason import Reason, refused
from compress.search import search
from edge.read import Box, FittedImage, Role
from firmware_config.profile import Caps

ENCODES_MAX = 5
# Round the plate: none costs reading accuracy, 10 to 15 % of the box on each side gave the best.
MARGIN = 0.12

_PATCH_SCALE = 0.3
_PATCH_ENCODES = 4
_LAST_RESORT_PX, _LAST_RESORT_SCALE = 48, 6.0
_PLAIN_COARSENESS = 2.0  # of a picture that is no JPEG: as if it were a fine one
_ENOUGH_SIDE = 0.75  # of the side wanted: a power-of-two decode this near is taken as it is
_ENOUGH_AFTER_ALL = 0.6  # once it is decoded: a second decode must be worth its time


def fit(data: bytes, role: Role, caps: Caps, box: Box | None = None, limits: Limits = LIMITS) -> FittedImage:
    """The picture for this role inside its cap. `box`: where the plate is, in px of `data` as stored; the picture
    is then cut to it with a margin. Raises Refused with a word of `compress.reason.Reason`."""
    header = inspect(data, limits)
    kept = None if box is not None else _kept(data, header, role, caps)
    return _checked(kept or _recoded(data, header, role, caps, box), caps)


def max_bytes(role: Role, caps: Caps) -> int:
    return caps.patch_max_bytes if role is Role.PLATE_PATCH else caps.overview_max_bytes


def _max_px(role: Role, caps: Caps) -> Size | None:
    if role is Role.PLATE_PATCH:
        return (caps.patch_max_width_px, caps.patch_max_height_px)
    side = caps.overview_max_side_px
    return None if side is None else (side, side)


def _kept(data: bytes, header: Header, role: Role, caps: Caps) -> FittedImage | None:
    """The picture as it came, less its metadata, where that complies; None where it must be coded anew."""
    found, size, most = header.jpeg, (header.width_px, header.height_px), _max_px(role, caps)
    if found is None or found.orientation != 1 or not (found.complete and found.huffman_tables):
        return None
    # Other colours than YCbCr and grey are not shown alike everywhere.
    if header.channels not in (1, 3) or found.rgb or found.adobe not in (None, 0, 1):
        return None
    if most is not None and (size[0] > most[0] or size[1] > most[1]):
        return None
    bare = jpeg.strip(data, found.segments)
    if len(bare) > max_bytes(role, caps):
        return None
    decode(bare, replace(header, jpeg=replace(found, segments=())))  # evidence that cannot be looked at is none
    return FittedImage(role, bare, *size, None, 0, ("kept" if bare == data else "stripped",), *size)


def _recoded(data: bytes, header: Header, role: Role, caps: Caps, box: Box | None) -> FittedImage:
    stored = (header.width_px, header.height_px)
    area = (0, 0, *stored) if box is None else _round_plate(box, stored)
    whole = turned((area[2] - area[0], area[3] - area[1]), header.orientation)
    start = _inside(whole, _max_px(role, caps) or whole)
    encoder, cap = Encoder(*_TABLES[role]), max_bytes(role, caps)
    if role is Role.OVERVIEW:
        coded = _overview(data, header, area, start, cap, encoder)
    else:
        coded = _patch(_picture(data, header, area, start), start, cap, encoder)
    cut = ("cropped",) if area != (0, 0, *stored) else ()
    scaled = ("resized",) if coded.size != whole else ()
    actions = (*cut, *scaled, "recompressed")
    return FittedImage(role, coded.jpeg, *coded.size, coded.quality, encoder.encodes, actions, *stored)


_TABLES = {Role.OVERVIEW: (tables.LUMA, tables.CHROMA), Role.PLATE_PATCH: (tables.FLAT, tables.CHROMA)}


def _picture(data: bytes, header: Header, area: tuple[int, int, int, int], at_least: Size) -> Image.Image:
    """The part of the picture that is used, upright, RGB or grey, at least this large where it was."""
    stored = (header.width_px, header.height_px)
    whole = area == (0, 0, *stored)
    # A scaled decode would move the box, so only a picture that is used whole is decoded small.
    picture = decode(data, header, turned(at_least, header.orientation) if whole else None)
    picture = upright(picture if whole else picture.crop(area), header.orientation)
    return picture.convert("L") if _neutral(picture) else picture


def _overview(
    data: bytes, header: Header, area: tuple[int, int, int, int], start: Size, cap: int, encoder: Encoder
) -> Coded:
    whole = (area[2] - area[0], area[3] - area[1])
    coarseness = header.jpeg.coarseness if header.jpeg is not None else _PLAIN_COARSENESS
    guess = Guess(len(data), header.width_px * header.height_px, coarseness, cap)
    enough = side_wanted(max(whole), guess.scale(whole[0] * whole[1])) * _ENOUGH_SIDE
    picture = _picture(data, header, area, _inside(start, (round(enough), round(enough))))
    prospect = probed(picture, encoder, cap, guess.scale(picture.size[0] * picture.size[1]))
    wanted = side_wanted(max(picture.size), prospect.scale)
    if wanted * _ENOUGH_AFTER_ALL > max(picture.size) < max(start):
        # The header promised a busier picture than it is: it may be larger.
        scale = prospect.scale * (wanted / max(picture.size)) ** 2
        picture = _picture(data, header, area, _inside(start, (round(wanted), round(wanted))))
        prospect = probed(picture, encoder, cap, scale)
    return overview(picture, encoder, cap, start, prospect) or _last_resort(picture, cap)


def _patch(picture: Image.Image, start: Size, cap: int, encoder: Encoder) -> Coded:
    """A patch is small already: it keeps its size and gives up quality."""
    picture = resized(picture, start)
    return search(lambda scale: encoder.encode(picture, scale), _PATCH_SCALE, cap, most=_PATCH_ENCODES) or _last_resort(
        picture, cap
    )


def _last_resort(picture: Image.Image, cap: int) -> Coded:
    """A small grey picture: better than none, where the caps are far below those of any known standard."""
    part = min(1.0, _LAST_RESORT_PX / max(picture.size))
    size = (max(1, round(picture.size[0] * part)), max(1, round(picture.size[1] * part)))
    coded = Encoder().encode(resized(picture.convert("L"), size), _LAST_RESORT_SCALE)
    if len(coded.jpeg) > cap:
        raise refused(Reason.CANNOT_FIT)
    return coded


def _checked(image: FittedImage, caps: Caps) -> FittedImage:
    """The last look at the bytes that will travel. A failure is a fault of this module, never the sender's."""
    most = _max_px(image.role, caps)
    if len(image.jpeg) > max_bytes(image.role, caps) or image.encodes > ENCODES_MAX:
        raise AssertionError("a picture came out above its cap")
    if most is not None and (image.width_px > most[0] or image.height_px > most[1]):
        raise AssertionError("a picture came out with too many pixels")
    return image


def _round_plate(box: Box, stored: Size) -> tuple[int, int, int, int]:
    """Left, top, right, bottom in px: the box, a margin on each side, cut at the picture's edge."""
    right, bottom = box.left_px + box.width_px, box.top_px + box.height_px
    if min(right, stored[0]) <= max(box.left_px, 0) or min(bottom, stored[1]) <= max(box.top_px, 0):
        raise refused(Reason.BOX_OUTSIDE)
    aside, above = round(box.width_px * MARGIN), round(box.height_px * MARGIN)
    return (
        max(0, box.left_px - aside),
        max(0, box.top_px - above),
        min(stored[0], right + aside),
        min(stored[1], bottom + above),
    )


def _inside(size: Size, most: Size) -> Size:
    """The largest size of this shape within `most`, never larger than it was and at least 1 px each way."""
    scale = min(1.0, most[0] / size[0], most[1] / size[1])
    return (max(1, min(most[0], round(size[0] * scale))), max(1, min(most[1], round(size[1] * scale))))


def _neutral(picture: Image.Image) -> bool:
    """Whether no pixel has colour, so that one channel shows all there is (a third of the encoder's time, 5 % of the
    bytes). Colour within 3 of 128 is what a JPEG's rounding leaves on grey."""
    if picture.mode == "L":
        return True
    few = picture.resize((max(1, picture.size[0] // 8), max(1, picture.size[1] // 8)), Image.Resampling.NEAREST)
    return _grey(few) and _grey(picture)  # the first look is cheap, and mostly enough


def _grey(picture: Image.Image) -> bool:
    blue_red = np.asarray(picture.convert("YCbCr"))[..., 1:]
    return bool(blue_red.min() >= 125 and blue_red.max() <= 131)
