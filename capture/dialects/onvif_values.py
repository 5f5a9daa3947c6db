"""The small values of JSON and XML events: texts, numbers, pictures, and the plain answer; for several dialects. Pure.

What may not happen here: a number that is none, an exception for any value.
"""

from __future__ import annotations

import base64
import binascii
import math
from typing import Any

from capture.delivery import Answer, Delivery, said
from capture.dialects import words
from edge.claim import ScaledBox, Verdict, Way
from edge.errors import Refused

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


def picture(value: Any) -> bytes:
    """The bytes of a picture in base64 (also as a data URI); empty where there is none.

    Raises `Refused`: `bad_base64`.
    """
    text = value.strip() if isinstance(value, str) else ""
    if text.startswith("data:"):
        text = text.partition(",")[2]
    try:
        return base64.b64decode("".join(text.split()), validate=True)
    except (binascii.Error, ValueError):
        raise Refused("a picture is not in base64", reason="bad_base64") from None


def scaled(box: tuple[float, float, float, float], width: float, height: float) -> ScaledBox | None:
    """Left, top, right, bottom in a picture of that size, as shares of it; None unless it lies inside.

    Shares stay right when the picture sent is a smaller copy of the one that was read.
    """
    left, top, right, bottom = box
    if not (0 <= left < right <= width and 0 <= top < bottom <= height):
        return None
    return ScaledBox(left / width, top / height, (right - left) / width, (bottom - top) / height, 1.0)


def plain_answer(verdict: Verdict, delivery: Delivery) -> Answer:
    """Status and one word, for cameras that look at the status alone; nothing is written on ways without one."""
    if delivery.arrival.way is not Way.HTTP_PUSH:
        return said(verdict, "", b"")
    word = verdict.outcome.value + (f" {verdict.reason}" if verdict.reason else "")
    return said(verdict, "text/plain; charset=utf-8", f"{word}\n".encode())
