"""Every way in that the configuration names, opened and closed together. Part of the assembler: decides nothing.

A way in that breaks by a fault of ours takes the process with it; a camera that goes away does not.
"""

from __future__ import annotations

import asyncio
import errno
import os
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from ssl import SSLContext
from typing import Protocol, TypeVar

from capture.asking import Auth, Place, Tls
from capture.delivery import Answer, Delivery
from capture.framing import Framing, Shape
from capture.gate import Gate, Scheme
from capture.links import Links
from capture.login import Login
from capture.receive import Receiver
from capture.recipes import Poll, recipe_named
from capture.sources.ftp_desk import FtpDoor, FtpLimits, FtpLogin, FtpTls
from capture.sources.ftp_drop import FtpDrop, open_ftp_drop
from capture.sources.guard import Limits as PushLimits
from capture.sources.http_pull import Pull, PullLimits, open_http_pull
from capture.sources.http_push import Door, Listening, serve
from capture.sources.mqtt_client import MqttCamera, MqttLimits
from capture.sources.mqtt_events import open_mqtt_events
from capture.sources.rtsp_grab import Grab, Grabber, GrabKind, open_grab
from capture.sources.serial_line import open_serial_line
from capture.sources.serial_port import SerialLimits, SerialLine
from capture.sources.tcp_connection import TcpLimits
from capture.sources.tcp_stream import Called, Caller, TcpStream, open_tcp_stream
from capture.tls import Trust, server_context
from edge import keys
from edge.claim import RawImage, Received, Role
from edge.errors import Misconfigured, Unavailable
from firmware_config.load import Loaded
from firmware_config.model import Camera, host_port
from firmware_config.model import FtpDoor as FtpSettings
from firmware_config.source import Grab as GrabSettings
from firmware_config.source import Source

W = TypeVar("W")


