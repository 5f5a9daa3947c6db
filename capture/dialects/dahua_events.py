"""The text Dahua cameras write, as flat members: `Code=...;data={...}` events, `Events[0].key=value` lines, JSON. Pure.

What may not happen here: a cut at a line end or a semicolon inside the JSON of an event; a number read where none is.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from capture import documents
from edge.errors import Refused

TEXT_MAX_BYTES = 256 * 1024
EVENTS_MAX = 64
"""More in one part than this is no camera's; one sends one, a replay of states some ten."""

_MEMBERS_MAX = 20_000
_KEY_MAX_CHARACTERS, _LEVELS_MAX = 64, 8
"""An event has some 300 members, 5 levels deep. What is beyond these would only make paths that fill the memory."""

_CODE = re.compile(rb"^[ \t]*Code=", re.MULTILINE)
_HEAD = re.compile(r"Code=([^;\r\n]{0,64})(?:;\s*action=([^;\r\n]{0,32}))?(?:;\s*index=([^;\r\n]{0,16}))?")
_DATA = re.compile(r";\s*data=\s*(?=[\[{])")
_LINE = re.compile(r"Events\[(\d{1,3})\]\.([^=\r\n]{1,160})=([^\r\n]*)")
_INDEX = re.compile(r"\[(\d{1,4})\]")
_WHOLE = re.compile(r"-?\d{1,15}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Event:
    """One event. `data`: each scalar by its dotted path, lists by number, as in `TrafficCar.DrivingDirection.0`.
    `lines`: said in lines, which pictures follow, and not in JSON, which none do."""

    code: str
    action: str
    data: Mapping[str, str] = field(repr=False)
    lines: bool = False


def decoded(data: bytes) -> str:
    """Text in UTF-8 or else in GB 18030, of which the GB 2312 that cameras are set to is a part."""
    for encoding in ("utf-8-sig", "gb18030"):
        try:
            return data.decode(encoding)
        except UnicodeDecodeError:
            continue
    raise Refused("a text is neither in UTF-8 nor in GB 18030", reason="undecodable")


def read_json(body: bytes) -> Any:
    """The value of a JSON text in either encoding. Raises `Refused` as `documents.read_json` does."""
    try:
        body.decode("utf-8")
    except UnicodeDecodeError:
        body = decoded(body).encode()
    return documents.read_json(body)


def events(text: bytes) -> tuple[Event, ...]:
    """The events in a text part, in order; none where it is no such text. Raises `Refused`."""
    if len(text) > TEXT_MAX_BYTES:
        raise Refused("an event is larger than 256 kB", reason="too_large")
    starts = [found.start() for found in _CODE.finditer(text)]
    if len(starts) > EVENTS_MAX:
        raise Refused("a part has too many events", reason="too_many_events")
    if starts:
        ends = [*starts[1:], len(text)]
        return tuple(_coded(text[start:end]) for start, end in zip(starts, ends, strict=True))
    return _listed(decoded(text)) if b"Events[" in text else ()


def flat(value: Any) -> dict[str, str]:
    """Every scalar of a JSON value by its dotted path; nothing for null but its name. Raises `Refused`: `too_deep`."""
    found = dict(islice(_scalars(value, "", _LEVELS_MAX), _MEMBERS_MAX + 1))
    if len(found) > _MEMBERS_MAX:
        raise Refused("a JSON document has too many members", reason="too_deep")
    return found


def whole(text: str | None) -> int | None:
    """A whole number, also one written as `59.0`; None for anything else."""
    text = (text or "").strip().removesuffix(".0")
    return int(text) if _WHOLE.fullmatch(text) else None


def _coded(part: bytes) -> Event:
    text = decoded(part.strip(b" \t\r\n\0"))
    head = _HEAD.match(text)
    code, action = (head[1], head[2] or "") if head is not None else ("", "")
    data = _DATA.search(text)
    if data is None:
        return Event(code.strip(), action.strip(), {})
    return Event(code.strip(), action.strip(), flat(documents.read_json(text[data.end() :].strip("; \t\r\n").encode())))


def _listed(text: str) -> tuple[Event, ...]:
    found: dict[str, dict[str, str]] = {}
    for index, key, value in _LINE.findall(text):
        found.setdefault(index, {}).setdefault(_INDEX.sub(r".\1", key.strip()), value.strip())
    if len(found) > EVENTS_MAX:
        raise Refused("a part has too many events", reason="too_many_events")
    return tuple(
        Event(
            data.get("EventBaseInfo.Code") or data.get("Code", ""),
            data.get("EventBaseInfo.Action") or data.get("Action", ""),
            data,
            lines=True,
        )
        for data in found.values()
    )


def _scalars(value: Any, path: str, levels: int) -> Iterator[tuple[str, str]]:
    if isinstance(value, dict | list):
        if not levels:
            return
        for key, inner in value.items() if isinstance(value, dict) else enumerate(value):
            if isinstance(key, int) or len(key) <= _KEY_MAX_CHARACTERS:
                yield from _scalars(inner, f"{path}.{key}" if path else str(key), levels - 1)
    elif isinstance(value, bool):
        yield path, "true" if value else "false"
    else:
        yield path, "" if value is None else str(value)
