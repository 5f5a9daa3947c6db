"""`anpr-edge run`: the service, until SIGTERM or SIGINT."""

from __future__ import annotations

import argparse
import asyncio
import logging
import signal

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
        assert running.listening is not None
        log.info(
            "ready: session %d, %d cameras, port %d", running.session, len(running.cameras), running.listening.port
        )
        await stop.wait()
        log.info("stopping")
