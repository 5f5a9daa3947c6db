"""Members of a JSON value by their path, as texts and numbers; absent is None. Pure.

What may not happen here: an exception for any value that JSON can hold, other than `Refused`.
"""

from __future__ import annotations

from typing import Any

from capture.dialects import values
from edge.errors import Refused

ABSENT = object()


def at(value: Any, *steps: str | int) -> Any:
    """What stands at the path, `ABSENT` where there is no such path."""
    for step in steps:
        if isinstance(step, str):
            if not isinstance(value, dict) or step not in value:
                return ABSENT
            value = value[step]
        else:
            if not isinstance(value, list) or not 0 <= step < len(value):
                return ABSENT
            value = value[step]
    return value


def text(value: Any, *steps: str | int) -> str | None:
    """A text, or a number as its text; None for anything else."""
    found = at(value, *steps)
    return found if isinstance(found, str) else values.text_of(found)


def number(value: Any, *steps: str | int) -> float | None:
    """A finite number, or a text that says one; None for anything else."""
    return values.number(text(value, *steps))


def plate(value: Any, *steps: str | int) -> str:
    """The plate at the path as heard, empty where it is said to be none (null).

    Raises `Refused`: `no_plate` where there is no such member, `bad_member` where it is no text, `vrm_too_long`.
    """
    found = at(value, *steps)
    if found is ABSENT:
        raise Refused("a read has no member for the plate", reason="no_plate")
    told = text(found)
    if told is None and found is not None:
        raise Refused("the member for the plate is no text", reason="bad_member")
    return values.short_enough(told or "")
