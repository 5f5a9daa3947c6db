"""Simulated cameras that push over HTTP, against a real server: all that the journal says was stored, arrived whole."""

from __future__ import annotations

import argparse
import asyncio
import itertools
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from simulators.camera import add_arguments, made
from simulators.over.ways import WAYS, Transport
from tests.unit.test_simulated_camera_forms import READERS, Seen

LIMIT_S = 40.0
PUSHED = [name for name, way in WAYS.items() if way.transport is Transport.PUSH]
LIVELY = [name for name in PUSHED if WAYS[name].life is not None]


def options(vendor: str, over: str, journal: Path, *more: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    common = ["--as", vendor, "--over", over, "--journal", str(journal), "--size", "320x180", "--rate", "200"]
    common += ["--mac", "02:00:00:00:00:07", "--from", "127.0.0.24", "--tz-offset=+01:00", "--gap", "0"]
    return parser.parse_args([*common, *more])


def journal_of(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


class Ear:
    """Keeps every whole request, and answers with the next of `answers` and with what the vendors wait for."""

    def __init__(self, answers: Iterator[int] | None = None, said: str | None = None) -> None:
        self.answers = answers or itertools.repeat(200)
        self.said = said
        self.seen: list[Seen] = []
        self.stray = 0
        self.cut = 0

    async def hear(self, request: web.Request) -> web.Response:
        try:
            body = await request.read()
        except (ConnectionError, web.RequestPayloadError):
            self.cut += 1
            raise
        if request.method == "GET":
            self.stray += 1
            return web.Response(status=404)
        headers = {name.lower(): value for name, value in request.headers.items()}
        self.seen.append(Seen(body, request.headers.get("Content-Type", ""), request.path, headers))
        said = {"Result": True, "ResponseCode": 0, "ResponseURL": request.path}
        return web.Response(status=next(self.answers), text=json.dumps(said) if self.said is None else self.said)


def scene(ear: Ear, name: tuple[str, str], journal: Path, *more: str, path: str = "/") -> dict[str, Any]:
    """One camera, from start to end, against the ear; its summary."""

    async def both() -> dict[str, Any]:
        app = web.Application(client_max_size=8 << 20)
        app.router.add_route("*", "/{rest:.*}", ear.hear)
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        port = runner.addresses[0][1]
        try:
            camera = made(options(*name, journal, "--to", f"http://127.0.0.1:{port}{path}", *more))
            return await camera.work(lambda _: None)
        finally:
            await runner.cleanup()

    return asyncio.run(asyncio.wait_for(both(), LIMIT_S))


def assert_same(name: tuple[str, str], seen: list[Seen], lines: list[dict[str, Any]]) -> None:
    """For each line of the journal that tells of a passage exactly one read, and no read without a line."""
    found = READERS[name](seen)
    lines = [line for line in lines if line["tells"]]
    assert len(found) == len(lines)
    for line in lines:
        assert sum(read.is_of(line) for read in found) == 1


@pytest.mark.parametrize("name", PUSHED, ids="-".join)
def test_every_vendor_delivers_what_its_journal_says(name: tuple[str, str], tmp_path: Path) -> None:
    ear = Ear()
    summary = scene(ear, name, tmp_path / "j", "--reads", "5", "--unread", "0.3")
    lines = journal_of(tmp_path / "j")
    assert (summary["captured"], summary["stored"], len(lines)) == (5, 5, 5)
    assert {(line["verdict"], line["status"], line["acknowledged_by"]) for line in lines} == {("stored", 200, "http")}
    assert_same(name, ear.seen, lines)
    assert summary["heartbeats"] >= (1 if WAYS[name].heartbeat_s else 0)


@pytest.mark.parametrize("name", PUSHED, ids="-".join)
def test_bad_habits_lose_nothing_that_the_journal_calls_stored(name: tuple[str, str], tmp_path: Path) -> None:
    ear = Ear(itertools.chain([503], itertools.repeat(200)))
    habits = ["--cut", "0.5", "--left-open", "0.3", "--duplicates", "0.5", "--garbage", "0.5", "--retry-for", "30"]
    summary = scene(ear, name, tmp_path / "j", "--reads", "6", "--parallel", "1", "--heartbeat", "0", *habits)
    lines = journal_of(tmp_path / "j")
    assert summary["stored"] == 6
    assert summary["cut"] > 0
    assert summary["duplicates"] > 0
    assert summary["garbage"] > 0
    assert summary["left_open"] > 0
    assert summary["tries"] == sum(line["tries"] for line in lines) > sum(line["messages"] for line in lines)
    found = READERS[name](ear.seen)
    assert all(any(read.is_of(line) for read in found) for line in lines if line["tells"])


@pytest.mark.parametrize("name", LIVELY, ids="-".join)
def test_signs_of_life_come_as_often_as_they_are_told_to(name: tuple[str, str], tmp_path: Path) -> None:
    ear = Ear()
    summary = scene(ear, name, tmp_path / "j", "--reads", "4", "--rate", "4", "--heartbeat", "0.1", "--unread", "0")
    assert summary["heartbeats"] >= 2
    assert len(READERS[name](ear.seen)) == 4


@pytest.mark.parametrize("name", [("dahua", "push"), ("uniview", "push")], ids="-".join)
def test_an_answer_without_the_right_words_is_none(name: tuple[str, str], tmp_path: Path) -> None:
    ear = Ear(said="")
    summary = scene(ear, name, tmp_path / "j", "--reads", "1", "--retry-for", "0.3", "--heartbeat", "0")
    assert summary["gave_up"] == 1
    assert [(line["verdict"], line["status"]) for line in journal_of(tmp_path / "j")] == [("gave_up", 200)]
    assert len(ear.seen) == summary["tries"] >= 2
    assert len({seen.body for seen in ear.seen}) == 1


def test_a_slow_camera_takes_its_time(tmp_path: Path) -> None:
    ear = Ear()
    more = ("--reads", "1", "--slow", "40000", "--heartbeat", "0")
    summary = scene(ear, ("hikvision", "push"), tmp_path / "j", *more)
    assert summary["stored"] == 1
    assert summary["seconds"] > len(ear.seen[0].body) / 40_000 * 0.9
    assert ear.seen[0].headers["content-length"] == str(len(ear.seen[0].body))


def test_a_path_that_was_given_is_used_for_everything(tmp_path: Path) -> None:
    ear = Ear()
    scene(ear, ("dahua", "push"), tmp_path / "j", "--reads", "1", path="/secret")
    assert {seen.path for seen in ear.seen} == {"/secret"}


def test_a_clock_that_is_out_is_in_what_is_told_and_not_in_what_was_taken(tmp_path: Path) -> None:
    ear = Ear()
    scene(ear, ("verkada", "push"), tmp_path / "j", "--reads", "2", "--clock-error", "-3600")
    lines = journal_of(tmp_path / "j")
    assert {line["taken_ms"] - line["told_ms"] for line in lines} == {3_600_000}
    assert_same(("verkada", "push"), ear.seen, lines)


def test_no_plate_and_no_picture_is_in_a_journal(tmp_path: Path) -> None:
    ear = Ear()
    scene(ear, ("generic", "push"), tmp_path / "j", "--reads", "3", "--unread", "0")
    text = (tmp_path / "j").read_text()
    for seen in ear.seen:
        told = json.loads(seen.body)
        assert told["plate"] not in text
        assert told["plate"].replace(" ", "") not in text
    assert len(text) < 3 * 700
