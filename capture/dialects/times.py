"""The moments cameras write: aware where a zone is declared, naive where none is, None where it is not a moment."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

HEARD_MAX_CHARACTERS = 64

_ISO = re.compile(
    r"(\d{4}-\d\d-\d\d)[T ](\d\d:\d\d:\d\d)(?:[.,](\d{1,9}))?\s?(Z|[+-]\d\d:?\d\d)?", re.ASCII | re.IGNORECASE
)
_COMPACT = re.compile(r"(\d{8})T?(\d{6})(\d{0,9})", re.ASCII)
_FIRST_YEAR, _LAST_YEAR = 1970, 2199
"""Outside these, a conversion to UTC may overflow; and it is not when a vehicle passed."""


def iso(text: str) -> datetime | None:
    """`2024-01-19T11:17:19.654+08:00`, with or without fraction and zone."""
    found = _ISO.fullmatch(text.strip())
    if found is None:
        return None
    day, clock, fraction, zone = found.groups()
    micros = (fraction or "").ljust(6, "0")[:6]
    return _plausible(f"{day}T{clock}.{micros}{(zone or '').upper()}")


def compact(text: str, *, with_ms: bool) -> datetime | None:
    """`20240119111719654` (with milliseconds) or `20240428T1300000000` (four digits nobody has explained: not read).

    Always naive: this form carries no zone.
    """
    found = _COMPACT.fullmatch(text.strip())
    if found is None:
        return None
    day, clock, rest = found.groups()
    if with_ms and len(rest) != 3:
        return None
    return _plausible(
        f"{day[:4]}-{day[4:6]}-{day[6:]}T{clock[:2]}:{clock[2:4]}:{clock[4:]}.{rest if with_ms else '000'}"
    )


def epoch(number: float, per_second: int) -> datetime | None:
    """Seconds (`per_second` 1) or milliseconds (1000) since 1970, UTC."""
    moment_s = number / per_second
    if not 0 <= moment_s < (_LAST_YEAR - _FIRST_YEAR) * 365.25 * 86_400:
        return None
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=round(moment_s * 1000))


def _plausible(text: str) -> datetime | None:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    return moment if _FIRST_YEAR < moment.year < _LAST_YEAR else None
