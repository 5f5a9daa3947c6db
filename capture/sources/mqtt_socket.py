"""A connected socket, with TLS or without, made without a thread that could get stuck in it.

What may not happen here: a wait outside of the caller's time limit (only a name is looked up in a thread).
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

_USER_TIMEOUT_MS = 20_000  # for what we write and nobody acknowledges


async def connected(host: str, port: int, context: ssl.SSLContext | None) -> socket.socket:
    """A non-blocking socket to that place. Raises `OSError` (`ssl.SSLError` where the certificate is not believed)."""
    loop = asyncio.get_running_loop()
    problem = OSError("the name has no address")
    for family, kind, protocol, _, address in await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM):
        with ExitStack() as otherwise:
            plain = otherwise.enter_context(socket.socket(family, kind, protocol))
            plain.setblocking(False)
            plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, _USER_TIMEOUT_MS)
            try:
                await loop.sock_connect(plain, address)
            except OSError as met:
                problem = met
                continue
            otherwise.pop_all()
        return plain if context is None else await _secured(plain, host, context)
    raise problem


async def _secured(plain: socket.socket, host: str, context: ssl.SSLContext) -> ssl.SSLSocket:
    loop = asyncio.get_running_loop()
    with ExitStack() as otherwise:
        secure = context.wrap_socket(plain, server_hostname=host, do_handshake_on_connect=False)
        otherwise.callback(secure.close)
        while True:
            try:
                secure.do_handshake()
            except ssl.SSLWantReadError:
                await _ready(secure, loop.add_reader, loop.remove_reader)
            except ssl.SSLWantWriteError:
                await _ready(secure, loop.add_writer, loop.remove_writer)
            else:
                otherwise.pop_all()
                return secure


async def _ready(sock: socket.socket, add: Callable[..., Any], remove: Callable[..., Any]) -> None:
    ready = asyncio.Event()
    add(sock, ready.set)
    try:
        await ready.wait()
    finally:
        remove(sock)
