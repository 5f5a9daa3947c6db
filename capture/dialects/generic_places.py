"""What stands at a place of a body: in JSON, XML, a text, pairs, fields, a form, the query, the name or a part. Pure.

What may not happen here: a document read that was not asked for; work that grows faster than the body.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, quote
from xml.etree.ElementTree import Element

from capture import documents
from capture.delivery import Delivery
from capture.dialects import words
from capture.dialects.generic_mapping import Form, Place, Plan, Source
from capture.multipart import Part, looks_multipart, parts
from edge.errors import Refused
from edge.pattern import NAME, TEXT

ABSENT = object()
JSON_BEGINS = (b"{", b"\xef\xbb\xbf{")
_PIECES_MAX = 1024
_FORM_MEMBERS_MAX = 256
_ESCAPES_MAX = 500_000  # of two pictures in base64; each takes the interpreter's time
_BEYOND_ASCII_MAX = 256 * 1024
_ASCII = "".join(map(chr, range(0x20, 0x7F)))
_XML_DECLARATION = re.compile(rb"\s{0,64}<\?xml[^>]{0,200}\?>")
_FRAMING = "\x02\x03\r\n\0 \t\ufeff"
_STEP = re.compile(r"(@)?([^\[\]@]+)(?:\[(?:(\d{1,4})|@([^\]=]+)=([^\]]*))\])?", re.ASCII)


@dataclass(frozen=True, slots=True)
class Told:
    """A delivery taken apart: `value` is the document in its form, or `ABSENT`."""

    value: Any = field(repr=False)
    query: Mapping[str, str] = field(repr=False)
    name: Mapping[str, str] = field(repr=False)
    parts: tuple[Part, ...] = field(repr=False)

    def at(self, place: Place) -> Any:
        """What stands there: a text, a number, a list or another value; `ABSENT` where there is no such place."""
        if place.source is Source.QUERY:
            return self.query.get(place.path, ABSENT)
        if place.source is Source.NAME:
            return self.name.get(place.path, ABSENT)
        if place.source is Source.PART:
            part = part_named(self.parts, place.path)
            return ABSENT if part is None else part.data.decode("utf-8", "replace")
        if isinstance(self.value, Element):
            return _in_xml(self.value, place.path)
        if isinstance(self.value, _Flat):
            return self.value.members.get(place.path, ABSENT)
        return _in_json(self.value, place.path)


@dataclass(frozen=True, slots=True)
class _Flat:
    members: Mapping[str, str] = field(repr=False)


def told(delivery: Delivery, plan: Plan) -> Told:
    """The delivery taken apart by the plan. Raises `Refused`."""
    sent: tuple[Part, ...] = ()
    body = delivery.body
    if looks_multipart(delivery.content_type, body):
        sent = parts(body, delivery.content_type)
    query: dict[str, str] = {}
    if _uses(plan, Source.QUERY):
        # Bytes beyond ASCII that were not escaped are escaped first, so that they are decoded strictly like the rest.
        query = _members(quote(delivery.query.encode("utf-8", "surrogateescape"), safe=_ASCII), plan)
    if plan.form is Form.FORM and sent:
        named = {
            p.name: p.data.decode(plan.encoding, "replace") for p in reversed(sent) if not words.is_picture(p.data)
        }
        return Told(_Flat(named), query, _of_name(delivery.name, plan), sent)
    document = _document(body, sent, delivery, plan)
    if plan.form is Form.XML and plan.encoding != "utf-8":
        document = _XML_DECLARATION.sub(b"", _text(document, plan).encode("utf-8", "replace"), count=1)
    return Told(_read(document, plan), query, _of_name(delivery.name, plan), sent)


def part_named(sent: tuple[Part, ...], name: str) -> Part | None:
    """The first part called so, by name or file name, with or without its ending, in either case."""
    wanted = name.casefold()
    for part in sent:
        for called in (part.name, part.filename):
            if called and wanted in (called.casefold(), called.rpartition(".")[0].casefold()):
                return part
    return None


def _uses(plan: Plan, source: Source) -> bool:
    return any(place.source is source for places in plan.places.values() for place in places)


def _document(body: bytes, sent: tuple[Part, ...], delivery: Delivery, plan: Plan) -> bytes:
    if plan.document:
        if sent:
            part = part_named(sent, plan.document)
            if part is None:
                raise Refused("a delivery has no part with the document", reason="no_document")
            return part.data
        if b"=" in body[:256] and "urlencoded" in delivery.content_type.lower():
            form = _members(_text(body, plan), plan)
            if plan.document not in form:
                raise Refused("a form has no member with the document", reason="no_document")
            return form[plan.document].encode(plan.encoding, "replace")
    if not sent:
        return body
    begins = {Form.JSON: JSON_BEGINS, Form.XML: (b"<", b"\xef\xbb\xbf<")}.get(plan.form)
    taken = {p.path.casefold() for places in plan.places.values() for p in places if p.source is Source.PART}
    found = [
        part.data
        for part in sent
        if (part.data.lstrip().startswith(begins) if begins else part.data and not words.is_picture(part.data))
        and not {part.name.casefold(), part.name.rpartition(".")[0].casefold()} & {"plate_patch", "overview", *taken}
    ]
    if plan.form is Form.PICTURE:
        return b""
    if len(found) != 1:
        raise Refused(f"a multipart delivery must have one {plan.form.name} part", reason="no_document")
    return found[0]


def _read(document: bytes, plan: Plan) -> Any:
    match plan.form:
        case Form.JSON:
            value = documents.read_json(document)
            if not isinstance(value, dict):
                raise Refused("a delivery is not a JSON object", reason="not_an_object")
            return value
        case Form.XML:
            return documents.read_xml(document)
        case Form.PICTURE:
            return _Flat({})
        case Form.FORM:
            return _Flat(_members(_text(document, plan).strip(_FRAMING), plan))
        case Form.PAIRS:
            return _Flat(_pairs(_text(document, plan).strip(_FRAMING), plan))
    text = _text(document, plan).strip(_FRAMING)
    if len(text) > TEXT.characters:
        raise Refused(f"a text is longer than {TEXT.characters} characters", reason="too_large")
    if plan.form is Form.FIELDS:
        pieces = text.split(plan.delimiter, _PIECES_MAX)
        return _Flat({str(n): piece.strip(' "') for n, piece in enumerate(pieces)})
    found = plan.text_pattern.search(text) if plan.text_pattern is not None else None
    if found is None:
        raise Refused("a text is not in the form of text_pattern", reason="not_in_form")
    return _Flat({name: said for name, said in found.groupdict().items() if said is not None})


def _text(document: bytes, plan: Plan) -> str:
    if len(document) > documents.JSON_MAX_BYTES:
        raise Refused("a text is larger than 12 MB", reason="too_large")
    try:
        return document.decode(plan.encoding)
    except UnicodeDecodeError:
        raise Refused(f"a text is not in {plan.encoding}", reason="bad_encoding") from None


def _pairs(text: str, plan: Plan) -> dict[str, str]:
    found: dict[str, str] = {}
    pieces = re.split("[\r\n" + re.escape(plan.delimiter) + "]+", text, maxsplit=_PIECES_MAX)
    if len(pieces) > _PIECES_MAX:
        raise Refused("a text has too many members", reason="too_large")
    for piece in pieces:
        key, sign, said = piece.partition(plan.equals)
        if sign:
            found.setdefault(key.strip(), said.strip())
    return found


def _members(text: str, plan: Plan) -> dict[str, str]:
    found: dict[str, str] = {}
    if text.count("%") > _ESCAPES_MAX or (len(text) > _BEYOND_ASCII_MAX and not text.isascii()):
        raise Refused("a form has too much that is escaped, or should be", reason="too_large")
    try:
        pairs = parse_qsl(
            text,
            keep_blank_values=True,
            encoding=plan.encoding,
            errors="strict",
            max_num_fields=_FORM_MEMBERS_MAX,
            separator="&",
        )
    except ValueError:  # also what is not in that encoding
        raise Refused("a form or a query cannot be read", reason="query_malformed") from None
    for key, said in pairs:
        found.setdefault(key, said)
    return found


def _of_name(name: str, plan: Plan) -> dict[str, str]:
    if plan.name_pattern is None or not 0 < len(name) <= NAME.characters or not name.isprintable():
        return {}
    found = plan.name_pattern.search(name)
    return {} if found is None else {group: said for group, said in found.groupdict().items() if said is not None}


def _in_json(value: Any, path: str) -> Any:
    for step in path.split("."):
        if isinstance(value, dict) and step in value:
            value = value[step]
        elif isinstance(value, list) and step.isascii() and step.isdigit() and len(step) < 7 and int(step) < len(value):
            value = value[int(step)]
        else:
            return ABSENT
    return value


def _in_xml(root: Element, path: str) -> Any:
    """`Event/Vehicle[1]/Plate`, `Event/@id`, `Event/Item[@Name=plate]/@Value`: by local names, from the root on."""
    here: list[Element] = []
    for position, step in enumerate(path.split("/")):
        found = _STEP.fullmatch(step)
        if found is None:
            return ABSENT
        attribute, name, index, key, wanted = found.groups()
        if attribute:
            said = _attribute(here[0], name) if here else None
            return ABSENT if said is None else said
        beside = [root] if position == 0 else list(here[0])
        here = [each for each in beside if name in ("*", documents.local_name(each.tag))]
        if key is not None:
            here = [each for each in here if _attribute(each, key) == wanted]
        if index is not None:
            here = here[int(index) : int(index) + 1]
        if not here:
            return ABSENT
    return (here[0].text or "").strip()


def _attribute(element: Element, name: str) -> str | None:
    return next((said for key, said in element.attrib.items() if documents.local_name(key) == name), None)
