"""The pictures of a TVT document, lifted out before the XML is parsed, which they make larger than any that is read
whole; and the plate's box. Pure.

What may not happen here: time or memory beyond one pass over the body; base64 that is none passing for a picture.
"""

from __future__ import annotations

import base64
import binascii
import re
from xml.etree.ElementTree import Element

from capture.dialects import words
from capture.documents import children, texts
from edge.claim import Box, ScaledBox
from edge.errors import Refused

PICTURES_MAX = 16
"""The most seen is 3: the scene twice, and the plate."""

_BASE64 = re.compile(rb"<[A-Za-z_:]{0,32}Base64Data[^<>]{0,200}>\s{0,200}(?:<!\[CDATA\[)?([^<\]]*)")


def lifted(body: bytes) -> tuple[bytes, list[bytes]]:
    """The document with a number in the place of each picture's text, and those texts. Raises `Refused`."""
    found: list[bytes] = []
    kept: list[bytes] = []
    at = 0
    for match in _BASE64.finditer(body):
        if not match[1].strip():
            continue
        if len(found) == PICTURES_MAX:
            raise Refused("a document has too many pictures", reason="too_many_pictures")
        kept += [body[at : match.start(1)], str(len(found)).encode()]
        found.append(match[1])
        at = match.end(1)
    return b"".join([*kept, body[at:]]), found


def picture(element: Element | None, name: str, found: list[bytes]) -> bytes:
    """The picture in the child of that name; nothing where there is none or it is no picture. Raises `Refused`."""
    number = "" if element is None else texts(element).get(name, "")
    if not (number.isascii() and number.isdigit() and len(number) <= 2 and int(number) < len(found)):
        return b""
    try:
        data = base64.b64decode(b"".join(found[int(number)].split()), validate=True)
    except (binascii.Error, ValueError):
        raise Refused("a picture is not in base64", reason="bad_base64") from None
    return data if words.is_picture(data) else b""


def child(element: Element | None, *path: str) -> Element | None:
    """The first element down this path, or None."""
    for name in path:
        inner = [] if element is None else children(element, name)
        element = inner[0] if inner else None
    return element


def size_of(image: Element | None) -> tuple[int, int] | None:
    members = {} if image is None else texts(image)
    width = _number(members.get("Width") or members.get("width"))
    height = _number(members.get("Height") or members.get("height"))
    return (width, height) if width and height else None


def box_of(
    rect: Element | None, crop: tuple[int, int] | None, scene: tuple[int, int] | None, assumed: int | None
) -> Box | ScaledBox | None:
    """In pixels where it is as large as the plate's picture and fits into the scene; else in the grid that this form
    is documented with, if it is."""
    members = {} if rect is None else texts(rect)
    left, top, right, bottom = (_number(members.get(key)) for key in ("x1", "y1", "x2", "y2"))
    if left is None or top is None or right is None or bottom is None or not (left < right and top < bottom):
        return None
    width, height = right - left, bottom - top
    if (width, height) == crop:
        inside = scene is not None and right <= scene[0] and bottom <= scene[1]
        return Box(left, top, width, height) if inside else None
    return None if assumed is None or max(right, bottom) > assumed else ScaledBox(left, top, width, height, assumed)


def box_words(box: Box | ScaledBox | None) -> str | None:
    if not isinstance(box, ScaledBox):
        return None
    return f"{box.left},{box.top},{box.width},{box.height}/{box.scale}"


def _number(text: str | None) -> int | None:
    return int(text) if text is not None and text.isascii() and text.isdigit() and len(text) <= 6 else None
