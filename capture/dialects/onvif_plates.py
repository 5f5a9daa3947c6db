"""What ONVIF says of a plate: LicensePlateInfo with likelihoods, boxes from -1 to 1 with y up, pictures. Pure.

An object stays in many frames: of several in one document, the likeliest counts. What may not happen here: the box of
a vehicle taken for its plate's.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from xml.etree.ElementTree import Element

from capture import documents
from capture.dialects.onvif_notices import as_value
from capture.dialects.pictures import decoded
from capture.dialects.values import number, text_of
from edge.claim import RawImage, Role, ScaledBox
from edge.errors import Refused

_OBJECTS_MAX = 64
_PLATE_NAMES = ("PlateNumber", "LicensePlateNumber", "LicensePlate")
_SIDES = ("left", "top", "right", "bottom")
_LEFT_OUT = 0.02  # a box may reach over the edge of the picture by as much


@dataclass(frozen=True, slots=True)
class Seen:
    """One plate in one message. `box_heard`: left, top, width, height from the top left, as shares of the scene."""

    plate: str | None = field(repr=False)
    likelihood: str | None
    country: str | None
    object_id: str
    source: str
    utc_time: str
    direction: str | None
    box_heard: str | None
    images: tuple[RawImage, ...]


@dataclass(frozen=True, slots=True)
class _Grid:
    """A frame's own units, as ONVIF gives them: normalised = units * scale + translate."""

    scale: tuple[float, float] = (1.0, 1.0)
    translate: tuple[float, float] = (0.0, 0.0)


def in_event(data: Mapping[str, Any], source: Mapping[str, Any], utc_time: str) -> Seen:
    """The plate of a `Recognition/LicensePlate` event. Its BoundingBox is the plate's, in the whole scene."""
    info = _unwrapped(data.get("LicensePlateInfo"), "LicensePlateInfo")
    vehicle = _unwrapped(data.get("VehicleInfo"), "VehicleInfo")
    box = _box(_unwrapped(data.get("BoundingBox"), "BoundingBox"), _Grid())
    return _seen(
        info or data,
        likelihood=text_of(data.get("Likelihood")),
        object_id=_leaf(data.get("ObjectId"))[0] or "",
        source=text_of(source.get("Rule")) or text_of(source.get("VideoSource")) or "",
        utc_time=utc_time,
        direction=text_of(data.get("Direction")),
        box=box,
        pictures=(
            (Role.PLATE_PATCH, _first(info.get("Image"), data.get("Image"))),
            (Role.OVERVIEW, _first(data.get("VehicleImage"), vehicle.get("Image"))),
        ),
    )


def in_frames(root: Element) -> list[Seen]:
    """The plates in the frames of a metadata stream, one of each object. Raises `Refused`: `too_many`."""
    best: dict[tuple[str, str], Seen] = {}
    for frame in root.iter():
        if documents.local_name(frame.tag) != "Frame":
            continue
        for number_in_frame, element in enumerate(documents.children(frame, "Object")):
            seen = _object(frame, element)
            if seen is None:
                continue
            key = (seen.object_id, "" if seen.object_id else f"{seen.utc_time} {number_in_frame}")
            if key not in best or _likelihood(seen) > _likelihood(best[key]):
                best[key] = seen
            if len(best) > _OBJECTS_MAX:
                raise Refused(f"a document has more than {_OBJECTS_MAX} plates", reason="too_many")
    return list(best.values())


def _object(frame: Element, element: Element) -> Seen | None:
    told = as_value(element)
    looks = told.get("Appearance") if isinstance(told, dict) else None
    if not isinstance(looks, dict) or "LicensePlateInfo" not in looks:
        return None
    info = _unwrapped(looks["LicensePlateInfo"], "LicensePlateInfo")
    vehicle = _unwrapped(looks.get("VehicleInfo"), "VehicleInfo")
    of_plate = _is_plate(looks.get("Class"))
    shape = _unwrapped(looks.get("Shape"), "Shape")
    box = None
    if of_plate and "Transformation" not in looks:  # an object's own units are relative to nothing that is known here
        box = _box(_unwrapped(shape.get("BoundingBox"), "BoundingBox"), _grid(frame))
    scene = documents.texts(frame).get("SceneImage", "")
    own = looks.get("Image")
    return _seen(
        info,
        likelihood=_leaf(info.get("Likelihood"))[0],
        object_id=text_of(told.get("@ObjectId")) or "",
        source="",
        utc_time=frame.attrib.get("UtcTime", ""),
        direction=None,
        box=box,
        scene=scene,
        pictures=(
            (Role.PLATE_PATCH, _first(info.get("Image"), own if of_plate else None)),
            (Role.OVERVIEW, _first(vehicle.get("Image"), None if of_plate else own)),
        ),
    )


