"""Hostile bytes become a plain picture: 8 bits, grey or RGB, nothing attached. The only place where Pillow decodes.

No decoder sees bytes that `inspect` has not let through, nor any metadata: each format is first reduced to what its
pixels need, and the decoder is named, never guessed. No global setting of Pillow is touched: its own pixel limit only
warns, and a warning cannot be caught in one thread alone; here the decoder's idea of the size is compared with the
gate's before a single pixel is made.
"""

from __future__ import annotations

from io import BytesIO

from PIL import Image, ImageFile
from PIL.BmpImagePlugin import BmpImageFile
from PIL.JpegImagePlugin import JpegImageFile
from PIL.PngImagePlugin import PngImageFile

from compress import jpeg, png
from compress.inspect import Format, Header
from compress.reason import Reason, refused

Size = tuple[int, int]

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


def decode(data: bytes, header: Header, at_least: Size | None = None) -> Image.Image:
    """The picture as stored (not yet turned), mode L or RGB. `at_least` allows a JPEG to come out smaller by 2, 4 or
    8, never below that size in px. Raises Refused "undecodable"; a picture that is cut short is refused too."""
    try:
        return _plain(_pixels(data, header, at_least), header)
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


def _pixels(data: bytes, header: Header, at_least: Size | None) -> Image.Image:
    if header.format is Format.JPEG:
        data = jpeg.strip(data, header.jpeg.segments if header.jpeg is not None else ())
    elif header.format is Format.PNG:
        data = png.essential(data, header.palette)
    image = _DECODERS[header.format](BytesIO(data))
    if image.size != (header.width_px, header.height_px):
        raise refused(Reason.UNDECODABLE)
    if at_least is not None:
        image.draft(None, at_least)
    image.load()
    return image


def _plain(image: Image.Image, header: Header) -> Image.Image:
    if image.mode.startswith("I"):
        # Pillow would cut 16 bits off at 255 and leave a white picture.
        image = image.point(lambda value: value * (1 / 257) + 0.5).convert("L")
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
