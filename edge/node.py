"""A running node: its parts, and what it can say of itself. Built and taken down by `edge.assembly`."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from capture.quarantine import FOLDER, Quarantine
from edge import camera as edge_camera
from edge import keys, statusfile
from edge.admit import utc_day
from edge.camera import AuthorisationState
from edge.changes import Enter, Settle, Tier
from edge.claim import Outcome
from edge.clock import Clock
from edge.doors import Doors
from edge.flow import FlowMeter, Sample
from edge.health import FRAMES, READS, CameraHealth, Lines, camera_summary
from edge.intake import Intake
from edge.ledger import Ledger, row_of
from edge.notify import Notifier
from edge.probes.certificates import days_left
from edge.probes.disk import disk
from edge.probes.reach import answers
from edge.read import Record
from edge.seal import sealer
from edge.situation import Situation, status_line
from edge.version import VERSION, software
from edge.worker import LedgerThread
from firmware_config.authorise import cameras as known_cameras
from firmware_config.load import Loaded
from firmware_config.model import host_port
from uplink.courier import Courier, Terms
from uplink.double import Double
from uplink.hours import OffPeak, hours
from uplink.mqtt import BrokerAddress, MqttLink, Tls
from uplink.reporter import Reporter
from uplink.wire import Address, state_message

STATUS_EVERY_S = 2.0
REFUSALS_EVERY_S = 3600.0
FORGET_EVERY_S = 60.0
LAST_RECEIPT_S, LAST_WORDS_S = 2.0, 5.0


class LedgerShelf:
    """What the courier may ask of the ledger, through its thread."""

    def __init__(self, thread: LedgerThread) -> None:
        self._thread = thread

    async def waiting(self, tier: Tier, after_row: int, until_row: int, limit: int) -> tuple[Record, ...]:
        return await self._thread.ask(lambda ledger: ledger.waiting(tier, after_row, until_row, limit))

    async def last_row(self) -> int:
        return await self._thread.ask(lambda ledger: ledger.usage().last_row)

    async def settle(self, settle: Settle) -> int | Outcome:
        return await self._thread.commit(settle)


class Node:
    """A node of one configuration, from its ledger outwards. Made by `node`, which also takes it down."""

    def __init__(self, loaded: Loaded, clock: Clock, thread: LedgerThread, session: int, epoch: bytes) -> None:
        settings = loaded.settings
        self._loaded = loaded
        self._clock = clock
        self._thread = thread
        self.session = session
        self._began_s = clock.mono_s()
        self.cameras = known_cameras(settings)
        self.health = {
            camera.id: CameraHealth(camera.id, camera.silent_after_s, clock.now().mono_ns)
            for camera in settings.cameras
        }
        self.address = Address(settings.node.operator, settings.node.site, settings.node.node)
        self.double = Double(session, epoch.hex(), clock.mono_s)
        self.link = _link(loaded, self.address, session, self._received)
        verifier = settings.keys.receipts_from
        store_keys = [keys.load_verifier(loaded.resolve(verifier))] if verifier is not None else []
        self.courier = Courier(
            LedgerShelf(thread),
            self.link,
            self.address,
            {key.kid: key for key in store_keys},
            _terms(loaded),
            clock.mono_s,
        )
        self.reporter = Reporter(
            self.link,
            self.address,
            session,
            _birth(loaded, session, epoch, self.cameras),
            self.situation,
            self._checkpoint,
            settings.health.heartbeat_s,
            clock.mono_s,
        )
        self._receipts: asyncio.Queue[bytes] = asyncio.Queue(1000)
        self._meter = FlowMeter()
        self._turned_away: Counter[str] = Counter()
        self.doors: Doors | None = None
        self.quarantine = _quarantine(loaded)
        self.lines = Lines(self.health, READS, clock.mono_ns)
        self.frame_lines = Lines(self.health, FRAMES, clock.mono_ns)
        self.intake: Intake | None = None

    def _received(self, topic: str, payload: bytes) -> None:
        """Receipts, of which one too many is dropped (the store says it again), and births under this node's name."""
        if topic == self.address.topic("birth"):
            self.double.heard(payload, born=self.reporter.born)
        elif not self._receipts.full():
            self._receipts.put_nowait(payload)

    async def take_receipts(self) -> None:
        while True:
            await self.courier.receipt(await self._receipts.get())

    async def _checkpoint(self) -> bytes:
        return await self._thread.ask(Ledger.checkpoint)

    async def situation(self) -> Situation:
        """How the node is at this moment."""
        settings, now = self._loaded.settings, self._clock.now()
        usage = await self._thread.ask(Ledger.usage)
        self._meter.note(Sample(self._clock.mono_s(), usage.entered_bytes, usage.left_bytes))
        today, certificate = utc_day(now.utc_ms), settings.uplink.certificate
        authorised = {
            camera.id: camera.authorisation.state(today) is AuthorisationState.AUTHORISED for camera in self.cameras
        }
        receipt_s = self.courier.last_receipt_s
        return Situation(
            at_ms=now.utc_ms,
            session=self.session,
            uptime_s=int(self._clock.mono_s() - self._began_s),
            boot_id=now.boot_id,
            version=VERSION,
            config_digest=self._loaded.digest,
            clock=self._clock.quality(),
            usage=usage,
            flow=self._meter.flow(usage.waiting_bytes, max(0, usage.max_bytes - usage.used_bytes)),
            disk_free_bytes=disk(settings.paths.state).free_bytes,
            certificate_days=days_left(self._loaded.resolve(certificate) if certificate else None, now.utc_ms),
            uplink_up=self.link.up.is_set(),
            uplink_problem=self.link.last_problem,
            uplink={
                **self.courier.counts,
                "connects": self.link.connects,
                "set_aside": self.courier.set_aside,
                "takeovers": self.link.takeovers + self.double.births,
                "broker": self.link.place,
            },
            taken_over=self.link.taken_over() or self.double.seen(),
            receipt_age_s=None if receipt_s is None else int(self._clock.mono_s() - receipt_s),
            acknowledge=settings.uplink.acknowledge,
            cameras={name: each.report(now.mono_ns, authorised[name]) for name, each in self.health.items()},
            camera_states=camera_summary(list(self.health.values()), now.mono_ns),
            authorisation_days={camera.id: camera.authorisation.days_left(today) for camera in self.cameras},
        )

    async def report_locally(self, notifier: Notifier) -> None:
        """Keep `status.json` and systemd's line true."""
        while True:
            await self.write_status(notifier)
            await asyncio.sleep(STATUS_EVERY_S)

    async def write_status(self, notifier: Notifier) -> None:
        assert self.doors is not None
        now = await self.situation()
        notifier.status(status_line(now))
        statusfile.write(self._loaded.settings.paths.runtime, now, self._at_the_door(self.doors))

    def _at_the_door(self, doors: Doors) -> dict[str, Any]:
        return {
            "refused": self._refused(),
            "put_off": dict(doors.put_off),
            "ports": doors.ports,
            "quarantine": None if self.quarantine is None else dict(self.quarantine.counts),
        }

    def _refused(self) -> dict[str, int]:
        assert self.doors is not None
        by_reason = Counter(self.doors.refused())
        for each in self.health.values():
            by_reason.update(each.reasons)
        return dict(by_reason)

    async def feed_watchdog(self, notifier: Notifier) -> None:
        """Only after a trip through this loop and the ledger thread: a timer alone would prove nothing."""
        if notifier.watchdog_s is None:
            return
        while True:
            await self._thread.ask(Ledger.ping)
            notifier.alive()
            await asyncio.sleep(notifier.watchdog_s / 3)

    async def probe_cameras(self) -> None:
        """Ask each camera that has a probe address whether it answers."""
        asked = [(camera.id, host_port(camera.probe)) for camera in self._loaded.settings.cameras if camera.probe]
        while asked:
            found = await asyncio.gather(*(answers(host, port) for _, (host, port) in asked))
            for (name, _), reachable in zip(asked, found, strict=True):
                self.health[name].reachable = reachable
            await asyncio.sleep(self._loaded.settings.health.heartbeat_s)

    async def write_down_refusals(self) -> None:
        while True:
            await asyncio.sleep(REFUSALS_EVERY_S)
            await self.enter_refusals()

    async def forget(self) -> None:
        """What is kept for a time only goes when the time is over, whether something new comes or not."""
        while True:
            if self.intake is not None:
                self.intake.forget(self._clock.mono_ns())
            if self.quarantine is not None:
                with suppress(OSError):
                    await self.quarantine.forget_old(self._clock.now().utc_ms)
            await asyncio.sleep(FORGET_EVERY_S)

    async def enter_refusals(self) -> None:
        """What was turned away since the last time, at the door and in the intake, as one act."""
        if self.doors is None or self.intake is None:
            return  # the door never opened: nothing was turned away
        now = Counter(self.doors.refused())
        for reason, count in (now - self._turned_away).items():
            self.intake.refusals.counts["unknown", reason] += count
        self._turned_away = now
        await self.intake.write_down_refusals()

    async def last_words(self) -> None:
        """The acts of stopping, and the state; within a bound, for the broker may be away."""
        await self.enter_refusals()
        seq = await self._thread.commit(Enter("stopped", {}))
        self.courier.ring()
        if self.link.up.is_set() and isinstance(seq, int):
            with suppress(TimeoutError):
                async with asyncio.timeout(LAST_RECEIPT_S):
                    await self._until_let_go(row_of(self.session, seq))
        with suppress(TimeoutError):
            async with asyncio.timeout(LAST_WORDS_S):
                await self.reporter.say_stopped(self._clock.now().utc_ms)

    async def _until_let_go(self, row: int) -> None:
        """Until the store has this record. A receipt still on its way at the end would reset the connection, and the
        broker, not having read the DISCONNECT, would say `lost` of a clean stop.
        """
        while True:
            settled = self.courier.settlement()
            if not await self._thread.ask(lambda ledger: ledger.waiting(Tier.FIRST, row - 1, row, 1)):
                return
            await settled.wait()