def _seen(
    info: Mapping[str, Any],
    *,
    likelihood: str | None,
    object_id: str,
    source: str,
    utc_time: str,
    direction: str | None,
    box: ScaledBox | None,
    pictures: tuple[tuple[Role, str], ...],
    scene: str = "",
) -> Seen:
    plate, its_likelihood = None, None
    for name in _PLATE_NAMES:
        if name in info:
            plate, its_likelihood = _leaf(info[name])
            plate = plate or ""
            break
    found = {role: RawImage(role, data) for role, text in pictures if (data := decoded(text))}
    if data := decoded(scene):  # the whole scene is better than the vehicle, and the only picture the box lies in
        found[Role.OVERVIEW] = RawImage(Role.OVERVIEW, data, box)
    return Seen(
        plate,
        its_likelihood or likelihood,
        _leaf(info.get("CountryCode"))[0],
        object_id,
        source,
        utc_time,
        direction,
        None if box is None else f"{box.left:.4f},{box.top:.4f},{box.width:.4f},{box.height:.4f}/1",
        tuple(found[role] for role in Role if role in found),
    )


def _leaf(value: Any) -> tuple[str | None, str | None]:
    """A text and its likelihood: XML's `#text` and `@Likelihood`, JSON's names for them, or a bare text."""
    if not isinstance(value, dict):
        return text_of(value), None
    text = next((value[k] for k in ("#text", "Value", "value", "$", "_", "@Value") if k in value), None)
    return text_of(text), text_of(value.get("@Likelihood", value.get("Likelihood")))


def _unwrapped(value: Any, name: str) -> dict[str, Any]:
    """`{"LicensePlateInfo": {...}}` as its content: an item in JSON may hold the element or be it."""
    if isinstance(value, dict) and isinstance(value.get(name), dict):
        value = value[name]
    return value if isinstance(value, dict) else {}


def _first(*values: Any) -> str:
    return next((text for value in values if (text := _leaf(value)[0])), "")


def _is_plate(value: Any) -> bool:
    kinds = [value.get("Type")] if isinstance(value, dict) else []
    candidate = value.get("ClassCandidate") if isinstance(value, dict) else None
    if isinstance(candidate, dict):
        kinds.append(candidate.get("Type"))
    return any(_leaf(kind)[0] in ("LicensePlate", "Licenseplate") for kind in kinds)


def _grid(frame: Element) -> _Grid:
    for element in documents.children(frame, "Transformation"):
        pairs = {documents.local_name(child.tag): _pair(child) for child in element}
        return _Grid(pairs.get("Scale") or (1.0, 1.0), pairs.get("Translate") or (0.0, 0.0))
    return _Grid()


def _pair(element: Element) -> tuple[float, float] | None:
    x, y = number(element.attrib.get("x")), number(element.attrib.get("y"))
    return None if x is None or y is None else (x, y)


def _box(told: Mapping[str, Any], grid: _Grid) -> ScaledBox | None:
    """A rectangle from -1 to 1 with y up, as shares of the scene from its top left."""
    sides = [number(text_of(told.get(f"@{side}", told.get(side)))) for side in _SIDES]
    left, top, right, bottom = sides
    if left is None or top is None or right is None or bottom is None:
        return None
    across = sorted((x * grid.scale[0] + grid.translate[0] + 1) / 2 for x in (left, right))
    down = sorted((1 - (y * grid.scale[1] + grid.translate[1])) / 2 for y in (top, bottom))
    if min(across[0], down[0]) < -_LEFT_OUT or max(across[1], down[1]) > 1 + _LEFT_OUT:
        return None
    (x0, x1), (y0, y1) = ([min(1.0, max(0.0, edge)) for edge in pair] for pair in (across, down))
    return ScaledBox(x0, y0, x1 - x0, y1 - y0, 1.0) if x1 > x0 and y1 > y0 else None


def _likelihood(seen: Seen) -> float:
    return number(seen.likelihood) or 0.0
