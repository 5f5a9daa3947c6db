"""XML and JSON out of hostile bytes: a tree or a value within bounds, or `Refused`. Nothing else gets out.

What may not happen here: an entity expanded, a document fetched, a recursion without a bound, a number that is none.
"""

from __future__ import annotations

import json
import math
import re
from typing import Any
from xml.etree.ElementTree import Element, ParseError, TreeBuilder

from defusedxml import DefusedXmlException
from defusedxml.ElementTree import DefusedXMLParser

from edge.errors import Refused

XML_MAX_BYTES = 12 * 1024 * 1024
JSON_MAX_BYTES = 12 * 1024 * 1024
"""Of either: two pictures of 4 MB in base64, and what stands around them."""

_XML_ELEMENTS_MAX = 20_000
_XML_ATTRIBUTES_MAX = 50_000  # as they would have to be written; base64 ends in two of these at most

DEPTH_MAX = 32
_JSON_TOKENS_MAX = 200_000
_JSON_ESCAPES_MAX = 500_000  # a base64 picture may escape every slash; more than this only takes the interpreter's time
_BEFORE_XML_MAX_BYTES = 64

_UTF16_MARKS = (b"\xff\xfe", b"\xfe\xff")
# A string, closed or cut off (so that every opening quote is consumed once: linear), or a bracket.
_TOKEN = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*(?:"|\\?\Z)|[\[\]{}]', re.DOTALL)
_SURROGATE = re.compile(rb"\\u[dD][89a-fA-F]")


class _Shallow(TreeBuilder):
    """A tree builder that stops at `DEPTH_MAX`, before a tree exists that cannot be walked or held."""

    def __init__(self) -> None:
        super().__init__()
        self._depth = self._elements = 0

    def start(self, tag: Any, attrs: Any, /) -> Element:
        self._depth += 1
        self._elements += 1
        if self._depth > DEPTH_MAX or self._elements > _XML_ELEMENTS_MAX:
            raise Refused("an XML document is nested too deeply", reason="too_deep")
        return super().start(tag, attrs)

    def end(self, tag: str, /) -> Element:
        self._depth -= 1
        return super().end(tag)


def read_xml(body: bytes) -> Element:
    """The root element. Up to 64 bytes may stand before the first `<` (byte order mark, blank lines).

    Raises `Refused`: `too_large`, `too_deep`, `xml_forbidden` (DTD, entities), `xml_malformed`.
    """
    if len(body) > XML_MAX_BYTES:
        raise Refused("an XML document is larger than 12 MB", reason="too_large")
    if body.count(b"=") > _XML_ATTRIBUTES_MAX:
        raise Refused("an XML document has too many attributes", reason="too_large")
    begin = body.find(b"<", 0, _BEFORE_XML_MAX_BYTES + 1)
    if begin > 0 and not body.startswith(_UTF16_MARKS):
        body = body[begin:]
    parser = DefusedXMLParser(target=_Shallow(), forbid_dtd=True)
    try:
        parser.feed(body)
        root = parser.close()
    except DefusedXmlException:
        raise Refused("an XML document declares a DTD or entities", reason="xml_forbidden") from None
    except (ParseError, ValueError, LookupError, RecursionError, AssertionError):
        raise Refused("an XML document is not well formed", reason="xml_malformed") from None
    finally:
        vars(parser).clear()  # parser and target hold each other, and with them the tree, until a collection
    if not isinstance(root, Element):
        raise Refused("an XML document has no element", reason="xml_malformed")
    return root


def local_name(tag: object) -> str:
    """A tag without its namespace: vendors change it between firmwares. Comments have none."""
    return tag.rpartition("}")[2] if isinstance(tag, str) else ""


def texts(element: Element) -> dict[str, str]:
    """The text of each direct child by local name, stripped; where a name stands twice, the first."""
    found: dict[str, str] = {}
    for child in element:
        found.setdefault(local_name(child.tag), (child.text or "").strip())
    return found


def children(element: Element, name: str) -> list[Element]:
    return [child for child in element if local_name(child.tag) == name]


def read_json(body: bytes) -> Any:
    """The value, in UTF-8 with or without a byte order mark.

    Raises `Refused`: `too_large`, `too_deep`, `json_malformed`, `json_duplicate_key` (which of two values is meant,
    nobody can say), `json_not_a_number` (NaN, infinities, and numbers beyond a double).
    """
    if len(body) > JSON_MAX_BYTES:
        raise Refused("a JSON document is larger than 12 MB", reason="too_large")
    if body.count(b"\\") > _JSON_ESCAPES_MAX:
        raise Refused("a JSON document has too many escapes", reason="too_large")
    _shallow(body)
    try:
        value = json.loads(
            body.decode("utf-8-sig"), parse_constant=_no_constant, parse_float=_finite, object_pairs_hook=_distinct
        )
        if _SURROGATE.search(body) is not None:
            json.dumps(value, ensure_ascii=False).encode()  # half a surrogate pair cannot be written again
    except (ValueError, RecursionError):
        raise Refused("a JSON document is not well formed", reason="json_malformed") from None
    return value


def _shallow(body: bytes) -> None:
    depth = 0
    for count, token in enumerate(_TOKEN.finditer(body)):
        first = body[token.start()]
        if first in b"[{":
            depth += 1
        elif first in b"]}":
            depth -= 1
        if depth > DEPTH_MAX or count > _JSON_TOKENS_MAX:
            raise Refused("a JSON document is nested too deeply or has too many members", reason="too_deep")


def _no_constant(_: str) -> Any:
    raise Refused("a JSON document holds a number that is none", reason="json_not_a_number")


def _finite(text: str) -> float:
    number = float(text)
    return number if math.isfinite(number) else _no_constant(text)


def _distinct(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise Refused("a JSON object names a member twice", reason="json_duplicate_key")
    return found
