"""From a way and an address to the transport that serves it."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from simulators.over.carrier import Carrier, Temper
from simulators.over.ftp import FtpDrop
from simulators.over.http_poll import HttpPoll
from simulators.over.http_push import HttpPush
from simulators.over.http_stream import HttpStream
from simulators.over.mqtt import MqttPublisher
from simulators.over.serial_line import SerialLine
from simulators.over.tcp import TcpCalled, TcpCalls
from simulators.over.ways import Transport, Way
from simulators.vendors import onvif
from simulators.vendors.telling import Mount, serial

LOGIN = ("admin", "simulated")
"""What callers must give to a camera that was told no other."""
ORDERS = {"packets": "big", "packets-le": "little"}


class NoSuchPlace(ValueError):
    """Options that do not fit together."""


@dataclass(frozen=True, slots=True)
class Place:
    """Whom a camera calls (`to`), from where, or on which port it is called; 0: any free one."""

    to: str | None
    source: str
    port: int
    parallel: int
    login: tuple[str, str] | None = field(repr=False)
    scheme: str
    baud: int


def carrier_for(way: Way, mount: Mount, place: Place, temper: Temper) -> Carrier:
    """Opens nothing yet. Raises `NoSuchPlace`."""
    number = serial(mount.device)
    login = place.login or LOGIN
    if way.transport is Transport.STREAM and way.stream is not None:
        announces = "Content-Encoding: deflate" if mount.shape == "deflate" else ""
        stream = replace(way.stream, realm=way.stream.realm.format(serial=number), announces=announces)
        return HttpStream(temper, stream, place.source, place.port, login)
    if way.transport is Transport.POLL and way.answerer is not None:
        return HttpPoll(temper, way.answerer, way.last, (place.source, place.port), way.realm, login)
    if way.transport is Transport.TCP and place.to is None:
        return TcpCalled(temper, place.source, place.port)
    if place.to is None:
        raise NoSuchPlace("--to must say whom it calls")
    if way.transport is Transport.PUSH:
        return HttpPush(temper, place.to, place.source, place.parallel, place.login, place.scheme)
    if way.transport is Transport.SERIAL:
        return SerialLine(temper, place.to, place.baud, ORDERS.get(mount.shape))
    host, port = _peer(place.to)
    if way.transport is Transport.TCP:
        return TcpCalls(temper, host, port, place.source)
    if way.transport is Transport.FTP:
        return FtpDrop(temper, host, port, place.source, place.login or ("anonymous", "camera@"))
    return MqttPublisher(temper, (host, port), f"camera-{number}", place.login, onvif.forgotten(mount))


def _peer(text: str) -> tuple[str, int]:
    """`ftp://host:port` or `host:port`. Raises `NoSuchPlace`."""
    host, _, port = text.rpartition("//")[2].rstrip("/").rpartition(":")
    if not host or not port.isdigit():
        raise NoSuchPlace("--to must be HOST:PORT")
    return host, int(port)
