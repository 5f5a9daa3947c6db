"""A camera's video: RTSP (RFC 2326, RTP interleaved in TCP), MJPEG over HTTP, and a picture at an address.

Each picture shows, in blocks, the millisecond it was made. Told to, it goes silent without a word, sends rubbish, or
cuts its lines, as cameras do. Nothing is written to a disk.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import hashlib
import re
import secrets
import time
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field
from enum import Enum

from simulators.rtp_jpeg import (
    CLOCK_HZ,
    JPEG_PAYLOAD_TYPE,
    Packets,
    draw,
    interleaved,
    jpeg_payloads,
    plain_payloads,
    sender_report,
)

_CLIP_PAYLOAD_TYPE = 96
_REPORT_EVERY_PICTURES = 20


class Asks(Enum):
    """What it wants of whoever comes."""

    NOTHING = "nothing"
    BASIC = "basic"
    DIGEST = "digest"


@dataclass(frozen=True, slots=True)
class Video:
    """How it is set. `lengths`: whether MJPEG parts say how long they are. `clip`: MPEG-4 access units that are sent
    over RTSP instead of drawn pictures, round and round."""

    size_px: tuple[int, int] = (640, 360)
    pictures_per_s: float = 10
    asks: Asks = Asks.NOTHING
    user: str = "viewer"
    password: str = field(default="", repr=False)
    lengths: bool = False
    over_tcp: bool = True
    clip: tuple[bytes, ...] = field(default=(), repr=False)


@dataclass(frozen=True, slots=True)
class Asked:
    """One request, of RTSP or HTTP."""

    method: str
    target: str
    headers: dict[str, str] = field(repr=False)


class VideoCamera:
    """From `start` to `stop`. `rtsp_port` and `http_port` are the kernel's choice, or as before after a `stop`.

    `silent`: lines stay up and carry nothing. `rubbish`: sent once. `served` counts by
    method, `transports` notes what was asked for, and `sent` when which picture of a clip left (UTC, ms).
    """

    def __init__(self, video: Video, host: str = "127.0.0.1") -> None:
        self.video = video
        self.silent = False
        self.rubbish = b""
        self.picture: Callable[[], bytes] = self._drawn
        self.served: dict[str, int] = {}
        self.transports: list[str] = []
        self.sent: list[tuple[int, int]] = []
        self.rtsp_port = self.http_port = 0
        self._host = host
        self._nonce = secrets.token_hex(8)
        self._servers: list[asyncio.Server] = []
        self._lines: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        for serve, port in ((self._rtsp, self.rtsp_port), (self._http, self.http_port)):
            self._servers.append(await asyncio.start_server(self._line(serve), self._host, port))
        self.rtsp_port, self.http_port = (server.sockets[0].getsockname()[1] for server in self._servers)

    async def stop(self) -> None:
        """As when its power is cut, but that the kernel resets the lines."""
        for server in self._servers:
            server.close()
        for writer in self._lines:
            writer.transport.abort()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._servers.clear()

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[VideoCamera]:
        await self.start()
        try:
            yield self
        finally:
            await self.stop()

    def _drawn(self) -> bytes:
        return draw(_now_ms(), self.video.size_px)

    def _line(self, serve: Callable[[asyncio.StreamReader, asyncio.StreamWriter], AsyncIterator[None]]) -> _Serve:
        async def live(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            self._lines.add(writer)
            with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
                async for _ in serve(reader, writer):
                    await writer.drain()
            self._lines.discard(writer)
            writer.transport.abort()

        def begin(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            task = asyncio.create_task(live(reader, writer))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

        return begin

    async def _http(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> AsyncIterator[None]:
        while (asked := await _request(reader)) is not None:
            self._count(asked.method)
            if self.silent:
                await asyncio.Event().wait()
            if not self._admits(asked):
                _http_answer(writer, "401 Unauthorized", [("WWW-Authenticate", self._challenge())], b"")
            elif asked.target.startswith("/snapshot"):
                _http_answer(writer, "200 OK", [("Content-Type", "image/jpeg")], self.picture())
            elif asked.target.startswith("/mjpeg"):
                async for _ in self._mjpeg(writer):
                    yield
            else:
                _http_answer(writer, "404 Not Found", [], b"")
            yield

    async def _mjpeg(self, writer: asyncio.StreamWriter) -> AsyncIterator[None]:
        writer.write(b"HTTP/1.0 200 OK\r\nContent-Type: multipart/x-mixed-replace; boundary=--frame\r\n\r\n")
        async for _ in self._ticks():
            jpeg = self.picture()
            said = f"Content-Length: {len(jpeg)}\r\n" if self.video.lengths else ""
            writer.write(self._rubbish())
            writer.write(f"--frame\r\nContent-Type: image/jpeg\r\n{said}\r\n".encode() + jpeg + b"\r\n")
            yield

    async def _rtsp(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> AsyncIterator[None]:
        playing: asyncio.Task[None] | None = None
        try:
            while (asked := await _request(reader)) is not None:
                self._count(asked.method)
                if self.silent:
                    await asyncio.Event().wait()
                self._rtsp_answer(writer, asked)
                if asked.method == "PLAY" and self._admits(asked) and playing is None:
                    playing = asyncio.create_task(self._play(writer))
                yield
                if asked.method == "TEARDOWN":
                    return
        finally:
            if playing is not None:
                playing.cancel()
                await asyncio.gather(playing, return_exceptions=True)

    def _rtsp_answer(self, writer: asyncio.StreamWriter, asked: Asked) -> None:
        status, body = "200 OK", b""
        headers = [("CSeq", asked.headers.get("cseq", "0"))]
        if asked.method == "OPTIONS":
            headers.append(("Public", "OPTIONS, DESCRIBE, SETUP, PLAY, GET_PARAMETER, TEARDOWN"))
        elif not self._admits(asked):
            status = "401 Unauthorized"
            headers.append(("WWW-Authenticate", self._challenge()))
        elif asked.method == "DESCRIBE" and "/video" not in asked.target:
            status = "404 Not Found"
        elif asked.method == "DESCRIBE":
            body = self._sdp()
            headers += [("Content-Base", asked.target.rstrip("/") + "/"), ("Content-Type", "application/sdp")]
        elif asked.method == "SETUP" and not self._carries(asked.headers.get("transport", "")):
            status = "461 Unsupported Transport"
        elif asked.method == "SETUP":
            headers += [("Transport", "RTP/AVP/TCP;unicast;interleaved=0-1"), ("Session", "1;timeout=60")]
        elif asked.method in ("PLAY", "TEARDOWN", "GET_PARAMETER"):
            headers.append(("Session", "1"))
        else:
            status = "405 Method Not Allowed"
        if body:
            headers.append(("Content-Length", str(len(body))))
        lines = [f"RTSP/1.0 {status}", *(f"{name}: {value}" for name, value in headers), "", ""]
        writer.write("\r\n".join(lines).encode() + body)

    async def _play(self, writer: asyncio.StreamWriter) -> None:
        stream = Packets(secrets.randbits(32), _CLIP_PAYLOAD_TYPE if self.video.clip else JPEG_PAYLOAD_TYPE)
        start, count, octets, base = time.monotonic(), 0, 0, secrets.randbits(32)
        pictures = 0
        with contextlib.suppress(ConnectionError):
            async for _ in self._ticks():
                timestamp = base + round((time.monotonic() - start) * CLOCK_HZ)
                if pictures % _REPORT_EVERY_PICTURES == 0:
                    report = sender_report(stream.ssrc, _now_ms(), timestamp, count, octets)
                    writer.write(interleaved(1, report))
                payloads = self._payloads(pictures)
                for payload in payloads:
                    header = stream.header(count, timestamp, last=payload is payloads[-1])
                    writer.write(interleaved(0, header + payload))
                    count, octets = count + 1, octets + len(payload)
                writer.write(self._rubbish())
                pictures += 1
                await writer.drain()

    def _payloads(self, pictures: int) -> Sequence[bytes]:
        clip = self.video.clip
        if not clip:
            return list(jpeg_payloads(self.picture()))
        self.sent.append((pictures % len(clip), _now_ms()))
        return list(plain_payloads(clip[pictures % len(clip)]))

    async def _ticks(self) -> AsyncIterator[None]:
        """One for each picture; none while silent."""
        at = asyncio.get_running_loop().time()
        while True:
            at += 1 / self.video.pictures_per_s
            await asyncio.sleep(at - asyncio.get_running_loop().time())
            if not self.silent:
                yield

    def _sdp(self) -> bytes:
        kind = _CLIP_PAYLOAD_TYPE if self.video.clip else JPEG_PAYLOAD_TYPE
        lines = ["v=0", "o=- 1 1 IN IP4 127.0.0.1", "s=video", "c=IN IP4 0.0.0.0", "t=0 0", "a=control:*"]
        lines += [f"m=video 0 RTP/AVP {kind}", *([f"a=rtpmap:{kind} MP4V-ES/{CLOCK_HZ}"] if self.video.clip else [])]
        lines += ["a=control:track1", f"a=framerate:{self.video.pictures_per_s:g}"]
        return ("\r\n".join(lines) + "\r\n").encode()

    def _carries(self, transport: str) -> bool:
        self.transports.append(transport)
        return self.video.over_tcp and "interleaved" in transport

    def _rubbish(self) -> bytes:
        rubbish, self.rubbish = self.rubbish, b""
        return rubbish

    def _count(self, method: str) -> None:
        self.served[method] = self.served.get(method, 0) + 1

    def _challenge(self) -> str:
        digest = f'Digest realm="camera", nonce="{self._nonce}", algorithm=MD5'
        return digest if self.video.asks is Asks.DIGEST else 'Basic realm="camera"'

    def _admits(self, asked: Asked) -> bool:
        video = self.video
        said = asked.headers.get("authorization", "")
        if video.asks is Asks.NOTHING:
            return True
        if video.asks is Asks.BASIC:
            return said == "Basic " + base64.b64encode(f"{video.user}:{video.password}".encode()).decode()
        told = dict(re.findall(r'(\w+)="([^"]*)"', said))
        secret = _md5(f"{video.user}:camera:{video.password}")
        wanted = _md5(f"{secret}:{self._nonce}:{_md5(asked.method + ':' + told.get('uri', ''))}")
        return told.get("response") == wanted and told.get("username") == video.user


_Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], None]


async def _request(reader: asyncio.StreamReader) -> Asked | None:
    """The next request; what stands before it in `$` frames (a receiver's reports) is thrown away. None at the end."""
    while (first := await reader.read(1)) == b"$":
        head = await reader.readexactly(3)
        await reader.readexactly(int.from_bytes(head[1:], "big"))
    if not first:
        return None
    lines = (first + await reader.readuntil(b"\r\n\r\n")).decode("utf-8", "replace").split("\r\n")
    method, target = [*lines[0].split(" "), "", ""][:2]
    pairs = [line.partition(":") for line in lines[1:] if ":" in line]
    return Asked(method, target, {name.strip().lower(): value.strip() for name, _, value in pairs})


def _http_answer(writer: asyncio.StreamWriter, status: str, headers: list[tuple[str, str]], body: bytes) -> None:
    lines = [f"HTTP/1.1 {status}", *(f"{name}: {value}" for name, value in headers), f"Content-Length: {len(body)}"]
    writer.write("\r\n".join([*lines, "", ""]).encode() + body)


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


def _md5(text: str) -> str:
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()
