"""LILIN: the endless `/getalarmmotion`, whose last four reads stand in every part, and the list of `/get_search_info`.
Pure.

Sources: camera-formats, section 5; the maker's SDK page. What may not happen here: an entry of a list of plates, which
nobody has seen, passing for a read; a clock that is called GMT being believed. The maker's own sample has the same
moment as `TS` and, eight hours later, as `MOD_TS` "GMT": the first is UTC, the second what the camera's clock shows.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from capture import documents
from capture.delivery import Answer, Delivery, said
from capture.dialects import words
from capture.dialects.countries import alpha_3
from capture.dialects.times import HEARD_MAX_CHARACTERS, epoch, iso
from edge.claim import Heard, Life, RawRead, SignOfLife, Verdict, Way
from edge.errors import Refused
from edge.vrm import normalise

TEXT_MAX_BYTES = 256 * 1024
ENTRIES_MAX = 4096
"""The log of a camera holds 1,000."""

_SLOTS = range(4)
_HEAD_BYTES = 4096
_KEY = re.compile(r"(?<![A-Za-z0-9_])([A-Za-z][A-Za-z0-9_]{1,31})=")
_DELIMITER = re.compile(r"^--[^\s-][^\r\n]{0,80}$", re.MULTILINE)
_CAM_TIME = re.compile(r"^CamTime[ \t]*[:=][ \t]*([^\r\n]{1,40})", re.MULTILINE | re.IGNORECASE)
_FILE = re.compile(r"(?:.*/)?(\d{14})_(\d{1,6})lp_.*_(\d{1,9})\.\w{3,4}", re.ASCII | re.DOTALL)
_ALARM = re.compile(r"\w*Detect|FaceDetectNumber|DoorBell")
_ZONE_WORD = re.compile(r"\s*(?:GMT|UTC)\s*\Z", re.IGNORECASE)
_NUMBER = re.compile(r"\d{1,6}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Lilin:
    """The dialect. It has no settings."""

    name: str = "lilin"
    version: int = 1

    def recognises(self, delivery: Delivery) -> bool:
        head = delivery.body[:_HEAD_BYTES]
        if head.lstrip().startswith(b"{"):
            return b'"LPR_COUNT"' in head
        return b"LPR0=" in head or (b"MotionDetect=" in head and b"AlarmInputDetect=" in head)

    def understand(self, delivery: Delivery) -> tuple[RawRead | SignOfLife, ...]:
        """The reads and signs of life in a delivery. Raises `Refused`."""
        body = delivery.body
        if body[:64].lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"{"):
            return self._searched(documents.read_json(body))
        if len(body) > TEXT_MAX_BYTES:
            raise Refused("a status is larger than 256 kB", reason="too_large")
        try:
            text = body.decode("utf-8-sig").replace("\r\n", "\n")
        except UnicodeDecodeError:
            raise Refused("a status is not in UTF-8", reason="undecodable") from None
        found = [item for part in _DELIMITER.split(text) for item in self._status(part)]
        if not found:
            raise Refused("a delivery is not in a form LILIN cameras use", reason="not_lilin")
        return tuple(found)

    def answer(self, verdict: Verdict, delivery: Delivery) -> Answer:
        """Cameras are called and told nothing; whoever pushes in their place hears the verdict."""
        if delivery.arrival.way is not Way.HTTP_PUSH:
            return said(verdict, "text/plain; charset=utf-8", b"")
        body = json.dumps({"verdict": verdict.outcome.value, "reason": verdict.reason}) + "\n"
        return said(verdict, "application/json", body.encode())

    def _status(self, part: str) -> Iterable[RawRead | SignOfLife]:
        """A read for each slot that is filled, else a sign of life."""
        members = _members(part)
        if "LPR0" not in members and "MotionDetect" not in members:
            return
        shown = _CAM_TIME.search(part)
        filled = [n for n in _SLOTS if any(members.get(f"{key}{n}") for key in ("LPR", "LPR_TIME", "LP_BMP"))]
        for slot in filled:
            yield self._slot({key: members.get(f"{key}{slot}", "") for key in _SLOT_KEYS}, shown[1] if shown else "")
        if not filled:
            alarm = next((k for k, v in members.items() if _ALARM.fullmatch(k) and v not in ("", "0")), None)
            life = Life.HEARTBEAT if alarm is None else Life.OTHER_EVENT
            yield SignOfLife(life, words.word(alarm or "getalarmmotion"), None)

    def _slot(self, members: Mapping[str, str], cam_time: str) -> RawRead:
        when = members["LPR_TIME"] or cam_time
        file = _FILE.fullmatch(members["LP_BMP"][-256:])
        return self._read(members, _moment(when, file), when, [_file_id(file), _slot_id(members)], None)

    def _searched(self, value: Any) -> tuple[RawRead | SignOfLife, ...]:
        entries = value.get("INFORMATION") if isinstance(value, dict) else None
        if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
            raise Refused("a delivery is not in a form LILIN cameras use", reason="not_lilin")
        if len(entries) > ENTRIES_MAX:
            raise Refused("a list of reads is too long", reason="too_large")
        found = tuple(self._entry({key: _text(text) for key, text in entry.items()}) for entry in entries)
        return found or (SignOfLife(Life.OTHER_EVENT, "get_search_info", None),)

    def _entry(self, members: dict[str, str]) -> RawRead | SignOfLife:
        stamp, shown = members.get("TS", "").strip(), members.get("MOD_TS", "").strip()
        if not stamp and not shown:
            return SignOfLife(Life.OTHER_EVENT, "listed_plate", None)
        if "LPR" not in members:
            raise Refused("a read has no member for the plate", reason="no_plate")
        file = _FILE.fullmatch(members.get("LP_BMP", "")[-256:])
        micros = int(stamp) if stamp.isascii() and stamp.isdigit() and len(stamp) <= 17 else None
        time = None if micros is None else epoch(micros, 1_000_000)
        identities = [f"{stamp}-{members.get('CAR_ID', '')}" if micros else None, _file_id(file)]
        read_time = (time, stamp) if time is not None else (_moment(shown, file), shown)
        return self._read(members, *read_time, identities, members.get("THRESHOLD"))

    def _read(
        self,
        members: Mapping[str, str],
        time: datetime | None,
        when: str,
        identities: Iterable[str | None],
        score: str | None,
    ) -> RawRead:
        heard = members.get("LPR", "")
        confidence = words.percent(score or "", 1.0)
        country = members.get("COUNTRY")
        return RawRead(
            dialect=self.name,
            dialect_version=self.version,
            camera_identity=None,
            vendor_id=words.vendor_id(identities, heard),
            plate_heard=heard,
            confidence=None if confidence == 0 and normalise(heard) is None else confidence,
            country=alpha_3(country),
            direction=None,
            lane=None,
            time=time,
            time_heard=words.short(when, HEARD_MAX_CHARACTERS),
            images=(),
            heard=Heard(
                confidence=None if confidence is None else f"{(score or '').strip()[:24]}/1",
                country=words.short(country),
                plate_box=_box(members),
            ),
        )


_SLOT_KEYS = ("LPR", "LPR_TIME", "LP_BMP", "LP_X", "LP_Y", "LP_W", "LP_H")


def _text(value: Any) -> str:
    return str(value) if isinstance(value, str | int | float) and not isinstance(value, bool) else ""


def _members(part: str) -> dict[str, str]:
    """Every `KEY=value`; several stand on one line, after commas or spaces, and values have spaces of their own."""
    found: dict[str, str] = {}
    keys = list(_KEY.finditer(part))
    ends = [*(key.start() for key in keys[1:]), len(part)]
    for key, end in zip(keys, ends, strict=False):
        value = part[key.end() : end]
        found.setdefault(key[1], value.partition("\n")[0].strip(" ,\t\r\0"))
    return found


def _moment(text: str, file: re.Match[str] | None) -> datetime | None:
    """The clock face, to the millisecond where the picture's name has the same second and its microseconds."""
    told = iso(_ZONE_WORD.sub("", text[:HEARD_MAX_CHARACTERS]))
    if told is None or file is None or f"{told:%Y%m%d%H%M%S}" != file[1]:
        return told
    return told.replace(microsecond=int(file[2]) // 1000 * 1000)


def _file_id(file: re.Match[str] | None) -> str | None:
    """The name of the plate's picture without the plate, which stands in the middle of it."""
    return None if file is None else "_".join(file.groups())


def _slot_id(members: Mapping[str, str]) -> str | None:
    """The same read stands in every part until four others came: its time and place tell."""
    digits = re.sub(r"[^0-9]", "", members["LPR_TIME"])[:20]
    return f"{digits}-{members['LP_X'][:6]}-{members['LP_Y'][:6]}" if digits else None


def _box(members: Mapping[str, str]) -> str | None:
    """In pixels of a picture that does not come with it."""
    sides = [members.get(key, "").strip() for key in ("LP_X", "LP_Y", "LP_W", "LP_H")]
    if not all(_NUMBER.fullmatch(side) for side in sides) or not int(sides[2]) or not int(sides[3]):
        return None
    return ",".join(sides) + "/px"
