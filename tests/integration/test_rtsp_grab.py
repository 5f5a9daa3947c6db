"""Frames grabbed from a camera's video over real sockets: by RTSP, MJPEG and snapshots, in good times and bad.

Every picture of the simulated camera shows the millisecond it was made, which is read back from the frame.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from dataclasses import dataclass, field, replace
from itertools import pairwise
from pathlib import Path
from typing import Any, TypeVar

import cv2
import numpy as np
import pytest

from capture.asking import Auth, Place, Tls
from capture.backoff import Backoff
from capture.login import Login
from capture.mjpeg import Pictures, whole_picture
from capture.sources.rtsp_frames import Pace, StreamClock
from capture.sources.rtsp_grab import Frame, Grab, Grabber, GrabKind, GrabLimits, Ring, open_grab
from edge.clock import Clock
from edge.errors import Misconfigured
from simulators.rtp_jpeg import draw, number_in
from simulators.video import Asks, Video, VideoCamera

T = TypeVar("T")

QUICK = GrabLimits(open_s=4, quiet_s=0.7, answer_s=0.7, stop_s=2, backoff=Backoff(0.01, 0.05))
FAST = Video(pictures_per_s=20)
PASSWORD = "p@ss:w/ö rd%"
DEADLINE_S = 20
TOLERANCE_MS = 150
KINDS = {
    "rtsp": Grab("a", GrabKind.RTSP, Place("", 0), "/video?channel=1"),
    "mjpeg": Grab("a", GrabKind.MJPEG, Place("", 0), "/mjpeg"),
    "snapshots": Grab("a", GrabKind.SNAPSHOT, Place("", 0), "/snapshot", every_ms=100),
    "asked": Grab("a", GrabKind.SNAPSHOT, Place("", 0), "/snapshot"),
}
STREAMS = ("rtsp", "mjpeg")
FOLLOWED = ("rtsp", "mjpeg", "snapshots")


@dataclass
class Links:
    told: list[str] = field(default_factory=list)

    def up(self, camera: str) -> None:
        self.told.append("up")

    def down(self, camera: str, why: str) -> None:
        self.told.append(why)


@dataclass
class Site:
    """A node that grabs from one camera."""

    camera: VideoCamera
    links: Links
    grabber: Grabber

    async def now(self, within_ms: int = 700) -> Frame | None:
        return await self.grabber.frame("a", now_ms(), within_ms)

    async def first(self) -> Frame:
        return await until(self.now)


@contextlib.asynccontextmanager
async def site(
    kind: str, video: Video = FAST, limits: GrabLimits = QUICK, auth: Auth = Auth.NONE, password: str = PASSWORD
) -> AsyncIterator[Site]:
    async with VideoCamera(video).running() as camera:
        links = Links()
        grabber = await open_grab([grab_of(kind, camera, auth, password)], links, Clock().now, limits)
        try:
            yield Site(camera, links, grabber)
        finally:
            await grabber.close()


def grab_of(kind: str, camera: VideoCamera, auth: Auth = Auth.NONE, password: str = PASSWORD) -> Grab:
    port = camera.rtsp_port if kind == "rtsp" else camera.http_port
    login = None if auth is Auth.NONE else Login("viewer", password)
    return replace(KINDS[kind], place=Place("127.0.0.1", port, login, auth))


def run(test: Coroutine[Any, Any, None]) -> None:
    asyncio.run(asyncio.wait_for(test, 60))


async def until(found: Callable[[], Awaitable[T | None]]) -> T:
    """What it gives, once it gives something."""
    deadline = time.monotonic() + DEADLINE_S
    while (value := await found()) is None:
        assert time.monotonic() < deadline, "nothing came"
        await asyncio.sleep(0.02)
    return value


async def until_true(condition: Callable[[], bool]) -> None:
    async def met() -> bool | None:
        return condition() or None

    await until(met)


def now_ms() -> int:
    return time.time_ns() // 1_000_000


def drawn_ms(frame: Frame) -> int:
    number = number_in(frame.jpeg)
    assert number is not None
    return number


@pytest.mark.parametrize("kind", KINDS)
def test_the_frame_of_the_time(kind: str) -> None:
    """From the very first frame on: an RTSP stream begins with a burst of old ones."""

    async def test() -> None:
        async with site(kind) as here:
            await here.first()
            seen = set()
            until_s = time.monotonic() + 2.5
            while time.monotonic() < until_s:
                at_ms = now_ms() - (0 if kind == "asked" else 400)
                frame = await here.grabber.frame("a", at_ms, 500)
                if frame is not None:
                    assert abs(drawn_ms(frame) - (at_ms + frame.offset_ms)) < TOLERANCE_MS
                    seen.add(drawn_ms(frame))
                await asyncio.sleep(0.05)
            assert len(seen) >= 4
            assert here.links.told == ["up"]

    run(test())


@pytest.mark.parametrize("kind", FOLLOWED)
def test_the_nearest_in_the_ring_and_none_beyond(kind: str) -> None:
    async def test() -> None:
        async with site(kind) as here:
            await here.first()
            await until_true(lambda: here.grabber.counts()["kept"] >= 5)
            at_ms = now_ms()
            frames = [await here.grabber.frame("a", at_ms - back_ms, 10_000) for back_ms in range(0, 2000, 10)]
            times = {drawn_ms(frame): frame.jpeg for frame in frames if frame is not None}
            assert len(times) >= 4
            for frame, back_ms in zip(frames, range(0, 2000, 10), strict=True):
                assert frame is not None
                away_ms = abs(drawn_ms(frame) - (at_ms - back_ms))
                assert away_ms <= min(abs(each - (at_ms - back_ms)) for each in times) + TOLERANCE_MS
            assert await here.grabber.frame("a", at_ms - 60_000, 10_000) is None
            assert await here.grabber.frame("somebody else", at_ms, 10_000) is None

    run(test())


@pytest.mark.parametrize(("kind", "lengths"), [("rtsp", False), ("mjpeg", False), ("mjpeg", True), ("asked", False)])
def test_what_the_camera_made_is_what_is_kept(kind: str, lengths: bool) -> None:
    """RTP leaves the camera's headers out, and FFmpeg writes its own: the picture in them is the same."""

    async def test() -> None:
        made: set[bytes] = set()
        async with site(kind, replace(FAST, lengths=lengths)) as here:

            def picture() -> bytes:
                jpeg = draw(now_ms())
                made.add(jpeg)
                return jpeg

            here.camera.picture = picture
            await until_true(lambda: bool(made)) if kind != "asked" else None

            async def of_ours() -> Frame | None:
                frame = await here.now()
                return frame if frame and any(drawn_ms(frame) == number_in(jpeg) for jpeg in made) else None

            frame = await until(of_ours)
            if kind == "rtsp":
                assert any(np.array_equal(pixels(frame.jpeg), pixels(jpeg)) for jpeg in made)
            else:
                assert frame.jpeg in made

    run(test())


