"""The members of what a Vaxtor template made (JSON, XML, a form, or text), by the names of its variables. Pure.

What may not happen here: a variable left as `$name$` becoming a value; a member guessed from a name that is none of
the vendor's; time that grows with the square of a body.
"""

from __future__ import annotations

import re
from itertools import islice
from typing import Any
from urllib.parse import parse_qsl
from xml.etree.ElementTree import Element

from capture import documents
from capture.dialects.onvif_notices import read_fragment
from capture.dialects.values import text_of
from edge.errors import Refused

_NAMES = (
    "plateutf8",
    "plateimagefile",
    "plateimage",
    "platejpegsize",
    "plate",
    "date",
    "country",
    "state",
    "category",
    "confidence",
    "charheight",
    "processingtime",
    "left",
    "top",
    "right",
    "bottom",
    "width",
    "height",
    "roiid",
    "multiplate",
    "direction",
    "overviewimagefile",
    "overviewimage",
    "overviewjpegsize",
    "cameraid",
)
_KNOWN = frozenset(_NAMES)
_TEXT_MAX_BYTES = 12 * 1024 * 1024
_TOKEN = re.compile(r"\$[A-Za-z0-9_]{1,32}\$", re.ASCII)
_TOKENS_OF_PLATE = re.compile(rb"\$(?:plate|plateutf8|platejpegsize|plateimage|plateimagefile|multiplate)\$")
_NAMED = rb'(?:^|["\'<\s;,&|{])(?:%s)(?=["\'>\s:=])'
_CERTAIN = re.compile(_NAMED % b"plateimagefile|platejpegsize|overviewjpegsize|multiplate|charheight", re.IGNORECASE)
_LIKELY = re.compile(_NAMED % b"roiid|processingtime|plateimage|overviewimage|cameraid", re.IGNORECASE)
_PLATE = re.compile(_NAMED % b"plate|plateutf8", re.IGNORECASE)
_KEY = re.compile(r"(?:^|[\r\n;,&|\t {])[\"']?(" + "|".join(_NAMES) + r")[\"']?[ \t]*[:=]", re.ASCII | re.IGNORECASE)
_FORM = re.compile(r"[^&=\s;]+=[^&\s;]*(?:&[^&=\s;]+=[^&\s;]*)+|[^&=\s;]+=[^&\s;%]*(?:%[0-9A-Fa-f]{2}[^&\s;%]*)+")
_AROUND = " \t\r\n;,&|\"'}\0"
_LOOK_BYTES = 128 * 1024
_JSON_DEPTH = 4
_PAIRS_MAX = 256


def looks_like_one(body: bytes) -> bool:
    """By the variables' names: a plate, and one name that only Vaxtor uses or two that few others do."""
    if len(body) > 2 * _LOOK_BYTES:  # the pictures stand between
        body = body[:_LOOK_BYTES] + b"\n" + body[-_LOOK_BYTES:]
    if _TOKENS_OF_PLATE.search(body) is not None:
        return True
    if _PLATE.search(body) is None:
        return False
    if _CERTAIN.search(body) is not None:
        return True
    likely: set[bytes] = set()
    for found in _LIKELY.finditer(body):
        likely.add(found[0].lower().lstrip(b"\"'<\r\n\t ;,&|{"))
        if len(likely) == 2:
            return True
    return False


def members(body: bytes) -> dict[str, str]:
    """What it says by variable, without those it left unexpanded.

    Raises `Refused`: as JSON and XML do, `template_unexpanded`, `not_vaxtor`.
    """
    begins = body[:64].lstrip(b"\xef\xbb\xbf \t\r\n\x00")[:1]
    if begins in (b"{", b"["):
        said = _of_json(documents.read_json(body.strip(b"\x00")))
    elif begins == b"<":
        said = _of_xml(read_fragment(body))
    else:
        said = _of_text(body)
    found = {name: text for name, text in said.items() if _TOKEN.fullmatch(text) is None}
    if "plate" not in found and "plateutf8" not in found and _TOKENS_OF_PLATE.search(body) is not None:
        raise Refused(
            "a delivery holds a template as it was written, its variables unexpanded",
            "the firmware does not know the variable for the plate, or this is the template itself",
            reason="template_unexpanded",
        )
    if not found:
        raise Refused("a delivery names none of Vaxtor's variables", reason="not_vaxtor")
    return found


def _name(key: str) -> str:
    """`Camera_ID` as `cameraid`; the variables are written in lower case, members by whoever wrote the template."""
    return "".join(c for c in key[:64].lower() if c.isalnum())


def _of_json(value: Any, depth: int = 0) -> dict[str, str]:
    said: dict[str, str] = {}
    if isinstance(value, list) and len(value) == 1:
        value = value[0]
    if not isinstance(value, dict) or depth > _JSON_DEPTH:
        return said
    for key, member in value.items():
        text = text_of(member)
        if text is None and member is None and _name(key) in _KNOWN:
            text = ""
        if text is not None and _name(key) in _KNOWN:
            said.setdefault(_name(key), text)
    for member in value.values():
        if isinstance(member, (dict, list)):
            for name, text in _of_json(member, depth + 1).items():
                said.setdefault(name, text)
    return said


def _of_xml(root: Element) -> dict[str, str]:
    said: dict[str, str] = {}
    for element in root.iter():
        name = _name(documents.local_name(element.tag))
        if name in _KNOWN and len(element) == 0:
            said.setdefault(name, (element.text or "").strip())
        for key, text in element.attrib.items():
            if _name(documents.local_name(key)) in _KNOWN:
                said.setdefault(_name(documents.local_name(key)), text.strip())
    return said


def _of_text(body: bytes) -> dict[str, str]:
    """`plate=TE57ABC;date=...`, one pair to a line, or a form. A value ends where the next known name begins."""
    if len(body) > _TEXT_MAX_BYTES:
        raise Refused("a text is larger than 12 MB", reason="too_large")
    text = body.decode("utf-8", "replace").strip("\x00")
    if _FORM.fullmatch(text) is not None:
        return _of_form(text)
    said: dict[str, str] = {}
    keys = list(islice(_KEY.finditer(text), _PAIRS_MAX + 1))
    if len(keys) > _PAIRS_MAX:
        raise Refused(f"a text has more than {_PAIRS_MAX} pairs", reason="too_many")
    ends = [*(key.start() for key in keys[1:]), len(text)]
    for key, end in zip(keys, ends, strict=False):
        said.setdefault(key[1].lower(), text[key.end() : end].strip(_AROUND))
    return said


def _of_form(text: str) -> dict[str, str]:
    try:
        pairs = parse_qsl(text, keep_blank_values=True, errors="strict", max_num_fields=_PAIRS_MAX)
    except (UnicodeDecodeError, ValueError):
        raise Refused("a form cannot be decoded", reason="query_malformed") from None
    said: dict[str, str] = {}
    for key, value in pairs:
        if _name(key) in _KNOWN:
            # In base64 a plus that was not escaped arrives as a space.
            said.setdefault(_name(key), value.replace(" ", "+") if "image" in key.lower() else value.strip())
    return said
