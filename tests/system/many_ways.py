"""A site with one camera on each way in: each delivers reads, loses its line, and has it again.

The node, its store and their broker are processes; the cameras' own broker is one too.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from cabled import Beating, Camera, Push, documented, now_iso, passage, until_told
from whole_site import Site

from tests.fixtures.peers_ftp import FtpPeer, reset
from tests.fixtures.peers_http import HEAD, PASSWORD, USER, HttpCamera
from tests.fixtures.peers_mqtt import Broker, publish
from tests.fixtures.peers_serial import Adapter
from tests.fixtures.peers_tcp import Peer as Line

QUIET_S = 4
CHALLENGE = 'Digest realm="camera", qop="auth", nonce="%s", algorithm=MD5'


@dataclass(frozen=True, slots=True)
class Ports:
    tcp: int
    ftp: int


def settings(ports: Ports) -> str:
    return f"""\
[capture.tcp_stream]
listen = "127.0.0.1:{ports.tcp}"

[capture.ftp_drop]
listen = "127.0.0.1:{ports.ftp}"
"""


def last_status(site: Site) -> dict[str, Any]:
    """`status.json` as it stands."""
    found: dict[str, Any] = json.loads((site.runtime / "status.json").read_text())
    return found


class Pull(Beating):
    """Hikvision's event stream, with a password."""

    lines = frozenset({"quiet", "refused"})
    _pulled = False

    def __init__(self, site: Site) -> None:
        super().__init__(site)
        self._server = HttpCamera(pages={"/ISAPI/Event/notification/alertStream": HEAD}, schemes=(CHALLENGE,))

    def file(self) -> str:
        return f"""\
dialect = "hikvision"

[source]
kind = "http_pull"
address = "127.0.0.1:{self._server.port}"
recipe = "hikvision_stream"
quiet_s = {QUIET_S}
{self.login(USER, PASSWORD)}
"""

    async def stand(self) -> None:
        await self._server.open()

    async def mend(self) -> None:
        known = len(self._server.streams) if self._pulled else 0
        if self._pulled:
            self._server.cut()
            await self._server.open()
            self._pulled = False
        await until_told("the node asks", lambda: len(self._server.streams) > known, 60)
        await super().mend()

    async def beat(self) -> None:
        await self._say("<eventType>videoloss</eventType><eventState>inactive</eventState>")

    async def deliver(self, plate: str) -> None:
        await self._say(
            f"<eventType>ANPR</eventType><eventState>active</eventState><ANPR><licensePlate>{plate}</licensePlate>"
            f"<confidenceLevel>91</confidenceLevel></ANPR><UUID>{passage(plate)}</UUID>"
        )

    async def _say(self, what: str) -> None:
        body = f"<EventNotificationAlert><dateTime>{now_iso()}</dateTime>{what}</EventNotificationAlert>".encode()
        head = b"--b\r\nContent-Type: application/xml\r\nContent-Length: %d\r\n\r\n" % len(body)
        await self._server.send(head + body + b"\r\n")

    async def pull(self) -> None:
        """Nobody says goodbye on the line that stands, and nobody answers any more."""
        await super().pull()
        listening = self._server._server
        assert listening is not None
        listening.close()
        self._pulled = True

    async def leave(self) -> None:
        await super().leave()
        await self._server.close()


class Tcp(Beating):
    """Keeps a line that it opened, and hears an answer to each read."""

    lines = frozenset({"quiet"})
    address = "127.0.0.33"
    ports: Ports
    _line: Line | None = None

    def file(self) -> str:
        return f"""\
dialect = "generic"
addresses = ["{self.address}"]

[source]
kind = "tcp_stream"
framing = "json"
quiet_s = {QUIET_S}
"""

    async def mend(self) -> None:
        await self.leave()
        self._line = Line(*await asyncio.open_connection("127.0.0.1", self.ports.tcp, local_addr=(self.address, 0)))
        await super().mend()

    async def beat(self) -> None:
        assert self._line is not None
        await self._line.send(b'{"kind": "heartbeat"}\n')

    async def deliver(self, plate: str) -> None:
        assert self._line is not None
        await self._line.send(json.dumps(documented(plate)).encode())
        async with asyncio.timeout(30):
            while (verdict := json.loads(await self._line.reader.readline())["verdict"]) == "heard":
                pass
        assert verdict == "stored"

    async def leave(self) -> None:
        await super().leave()
        if self._line is not None:
            await self._line.close()


