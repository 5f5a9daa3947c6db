"""Frames of one RTSP stream, by OpenCV's FFmpeg, in a thread of its own: it blocks, and its calls cannot be cut short.

RTP comes over TCP alone. Every picture has to be decoded, because each is told by its differences to those before; only
`frames_per_s` are turned into JPEGs (quality 92). Streams of JPEGs are not decoded at all. OpenCV's and FFmpeg's own
words are turned off: they name addresses. What may not happen here: FFmpeg let at a camera whose answer to a plain
DESCRIBE we have not seen, for it tells no reason, and a password it sends in vain counts towards a lock.

Each camera costs, in MiB and in percent of one core (x86-64, H.264 at 25 pictures and 6 Mbit a second, 4K: 14 Mbit,
two JPEGs a second, OpenCV 5.0): 704x576 17 and 7, 1280x720 24 and 9, 1920x1080 43 and 12, 3840x2160 110 and 33; JPEGs
of 1920x1080 over RTP 10 and 1. Nearly all of it is the decoding: the two JPEGs are 2 percent and 3 MiB of the 1080
lines. Frames held as they are decoded would be 6 MiB each.
"""

from __future__ import annotations

import asyncio
import base64
import os
import re
import secrets
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from math import inf
from urllib.parse import quote

import cv2

from capture.asking import Auth, Failed, Place
from capture.digest import Digest
from capture.mjpeg import whole_picture
from edge.claim import Received

_QUALITY = 92
_MOST_PX = 40_000_000
"""Cameras have up to 32 megapixels. Decoding more would take the memory of a small board."""

_BROKEN_MAX = 25
"""So many in a row that fail at once are an end."""

_SETTLE_MS = 500.0
_FALL_MS = 50.0
_WINDOW_MS = 5000.0
_BACK_MS = 1000.0

_HEAD_MAX_BYTES = 64 * 1024
_STATUS = re.compile(r"RTSP/\d\.\d (\d{3})")
_OPTIONS = "rtsp_transport;tcp|allowed_media_types;video"


@dataclass(frozen=True, slots=True)
class Watching:
    """What the thread is told. `url` holds the password. `took` is called in the loop with the frame's time (ms before
    the given moment) and its JPEG."""

    url: str = field(repr=False)
    frames_per_s: float
    open_s: float
    quiet_s: float
    stop_s: float
    clock: Callable[[], Received]
    took: Callable[[Received, float, bytes], None]


class StreamClock:
    """How long ago a frame was taken that is had now, by the stream's own clock.

    A stream that begins, or has stalled, hands over what it held in one burst. The frame that was underway the shortest
    counts as just taken, and the others are older by as much as they came later than it did. While a burst lasts each
    frame is quicker than the one before, so nothing is known yet.
    """

    def __init__(self) -> None:
        self._stream_ms = -inf
        self._least_ms = [inf, inf]  # how far a frame is behind its own time at best: in the last window, in this one
        self._window_ms = self._falls_ms = self._settled_ms = -inf
        self._fallen_ms = 0.0

    def age_ms(self, stream_ms: float, now_ms: float) -> float | None:
        """None: not known. 0 where the stream's clock stands still: then it is none."""
        if stream_ms < self._stream_ms - _BACK_MS:  # it began anew
            self._least_ms = [inf, inf]
        stands, self._stream_ms = stream_ms == self._stream_ms, stream_ms
        if not stands:
            self._came(now_ms - stream_ms, now_ms)
        if now_ms < self._settled_ms:
            return None
        return 0.0 if stands else now_ms - stream_ms - min(self._least_ms)

    def _came(self, behind_ms: float, now_ms: float) -> None:
        if now_ms - self._window_ms > _WINDOW_MS:
            self._least_ms, self._window_ms = [self._least_ms[1], inf], now_ms
        if now_ms - self._falls_ms > 1000:
            self._fallen_ms, self._falls_ms = 0.0, now_ms
        self._fallen_ms += max(0.0, min(self._least_ms) - behind_ms)
        self._least_ms[1] = min(self._least_ms[1], behind_ms)
        if self._fallen_ms > _FALL_MS:
            self._settled_ms, self._fallen_ms = now_ms + _SETTLE_MS, 0.0


