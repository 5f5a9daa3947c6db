"""What a metered line may carry at which hour. Pure: the wall clock is a value here, and only a price hangs on it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from edge.changes import Tier

_FORM = re.compile(r"([01]\d|2[0-3]):([0-5]\d)-([01]\d|2[0-3]):([0-5]\d)")


@dataclass(frozen=True, slots=True)
class Hours:
    """Every day from one local time to another, minutes of the day; over midnight where the end is before the begin."""

    begin_min: int
    end_min: int
    zone: ZoneInfo

    def hold(self, utc_ms: int) -> bool:
        """Whether the moment lies within; the begin is, the end is not. A clock set back repeats its hour."""
        local = datetime.fromtimestamp(utc_ms / 1000, UTC).astimezone(self.zone)
        minute = local.hour * 60 + local.minute
        if self.begin_min < self.end_min:
            return self.begin_min <= minute < self.end_min
        return minute >= self.begin_min or minute < self.end_min


def hours(text: str, zone: str) -> Hours:
    """From `HH:MM-HH:MM`; `ValueError` where it is not of that form, or no time at all."""
    found = _FORM.fullmatch(text)
    if found is None or found[1] + found[2] == found[3] + found[4]:
        raise ValueError("hours are written as 22:00-06:00")
    begin_h, begin_min, end_h, end_min = (int(part) for part in found.groups())
    return Hours(begin_h * 60 + begin_min, end_h * 60 + end_min, ZoneInfo(zone))


@dataclass(frozen=True, slots=True)
class OffPeak:
    """The cheap hours: their own rate (0 is no limit), and whether overviews wait for them."""

    hours: Hours
    rate_bytes_per_s: int = 0
    overviews_wait: bool = False


def rate_bytes_per_s(usual: int, off_peak: OffPeak | None, utc_ms: int) -> int:
    """Most bytes a second at this moment; 0 is no limit."""
    return off_peak.rate_bytes_per_s if off_peak is not None and off_peak.hours.hold(utc_ms) else usual


def tiers(off_peak: OffPeak | None, utc_ms: int) -> frozenset[Tier]:
    """What may leave at this moment. Reads and acts always may."""
    if off_peak is None or not off_peak.overviews_wait or off_peak.hours.hold(utc_ms):
        return frozenset(Tier)
    return frozenset({Tier.FIRST})
