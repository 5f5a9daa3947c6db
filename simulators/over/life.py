"""A camera from its start to its end: it takes pictures of traffic, hands events over, and writes down what it heard.

The journal is on disk, line by line, before the next event: the only account of the node's promise that the node did
not write. It holds no plate and no picture; of a plate, a hash that is salted with the event's id.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import random
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from pathlib import Path

from simulators.over.carrier import Carrier, Heard, Temper
from simulators.over.ways import Way
from simulators.payloads import Event, event
from simulators.pictures import Road
from simulators.traffic import Vehicle, vehicles
from simulators.vendors.telling import Mount, Telling, epoch_ms, plate_digest

MEMORY = 32
"""Events that a camera holds while nobody takes them; then it takes no more pictures."""
LAST_BEAT_S = 1.0
"""A sign of life that is half written when the last event is through gets so long to be finished."""
SUMMARY: tuple[str, ...] = (
    "captured",
    "stored",
    "refused",
    "gave_up",
    "sent",
    "unheard",
    "overtaken",
    "unread",
    "tries",
    "heartbeats",
)
SUMMARY += ("duplicates", "cut", "garbage", "left_open", "replays")


@dataclass(frozen=True, slots=True)
class Scene:
    """What passes, and how it is seen. `reads` None: without end. `zone` and `clock_error` make its clock's face."""

    journal: Path
    rate_per_s: float
    reads: int | None
    seed: int
    zone: timezone
    clock_error: timedelta
    size_px: tuple[int, int]
    infrared: bool
    unread: float
    heartbeat_s: float


@dataclass(frozen=True, slots=True)
class Shot:
    """One event with the very bytes that every try sends."""

    taken_ms: int
    what: Event = field(repr=False)
    telling: Telling = field(repr=False)


class Camera:
    """Artist, couriers and heartbeat of one camera, from start to `stop`."""

    def __init__(
        self, name: tuple[str, str], way: Way, mount: Mount, scene: Scene, carrier: Carrier, temper: Temper
    ) -> None:
        self._name = name
        self._way = way
        self._mount = mount
        self._scene = scene
        self._carrier = carrier
        self._temper = temper
        self._chance = random.Random(f"{scene.seed} {mount.device.mac}")
        self._memory: asyncio.Queue[Shot | None] = asyncio.Queue(MEMORY)
        self._counts = temper.counts
        self._done = asyncio.Event()

    def stop(self) -> None:
        """Take no more pictures, finish the try in hand, give up the rest."""
        self._temper.stopping.set()

    async def work(self, say: Callable[[dict[str, object]], None]) -> dict[str, object]:
        """Returns the summary once every event has a verdict; first `say`s where it can be found, if it listens."""
        scene, carrier = self._scene, self._carrier
        began = time.monotonic()
        scene.journal.parent.mkdir(parents=True, exist_ok=True)
        with scene.journal.open("a", encoding="utf-8") as journal:
            if found := await carrier.open():
                say(found)
            heartbeat = asyncio.create_task(self._beat())
            try:
                await carrier.awaited()
                async with asyncio.TaskGroup() as tasks:
                    tasks.create_task(self._take_pictures())
                    for _ in range(carrier.parallel):
                        tasks.create_task(self._hand_over_all(journal.fileno()))
            finally:
                self._done.set()
                await asyncio.wait({heartbeat}, timeout=LAST_BEAT_S)
                heartbeat.cancel()
                await asyncio.gather(heartbeat, return_exceptions=True)
                await carrier.close()
        vendor, over = self._name
        others = {name: count for name, count in sorted(self._counts.items()) if name not in SUMMARY}
        return {
            "camera": self._mount.device.mac,
            "vendor": vendor,
            "over": over,
            **{name: self._counts[name] for name in SUMMARY},
            **others,
            "seconds": round(time.monotonic() - began, 3),
        }

    async def _take_pictures(self) -> None:
        """Draw ahead of time, then take the picture in the moment the vehicle passes.

        The time that is sent is the moment of the picture: an event that has to wait shows in it.
        """
        scene = self._scene
        loop = asyncio.get_running_loop()
        road = await asyncio.to_thread(Road, scene.seed, scene.size_px, infrared=scene.infrared)
        start = loop.time()
        for vehicle in self._traffic():
            pictures = await asyncio.to_thread(road.take, vehicle)
            await self._temper.pause(start + vehicle.at_s - loop.time())
            if self._temper.stopping.is_set():
                break
            self._counts["captured"] += 1
            self._counts["unread"] += not vehicle.readable
            now = datetime.now(scene.zone)
            now = now.replace(microsecond=now.microsecond // 1000 * 1000)  # no two readers round alike
            what = event(self._chance, now + scene.clock_error, vehicle, pictures)
            await self._memory.put(Shot(epoch_ms(now), what, self._way.tell(self._mount, what)))
        for _ in range(self._carrier.parallel):
            await self._memory.put(None)

    def _traffic(self) -> Iterator[Vehicle]:
        scene = self._scene
        name = f"{scene.seed} {self._mount.device.mac}"
        for count, vehicle in enumerate(vehicles(name, scene.rate_per_s, unread=scene.unread)):
            if scene.reads is not None and count >= scene.reads:
                return
            yield vehicle

    async def _hand_over_all(self, journal: int) -> None:
        while (shot := await self._memory.get()) is not None:
            if self._temper.happens(self._temper.habits.garbage):
                self._counts["garbage"] += 1
                other = self._way.other
                await self._carrier.stray(other(self._mount, self._now()) if other else None)
            heard = await self._carrier.carry(shot.telling)
            self._counts[heard.verdict] += 1
            os.write(journal, json.dumps(self._line(shot, heard)).encode() + b"\n")
            os.fsync(journal)
            if self._way.replay is not None and self._temper.happens(self._temper.habits.replays):
                self._counts["replays"] += 1
                await self._carrier.beat(self._way.replay(self._mount, shot.what))

    def _line(self, shot: Shot, heard: Heard) -> dict[str, object]:
        """`at_ms`: when the verdict was heard; `taken_ms`: the picture's moment; `told_ms`: what the event says."""
        truth = shot.telling.truth
        vendor, over = self._name
        return {
            "uuid": shot.telling.uuid,
            "verdict": heard.verdict,
            "status": heard.status,
            "tries": heard.tries,
            "at_ms": time.time_ns() // 1_000_000,
            "readable": shot.what.vehicle.readable,
            "vendor": vendor,
            "over": over,
            "acknowledged_by": self._carrier.acknowledges if heard.verdict == "stored" else None,
            "messages": len(shot.telling.messages),
            "sent_bytes": heard.sent_bytes,
            "taken_ms": shot.taken_ms,
            "told_ms": truth.at_ms,
            "within_ms": truth.within_ms,
            "plate_sha256": plate_digest(shot.telling.uuid, truth.plate),
            "direction": truth.direction.value if truth.direction else None,
            "confidence": truth.confidence,
            "pictures": truth.pictures,
            "tells": truth.tells,
            "vendor_id": truth.vendor_id,
        }

    def _now(self) -> datetime:
        return datetime.now(self._scene.zone) + self._scene.clock_error

    async def _beat(self) -> None:
        if self._way.life is None or self._scene.heartbeat_s <= 0:
            return
        while not self._done.is_set():
            if await self._carrier.beat(self._way.life(self._mount, self._now())):
                self._counts["heartbeats"] += 1
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._done.wait(), self._scene.heartbeat_s)
