"""The table of vendors and their ways: which form goes over which transport, and with which habits by default."""

from __future__ import annotations

import enum
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone

from simulators.over.carrier import Habits
from simulators.over.http_stream import Stream
from simulators.over.parts import BARE, MIXED, PLAIN
from simulators.payloads import Event, hikvision_other
from simulators.vendors import (
    axis,
    axxonsoft,
    dahua,
    dahua_itsapi,
    generic,
    genetec,
    hikvision,
    lilin,
    milesight,
    nedap,
    onvif,
    platerecognizer,
    rekor,
    survision,
    tattile,
    tvt,
    uniview,
    vaxtor,
    verkada,
)
from simulators.vendors.asked import Answerer
from simulators.vendors.telling import Life, Message, Mount, Tell


class Transport(enum.Enum):
    PUSH = "push"
    STREAM = "stream"
    POLL = "poll"
    TCP = "tcp"
    FTP = "ftp"
    SERIAL = "serial"
    MQTT = "mqtt"


@dataclass(frozen=True, slots=True)
class Way:
    """One vendor over one transport.

    `shapes` are its forms, the default first. `life` is sent every `heartbeat_s`; `other` is what comes the same way
    and is no read; `replay` tells an event again as the state of things. `stamp` is the offset it writes by default.
    """

    transport: Transport
    tell: Tell
    habits: Habits = field(default_factory=Habits)
    life: Life | None = None
    heartbeat_s: float = 0.0
    other: Life | None = None
    shapes: tuple[str, ...] = ("",)
    stream: Stream | None = None
    answerer: Answerer | None = None
    last: int | None = None
    realm: str = "IP Camera"
    replay: Callable[[Mount, Event], Message] | None = None
    stamp: timezone | None = None
    groups: float = 0.0
    unexpanded: float = 0.0


CHINA = timezone(timedelta(hours=8))
OPEN = Habits(keep_alive=True, scattered=True)
"""A connection that stays open, with pieces that end anywhere."""
ONCE = Habits(retry_for_s=0.0)
DAHUA = Habits(scattered=True, lie=0.2)
DAHUA_SHAPES = ("real-utc", "old", "deflate")

_ALERTS = Stream(
    "/ISAPI/Event/notification/alertStream", (), "multipart/mixed; boundary=boundary", "boundary", PLAIN, "IP Camera"
)
_MIXED_REPLACE = "multipart/x-mixed-replace; boundary=myboundary"
_EVENTS = Stream(
    "/cgi-bin/eventManager.cgi", ("action=attach",), _MIXED_REPLACE, "myboundary", MIXED, "Login to {serial}"
)
_SNAPS = Stream(
    "/cgi-bin/snapManager.cgi", ("action=attachFileProc",), _MIXED_REPLACE, "myboundary", MIXED, "Login to {serial}"
)
_MOTION = Stream("/getalarmmotion", (), _MIXED_REPLACE, "myboundary", BARE, "Merit LILIN Ent. Co., Ltd.")


def _field_detection(mount: Mount, at: datetime) -> Message:
    sent = hikvision_other(mount.device, at)
    return Message(sent.body, sent.content_type)


