"""The answer of an Axis plate reader to `search.cgi`: events in XML, and the pictures asked for after it. Pure.

`LP_BMP` names the plate's picture and `ROI_BMP` the region's, whatever stands in the names of their files. What may not
happen here: a box told of a picture whose edges are not certain.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from capture import documents
from capture.dialects.axis_pictures import Sent
from capture.dialects.axis_said import Said, listed
from capture.dialects.pictures import size_px
from capture.dialects.values import number
from capture.multipart import Part

_EVENT = re.compile(rb"<event[\s>]")
_OURS = re.compile(rb"<(?:LPR|LPR_UTF8|CAR_ID|LP_BMP|ROI_BMP)[\s/>]")
_LIST = re.compile(rb"<events[\s>]")
_CLOCK = b"<currentTimestampUs>"
_KINDS = {"LP_BMP": "lp", "ROI_BMP": "roi"}


@dataclass(frozen=True, slots=True)
class Listed:
    """One event. `box`: the plate in whole pixels of the frame, `region` the part of the frame that was looked at; both
    left, top, width, height."""

    said: Said = field(repr=False)
    box: tuple[int, ...] | None
    region: tuple[int, ...] | None

    @property
    def box_heard(self) -> str | None:
        """The vendor does not say whether it counts from the frame's corner or from the region's."""
        return None if self.box is None else ",".join(map(str, self.box)) + "/unknown"

    def places(self, pictures: list[Sent]) -> Mapping[str, Any]:
        """Where the plate is, in the members of a push: only where the region is the frame's own corner, and the
        picture as large as it."""
        sizes = {sent.kind: size_px(sent.data) for sent in pictures}
        if self.box is None or self.region is None or self.region[:2] != (0, 0) or sizes.get("roi") != self.region[2:]:
            return {}
        return {"plateCoordinates": list(self.box), "plateCoordinatesRelative": list(self.box)}


def holds_one(body: bytes) -> bool:
    """Whether such an answer stands in this body, with or without events."""
    if _EVENT.search(body) is not None and _OURS.search(body) is not None:
        return True
    return _CLOCK in body and _LIST.search(body) is not None


def events(body: bytes) -> list[Listed]:
    """Every event in it. Raises `Refused`: as XML does, `no_plate`."""
    root = documents.read_xml(body)
    alone = documents.local_name(root.tag) == "event"
    return [_event(documents.texts(each)) for each in ([root] if alone else documents.children(root, "event"))]


def sent(part: Part) -> Sent:
    """A picture that was asked for: what it is, its key says."""
    return Sent(part.filename, _KINDS.get(part.name, ""), part.data)


def _event(told: Mapping[str, str]) -> Listed:
    return Listed(listed(told), _sides(told, "LP"), _sides(told, "ROI"))


def _sides(told: Mapping[str, str], name: str) -> tuple[int, ...] | None:
    sides = [number(told.get(f"{name}_{side}")) for side in "XYWH"]
    whole = tuple(int(side) for side in sides if side is not None and 0 <= side < 100_000)
    return whole if len(whole) == 4 and whole[2] and whole[3] else None