class WayIn(Protocol):
    """A source, as far as the node knows it."""

    def counts(self) -> dict[str, int]: ...

    def refused(self) -> dict[str, int]: ...

    async def failed(self) -> None: ...

    async def close(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Doors:
    """The open ways in. `ports`: of those that listen, by name; `put_off`: deliveries told to come later, by reason."""

    ways: dict[str, WayIn]
    ports: dict[str, int]
    put_off: Mapping[str, int]

    def refused(self) -> dict[str, int]:
        """What was turned away before it was a delivery, by reason."""
        found: dict[str, int] = {}
        for way in self.ways.values():
            for reason, count in way.refused().items():
                found[reason] = found.get(reason, 0) + count
        return found

    async def failed(self) -> None:
        """Wait until any of them breaks, and raise it."""
        async with asyncio.TaskGroup() as group:
            for way in self.ways.values():
                group.create_task(way.failed())


@dataclass(frozen=True, slots=True)
class _Site:
    """What every way in is opened with."""

    loaded: Loaded
    receiver: Receiver
    receive: Callable[[Delivery], Awaitable[Answer]]
    links: Links
    clock: Callable[[], Received]

    def cameras(self, kind: str) -> list[Camera]:
        return [camera for camera in self.loaded.settings.cameras if camera.source.kind == kind]

    def login(self, source: Source) -> Login | None:
        return Login(*keys.load_login(self.loaded.resolve(source.login))) if source.login else None


async def open_doors(
    loaded: Loaded, receiver: Receiver, links: Links, clock: Callable[[], Received], down: AsyncExitStack
) -> Doors:
    """Open what is configured; each is closed again through `down`."""
    site = _Site(loaded, receiver, receiver.receive, links, clock)
    doors = Doors({}, {}, receiver.put_off)

    async def opened(name: str, way: WayIn, port: int = 0) -> None:
        doors.ways[name] = way
        down.push_async_callback(way.close)
        if port:
            doors.ports[name] = port

    for name, listening in (await _push(site)).items():
        await opened(name, listening, listening.port)
    tcp = await _tcp(site)
    if tcp is not None:
        await opened("tcp_stream", tcp, tcp.port)
    if loaded.settings.capture.ftp_drop is not None:
        ftp = await _ftp(site, loaded.settings.capture.ftp_drop)
        await opened("ftp_drop", ftp, ftp.port)
    if pulled := [_pull(site, camera) for camera in site.cameras("http_pull")]:
        limits = PullLimits(delivery_bytes=_delivery_bytes(site))
        await opened("http_pull", await open_http_pull(pulled, limits, site.receive, links, clock))
    if lines := [_serial(camera) for camera in site.cameras("serial_line")]:
        await opened("serial_line", await open_serial_line(lines, SerialLimits(), site.receive, links, clock))
    if brokers := [_broker(site, camera) for camera in site.cameras("mqtt_events")]:
        await opened("mqtt_events", await open_mqtt_events(brokers, MqttLimits(), site.receive, links, clock))
    return doors


async def open_grabber(
    loaded: Loaded, links: Links, clock: Callable[[], Received], down: AsyncExitStack
) -> Grabber | None:
    """What takes frames from the cameras that are configured so; None where none is."""
    grabs = [_grab(loaded, camera.id, camera.grab) for camera in loaded.settings.cameras if camera.grab is not None]
    if not grabs:
        return None
    grabber = await open_grab(grabs, links, clock)
    down.push_async_callback(grabber.close)
    return grabber


async def grabbed(loaded: Loaded, grabber: Grabber, camera: str, at_ms: int) -> RawImage | None:
    """The camera's frame of that moment as the overview of a read, where there is one near enough."""
    within_ms = {each.id: each.grab.within_ms for each in loaded.settings.cameras if each.grab is not None}
    if camera not in within_ms:
        return None
    frame = await grabber.frame(camera, at_ms, within_ms[camera])
    return None if frame is None else RawImage(Role.OVERVIEW, frame.jpeg, grabbed_ms=frame.offset_ms)


def _grab(loaded: Loaded, camera: str, grab: GrabSettings) -> Grab:
    login = Login(*keys.load_login(loaded.resolve(grab.login))) if grab.login else None
    place = Place(*host_port(grab.address), login, Auth.DIGEST if login else Auth.NONE, _tls(loaded, grab))
    return Grab(camera, GrabKind(grab.kind), place, grab.path)


def _delivery_bytes(site: _Site) -> int:
    return site.loaded.settings.capture.http_push.max_delivery_bytes


async def _push(site: _Site) -> dict[str, Listening]:
    push = site.loaded.settings.capture.http_push
    limits = PushLimits(
        per_source=push.connections_per_source,
        total=push.connections,
        header_s=push.header_s,
        request_s=push.total_s,
        body_bytes=push.max_delivery_bytes,
    )
    logins = {
        camera.id: (login, Scheme(camera.source.scheme))
        for camera in site.cameras("http_push")
        if (login := site.login(camera.source)) is not None
    }
    door = Door(site.receiver.knows, site.receiver.cameras_at, Gate(logins, os.urandom(32)))
    listens: dict[str, tuple[str, SSLContext | None, str]] = {
        "http_push": (push.listen, None, "capture.http_push.listen")
    }
    if push.listen_tls is not None and push.certificate is not None and push.key is not None:
        context = server_context(site.loaded.resolve(push.certificate), site.loaded.resolve(push.key))
        listens["http_push_tls"] = (push.listen_tls, context, "capture.http_push.listen_tls")
    return {
        name: await _listening(serve(host_port(at), limits, site.receive, door, site.clock, tls), setting)
        for name, (at, tls, setting) in listens.items()
    }


async def _tcp(site: _Site) -> TcpStream | None:
    cameras = site.cameras("tcp_stream")
    door = site.loaded.settings.capture.tcp_stream
    callers = [
        Caller(camera.addresses, _framing(camera.source), camera.id, camera.source.quiet_s)
        for camera in cameras
        if not camera.source.called()
    ]
    calls = [
        Called(camera.id, *host_port(camera.source.address), _framing(camera.source), camera.source.quiet_s)
        for camera in cameras
        if camera.source.address is not None
    ]
    if door is None and not calls:
        return None
    listen = host_port(door.listen) if door is not None else None
    opening = open_tcp_stream(listen, callers, calls, TcpLimits(), site.receive, site.links, site.clock)
    return await _listening(opening, "capture.tcp_stream.listen")


async def _ftp(site: _Site, door: FtpSettings) -> FtpDrop:
    address, port = host_port(door.listen)
    logins = tuple(
        FtpLogin(login, camera.id)
        for camera in site.cameras("ftp_drop")
        if (login := site.login(camera.source)) is not None
    )
    passive = (door.passive_first, door.passive_last) if door.passive_first and door.passive_last else None
    limits = FtpLimits(upload_bytes=_delivery_bytes(site))
    tls = None
    if door.certificate is not None and door.key is not None:
        tls = FtpTls(site.loaded.resolve(door.certificate), site.loaded.resolve(door.key), bool(door.tls_required))
    served = FtpDoor(logins, address, port, passive, door.masquerade, tls=tls, limits=limits)
    opening = open_ftp_drop(served, site.receiver.stands_at, site.receive, site.links, site.clock)
    return await _listening(opening, "capture.ftp_drop.listen")


def _pull(site: _Site, camera: Camera) -> Pull:
    source = camera.source
    assert source.address is not None
    assert source.recipe is not None
    login = site.login(source)
    place = Place(*host_port(source.address), login, Auth.DIGEST if login else Auth.NONE, _tls(site.loaded, source))
    recipe = recipe_named(source.recipe, source.channel)
    if isinstance(recipe, Poll):
        return Pull(camera.id, place, replace(recipe, every_s=source.every_s or recipe.every_s))
    return Pull(camera.id, place, replace(recipe, quiet_s=source.quiet_s or recipe.quiet_s))


def _serial(camera: Camera) -> SerialLine:
    source = camera.source
    return SerialLine(
        camera.id,
        str(source.device),
        _framing(source),
        baud=source.baud,
        parity=source.parity,
        quiet_s=source.quiet_s,
    )


def _broker(site: _Site, camera: Camera) -> MqttCamera:
    source = camera.source
    assert source.address is not None
    names = site.loaded.settings.node
    return MqttCamera(
        camera.id,
        *host_port(source.address),
        topics=source.topics,
        client_id=f"anpr-edge-{names.node}-{camera.id}",
        login=site.login(source),
        trust=Trust(source.tls),
        authority=_authority(site, source),
        protocol=source.protocol,
    )


def _framing(source: Source) -> Framing:
    return Framing(Shape(source.framing), source.roots)


def _tls(loaded: Loaded, told: Source | GrabSettings) -> Tls | None:
    if told.tls == "off":
        return None
    return Tls(loaded.resolve(told.ca) if told.ca is not None else None, unverified=told.tls == "unverified")


def _authority(site: _Site, source: Source) -> Path | None:
    return site.loaded.resolve(source.ca) if source.ca is not None else None


async def _listening(opening: Awaitable[W], setting: str) -> W:
    try:
        return await opening
    except OSError as problem:
        why = os.strerror(problem.errno) if problem.errno else "no such address"
        sentence = f"cannot listen for cameras: {why}"
        if problem.errno == errno.EADDRNOTAVAIL:  # at boot, the cameras' network may not be up yet
            raise Unavailable(sentence, "is the cameras' network up? ip address") from None
        raise Misconfigured(sentence, f"check {setting}, and what else listens there: ss -ltnp") from None