WAYS: dict[tuple[str, str], Way] = {
    ("hikvision", "push"): Way(
        Transport.PUSH, hikvision.push, life=hikvision.life, heartbeat_s=5.0, other=_field_detection
    ),
    ("hikvision", "stream"): Way(
        Transport.STREAM,
        hikvision.stream,
        Habits(scattered=True),
        life=hikvision.life,
        heartbeat_s=5.0,
        other=_field_detection,
        shapes=("xml", "pictures"),
        stream=_ALERTS,
        stamp=CHINA,
    ),
    ("hikvision", "poll"): Way(Transport.POLL, hikvision.poll, answerer=hikvision.plates),
    ("dahua", "push"): Way(
        Transport.PUSH, dahua_itsapi.push, Habits(keep_alive=True), life=dahua_itsapi.life, heartbeat_s=10.0
    ),
    ("dahua", "events"): Way(
        Transport.STREAM,
        dahua.events,
        DAHUA,
        life=dahua.life,
        heartbeat_s=5.0,
        shapes=DAHUA_SHAPES,
        stream=_EVENTS,
        groups=0.3,
    ),
    ("dahua", "snaps"): Way(
        Transport.STREAM,
        dahua.snaps,
        DAHUA,
        life=dahua.life,
        heartbeat_s=5.0,
        shapes=DAHUA_SHAPES,
        stream=_SNAPS,
        groups=0.3,
    ),
    ("axis", "push"): Way(Transport.PUSH, axis.push, life=axis.life, heartbeat_s=300.0, shapes=("json", "multipart")),
    ("axis", "tcp"): Way(Transport.TCP, axis.tcp, OPEN),
    ("axis", "ftp"): Way(Transport.FTP, axis.ftp, shapes=("short", "vehicle")),
    ("tvt", "push"): Way(
        Transport.PUSH,
        tvt.push,
        Habits(retry_for_s=60.0),
        life=tvt.life,
        heartbeat_s=10.0,
        other=tvt.alarm,
        shapes=("v1", "v1-text", "v1-garbage", "v2"),
    ),
    ("milesight", "push"): Way(
        Transport.PUSH, milesight.push, Habits(retry_for_s=60.0), shapes=("full", "dash"), other=milesight.other
    ),
    ("milesight", "poll"): Way(
        Transport.POLL,
        milesight.poll,
        shapes=("full", "dash"),
        answerer=milesight.last_data,
        last=milesight.LAST_READS,
        realm="Network Camera",
    ),
    ("vaxtor", "tcp"): Way(Transport.TCP, vaxtor.told, OPEN, unexpanded=0.1),
    ("vaxtor", "push"): Way(Transport.PUSH, vaxtor.told, ONCE, unexpanded=0.1),
    ("rekor", "push"): Way(Transport.PUSH, rekor.push, life=rekor.life, heartbeat_s=60.0, shapes=("3", "2")),
    ("platerecognizer", "push"): Way(
        Transport.PUSH, platerecognizer.push, Habits(retry_for_s=60.0), shapes=("picture", "form", "props")
    ),
    ("tattile", "tcp"): Way(Transport.TCP, tattile.tcp, OPEN, shapes=("root", "msg", "message")),
    ("survision", "push"): Way(Transport.PUSH, survision.push, Habits(retry_for_s=60.0)),
    ("uniview", "push"): Way(Transport.PUSH, uniview.push, Habits(retry_for_s=60.0), other=uniview.other),
    ("lilin", "stream"): Way(
        Transport.STREAM, lilin.stream, Habits(scattered=True), life=lilin.life, heartbeat_s=1.0, stream=_MOTION
    ),
    ("nedap", "serial"): Way(Transport.SERIAL, nedap.line, shapes=("raw", "packets", "packets-le")),
    ("genetec", "ftp"): Way(Transport.FTP, genetec.ftp),
    ("verkada", "push"): Way(Transport.PUSH, verkada.push, Habits(retry_for_s=60.0), shapes=("new", "old")),
    ("onvif", "mqtt"): Way(
        Transport.MQTT,
        onvif.publication,
        Habits(replays=0.3),
        shapes=("attributes", "plain"),
        replay=onvif.replay,
    ),
    ("axxonsoft", "tcp"): Way(Transport.TCP, axxonsoft.message, OPEN, shapes=("xml", "stx")),
    ("axxonsoft", "serial"): Way(Transport.SERIAL, axxonsoft.message, shapes=("stx",)),
    ("generic", "push"): Way(Transport.PUSH, generic.push, life=generic.life),
}
"""By vendor and way; the first way of a vendor is its default."""

VENDORS = tuple(dict.fromkeys(vendor for vendor, _ in WAYS))


def ways_of(vendor: str) -> list[str]:
    """The names of a vendor's ways, its default first."""
    return [way for each, way in WAYS if each == vendor]
