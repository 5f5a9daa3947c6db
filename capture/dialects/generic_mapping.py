"""A mapping out of the configuration, all text, as the plan by which the dialect `generic` reads. Pure.

What may not happen here: a plan that would fail on its first delivery; an expression that a hostile text can hold up.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum

from edge.claim import Direction
from edge.date_format import date_format_fault
from edge.errors import Misconfigured
from edge.pattern import MEMBER, NAME, TEXT, Bound, pattern_fault

MEMBERS = (
    "id",
    "passage",
    "plate",
    "confidence",
    "captured_at",
    "captured_on",
    "camera",
    "lane",
    "direction",
    "country",
    "box",
    "plate_patch",
    "overview",
    "kind",
    "heartbeat",
    "test",
)
_OWN = frozenset(MEMBERS) - {"passage", "captured_on", "box", "heartbeat"}
"""Looked for under their own names in a JSON that is mapped otherwise."""

PATTERNED = ("id", "passage", "plate", "confidence", "captured_at", "captured_on", "camera", "lane", "direction")
FIXED = ("lane", "direction", "country")
_SETTINGS = (
    "form",
    "document",
    "encoding",
    "delimiter",
    "equals",
    "text_pattern",
    "name_pattern",
    "confidence_scale",
    "captured_at_unit",
    "captured_at_formats",
    "captured_at_utc",
    "direction_toward",
    "direction_away",
    "unread",
    "kind_read",
    "heartbeat_words",
    "box_scale",
    "box_corners",
)
UNITS = {"s": 1, "ms": 1000, "us": 1_000_000}
ENCODINGS = ("utf-8", "latin-1", "gb18030", "cp1251")
ANY = "*"
"""As a word: whatever stands there."""


class Form(Enum):
    """How a body is put."""

    JSON = "json"
    XML = "xml"
    TEXT = "text"  # one regular expression with named groups
    PAIRS = "pairs"  # key=value
    FIELDS = "fields"  # one after another
    FORM = "form"  # as a browser sends a form
    PICTURE = "picture"  # a picture or nothing: all else stands in the query or the name


class Source(Enum):
    """Where outside the document a member may lie."""

    QUERY = "query"
    NAME = "name"
    PART = "part"
    BODY = "body"


@dataclass(frozen=True, slots=True)
class Place:
    """Where a member lies: `source` None for the document, by its path; else by a key, group, part or ending."""

    source: Source | None
    path: str


@dataclass(frozen=True, slots=True)
class Plan:
    """A mapping, checked. `scale` of the box None: pixels. `units` None: the time is ISO 8601 or in a format."""

    form: Form
    places: Mapping[str, tuple[Place, ...]]
    patterns: Mapping[str, re.Pattern[str]]
    fixed: Mapping[str, str]
    text_pattern: re.Pattern[str] | None
    name_pattern: re.Pattern[str] | None
    document: str
    encoding: str
    delimiter: str
    equals: str
    confidence_scale: str
    units: int | None
    formats: tuple[str, ...]
    utc: bool
    directions: Mapping[str, Direction]
    unread: frozenset[str]
    kind_read: frozenset[str]
    heartbeat_words: frozenset[str]
    box_scale: float | None
    box_corners: bool


def plan_of(mapping: Mapping[str, str]) -> Plan:
    """The plan of a mapping. Lists stand one on each line, tables with a dot: `patterns.lane`. Raises
    `Misconfigured`."""
    _known_only(mapping)
    form = _one_of(mapping, "form", [f.value for f in Form], Form.JSON.value)
    unit = _one_of(mapping, "captured_at_unit", ["iso", *UNITS], "iso")
    scale = _number(mapping, "confidence_scale", 100)
    formats = tuple(filter(None, mapping.get("captured_at_formats", "").split("\n")))
    for each in formats:
        _misfit("captured_at_formats", date_format_fault(each))
    found = Plan(
        form=Form(form),
        places=_places(mapping, Form(form)),
        patterns={name: _pattern(mapping, f"patterns.{name}", MEMBER) for name in _of_table(mapping, "patterns")},
        fixed={name: mapping[f"fixed.{name}"] for name in _of_table(mapping, "fixed")},
        text_pattern=_pattern(mapping, "text_pattern", TEXT) if "text_pattern" in mapping else None,
        name_pattern=_pattern(mapping, "name_pattern", NAME) if "name_pattern" in mapping else None,
        document=mapping.get("document", ""),
        encoding=_one_of(mapping, "encoding", ENCODINGS, "utf-8"),
        delimiter=mapping.get("delimiter", ","),
        equals=mapping.get("equals", "="),
        confidence_scale=f"{scale:g}",
        units=UNITS.get(unit),
        formats=formats,
        utc=mapping.get("captured_at_utc", "").lower() == "true",
        directions={
            **dict.fromkeys(_words(mapping, "direction_away", "away"), Direction.AWAY),
            **dict.fromkeys(_words(mapping, "direction_toward", "toward"), Direction.TOWARD),
        },
        unread=_words(mapping, "unread", ""),
        kind_read=_words(mapping, "kind_read", "read"),
        heartbeat_words=_words(mapping, "heartbeat_words", "heartbeat"),
        box_scale=_number(mapping, "box_scale", 1) if "box_scale" in mapping else None,
        box_corners=mapping.get("box_corners", "").lower() == "true",
    )
    _agreed(found)
    return found


def _known_only(mapping: Mapping[str, str]) -> None:
    tables = {f"patterns.{name}" for name in (*PATTERNED, "country", "kind", "heartbeat")}
    tables |= {f"fixed.{name}" for name in FIXED}
    unknown = sorted(set(mapping) - set(MEMBERS) - set(_SETTINGS) - tables)
    if unknown:
        raise Misconfigured(
            f"the mapping of a camera names what does not exist: {', '.join(unknown)}",
            f"it may name: {', '.join((*MEMBERS, *_SETTINGS))}",
        )


def _places(mapping: Mapping[str, str], form: Form) -> dict[str, tuple[Place, ...]]:
    found = {name: tuple(map(_place, mapping[name].split("\n"))) for name in MEMBERS if mapping.get(name)}
    own = {Form.JSON: _OWN, Form.TEXT: set(MEMBERS) - {"box", "heartbeat"}}.get(form, set())
    for name in own:
        found.setdefault(name, (Place(None, name),))
    return found


def _place(text: str) -> Place:
    head, colon, rest = text.partition(":")
    if colon and head in {source.value for source in Source}:
        return Place(Source(head), rest)
    return Place(None, text)


def _agreed(plan: Plan) -> None:
    """What several settings say together must make sense."""
    if plan.form is Form.TEXT and plan.text_pattern is None:
        _misfit("text_pattern", "is needed where form is text")
    if any(p.source is Source.NAME for places in plan.places.values() for p in places) and plan.name_pattern is None:
        _misfit("name_pattern", "is needed where a member is taken from the name")
    if plan.form is Form.PICTURE and any(
        p.source is None for name in ("plate", "camera", "id") for p in plan.places.get(name, ())
    ):
        _misfit("form", "is picture: members are then taken from query: or name:")
    if "plate" not in plan.places:
        _misfit("plate", "says nowhere where the plate lies")
    if len(plan.places.get("box", ())) not in (0, 1, 4):
        _misfit("box", "should be one path, or four")
    if len(plan.delimiter) != 1 or len(plan.equals) != 1:
        _misfit("delimiter", "and equals should be one character each")
    if plan.fixed.get("direction", "toward") not in ("toward", "away"):
        _misfit("fixed.direction", "should be toward or away")


def _of_table(mapping: Mapping[str, str], table: str) -> list[str]:
    return [name.partition(".")[2] for name in mapping if name.startswith(table + ".")]


def _pattern(mapping: Mapping[str, str], name: str, bound: Bound) -> re.Pattern[str]:
    _misfit(name, pattern_fault(mapping[name], bound))
    return re.compile(mapping[name])


def _words(mapping: Mapping[str, str], name: str, otherwise: str) -> frozenset[str]:
    return frozenset(w.strip().casefold() for w in mapping.get(name, otherwise).split("|") if w.strip())


def _one_of(mapping: Mapping[str, str], name: str, choices: list[str] | tuple[str, ...], otherwise: str) -> str:
    if mapping.get(name, otherwise) not in choices:
        _misfit(name, f"should be one of {', '.join(choices)}")
    return mapping.get(name, otherwise)


def _number(mapping: Mapping[str, str], name: str, otherwise: float) -> float:
    try:
        number = float(mapping.get(name, otherwise))
    except ValueError:
        number = 0
    if not 0 < number <= 1_000_000:
        _misfit(name, "should be a number above 0, such as 1 or 100")
    return number


def _misfit(name: str, fault: str | None) -> None:
    if fault is not None:
        raise Misconfigured(f"in the mapping of a camera, {name} {fault}", "docs/cameras.md shows two whole mappings")
