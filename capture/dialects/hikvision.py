"""Hikvision ISAPI: the push to an alarm host, its query-string form, the event stream, and the answer to a poll. Pure.

In XML, or in JSON with the same names (`hikvision_documents`). Sources: camera-formats, section 1. Written for tags
that change their namespace between firmwares, parts that change their header, and pictures that change their name. What
may not happen here: the picture of one read at another.

No plate box is told unless it is certain: many models give `plateRect` on a grid of 1000 x 1000, others in pixels, and
both fit into the picture. Only a value above 1000 inside the declared resolution proves pixels. What was said stays
beside the read as heard.

A channel above 1 is a recorder's: the address and the MAC are then the recorder's too, and the camera is called
`<mac>/<channel>`. Its first channel cannot be told from a camera of one channel, and is called by the MAC alone.

A poll names one picture for each read, `/doc/ui/images/plate/<picName>.jpg`: plate or scene, its shape decides.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from urllib.parse import parse_qsl, quote
from xml.etree.ElementTree import Element

from capture import documents
from capture.delivery import Answer, Delivery, said
from capture.dialects import hikvision_documents, words
from capture.dialects.countries import alpha_3
from capture.dialects.hikvision_pictures import Listed, Sent, best_first, listed, matched, stored
from capture.dialects.times import HEARD_MAX_CHARACTERS, compact, iso
from capture.dialects.values import short_enough
from capture.multipart import Part, looks_multipart, parts
from edge.claim import Direction, Heard, Life, Outcome, RawImage, RawRead, SignOfLife, Verdict
from edge.errors import Refused
from edge.vrm import normalise

_QUERY_KEYS = ("eventType=", "licensePlate=")
_DIRECTIONS = {"forward": Direction.TOWARD, "reverse": Direction.AWAY}
_ASCII = "".join(map(chr, range(0x20, 0x7F)))
_CHANNEL = re.compile(r"[0-9]{1,4}")
_NO_ADDRESS = frozenset({"", "000000000000"})


@dataclass(frozen=True, slots=True)
class Hikvision:
    """The dialect. It has no settings."""

    name: str = "hikvision"
    version: int = 1

    def recognises(self, delivery: Delivery) -> bool:
        if hikvision_documents.holds_one(delivery.body):
            return True
        # The headers of a push that was written to a log without its body are Hikvision's, and no delivery.
        return any(key in delivery.query for key in _QUERY_KEYS) or b'name="anpr.xml"' in delivery.body[:4096]

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
        if _is_document(body):
            return self._document(body, delivery.content_type, [], alone=True)
        if (not body or words.is_picture(body)) and any(key in delivery.query for key in _QUERY_KEYS):
            return (self._query(delivery.query, [Sent("", "", body)] if body else []),)
        raise Refused("a delivery is not in a form Hikvision cameras use", reason="not_hikvision")

    def answer(self, verdict: Verdict, delivery: Delivery) -> Answer:
        """`ResponseStatus` as cameras expect it, in JSON to one that speaks JSON. Status codes: ISAPI 1 OK,
        2 device busy, 4 invalid operation."""
        if verdict.outcome is Outcome.LATER:
            code, text, sub = 2, "Device Busy", "deviceBusy"
        elif verdict.outcome is Outcome.REFUSED:
            code, text, sub = 4, "Invalid Operation", "invalidOperation"
        else:
            code, text, sub = 1, "OK", "ok"
        if _in_json(delivery):
            told = {"statusCode": code, "statusString": text, "subStatusCode": sub}
            return said(verdict, "application/json", json.dumps(told).encode())
        body = (
            '<?xml version="1.0" encoding="UTF-8"?>\n'
            '<ResponseStatus version="2.0" xmlns="http://www.isapi.org/ver20/XMLSchema">\n'
            f"<statusCode>{code}</statusCode>\n<statusString>{text}</statusString>\n"
            f"<subStatusCode>{sub}</subStatusCode>\n</ResponseStatus>\n"
        )
        return said(verdict, 'application/xml; charset="UTF-8"', body.encode())

    def _parts(self, delivery: Delivery) -> tuple[RawRead | SignOfLife, ...]:
        """Each document with the pictures that follow it; pictures in front belong to the first."""
        told: list[Part] = []
        pictures: list[list[Sent]] = [[]]
        for part in parts(delivery.body, delivery.content_type):
            if words.is_picture(part.data):
                pictures[-1].append(Sent(part.name, part.filename, part.data))
            elif _is_document(part.data):
                if told:
                    pictures.append([])
                told.append(part)
        if told:
            return tuple(
                item
                for part, its in zip(told, pictures, strict=True)
                for item in self._document(part.data, part.content_type, its, alone=False)
            )
        if any(key in delivery.query for key in _QUERY_KEYS):
            return (self._query(delivery.query, pictures[0]),)
        raise Refused("a delivery has no part that says what it is", reason="no_document")

    def _document(
        self, body: bytes, content_type: str, pictures: Sequence[Sent], *, alone: bool
    ) -> tuple[RawRead | SignOfLife, ...]:
        document = hikvision_documents.read(body, content_type)
        if documents.local_name(document.root.tag) == "Plates":
            plates = documents.children(document.root, "Plate")
            its = pictures if len(plates) == 1 else ()  # of several, nothing says whose it is
            return tuple(self._polled(plate, its) for plate in plates)
        item = self._event(document.root, pictures)
        rest = document.rest
        a_read = isinstance(item, RawRead) or hikvision_documents.another(rest)
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
        identities = [top.get("UUID"), *(picture.id for picture in best_first(shown))]
        return self._read(said, matched(pictures, shown), shown, identities)

    def _query(self, query: str, pictures: Sequence[Sent]) -> RawRead | SignOfLife:
        said = _query_members(query)
        kind = said.get("eventType", "ANPR")
        if kind.lower() != "anpr":
            return SignOfLife(Life.OTHER_EVENT, words.word(kind), _identity(said))
        # A plus that was not escaped arrives as a space.
        said["dateTime"] = re.sub(r" (\d\d:?\d\d)$", r"+\1", said.get("dateTime", ""))
        return self._read(said, matched(pictures, ()), (), [said.get("UUID")])

    def _polled(self, plate: Element, pictures: Sequence[Sent]) -> RawRead:
        said = documents.texts(plate)
        if "plateNumber" in said:
            said["licensePlate"] = said.pop("plateNumber")
        said["dateTime"] = said.pop("captureTime", "")
        return self._read(said, stored(pictures), (), [said.get("picName")])

    def _read(
        self,
        said: dict[str, str],
        images: tuple[RawImage, ...],
        shown: tuple[Listed, ...],
        identities: Sequence[str | None],
    ) -> RawRead:
        if "licensePlate" not in said and "originalLicensePlate" not in said:
            raise Refused("a read has no plate element", reason="no_plate")
        heard = short_enough(said.get("licensePlate") or said.get("originalLicensePlate", ""))
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
            heard=Heard(
                confidence=_fraction(said.get("confidenceLevel")),
                direction=words.short(said.get("direction")),
                country=words.short(said.get("country")),
                plate_box=next((s.box_heard for s in shown if s.box_heard is not None), None),
            ),
            direction=_DIRECTIONS.get(said.get("direction", "").lower()),
            lane=words.short(said.get("line") or said.get("laneNo") or said.get("lane")),
            time=_moment(when, shown),
            time_heard=words.short(when, HEARD_MAX_CHARACTERS),
            images=images,
        )


def _fraction(confidence: str | None) -> str | None:
    """A confidence that was more exact than whole per cent, with its scale."""
    text = words.short(confidence)
    return f"{text}/100" if text is not None and "." in text and words.percent(text) is not None else None


def _in_json(delivery: Delivery) -> bool:
    head = delivery.body[:2048]
    return hikvision_documents.is_json(delivery.body) or (head.startswith(b"--") and b"application/json" in head)


def _is_document(body: bytes) -> bool:
    return hikvision_documents.is_xml(body) or hikvision_documents.is_json(body)


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
    channel = said.get("dynChannelID") or said.get("channelID", "")
    behind = f"/{int(channel)}" if _CHANNEL.fullmatch(channel) and int(channel) > 1 else ""
    for key in ("macAddress", "deviceID"):
        text = said.get(key, "")
        if text.replace(":", "").replace("-", "") not in _NO_ADDRESS:
            identity = words.short(text, 64 - len(behind))
            return None if identity is None else identity + behind
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