def pixels(jpeg: bytes) -> Any:
    return cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR)


def test_a_stream_that_has_to_be_decoded(tmp_path: Path) -> None:
    """MPEG-4, in which most pictures are told by their differences."""
    clip = mpeg4(tmp_path / "clip.avi")

    async def test() -> None:
        async with site("rtsp", replace(FAST, clip=clip)) as here:
            await here.first()
            seen = set()
            until_s = time.monotonic() + 2
            while time.monotonic() < until_s:
                at_ms = now_ms() - 300
                frame = await here.grabber.frame("a", at_ms, 500)
                if frame is not None:
                    number = number_in(frame.jpeg)
                    left_ms = [ms for index, ms in here.camera.sent if index == number]
                    assert min(abs(ms - (at_ms + frame.offset_ms)) for ms in left_ms) < TOLERANCE_MS
                    seen.add(number)
                await asyncio.sleep(0.05)
            assert len(seen) >= 3

    run(test())


def mpeg4(path: Path, pictures: int = 60) -> tuple[bytes, ...]:
    """The access units of a clip whose pictures show their number."""
    writer = cv2.VideoWriter(str(path), cv2.CAP_FFMPEG, cv2.VideoWriter.fourcc(*"XVID"), 20, (640, 360))
    if not writer.isOpened():
        pytest.skip("this OpenCV cannot encode MPEG-4")
    for number in range(pictures):
        writer.write(pixels(draw(number)))
    writer.release()
    reader = cv2.VideoCapture(str(path), cv2.CAP_FFMPEG, [cv2.CAP_PROP_FORMAT, -1])
    units = []
    while reader.grab():
        units.append(reader.retrieve()[1].tobytes())
    reader.release()
    assert len(units) == pictures
    assert sum(map(len, units)) / len(units) < len(units[0])
    return tuple(units)


@pytest.mark.parametrize("kind", KINDS)
def test_a_camera_that_is_killed_comes_back(kind: str) -> None:
    async def test() -> None:
        async with site(kind) as here:
            await here.first()
            await here.camera.stop()
            gone_ms = now_ms()

            async def down() -> bool | None:
                return (await here.now()) is None or None

            await until(down)
            assert here.grabber.held_bytes() == 0
            if kind != "asked":
                await until_true(lambda: here.links.told[-1] == "refused")
            assert await here.grabber.frame("a", gone_ms, 1000) is None
            await here.camera.start()
            assert drawn_ms(await here.first()) > gone_ms
            assert here.links.told[0] == here.links.told[-1] == "up"
            assert "refused" in here.links.told
            assert set(here.links.told) <= {"up", "cut", "refused"}

    run(test())


