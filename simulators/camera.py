"""A camera that takes pictures of traffic and pushes them over HTTP until it hears that they are stored.

What it heard is in its journal, line by line, on disk before the next event: the only account of the node's promise
that the node did not write. The journal holds no plate and no picture.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import random
import re
import signal
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import aiohttp

from simulators.payloads import Device, Headers, Push, event, generic_json, hikvision_heartbeat, hikvision_push
from simulators.pictures import Pictures, Road
from simulators.traffic import Vehicle, vehicles

DIALECTS = ("hikvision", "generic")
MEMORY = 32
"""Events that a camera holds while nobody takes them; then it takes no more pictures."""
PAUSES_S = (0.5, 1.0, 2.0, 4.0, 5.0)
ANSWER_LIMIT_S = 10.0
STORED = 200


@dataclass(frozen=True, slots=True)
class Setup:
    """How one camera is mounted and set. `reads` None means without end; `retry_for_s` is per event."""

    dialect: str
    url: str
    device: Device
    journal: Path
    headers: Headers
    rate_per_s: float
    reads: int | None
    seed: int
    zone: timezone
    size_px: tuple[int, int]
    infrared: bool
    retry_for_s: float
    heartbeat_s: float
    unread: float
    parallel: int
    keep_alive: bool


@dataclass(frozen=True, slots=True)
class Shot:
    """One event with the very bytes that every try sends."""

    uuid: str
    push: Push = field(repr=False)
    readable: bool


class Camera:
    """Artist, pushers and heartbeat of one camera, from start to `stop`."""

    def __init__(self, setup: Setup) -> None:
        self._setup = setup
        self._chance = random.Random(f"{setup.seed} {setup.device.mac}")
        self._memory: asyncio.Queue[Shot | None] = asyncio.Queue(MEMORY)
        self._stopping = asyncio.Event()
        self._counts: Counter[str] = Counter()

    def stop(self) -> None:
        """Take no more pictures, finish the try in hand, give up the rest."""
        self._stopping.set()

    async def work(self) -> dict[str, object]:
        """Returns the summary once every event has a verdict."""
        setup = self._setup
        began = time.monotonic()
        connector = aiohttp.TCPConnector(
            local_addr=(setup.device.address, 0), force_close=not setup.keep_alive, limit=setup.parallel + 1
        )
        limit = aiohttp.ClientTimeout(total=ANSWER_LIMIT_S)
        setup.journal.parent.mkdir(parents=True, exist_ok=True)
        with setup.journal.open("a", encoding="utf-8") as journal:
            async with aiohttp.ClientSession(connector=connector, timeout=limit) as http:
                heartbeat = asyncio.create_task(self._beat(http))
                async with asyncio.TaskGroup() as tasks:
                    tasks.create_task(self._take_pictures())
                    for _ in range(setup.parallel):
                        tasks.create_task(self._push_all(http, journal.fileno()))
                heartbeat.cancel()
                await asyncio.gather(heartbeat, return_exceptions=True)
        names = ("captured", "stored", "refused", "gave_up", "unread", "tries", "heartbeats")
        return {
            "camera": setup.device.mac,
            **{name: self._counts[name] for name in names},
            "seconds": round(time.monotonic() - began, 3),
        }

    async def _take_pictures(self) -> None:
        """Draw ahead of time, then take the picture in the moment the vehicle passes.

        The time that is sent is the moment of the picture: a push that has to wait shows in it.
        """
        setup = self._setup
        loop = asyncio.get_running_loop()
        road = await asyncio.to_thread(Road, setup.seed, setup.size_px, infrared=setup.infrared)
        start = loop.time()
        for vehicle in self._traffic():
            pictures = await asyncio.to_thread(road.take, vehicle)
            await self._pause(start + vehicle.at_s - loop.time())
            if self._stopping.is_set():
                break
            self._counts["captured"] += 1
            self._counts["unread"] += not vehicle.readable
            await self._memory.put(self._shot(vehicle, pictures))
        for _ in range(setup.parallel):
            await self._memory.put(None)

    def _traffic(self) -> Iterator[Vehicle]:
        setup = self._setup
        name = f"{setup.seed} {setup.device.mac}"
        for count, vehicle in enumerate(vehicles(name, setup.rate_per_s, unread=setup.unread)):
            if setup.reads is not None and count >= setup.reads:
                return
            yield vehicle

    def _shot(self, vehicle: Vehicle, pictures: Pictures) -> Shot:
        setup = self._setup
        what = event(self._chance, datetime.now(setup.zone), vehicle, pictures)
        if setup.dialect == "generic":
            return Shot(what.uuid, generic_json(setup.device.mac, what), vehicle.readable)
        return Shot(what.uuid, hikvision_push(setup.device, what, setup.headers), vehicle.readable)

    async def _push_all(self, http: aiohttp.ClientSession, journal: int) -> None:
        while (shot := await self._memory.get()) is not None:
            line = await self._push(http, shot)
            self._counts[str(line["verdict"])] += 1
            os.write(journal, json.dumps(line).encode() + b"\n")
            os.fsync(journal)

    async def _push(self, http: aiohttp.ClientSession, shot: Shot) -> dict[str, object]:
        """Send the same bytes until the answer is 200, or the time for retries is over, or the camera is stopped."""
        deadline = time.monotonic() + self._setup.retry_for_s
        tries = 0
        status: int | None = None
        while not self._stopping.is_set():
            tries += 1
            self._counts["tries"] += 1
            status = await self._post(http, shot.push)
            if status == STORED or time.monotonic() >= deadline:
                break
            await self._pause(min(PAUSES_S[min(tries, len(PAUSES_S)) - 1], deadline - time.monotonic()))
        refused = status is not None and 400 <= status < 500
        return {
            "uuid": shot.uuid,
            "verdict": "stored" if status == STORED else "refused" if refused else "gave_up",
            "status": status,
            "tries": tries,
            "at_ms": time.time_ns() // 1_000_000,
            "readable": shot.readable,
        }

    async def _post(self, http: aiohttp.ClientSession, push: Push) -> int | None:
        """The status of the answer, or None where none came."""
        headers = {"Content-Type": push.content_type}
        try:
            async with http.post(self._setup.url, data=push.body, headers=headers) as answer:
                await answer.read()
                return answer.status
        except (aiohttp.ClientError, TimeoutError, OSError):
            return None

    async def _beat(self, http: aiohttp.ClientSession) -> None:
        setup = self._setup
        if setup.dialect != "hikvision" or setup.heartbeat_s <= 0:
            return
        while True:
            if await self._post(http, hikvision_heartbeat(setup.device, datetime.now(setup.zone))) == STORED:
                self._counts["heartbeats"] += 1
            await asyncio.sleep(setup.heartbeat_s)

    async def _pause(self, seconds: float) -> None:
        if seconds > 0:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), seconds)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--as", dest="dialect", choices=DIALECTS, default="hikvision")
    parser.add_argument("--to", required=True, metavar="URL")
    parser.add_argument("--from", dest="source", default="127.0.0.11", metavar="ADDRESS", help="on loopback")
    parser.add_argument("--mac", default="02:00:00:00:00:01", help="the identity it sends")
    parser.add_argument("--rate", type=float, default=2.0, help="vehicles a second, on average")
    parser.add_argument("--reads", type=int, help="end after this many events; default: go on")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--journal", type=Path, required=True, metavar="FILE")
    parser.add_argument("--tz-offset", type=zone, default=UTC, metavar="+HH:MM", help="default +00:00")
    parser.add_argument("--size", type=size, default=(1920, 1080), metavar="WxH")
    parser.add_argument("--headers", type=Headers, choices=list(Headers), default=Headers.PLAIN)
    parser.add_argument("--infrared", action="store_true")
    parser.add_argument("--retry-for", type=float, default=300.0, metavar="SECONDS", help="for each event; 0: one try")
    parser.add_argument("--heartbeat", type=float, default=5.0, metavar="SECONDS", help="0: none")
    parser.add_argument("--unread", type=float, default=0.03, metavar="SHARE", help="vehicles without a read, 0 to 1")
    parser.add_argument("--parallel", type=int, default=2, help="pushes in hand at a time")
    parser.add_argument("--keep-alive", action="store_true", help="default: a connection for each event")


def zone(text: str) -> timezone:
    """`+01:00` as a zone. Raises `ValueError`, which argparse reports."""
    found = re.fullmatch(r"([+-])(\d\d):(\d\d)", text)
    if found is None:
        raise ValueError("not of the form +HH:MM")
    minutes = int(found[2]) * 60 + int(found[3])
    return timezone(timedelta(minutes=-minutes if found[1] == "-" else minutes))


def size(text: str) -> tuple[int, int]:
    """`1920x1080` as width and height. Raises `ValueError`, which argparse reports."""
    width, _, height = text.partition("x")
    return int(width), int(height)


def run(args: argparse.Namespace) -> int:
    """Work until the events are done or SIGTERM; prints one line of JSON."""
    setup = Setup(
        dialect=args.dialect,
        url=args.to,
        device=Device(mac=args.mac, address=args.source),
        journal=args.journal,
        headers=args.headers,
        rate_per_s=args.rate,
        reads=args.reads,
        seed=args.seed,
        zone=args.tz_offset,
        size_px=args.size,
        infrared=args.infrared,
        retry_for_s=args.retry_for,
        heartbeat_s=args.heartbeat,
        unread=args.unread,
        parallel=args.parallel,
        keep_alive=args.keep_alive,
    )
    print(json.dumps(asyncio.run(_until_told(Camera(setup)))), flush=True)
    return 0


async def _until_told(camera: Camera) -> dict[str, object]:
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, camera.stop)
    return await camera.work()
