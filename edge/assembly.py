"""The one assembler: joins the rooms into a node, and takes them apart in reverse order.

Nothing is decided here. A task that fails takes the process with it; only the broker connection is retried in place.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from typing import Any

from capture.dialects import dialect_named
from capture.receive import Bounds, Dialect, Receiver
from compress.evidence import evidence, without_pictures
from compress.inspect import Limits as ImageLimits
from compress.reason import Reason
from compress.surround import Mode, Surround
from edge import keys, statusfile
from edge.clock import Clock, cores
from edge.doors import grabbed, open_doors, open_grabber
from edge.intake import Intake
from edge.ledger import Ledger
from edge.node import Node
from edge.notify import Notifier
from edge.read import Evidence, Read
from edge.retention import Terms
from edge.schema import make_folder
from edge.seal import sealer
from edge.worker import LedgerThread
from firmware_config.load import Loaded
from firmware_config.model import Camera as CameraSettings
from firmware_config.profile import max_age_days


@asynccontextmanager
async def node(loaded: Loaded, notifier: Notifier) -> AsyncIterator[Node]:
    """A running node, ready for its cameras; taken down in reverse order on leaving."""
    settings, clock = loaded.settings, Clock()
    make_folder(settings.paths.runtime, "paths.runtime")
    async with AsyncExitStack() as down:
        thread = LedgerThread(
            partial(_open_ledger, loaded, clock),
            settings.ledger.group_commit_ms / 1000,
            settings.ledger.group_commit_reads,
        )
        ledger = await thread.start()
        down.push_async_callback(thread.stop)
        pool = ThreadPoolExecutor(settings.compress.threads or max(1, cores() - 1), "image")
        down.callback(pool.shutdown)
        made = Node(loaded, clock, thread, ledger.session, ledger.epoch)
        thread.tended = lambda done: made.courier.look_again() if done.put_back else made.courier.ring()
        tasks = await down.enter_async_context(_stoppable())
        tasks(_fatal(thread.failed))
        tasks(made.link.run())
        down.push_async_callback(made.last_words)
        tasks(made.courier.run(made.link.up.wait, made.link.went_down.wait))
        tasks(made.take_receipts())
        tasks(made.reporter.run(made.link.up.wait, made.link.went_down.wait))
        grabber = await open_grabber(loaded, made.frame_lines, clock.now, down)
        grab = None if grabber is None else partial(grabbed, loaded, grabber)
        made.intake = Intake(made.cameras, _fit(loaded, pool), thread.commit, made.health, made.courier.ring, grab)
        made.doors = await open_doors(loaded, _receiver(loaded, made, made.intake, clock), made.lines, clock.now, down)
        tasks(made.doors.failed())
        for background in (
            made.probe_cameras(),
            made.write_down_refusals(),
            made.forget(),
            made.feed_watchdog(notifier),
        ):
            tasks(background)
        await made.write_status(notifier)
        down.callback(statusfile.remove, settings.paths.runtime)
        tasks(made.report_locally(notifier))
        notifier.ready()
        try:
            yield made
        finally:
            notifier.stopping()


@asynccontextmanager
async def _stoppable() -> AsyncIterator[Callable[[Any], None]]:
    """A task group that ends its tasks when it is left. A failed one ends whoever is inside."""
    running: list[asyncio.Task[Any]] = []
    async with asyncio.TaskGroup() as group:
        try:
            yield lambda work: running.append(group.create_task(work))
        finally:
            for task in running:
                task.cancel()


async def _fatal(failed: asyncio.Future[None]) -> None:
    await asyncio.shield(failed)


def _open_ledger(loaded: Loaded, clock: Clock) -> Ledger:
    settings = loaded.settings
    return Ledger.open(
        settings.paths.state,
        node=settings.node.node,
        signer=keys.load_signer(loaded.resolve(settings.keys.sign)),
        sealer=sealer(settings.node.node, keys.load_seal_key(loaded.resolve(settings.keys.seal_to))),
        clock=clock,
        max_bytes=settings.ledger.max_bytes,
        config_digest=loaded.digest,
        terms=Terms(max_age_days(loaded.profile, settings.ledger.max_age_days) * 86_400_000),
        ballast_bytes=settings.ledger.ballast_bytes,
    )


def _fit(loaded: Loaded, pool: ThreadPoolExecutor) -> Callable[[Read], Awaitable[Evidence]]:
    limits = ImageLimits(
        max_source_bytes=loaded.settings.capture.http_push.max_delivery_bytes,
        max_source_pixels=loaded.settings.compress.max_source_pixels,
    )
    chosen = loaded.settings.compress.surround
    surround = None if chosen.mode == "off" else Surround(Mode(chosen.mode), chosen.sigma_px)

    async def fit(read: Read) -> Evidence:
        fitting = asyncio.get_running_loop().run_in_executor(pool, evidence, read, loaded.caps, limits, surround)
        try:
            async with asyncio.timeout(loaded.settings.compress.deadline_s):
                return await fitting
        except TimeoutError:
            return without_pictures(read, Reason.TOO_SLOW)

    return fit


def _receiver(loaded: Loaded, made: Node, intake: Intake, clock: Clock) -> Receiver:
    """The one door behind every way in."""
    settings = loaded.settings
    capture = settings.capture
    dialects = {camera.id: dialect_of(camera) for camera in settings.cameras}
    bounds = Bounds(in_hand=capture.http_push.in_hand, of_one=capture.of_one, per_s=capture.per_s, burst=capture.burst)
    set_aside = made.quarantine.set_aside if made.quarantine is not None else lambda *_: None
    return Receiver(made.cameras, dialects, intake, bounds, set_aside, clock.mono_ns)


def dialect_of(camera: CameraSettings) -> Dialect:
    """The dialect a camera is configured with, with its mapping where it has one."""
    if camera.mapping is None:
        return dialect_named(camera.dialect)
    return dialect_named(camera.dialect, camera.mapping.for_dialect())
