"""Cameras with a cable, on loopback addresses of their own: what they have in common, and one that has no line.

They live in the test's loop. A wait is a condition with a deadline, during which the cameras go on.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import hashlib
import http.client
import json
import time
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar

from whole_site import Site

from simulators.site_files import free_port

PICTURES = Path(__file__).resolve().parents[1] / "fixtures" / "hikvision"
BEAT_S = 0.5
POLL_S = 0.05
Found = TypeVar("Found")


async def until_told(what: str, ask: Callable[[], Found | None], limit_s: float) -> Found:
    """Ask until the answer is true, while the cameras go on; an `AssertionError` that names it at the limit."""
    deadline = time.monotonic() + limit_s
    while not (answer := ask()):
        assert time.monotonic() < deadline, f"{what}: not within {limit_s:.0f} s; last answer {answer!r}"
        await asyncio.sleep(POLL_S)
    return answer


def now_iso() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def passage(plate: str) -> str:
    """The camera's own identity for it: one in which no plate stands, for such a one is not kept."""
    return hashlib.sha256(plate.encode()).hexdigest()[:20]


def documented(plate: str) -> dict[str, Any]:
    """A read in the documented JSON."""
    return {"id": passage(plate), "plate": plate, "confidence": 91, "captured_at": now_iso(), "lane": "1"}


class Camera:
    """One camera on its way. `lines`: what the node may call its line when that is pulled; none where it has no line.
    `alert`: what the node says of it then."""

    alert = "camera-link"
    lines: frozenset[str] = frozenset()

    def __init__(self, site: Site) -> None:
        self.site = site

    @property
    def name(self) -> str:
        return type(self).__name__.lower()

    def file(self) -> str:
        """The part of its file in cameras.d that is its own."""
        raise NotImplementedError

    def configure(self) -> None:
        today = date.today()
        text = f"""\
id = "{self.name}"
zone = "Europe/London"
silent_after_s = 10
{self.file()}
[authorisation]
reference = "TEST-{self.name}"
first_day = {today - timedelta(days=1)}
last_day = {today + timedelta(days=365)}
"""
        (self.site.folders.config / "cameras.d" / f"{self.name}.toml").write_text(text)

    def login(self, user: str, password: str) -> str:
        """A file with a login, as a camera's setting."""
        path = self.site.folders.config / "keys" / f"{self.name}.login"
        path.touch(0o600)
        path.write_text(f"{user}\n{password}\n", "utf-8")
        return f'login = "keys/{self.name}.login"'

    async def stand(self) -> None:
        """Be there before the node is."""

    async def mend(self) -> None:
        """Have its line, for the first time too."""

    async def deliver(self, plate: str) -> None:
        """One read; where the way has an answer, it is heard."""
        raise NotImplementedError

    async def pull(self) -> None:
        """The cable is out."""
        raise NotImplementedError

    async def leave(self) -> None:
        """Give back every socket."""


class Beating(Camera):
    """Says that it lives, as long as its cable is in."""

    _beats: asyncio.Task[None] | None = None

    async def beat(self) -> None:
        raise NotImplementedError

    async def mend(self) -> None:
        async def beat_on() -> None:
            with contextlib.suppress(ConnectionError):
                while True:
                    await self.beat()
                    await asyncio.sleep(BEAT_S)

        self._beats = asyncio.create_task(beat_on())

    async def pull(self) -> None:
        if self._beats is not None:
            self._beats.cancel()
            await asyncio.wait((self._beats,))
        self._beats = None

    async def leave(self) -> None:
        await Beating.pull(self)


class Push(Camera):
    """Has no line; whether it is there is asked of its own web server."""

    alert = "camera-down"
    address = "127.0.0.31"
    _probed: asyncio.Server | None = None
    _port = 0

    def file(self) -> str:
        return f'dialect = "generic"\naddresses = ["{self.address}"]\nprobe = "{self.address}:{self._port}"'

    async def stand(self) -> None:
        self._port = self._port or free_port()
        self._probed = await asyncio.start_server(lambda _, writer: writer.close(), self.address, self._port)

    async def mend(self) -> None:
        if self._probed is None:
            await self.stand()

    async def deliver(self, plate: str) -> None:
        read = documented(plate)
        for member, name in (("plate_patch", "plate"), ("overview", "scene")):
            read[member] = base64.b64encode((PICTURES / f"{name}.jpg").read_bytes()).decode()
        assert await asyncio.to_thread(pushed, self.site.http_port, self.address, read) == 200

    async def pull(self) -> None:
        if self._probed is not None:
            self._probed.close()
            await self._probed.wait_closed()
        self._probed = None

    leave = pull


def pushed(port: int, address: str, read: Mapping[str, Any]) -> int:
    """The status of one push on a connection of its own."""
    with contextlib.closing(
        http.client.HTTPConnection("127.0.0.1", port, timeout=30, source_address=(address, 0))
    ) as line:
        line.request("POST", "/anpr", json.dumps(read), {"Content-Type": "application/json"})
        answer = line.getresponse()
        answer.read()
        return answer.status
