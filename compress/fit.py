"""One picture inside its legal cap, or refused. Pure: the same bytes and caps give the same JPEG.

A picture that complies is never coded again. What is returned is inside its cap, checked on the bytes themselves, and
holds no metadata. At most 12 encodes are spent on one picture. `_within_bytes` is the whole search: a better one takes
its place without touching the rest.
"""

from __future__ import annotations

from dataclasses import dataclass
from io import BytesIO

from PIL import Image

from compress import jpeg
from compress.decode import Size, decode, turned, upright
from compress.inspect import LIMITS, Header, Limits, inspect
from compress.reason import Reason, refused
from edge.read import Box, FittedImage, Role
from firmware_config.profile import Caps

ENCODES_MAX = 12
# Round the plate: none costs reading accuracy, 10 to 15 % of the box on each side gave the best.
MARGIN = 0.12

_LONG_SIDES_PX = (1120, 960, 800, 640, 480, 320, 160, 64)
# Below this quality a smaller picture shows more than a coarser one.
_OVERVIEW_QUALITY = 25
_QUALITY_MIN = 12
_OVERVIEW_QUALITY_MAX = 90
_PATCH_QUALITY_MAX = 95
_LAST_RESORTS = 3
_FULL_ENOUGH = 0.97


@dataclass(frozen=True, slots=True)
class _Coded:
    jpeg: bytes
    size: Size
    quality: int


class _Encoder:
    """Makes JPEGs and counts them; lives for one picture."""

    def __init__(self) -> None:
        self.encodes = 0

    @property
    def left(self) -> int:
        return ENCODES_MAX - self.encodes

    def encode(self, picture: Image.Image, quality: int) -> _Coded:
        self.encodes += 1
        out = BytesIO()
        # 4:2:0 always wins at these caps, and optimised tables save 6 %.
        picture.save(out, "JPEG", quality=quality, optimize=True, subsampling="4:2:0")
        return _Coded(out.getvalue(), picture.size, quality)


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
    bare = jpeg.strip(data)
    if len(bare) > max_bytes(role, caps):
        return None
    decode(bare, header)  # evidence that cannot be looked at is not evidence
    return FittedImage(role, bare, *size, None, 0, ("kept" if bare == data else "stripped",), *size)


def _recoded(data: bytes, header: Header, role: Role, caps: Caps, box: Box | None) -> FittedImage:
    stored = (header.width_px, header.height_px)
    area = (0, 0, *stored) if box is None else _round_plate(box, stored)
    whole = turned((area[2] - area[0], area[3] - area[1]), header.orientation)
    start = _inside(whole, _max_px(role, caps) or whole)
    if role is Role.OVERVIEW:
        start = _inside(start, (_LONG_SIDES_PX[0], _LONG_SIDES_PX[0]))
    # A scaled decode would move the box, so only a picture that is used whole is decoded small.
    picture = decode(data, header, turned(start, header.orientation) if box is None else None)
    if box is not None:
        picture = picture.crop(area)
    picture = upright(picture, header.orientation)
    if _neutral(_scaled(picture, start)):
        picture = picture.convert("L")
    encoder = _Encoder()
    coded = _within_bytes(encoder, picture, role, start, max_bytes(role, caps))
    cut = ("cropped",) if area != (0, 0, *stored) else ()
    scaled = ("resized",) if coded.size != whole else ()
    actions = (*cut, *scaled, "recompressed")
    return FittedImage(role, coded.jpeg, *coded.size, coded.quality, encoder.encodes, actions, *stored)


def _within_bytes(encoder: _Encoder, picture: Image.Image, role: Role, start: Size, cap: int) -> _Coded:
    """The best JPEG of `picture` found within `cap` bytes, no larger than `start`. Raises Refused "cannot_fit"."""
    if role is Role.PLATE_PATCH:
        # A patch is small already: it keeps its size and gives up quality.
        found = _patch(encoder, _scaled(picture, start), cap)
    else:
        found = _overview(encoder, picture, start, cap)
    return found or _last_resort(encoder, picture, start, cap)


def _patch(encoder: _Encoder, picture: Image.Image, cap: int) -> _Coded | None:
    best = encoder.encode(picture, _PATCH_QUALITY_MAX)
    if len(best.jpeg) <= cap:
        return best
    return _bisect(encoder, picture, (_QUALITY_MIN, _PATCH_QUALITY_MAX - 1), cap, encoder.left - _LAST_RESORTS)


def _overview(encoder: _Encoder, picture: Image.Image, start: Size, cap: int) -> _Coded | None:
    """The largest size that reaches the quality below which size should give way, then its best quality."""
    longest = max(start)
    for long_side in (longest, *(px for px in _LONG_SIDES_PX if px < longest)):
        smaller = _scaled(picture, _inside(start, (long_side, long_side)))
        floor = encoder.encode(smaller, _OVERVIEW_QUALITY)
        if len(floor.jpeg) <= cap:
            return _bisect(encoder, smaller, (_OVERVIEW_QUALITY + 1, _OVERVIEW_QUALITY_MAX), cap, encoder.left) or floor
    return None


def _bisect(encoder: _Encoder, picture: Image.Image, between: tuple[int, int], cap: int, most: int) -> _Coded | None:
    """The highest quality between these two, both included, that fits; None where none was found in `most` encodes.
    Ends early once 97 % of the cap is used."""
    low, high = between
    best: _Coded | None = None
    for _ in range(most):
        if low > high:
            break
        coded = encoder.encode(picture, (low + high) // 2)
        if len(coded.jpeg) > cap:
            high = coded.quality - 1
            continue
        best, low = coded, coded.quality + 1
        if len(coded.jpeg) >= cap * _FULL_ENOUGH:
            break
    return best


def _last_resort(encoder: _Encoder, picture: Image.Image, start: Size, cap: int) -> _Coded:
    """A small grey picture: better than none, where the caps are far below those of any known standard."""
    longest = min(max(start), _LONG_SIDES_PX[-1])
    for part in range(_LAST_RESORTS):
        side = max(1, longest >> part)
        coded = encoder.encode(_scaled(picture.convert("L"), _inside(start, (side, side))), _QUALITY_MIN)
        if len(coded.jpeg) <= cap:
            return coded
    raise refused(Reason.CANNOT_FIT)


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


def _scaled(picture: Image.Image, size: Size) -> Image.Image:
    if picture.size == size:
        return picture
    return picture.resize(size, Image.Resampling.LANCZOS, reducing_gap=3.0)


def _neutral(picture: Image.Image) -> bool:
    """Whether no pixel has colour, so that one channel shows all there is (a third of the encoder's time, 5 % of the
    bytes). Colour within 3 of 128 is what a JPEG's rounding leaves on grey."""
    if picture.mode == "L":
        return True
    _, blue, red = picture.convert("YCbCr").split()
    low_high = (*blue.getextrema(), *red.getextrema())
    return all(isinstance(value, int | float) and 125 <= value <= 131 for value in low_high)
