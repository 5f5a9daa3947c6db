"""Shows the settings: what is in force and where it came from, their JSON Schema, and the reference table.

Values are shown to the operator who asks; this is never for logs, health messages or support bundles.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, get_args, get_origin

from annotated_types import Ge, Gt, Le, MaxLen, MinLen
from pydantic import BaseModel

from firmware_config.camera import Camera
from firmware_config.load import Loaded
from firmware_config.model import Settings
from firmware_config.origins import KeyPath, Origin, dotted
from firmware_config.problems import all_keys

_BUILT_IN = Origin("built in", 0)
_NOT_SET = Origin("not set", 0)


class Shown(NamedTuple):
    """One setting in force; `value` is fit for JSON (text, number, bool, list or None)."""

    key: str
    value: object
    origin: Origin


@dataclass(frozen=True, slots=True)
class Reference:
    """One setting as the manual describes it; `default` is empty where there is none and it must be given."""

    key: str
    default: str
    bounds: str
    meaning: str


def show(loaded: Loaded) -> list[Shown]:
    """Every setting in force, in the order of the model; a camera's keys are `cameras.ID.KEY`."""
    shown = [_shown(loaded, path, value) for path, value in _leaves(loaded.settings, ()) if path[0] != "cameras"]
    for camera in loaded.settings.cameras:
        shown += [_shown(loaded, path, value) for path, value in _leaves(camera, ("cameras", camera.id))]
    return shown


def json_schema() -> dict[str, Any]:
    """The JSON Schema of the settings as a whole."""
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **Settings.model_json_schema()}


def camera_json_schema() -> dict[str, Any]:
    """The JSON Schema of one file of `cameras.d/`."""
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **Camera.model_json_schema()}


def reference() -> tuple[Reference, ...]:
    """Every setting of `config.toml`."""
    return tuple(_reference(Settings))


def camera_reference() -> tuple[Reference, ...]:
    """Every setting of a file in `cameras.d/`."""
    return tuple(_reference(Camera))


def _leaves(table: BaseModel, above: KeyPath) -> Iterable[tuple[KeyPath, object]]:
    json = table.model_dump(mode="json")
    for name in type(table).model_fields:
        value = getattr(table, name)
        if isinstance(value, BaseModel):
            yield from _leaves(value, (*above, name))
        else:
            yield (*above, name), json[name]


def _shown(loaded: Loaded, path: KeyPath, value: object) -> Shown:
    return Shown(dotted(path), value, loaded.origins.get(path, _NOT_SET if value is None else _BUILT_IN))


def _reference(model: type[BaseModel]) -> Iterable[Reference]:
    for path, info in all_keys(model).items():
        if info.is_required():
            default = ""
        else:
            value = info.default
            default = "none" if value is None else f"{value:g}" if isinstance(value, float) else _toml(value)
        yield Reference(dotted(path), default, _bounds(info), info.description)


def _toml(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _bounds(info: Any) -> str:
    """The field's limits in words."""
    if get_origin(info.annotation) is Literal:
        return " or ".join(f"`{choice}`" for choice in get_args(info.annotation))
    low = high = what = ""
    for each in info.metadata:
        match each:
            case Ge(ge=value):
                low = str(value)
            case Gt(gt=value):
                low = f"above {value}"
            case Le(le=value):
                high = str(value)
            case MinLen(min_length=value):
                low, what = str(value), "characters or items"
            case MaxLen(max_length=value):
                high, what = str(value), "characters or items"
            case _ if pattern := getattr(each, "pattern", None):
                return f"`{pattern}`"
    words = f"{low} to {high}" if low and high else f"at least {low}" if low else f"at most {high}" if high else ""
    return f"{words} {what}".strip()
