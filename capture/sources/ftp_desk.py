"""What an FTP door grants, who may log in, and how uploads reach the receiver.

The desk is used in the FTP thread; the receiver, the clock and the links are called in the loop of the node. What may
not happen here: a wait; a camera's password in a `repr`; an answer that overtakes its commit.
"""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from collections.abc import Awaitable, Callable
from concurrent.futures import Future
from dataclasses import dataclass, field
from hmac import compare_digest
from pathlib import Path as FilePath
from typing import Protocol

from capture.delivery import MIB, Answer, Delivery, InHand
from capture.links import Links
from capture.login import Login
from capture.sources.ftp_memory import Path, Upload, content_type
from edge.claim import Arrival, Received, Way

_ADDRESSES = 1024


@dataclass(frozen=True, slots=True)
class FtpLimits:
    """What one FTP door grants.

    `login_s` counts from the opening of a connection; `idle_s` between commands; `quiet_s` between bytes of a transfer,
    `transfer_s` for all of one; `connect_s` for the data connection. `login_pause_s` is the wait before a wrong login
    is answered; it doubles with each further one from the same address, up to `login_pause_most_s`. `held` uploads may
    wait for their rename in one session. `in_hand_bytes` is for all uploads together. `stop_s` is for answers that are
    awaited when the source closes.
    """

    per_source: int = 8
    total: int = 64
    login_s: float = 30
    login_attempts: int = 3
    login_pause_s: float = 2
    login_pause_most_s: float = 20
    idle_s: float = 120
    quiet_s: float = 20
    transfer_s: float = 120
    connect_s: float = 20
    stop_s: float = 10
    held: int = 8
    upload_bytes: int = 8 * MIB
    in_hand_bytes: int = 64 * MIB


@dataclass(frozen=True, slots=True)
class FtpLogin:
    """Who a camera is by its name and password. Several cameras may share one login: then their addresses tell."""

    login: Login
    camera: str


@dataclass(frozen=True, slots=True)
class FtpTls:
    """Explicit TLS (AUTH TLS), which needs pyOpenSSL. `required`: no login and no data without it."""

    certificate: FilePath
    key: FilePath
    required: bool = True


@dataclass(frozen=True, slots=True)
class FtpDoor:
    """One FTP server. `passive_ports`: first and last of those it may open (None: the kernel's choice);
    `masquerade`: the IPv4 address that cameras must be told instead of our own. `temporary`: how names end that a
    camera renames when it has done (compared in lower case); such an upload is delivered by its rename."""

    logins: tuple[FtpLogin, ...]
    address: str = "0.0.0.0"
    port: int = 21
    passive_ports: tuple[int, int] | None = None
    masquerade: str | None = field(default=None, repr=False)
    temporary: tuple[str, ...] = (".tmp", ".temp", ".part", ".filepart")
    tls: FtpTls | None = None
    limits: FtpLimits = FtpLimits()


class Talking(Protocol):
    """A session, as the desk knows it."""

    remote_ip: str
    heard_at_s: float

    def idle(self) -> bool: ...

    def stop(self) -> None: ...

    def close(self) -> None: ...


class Desk:
    """What all sessions of a door share."""

    def __init__(
        self,
        door: FtpDoor,
        sends_from: Callable[[str, str], bool],
        receive: Callable[[Delivery], Awaitable[Answer]],
        links: Links,
        clock: Callable[[], Received],
        ring: Callable[[], None],
    ) -> None:
        """`sends_from`: whether a camera (its id) sends from an address. `ring` wakes the FTP thread."""
        self.door = door
        self.limits = door.limits
        self.hand = InHand(door.limits.total * (1 + door.limits.held), door.limits.in_hand_bytes)
        self.counts: Counter[str] = Counter()
        self.sessions: set[Talking] = set()
        self._sends_from = sends_from
        self._receive = receive
        self._links = links
        self._clock = clock
        self._ring = ring
        self._loop = asyncio.get_running_loop()
        self._broken: asyncio.Future[None] = self._loop.create_future()
        self._answers: deque[tuple[Callable[[Answer | None], None], Answer | None]] = deque()
        self._wrong: dict[str, int] = {}
        self._said: dict[str, str] = {}

    # who

    def knows(self, address: str) -> bool:
        """Whether any camera may log in from this address."""
        return any(self._sends_from(each.camera, address) for each in self.door.logins)

    def camera_of(self, user: str, password: str, address: str) -> str | None:
        """The camera that logs in so, from its own address. All logins are compared, in constant time each."""
        found = [
            each.camera
            for each in self.door.logins
            if _same(each.login.user, user) & _same(each.login.password, password)
            and self._sends_from(each.camera, address)
        ]
        if found:
            self._wrong.pop(address, None)
            self.up(found[0])
            return found[0]
        self.counts["wrong_login"] += 1
        meant = [each.camera for each in self.door.logins if self._sends_from(each.camera, address)]
        if len(meant) == 1:
            self.down(meant[0], "unauthorised")
        return None

    def login_pause_s(self, address: str) -> float:
        """How long to wait before a wrong login from there is answered; counts it."""
        if len(self._wrong) >= _ADDRESSES:
            self._wrong.clear()
        wrong = self._wrong[address] = self._wrong.get(address, 0) + 1
        return min(self.limits.login_pause_most_s, self.limits.login_pause_s * 2.0 ** min(wrong - 1, 16))

    def up(self, camera: str) -> None:
        if self._said.get(camera) != "":
            self._said[camera] = ""
            self._loop.call_soon_threadsafe(self._links.up, camera)

    def down(self, camera: str, why: str) -> None:
        if self._said.get(camera) != why:
            self._said[camera] = why
            self._loop.call_soon_threadsafe(self._links.down, camera, why)

    # what

    def deliver(
        self, camera: str, address: str, upload: Upload, path: Path, done: Callable[[Answer | None], None]
    ) -> None:
        """`done` is called in the FTP thread; without an answer, where something of ours broke."""
        body, name = upload.body(), "/".join(path)

        async def received() -> Answer:
            arrival = Arrival(self._clock(), address, "/", Way.FTP_DROP, camera)
            return await self._receive(Delivery(arrival, content_type(path), "", body, name))

        def answered(future: Future[Answer]) -> None:
            problem = None if future.cancelled() else future.exception()
            if problem is not None:
                self._break(problem)
            self._answers.append((done, None if future.cancelled() or problem is not None else future.result()))
            self._ring()

        asyncio.run_coroutine_threadsafe(received(), self._loop).add_done_callback(answered)

    def hand_out(self) -> None:
        """Give the sessions the answers that have come."""
        while self._answers:
            done, answer = self._answers.popleft()
            done(answer)

    # what broke

    def broke(self, problem: BaseException | None) -> None:
        """Something of ours broke in the FTP thread."""
        self._loop.call_soon_threadsafe(self._break, problem or RuntimeError("the FTP server broke"))

    def _break(self, problem: BaseException) -> None:
        if not self._broken.done():
            self._broken.set_exception(problem)

    async def broken(self) -> None:
        """Wait until something of ours breaks, and raise it."""
        await asyncio.shield(self._broken)


def _same(ours: str, heard: str) -> bool:
    return compare_digest(ours.encode(), heard.encode())
