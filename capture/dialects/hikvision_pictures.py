"""Which picture of a Hikvision delivery is the plate and which the scene: by part name, then pId, then order. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from xml.etree.ElementTree import Element

from capture.dialects.pictures import role_by_shape
from capture.documents import children, local_name, texts
from edge.claim import Box, RawImage, Role

_ROLES = {
    "licenseplatepicture": Role.PLATE_PATCH,
    "detectionpicture": Role.OVERVIEW,
    "vehiclepicture": Role.OVERVIEW,
    "detectedimage": Role.OVERVIEW,
}
_ORDER = tuple(_ROLES)  # of two pictures for one role, the kind named first here is taken
_GRID = 1000
_SIDE = re.compile(r"[0-9]{1,6}(?:\.[0-9]{1,6})?")


@dataclass(frozen=True, slots=True)
class Sent:
    """A picture as it came in the body."""

    name: str = field(repr=False)
    filename: str = field(repr=False)
    data: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Listed:
    """A picture as the document lists it. `kind` as the vendor writes it; `id` its pId, or None. `box_heard`: the
    plate's rectangle in it as told, where its unit is not certain."""

    kind: str
    id: str | None = field(repr=False)
    abs_time: str
    plate_box: Box | None
    box_heard: str | None = None


def listed(root: Element) -> tuple[Listed, ...]:
    """Every `pictureInfo`, in order."""
    size = _size(root)
    found = []
    for info in root.iter():
        if local_name(info.tag) != "pictureInfo":
            continue
        said = texts(info)
        rectangles = children(info, "plateRect")
        rectangle = texts(rectangles[0]) if rectangles else {}
        box = _box(rectangle, size)
        heard = _box_heard(rectangle) if box is None else None
        kind = said.get("type") or _stem(said.get("fileName", ""))
        found.append(Listed(kind, said.get("pId") or None, said.get("absTime", ""), box, heard))
    return tuple(found)


def best_first(shown: Sequence[Listed]) -> list[Listed]:
    """The scene, then the plate: whose pId names the passage, and whose time is taken."""
    order = ("detectionPicture", "licensePlatePicture")
    return sorted((s for s in shown if s.kind in order), key=lambda s: order.index(s.kind))


def matched(sent: Sequence[Sent], shown: Sequence[Listed]) -> tuple[RawImage, ...]:
    """At most one picture for each role, the plate first."""
    boxes = {s.kind: s.plate_box for s in shown}
    taken: dict[Role, tuple[int, RawImage]] = {}
    for position, picture in enumerate(sent):
        kind = _kind(picture, position, len(sent), shown)
        role = _ROLES.get(kind.lower())
        if role is None:
            continue
        rank = _ORDER.index(kind.lower())
        if role not in taken or rank < taken[role][0]:
            box = boxes.get(kind) if role is Role.OVERVIEW else None
            taken[role] = (rank, RawImage(role, picture.data, box))
    return tuple(taken[role][1] for role in Role if role in taken)


def stored(sent: Sequence[Sent]) -> tuple[RawImage, ...]:
    """The picture that a poll named by `picName`. Integrators and the folder it lies in call it the plate's, but no
    camera's own is public; so its shape decides: wider than any sensor (as the published one is) or very low, and it is
    the plate; else the scene. A composed picture of two scenes side by side would be taken for a plate."""
    return tuple(RawImage(role_by_shape(picture.data), picture.data) for picture in sent[:1])


def _kind(picture: Sent, position: int, count: int, shown: Sequence[Listed]) -> str:
    for name in (_stem(picture.name), _stem(picture.filename)):
        if name.lower().endswith("picture") or name.lower() in _ROLES:
            return name
    for info in shown:
        if info.id is not None and info.id in (_stem(picture.filename), _stem(picture.name)):
            return info.kind
    if len(shown) == count:
        return shown[position].kind
    # Nothing says what they are: cameras send the plate before the scene, and a single picture is the scene.
    return "licensePlatePicture" if position == 0 and count > 1 else "detectionPicture" if position < 2 else ""


def _stem(name: str) -> str:
    return name.rpartition(".")[0] or name


def _size(root: Element) -> tuple[int, int] | None:
    for element in children(root, "detectionBackgroundImageResolution"):
        said = texts(element)
        width, height = _number(said.get("width")), _number(said.get("height"))
        if width and height:
            return width, height
    return None


def _box(said: dict[str, str], size: tuple[int, int] | None) -> Box | None:
    """The plate in pixels where that is certain (see the module `hikvision`), else None."""
    sides = [_number(said.get(key)) for key in ("X", "Y", "width", "height")]
    left, top, width, height = sides
    if size is None or left is None or top is None or not width or not height:
        return None
    inside = left + width <= size[0] and top + height <= size[1]
    return Box(left, top, width, height) if inside and max(left, top, width, height) > _GRID else None


def _box_heard(said: dict[str, str]) -> str | None:
    sides = [said.get(key, "") for key in ("X", "Y", "width", "height")]
    if any(_SIDE.fullmatch(side) is None for side in sides) or not any(float(side) for side in sides):
        return None  # all zero: no plate
    return ",".join(sides) + "/unknown"


def _number(text: str | None) -> int | None:
    return int(text) if text is not None and text.isascii() and text.isdigit() and len(text) <= 6 else None
