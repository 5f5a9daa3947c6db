"""One picture inside its legal cap, or refused. Pure: the same bytes, caps and library versions give the same JPEG.

A picture that complies is never coded again, unless its surround is to be altered. What is returned is inside its cap,
checked on the bytes themselves, and holds no metadata. How large and how fine is `compress.overview`'s to say; a patch
keeps its size and gives up quality.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
from PIL import Image

from compress import jpeg, tables
from compress.codec import Coded, Encoder
from compress.cost import largest, scanned_samples
from compress.decode import Size, decode, turned, upright
from compress.inspect import LIMITS, Header, Limits, inspect
from compress.locate import LOOKED_FOR_AT_PX
from compress.measure import measure_parts
from compress.overview import Guess, overview, resized, side_wanted
from compress.reason import Reason, refused
from compress.search import search
from compress.surround import Mode, Surround, stood_upright
from compress.turn import turn
from compress.vehicle import Choice, Region, made_ready, region_of
from edge.claim import Box, Role
from edge.read import AlteredSurround, FittedImage, PictureMeasures
from firmware_config.profile import Caps

ENCODES_MAX = 5
# Round the plate: none costs reading accuracy, 10 to 15 % of the box on each side gave the best.
MARGIN = 0.12

_PATCH_SCALE = 0.3
_PATCH_ENCODES = 4
_PATCH_SLOPE = 0.55  # bytes of a small picture fall more slowly with the scale where it is fine
_GREY_ROWS = 256
_LAST_RESORT_PX, _LAST_RESORT_SCALE = 48, 6.0
_PLAIN_COARSENESS = 2.0  # of a picture that is no JPEG: as if it were a fine one
_ENOUGH_SIDE = 0.7  # of the side wanted: a power-of-two decode this near is taken as it is
_DECODED_PX = 600  # a decode below this saves little and is often regretted
_ENOUGH_AFTER_ALL = 0.5  # once it is decoded: a second decode must be worth its time
_ONCE_FROM_SAMPLES = 100_000_000  # from here on most of a decode's time is its scans: one decode, as large as may be


def fit(
    data: bytes,
    role: Role,
    caps: Caps,
    box: Box | None = None,
    limits: Limits = LIMITS,
    surround: Surround | None = None,
) -> FittedImage:
    """The picture for this role inside its cap. `box`: where the plate is, in px of `data` as stored. A patch is cut to
    it with a margin; an overview keeps its whole scene, and `surround` says what is done to it round the vehicle: by
    the box, else by one that `compress.locate` proposes, else nothing. Raises Refused with a word of
    `compress.reason.Reason`."""
    sent = _Sent(data, inspect(data, limits), box)
    with turn(sent.header.memory_bytes):
        return _fitted(sent, role, caps, surround)[0]


def fit_and_measure(
    data: bytes, caps: Caps, box: Box | None = None, limits: Limits = LIMITS, surround: Surround | None = None
) -> tuple[FittedImage, PictureMeasures]:
    """An overview as by `fit`, and the numbers of the camera's own picture, from the decode that the fit needed."""
    sent = _Sent(data, inspect(data, limits), box)
    with turn(sent.header.memory_bytes):
        image, seen = _fitted(sent, Role.OVERVIEW, caps, surround)
        scale = _scale(seen.size, sent.upright_size)
        return image, measure_parts(lambda area: np.asarray(seen.crop(area)), seen.size, sent.upright_box, scale)


@dataclass(frozen=True, slots=True)
class _Sent:
    """A picture as it came, past the gate, and where its plate is if anybody said, both as stored."""

    data: bytes = field(repr=False)
    header: Header
    box: Box | None = field(repr=False)

    @property
    def stored_size(self) -> Size:
        return (self.header.width_px, self.header.height_px)

    @property
    def whole(self) -> tuple[int, int, int, int]:
        return (0, 0, *self.stored_size)

    @property
    def upright_size(self) -> Size:
        return turned(self.stored_size, self.header.orientation)

    @property
    def upright_box(self) -> Box | None:
        return None if self.box is None else stood_upright(self.box, *self.stored_size, self.header.orientation)


