"""What a camera heard, as a vehicle registration mark. Pure. A vehicle without a read is never a VRM."""

from __future__ import annotations

import unicodedata

# What vendors send where there is no plate (camera-formats.md, 10.7), compared without case, spaces or punctuation.
_UNREAD = frozenset(
    {
        *("", "unknown", "noplate", "unlicensed", "notdefined", "none", "null", "na", "noread"),
        *("unrecognised", "unrecognized", "unrecognise", "unrecognize"),
        *("无牌", "无牌车", "无车牌", "未识别", "未知"),  # Dahua and Hikvision, domestic firmware
    }
)

HEARD_MAX_CHARACTERS = 64
"""More than any plate in any script with its spaces; longer text is not a plate and is refused by `edge.admit`."""


def normalise(heard: str) -> str | None:
    """`heard` in upper case with letters and digits only, or None where no plate was read.

    Letters outside A-Z are kept as heard (after NFKC): the national transliteration table is not public.
    """
    # Longer is no plate, and is refused before it could be one; but hostile texts are megabytes.
    text = "".join(c for c in unicodedata.normalize("NFKC", heard[: 4 * HEARD_MAX_CHARACTERS]) if c.isalnum())
    return None if text.lower() in _UNREAD else text.upper()
