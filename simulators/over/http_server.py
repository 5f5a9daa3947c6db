"""A small HTTP/1.1 server with Digest, as cameras have one: for streams that never end and for questions.

The number that a client counts its requests with must rise strictly; one that does not is refused and counted.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import hmac
import re
import secrets
import socket
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from simulators.over.carrier import ended

BODY_LIMIT_BYTES = 65_536


@dataclass(frozen=True, slots=True)
class Request:
    method: str
    target: str
    headers: dict[str, str] = field(repr=False)
    body: bytes = field(repr=False)


Serve = Callable[[Request, asyncio.StreamWriter], Awaitable[bool]]
"""Answers one request; whether the connection may be used for another."""


class Digest:
    """One realm with one login. Nonces are remembered with the highest count that came with each."""

    def __init__(self, realm: str, login: tuple[str, str], counts: Counter[str]) -> None:
        self._realm = realm
        self._login = login
        self._counts = counts
        self._seen: dict[str, int] = {}

    def challenge(self) -> str:
        nonce = secrets.token_hex(16)
        self._seen[nonce] = 0
        return (
            f'Digest realm="{self._realm}", qop="auth", algorithm=MD5, nonce="{nonce}", opaque="{secrets.token_hex(4)}"'
        )

    def admits(self, request: Request) -> bool:
        """Whether the request proves that it knows the password, with a count that has risen."""
        given = request.headers.get("authorization", "")
        if not given.lower().startswith("digest "):
            return False
        said = {name.lower(): quoted or plain for name, quoted, plain in _PARAMETER.findall(given[7:])}
        nonce = said.get("nonce", "")
        if nonce not in self._seen or not hmac.compare_digest(said.get("response", ""), self._response(request, said)):
            self._counts["logins_refused"] += 1
            return False
        count = int(said.get("nc", "0"), 16)
        if count <= self._seen[nonce]:
            self._counts["nc_not_risen"] += 1
            return False
        self._seen[nonce] = count
        return True

    def _response(self, request: Request, said: dict[str, str]) -> str:
        name, password = self._login
        user = _md5(f"{name}:{self._realm}:{password}")
        what = _md5(f"{request.method}:{said.get('uri', '')}")
        proof = ":".join(said.get(part, "") for part in ("nonce", "nc", "cnonce", "qop"))
        right = said.get("uri") == request.target and said.get("username") == name
        return _md5(f"{user}:{proof}:{what}") if right else ""


_PARAMETER = re.compile(r'(\w+)=(?:"([^"]*)"|([^\s,]+))')


def _md5(text: str) -> str:
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()


class HttpServer:
    """Listens on one address; `port` 0: the kernel chooses. `digest` None: everybody is let in."""

    def __init__(self, serve: Serve, digest: Digest | None) -> None:
        self._serve = serve
        self._digest = digest
        self._tasks: set[asyncio.Task[None]] = set()
        self._opening: set[asyncio.Event] = set()

    async def open(self, address: str, port: int) -> int:
        """Returns the port. Raises `OSError` where it is taken."""
        self._listening = socket.create_server((address, port))
        self._listening.setblocking(False)
        asyncio.get_running_loop().add_reader(self._listening, self._accept)
        return int(self._listening.getsockname()[1])

    async def close(self) -> None:
        """Ends every connection, one that was only just accepted too."""
        asyncio.get_running_loop().remove_reader(self._listening)
        self._listening.close()
        for opened in list(self._opening):
            await opened.wait()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _accept(self) -> None:
        """asyncio's own server forgets, when it is closed, what it has accepted and not yet handed on."""
        with contextlib.suppress(OSError):
            client, _ = self._listening.accept()
            opened = asyncio.Event()
            self._opening.add(opened)
            task = asyncio.create_task(self._connected(client, opened))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _connected(self, client: socket.socket, opened: asyncio.Event) -> None:
        reader, writer = await asyncio.open_connection(sock=client)
        opened.set()
        self._opening.discard(opened)
        try:
            with contextlib.suppress(OSError, ValueError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
                while (request := await _read(reader)) is not None:
                    if self._digest is not None and not self._digest.admits(request):
                        more = ("WWW-Authenticate", self._digest.challenge())
                        await respond(writer, 401, "text/html", b"", more)
                    elif not await self._serve(request, writer):
                        break
            await ended(writer)
        finally:
            writer.transport.abort()


async def respond(
    writer: asyncio.StreamWriter, status: int, content_type: str, body: bytes, *more: tuple[str, str]
) -> None:
    """A whole answer, with its length. Raises `OSError` where the client is gone."""
    words = {200: "OK", 401: "Unauthorized", 404: "Not Found"}
    lines = [f"HTTP/1.1 {status} {words[status]}", f"Content-Type: {content_type}", f"Content-Length: {len(body)}"]
    lines += [f"{name}: {value}" for name, value in more]
    writer.write("\r\n".join([*lines, "", ""]).encode() + body)
    await writer.drain()


async def _read(reader: asyncio.StreamReader) -> Request | None:
    """None at the end of the connection. Raises `ValueError` for what is no request."""
    try:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    except asyncio.IncompleteReadError:
        return None
    first, *lines = head.rstrip().split("\r\n")
    method, target, _ = first.split(" ", 2)
    headers = {name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    length = int(headers.get("content-length", "0"))
    if not 0 <= length <= BODY_LIMIT_BYTES:
        raise ValueError("a body that no camera would take")
    return Request(method, target, headers, await reader.readexactly(length))
