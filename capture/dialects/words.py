"""What every dialect needs to say a camera's words safely: bounded texts, identities without plates, pictures by magic.

Pure. What may not happen here: a text without a bound leaving a dialect.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from edge.vrm import normalise

_IDENTITY = re.compile(r"[\x21-\x7e]{1,128}")
_MAGIC = (b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n")


def is_picture(data: bytes) -> bool:
    """JPEG or PNG, by its first bytes; what it is called does not matter."""
    return data.startswith(_MAGIC)


def short(text: str | None, most_characters: int = 32) -> str | None:
    """A text for the record, stripped; None where it is empty or says nothing."""
    text = "" if text is None else text.strip()
    if not text or text == "-" or not text.isprintable():
        return None
    return text[:most_characters]


def word(text: str) -> str:
    """A vendor's word for an event, safe to count by."""
    return re.sub(r"[^A-Za-z0-9_-]", "", text)[:32] or "unnamed"


def vendor_id(candidates: Iterable[str | None], plate_heard: str) -> str | None:
    """The first usable identity for the passage. One that contains the plate is none: it would say the plate where
    only an identity is expected."""
    plate = normalise(plate_heard)
    for candidate in candidates:
        if candidate is None or _IDENTITY.fullmatch(candidate) is None:
            continue
        bare = "".join(c for c in candidate.upper() if c.isalnum())
        if plate is None or plate not in bare:
            return candidate
    return None


def percent(text: str, scale: float = 100.0) -> int | None:
    """A confidence of 0..`scale` as whole per cent; None where it is no number or outside the scale."""
    try:
        number = float(text.strip().removesuffix("%"))
    except ValueError:
        return None
    return round(number / scale * 100) if 0 <= number <= scale else None
