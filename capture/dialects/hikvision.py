"""Hikvision ISAPI: the push to an alarm host, its query-string form, and the answer to a poll for plates. Pure.

Sources: camera-formats, section 1. Written for tags that change their namespace between firmwares, parts that change
their header, and pictures that change their name. What may not happen here: the picture of one read at another.

No plate box is told unless it is certain: many models give `plateRect` on a grid of 1000 x 1000, others in pixels, and
both fit into the picture. Only a value above 1000 inside the declared resolution proves pixels.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from urllib.parse import parse_qsl, quote
from xml.etree.ElementTree import Element

from capture import documents
from capture.delivery import Answer, Delivery, said
from capture.dialects import words
from capture.dialects.countries import alpha_3
from capture.dialects.hikvision_pictures import Listed, Sent, best_first, listed, matched
from capture.dialects.times import HEARD_MAX_CHARACTERS, compact, iso
from capture.multipart import looks_multipart, parts
from edge.claim import Direction, Heard, Life, Outcome, RawRead, SignOfLife, Verdict
from edge.errors import Refused
from edge.vrm import normalise

_ROOT = re.compile(rb"<((?:[A-Za-z_][\w.-]{0,30}:)?(?:EventNotificationAlert|Plates))[\s/>]")
_BEFORE_ROOT_MAX_BYTES = 1024
_QUERY_KEYS = ("eventType=", "licensePlate=")
_DIRECTIONS = {"forward": Direction.TOWARD, "reverse": Direction.AWAY}
_ASCII = "".join(map(chr, range(0x20, 0x7F)))
_NO_ADDRESS = frozenset({"", "000000000000"})


@dataclass(frozen=True, slots=True)
class Hikvision:
    """The dialect. It has no settings."""

    name: str = "hikvision"
    version: int = 1

    def recognises(self, delivery: Delivery) -> bool:
        if b"EventNotificationAlert" in delivery.body or b"Plates" in delivery.body[:_BEFORE_ROOT_MAX_BYTES]:
            return _ROOT.search(delivery.body) is not None
        return any(key in delivery.query for key in _QUERY_KEYS)

    def understand(self, delivery: Delivery) -> tuple[RawRead | SignOfLife, ...]:
        """The reads and signs of life in a delivery. Raises `Refused`."""
        body = delivery.body
        if looks_multipart(delivery.content_type, body):
            try:
                return self._parts(delivery)
            except Refused as refused:
                # An event stream may be cut where its next part begins. A push may not.
                if refused.reason != "truncated" or delivery.content_type.lower().startswith("multipart/form-data"):
                    raise
        if _ROOT.search(body, 0, _BEFORE_ROOT_MAX_BYTES) is not None:
            return self._document(body, [], alone=True)
        if (not body or words.is_picture(body)) and any(key in delivery.query for key in _QUERY_KEYS):
            return (self._query(delivery.query, [Sent("", "", body)] if body else []),)
        raise Refused("a delivery is not in a form Hikvision cameras use", reason="not_hikvision")

    def answer(self, verdict: Verdict, delivery: Delivery) -> Answer:
        """`ResponseStatus` as cameras expect it. Status codes: ISAPI 1 OK, 2 device busy, 4 invalid operation."""
        if verdict.outcome is Outcome.LATER:
            code, text, sub = 2, "Device Busy", "deviceBusy"
        elif verdict.outcome is Outcome.REFUSED:
            code, text, sub = 4, "Invalid Operation", "invalidOperation"
        else:
            code, text, sub = 1, "OK", "ok"
        body = (
            '<?xml version="1.0" encoding="UTF-8"?>\n'
            '<ResponseStatus version="2.0" xmlns="http://www.isapi.org/ver20/XMLSchema">\n'
            f"<statusCode>{code}</statusCode>\n<statusString>{text}</statusString>\n"
            f"<subStatusCode>{sub}</subStatusCode>\n</ResponseStatus>\n"
        )
        return said(verdict, 'application/xml; charset="UTF-8"', body.encode())

    def _parts(self, delivery: Delivery) -> tuple[RawRead | SignOfLife, ...]:
        """Each document with the pictures that follow it; pictures in front belong to the first."""
        told: list[bytes] = []
        pictures: list[list[Sent]] = [[]]
        for part in parts(delivery.body, delivery.content_type):
            if words.is_picture(part.data):
                pictures[-1].append(Sent(part.name, part.filename, part.data))
            elif _ROOT.search(part.data, 0, _BEFORE_ROOT_MAX_BYTES) is not None:
                if told:
                    pictures.append([])
                told.append(part.data)
        if told:
            return tuple(
                item
                for body, its in zip(told, pictures, strict=True)
                for item in self._document(body, its, alone=False)
            )
        if any(key in delivery.query for key in _QUERY_KEYS):
            return (self._query(delivery.query, pictures[0]),)
        raise Refused("a delivery has no part that says what it is", reason="no_document")

    def _document(self, body: bytes, pictures: Sequence[Sent], *, alone: bool) -> tuple[RawRead | SignOfLife, ...]:
        document, rest = _cut(body)
        root = documents.read_xml(document)
        if documents.local_name(root.tag) == "Plates":
            return tuple(self._polled(plate) for plate in documents.children(root, "Plate"))
        item = self._event(root, pictures)
        a_read = isinstance(item, RawRead) or _ROOT.search(rest) is not None
        if rest and (not alone or not rest.startswith(b"--") or a_read):
            # A stream may be cut off behind a sign of life, and nothing is lost. A read may have lost its pictures.
            raise Refused("a document is followed by something else", reason="truncated")
        return (item,)

    def _event(self, root: Element, pictures: Sequence[Sent]) -> RawRead | SignOfLife:
        top = documents.texts(root)
        kind, state = top.get("eventType", ""), top.get("eventState", "").lower()
        anpr = documents.children(root, "ANPR")
        if kind.lower() != "anpr":
            beats = kind.lower() == "heartbeat" or (kind.lower() == "videoloss" and state == "inactive")
            return SignOfLife(Life.HEARTBEAT if beats else Life.OTHER_EVENT, words.word(kind), _identity(top))
        said = {**top, **documents.texts(anpr[0])} if anpr else top
        shown = listed(root)
        return self._read(said, pictures, shown, [top.get("UUID"), *(picture.id for picture in best_first(shown))])

    def _query(self, query: str, pictures: Sequence[Sent]) -> RawRead | SignOfLife:
        said = _query_members(query)
        kind = said.get("eventType", "ANPR")
        if kind.lower() != "anpr":
            return SignOfLife(Life.OTHER_EVENT, words.word(kind), _identity(said))
        # A plus that was not escaped arrives as a space.
        said["dateTime"] = re.sub(r" (\d\d:?\d\d)$", r"+\1", said.get("dateTime", ""))
        return self._read(said, pictures, (), [said.get("UUID")])

    def _polled(self, plate: Element) -> RawRead:
        said = documents.texts(plate)
        if "plateNumber" in said:
            said["licensePlate"] = said.pop("plateNumber")
        said["dateTime"] = said.pop("captureTime", "")
        return self._read(said, (), (), [said.get("picName")])

    def _read(
        self,
        said: dict[str, str],
        pictures: Sequence[Sent],
        shown: tuple[Listed, ...],
        identities: Sequence[str | None],
    ) -> RawRead:
        if "licensePlate" not in said and "originalLicensePlate" not in said:
            raise Refused("a read has no plate element", reason="no_plate")
        heard = said.get("licensePlate") or said.get("originalLicensePlate", "")
        confidence = words.percent(said.get("confidenceLevel", ""))
        when = said.get("dateTime", "")
        return RawRead(
            dialect=self.name,
            dialect_version=self.version,
            camera_identity=_identity(said),
            vendor_id=words.vendor_id(identities, heard),
            plate_heard=heard,
            confidence=None if confidence == 0 and normalise(heard) is None else confidence,
            country=alpha_3(said.get("country")),
            heard=Heard(country=words.short(said.get("country"))),
            direction=_DIRECTIONS.get(said.get("direction", "").lower()),
            lane=words.short(said.get("line") or said.get("laneNo") or said.get("lane")),
            time=_moment(when, shown),
            time_heard=words.short(when, HEARD_MAX_CHARACTERS),
            images=matched(pictures, shown),
        )


def _cut(body: bytes) -> tuple[bytes, bytes]:
    """The document alone, and what stands behind it (stripped)."""
    root = _ROOT.search(body)
    if root is None:
        raise Refused("a delivery is not in a form Hikvision cameras use", reason="not_hikvision")
    closed = re.compile(rb"</" + re.escape(root[1]) + rb"\s*>").search(body, root.end())
    end = len(body) if closed is None else closed.end()
    return body[body.find(b"<") : end], body[end:].strip(b" \t\r\n\0")


def _query_members(query: str) -> dict[str, str]:
    """The members of a query string, in UTF-8 or else GB 18030; the first where one is twice."""
    # Bytes beyond ASCII that were not escaped are escaped first, so that they are decoded strictly like the rest.
    query = quote(query.encode("utf-8", "surrogateescape"), safe=_ASCII)
    for encoding in ("utf-8", "gb18030"):
        try:
            pairs = parse_qsl(
                query, keep_blank_values=True, encoding=encoding, errors="strict", max_num_fields=64, separator="&"
            )
        except UnicodeDecodeError:
            continue
        except ValueError:
            break
        members: dict[str, str] = {}
        for key, value in pairs:
            members.setdefault(key, value.strip())
        return members
    raise Refused("a query string cannot be read", reason="query_malformed")


def _identity(said: dict[str, str]) -> str | None:
    for key in ("macAddress", "deviceID"):
        text = said.get(key, "")
        if text.replace(":", "").replace("-", "") not in _NO_ADDRESS:
            return words.short(text, 64)
    return None


def _moment(text: str, shown: tuple[Listed, ...]) -> datetime | None:
    """`dateTime`, to the millisecond where a picture's `absTime` says it: the same clock face, without a zone."""
    told = iso(text) or compact(text, with_ms=False)
    if told is None or told.microsecond:
        return told
    for picture in (*best_first(shown), *shown):
        face = compact(picture.abs_time, with_ms=True)
        if face is not None and abs(face - told.replace(tzinfo=None)) <= timedelta(seconds=2):
            return face.replace(tzinfo=told.tzinfo)
    return told
