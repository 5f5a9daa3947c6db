"""Simulated cameras that are called: endless streams behind Digest, lists to ask for, connections they accept."""

from __future__ import annotations

import asyncio
import json
import re
import sys
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from simulators.camera import made
from simulators.over.ways import WAYS, Transport
from tests.unit.test_simulated_camera_forms import READERS, Seen
from tests.unit.test_simulated_camera_push import assert_same, journal_of, options

LIMIT_S = 40.0
STREAMS = [name for name, way in WAYS.items() if way.transport is Transport.STREAM]
TARGETS = {
    ("hikvision", "stream"): "/ISAPI/Event/notification/alertStream",
    ("dahua", "events"): "/cgi-bin/eventManager.cgi?action=attach&codes=[TrafficJunction]&heartbeat=5",
    ("dahua", "snaps"): "/cgi-bin/snapManager.cgi?action=attachFileProc&channel=1&heartbeat=5&Flags[0]=Event",
    ("lilin", "stream"): "/getalarmmotion",
}
PLATES = "/ISAPI/Traffic/channels/1/vehicleDetect/plates"
LAST = "/cgi-bin/operator/operator.cgi?action=get.lpr.lastdata&format=inf"


def opener(address: str, port: int, login: tuple[str, str] = ("admin", "simulated")) -> urllib.request.OpenerDirector:
    """Another implementation of Digest, whose count rises with each request."""
    passwords = urllib.request.HTTPPasswordMgrWithDefaultRealm()
    passwords.add_password(None, f"http://{address}:{port}/", *login)
    return urllib.request.build_opener(urllib.request.HTTPDigestAuthHandler(passwords))


def parts(data: bytes) -> list[Seen]:
    """Cut at the boundaries only; announced lengths are not believed."""
    found = []
    for part in re.split(rb"(?:^|\r?\n)--(?:my)?boundary\r?\n", data)[1:]:
        head, _, body = re.split(rb"(\r?\n\r?\n)", part, maxsplit=1)
        lines = dict(line.partition(b":")[::2] for line in re.split(rb"\r?\n", head))
        found.append(Seen(body.strip(b"\r\n"), lines[b"Content-Type"].strip().decode()))
    return found


def called(
    name: tuple[str, str], journal: Path, ask: Callable[[str, int], Any], *more: str
) -> tuple[dict[str, Any], Any]:
    """One camera, and a client in a thread that is told where it listens; the summary, and what the client returns."""

    async def both() -> tuple[dict[str, Any], Any]:
        found: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
        camera = made(options(*name, journal, *more))
        work = asyncio.create_task(camera.work(found.set_result))
        place = await found
        assert place["ready"] is True
        answer = await asyncio.to_thread(ask, place["address"], place["port"])
        return await work, answer

    return asyncio.run(asyncio.wait_for(both(), LIMIT_S))


def heard(name: tuple[str, str]) -> Callable[[str, int], bytes]:
    def ask(address: str, port: int) -> bytes:
        with opener(address, port).open(f"http://{address}:{port}{TARGETS[name]}", timeout=20) as stream:
            return bytes(stream.read())

    return ask


@pytest.mark.parametrize("name", STREAMS, ids="-".join)
@pytest.mark.parametrize("shape", [0, 1])
def test_a_stream_delivers_what_its_journal_says(name: tuple[str, str], shape: int, tmp_path: Path) -> None:
    shapes = WAYS[name].shapes
    more = [
        "--reads",
        "6",
        "--unread",
        "0.3",
        "--heartbeat",
        "0.01",
        *(("--shape", shapes[shape]) if shape < len(shapes) and shapes[0] else ()),
    ]
    if name[1] == "snaps":
        more[6:] = []  # without RealUTC the reader of the picture stream has nothing to check against
    summary, data = called(name, tmp_path / "j", heard(name), *more)
    lines = journal_of(tmp_path / "j")
    assert {(line["verdict"], line["acknowledged_by"]) for line in lines} == {("sent", None)}
    assert summary["sent"] == 6
    assert summary["heartbeats"] >= 1
    assert_same(name, parts(data), lines)