def _fitted(sent: _Sent, role: Role, caps: Caps, surround: Surround | None) -> tuple[FittedImage, Image.Image]:
    """What travels, and the picture that was decoded for it, upright and not altered."""
    if role is Role.PLATE_PATCH:
        image, seen = (_kept(sent, role, caps) if sent.box is None else None) or _patch(sent, caps)
        return _checked(image, caps), seen
    region, kept = None, _kept(sent, role, caps)
    if kept is not None and surround is not None:
        region = _region(sent, kept[1])
    # What complies is still coded anew where its surround is to be altered.
    image, seen = kept if kept is not None and region is None else _overview(sent, caps, surround, region)
    return _checked(image, caps), seen


def max_bytes(role: Role, caps: Caps) -> int:
    return caps.patch_max_bytes if role is Role.PLATE_PATCH else caps.overview_max_bytes


def _max_px(role: Role, caps: Caps) -> Size | None:
    if role is Role.PLATE_PATCH:
        return (caps.patch_max_width_px, caps.patch_max_height_px)
    side = caps.overview_max_side_px
    return None if side is None else (side, side)


def _kept(sent: _Sent, role: Role, caps: Caps) -> tuple[FittedImage, Image.Image] | None:
    """The picture as it came, less its metadata, where that complies; None where it must be coded anew."""
    header, size, most = sent.header, sent.stored_size, _max_px(role, caps)
    found = header.jpeg
    if found is None or found.orientation != 1 or not (found.complete and found.huffman_tables):
        return None
    # Other colours than YCbCr and grey are not shown alike everywhere.
    if header.channels not in (1, 3) or found.rgb or found.adobe not in (None, 0, 1):
        return None
    if most is not None and (size[0] > most[0] or size[1] > most[1]):
        return None
    bare = jpeg.strip(sent.data, found.segments)
    if len(bare) > max_bytes(role, caps):
        return None
    seen = decode(bare, replace(header, jpeg=replace(found, segments=())))  # what cannot be looked at is no evidence
    action = "kept" if bare == sent.data else "stripped"
    return FittedImage(role, bare, *size, None, 0, (action,), *size), seen


def _region(sent: _Sent, seen: Image.Image) -> Region | None:
    return region_of(sent.upright_box, sent.upright_size, seen, _scale(seen.size, sent.upright_size))


def _picture(sent: _Sent, area: tuple[int, int, int, int], at_least: Size) -> Image.Image:
    """The part of the picture that is used, upright, RGB or grey, at least this large where it was."""
    whole, orientation = area == sent.whole, sent.header.orientation
    # A scaled decode blurs a plate, so only a picture that is used whole is decoded small by choice.
    picture = decode(sent.data, sent.header, turned(at_least, orientation) if whole else None, None if whole else area)
    picture = upright(picture, orientation)
    return picture.convert("L") if _neutral(picture) else picture


def _scale(decoded: Size, whole: Size) -> int:
    """Which part of the whole was decoded: one in 1, 2, 4 or 8."""
    return min((1, 2, 4, 8), key=lambda part: abs(part - max(whole) / max(decoded)))


