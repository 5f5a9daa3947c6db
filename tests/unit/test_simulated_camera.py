"""A simulated camera tells the truth about what it heard; without that, no account of a loss means anything."""

from __future__ import annotations

import asyncio
import itertools
import json
import re
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from pathlib import Path

from aiohttp import web

from simulators import site_files

ROOT = Path(__file__).resolve().parents[2]
LIMIT_S = 30.0


def wait_until(true: Callable[[], bool], what: str, limit_s: float = LIMIT_S) -> None:
    deadline = time.monotonic() + limit_s
    while not true():
        assert time.monotonic() < deadline, f"waited {limit_s} s for {what}"
        time.sleep(0.02)


class Ear:
    """A small HTTP server that keeps what cameras sent, and answers what it is told to."""

    def __init__(self, answers: Iterator[int]) -> None:
        self.answers = answers
        self.events: list[tuple[str, str, bytes]] = []
        self.heartbeats = 0
        self.port = 0

    async def hear(self, request: web.Request) -> web.Response:
        body = await request.read()
        if b"videoloss" in body:
            self.heartbeats += 1
            return web.Response()
        self.events.append((request.remote or "", request.headers.get("Connection", ""), body))
        return web.Response(status=next(self.answers))


@asynccontextmanager
async def listening(ear: Ear) -> AsyncIterator[None]:
    app = web.Application(client_max_size=8 << 20)
    app.router.add_post("/", ear.hear)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    ear.port = runner.addresses[0][1]
    try:
        yield
    finally:
        await runner.cleanup()


def camera_command(port: int, journal: Path, *more: str) -> list[str]:
    common = ["--size", "640x360", "--journal", str(journal), "--rate", "50", "--from", "127.0.0.23"]
    return [sys.executable, "-m", "simulators", "camera", "--to", f"http://127.0.0.1:{port}/", *common, *more]


def with_camera(ear: Ear, journal: Path, *more: str, until: Callable[[], bool] | None = None) -> dict[str, int]:
    """Run a camera against the ear, ended by SIGTERM once `until` holds; returns its summary."""

    async def scene() -> dict[str, int]:
        async with listening(ear):
            camera = await asyncio.create_subprocess_exec(
                *camera_command(ear.port, journal, *more), cwd=ROOT, stdout=asyncio.subprocess.PIPE
            )
            if until is not None:
                await asyncio.to_thread(wait_until, until, "the moment to stop")
                camera.send_signal(signal.SIGTERM)
            out, _ = await camera.communicate()
            assert camera.returncode == 0
            found: dict[str, int] = json.loads(out.splitlines()[-1])
            return found

    return asyncio.run(asyncio.wait_for(scene(), LIMIT_S))


def journal_lines(journal: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in journal.read_text().splitlines()]


def uuid_of(body: bytes) -> str:
    found = re.search(rb"<UUID>(.+)</UUID>", body)
    assert found is not None
    return found[1].decode()


def test_a_camera_sends_the_same_bytes_until_it_hears_200(tmp_path: Path) -> None:
    ear = Ear(iter([503, 500, *[200] * 10]))
    summary = with_camera(ear, tmp_path / "j", "--reads", "4", "--parallel", "1", "--unread", "0.5")
    assert (summary["captured"], summary["stored"], summary["tries"]) == (4, 4, 6)
    bodies = [body for _, _, body in ear.events]
    assert bodies[0] == bodies[1] == bodies[2] != bodies[3]
    assert {(address, connection) for address, connection, _ in ear.events} == {("127.0.0.23", "close")}
    lines = journal_lines(tmp_path / "j")
    assert [(line["verdict"], line["tries"]) for line in lines] == [("stored", 3), *[("stored", 1)] * 3]
    assert [line["uuid"] for line in lines] == [uuid_of(body) for body in bodies[2:]]
    assert ear.heartbeats >= 1


def test_a_camera_that_is_refused_says_so_and_goes_on(tmp_path: Path) -> None:
    ear = Ear(iter([422, 503, 200]))
    with_camera(ear, tmp_path / "j", "--reads", "3", "--parallel", "1", "--retry-for", "0", "--keep-alive")
    assert [line["verdict"] for line in journal_lines(tmp_path / "j")] == ["refused", "gave_up", "stored"]
    assert "close" not in {connection for _, connection, _ in ear.events}


def test_a_camera_gives_up_where_nobody_listens(tmp_path: Path) -> None:
    port = site_files.free_port()
    command = camera_command(port, tmp_path / "j", "--reads", "2", "--retry-for", "0.2")
    done = subprocess.run(command, cwd=ROOT, capture_output=True, timeout=LIMIT_S)
    assert done.returncode == 0
    assert [(line["verdict"], line["status"]) for line in journal_lines(tmp_path / "j")] == [("gave_up", None)] * 2


def test_sigterm_ends_a_camera_after_the_event_in_hand(tmp_path: Path) -> None:
    ear = Ear(itertools.repeat(200))
    summary = with_camera(ear, tmp_path / "j", until=lambda: len(ear.events) >= 5)
    lines = journal_lines(tmp_path / "j")
    assert len(lines) == summary["captured"]
    assert sorted(line["uuid"] for line in lines if line["verdict"] == "stored") == sorted(  # type: ignore[type-var]
        uuid_of(body) for _, _, body in ear.events
    )


def test_a_generic_camera_speaks_json(tmp_path: Path) -> None:
    ear = Ear(itertools.repeat(200))
    with_camera(ear, tmp_path / "j", "--as", "generic", "--reads", "2", "--tz-offset=+01:00")
    told = [json.loads(body) for _, _, body in ear.events]
    assert {one["id"] for one in told} == {line["uuid"] for line in journal_lines(tmp_path / "j")}
    assert all(datetime.fromisoformat(one["captured_at"]).utcoffset() == timedelta(hours=1) for one in told)
