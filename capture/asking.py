"""One camera asked over HTTP: how it wants the password, what TLS must prove, and in which stable word it failed.

What may not happen here: a redirect followed, a cookie kept, a body unpacked (cameras announce encodings they do not
use); credentials for Basic where Digest was set, whatever the camera asks for.
"""

from __future__ import annotations

import asyncio
import secrets
from base64 import b64encode
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from ssl import SSLContext

import aiohttp
from yarl import URL

from capture.digest import Digest
from capture.login import Login
from capture.recipes import Request
from capture.tls import Trust, client_context


class Auth(Enum):
    NONE = "none"
    BASIC = "basic"
    DIGEST = "digest"


@dataclass(frozen=True, slots=True)
class Tls:
    """`ca_file`: a PEM file that the camera's certificate must lead to, None for the system's. `server_name`: the name
    in that certificate where it is not the host. `unverified`: any certificate will do; only where that was set."""

    ca_file: Path | None = None
    server_name: str | None = None
    unverified: bool = False


@dataclass(frozen=True, slots=True)
class Place:
    """Where a camera answers, and as whom. `tls`: None for plain HTTP."""

    host: str = field(repr=False)
    port: int
    login: Login | None = None
    auth: Auth = Auth.NONE
    tls: Tls | None = None


class Failed(Exception):
    """The camera could not be asked. `why` is a stable word: refused, unreachable, unauthorised, quiet, cut, garbage,
    tls; `status` the HTTP status where it answered one."""

    def __init__(self, why: str, status: int = 0) -> None:
        super().__init__(why)
        self.why = why
        self.status = status


class Asking:
    """The requests to one camera, one at a time: the count in their signatures rises strictly."""

    def __init__(self, place: Place, connect_s: float, answer_s: float) -> None:
        """Raises `Misconfigured` where the CA file cannot be used. To be made where the loop runs."""
        self._place = place
        self._answer_s = answer_s
        login = place.login
        self._digest = Digest(login, _cnonce) if login and place.auth is Auth.DIGEST else None
        self._basic = "Basic " + b64encode(f"{login.user}:{login.password}".encode()).decode() if login else ""
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(ssl=_context(place.tls) or True, limit=2, keepalive_timeout=30),
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=connect_s),
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
            read_bufsize=64 * 1024,
        )

    @asynccontextmanager
    async def ask(self, request: Request) -> AsyncIterator[aiohttp.ClientResponse]:
        """The response to a request, where it is 200; its body is read inside, by `whole` or `more`. Raises
        `Failed`."""
        try:
            async with asyncio.timeout(self._answer_s):
                response = await self._answered(request)
        except (aiohttp.ClientError, ConnectionError, TimeoutError) as error:
            raise Failed(_why(error)) from None
        try:
            yield response
        finally:
            response.close()

    async def close(self) -> None:
        await self._session.close()

    async def _answered(self, request: Request) -> aiohttp.ClientResponse:
        known = self._authorization(request)
        response = await self._sent(request, known)
        if self._digest is not None:
            if response.status == 403 and known is not None:  # some cameras take no challenge twice
                response.close()
                response = await self._sent(request, None)
            if response.status == 401 and self._digest.learn(response.headers.getall("WWW-Authenticate", [])):
                response.close()
                response = await self._sent(request, self._authorization(request))
        if response.status != 200:
            response.close()
            raise Failed("unauthorised" if response.status in (401, 403) else "refused", response.status)
        return response

    def _authorization(self, request: Request) -> str | None:
        if self._digest is not None:
            return self._digest.authorization(request.method, request.target, request.body)
        return self._basic if self._place.auth is Auth.BASIC and self._basic else None

    async def _sent(self, request: Request, authorization: str | None) -> aiohttp.ClientResponse:
        place = self._place
        host = f"[{place.host}]" if ":" in place.host else place.host
        scheme = "http" if place.tls is None else "https"
        headers = {"Accept": "*/*", "Accept-Encoding": "identity", "User-Agent": "anpr-edge"}
        if authorization is not None:
            headers["Authorization"] = authorization
        if request.content_type:
            headers["Content-Type"] = request.content_type
        return await self._session.request(
            request.method,
            # As it stands: what is signed must be what is sent, and some cameras know no escaped brackets.
            URL(f"{scheme}://{host}:{place.port}{request.target}", encoded=True),
            data=request.body or None,
            headers=headers,
            allow_redirects=False,
            server_hostname=None if place.tls is None else place.tls.server_name,
        )


async def whole(response: aiohttp.ClientResponse, most_bytes: int) -> bytes:
    """The body of a response. Raises `Failed`: garbage where it is longer than that, cut where it breaks off."""
    body = bytearray()
    try:
        while chunk := await response.content.readany():
            body += chunk
            if len(body) > most_bytes:
                raise Failed("garbage", response.status)
    except (aiohttp.ClientError, ConnectionError):
        raise Failed("cut") from None
    return bytes(body)


async def more(response: aiohttp.ClientResponse) -> bytes:
    """The next bytes of an endless body; none where it has ended, in whatever way."""
    try:
        return await response.content.readany()
    except (aiohttp.ClientError, ConnectionError):
        return b""


def _cnonce() -> str:
    return secrets.token_hex(8)


def _context(tls: Tls | None) -> SSLContext | None:
    if tls is None:
        return None
    return client_context(Trust.UNVERIFIED if tls.unverified else Trust.VERIFY, tls.ca_file)


def _why(error: Exception) -> str:
    if isinstance(error, aiohttp.ClientSSLError):
        return "tls"
    if isinstance(error, aiohttp.ClientConnectorError):
        return "refused" if isinstance(error.os_error, ConnectionRefusedError) else "unreachable"
    if isinstance(error, TimeoutError):
        return "unreachable"
    cut = (aiohttp.ClientOSError, aiohttp.ServerDisconnectedError, aiohttp.ClientPayloadError, ConnectionError)
    return "cut" if isinstance(error, cut) else "garbage"
