"""Cameras asked over HTTP, on real sockets: endless streams, polls, passwords, TLS, silence and death."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from capture.asking import Auth, Place, Tls
from capture.backoff import Backoff
from capture.login import Login
from capture.multipart import parts
from capture.recipes import Poll, Recipe, Stream, recipe_named
from capture.sources.http_pull import HttpPull, Pull, PullLimits, open_http_pull
from edge.claim import Way
from edge.errors import Misconfigured
from tests.fixtures.peers_http import HEAD, PASSWORD, USER, HttpCamera, certified, http_camera, page
from tests.fixtures.peers_tcp import LATER, REFUSED, Site, clock, run, until

QUICK = PullLimits(
    delivery_bytes=20_000,
    connect_s=1,
    answer_s=1,
    whole_s=1,
    group_s=0.1,
    hold_s=0.02,
    unauthorised_s=0.2,
    stop_s=5,
    backoff=Backoff(0.01, 0.02),
)
TARGET = "/cgi-bin/snapManager.cgi?action=attachFileProc&Events=[TrafficJunction]"
STREAM = Stream(TARGET, quiet_s=5)
PATH = "/cgi-bin/snapManager.cgi"
TEXT = b"--b\r\nContent-Type: text/plain\r\nContent-Length: 3\r\n\r\nabc\r\n"
JPEG = b"\xff\xd8\xff" + b"\0\r\n" * 50 + b"\xff\xd9"
PICTURE = b"--b\r\nContent-Type: image/jpeg\r\n\r\n" + JPEG + b"\r\n"
BEAT = b"--b\r\nContent-Type: text/plain\r\n\r\nHeartbeat\r\n"
LOGIN = Login(USER, PASSWORD)


@contextlib.asynccontextmanager
async def source(
    site: Site,
    camera: HttpCamera,
    recipe: Recipe = STREAM,
    limits: PullLimits = QUICK,
    login: Login | None = None,
    auth: Auth = Auth.NONE,
    tls: Tls | None = None,
) -> AsyncIterator[HttpPull]:
    place = Place("127.0.0.1", camera.port, login, auth, tls)
    pull = await open_http_pull([Pull("c", place, recipe)], limits, site.receive, site, clock)
    try:
        yield pull
    finally:
        await pull.close()


def endless(**settings: object) -> HttpCamera:
    return HttpCamera(pages={PATH: HEAD}, **settings)  # type: ignore[arg-type]


def data_of(site: Site) -> list[list[bytes]]:
    return [[part.data for part in parts(each.body, each.content_type)] for each in site.deliveries]


@pytest.mark.parametrize("chunked", [False, True])
def test_an_endless_stream_becomes_deliveries(chunked: bool) -> None:
    async def scene() -> None:
        site = Site()
        head = HEAD[:-2] + b"Transfer-Encoding: chunked\r\nContent-Encoding: deflate\r\n\r\n" if chunked else HEAD
        stream = BEAT + TEXT + PICTURE + PICTURE + BEAT + b"--b\r\n"
        async with http_camera(HttpCamera(pages={PATH: head})) as camera, source(site, camera) as pull:
            await until(lambda: camera.streams, "it is asked")
            for begin in range(0, len(stream), 37):
                piece = stream[begin : begin + 37]
                await camera.send(b"%x\r\n%b\r\n" % (len(piece), piece) if chunked else piece)
            await until(lambda: len(site.deliveries) == 3, "three deliveries, the last for silence")
            assert pull.counts() == {}
            assert camera.asked[0].target == TARGET, "as it stands, brackets and all"
        assert data_of(site) == [[b"Heartbeat"], [b"abc", JPEG, JPEG], [b"Heartbeat"]]
        arrival = site.deliveries[0].arrival
        assert (arrival.way, arrival.camera, arrival.path) == (Way.HTTP_PULL, "c", PATH)
        assert site.links == [("c", "up")]

    run(scene())


def test_a_part_whose_next_delimiter_is_far_away_is_heard_at_once() -> None:
    async def scene() -> None:
        site = Site()
        async with http_camera(endless()) as camera, source(site, camera):
            await until(lambda: camera.streams, "it is asked")
            began = time.monotonic()
            await camera.send(TEXT)
            await until(lambda: site.deliveries, "it is heard")
            assert time.monotonic() - began < 2

    run(scene())


def test_nothing_more_is_read_before_a_delivery_is_taken() -> None:
    async def scene() -> None:
        site = Site(gate=asyncio.Event(), verdicts=[LATER, LATER, REFUSED])
        assert site.gate is not None
        async with http_camera(endless()) as camera, source(site, camera) as pull:
            await until(lambda: camera.streams, "it is asked")
            sent = 0
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(1):
                    while sent < 64 * 1024 * 1024:
                        await camera.send(TEXT * 1000)
                        sent += 1000 * len(TEXT)
            assert sent < 16 * 1024 * 1024, "the kernel's buffers, and no more"
            assert len(site.deliveries) == 1
            site.gate.set()
            await until(lambda: len(site.deliveries) > 10, "and then the next")
            assert pull.counts()["later"] == 2
            camera.cut()
        assert len({each.arrival.received.mono_ns for each in site.deliveries[:3]}) == 1, "one delivery, tried again"

    run(scene())


def test_garbage_and_too_large_cost_no_other() -> None:
    async def scene() -> None:
        site = Site()
        async with http_camera(endless()) as camera, source(site, camera) as pull:
            await until(lambda: camera.streams, "it is asked")
            await camera.send(
                b"junk\r\n" + TEXT + b"--b\r\n\r\n" + b"x" * 60_000 + b"\r\n" + PICTURE + BEAT + b"--b\r\n"
            )
            await until(lambda: len(site.deliveries) == 2, "both are heard")
            assert pull.refused() == {"garbage": 2}
        assert data_of(site) == [[b"abc", JPEG], [b"Heartbeat"]]

    run(scene())


def test_a_stream_that_dies_is_asked_for_again() -> None:
    async def scene() -> None:
        site = Site()
        async with http_camera(endless()) as camera, source(site, camera) as pull:
            await until(lambda: camera.streams, "it is asked")
            await camera.send(TEXT + PICTURE[:-20])
            camera.cut()
            await until(lambda: len(camera.streams) == 2, "asked again")
            await camera.send(BEAT + b"--b--\r\n")
            camera.streams[-1].close()
            await until(lambda: len(camera.streams) == 3, "and again")
            await camera.close()
            await until(lambda: pull.counts().get("refused", 0) >= 2, "it is gone")
            await camera.open()
            await until(lambda: len(camera.streams) == 4, "it is back")
        assert data_of(site) == [[b"abc"], [b"Heartbeat"]], "the text, and no half picture"
        said = [why for _, why in site.links]
        assert said == ["up", "cut", "up", "cut", "up", "cut", "refused", "up"]

    run(scene())


def test_a_camera_that_falls_silent_without_a_word() -> None:
    async def scene() -> None:
        site = Site()
        async with http_camera(endless()) as camera, source(site, camera, replace(STREAM, quiet_s=0.4)) as pull:
            await until(lambda: camera.streams, "it is asked")
            began = time.monotonic()
            for _ in range(6):
                await camera.send(BEAT)
                await asyncio.sleep(0.15)
            assert len(camera.streams) == 1, "heartbeats keep it"
            await until(lambda: len(camera.streams) == 2, "asked again")
            assert time.monotonic() - began < 5
            assert pull.counts()["quiet"] >= 1
        assert site.links[:3] == [("c", "up"), ("c", "quiet"), ("c", "up")]

    run(scene())


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n", "refused"),
        (b"HTTP/1.1 302 Found\r\nLocation: /elsewhere\r\nContent-Length: 0\r\n\r\n", "refused"),
        (b"\x16\x03\x01\x02\x00\r\n\r\n", "garbage"),
        (b"", "unreachable"),
        (page(b"<html>"), "cut"),
    ],
    ids=["not there", "elsewhere", "no http", "nothing", "no stream"],
)
def test_answers_that_are_none(answer: bytes, why: str) -> None:
    async def scene() -> None:
        site = Site()
        async with (
            http_camera(HttpCamera(pages={PATH: answer, "/elsewhere": HEAD})) as camera,
            source(site, camera, limits=replace(QUICK, answer_s=0.2)) as pull,
        ):
            await until(lambda: pull.counts().get(why, 0) >= 2, "it is tried again")
            assert {each.target for each in camera.asked} <= {TARGET}
        assert ("c", why) in site.links
        assert site.deliveries == []

    run(scene())


# Passwords.

MD5 = 'Digest realm="Login to 5A", qop="auth", nonce="%s", opaque="5ccc069c", algorithm="MD5", stale="FALSE"'


@pytest.mark.parametrize(
    "schemes",
    [
        (MD5,),
        ('Basic realm="x"', MD5),
        ("Basic realm=x, " + MD5, MD5.replace('"MD5"', "SHA-256")),
        (MD5.replace('"auth"', '"auth,auth-int"'),),
    ],
    ids=["md5", "behind basic", "sha-256 among others", "the body need not be signed"],
)
def test_digest_signs_each_request_with_a_count_that_rises(schemes: tuple[str, ...]) -> None:
    async def scene() -> None:
        site = Site()
        async with (
            http_camera(endless(schemes=schemes, nonces=["n1", "n2"])) as camera,
            source(site, camera, login=LOGIN, auth=Auth.DIGEST) as pull,
        ):
            for count in (1, 2, 3):
                await until(lambda: len(camera.streams) == count, "it is let in")  # noqa: B023
                await camera.send(BEAT)
                camera.cut()
            assert [(said["nonce"], said["nc"]) for said in camera.signed[:3]] == [
                ("n1", "00000001"),
                ("n1", "00000002"),
                ("n1", "00000003"),
            ]
            assert "unauthorised" not in pull.counts()
            assert [each.headers.get("authorization", "")[:7] for each in camera.asked[:2]] == ["", "Digest "]

    run(scene())


def test_a_nonce_that_went_stale_or_is_refused_the_second_time() -> None:
    async def scene() -> None:
        for forgets in (False, True):
            site = Site()
            camera = endless(schemes=(MD5,), nonces=["n1", "n2", "n3", "n4"], forgets=forgets)
            async with http_camera(camera), source(site, camera, login=LOGIN, auth=Auth.DIGEST) as pull:
                for count in (1, 2):
                    await until(lambda: len(camera.streams) == count, "it is let in")  # noqa: B023
                    camera._nonce = "" if forgets else "gone"
                    camera.cut()
                await until(lambda: len(camera.streams) == 3, "and again")  # noqa: B023
                assert "unauthorised" not in pull.counts()

    run(scene())


def test_a_wrong_password_is_not_tried_too_often_and_never_sent_in_clear() -> None:
    async def scene() -> None:
        site = Site()
        wrong = Login(USER, "wrong")
        async with http_camera(endless(schemes=('Basic realm="x"',))) as camera:
            async with source(site, camera, login=wrong, auth=Auth.DIGEST):
                await until(lambda: camera.asked, "it is asked")
                await asyncio.sleep(0.1)
                assert len(camera.asked) == 1, "and left alone for a while"
                await until(lambda: len(camera.asked) == 2, "and asked again")
            assert all("authorization" not in each.headers for each in camera.asked), "Basic was not set"
        async with (
            http_camera(endless(schemes=(MD5,))) as camera,
            source(site, camera, login=wrong, auth=Auth.DIGEST),
        ):
            await until(lambda: len(camera.asked) >= 2, "it is asked")
            await asyncio.sleep(0.1)
            assert len(camera.asked) == 2
        assert set(site.links) == {("c", "unauthorised")}

    run(scene())


def test_basic_where_it_is_set() -> None:
    async def scene() -> None:
        site = Site()
        async with (
            http_camera(endless(schemes=('Basic realm="x"',))) as camera,
            source(site, camera, login=LOGIN, auth=Auth.BASIC),
        ):
            await until(lambda: camera.streams, "it is let in")
            assert len(camera.asked) == 1
        assert USER not in repr(Place("h", 80, LOGIN, Auth.BASIC))
        assert "pass" not in repr(Place("h", 80, LOGIN, Auth.BASIC))

    run(scene())


# TLS.


def test_tls_is_proved_by_the_file_or_not_at_all_where_that_is_set(tmp_path: Path) -> None:
    async def scene() -> None:
        context, file = certified(tmp_path, "127.0.0.1")
        named, named_file = certified(tmp_path, "camera.invalid")
        for served, tls, why in (
            (context, Tls(file), "up"),
            (context, Tls(), "tls"),
            (context, Tls(unverified=True), "up"),
            (named, Tls(named_file), "tls"),
            (named, Tls(named_file, server_name="camera.invalid"), "up"),
            (named, Tls(file), "tls"),
        ):
            site = Site()
            async with http_camera(endless(tls=served)) as camera, source(site, camera, tls=tls):
                await until(lambda: site.links, "it is tried")  # noqa: B023
                assert site.links == [("c", why)]
        with pytest.raises(Misconfigured):
            async with source(Site(), HttpCamera(), tls=Tls(tmp_path / "none.pem")):
                pass

    run(scene())


# Polls.

PLATE = "<Plate><captureTime>20260424T1616%02d0000</captureTime><picName>p%d</picName></Plate>"
PLATES = "/ISAPI/Traffic/channels/1/vehicleDetect/plates"


def plates(*numbers: int) -> bytes:
    listed = "".join(PLATE % (number, number) for number in numbers)
    return page(f'<?xml version="1.0"?><Plates>{listed}</Plates>'.encode())


def often(**settings: object) -> Poll:
    recipe = recipe_named("hikvision_plates")
    assert isinstance(recipe, Poll)
    return replace(recipe, every_s=0.02, **settings)  # type: ignore[arg-type]


def test_a_poll_hands_on_each_read_once_with_its_picture() -> None:
    async def scene() -> None:
        site = Site()
        camera = HttpCamera(pages={PLATES: plates(2, 1), "/doc/ui/images/plate/p2.jpg": page(JPEG, "image/jpeg")})
        camera.schemes = (MD5,)
        async with http_camera(camera), source(site, camera, often(), login=LOGIN, auth=Auth.DIGEST) as pull:
            await until(lambda: len(site.deliveries) == 2, "both are heard")
            camera.pages[PLATES] = plates(2, 3)
            await until(lambda: len(site.deliveries) == 3, "the new one")
            polls = [each for each in camera.asked if each.target == PLATES]
            assert b"<picTime>0<" in polls[0].body
            await until(lambda: b"<picTime>20260424161603<" in camera.asked[-1].body, "the cursor goes on")
            assert pull.counts() == {"picture_missing": 2}
            assert len(site.deliveries) == 3
            assert [int(said["nc"], 16) for said in camera.signed] == list(range(1, len(camera.signed) + 1))
        document, picture = parts(site.deliveries[0].body, site.deliveries[0].content_type)
        assert (document.content_type, picture.content_type) == ("application/xml", "image/jpeg")
        assert document.data == f'<?xml version="1.0"?><Plates>{PLATE % (2, 2)}</Plates>'.encode()
        assert (picture.name, picture.filename, picture.data) == ("picName", "p2.jpg", JPEG)
        alone = site.deliveries[1]
        assert alone.content_type == "application/xml", "what has no picture comes bare"
        assert alone.body == f'<?xml version="1.0"?><Plates>{PLATE % (1, 1)}</Plates>'.encode()
        assert site.links == [("c", "up")]

    run(scene())


def test_a_poll_begins_at_the_beginning_again_because_clocks_are_set_back() -> None:
    async def scene() -> None:
        site = Site()
        async with (
            http_camera(HttpCamera(pages={PLATES: plates(5)})) as camera,
            source(site, camera, often(), replace(QUICK, again_s=0.1)),
        ):
            await until(lambda: sum(b">0<" in each.body for each in camera.asked) >= 3, "from the beginning")
            assert len(site.deliveries) == 1

    run(scene())


def test_a_read_is_not_lost_with_its_picture() -> None:
    async def scene() -> None:
        site = Site()
        cut = b"HTTP/1.1 200 OK\r\nContent-Type: image/jpeg\r\nContent-Length: 100\r\n\r\nx"
        pages = {PLATES: plates(1, 2), "/doc/ui/images/plate/p1.jpg": cut}
        pages["/doc/ui/images/plate/p2.jpg"] = page(b"x" * 30_000, "image/jpeg")
        async with (
            http_camera(HttpCamera(pages=pages)) as camera,
            source(site, camera, often(), replace(QUICK, whole_s=0.2)) as pull,
        ):
            await until(lambda: len(site.deliveries) == 2, "both are heard")
            assert pull.counts()["picture_missing"] == 2
            asked = [each for each in camera.asked if each.target.endswith("p1.jpg")]
            assert len(asked) == 2, "it was asked for once more"

    run(scene())


def test_an_answer_that_never_ends_is_not_held() -> None:
    async def scene() -> None:
        site = Site()
        endless_page = b"HTTP/1.1 200 OK\r\nContent-Type: application/xml\r\n\r\n" + b"<Plates>" * 10_000
        async with (
            http_camera(HttpCamera(pages={PLATES: endless_page})) as camera,
            source(site, camera, often()) as pull,
        ):
            await until(lambda: pull.counts().get("garbage", 0) >= 2, "it is left")
        assert site.links == [("c", "garbage")]

    run(scene())


# Ends.


def test_a_stop_lets_what_is_in_hand_finish_and_does_not_wait_for_ever() -> None:
    async def scene() -> None:
        for stop_s, opened in ((5.0, True), (0.2, False)):
            site = Site(gate=asyncio.Event())
            assert site.gate is not None
            async with (
                http_camera(endless()) as camera,
                source(site, camera, limits=replace(QUICK, stop_s=stop_s)) as pull,
            ):
                await until(lambda: camera.streams, "it is asked")
                await camera.send(TEXT + BEAT)
                await until(lambda: site.deliveries, "it is in hand")  # noqa: B023
                began = time.monotonic()
                closing = asyncio.create_task(pull.close())
                await asyncio.sleep(0.05)
                assert not closing.done()
                if opened:
                    site.gate.set()
                await closing
                assert time.monotonic() - began < 2

    run(scene())


@pytest.mark.parametrize("fault", [RuntimeError("ours"), TimeoutError("ours"), ConnectionError("ours")])
def test_a_fault_of_ours_is_raised(fault: Exception) -> None:
    async def scene() -> None:
        site = Site(fault=fault)
        async with http_camera(endless()) as camera, source(site, camera) as pull:
            watch = asyncio.create_task(pull.failed())
            await until(lambda: camera.streams, "it is asked")
            await camera.send(TEXT + BEAT)
            with pytest.raises(type(fault), match="ours"):
                await watch

    run(scene())