def test_a_groups_repeats_lying_lengths_and_every_shape_of_header_are_in_a_dahuas_stream(tmp_path: Path) -> None:
    name = ("dahua", "events")
    summary, data = called(
        name, tmp_path / "j", heard(name), "--reads", "12", "--groups", "0.5", "--lie", "0.5", "--heartbeat", "0"
    )
    lines = journal_of(tmp_path / "j")
    assert sum(line["messages"] for line in lines) == len(parts(data)) > 12 == summary["sent"]
    assert data.count(b"--myboundary\n") >= 2
    assert data.count(b"--myboundary\r\n") >= 2
    announced = re.findall(rb"Content-Length: (\d+)\r?\n\r?\n(.*?)\r?\n--myboundary", data, re.DOTALL)
    assert {int(length) == len(body) for length, body in announced} == {True, False}
    assert_same(name, parts(data), lines)


def test_a_stream_that_is_cut_is_heard_by_nobody_until_it_is_called_again(tmp_path: Path) -> None:
    name = ("hikvision", "stream")
    streams: list[bytes] = []

    def again(address: str, port: int) -> None:
        while True:
            try:
                streams.append(heard(name)(address, port))
            except OSError:
                return

    summary, _ = called(name, tmp_path / "j", again, "--reads", "20", "--rate", "40", "--cut", "0.3")
    lines = journal_of(tmp_path / "j")
    assert summary["listeners"] > 1
    assert summary["unheard"] >= summary["cut"] > 0
    assert summary["sent"] + summary["unheard"] == 20
    whole = [part for data in streams for part in parts(data) if part.body.endswith(b"</EventNotificationAlert>")]
    found = READERS[name](whole)
    assert all(any(read.is_of(line) for read in found) for line in lines if line["verdict"] == "sent")


def test_a_wrong_password_and_a_count_that_does_not_rise_are_refused(tmp_path: Path) -> None:
    def ask(address: str, port: int) -> list[int]:
        url = f"http://{address}:{port}{PLATES}"
        codes = []
        try:
            opener(address, port, ("admin", "wrong")).open(url, timeout=10)
        except (urllib.request.HTTPError, ValueError):
            codes.append(401)
        seen: list[str] = []

        class Keep(urllib.request.HTTPDigestAuthHandler):
            def get_authorization(self, req: urllib.request.Request, chal: Any) -> str | None:
                seen.append(str(super().get_authorization(req, chal)))
                return seen[-1]

        passwords = urllib.request.HTTPPasswordMgrWithDefaultRealm()
        passwords.add_password(None, f"http://{address}:{port}/", "admin", "simulated")
        with urllib.request.build_opener(Keep(passwords)).open(url, timeout=10) as answer:
            codes.append(answer.status)
            answer.read()
        again = urllib.request.Request(url, headers={"Authorization": f"Digest {seen[-1]}"})
        try:
            urllib.request.urlopen(again, timeout=10)
        except urllib.request.HTTPError as refused:
            codes.append(refused.code)
        whole = poll(address, port, PLATES, 1)
        return [*codes, len(whole)]

    summary, codes = called(("hikvision", "poll"), tmp_path / "j", ask, "--reads", "1")
    assert codes[:3] == [401, 200, 401]
    assert summary["nc_not_risen"] == 1
    assert summary["logins_refused"] >= 1