def _quarantine(loaded: Loaded) -> Quarantine | None:
    """Where there is a key of the engineers' to seal to."""
    settings = loaded.settings
    if settings.keys.quarantine_to is None:
        return None
    return Quarantine(settings.paths.state / FOLDER, keys.load_seal_key(loaded.resolve(settings.keys.quarantine_to)))


def _link(loaded: Loaded, address: Address, session: int, received: Callable[[str, bytes], None]) -> MqttLink:
    uplink = loaded.settings.uplink
    host, port = host_port(uplink.broker)
    broker = BrokerAddress(host, port, tls_of(loaded), uplink.protocol, uplink.keepalive_s, client_id(loaded))
    will = state_message(address, "lost", session, None)
    others = [
        BrokerAddress(*host_port(other), tls_of(loaded), uplink.protocol, uplink.keepalive_s, client_id(loaded))
        for other in uplink.other_brokers or ()
    ]
    heard = [address.topic("receipt"), address.topic("birth")]  # the second may be refused
    return MqttLink(broker, will, heard, received, others=others)


def client_id(loaded: Loaded) -> str:
    """The node's name at the broker."""
    names = loaded.settings.node
    return f"anpr-edge-{names.operator}-{names.site}-{names.node}"


def tls_of(loaded: Loaded) -> Tls | None:
    uplink = loaded.settings.uplink
    if not uplink.tls or uplink.ca is None or uplink.certificate is None or uplink.key is None:
        return None
    return Tls(loaded.resolve(uplink.ca), loaded.resolve(uplink.certificate), loaded.resolve(uplink.key))