class Ftp(Camera):
    """Uploads a file for each read. A line that is cut shows in the middle of an upload, and at no other time."""

    lines = frozenset({"cut"})
    address = "127.0.0.34"
    ports: Ports
    _session: FtpPeer | None = None

    def file(self) -> str:
        return f"""\
dialect = "generic"
addresses = ["{self.address}"]

[source]
kind = "ftp_drop"
{self.login("north", "a secret")}
"""

    async def mend(self) -> None:
        await self.leave()
        self._session = await FtpPeer.at(self.ports.ftp, self.address)
        await self._session.login("north", "a secret")

    async def deliver(self, plate: str) -> None:
        assert self._session is not None
        said = await self._session.upload(f"{plate}.json", json.dumps(documented(plate)).encode())
        assert said == "226 stored"

    async def pull(self) -> None:
        assert self._session is not None
        data = await self._session.begin("STOR half.json")
        data.write(b'{"id": "half", "pla')
        await data.drain()
        reset(self._session.writer)
        reset(data)

    async def leave(self) -> None:
        if self._session is not None:
            await self._session.close()


class Serial(Camera):
    """Template lines from a reader on an adapter."""

    lines = frozenset({"cut", "no_device"})

    def __init__(self, site: Site) -> None:
        super().__init__(site)
        self._adapter = Adapter(site.folders.state / "reader")

    def file(self) -> str:
        return f"""\
dialect = "generic"

[mapping]
form = "text"
text_pattern = '^(?P<id>[^|]*)[|](?P<captured_at>[^|]*)[|](?P<plate>[^|]*)$'
plate = "plate"

[source]
kind = "serial_line"
framing = "line"
device = "{self._adapter.path}"
"""

    async def stand(self) -> None:
        self._adapter.put()

    async def mend(self) -> None:
        if not self._adapter.path.is_symlink():
            self._adapter.put()

    async def deliver(self, plate: str) -> None:
        line = f"{passage(plate)}|{now_iso()}|{plate}\r\n".encode()
        assert self._adapter.send(line) == len(line)

    async def pull(self) -> None:
        self._adapter.pull()

    leave = pull


class Mqtt(Camera):
    """ONVIF's JSON through a broker of the cameras' own."""

    lines = frozenset({"cut", "refused"})
    broker: Broker

    def file(self) -> str:
        return f"""\
dialect = "onvif"

[source]
kind = "mqtt_events"
address = "127.0.0.1:{self.broker.port}"
topics = ["cam/onvif-ej/#"]
protocol = 5
"""

    async def mend(self) -> None:
        if self.broker.process is None:
            await asyncio.to_thread(self.broker.start)

    async def deliver(self, plate: str) -> None:
        data = {"ObjectId": passage(plate), "LicensePlateInfo": {"PlateNumber": {"@Likelihood": 0.91, "#text": plate}}}
        event = {"UtcTime": now_iso(), "Source": {"VideoSource": "1", "Rule": "LPR_1"}, "Data": data}
        topic = "cam/onvif-ej/RuleEngine/Recognition/LicensePlate/&1/LPR_1"
        await asyncio.to_thread(publish, self.broker.port, (topic, json.dumps(event).encode()))

    async def pull(self) -> None:
        self.broker.stop()


def every_camera(site: Site, ports: Ports, broker: Broker) -> list[Camera]:
    """One on each way; the site's own files of cameras are gone."""
    for file in (site.folders.config / "cameras.d").glob("*.toml"):
        file.unlink()
    tcp, ftp, mqtt = Tcp(site), Ftp(site), Mqtt(site)
    tcp.ports = ftp.ports = ports
    mqtt.broker = broker
    return [Push(site), Pull(site), tcp, ftp, Serial(site), mqtt]


async def all_of(cameras: list[Camera], act: Callable[[Camera], Awaitable[None]]) -> None:
    """The act on each, all at once."""
    await asyncio.gather(*(act(camera) for camera in cameras))