@pytest.mark.parametrize("kind", KINDS)
def test_a_camera_that_falls_silent_without_a_word(kind: str) -> None:
    async def test() -> None:
        async with site(kind) as here:
            await here.first()
            here.camera.silent = True
            silent_s = time.monotonic()
            if kind == "asked":
                await asyncio.sleep(1)
                assert await here.now() is None
            await until_true(lambda: here.links.told[-1] == "quiet")
            assert time.monotonic() - silent_s < 3
            assert await here.grabber.frame("a", now_ms() - 500, 10_000) is None or kind == "asked"
            here.camera.silent = False
            await here.first()
            assert here.links.told[-1] == "up"

    run(test())


@pytest.mark.parametrize("kind", STREAMS)
def test_rubbish_in_the_middle(kind: str) -> None:
    rubbish = bytes((number * 7919 >> 3) & 0xFF for number in range(20_000)).replace(b"$", b"%")

    async def test() -> None:
        async with site(kind) as here:
            await here.first()
            here.camera.rubbish = rubbish
            await until_true(lambda: not here.camera.rubbish)
            sent_ms = now_ms()

            async def later() -> Frame | None:
                frame = await here.now()
                return frame if frame and drawn_ms(frame) > sent_ms else None

            frame = await until(later)
            assert drawn_ms(frame) <= now_ms()
            assert here.links.told == ["up"]
            assert here.grabber.counts().get("garbage", 0) == (kind == "mjpeg")

    run(test())


@pytest.mark.parametrize("kind", ["mjpeg", "snapshots", "asked"])
def test_half_a_picture_is_none(kind: str) -> None:
    async def test() -> None:
        async with site(kind) as here:
            await here.first()
            here.camera.picture = lambda: draw(now_ms())[:5000]
            if kind == "asked":
                await asyncio.sleep(0.5)
                assert await here.now(400) is None
            await until_true(lambda: here.links.told[-1] == "garbage")
            assert here.grabber.counts()["garbage"] >= 1

    run(test())


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("asks", "auth"), [(Asks.DIGEST, Auth.DIGEST), (Asks.BASIC, Auth.BASIC)])
def test_passwords(kind: str, asks: Asks, auth: Auth) -> None:
    async def test() -> None:
        async with site(kind, replace(FAST, asks=asks, password=PASSWORD), auth=auth) as here:
            assert drawn_ms(await here.first()) > 0

    run(test())


@pytest.mark.parametrize("kind", KINDS)
def test_a_wrong_password_is_tried_once(kind: str) -> None:
    async def test() -> None:
        video = replace(FAST, asks=Asks.DIGEST, password=PASSWORD)
        async with site(kind, video, auth=Auth.DIGEST, password="another") as here:
            assert await here.now() is None
            await until_true(lambda: here.links.told == ["unauthorised"])
            await asyncio.sleep(0.5)
            assert await here.now() is None
            assert here.links.told == ["unauthorised"]
            assert here.camera.served == {"DESCRIBE" if kind == "rtsp" else "GET": 2}

    run(test())


def test_no_password_in_clear_where_digest_is_set() -> None:
    """FFmpeg would give it to whoever asks for Basic."""

    async def test() -> None:
        async with site("rtsp", replace(FAST, asks=Asks.BASIC, password=PASSWORD), auth=Auth.DIGEST) as here:
            await until_true(lambda: here.links.told == ["unauthorised"])
            assert here.camera.served == {"DESCRIBE": 1}

    run(test())


def test_no_such_stream() -> None:
    async def test() -> None:
        async with VideoCamera(FAST).running() as camera:
            links = Links()
            grab = replace(grab_of("rtsp", camera), path="/elsewhere")
            grabber = await open_grab([grab], links, Clock().now, QUICK)
            await until_true(lambda: links.told == ["refused"])
            await grabber.close()

    run(test())


def test_nothing_but_tcp(capfd: pytest.CaptureFixture[str]) -> None:
    async def test() -> None:
        async with site("rtsp", replace(FAST, over_tcp=False)) as here:
            await until_true(lambda: here.links.told == ["garbage"])
            assert here.camera.transports
            assert all("TCP" in transport for transport in here.camera.transports)

    run(test())
    said = capfd.readouterr()
    assert said.out == said.err == ""  # FFmpeg says much of a SETUP that is refused


