"""How each vendor's cameras are asked: which request, which cursor, which pictures. Pure, and the vendor part of
`http_pull`: nothing else there knows one.

Sources: camera-formats, sections 1b, 1c, 2a, 2b, 3a and 5, and the vendors' manuals. What may not happen here: an
answer taken apart further than into its reads; a request to anywhere but the camera itself.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from html import unescape
from urllib.parse import quote

from edge.errors import Misconfigured

_SAFE = "/?&=:;,+@!$'()*~[]%._-"
_LISTED_MAX = 20_000  # more than a camera keeps, and more than its answer may be long
_AROUND_MAX_BYTES = 16 * 1024
_OVERLAP_US = 60_000_000
"""Axis lists an event under the time the car was first seen, and not before it has gone: asked again this far back."""


@dataclass(frozen=True, slots=True)
class Stream:
    """A request that never ends. `target`: path and query as they stand on the request line, to the byte.
    `quiet_s`: silence beyond the vendor's own heartbeat by so much means that nobody is there any more."""

    target: str
    quiet_s: float


@dataclass(frozen=True, slots=True)
class Request:
    method: str
    target: str
    body: bytes = b""
    content_type: str = ""


@dataclass(frozen=True, slots=True)
class Picture:
    """Where the camera keeps a picture of a read. `key`: the vendor's word that named it, `name` what it is called."""

    key: str
    target: str = field(repr=False)
    name: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Polled:
    """One of the reads in an answer, still in its vendor's form. `mark`: the same whenever it is listed again, and
    nothing that can be read."""

    mark: bytes
    body: bytes = field(repr=False)
    pictures: tuple[Picture, ...] = field(repr=False)


@dataclass(frozen=True, slots=True)
class Poll:
    """A question asked again and again. `first` is the cursor to begin with: everything that the camera still holds."""

    request: Callable[[str], Request]
    cut: Callable[[bytes], Iterable[Polled]]
    cursor: Callable[[bytes, str], str]
    first: str
    every_s: float


Recipe = Stream | Poll


def recipe_named(name: str, channel: int = 1) -> Recipe:
    """The recipe of that name for a channel of the camera. Raises `Misconfigured`."""
    if name not in RECIPES:
        raise Misconfigured("a camera is pulled by a recipe that does not exist", f"write one of: {', '.join(RECIPES)}")
    return RECIPES[name](channel)


def _hikvision_stream(channel: int) -> Stream:
    return Stream("/ISAPI/Event/notification/alertStream", quiet_s=60)


def _hikvision_plates(channel: int) -> Poll:
    target = f"/ISAPI/Traffic/channels/{channel}/vehicleDetect/plates"

    def request(cursor: str) -> Request:
        body = f"<AfterTime><picTime>{cursor}</picTime></AfterTime>"
        return Request("POST", target, body.encode(), "application/xml")

    def pictures(plate: bytes) -> tuple[Picture, ...]:
        name = _text(plate, "picName")
        return (Picture("picName", _asked(f"/doc/ui/images/plate/{name}.jpg"), f"{name}.jpg"),) if name else ()

    def cursor(body: bytes, before: str) -> str:
        times = [_digits(_text(plate, "captureTime"))[:14] for plate in _elements(body, "Plate")]
        return max([before, *(time for time in times if len(time) == 14)])

    return Poll(request, lambda body: _wrapped(body, "Plate", pictures), cursor, "0", every_s=5)


def _dahua_events(channel: int) -> Stream:
    return Stream("/cgi-bin/eventManager.cgi?action=attach&codes=[TrafficJunction]&heartbeat=5", quiet_s=20)


def _dahua_pictures(channel: int) -> Stream:
    asked = f"action=attachFileProc&channel={channel}&heartbeat=5&Flags[0]=Event&Events=[TrafficJunction]"
    return Stream(f"/cgi-bin/snapManager.cgi?{asked}", quiet_s=20)


def _lilin_alarm(channel: int) -> Stream:
    return Stream("/getalarmmotion", quiet_s=60)


