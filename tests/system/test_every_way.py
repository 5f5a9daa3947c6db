"""A node with a camera on each way in: every read is receipted, and a line that is pulled says so and mends itself."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from cabled import Camera, until_told
from many_ways import Ports, all_of, every_camera, last_status, settings
from whole_site import Site

from edge.situation import LINK_POOR_S
from simulators.site_files import free_port
from tests.fixtures.peers_mqtt import Broker, brokers

READS = 4
UP_LIMIT_S = 60.0
"""Two waits of the back-off's ceiling of 30 s: the node was told "no" for so long that it waits longest."""
DOWN_LIMIT_S = LINK_POOR_S + 30.0


@pytest.fixture
def make_broker(tmp_path: Path) -> Iterator[Callable[..., Broker]]:
    yield from brokers(tmp_path)


def plates(camera: Camera, batch: int) -> list[str]:
    """Of one camera alone, and of no vehicle."""
    return [f"{camera.name[:3].upper()}{batch}{number}QXJ" for number in range(READS)]


def at_the_store(site: Site) -> Counter[tuple[Any, ...]]:
    """Camera and plate of every read."""
    return Counter(site.store_rows("SELECT camera, vrm FROM records WHERE kind = 'read'"))


def links(site: Site, cameras: list[Camera]) -> dict[str, Any]:
    """Each camera's line, of those that have one."""
    reports = last_status(site)["cameras"]
    return {camera.name: reports[camera.name]["link"] for camera in cameras if camera.lines}


def alerts(site: Site, cameras: list[Camera]) -> dict[str, dict[str, Any]]:
    """Of each camera, the alert that its pulled cable makes."""
    found = last_status(site)["alerts"]
    codes = {camera.name: camera.alert for camera in cameras}
    return {each["camera"]: each for each in found if codes.get(each["camera"]) == each["code"]}


async def delivered(site: Site, cameras: list[Camera], batches: int) -> None:
    """One more batch of each camera, and everything so far at the store, receipted, once."""

    async def deliver(camera: Camera) -> None:
        for plate in plates(camera, batches):
            await camera.deliver(plate)

    await all_of(cameras, deliver)
    every = Counter((c.name, plate) for c in cameras for batch in range(1, batches + 1) for plate in plates(c, batch))
    await until_told("every read at the store", lambda: not every - at_the_store(site), 60)
    assert at_the_store(site) - every == Counter(), "each once"
    await until_told("its receipts", lambda: site.ledger_rows("SELECT waiting FROM totals") == [(0,)], 60)


async def everything_is_up(site: Site, cameras: list[Camera]) -> None:
    def up() -> bool:
        told = links(site, cameras).values()
        return all(link is not None and link["up"] for link in told) and not alerts(site, cameras)

    await until_told("every line", up, UP_LIMIT_S)


async def the_pull_is_told(site: Site, cameras: list[Camera]) -> None:
    """All at once: each line is down by its word, and each camera has its alert."""
    await until_told("the alerts", lambda: len(alerts(site, cameras)) == len(cameras), DOWN_LIMIT_S)
    told, said = links(site, cameras), alerts(site, cameras)
    for camera in cameras:
        if camera.lines:
            link = told[camera.name]
            assert (link["up"], link["lost"]) == (False, 1), camera.name
            assert link["why"] in camera.lines, (camera.name, link)
            assert link["age_s"] >= LINK_POOR_S
            assert said[camera.name]["sentence"].endswith(f"down: {link['why']}")
    print({name: link["why"] for name, link in told.items()})


@pytest.mark.mosquitto
def test_every_way_delivers_and_comes_back(make_site: Callable[..., Site], make_broker: Callable[..., Broker]) -> None:
    ports = Ports(free_port(), free_port())
    site = make_site(settings=settings(ports), kind="mosquitto")
    cameras = every_camera(site, ports, make_broker())
    site.start_broker()
    site.start_backoffice()

    async def scene() -> None:
        try:
            for camera in cameras:
                await camera.stand()
                camera.configure()
            node = await asyncio.to_thread(site.start_node)
            await all_of(cameras, lambda camera: camera.mend())
            await everything_is_up(site, cameras)
            await delivered(site, cameras, 1)
            before = await until_told("the counts", lambda: whole_status(site, cameras), 10)
            assert before["refused"] == {}

            await all_of(cameras, lambda camera: camera.pull())
            await the_pull_is_told(site, cameras)

            await all_of(cameras, lambda camera: camera.mend())
            await cameras[0].deliver(plates(cameras[0], 2)[0])
            await everything_is_up(site, cameras)
            await delivered(site, cameras, 2)
            after = last_status(site)
            assert (after["pid"], after["session"]) == (before["pid"], before["session"]), "nobody started it anew"
            assert set(after["refused"]) <= {"cut_off"}, "of the upload that was cut, and of nothing else"
            assert await asyncio.to_thread(node.stop) == 0
        finally:
            for camera in cameras:
                await camera.leave()

    asyncio.run(scene())


def whole_status(site: Site, cameras: list[Camera]) -> dict[str, Any] | None:
    """The status once it counts every read of the first batch."""
    told = last_status(site)
    counted = [told["cameras"][camera.name]["reads"]["stored"] for camera in cameras]
    return told if counted == [READS] * len(cameras) else None
