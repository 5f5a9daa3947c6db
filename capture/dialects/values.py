"""The small values of JSON and XML events: texts, numbers, the plate's own text, and the plain answer. Pure.

For every dialect that has no form of its own for them. What may not happen here: a number that is none, an exception
for any value other than `Refused`.
"""

from __future__ import annotations

import math
from typing import Any

from capture.delivery import Answer, Delivery, said
from capture.dialects import words
from edge.claim import Verdict, Way
from edge.errors import Refused
from edge.vrm import HEARD_MAX_CHARACTERS

_NUMBER_MAX_CHARACTERS = 40


def text_of(value: Any) -> str | None:
    """A JSON text or number as text, stripped; None for anything else."""
    if isinstance(value, str):
        return value.strip()
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    try:
        return str(value)
    except ValueError:  # an integer of thousands of digits
        return None


def number(text: str | None) -> float | None:
    """A decimal number in ASCII; None for `-`, an empty text, `nan`, infinities and anything longer than a number."""
    if text is None or len(text) > _NUMBER_MAX_CHARACTERS or not text.isascii() or "_" in text:
        return None
    try:
        found = float(text)
    except ValueError:
        return None
    return found if math.isfinite(found) else None


def percent(text: str | None, scale: float) -> int | None:
    """A confidence of 0..`scale` as whole per cent."""
    return None if text is None or number(text.strip().removesuffix("%")) is None else words.percent(text, scale)


def confidence_heard(text: str | None, scale: int) -> str | None:
    """`0.73/1`: the confidence as it was sent, with its scale; None where it was none."""
    return None if text is None or number(text) is None else f"{text}/{scale}"


def short_enough(heard: str) -> str:
    """The plate as heard. Raises `Refused` (`vrm_too_long`), as `edge.admit` would: but before megabytes of text are
    looked through."""
    if len(heard) > HEARD_MAX_CHARACTERS:
        raise Refused("the text for the plate is too long to be one", reason="vrm_too_long")
    return heard


def plain_answer(verdict: Verdict, delivery: Delivery) -> Answer:
    """Status and one word, for cameras that look at the status alone; nothing is written on ways without one."""
    if delivery.arrival.way is not Way.HTTP_PUSH:
        return said(verdict, "", b"")
    word = verdict.outcome.value + (f" {verdict.reason}" if verdict.reason else "")
    return said(verdict, "text/plain; charset=utf-8", f"{word}\n".encode())
