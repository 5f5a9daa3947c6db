"""`anpr-edge run`: the service, until SIGTERM or SIGINT."""

from __future__ import annotations

import argparse
import asyncio
import logging
import signal
from collections.abc import Mapping

from edge.assembly import node
from edge.commands.output import config_argument
from edge.notify import Notifier
from firmware_config.load import Loaded, load

HELP = "the service: take in, keep, send"

log = logging.getLogger(__name__)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    config_argument(parser)


def run(args: argparse.Namespace) -> int:
    asyncio.run(_serve(load(args.config)))
    return 0


async def _serve(loaded: Loaded) -> None:
    stop, loop = asyncio.Event(), asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    async with node(loaded, Notifier.from_environment()) as running:
        assert running.doors is not None
        log.info(
            "ready: session %d, %d cameras, %s", running.session, len(running.cameras), _ports(running.doors.ports)
        )
        await stop.wait()
        log.info("stopping")


def _ports(ports: Mapping[str, int]) -> str:
    """`port 8080, ftp_drop 21`: where cameras are listened to."""
    return ", ".join(
        [f"port {ports['http_push']}", *(f"{way} {at}" for way, at in ports.items() if way != "http_push")]
    )
