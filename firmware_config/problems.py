"""Turns what the model refuses into file, line, key and a sentence that helps.

No sentence repeats a value of the settings: it may be a key or an address. Key names are repeated.
"""

import datetime
import difflib
import typing
from collections.abc import Callable, Iterable
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from firmware_config.documents import Problem
from firmware_config.origins import KeyPath, Origin, dotted

# Which document and key a refused path belongs to: (origin, path as written in that document).
Locate = Callable[[KeyPath], tuple[Origin, KeyPath]]

_KINDS: tuple[tuple[type, str], ...] = (
    (bool, "true or false"),
    (str, "text"),
    (int, "a whole number"),
    (float, "a number"),
    (dict, "a table"),
    (list, "a list"),
    (datetime.datetime, "a date and time"),
    (datetime.date, "a date"),
)
_EXPECTED = {
    "string_type": "should be text, in quotes",
    "int_type": "should be a whole number",
    "int_from_float": "should be a whole number",
    "float_type": "should be a number",
    "bool_type": "should be true or false, without quotes",
    "date_type": "should be a date such as 2026-01-31, without quotes",
    "tuple_type": "should be a list, in square brackets",
    "path_type": "should be a path, in quotes",
    "model_type": "should be a table",
}


def explain(error: ValidationError, model: type[BaseModel], locate: Locate) -> tuple[Problem, ...]:
    """One problem for each key that `model` refused."""
    problems = []
    for detail in error.errors(include_url=False):
        for path in _paths(detail, model):
            origin, key = locate(path)
            problems.append(Problem(origin.file, origin.line, dotted(key), _sentence(detail, path, model)))
    return tuple(problems)


def all_keys(model: type[BaseModel], above: KeyPath = ()) -> dict[KeyPath, Any]:
    """Every setting below `model`, tables left out, with its pydantic field; tables in lists are left out too."""
    found: dict[KeyPath, Any] = {}
    for name, info in model.model_fields.items():
        inner = table_in(info.annotation)
        if inner is None:
            found[(*above, name)] = info
        elif typing.get_origin(info.annotation) is not tuple:
            found |= all_keys(inner, (*above, name))
    return found


def table_in(annotation: object) -> type[BaseModel] | None:
    """The table that a field of this type holds, alone, optional or in a list; None where it holds none."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((found for each in typing.get_args(annotation) if (found := table_in(each)) is not None), None)


def nearest(name: str, names: Iterable[str]) -> str:
    """`; the nearest is X`, or nothing where none is near."""
    near = difflib.get_close_matches(name, list(names), 1)
    return f"; the nearest is {near[0]}" if near else ""


def _paths(detail: ErrorDetails, model: type[BaseModel]) -> list[KeyPath]:
    """The keys an error is about: those a broken rule names, or every needed key of a table that is missing."""
    path: KeyPath = tuple(detail["loc"])
    if detail["type"] == "rule":
        return [path + tuple(at) for at in detail["ctx"]["at"]] or [path]
    if detail["type"] == "missing":
        info = _field(model, path)
        table = table_in(info.annotation) if info is not None else None
        if table is not None:
            return [key for key, field in all_keys(table, path).items() if field.is_required()]
    return [path]


def _sentence(detail: ErrorDetails, path: KeyPath, model: type[BaseModel]) -> str:
    kind = detail["type"]
    info = _field(model, path)
    if kind == "missing":
        return "is missing" + (f": {info.description}" if info is not None else "")
    if kind == "extra_forbidden":
        return _unknown(path, model)
    if kind == "rule":
        return detail["msg"]
    if kind in _EXPECTED:
        return f"{_EXPECTED[kind]}; this is {_kind_of(detail['input'])}"
    if kind == "string_pattern_mismatch":
        return f"should match {detail['ctx']['pattern']}" + (f" ({info.description})" if info is not None else "")
    if kind == "literal_error":
        return f"should be {detail['ctx']['expected']}"
    message = detail["msg"].removeprefix("Value error, ").removeprefix("Input ")
    return message[:1].lower() + message[1:]


def _unknown(path: KeyPath, model: type[BaseModel]) -> str:
    name = str(path[-1])
    table = _table(model, path[:-1])
    near = nearest(name, table.model_fields) if table is not None else ""
    if not near:
        elsewhere = [dotted(key) for key in all_keys(model) if key[-1] == name]
        near = f"; there is {elsewhere[0]}" if elsewhere else ""
    return f"is not a setting{near}"


def _table(model: type[BaseModel], path: KeyPath) -> type[BaseModel] | None:
    table: type[BaseModel] | None = model
    for part in path:
        if table is None or isinstance(part, int):
            continue
        info = table.model_fields.get(part)
        table = table_in(info.annotation) if info is not None else None
    return table


def _field(model: type[BaseModel], path: KeyPath) -> Any:
    names = [part for part in path if isinstance(part, str)]
    table = _table(model, path[:-1])
    return table.model_fields.get(names[-1]) if table is not None and names else None


def _kind_of(value: object) -> str:
    return next((name for kind, name in _KINDS if isinstance(value, kind)), "something else")
