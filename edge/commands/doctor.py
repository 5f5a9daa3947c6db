"""`anpr-edge doctor`: every check, in the order in which a read would pass them, with what to do.

Exit codes as for monitoring plug-ins: 0 good, 1 poor, 2 bad, 3 unknown.
"""

from __future__ import annotations

import argparse
import asyncio
from functools import partial
from pathlib import Path

import capture.checks
import compress.checks
import edge.checks
import firmware_config.checks
import uplink.checks
from capture.dialects import DIALECTS
from edge.admit import utc_day
from edge.check import Answered, Check, ask_all, exit_code
from edge.clock import utc_ms
from edge.commands.output import config_argument, json_argument, say, say_json, warn
from edge.commands.status import gather
from edge.errors import EdgeError
from edge.node import client_id, tls_of
from edge.probes.certificates import days_left
from edge.situation import SKEW_POOR_MS
from firmware_config.authorise import cameras as known_cameras
from firmware_config.load import Loaded, load
from firmware_config.model import host_port

HELP = "every check, in the order a read passes them, with what to do"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("checks", nargs="*", metavar="CHECK", help="only these, by id")
    config_argument(parser)
    json_argument(parser)


def run(args: argparse.Namespace) -> int:
    checks = _checks(args.config)
    known = {check.id for check in checks}
    if not known >= set(args.checks):
        wrong = ", ".join(sorted(set(args.checks) - known))
        warn(f"anpr-edge doctor: no check is called {wrong}; there are: {', '.join(c.id for c in checks)}")
        return 64
    wanted = _with_what_they_rest_on(checks, args.checks) if args.checks else checks
    answers = asyncio.run(ask_all(wanted, (lambda _: None) if args.json else _tell))
    if args.json:
        say_json(
            [
                {
                    "id": answer.check.id,
                    "level": answer.finding.level.name.lower(),
                    "sentence": answer.finding.sentence,
                    "hint": answer.finding.hint,
                    "depends_on": list(answer.check.depends_on),
                }
                for answer in answers
            ]
        )
    return exit_code(answers)


def _with_what_they_rest_on(checks: list[Check], names: list[str]) -> list[Check]:
    """The named checks and those that they depend on, in the order of all."""
    wanted = set(names)
    for check in reversed(checks):  # a check depends only on ones before it
        if check.id in wanted:
            wanted.update(check.depends_on)
    return [check for check in checks if check.id in wanted]


def _tell(answer: Answered) -> None:
    finding = answer.finding
    say(f"{finding.level.name.lower():8} {answer.check.id:14} {finding.sentence}")
    if finding.hint and finding.level.value:
        say(f"{'':23} -> {finding.hint}")


def _checks(folder: Path) -> list[Check]:
    """The configuration first; where it cannot be loaded, nothing else can be asked."""
    configuration = Check("config", partial(firmware_config.checks.configuration, folder, tuple(DIALECTS)))
    try:
        loaded = load(folder, need_files=False)
    except EdgeError:
        return [configuration]
    return [configuration, *_site(loaded), *_way_in(loaded), *_way_out(loaded)]


def _site(loaded: Loaded) -> list[Check]:
    """What stands before any read: law, keys, clock, disk, the service."""
    settings, resolve = loaded.settings, loaded.resolve
    sign, seal_to = resolve(settings.keys.sign), resolve(settings.keys.seal_to)
    receipts = resolve(settings.keys.receipts_from) if settings.keys.receipts_from else None
    today, checks = utc_day(utc_ms()), edge.checks
    return [
        Check("profile", partial(firmware_config.checks.profile, loaded.profile, loaded.caps)),
        Check("authorisation", partial(firmware_config.checks.authorisations, known_cameras(settings), today)),
        Check("keys", partial(checks.keys, sign, seal_to, receipts)),
        Check("clock", checks.clock),
        Check("disk", partial(checks.disk_room, settings.paths.state)),
        Check("sqlite", checks.sqlite_version),
        Check("service", lambda: checks.service(gather(loaded)), ("config", "keys", "sqlite")),
    ]


def _way_in(loaded: Loaded) -> list[Check]:
    """From the camera to the commit."""
    settings, resolve = loaded.settings, loaded.resolve
    host, _ = host_port(settings.capture.http_push.listen)
    sign, seal_to = resolve(settings.keys.sign), resolve(settings.keys.seal_to)
    return [
        Check("door", lambda: capture.checks.door(host, gather(loaded)["ports"]["http_push"]), ("service",)),
        Check("cameras", lambda: capture.checks.deliveries(gather(loaded)), ("service", "door")),
        Check("camera-clock", lambda: capture.checks.clocks(gather(loaded), SKEW_POOR_MS), ("service",)),
        Check("refusals", lambda: capture.checks.refusals(gather(loaded)), ("service",)),
        Check("pictures", partial(compress.checks.pictures, loaded.caps)),
        Check("seal", partial(edge.checks.seal_and_sign, settings.node.node, sign, seal_to), ("keys",)),
        Check("ledger", partial(edge.checks.ledger, settings.paths.state), ("disk",)),
        Check("buffer", lambda: edge.checks.buffer(gather(loaded)), ("ledger",)),
    ]


def _way_out(loaded: Loaded) -> list[Check]:
    """From the ledger to the store's receipt."""
    up, checks = loaded.settings.uplink, uplink.checks
    host, port = host_port(up.broker)
    certificate = loaded.resolve(up.certificate) if up.tls and up.certificate else None
    name = client_id(loaded)
    return [
        Check("certificate", lambda: checks.certificate(days_left(certificate, utc_ms()), certificate)),
        Check("broker", partial(checks.reach, host, port)),
        Check("tls", lambda: checks.tls(host, port, tls_of(loaded)), ("broker", "certificate")),
        Check("mqtt", lambda: checks.mqtt(host, port, tls_of(loaded), up.protocol, name), ("broker", "tls")),
        Check("receipts", lambda: checks.receipts(gather(loaded), up.receipt_timeout_s), ("service", "mqtt")),
    ]
