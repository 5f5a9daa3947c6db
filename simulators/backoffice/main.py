"""Runs the reference store: `python -m simulators backoffice`.

It says ready only when its page answers and the broker has granted its subscription; it never prints a key or a plate.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import signal
import sqlite3
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from aiohttp import web

from simulators.backoffice.broker import Address, Connection
from simulators.backoffice.chains import Chains
from simulators.backoffice.figures import Figures
from simulators.backoffice.intake import Intake
from simulators.backoffice.keys import BadKey, NodeKeys, StoreKeys, make_or_load
from simulators.backoffice.page import make_app
from simulators.backoffice.store import Store


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what the back office can be told."""
    parser.add_argument("--state", type=Path, metavar="DIR", help="folder of its database")
    parser.add_argument("--keys", type=Path, metavar="DIR", required=True, help="folder of its keys, made if missing")
    parser.add_argument("--nodes", type=Path, metavar="DIR", help="folder with one <node>.pub.pem per node")
    parser.add_argument("--broker", type=_host_port, metavar="HOST:PORT")
    parser.add_argument("--mqtt", type=int, choices=(5, 3), default=5, help="protocol: 5, or 3 for 3.1.1")
    parser.add_argument("--ca", type=Path, metavar="FILE", help="trusted certificates; without it, no TLS")
    parser.add_argument("--cert", type=Path, metavar="FILE", help="client certificate (with --ca and --key)")
    parser.add_argument("--key", type=Path, metavar="FILE", help="the client certificate's private key")
    parser.add_argument("--http", type=_host_port, metavar="HOST:PORT", default=("127.0.0.1", 0), help="the page")
    parser.add_argument("--make-keys", action="store_true", help="make the keys and leave")


def run(args: argparse.Namespace) -> int:
    """Run until a signal ends it. Returns 0, 1 where it could not go on, or 2 where the arguments do not fit."""
    wrong = _misfit(args)
    if wrong:
        _say(wrong)
        return 2
    try:
        keys = make_or_load(args.keys)
        if not args.make_keys:
            asyncio.run(_serve(args, keys))
    except (OSError, BadKey, sqlite3.Error) as error:
        _say(f"cannot go on: {error}")
        return 1
    return 0


def _misfit(args: argparse.Namespace) -> str | None:
    needed = {"--state": args.state, "--nodes": args.nodes, "--broker": args.broker}
    absent = [name for name, value in needed.items() if value is None]
    if absent and not args.make_keys:
        return f"needed unless --make-keys: {', '.join(absent)}"
    if (args.cert is None) != (args.key is None) or (args.cert is not None and args.ca is None):
        return "--cert and --key belong together, and need --ca"
    return None


async def _serve(args: argparse.Namespace, keys: StoreKeys) -> None:
    loop = asyncio.get_running_loop()
    subscribed, ended = asyncio.Event(), asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, ended.set)
    host, port = args.broker
    address = Address(host=host, port=port, mqtt=args.mqtt, ca=args.ca, certificate=args.cert, key=args.key)

    def on_subscribed() -> None:
        loop.call_soon_threadsafe(subscribed.set)

    connection = Connection(address, on_subscribed, _say)
    store = Store(args.state)
    try:
        chains = Chains(store)
        intake = Intake(store, chains, keys, NodeKeys(args.nodes), connection.send)
        async with _page(Figures(store, chains, intake), args.http) as page:
            await _work(intake, connection, subscribed, ended, page)
    finally:
        store.close()


async def _work(
    intake: Intake, connection: Connection, subscribed: asyncio.Event, ended: asyncio.Event, page: str
) -> None:
    """Announce readiness, then wait for a signal, or for the worker to fail; its failure is raised here."""
    connection.start(intake.take)
    worker = asyncio.create_task(asyncio.to_thread(intake.run))
    announcer = asyncio.create_task(_announce(subscribed, page))
    ending = asyncio.create_task(ended.wait())
    await asyncio.wait({worker, ending}, return_when=asyncio.FIRST_COMPLETED)
    announcer.cancel()
    ending.cancel()
    intake.stop(alive=not worker.done())
    try:
        await worker  # the receipts of what was queued still go out
    finally:
        await asyncio.to_thread(connection.stop)


async def _announce(subscribed: asyncio.Event, page: str) -> None:
    await subscribed.wait()
    print(json.dumps({"page": page, "ready": True}), flush=True)


@asynccontextmanager
async def _page(figures: Figures, where: tuple[str, int]) -> AsyncIterator[str]:
    runner = web.AppRunner(make_app(figures), access_log=None)
    await runner.setup()
    try:
        site = web.TCPSite(runner, *where)
        await site.start()
        host, port = runner.addresses[0][:2]
        yield f"http://[{host}]:{port}/" if ":" in host else f"http://{host}:{port}/"
    finally:
        await runner.cleanup()


def _host_port(text: str) -> tuple[str, int]:
    host, _, port = text.rpartition(":")
    if not host or not port.isdecimal() or int(port) > 65_535:
        raise argparse.ArgumentTypeError("must be HOST:PORT")
    return host.strip("[]"), int(port)


def _say(text: str) -> None:
    print(f"backoffice: {text}", file=sys.stderr, flush=True)