class Pace:
    """So many a second, of what comes at any rate."""

    def __init__(self, per_s: float) -> None:
        self._every_ms = 1000 / per_s
        self._next_ms = 0.0

    def due(self, now_ms: float) -> bool:
        if now_ms < self._next_ms:
            return False
        self._next_ms = max(self._next_ms + self._every_ms, now_ms + self._every_ms / 2)
        return True


def prepare() -> None:
    """Tell OpenCV, once for the process and before its first stream, how streams are opened.

    It reads the environment only. Without the options it falls back to UDP where TCP is refused, and all its opens wait
    for each other.
    """
    os.environ["OPENCV_FFMPEG_CAPTURE_OPTIONS"] = _OPTIONS
    os.environ["OPENCV_FFMPEG_LOGLEVEL"] = "-8"
    os.environ["OPENCV_FFMPEG_IS_THREAD_SAFE"] = "1"
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)


def url_of(place: Place, path: str, *, with_login: bool) -> str:
    host = f"[{place.host}]" if ":" in place.host else place.host
    login = place.login if with_login and place.auth is not Auth.NONE else None
    who = f"{quote(login.user, safe='')}:{quote(login.password, safe='')}@" if login else ""
    return f"rtsp://{who}{host}:{place.port}{path}"


async def describe(place: Place, path: str, connect_s: float, answer_s: float) -> None:
    """Ask whether the stream is there for us. Raises `Failed` with the reason where it is not."""
    try:
        async with asyncio.timeout(connect_s):
            reader, writer = await asyncio.open_connection(place.host, place.port, limit=_HEAD_MAX_BYTES)
    except ConnectionRefusedError:
        raise Failed("refused") from None
    except (OSError, TimeoutError):
        raise Failed("unreachable") from None
    url = url_of(place, path, with_login=False)
    try:
        async with asyncio.timeout(answer_s):
            status, challenges = await _described(reader, writer, url, 1, None)
            if status == 401 and (signed := _authorization(place, url, challenges)) is not None:
                status, _ = await _described(reader, writer, url, 2, signed)
    except TimeoutError:
        raise Failed("quiet") from None
    except (OSError, asyncio.IncompleteReadError):
        raise Failed("cut") from None
    except (ValueError, asyncio.LimitOverrunError):
        raise Failed("garbage") from None
    finally:
        writer.transport.abort()
    if status != 200:
        raise Failed("unauthorised" if status in (401, 403) else "refused", status)


async def watch(watching: Watching) -> str:
    """Follow the stream until it breaks; returns why. Cancelled, it waits up to `stop_s` for the thread, which ends at
    the latest with OpenCV's own deadlines."""
    loop = asyncio.get_running_loop()
    stopping = threading.Event()

    def took(received: Received, age_ms: float, jpeg: bytes) -> None:
        with suppress(RuntimeError):  # the loop is closed: nobody waits for this thread any more
            if not stopping.is_set():
                loop.call_soon_threadsafe(watching.took, received, age_ms, jpeg)

    executor = ThreadPoolExecutor(1, thread_name_prefix="rtsp_grab")
    done = loop.run_in_executor(executor, _watched, watching, took, stopping)
    executor.shutdown(wait=False)
    try:
        return await asyncio.shield(done)
    except asyncio.CancelledError:
        stopping.set()
        await asyncio.wait({done}, timeout=watching.stop_s)
        done.cancel()
        raise


def _watched(watching: Watching, took: Callable[[Received, float, bytes], None], stopping: threading.Event) -> str:
    begun_ms = _mono_ms(watching.clock())
    capture = cv2.VideoCapture(watching.url, cv2.CAP_FFMPEG, _deadlines(watching))
    try:
        if not capture.isOpened():
            spent_ms = _mono_ms(watching.clock()) - begun_ms
            return "quiet" if spent_ms >= watching.open_s * 900 else "garbage"
        if capture.get(cv2.CAP_PROP_FRAME_WIDTH) * capture.get(cv2.CAP_PROP_FRAME_HEIGHT) > _MOST_PX:
            return "garbage"
        return _followed(capture, watching, took, stopping)
    finally:
        capture.release()


