"""What a Hikvision device says, as one tree of local names, whether it was put in XML, JSON, UTF-8 or GB 18030. Pure.

What may not happen here: a text read in a coding that was neither declared nor certain.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any
from xml.etree.ElementTree import Element, SubElement

from capture import documents
from edge.errors import Refused

BEFORE_ROOT_MAX_BYTES = 1024
_DOCUMENT_MAX_BYTES = 256 * 1024  # pictures come as parts, never inside
_ROOT = re.compile(rb"<((?:[A-Za-z_][\w.-]{0,30}:)?(?:EventNotificationAlert|Plates))[\s/>]")
_DECLARATION = re.compile(rb"""<\?xml(?:[^>]{0,100}?encoding\s{0,8}=\s{0,8}["']([\w.-]{1,20})["'])?[^>]{0,100}\?>""")
_JSON_BEGINS = (b"{", b"\xef\xbb\xbf{")
# One of these beside each other is what ISAPI calls an event, and what no other vendor's JSON has.
_JSON_ROOT = re.compile(rb'"(?:EventNotificationAlert|Plates)"\s{0,8}:\s{0,8}[\[{]')
_JSON_EVENT = (b'"eventType"', b'"dateTime"')
_JSON_EVENT_ALSO = (b'"activePostCount"', b'"eventState"', b'"ANPR"')
_CHINESE = ("gb2312", "gb_2312-80", "gbk", "gb18030", "cp936")
_ITEMS = {"pictureInfoList": "pictureInfo"}  # a list by this name holds things of that name


@dataclass(frozen=True, slots=True)
class Document:
    """`rest`: what stands behind it in its part; of JSON nothing."""

    root: Element = field(repr=False)
    rest: bytes = field(repr=False)


def is_xml(body: bytes) -> bool:
    """Whether a document of theirs begins near its beginning."""
    return _ROOT.search(body, 0, BEFORE_ROOT_MAX_BYTES) is not None


def is_json(body: bytes) -> bool:
    """Whether it is JSON with the members of theirs, or begins so."""
    if not body[:64].lstrip().startswith(_JSON_BEGINS):
        return False
    head = body[:_DOCUMENT_MAX_BYTES]
    return _JSON_ROOT.search(head) is not None or (
        all(key in head for key in _JSON_EVENT) and any(key in head for key in _JSON_EVENT_ALSO)
    )


def holds_one(body: bytes) -> bool:
    """Whether a document of theirs, in either form, stands anywhere in this body."""
    if b"EventNotificationAlert" in body or b"Plates" in body[:BEFORE_ROOT_MAX_BYTES]:
        return _ROOT.search(body) is not None or _JSON_ROOT.search(body) is not None
    return all(key in body for key in _JSON_EVENT) and any(key in body for key in _JSON_EVENT_ALSO)


def read(body: bytes, content_type: str = "") -> Document:
    """The first document in a part. Raises `Refused`, as `capture.documents` does."""
    if is_json(body):
        return Document(_from_json(body, content_type), b"")
    root = _ROOT.search(body)
    if root is None:
        raise Refused("a delivery is not in a form Hikvision cameras use", reason="not_hikvision")
    closed = re.compile(rb"</" + re.escape(root[1]) + rb"\s*>").search(body, root.end())
    end = len(body) if closed is None else closed.end()
    if end - root.start() > _DOCUMENT_MAX_BYTES:
        raise Refused("an XML document is larger than 256 kB", reason="too_large")
    document = _in_utf8(body[body.find(b"<") : end], content_type)
    return Document(documents.read_xml(document), body[end:].strip(b" \t\r\n\0"))


def another(rest: bytes) -> bool:
    """Whether what stands behind a document has another."""
    return _ROOT.search(rest) is not None


def _in_utf8(document: bytes, content_type: str) -> bytes:
    declared = _DECLARATION.match(document)
    named = (declared[1] or b"").decode("ascii", "replace").lower() if declared is not None else ""
    if (named and named not in ("utf-8", "utf8", *_CHINESE)) or (document.isascii() and named not in _CHINESE):
        return document
    text = _decoded(document, named in _CHINESE or (not named and any(c in content_type.lower() for c in _CHINESE)))
    if text is None:
        return document  # the XML parser says what is wrong with it
    begin = text.find("?>") + 2 if declared is not None else 0
    return text[begin:].encode("utf-8", "replace")


def _decoded(data: bytes, chinese: bool) -> str | None:
    """GB 18030 where it was declared. Else UTF-8; or GB 2312 where it is not that: the narrower of the two, by which
    hardly a text in another coding can be read."""
    for coding in ("gb18030",) if chinese else ("utf-8-sig", "gb2312"):
        try:
            return data.decode(coding)
        except UnicodeDecodeError:
            continue
    return None


def _from_json(body: bytes, content_type: str) -> Element:
    if len(body) > _DOCUMENT_MAX_BYTES:
        raise Refused("a JSON document is larger than 256 kB", reason="too_large")
    text = None if body.isascii() else _decoded(body, any(c in content_type.lower() for c in _CHINESE))
    value = documents.read_json(body if text is None else text.encode("utf-8", "replace"))
    name = "EventNotificationAlert"
    if isinstance(value, dict):
        name = next((key for key in (name, "Plates") if key in value), name)
        value = value.get(name, value)
    if isinstance(value, list) and name == "Plates":
        value = {"Plate": value}
    if not isinstance(value, dict):
        raise Refused("a delivery is not a JSON object", reason="not_an_object")
    root = Element(name)
    _fill(root, value)
    return root


def _fill(parent: Element, value: Any) -> None:
    """JSON as the tree that the same device writes in XML. Nesting is bounded by `documents.read_json`."""
    match value:
        case dict():
            for name, inner in value.items():
                many: Sequence[Any] = inner if isinstance(inner, list) else [inner]
                holder = SubElement(parent, name) if isinstance(inner, list) and name in _ITEMS else parent
                for each in many:
                    _fill(SubElement(holder, _ITEMS[name] if holder is not parent else name), each)
        case list():
            for each in value:
                _fill(SubElement(parent, "item"), each)
        case bool():
            parent.text = "true" if value else "false"
        case str() | int() | float():
            parent.text = str(value)
