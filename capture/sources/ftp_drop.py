"""Cameras that upload to us over FTP: each upload a delivery, each "226" the verdict on it.

pyftpdlib serves in a thread of its own, which waits for nobody: a receiver that is slow holds up the one session whose
upload it has. What may not happen here: a file; an upload that was cut off, delivered; "226" before the receiver's
answer.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import sys
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from pyftpdlib.ioloop import IOLoop  # type: ignore[import-untyped]
from pyftpdlib.servers import FTPServer  # type: ignore[import-untyped]

from capture.delivery import Answer, Delivery
from capture.links import Links
from capture.sources.ftp_desk import Desk, FtpDoor, FtpTls
from capture.sources.ftp_upload import Uploading
from edge.claim import Received
from edge.errors import Misconfigured

_HARMLESS = frozenset({"idle_timeout", "idle_replaced", "login_timeout", "renamed_late", "no_data_connection"})
_BACKLOG = 64
_ACCEPT_AGAIN_S = 1.0


class FtpDrop:
    """A source that listens. `port` as the kernel gave it."""

    def __init__(self, serving: _Serving, desk: Desk, port: int) -> None:
        self._serving = serving
        self._desk = desk
        self._thread = ThreadPoolExecutor(1, "ftp_drop")
        self._run = asyncio.get_running_loop().run_in_executor(self._thread, serving.run)
        self.port = port

    def counts(self) -> dict[str, int]:
        """What ended before it was a delivery, by a stable word, since the start."""
        return {word: count for word, count in dict(self._desk.counts).items() if count}

    def refused(self) -> dict[str, int]:
        """Of those, what somebody may have wanted to be heard."""
        return {word: count for word, count in self.counts().items() if word not in _HARMLESS}

    async def failed(self) -> None:
        """Wait until something of ours breaks, and raise it."""
        broken = asyncio.ensure_future(self._desk.broken())
        try:
            await asyncio.wait((broken, self._run), return_when=asyncio.FIRST_COMPLETED)
            await (broken if broken.done() else asyncio.shield(self._run))
        finally:
            broken.cancel()

    async def close(self) -> None:
        """Stop accepting; let uploads and answers in hand finish for up to `stop_s`, then cut them off."""
        self._serving.stop()
        await asyncio.wait((self._run,))
        self._run.exception()  # seen: `failed` raises it
        self._thread.shutdown()


async def open_ftp_drop(
    door: FtpDoor,
    sends_from: Callable[[str, str], bool],
    receive: Callable[[Delivery], Awaitable[Answer]],
    links: Links,
    clock: Callable[[], Received],
) -> FtpDrop:
    """Listen (port 0: the kernel's choice). `sends_from(camera, address)`: whether that camera sends from there.
    Raises `OSError` where it cannot listen, `Misconfigured` where TLS is wanted and cannot be had."""
    kind = Uploading if door.tls is None else _under_tls(door.tls)
    six = ":" in door.address
    listening = socket.create_server(
        (door.address, door.port),
        family=socket.AF_INET6 if six else socket.AF_INET,
        backlog=_BACKLOG,
        dualstack_ipv6=door.address == "::",
    )
    _silence()
    bell = _Bell()
    desk = Desk(door, sends_from, receive, links, clock, bell.ring)
    return FtpDrop(_Serving(listening, desk, kind, bell), desk, listening.getsockname()[1])


def _under_tls(tls: FtpTls) -> type[Uploading]:
    try:
        from capture.sources.ftp_tls import under_tls  # the package is optional
    except ImportError:
        raise Misconfigured("FTP under TLS needs pyOpenSSL", "pip install 'anpr-edge[ftps]'") from None
    return under_tls(tls)


def _silence() -> None:
    """pyftpdlib logs addresses, names and folders, and where nobody has set up logging it does so itself."""
    theirs = logging.getLogger("pyftpdlib")
    theirs.propagate = False
    theirs.setLevel(logging.CRITICAL + 1)
    if not theirs.handlers:
        theirs.addHandler(logging.NullHandler())


class _Bell:
    """Wakes the FTP thread from another one. To pyftpdlib's loop it is one more socket."""

    def __init__(self) -> None:
        self._here, self._there = socket.socketpair()
        self._here.setblocking(False)
        self._there.setblocking(False)
        self._fileno = self._here.fileno()
        self._rung: Callable[[], None] = lambda: None

    def ring(self) -> None:
        with contextlib.suppress(OSError):  # full: it rings already; closed: nobody listens any more
            self._there.send(b"!")

    def join(self, loop: Any, rung: Callable[[], None]) -> None:
        """Be heard in a loop: from its thread."""
        self._rung = rung
        loop.register(self._fileno, self, loop.READ)

    def readable(self) -> bool:
        return True

    def writable(self) -> bool:
        return False

    def handle_read_event(self) -> None:
        self._here.recv(4096)
        self._rung()

    def handle_error(self) -> None:
        raise  # noqa: PLE0704  # ours: the thread ends, and says so

    def close(self) -> None:
        self._here.close()
        self._there.close()


class _Server(FTPServer):  # type: ignore[misc]  # pyftpdlib has no types
    """The listening socket."""

    max_cons = 0  # sessions are counted where they are admitted

    def __init__(self, listening: socket.socket, desk: Desk, kind: type[Uploading], ioloop: Any) -> None:
        self.desk = desk
        super().__init__(listening, kind, ioloop, _BACKLOG)

    def handle_error(self) -> None:
        """Where no connection can be accepted (no descriptors), pyftpdlib would stop listening for ever."""
        problem = sys.exc_info()[1]
        if not isinstance(problem, OSError):
            self.desk.broke(problem)
            return
        self.desk.counts["not_accepted"] += 1
        self.ioloop.modify(self._fileno, 0)
        self.call_later(_ACCEPT_AGAIN_S, self._accept_again)

    def _accept_again(self) -> None:
        self.ioloop.modify(self._fileno, self.ioloop.READ)


class _Serving:
    """The FTP thread."""

    def __init__(self, listening: socket.socket, desk: Desk, kind: type[Uploading], bell: _Bell) -> None:
        self._listening = listening
        self._desk = desk
        self._kind = kind
        self._bell = bell
        self._asked_to_stop = False
        self._stopping = False
        self._late = False

    def stop(self) -> None:
        """From any thread."""
        self._asked_to_stop = True
        self._bell.ring()

    def run(self) -> None:
        """Serve until told to stop."""
        loop = IOLoop()
        server = _Server(self._listening, self._desk, self._kind, loop)
        self._bell.join(loop, lambda: self._rung(server))
        try:
            wait_s = None
            while not (self._stopping and (self._late or not self._desk.sessions)):
                loop.poll(wait_s)
                if self._stopping:
                    self._end_idle()
                wait_s = loop.sched.poll()
        finally:
            for session in list(self._desk.sessions):
                session.close()
            loop.close()

    def _rung(self, server: Any) -> None:
        self._desk.hand_out()
        if self._asked_to_stop and not self._stopping:
            self._stopping = True
            server.ioloop.call_later(self._desk.limits.stop_s, self._give_up)
            server.close()

    def _end_idle(self) -> None:
        for session in list(self._desk.sessions):
            session.stop()

    def _give_up(self) -> None:
        self._late = True