def poll(address: str, port: int, target: str, reads: int) -> list[Seen]:
    """Ask, and take every picture that an answer names, until so many reads were told."""
    client = opener(address, port)
    found: list[Seen] = []
    names: set[str] = set()
    newest = ""
    while True:
        question = f"<AfterTime><picTime>{newest}</picTime></AfterTime>".encode() if target == PLATES else None
        with client.open(f"http://{address}:{port}{target}", question, timeout=10) as answer:
            found.append(Seen(answer.read()))
        new = set(re.findall(r"<picName>(\d+)|^time_\d=([^\r]+)", found[-1].body.decode(), re.MULTILINE))
        told = {one or other for one, other in new} - names
        names |= told
        for picture in told if target == PLATES else ():
            with client.open(f"http://{address}:{port}/doc/ui/images/plate/{picture}.jpg", timeout=10) as answer:
                found.append(Seen(answer.read(), "image/jpeg", picture))
            newest = max(newest, picture)
        if len(names) >= reads:
            return found


def test_plates_are_told_to_whoever_asks_with_their_pictures(tmp_path: Path) -> None:
    name = ("hikvision", "poll")
    summary, found = called(
        name, tmp_path / "j", lambda address, port: poll(address, port, PLATES, 6), "--reads", "6", "--unread", "0.3"
    )
    lines = journal_of(tmp_path / "j")
    assert (summary["sent"], summary["pictures_fetched"]) == (6, 6)
    assert_same(name, found, lines)
    told = [len(re.findall(rb"<Plate>", seen.body)) for seen in found if b"<Plates>" in seen.body]
    assert sum(told) > 6  # the last plate is told again
    assert len({line["vendor_id"] for line in lines}) == 6


def test_a_read_that_nobody_asked_for_in_time_is_overtaken(tmp_path: Path) -> None:
    name = ("milesight", "poll")

    def ask(address: str, port: int) -> list[Seen]:
        client = opener(address, port)
        client.open(f"http://{address}:{port}{LAST}", timeout=10).close()
        while len(journal_of(tmp_path / "j")) < 5:
            pass
        with client.open(f"http://{address}:{port}{LAST}", timeout=10) as answer:
            return [Seen(answer.read())]

    summary, found = called(name, tmp_path / "j", ask, "--reads", "8", "--rate", "100")
    lines = journal_of(tmp_path / "j")
    assert (summary["overtaken"], summary["sent"]) == (5, 3)
    assert_same(name, found, [line for line in lines if line["verdict"] == "sent"])


@pytest.mark.parametrize("shape", ["xml", "stx"])
def test_a_camera_that_is_called_writes_to_all_who_are_there(shape: str, tmp_path: Path) -> None:
    async def scene() -> tuple[dict[str, Any], list[bytes]]:
        found: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
        args = options("axxonsoft", "tcp", tmp_path / "j", "--reads", "5", "--unread", "0.3", "--shape", shape)
        work = asyncio.create_task(made(args).work(found.set_result))
        place = await found
        pairs = [await asyncio.open_connection(place["address"], place["port"]) for _ in range(2)]
        data = await asyncio.gather(*(reader.read() for reader, _ in pairs))
        for _, writer in pairs:
            writer.close()
        return await work, list(data)

    summary, data = asyncio.run(asyncio.wait_for(scene(), LIMIT_S))
    assert summary["sent"] == 5
    assert_same(("axxonsoft", "tcp"), [Seen(data[0])], journal_of(tmp_path / "j"))


def test_where_it_listens_is_the_first_line_that_it_prints(tmp_path: Path) -> None:
    async def scene() -> tuple[dict[str, Any], dict[str, Any]]:
        command = ["-m", "simulators", "camera", "--as", "lilin", "--journal", str(tmp_path / "j"), "--size", "320x180"]
        camera = await asyncio.create_subprocess_exec(
            sys.executable, *command, stdout=asyncio.subprocess.PIPE, cwd=Path(__file__).parents[2]
        )
        assert camera.stdout is not None
        place = json.loads(await camera.stdout.readline())
        camera.terminate()
        rest = await camera.stdout.read()
        assert await camera.wait() == 0
        return place, json.loads(rest)

    place, summary = asyncio.run(asyncio.wait_for(scene(), LIMIT_S))
    assert place["port"] > 0
    assert (summary["vendor"], summary["over"], summary["captured"]) == ("lilin", "stream", 0)
