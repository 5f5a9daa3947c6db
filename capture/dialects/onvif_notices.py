"""ONVIF notifications (WS-BaseNotification, as in metadata streams, pull points and SOAP) as plain values. Pure.

One shape for what XML and JSON say: attributes are `@name`, text is `#text`, elements are members by local name. Axis
VAPIX events come in the same envelope. What may not happen here: a namespace deciding anything; vendors bind what they
like, and the specification's own examples bind none.
"""

from __future__ import annotations

import re
from typing import Any
from xml.etree.ElementTree import Element

from capture import documents
from edge.errors import Refused

NOTICES_MAX = 64
_PREFIX = re.compile(rb"<([A-Za-z_][\w-]{0,15}):")
_PREFIXES_MAX = 16
_DECLARATION = re.compile(rb"\s*(?:\xef\xbb\xbf)?\s*<\?xml[^>]{0,200}\?>")


def read_fragment(body: bytes) -> Element:
    """The root element, also of a fragment cut from its document without its namespaces. Raises `Refused`."""
    used = set(_PREFIX.findall(body)) if len(body) <= documents.XML_MAX_BYTES else set()
    unbound = [p for p in sorted(used) if b"xmlns:" + p not in body] if len(used) <= _PREFIXES_MAX else []
    if not unbound:
        return documents.read_xml(body)
    declared = b" ".join(b'xmlns:%b="urn:%b"' % (p, p) for p in unbound)
    found = _DECLARATION.match(body)
    inner = body[found.end() :] if found else body
    wrapped = documents.read_xml(b"<wrapped " + declared + b">" + inner.strip(b"\x00") + b"</wrapped>")
    within = list(wrapped)
    if len(within) != 1:
        raise Refused("an XML document is not well formed", reason="xml_malformed")
    return within[0]


def notices(body: bytes) -> list[tuple[str, dict[str, Any]]]:
    """Every notification of an XML document: its topic, and its message as `UtcTime`, `PropertyOperation`, `Source`,
    `Key`, `Data`. Raises `Refused`: as XML does, `no_notification`, `too_many`."""
    found = in_tree(read_fragment(body))
    if not found:
        raise Refused("a document holds no notification", reason="no_notification")
    return found


def in_tree(root: Element) -> list[tuple[str, dict[str, Any]]]:
    """The same of a tree, empty where it has none."""
    found: list[tuple[str, dict[str, Any]]] = []
    for notice in root.iter():
        if documents.local_name(notice.tag) != "NotificationMessage":
            continue
        if len(found) == NOTICES_MAX:
            raise Refused(f"a document has more than {NOTICES_MAX} notifications", reason="too_many")
        topics = documents.children(notice, "Topic")
        topic = (topics[0].text or "").strip() if topics else ""
        found.append((topic, _message(notice)))
    return found


def as_value(element: Element) -> Any:
    """An element as a JSON value: a text where it has neither attributes nor children. The first of equals counts."""
    text = (element.text or "").strip()
    members: dict[str, Any] = {f"@{documents.local_name(k)}": v for k, v in element.attrib.items()}
    for child in element:
        members.setdefault(documents.local_name(child.tag), as_value(child))
    if not members:
        return text
    return {**members, "#text": text} if text else members


def items(section: Any) -> dict[str, Any]:
    """`Source` or `Data` by name: written flat, or as lists of SimpleItem and ElementItem."""
    if not isinstance(section, dict):
        return {}
    named = {k: v for k, v in section.items() if k not in ("SimpleItem", "ElementItem")}
    for kind in ("SimpleItem", "ElementItem"):
        listed = section.get(kind)
        for item in listed if isinstance(listed, list) else [listed]:
            if isinstance(item, dict):
                _name_item(item, named)
    return named


def _name_item(item: dict[str, Any], named: dict[str, Any]) -> None:
    name = item.get("Name", item.get("@Name"))
    if not isinstance(name, str):
        return
    rest = {k: v for k, v in item.items() if k not in ("Name", "@Name", "#text")}
    value = rest.get("Value", rest.get("@Value"))
    if value is None and rest:
        value = next(iter(rest.values())) if len(rest) == 1 else rest
    if value is not None:
        named.setdefault(name, value)


def _message(notice: Element) -> dict[str, Any]:
    told: dict[str, Any] = {}
    for message in notice.iter():
        # wsnt:Message holds tt:Message; the inner one has the time.
        if documents.local_name(message.tag) != "Message" or "UtcTime" not in message.attrib:
            continue
        told = {documents.local_name(k): v for k, v in message.attrib.items()}
        for section in message:
            told[documents.local_name(section.tag)] = _listed(section)
        break
    return told


def _listed(section: Element) -> dict[str, Any]:
    named: dict[str, Any] = {}
    for item in section:
        value = as_value(item)
        if isinstance(value, dict):
            _name_item(value, named)
    return named
