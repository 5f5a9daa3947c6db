"""Date formats out of a configuration, in the letters of strptime. Pure.

What may not happen here: a format let through by which no text can be read, or only half a moment.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime

FORMAT_MAX_CHARACTERS = 64
_DIRECTIVES = frozenset("YymdHIMSfpzjbB%")
_PROOF = datetime(2009, 11, 23, 21, 46, 57, tzinfo=UTC)


def date_format_fault(text: str) -> str | None:
    """Why nothing can be read by this format; None where something can."""
    directives = re.findall(r"%(.?)", text, re.DOTALL)
    if not 0 < len(text) <= FORMAT_MAX_CHARACTERS or not text.isprintable() or not _DIRECTIVES.issuperset(directives):
        return f"should be a date format of {' '.join('%' + d for d in sorted(_DIRECTIVES))}, at most 64 characters"
    try:
        read = datetime.strptime(_PROOF.strftime(text), text)
    except (ValueError, re.error, IndexError, KeyError):
        return "is a date format by which nothing can be read"
    if read.replace(second=0, tzinfo=UTC) != _PROOF.replace(second=0):
        return "should be a date format that says year, month, day, hour and minute"
    return None