def _milesight_last(channel: int) -> Poll:
    target = "/cgi-bin/operator/operator.cgi?action=get.lpr.lastdata&format=inf"

    def cut(body: bytes) -> tuple[Polled, ...]:
        listed: dict[bytes, list[tuple[bytes, bytes]]] = {}
        for line in body.splitlines():
            found = re.match(rb"\s*([^=\r\n]{1,64})_(\d{1,4})\s*=(.{0,4096})", line)
            if found is not None and (found[2] in listed or len(listed) < _LISTED_MAX):
                listed.setdefault(found[2], []).append((found[1], found[3].strip()))
        return tuple(_milesight_read(number, members) for number, members in listed.items())

    return Poll(lambda cursor: Request("GET", target), cut, lambda body, cursor: cursor, "", every_s=2)


def _milesight_read(number: bytes, members: list[tuple[bytes, bytes]]) -> Polled:
    """Its number in the list says nothing: the same record is listed under another when the next one has come."""
    body = b"".join(b"%b_%b=%b\n" % (key, number, value) for key, value in members)
    path = dict(members).get(b"path", b"").decode("utf-8", "replace").strip(" '\";/")
    pictures = (Picture("path", _asked(f"/LPR/{path}"), path.rpartition("/")[2]),) if path else ()
    return Polled(sha256(repr(members).encode()).digest(), body, pictures)


def _axis_search(channel: int) -> Poll:
    def request(cursor: str) -> Request:
        return Request("GET", f"/local/fflprapp/search.cgi?TimestampFrom={cursor}")

    def pictures(event: bytes) -> tuple[Picture, ...]:
        named = ((key, re.sub(r"\s*&\s*", "&", _text(event, key))) for key in ("LP_BMP", "ROI_BMP"))
        return tuple(
            Picture(key, _asked(f"/local/fflprapp/{path}"), re.split("[/=]", path)[-1]) for key, path in named if path
        )

    def cursor(body: bytes, before: str) -> str:
        now = _digits(_text(body, "currentTimestampUs"))
        return str(max(int(before), int(now) - _OVERLAP_US)) if 0 < len(now) <= 17 else before

    return Poll(request, lambda body: _wrapped(body, "event", pictures), cursor, "0", every_s=5)


RECIPES: Mapping[str, Callable[[int], Recipe]] = {
    "hikvision_stream": _hikvision_stream,
    "hikvision_plates": _hikvision_plates,
    "dahua_events": _dahua_events,
    "dahua_pictures": _dahua_pictures,
    "lilin_alarm": _lilin_alarm,
    "milesight_last": _milesight_last,
    "axis_search": _axis_search,
}


def _elements(body: bytes, name: str) -> list[bytes]:
    return [body[begin:end] for begin, end in _places(body, name)]


def _places(body: bytes, name: str) -> list[tuple[int, int]]:
    """Where the elements of that name stand, whatever their prefix; they are not nested."""
    opening = re.compile(rb"<((?:[\w.-]{1,30}:)?" + name.encode() + rb")(?:\s[^<>]{0,300})?>")
    found: list[tuple[int, int]] = []
    at = 0
    while len(found) < _LISTED_MAX and (begins := opening.search(body, at)) is not None:
        close = b"</" + begins[1] + b">"
        at = body.find(close, begins.end()) + len(close)
        if at < len(close):
            break
        found.append((begins.start(), at))
    return found


def _wrapped(body: bytes, name: str, pictures: Callable[[bytes], tuple[Picture, ...]]) -> Iterator[Polled]:
    """Each element of that name alone, inside what surrounds all of them."""
    places = _places(body, name)
    if not places:
        return
    before, after = body[max(0, body.find(b"<")) : places[0][0]], body[places[-1][1] :]
    if len(before) + len(after) > _AROUND_MAX_BYTES:
        return
    for begin, end in places:
        element = body[begin:end]
        yield Polled(sha256(element).digest(), before + element + after, pictures(element))


def _text(element: bytes, name: str) -> str:
    """The text of the first child of that name, or empty."""
    found = re.search(rb"<(?:[\w.-]{1,30}:)?" + name.encode() + rb"(?:\s[^<>]{0,300})?>([^<]{0,1000})<", element)
    return "" if found is None else unescape(found[1].decode("utf-8", "replace")).strip()


def _digits(text: str) -> str:
    return re.sub("[^0-9]", "", text)


def _asked(target: str) -> str:
    """A path that an answer named, as it may stand on a request line."""
    return quote(target, safe=_SAFE)