def _overview(
    sent: _Sent, caps: Caps, surround: Surround | None, region: Region | None
) -> tuple[FittedImage, Image.Image]:
    whole, cap, encoder = sent.upright_size, caps.overview_max_bytes, Encoder(tables.LUMA, tables.CHROMA)
    start = _inside(_inside(whole, largest(whole, sent.header.reduction)), _max_px(Role.OVERVIEW, caps) or whole)
    coarseness = sent.header.jpeg.coarseness if sent.header.jpeg is not None else _PLAIN_COARSENESS
    guess = Guess(len(sent.data), whole[0] * whole[1], coarseness, cap)
    enough = max(_DECODED_PX, side_wanted(max(whole), guess.scale(whole[0] * whole[1])) * _ENOUGH_SIDE)
    if sent.header.jpeg is not None and scanned_samples(sent.header.jpeg) > _ONCE_FROM_SAMPLES:
        enough = max(start)
    elif surround is not None and sent.box is None:
        enough = max(enough, LOOKED_FOR_AT_PX)
    seen = _picture(sent, sent.whole, _inside(start, (round(enough), round(enough))))
    if surround is not None and region is None:
        region = _region(sent, seen)
    choice = None if surround is None or region is None else Choice(surround, region)
    ready = made_ready(seen, choice, encoder, cap, start, guess.scale(seen.size[0] * seen.size[1]))
    wanted = side_wanted(max(seen.size), ready.prospect.scale)
    if wanted * _ENOUGH_AFTER_ALL > max(seen.size) < max(start):
        # The header promised a busier picture than it is: it may be larger.
        scale = ready.prospect.scale * (wanted / max(seen.size)) ** 2
        larger = _picture(sent, sent.whole, _inside(start, (round(wanted), round(wanted))))
        ready = made_ready(larger, choice, encoder, cap, start, scale)
    coded = overview(ready.picture, encoder, cap, start, ready.prospect) or _last_resort(ready.picture, cap, encoder)
    return _made(sent, Role.OVERVIEW, coded, encoder, whole, ready.said(coded)), seen


def _patch(sent: _Sent, caps: Caps) -> tuple[FittedImage, Image.Image]:
    """A patch is small already: it keeps its size and gives up quality."""
    area = sent.whole if sent.box is None else _round_plate(sent.box, sent.stored_size)
    whole = turned((area[2] - area[0], area[3] - area[1]), sent.header.orientation)
    cap, encoder = caps.patch_max_bytes, Encoder(tables.FLAT, tables.CHROMA)
    start = _inside(whole, _max_px(Role.PLATE_PATCH, caps) or whole)
    seen = _picture(sent, area, start)
    small = resized(seen, (min(start[0], seen.size[0]), min(start[1], seen.size[1])))
    found = search(lambda scale: encoder.encode(small, scale), _PATCH_SCALE, cap, _PATCH_SLOPE, _PATCH_ENCODES)
    image = _made(sent, Role.PLATE_PATCH, found or _last_resort(small, cap, encoder), encoder, whole)
    return (image if area == sent.whole else replace(image, actions=("cropped", *image.actions))), seen


def _made(
    sent: _Sent, role: Role, coded: Coded, encoder: Encoder, whole: Size, surround: AlteredSurround | None = None
) -> FittedImage:
    altered = () if surround is None else (_ALTERING[surround.mode],)
    actions = (*altered, *(("resized",) if coded.size != whole else ()), "recompressed")
    return FittedImage(
        role, coded.jpeg, *coded.size, coded.quality, encoder.encodes, actions, *sent.stored_size, surround
    )


_ALTERING = {Mode.SOFTEN.value: "softened", Mode.MASK.value: "masked"}


def _last_resort(picture: Image.Image, cap: int, encoder: Encoder) -> Coded:
    """A small grey picture: better than none, where the caps are far below those of any known standard."""
    part = min(1.0, _LAST_RESORT_PX / max(picture.size))
    size = (max(1, round(picture.size[0] * part)), max(1, round(picture.size[1] * part)))
    coded = encoder.encode(resized(picture.convert("L"), size), _LAST_RESORT_SCALE)
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
    """Row by band, so that a large picture is not held twice."""
    width, height = picture.size
    for top in range(0, height, _GREY_ROWS):
        band = picture.crop((0, top, width, min(height, top + _GREY_ROWS)))
        blue_red = np.asarray(band.convert("YCbCr"))[..., 1:]
        if blue_red.min() < 125 or blue_red.max() > 131:
            return False
    return True
