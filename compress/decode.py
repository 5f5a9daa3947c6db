"""Hostile bytes become a plain picture: 8 bits, grey or RGB, nothing attached. The only place where Pillow decodes.

No decoder sees bytes that `inspect` has not let through, nor any metadata: each format is first reduced to what its
pixels need, and the decoder is named, never guessed. No global setting of Pillow is touched: its own pixel limit only
warns, and a warning cannot be caught in one thread alone; here the decoder's idea of the size is compared with the
gate's before a single pixel is made.
"""

from __future__ import annotations

import math
from io import BytesIO

import numpy as np
from PIL import Image, ImageFile
from PIL.BmpImagePlugin import BmpImageFile
from PIL.JpegImagePlugin import JpegImageFile
from PIL.PngImagePlugin import PngImageFile

from compress import cost, jpeg, png
from compress.inspect import Format, Header
from compress.reason import Reason, refused

Size = tuple[int, int]
Area = tuple[int, int, int, int]
"""Left, top, right, bottom in px."""

_BAND_ROWS = 256  # a multiple of every reduction

_DECODERS: dict[Format, type[ImageFile.ImageFile]] = {
    Format.JPEG: JpegImageFile,
    Format.PNG: PngImageFile,
    Format.BMP: BmpImageFile,
}
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


def decode(data: bytes, header: Header, at_least: Size | None = None, area: Area | None = None) -> Image.Image:
    """The picture as stored (not yet turned), mode L or RGB. `at_least` allows a JPEG to come out smaller by 2, 4 or
    8, never below that size in px. `area`: this part alone, which never comes out smaller but for want of memory.
    Whatever is asked, a picture too large to be held comes out smaller by 2, 4 or 8: a JPEG by the gate's word, and
    any whole picture of more than 10 Mpx. Raises Refused "undecodable"; a picture cut short is refused too."""
    try:
        image = _pixels(data, header, at_least, area)
        if area is not None:
            return _plain(image.crop(_reduced(area, header, image.size)))
        part = cost.whole_reduction(image.width * image.height)
        return _plain(image) if part == 1 else _made_smaller(image, part)
    except MemoryError:
        raise  # the node's trouble, not the sender's
    except Exception:  # noqa: BLE001 - hostile bytes: Pillow promises no closed set of errors
        # The decoder's own text is not kept: it may quote the bytes.
        raise refused(Reason.UNDECODABLE) from None


def turned(size: Size, orientation: int) -> Size:
    """This size once the picture stands upright."""
    return (size[1], size[0]) if orientation >= 5 else size


def upright(picture: Image.Image, orientation: int) -> Image.Image:
    """The picture as it is meant to be seen, by EXIF's orientation 1 to 8."""
    turn = _TURNS.get(orientation)
    return picture if turn is None else picture.transpose(turn)


def _pixels(data: bytes, header: Header, at_least: Size | None, area: Area | None) -> Image.Image:
    if header.format is Format.JPEG:
        data = jpeg.strip(data, header.jpeg.segments if header.jpeg is not None else ())
    elif header.format is Format.PNG:
        data = png.essential(data, header.palette)
    image = _DECODERS[header.format](BytesIO(data))
    if image.size != (header.width_px, header.height_px):
        raise refused(Reason.UNDECODABLE)
    image.draft(None, _draft_size(header, None if area is not None else at_least, whole=area is None))
    image.load()
    return image


def _draft_size(header: Header, at_least: Size | None, *, whole: bool) -> Size:
    """What to ask a JPEG's decoder for: at least this size, and no larger than memory allows. It takes the largest of
    2, 4 and 8 that both sides still bear."""
    pixels = header.width_px * header.height_px
    part = max(header.reduction, cost.whole_reduction(pixels) if whole else 1)
    most = (max(1, header.width_px // part), max(1, header.height_px // part))
    return most if at_least is None else (min(most[0], at_least[0]), min(most[1], at_least[1]))


def _reduced(area: Area, header: Header, decoded: Size) -> Area:
    """The area in px of what was decoded, with no px of it lost; itself where the decode was not reduced."""
    across, down = header.width_px / decoded[0], header.height_px / decoded[1]
    return (
        math.floor(area[0] / across),
        math.floor(area[1] / down),
        min(decoded[0], math.ceil(area[2] / across)),
        min(decoded[1], math.ceil(area[3] / down)),
    )


def _made_smaller(image: Image.Image, part: int) -> Image.Image:
    """Made plain and smaller band by band: the whole is not held twice."""
    small: Image.Image | None = None
    for top in range(0, image.height, _BAND_ROWS):
        band = _plain(image.crop((0, top, image.width, min(image.height, top + _BAND_ROWS)))).reduce(part)
        if small is None:
            small = Image.new(band.mode, (band.width, -(-image.height // part)))
        small.paste(band, (0, top // part))
    if small is None:
        raise refused(Reason.UNDECODABLE)
    return small


def _plain(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I"):
        # Pillow would cut 16 bits off at 255 and leave a white picture.
        levels = np.asarray(image).astype(np.uint32)
        image = Image.fromarray(((levels + 128) // 257).astype(np.uint8))
    elif image.mode == "1":
        image = image.convert("L")
    elif image.mode == "P":
        image = image.convert("RGBA" if "transparency" in image.info else "RGB")
    if image.mode in ("LA", "RGBA"):
        ground = Image.new("RGB" if image.mode == "RGBA" else "L", image.size, "white")
        ground.paste(image.convert(ground.mode) if ground.mode == "L" else image, mask=image.getchannel("A"))
        image = ground
    elif image.mode not in ("L", "RGB"):
        image = image.convert("RGB")
    image.info = {}
    return image
