"""A camera of any vendor that takes pictures of traffic and hands them over in that vendor's way.

What it heard is in its journal, line by line, on disk before the next event: the only account of the node's promise
that the node did not write. The journal holds no plate and no picture.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import re
import signal
import sys
from dataclasses import replace
from datetime import UTC, timedelta, timezone
from pathlib import Path

from simulators.over.building import NoSuchPlace, Place, carrier_for
from simulators.over.carrier import Habits, Temper
from simulators.over.life import Camera, Scene
from simulators.over.ways import VENDORS, WAYS, Way, ways_of
from simulators.payloads import Device, Headers
from simulators.vendors.telling import Mount

WRONG_USE = 64
HABITS: tuple[str, ...] = (
    "retry_for_s",
    "duplicates",
    "bytes_per_s",
    "cut",
    "garbage",
    "left_open",
    "keep_alive",
    "scattered",
)
HABITS += ("lie", "gap_s", "replays")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    overs = sorted({over for _, over in WAYS})
    parser.add_argument("--as", "--dialect", dest="vendor", choices=VENDORS, default="hikvision")
    parser.add_argument("--over", choices=overs, help="default: the vendor's first way")
    parser.add_argument("--to", metavar="URL|HOST:PORT|DEVICE", help="whom it calls; not where it is called")
    parser.add_argument("--from", dest="source", default="127.0.0.11", metavar="ADDRESS", help="on loopback")
    parser.add_argument("--port", type=int, default=0, help="where it is called; 0: any free one, which it says")
    parser.add_argument("--login", type=login, metavar="NAME:PASSWORD", help="asked of callers, or given to the node")
    parser.add_argument("--scheme", choices=("digest", "basic"), default="digest", help="of a login that it gives")
    parser.add_argument("--baud", type=int, default=9600)
    parser.add_argument("--mac", default="02:00:00:00:00:01", help="the identity it sends")
    parser.add_argument("--rate", type=float, default=2.0, help="vehicles a second, on average")
    parser.add_argument("--reads", type=int, help="end after this many events; default: go on")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--journal", type=Path, required=True, metavar="FILE")
    parser.add_argument("--size", type=size, default=(1920, 1080), metavar="WxH")
    parser.add_argument("--infrared", action="store_true")
    parser.add_argument("--unread", type=share, default=0.03, metavar="SHARE", help="vehicles without a read, 0 to 1")
    parser.add_argument("--parallel", type=int, default=2, help="pushes in hand at a time")
    parser.add_argument("--heartbeat", type=float, metavar="SECONDS", help="0: none")
    _add_clock(parser.add_argument_group("clock"))
    _add_forms(parser.add_argument_group("forms of the vendor"))
    _add_habits(parser.add_argument_group("habits; without them, the vendor's own"))


def _add_clock(group: argparse._ArgumentGroup) -> None:
    group.add_argument("--tz-offset", type=zone, default=UTC, metavar="+HH:MM", help="of its face; default +00:00")
    group.add_argument("--stamp-offset", type=zone, metavar="+HH:MM", help="written where the vendor writes one")
    group.add_argument("--clock-error", type=float, default=0.0, metavar="SECONDS", help="its clock is so far ahead")


def _add_forms(group: argparse._ArgumentGroup) -> None:
    group.add_argument("--headers", type=Headers, choices=list(Headers), default=Headers.PLAIN)
    group.add_argument("--shape", help="one of the vendor's forms; an unknown one is answered with their names")
    group.add_argument("--template", default="", help="of Vaxtor and Nedap")
    group.add_argument("--misread", type=share, default=0.0, metavar="SHARE", help="first words that are wrong")
    group.add_argument("--groups", type=share, metavar="SHARE", help="passages that come twice under one name")
    group.add_argument("--unexpanded", type=share, metavar="SHARE", help="messages whose date was not filled in")


def _add_habits(group: argparse._ArgumentGroup) -> None:
    group.add_argument("--retry-for", dest="retry_for_s", type=float, metavar="SECONDS", help="per event; 0: one try")
    group.add_argument("--duplicates", type=share, metavar="SHARE", help="events that are delivered once more")
    group.add_argument("--slow", dest="bytes_per_s", type=int, metavar="BYTES_PER_S", help="0: at once")
    group.add_argument("--cut", type=share, metavar="SHARE", help="first tries that end in the middle")
    group.add_argument("--garbage", type=share, metavar="SHARE", help="events with something else before them")
    group.add_argument("--left-open", type=share, metavar="SHARE", help="half messages on connections that are left")
    group.add_argument("--keep-alive", action=argparse.BooleanOptionalAction, help="one connection for all events")
    group.add_argument("--scattered", action=argparse.BooleanOptionalAction, help="written in pieces that end anywhere")
    group.add_argument("--lie", type=share, metavar="SHARE", help="announced lengths that are wrong")
    group.add_argument("--gap", dest="gap_s", type=float, metavar="SECONDS", help="between the messages of one event")
    group.add_argument("--replays", type=share, metavar="SHARE", help="events that are told again as the state")


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


def share(text: str) -> float:
    """Raises `ValueError`, which argparse reports, for what is not from 0 to 1."""
    number = float(text)
    if not 0 <= number <= 1:
        raise ValueError("a share is from 0 to 1")
    return number


def login(text: str) -> tuple[str, str]:
    """`name:password`. Raises `ValueError`, which argparse reports."""
    name, colon, password = text.partition(":")
    if not name or not colon:
        raise ValueError("not of the form NAME:PASSWORD")
    return name, password


def run(args: argparse.Namespace) -> int:
    """Work until the events are done or SIGTERM; prints one line of JSON. 64 where the options do not fit."""
    try:
        camera = made(args)
    except NoSuchPlace as problem:
        print(problem, file=sys.stderr)
        return WRONG_USE
    print(json.dumps(asyncio.run(_until_told(camera))), flush=True)
    return 0


def made(args: argparse.Namespace) -> Camera:
    """The camera that the options describe. Raises `NoSuchPlace` where they do not fit together."""
    over = args.over or ways_of(args.vendor)[0]
    way = WAYS.get((args.vendor, over))
    if way is None:
        raise NoSuchPlace(f"--as {args.vendor} has --over {' or '.join(ways_of(args.vendor))}")
    if args.shape is not None and args.shape not in way.shapes:
        raise NoSuchPlace(f"--as {args.vendor} --over {over} has --shape {' or '.join(way.shapes) or '(none)'}")
    mount = _mount(way, args)
    given = {name: value for name in HABITS if (value := getattr(args, name)) is not None}
    temper = Temper(_habits(way, given), random.Random(f"habits {args.seed} {args.mac}"))
    place = Place(args.to, args.source, args.port, args.parallel, args.login, args.scheme, args.baud)
    carrier = carrier_for(way, mount, place, temper)
    return Camera((args.vendor, over), way, mount, _scene(way, args), carrier, temper)


def _habits(way: Way, given: dict[str, float]) -> Habits:
    return replace(way.habits, **given)  # type: ignore[arg-type]  # argparse has seen to the types


def _mount(way: Way, args: argparse.Namespace) -> Mount:
    return Mount(
        device=Device(mac=args.mac, address=args.source),
        stamp=args.stamp_offset or way.stamp,
        shape=args.shape or way.shapes[0],
        headers=args.headers,
        template=args.template,
        misread=args.misread,
        groups=way.groups if args.groups is None else args.groups,
        unexpanded=way.unexpanded if args.unexpanded is None else args.unexpanded,
    )


def _scene(way: Way, args: argparse.Namespace) -> Scene:
    return Scene(
        journal=args.journal,
        rate_per_s=args.rate,
        reads=args.reads,
        seed=args.seed,
        zone=args.tz_offset,
        clock_error=timedelta(seconds=args.clock_error),
        size_px=args.size,
        infrared=args.infrared,
        unread=args.unread,
        heartbeat_s=way.heartbeat_s if args.heartbeat is None else args.heartbeat,
    )


async def _until_told(camera: Camera) -> dict[str, object]:
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, camera.stop)
    return await camera.work(lambda found: print(json.dumps(found), flush=True))