def test_a_slow_pace_is_no_fault() -> None:
    async def test() -> None:
        async with VideoCamera(FAST).running() as camera:
            links = Links()
            grab = replace(grab_of("rtsp", camera), frames_per_s=0.2)
            grabber = await open_grab([grab], links, Clock().now, replace(QUICK, open_s=2))
            await until_true(lambda: grabber.counts().get("kept", 0) == 2)
            assert links.told == ["up"]
            await grabber.close()

    run(test())


def test_a_snapshot_serves_all_who_ask_at_once_and_none_who_come_late() -> None:
    async def test() -> None:
        async with site("asked") as here:
            at_ms = now_ms()
            frames = await asyncio.gather(*(here.grabber.frame("a", at_ms, 700) for _ in range(20)))
            assert all(frame is not None for frame in frames)
            assert here.camera.served["GET"] <= 2
            before = here.camera.served["GET"]
            assert await here.grabber.frame("a", at_ms - 60_000, 700) is None
            assert here.camera.served["GET"] == before

    run(test())


def test_the_lag_of_a_camera_makes_its_frames_older() -> None:
    async def test() -> None:
        async with VideoCamera(FAST).running() as camera:
            grab = replace(grab_of("mjpeg", camera), lag_ms=1000)
            grabber = await open_grab([grab], Links(), Clock().now, QUICK)
            frame = await until(lambda: grabber.frame("a", now_ms() - 1000, 500))
            at_ms = now_ms() - 1000
            frame = await until(lambda: grabber.frame("a", at_ms, 500))
            assert abs(drawn_ms(frame) - 1000 - (at_ms + frame.offset_ms)) < TOLERANCE_MS
            await grabber.close()

    run(test())


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("when", ["at once", "playing", "silent", "gone"])
def test_close_ends_within_its_bound(kind: str, when: str) -> None:
    async def test() -> None:
        async with site(kind, limits=replace(QUICK, quiet_s=30, answer_s=30, stop_s=1)) as here:
            if when != "at once":
                await here.first()
            if when == "silent":
                here.camera.silent = True
                await asyncio.sleep(0.3)
            if when == "gone":
                await here.camera.stop()
            began_s = time.monotonic()
            await here.grabber.close()
            assert time.monotonic() - began_s < 2
            assert await here.now() is None
            await here.camera.stop()  # a thread that was left behind ends with its line

    run(test())


@pytest.mark.parametrize("kind", FOLLOWED)
def test_the_ring_is_bounded(kind: str) -> None:
    async def test() -> None:
        async with site(kind, limits=replace(QUICK, ring_bytes=20_000)) as here:
            await here.first()
            most = 0
            while here.grabber.counts()["kept"] < 8:
                most = max(most, here.grabber.held_bytes())
                await asyncio.sleep(0.02)
            assert 0 < most <= 20_000

    run(test())


def test_the_ring_holds_so_long_and_so_much() -> None:
    ring = Ring(3000, 100)
    for second in range(10):
        ring.put(second * 1000.0, second * 1000, bytes(10))
    assert ring.held_bytes == 40
    assert ring.nearest(4000, 500) is None
    assert ring.nearest(6400, 500) == Frame(bytes(10), -400)
    ring.put(10_000, 10_000, bytes(95))
    assert ring.held_bytes == 95
    ring.put(10_001, 10_001, bytes(101))
    assert ring.held_bytes == 0


