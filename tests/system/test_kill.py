"""Killed without warning, again and again, the node keeps every promise that a camera heard."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from itertools import pairwise

import pytest
from overheard import Overheard
from whole_site import CameraRun, Process, Site, until

STARTING_S = 1.5
"""Moments of a start at which a kill may fall: with it the node is often not yet, and sometimes just, ready."""
SERVING_S = 1.2
REPORTED = ("gaps", "tail_missing", "broken_links", "head_differs", "rollbacks", "unverified", "over_cap")


def pause_until(moment: float) -> None:
    """The kill's moment is what is drawn here; no condition is waited for."""
    until("the moment of a kill", lambda: time.monotonic() >= moment)


def kill_at_a_random_moment(site: Site, node: Process, chance: random.Random) -> tuple[Process, bool]:
    """Kill the node, start it anew; half of the new ones become ready, the others are killed before they may be."""
    node.kill()
    starting = chance.random() < 0.5
    again = site.start_node(ready=not starting)
    pause_until(time.monotonic() + chance.uniform(0, STARTING_S if starting else SERVING_S))
    return again, not starting


def killed(site: Site, seed: int, kills: int) -> list[bool]:
    """The site after so many kills, ready again; for each start whether it was waited for until it was ready."""
    print(f"seed {seed}")
    chance = random.Random(seed)
    node, ready = site.start_node(), [True]
    pause_until(time.monotonic() + chance.uniform(0, SERVING_S))
    for _ in range(kills):
        node, was_ready = kill_at_a_random_moment(site, node, chance)
        ready.append(was_ready)
    site.wait_ready(node)
    ready[-1] = True
    return ready


def all_arrived(site: Site, cameras: list[CameraRun]) -> bool:
    stored = set().union(*(camera.stored() for camera in cameras))
    return stored <= site.held().keys() and site.ledger_rows("SELECT waiting FROM totals") == [(0,)]


@pytest.mark.parametrize(
    ("kills", "kind"),
    [
        (5, "amqtt"),
        pytest.param(50, "amqtt", marks=pytest.mark.slow),
        pytest.param(50, "mosquitto", marks=[pytest.mark.slow, pytest.mark.mosquitto]),
    ],
)
def test_what_was_heard_stored_is_at_the_store_once(make_site: Callable[..., Site], kills: int, kind: str) -> None:
    site = make_site(kind=kind)
    site.start_broker()
    site.start_backoffice()
    with Overheard(site) as overheard:
        cameras = [site.start_camera(each, "--rate", "3", "--heartbeat", "1") for each in site.mounted]
        ready = killed(site, seed=20_260_101 + kills, kills=kills)
        finish(site, cameras)
        stored = set().union(*(camera.stored() for camera in cameras))
        held = site.held()
        assert len(stored) > 2 * kills
        assert any(line["tries"] > 1 for camera in cameras for line in camera.heard()), "no kill met a push"
        assert stored - held.keys() == set()
        assert {vendor_id: times for vendor_id, times in held.items() if times != 1} == {}
        until("a heartbeat's word on the tail", lambda: site.ask("figures")["tail_missing"] == 0)
        figures = site.ask("figures")
        assert {name: figures[name] for name in REPORTED} == dict.fromkeys(REPORTED, 0)
        assert figures["refused"] == {}
        assert site.command("verify").returncode == 0
        check_sessions(site, ready, [birth["session"] for birth in overheard.named("birth")])


def finish(site: Site, cameras: list[CameraRun]) -> None:
    """Some more reads after the last kill, then the cameras' end, then everything's arrival."""
    heard_after = sum(len(camera.stored()) for camera in cameras)
    until("the stream after the last kill", lambda: sum(len(c.stored()) for c in cameras) >= heard_after + 10)
    for camera in cameras:
        assert camera.process.stop() == 0, camera.process.log.read_text()
    until("every read that was heard stored", lambda: all_arrived(site, cameras), 180)


def check_sessions(site: Site, ready: list[bool], births: list[int]) -> None:
    """One session for each start that came to open its ledger, in one row; every birth is of one of them."""
    (epochs,) = site.ask("missing").values()
    sessions = sorted(int(epoch[:8], 16) for epoch in epochs)
    assert sessions == list(range(1, len(sessions) + 1))
    print(f"{len(ready)} starts, {sum(ready)} of them waited for, {len(sessions)} sessions")
    assert sum(ready) <= len(sessions) <= len(ready)
    assert all(before < after for before, after in pairwise(births)), births
    assert set(births) <= set(sessions)
    assert births[-1] == sessions[-1]