def _followed(
    capture: cv2.VideoCapture,
    watching: Watching,
    took: Callable[[Received, float, bytes], None],
    stopping: threading.Event,
) -> str:
    fourcc = int(capture.get(cv2.CAP_PROP_FOURCC)).to_bytes(4, "little", signed=False)
    as_it_came = fourcc == b"MJPG" and capture.set(cv2.CAP_PROP_FORMAT, -1)
    times, pace = StreamClock(), Pace(watching.frames_per_s)
    asked_ms = known_ms = _mono_ms(watching.clock())
    failed = broken = 0
    while not stopping.is_set():
        grabbed = capture.grab()
        received = watching.clock()
        now_ms, before_ms, asked_ms = _mono_ms(received), asked_ms, _mono_ms(received)
        if not grabbed:
            failed += 1
            if now_ms - before_ms >= watching.quiet_s * 900:
                return "quiet"
            if failed >= _BROKEN_MAX:
                return "cut"
            continue
        failed = 0
        age_ms = times.age_ms(capture.get(cv2.CAP_PROP_POS_MSEC), now_ms)
        known_ms = known_ms if age_ms is None else now_ms
        if age_ms is not None and pace.due(now_ms):
            jpeg = _jpeg(capture, as_it_came=bool(as_it_came))
            broken = broken + 1 if jpeg is None else 0
            if jpeg is not None:
                took(received, age_ms, jpeg)
        if now_ms - known_ms > watching.open_s * 1000 or broken >= _BROKEN_MAX:
            return "garbage"
    return "cut"


def _jpeg(capture: cv2.VideoCapture, *, as_it_came: bool) -> bytes | None:
    """The picture grabbed last; None where it is broken."""
    try:
        there, picture = capture.retrieve()
        if not there or picture is None or picture.size > 3 * _MOST_PX:
            return None
        if as_it_came:
            return whole_picture(picture.tobytes())
        made, jpeg = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])
        return jpeg.tobytes() if made else None
    except cv2.error:
        return None


def _deadlines(watching: Watching) -> list[int]:
    return [
        cv2.CAP_PROP_OPEN_TIMEOUT_MSEC,
        round(watching.open_s * 1000),
        cv2.CAP_PROP_READ_TIMEOUT_MSEC,
        round(watching.quiet_s * 1000),
        cv2.CAP_PROP_N_THREADS,
        1,  # more threads hold more pictures, and each gives its own late
    ]


async def _described(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, url: str, count: int, authorization: str | None
) -> tuple[int, list[str]]:
    """Status and challenges. Raises `ValueError` for what is no answer."""
    lines = [f"DESCRIBE {url} RTSP/1.0", f"CSeq: {count}", "Accept: application/sdp", "User-Agent: anpr-edge"]
    lines += [f"Authorization: {authorization}"] if authorization else []
    writer.write("\r\n".join([*lines, "", ""]).encode())
    head = (await reader.readuntil(b"\r\n\r\n")).decode("utf-8", "replace")
    status = _STATUS.match(head)
    length = re.search(r"^content-length:\s*(\d{1,6})\s*$", head, re.IGNORECASE | re.MULTILINE)
    if status is None or (length is not None and int(length[1]) > _HEAD_MAX_BYTES):
        raise ValueError("not an RTSP answer")
    await reader.readexactly(int(length[1]) if length is not None else 0)
    return int(status[1]), re.findall(r"^www-authenticate:\s*([^\r\n]+)", head, re.IGNORECASE | re.MULTILINE)


def _authorization(place: Place, url: str, challenges: Sequence[str]) -> str | None:
    login = place.login
    if login is None or place.auth is Auth.NONE:
        return None
    if place.auth is Auth.DIGEST:
        digest = Digest(login, lambda: secrets.token_hex(8))
        return digest.authorization("DESCRIBE", url) if digest.learn(challenges) else None
    return "Basic " + base64.b64encode(f"{login.user}:{login.password}".encode()).decode()


def _mono_ms(received: Received) -> float:
    return received.mono_ns / 1e6
