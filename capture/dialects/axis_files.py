"""The read in the name of a file that an Axis plate reader (FF Group, CAMMRA) puts on an FTP server. Pure.

    <device>/202409/13/20240913141423_613_roi_1_in_7543_47ATDPN_USA_Ford_Explorer_SUV_BLACK.jpg
    20231211142706_413731lp_HWR6677_2117396.jpg

The separator may be `_` or `-` and may stand in the plate too: the name is read from both ends towards the plate. What
may not happen here: half a plate taken for one.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import datetime

from capture.dialects.countries import alpha_3
from capture.dialects.times import compact

_NAME_MAX_CHARACTERS = 400
_EVENT = re.compile(
    r"(\d{14})([_-])(\d{1,6})\2(?:roi\2)?(\d{1,3})\2(in|out|unk|unknown)\2(\d{1,20})\2(.*)", re.ASCII | re.IGNORECASE
)
_STORED = re.compile(r"(\d{14})_(\d{1,6})(lp|roi|vehicle|frame)_(.*)_\d{1,20}", re.ASCII | re.IGNORECASE)
_EXTENSION = re.compile(r"\.(?:jpe?g|png)$", re.IGNORECASE)
_MAC = re.compile(r"[0-9A-F]{12}|[0-9A-F]{2}(?:[:-][0-9A-F]{2}){5}", re.ASCII | re.IGNORECASE)
_DAY = re.compile(r"\d{2}|\d{4}|\d{6}|\d{8}", re.ASCII)


@dataclass(frozen=True, slots=True)
class File:
    """What a name says. `kind` is the picture's (`lp`, `roi`, or empty)."""

    plate: str = field(repr=False)
    identity: str | None = field(repr=False)
    time: datetime | None
    time_heard: str
    lane: str
    direction: str
    car: str
    country: str | None
    kind: str


def named(path: str) -> File | None:
    """The read in an uploaded path, or None where the name is of another form."""
    if not path or len(path) > _NAME_MAX_CHARACTERS:
        return None
    *folders, last = path.replace("\\", "/").split("/")
    stem = _EXTENSION.sub("", last)
    event = _EVENT.fullmatch(stem)
    if event is not None:
        moment, mark, fraction, lane, direction, car, rest = event.groups()
        plate, country = _plate_and_country(rest, mark)
        return _file(plate, folders, moment, fraction, lane, direction, car, country, "")
    stored = _STORED.fullmatch(stem)
    if stored is None:
        return None
    moment, fraction, kind, plate = stored.groups()
    return _file(plate, folders, moment, fraction, "", "", "", None, kind.lower())


def _file(
    plate: str,
    folders: list[str],
    moment: str,
    fraction: str,
    lane: str,
    direction: str,
    car: str,
    country: str | None,
    kind: str,
) -> File:
    # Three digits are milliseconds, six microseconds; a fraction that lost its leading zeros cannot be told from one.
    ms = fraction[:3] if len(fraction) in (3, 6) else "000"
    time = compact(moment + ms, with_ms=True)
    return File(plate, _device(folders), time, f"{moment}_{fraction}", lane, direction, car, country, kind)


def _plate_and_country(rest: str, mark: str) -> tuple[str, str | None]:
    """The plate ends where a country's three letters stand alone; what follows is make, model, type and colour."""
    segments = rest.split(mark)
    for at in range(1, len(segments)):
        code = segments[at]
        if len(code) == 3 and code.isupper() and alpha_3(code) is not None:
            return mark.join(segments[:at]), code
    return segments[0], None


def _device(folders: list[str]) -> str | None:
    """The folder named after the device, where it is a MAC or serial, or the first that is not a date."""
    for folder in folders:
        if _MAC.fullmatch(folder):
            return folder
    named = [f for f in folders if f and not _DAY.fullmatch(f) and f not in (".", "..")]
    return named[-1][:64] if len(named) == 1 and not named[0].lower().startswith("defaultid") else None
