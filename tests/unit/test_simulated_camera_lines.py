"""Simulated cameras on TCP, serial lines, FTP and MQTT, each against a real peer."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import subprocess
import sys
import threading
import time
import tty
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import paho.mqtt.client as paho
import pytest
from paho.mqtt.enums import CallbackAPIVersion
from pyftpdlib import ioloop  # noqa: F401  # first: it silences asyncore's deprecation
from pyftpdlib.authorizers import DummyAuthorizer
from pyftpdlib.handlers import FTPHandler
from pyftpdlib.servers import FTPServer

from simulators import site_files
from simulators.camera import made
from simulators.children import children
from simulators.over.ways import WAYS, Transport
from simulators.vendors import nedap
from tests.unit.test_simulated_camera_forms import READERS, Seen, nedap_raw
from tests.unit.test_simulated_camera_push import assert_same, journal_of, options

LIMIT_S = 40.0
DIALLED = [name for name, way in WAYS.items() if way.transport is Transport.TCP]
UPLOADED = [name for name, way in WAYS.items() if way.transport is Transport.FTP]


def until(true: Any, what: str) -> None:
    deadline = time.monotonic() + LIMIT_S
    while not true():
        assert time.monotonic() < deadline, f"waited {LIMIT_S} s for {what}"
        time.sleep(0.01)


def work(name: tuple[str, str], journal: Path, *more: str) -> dict[str, Any]:
    camera = made(options(*name, journal, *more))
    return asyncio.run(asyncio.wait_for(camera.work(lambda _: None), LIMIT_S))


# --- TCP


def with_listener(
    name: tuple[str, str], journal: Path, *more: str, rude: int = 0
) -> tuple[dict[str, Any], list[bytes]]:
    """The bytes of each connection; the first `rude` ones are broken off as soon as something came."""

    async def scene() -> tuple[dict[str, Any], list[bytes]]:
        came: list[bytes] = []

        async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            place = len(came)
            came.append(b"")
            writer.write(b'{"command":"who"}')  # an Axis peer says this; a camera has to bear it
            while data := await reader.read(65536):
                came[place] += data
                if place < rude:
                    writer.transport.abort()
                    return
            writer.close()

        server = await asyncio.start_server(connected, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        try:
            summary = await made(options(*name, journal, "--to", f"127.0.0.1:{port}", *more)).work(lambda _: None)
        finally:
            server.close()
            await server.wait_closed()
        return summary, came

    return asyncio.run(asyncio.wait_for(scene(), LIMIT_S))


@pytest.mark.parametrize("name", DIALLED, ids="-".join)
@pytest.mark.parametrize("open_", ["--keep-alive", "--no-keep-alive"])
def test_what_was_sent_on_a_connection_arrived(name: tuple[str, str], open_: str, tmp_path: Path) -> None:
    summary, came = with_listener(name, tmp_path / "j", "--reads", "6", "--unread", "0.3", open_)
    lines = journal_of(tmp_path / "j")
    assert {(line["verdict"], line["acknowledged_by"]) for line in lines} == {("sent", None)}
    assert summary["sent"] == 6
    assert len(came) == (1 if open_ == "--keep-alive" else sum(line["messages"] for line in lines))
    assert sum(line["sent_bytes"] for line in lines) == sum(map(len, came))
    assert_same(name, [Seen(data) for data in came], lines)


def test_a_cut_message_is_sent_again_whole_on_a_new_connection(tmp_path: Path) -> None:
    name = ("tattile", "tcp")
    habits = ("--cut", "0.5", "--duplicates", "0.4", "--left-open", "0.4", "--garbage", "0.5")
    summary, came = with_listener(name, tmp_path / "j", "--reads", "6", *habits)
    assert all(summary[habit] > 0 for habit in ("cut", "duplicates", "left_open", "garbage"))
    assert len(came) > summary["cut"]
    found = [read for data in came for read in READERS[name]([Seen(data)])]
    lines = journal_of(tmp_path / "j")
    assert all(sum(read.is_of(line) for read in found) >= 1 for line in lines)
    assert len(found) == 6 + summary["duplicates"]


def test_a_camera_that_does_not_retry_loses_what_was_cut(tmp_path: Path) -> None:
    summary, came = with_listener(
        ("tattile", "tcp"), tmp_path / "j", "--reads", "8", "--cut", "0.5", "--retry-for", "0"
    )
    assert summary["gave_up"] == summary["cut"] > 0
    found = [read for data in came for read in READERS["tattile", "tcp"]([Seen(data)])]
    assert len(found) == summary["sent"] == 8 - summary["cut"]


def test_a_camera_calls_again_when_it_was_cut_off(tmp_path: Path) -> None:
    name = ("axxonsoft", "tcp")
    summary, came = with_listener(name, tmp_path / "j", "--reads", "10", "--rate", "40", "--slow", "2000000", rude=2)
    assert summary["connections"] == len(came) == 3
    assert summary["sent"] == 10  # it cannot know better: nobody acknowledges
    assert READERS[name]([Seen(came[2])])


def test_a_camera_that_reaches_nobody_gives_up(tmp_path: Path) -> None:
    to = f"127.0.0.1:{site_files.free_port()}"
    summary = work(("vaxtor", "tcp"), tmp_path / "j", "--reads", "2", "--to", to, "--retry-for", "0.1")
    assert summary["gave_up"] == 2


# --- serial


class Pair:
    """A pty: a path for the camera, and this end for the node, which may acknowledge packets."""

    def __init__(self, ignores: int | None) -> None:
        self.ours, theirs = os.openpty()
        tty.setraw(self.ours)
        tty.setraw(theirs)
        self.path, self._theirs, self._ignores = os.ttyname(theirs), theirs, ignores
        self.data = b""
        self.packets: list[tuple[int, bytes]] = []
        self._thread = threading.Thread(target=self._listen)
        self._thread.start()

    def _listen(self) -> None:
        rest = b""
        with contextlib.suppress(OSError):
            while data := os.read(self.ours, 65536):
                self.data += data
                if self.data.endswith(b"STOP"):
                    return
                rest = self._packets(rest + data)

    def _packets(self, rest: bytes) -> bytes:
        head, tail = (code.to_bytes(4, "big") for code in (nedap.OPEN, nedap.CLOSE))
        while (start := rest.find(head)) >= 0 and len(rest) >= start + 12:
            end = start + 12 + int.from_bytes(rest[start + 8 : start + 12], "big") + 5
            if len(rest) < end:
                break
            number = int.from_bytes(rest[start + 4 : start + 8], "big")
            assert rest[end - 4 : end] == tail
            self.packets.append((number, rest[start + 12 : end - 5]))
            rest = rest[end:]
            if self._ignores is not None and len(self.packets) > self._ignores:
                os.write(self.ours, nedap.packet(number, b"\x06"))
        return rest

    def close(self) -> None:
        os.write(self._theirs, b"STOP")
        self._thread.join(LIMIT_S)
        os.close(self.ours)
        os.close(self._theirs)


@pytest.fixture
def pair(request: pytest.FixtureRequest) -> Iterator[Pair]:
    one = Pair(getattr(request, "param", None))
    yield one
    one.close()


@pytest.mark.parametrize("name", [("nedap", "serial"), ("axxonsoft", "serial")], ids="-".join)
def test_lines_are_written_and_nobody_acknowledges_them(name: tuple[str, str], pair: Pair, tmp_path: Path) -> None:
    summary = work(name, tmp_path / "j", "--to", pair.path, "--reads", "6", "--unread", "0.3", "--scattered")
    lines = journal_of(tmp_path / "j")
    size = sum(line["sent_bytes"] for line in lines)
    until(lambda: len(pair.data) == size, "the last line")
    assert summary["sent"] == 6
    assert_same(name, [Seen(pair.data)], lines)


@pytest.mark.parametrize("pair", [2], indirect=True)
def test_packets_are_repeated_until_they_are_acknowledged(pair: Pair, tmp_path: Path) -> None:
    more = ("--to", pair.path, "--reads", "4", "--shape", "packets", "--garbage", "0.7", "--seed", "2")
    summary = work(("nedap", "serial"), tmp_path / "j", *more)
    lines = journal_of(tmp_path / "j")
    assert {(line["verdict"], line["acknowledged_by"]) for line in lines} == {("stored", "nedap")}
    assert [line["tries"] for line in lines] == [3, 1, 1, 1]
    assert [number for number, _ in pair.packets] == [1, 1, 1, 2, 3, 4]
    assert summary["garbage"] > 0
    assert_same(("nedap", "serial"), [Seen(data) for _, data in pair.packets[2:]], lines)
    assert len(nedap_raw([Seen(data) for _, data in pair.packets])) == 6


def test_packets_that_nobody_acknowledges_are_given_up(pair: Pair, tmp_path: Path) -> None:
    summary = work(("nedap", "serial"), tmp_path / "j", "--to", pair.path, "--reads", "1", "--shape", "packets")
    assert (summary["gave_up"], summary["tries"]) == (1, 4)


# --- FTP


@pytest.fixture
def ftp(tmp_path: Path) -> Iterator[tuple[str, Path, list[Path]]]:
    """A real server; where it listens, its folder, and the files that came to their end, in order."""
    root = tmp_path / "uploads"
    root.mkdir()
    received: list[Path] = []

    class Handler(FTPHandler):  # type: ignore[misc]  # pyftpdlib has no types
        authorizer = DummyAuthorizer()
        banner = "a roadside"

        def on_file_received(self, file: str) -> None:
            received.append(Path(file))

    Handler.authorizer.add_user("camera", "secret", str(root), perm="elamw")
    server = FTPServer(("127.0.0.1", 0), Handler)
    ended = threading.Event()

    def serve() -> None:
        while not ended.is_set():
            server.serve_forever(timeout=0.05, blocking=False, handle_exit=False)
        server.close_all()

    thread = threading.Thread(target=serve)
    thread.start()
    yield f"ftp://127.0.0.1:{server.address[1]}", root, received
    ended.set()
    thread.join(LIMIT_S)


@pytest.mark.parametrize("name", UPLOADED, ids="-".join)
@pytest.mark.parametrize("open_", ["--keep-alive", "--no-keep-alive"])
def test_uploads_are_stored_where_the_journal_says_so(
    name: tuple[str, str], open_: str, ftp: tuple[str, Path, list[Path]], tmp_path: Path
) -> None:
    to, root, received = ftp
    login = ("--login", "camera:secret")
    summary = work(name, tmp_path / "j", "--to", to, *login, "--reads", "5", "--unread", "0.3", open_)
    lines = journal_of(tmp_path / "j")
    assert {(line["verdict"], line["status"], line["acknowledged_by"]) for line in lines} == {("stored", 226, "ftp")}
    assert summary["connections"] == (1 if open_ == "--keep-alive" else 5)
    seen = [Seen(path.read_bytes(), path=str(path.relative_to(root))) for path in received]
    assert_same(name, seen, lines)


def test_an_upload_that_was_cut_comes_again(ftp: tuple[str, Path, list[Path]], tmp_path: Path) -> None:
    to, _, received = ftp
    habits = ("--cut", "0.5", "--garbage", "0.5", "--duplicates", "0.3", "--retry-for", "20")
    more = ("--login", "camera:secret", "--reads", "5", "--to", to)
    summary = work(("genetec", "ftp"), tmp_path / "j", *more, *habits)
    assert summary["stored"] == 5
    assert summary["cut"] > 0
    names = {path.name for path in received}
    assert len(names) == 5 + ("ftp_test.txt" in names) == 6


def test_a_server_that_refuses_is_written_down(ftp: tuple[str, Path, list[Path]], tmp_path: Path) -> None:
    to, _, received = ftp
    more = ("--login", "camera:wrong", "--retry-for", "0", "--reads", "1", "--to", to)
    summary = work(("axis", "ftp"), tmp_path / "j", *more)
    lines = journal_of(tmp_path / "j")
    assert [(line["verdict"], line["status"]) for line in lines] == [("refused", 530)]
    assert (summary["refused"], received) == (1, [])


# --- MQTT


def test_publications_are_stored_when_the_broker_says_so_and_replays_are_no_reads(tmp_path: Path) -> None:
    came: list[paho.MQTTMessage] = []
    with children(tmp_path / "logs") as them:
        broker = them.start("broker", ["simulators", "broker", "--kind", "amqtt"])
        port = int(str(them.wait_for("the broker", broker.last_json, LIMIT_S)["port"]))
        subscribed = threading.Event()
        client = paho.Client(CallbackAPIVersion.VERSION2, client_id="reader", protocol=paho.MQTTv311)
        client.on_message = lambda _c, _u, message: came.append(message)
        client.on_subscribe = lambda *_: subscribed.set()
        client.connect("127.0.0.1", port)
        client.loop_start()
        client.subscribe("+/onvif-ej/#", 1)
        assert subscribed.wait(LIMIT_S)
        more = ("--reads", "6", "--unread", "0.3", "--replays", "0.7", "--to", f"127.0.0.1:{port}")
        summary = work(("onvif", "mqtt"), tmp_path / "j", *more)
        until(lambda: len(came) >= 6 + summary["replays"], "the last publication")
        client.disconnect()
        client.loop_stop()
    lines = journal_of(tmp_path / "j")
    assert {(line["verdict"], line["acknowledged_by"]) for line in lines} == {("stored", "puback")}
    assert summary["replays"] > 0
    assert {message.topic.split("/", 2)[1] for message in came} == {"onvif-ej"}
    assert_same(("onvif", "mqtt"), [Seen(message.payload) for message in came], lines)


def test_a_camera_waits_for_its_broker(tmp_path: Path) -> None:
    port = site_files.free_port()
    more = ("--reads", "2", "--to", f"127.0.0.1:{port}")
    command = [sys.executable, "-m", "simulators", "camera", "--as", "onvif", "--journal", str(tmp_path / "j")]
    camera = subprocess.Popen(
        [*command, "--size", "320x180", *more], stdout=subprocess.PIPE, cwd=Path(__file__).parents[2]
    )
    try:
        with children(tmp_path / "logs") as them:
            broker = them.start("broker", ["simulators", "broker", "--kind", "amqtt", "--port", str(port)])
            them.wait_for("the broker", broker.last_json, LIMIT_S)
            out, _ = camera.communicate(timeout=LIMIT_S)
        assert b'"stored": 2' in out
    finally:
        camera.kill()
        camera.wait()


# --- options


def test_options_that_do_not_fit_together_are_named(tmp_path: Path) -> None:
    wrong = {
        ("--as", "nedap", "--over", "push"): "--as nedap has --over serial",
        ("--as", "nedap", "--shape", "xml"): "--shape raw or packets or packets-le",
        ("--as", "genetec"): "--to must say whom it calls",
        ("--as", "genetec", "--to", "nowhere"): "--to must be HOST:PORT",
    }
    for options_, words in wrong.items():
        command = [sys.executable, "-m", "simulators", "camera", "--journal", str(tmp_path / "j"), *options_]
        done = subprocess.run(command, capture_output=True, text=True, cwd=Path(__file__).parents[2])
        assert done.returncode == 64
        assert words in done.stderr
        assert socket.gethostname() not in done.stderr