def _terms(loaded: Loaded) -> Terms:
    uplink, cheap = loaded.settings.uplink, None
    if uplink.off_peak:
        when = hours(uplink.off_peak, uplink.zone)
        cheap = OffPeak(when, uplink.off_peak_rate_bytes_per_s, uplink.overviews == "off_peak")
    return Terms(
        window_bytes=uplink.window_bytes,
        backlog_share_percent=uplink.backlog_share_percent,
        receipt_timeout_s=uplink.receipt_timeout_s,
        broker_is_enough=uplink.acknowledge == "broker",
        rate_bytes_per_s=uplink.rate_bytes_per_s,
        off_peak=cheap,
    )


def _birth(loaded: Loaded, session: int, epoch: bytes, known: tuple[edge_camera.Camera, ...]) -> dict[str, Any]:
    """The birth of wire.md 3.2, less its time."""
    settings = loaded.settings
    seal_key = keys.load_seal_key(loaded.resolve(settings.keys.seal_to))
    return {
        "v": 1,
        "session": session,
        "epoch": epoch.hex(),
        "software": software(),
        "config": {"digest": loaded.digest, "serial": 0},
        "profile": settings.compress.profile,
        "cameras": [
            {"id": camera.id, "authorisation": camera.authorisation.reference, "dialect": camera.dialect}
            for camera in known
        ],
        "keys": {
            "sign": keys.load_signer(loaded.resolve(settings.keys.sign)).kid.hex(),
            "seal_to": sealer(settings.node.node, seal_key).kid.hex(),
        },
        "schemas": {"record": 1, "receipt": 1, "checkpoint": 1},
        "acknowledge": settings.uplink.acknowledge,
        "interval_s": settings.health.heartbeat_s,
    }