def test_a_camera_that_never_ends_a_picture() -> None:
    """The stream is given up, and no more of it is held than one picture."""

    async def endless(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.0 200 OK\r\nContent-Type: multipart/x-mixed-replace\r\n\r\n" + draw(1)[:5000])
        with contextlib.suppress(ConnectionError):
            while True:
                writer.write(bytes(50_000))
                await writer.drain()
        writer.close()

    async def test() -> None:
        server = await asyncio.start_server(endless, "127.0.0.1", 0)
        grab = replace(KINDS["mjpeg"], place=Place("127.0.0.1", server.sockets[0].getsockname()[1]))
        links = Links()
        grabber = await open_grab([grab], links, Clock().now, replace(QUICK, frame_bytes=100_000))
        await until_true(lambda: links.told == ["garbage"])
        await grabber.close()
        server.close()

    run(test())


def test_nobody_says_an_address(capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture) -> None:
    """FFmpeg and OpenCV write to stderr by themselves."""
    caplog.set_level(logging.DEBUG)

    async def nonsense(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                await reader.readuntil(b"\r\n\r\n")
                writer.write(b"RTSP/1.0 200 OK\r\nCSeq: 1\r\nContent-Length: 8\r\n\r\nm=video\n")
        writer.close()

    async def test() -> None:
        server = await asyncio.start_server(nonsense, "127.0.0.1", 0)
        place = Place("127.0.0.1", server.sockets[0].getsockname()[1], Login("viewer", "secret"), Auth.DIGEST)
        links = Links()
        grabber = await open_grab([replace(KINDS["rtsp"], place=place)], links, Clock().now, QUICK)
        await until_true(lambda: grabber.counts().get("garbage", 0) >= 2)
        assert links.told == ["garbage"]
        await grabber.close()
        server.close()

    run(test())
    said = capfd.readouterr()
    assert said.out == said.err == ""
    assert "127.0.0.1" not in caplog.text.replace("('127.0.0.1', 0)", "")


def test_nothing_personal_is_shown() -> None:
    grab = replace(KINDS["rtsp"], place=Place("camera.invalid", 1, Login("viewer", "secret"), Auth.BASIC))
    shown = repr(grab) + repr(Frame(b"abc", 1))
    assert not [word for word in ("camera.invalid", "viewer", "secret", "/video", "abc") if word in shown]


def test_what_cannot_be_grabbed_is_said_before() -> None:
    async def test(*grabs: Grab) -> None:
        with pytest.raises(Misconfigured):
            await open_grab(grabs, Links(), Clock().now)

    run(test(replace(KINDS["rtsp"], place=Place("127.0.0.1", 1, tls=Tls()))))
    run(test(KINDS["mjpeg"], KINDS["asked"]))


def test_pictures_are_cut_the_same_however_they_come() -> None:
    pictures = [draw(number, (64, 32), 30 + number) for number in range(12)]
    with_preview = pictures[0][:2] + b"\xff\xe1" + (len(pictures[1]) + 2).to_bytes(2, "big") + pictures[1]
    pictures.append(with_preview + pictures[0][2:])
    stream = b"--x\r\n\r\n".join([b"", *pictures, b""])
    for size in (1, 2, 3, 7, 100, len(stream)):
        cutter = Pictures(10_000)
        assert [each for at in range(0, len(stream), size) for each in cutter.feed(stream[at : at + size])] == pictures
        assert cutter.garbage == 0
    assert whole_picture(with_preview) is None


def test_broken_pictures_are_counted_and_the_next_is_found() -> None:
    good = draw(7, (64, 32))
    large = draw(8, (1280, 720), 95)
    cutter = Pictures(20_000)
    assert len(large) > 20_000
    for broken in (
        good[:-40],
        large,
        b"\xff\xd8\xff\xd8\xff\xd9" * 9,
        b"\xff\xd8\xffA" + bytes(9000),
        bytes(9000) + b"x",
    ):
        before = cutter.garbage
        assert good in cutter.feed(b"\r\n--x\r\n\r\n" + broken + b"\r\n--x\r\n\r\n" + good)
        assert cutter.garbage > before
    for _ in range(100):
        cutter.feed(b"\xff\xd8\xff\xda\0\2" + bytes(5000))
        assert cutter.held_bytes <= 20_000
    began_s = time.monotonic()
    Pictures(4_000_000).feed(b"\xff\xd8\xff\xe0\xff\xff" * 600_000)
    assert time.monotonic() - began_s < 5


def test_a_burst_does_not_make_old_frames_new() -> None:
    """A stream that begins two seconds late, stalls for three, and then starts its clock anew: times in ms."""
    clock = StreamClock()
    assert [clock.age_ms(ms, 2000 + ms / 20) for ms in range(0, 2000, 40)] == [None] * 50
    ages = [clock.age_ms(ms, ms + 100) for ms in range(2000, 6000, 40)]
    settled = [age for age in ages if age is not None]
    assert len(settled) > 80
    assert settled == [0] * len(settled)
    assert [clock.age_ms(ms, 9000) for ms in range(6000, 8900, 100)] == [
        9000 - ms - 100 for ms in range(6000, 8900, 100)
    ]
    assert clock.age_ms(9000, 9100) == 0
    assert clock.age_ms(0, 9140) is None
    assert [clock.age_ms(ms, ms + 9140) for ms in range(1000, 2000, 100)] == [0] * 10
    standing = StreamClock()
    assert [standing.age_ms(0, ms) for ms in range(0, 2000, 100)][6:] == [0] * 14


def test_the_pace() -> None:
    pace = Pace(2)
    kept = [ms for ms in range(0, 10_000, 40) if pace.due(ms)]
    assert len(kept) in (20, 21)
    assert max(after - before for before, after in pairwise(kept)) <= 540
