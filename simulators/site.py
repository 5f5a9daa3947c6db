"""A whole site on loopback: cameras, node, broker and back office, and at the end an account of every event.

The figures are measured from outside: what each camera heard stands in its journal, what arrived is asked of the
back office. Nothing is taken from the node's own word.
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import shutil
import signal
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NoReturn

from simulators import site_files
from simulators.broker import KINDS, find_mosquitto
from simulators.children import Child, Children, SiteFailed, children
from simulators.payloads import Headers
from simulators.progress import Progress
from simulators.site_files import Folders, Mounted

READS = 300
PAGE_PORT = 8088
START_LIMIT_S = 30.0
STALL_LIMIT_S = 90.0
RETRY_FOR_S = 120


@dataclass(frozen=True, slots=True)
class Account:
    """What a run came to; `None` where there was nothing to measure."""

    captured: int
    stored: int
    lost: int
    duplicates: int
    over_cap: int
    unverified: int
    p50_ms: float | None
    p99_ms: float | None
    page: str

    @property
    def good(self) -> bool:
        return self.stored == self.captured and not (self.lost or self.duplicates or self.over_cap or self.unverified)


@dataclass(frozen=True, slots=True)
class Running:
    """The parts of a started site."""

    page: str
    cameras: list[Child]
    journals: list[Path]

    def heard(self) -> list[dict[str, object]]:
        """Every whole line of the cameras' journals."""
        lines: list[dict[str, object]] = []
        for journal in self.journals:
            if journal.exists():
                whole, _, _ = journal.read_text(encoding="utf-8").rpartition("\n")
                lines += [json.loads(line) for line in whole.splitlines()]
        return lines

    def stored(self) -> set[str]:
        return {str(line["uuid"]) for line in self.heard() if line["verdict"] == "stored"}

    def held(self) -> dict[str, int]:
        """Vendor ids at the back office, and how often it holds each."""
        return {str(vendor_id): int(times) for vendor_id, times in _get_json(self.page + "vendor-ids")}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--reads", type=int, help=f"events of all cameras together; with --exit {READS}, else no end")
    parser.add_argument("--rate", type=float, default=6.0, help="vehicles a second, all cameras together")
    parser.add_argument("--exit", action="store_true", help="end with an account in JSON once the reads have arrived")
    parser.add_argument("--port", type=int, help=f"of the page; default {PAGE_PORT}, with --exit any free one")
    parser.add_argument("--broker", choices=("auto", *KINDS), default="auto")
    parser.add_argument("--state", type=Path, metavar="DIR", help="kept; default: a temporary folder")
    parser.add_argument("--cameras", type=int, default=2)
    parser.add_argument("--seed", type=int, default=1)


def run(args: argparse.Namespace) -> int:
    """0: all is well, or stopped by hand; 1: a part failed, or the account is not clean; 64: usage."""
    if args.exit and args.reads is None:
        args.reads = READS
    try:
        mounted = site_files.cameras(args.cameras)
    except ValueError as problem:
        print(problem, file=sys.stderr)
        return 64
    if args.rate <= 0 or (args.reads is not None and args.reads < len(mounted)):
        print("--rate must be above zero, and --reads at least one for each camera", file=sys.stderr)
        return 64
    _on_signals(_interrupt)  # SIGINT too: it is ignored where a script starts this with "&"
    state = args.state or Path(tempfile.mkdtemp(prefix="anpr-site-"))
    progress = Progress()
    progress.say(f"state and logs: {state}")
    try:
        with children(Folders(state).logs) as them:
            site = _start(them, Folders(state), mounted, args, progress)
            if not args.exit:
                _until_told(them, site, progress)
            account: Account | None = _until_arrived(them, site, args.reads, progress)
    except KeyboardInterrupt:
        progress.say("stopped")
        if args.exit:
            return 1
        account = None
    except SiteFailed as problem:
        progress.say(str(problem))
        return 1
    if args.state is None and (account is None or account.good):
        shutil.rmtree(state, ignore_errors=True)
    if account is None:
        return 0
    print(json.dumps(asdict(account)), flush=True)
    return 0 if account.good else 1


def _interrupt(*_: object) -> None:
    """Once is enough: a second signal would interrupt the stopping, and leave children behind."""
    _on_signals(signal.SIG_IGN)
    raise KeyboardInterrupt


def _on_signals(act: Callable[..., None] | signal.Handlers) -> None:
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, act)


def _start(
    them: Children, folders: Folders, mounted: list[Mounted], args: argparse.Namespace, progress: Progress
) -> Running:
    """Broker, back office, node, cameras: each when the one before it is ready."""
    folders.make()
    kind = args.broker if args.broker != "auto" else "mosquitto" if find_mosquitto() else "amqtt"
    broker = them.start("broker", ["simulators", "broker", "--kind", kind])
    broker_port = int(str(them.wait_for("the broker", broker.last_json, START_LIMIT_S)["port"]))
    protocol = 5 if kind == "mosquitto" else 3
    http_port = site_files.free_port()
    site_files.write_node(folders, http_port, broker_port, protocol)
    site_files.write_cameras(folders, mounted)
    _make_keys(them, folders)
    page = _start_backoffice(them, folders, broker_port, protocol, args, progress)
    progress.say(f"broker: {kind}; page: {page}")
    them.start("node", ["edge", "run", "--config", str(folders.config)])
    them.wait_for("the node", lambda: _healthy(http_port), START_LIMIT_S)
    return _start_cameras(them, folders, mounted, args, http_port, page)


def _make_keys(them: Children, folders: Folders) -> None:
    them.run(
        "store-keys", ["simulators", "backoffice", "--make-keys", "--keys", str(folders.store_keys)], START_LIMIT_S
    )
    site_files.give_store_keys_to_node(folders)
    if not (folders.config / "keys" / "sign.pem").exists():
        them.run("node-keys", ["edge", "keys", "init", "--config", str(folders.config)], START_LIMIT_S)
    try:
        site_files.give_node_key_to_store(folders)
    except FileNotFoundError as problem:
        raise SiteFailed(f"the node made no public key: {problem.filename} is missing") from problem


def _start_backoffice(
    them: Children, folders: Folders, broker_port: int, protocol: int, args: argparse.Namespace, progress: Progress
) -> str:
    port = args.port if args.port is not None else 0 if args.exit else PAGE_PORT
    if args.port is None and port and not site_files.is_free(port):
        progress.say(f"port {port} is taken; the page gets another")
        port = 0
    arguments = ["simulators", "backoffice", "--broker", f"127.0.0.1:{broker_port}", "--mqtt", str(protocol)]
    arguments += ["--http", f"127.0.0.1:{port}", "--keys", str(folders.store_keys), "--nodes", str(folders.nodes)]
    backoffice = them.start("backoffice", [*arguments, "--state", str(folders.store)])
    return str(them.wait_for("the back office", backoffice.last_json, START_LIMIT_S)["page"])


def _start_cameras(
    them: Children, folders: Folders, mounted: list[Mounted], args: argparse.Namespace, http_port: int, page: str
) -> Running:
    """Share reads and rate among the cameras; each heads its parts in another way, and the last sees infrared."""
    run_name = time.strftime("%Y%m%d-%H%M%S")
    shapes = list(Headers)
    cameras, journals = [], []
    for index, camera in enumerate(mounted):
        journal = folders.journals / f"{camera.name}.{run_name}.{os.getpid()}.jsonl"
        arguments = ["simulators", "camera", "--as", "hikvision", "--to", f"http://127.0.0.1:{http_port}/"]
        arguments += ["--from", camera.address, "--mac", camera.mac, "--journal", str(journal)]
        arguments += [
            "--rate",
            str(args.rate / len(mounted)),
            "--seed",
            str(args.seed),
            "--retry-for",
            str(RETRY_FOR_S),
        ]
        arguments += ["--headers", shapes[index % len(shapes)].value, "--tz-offset", site_files.offset_now()]
        if index and index == len(mounted) - 1:
            arguments.append("--infrared")
        if args.reads is not None:
            share = args.reads // len(mounted) + (index < args.reads % len(mounted))
            arguments += ["--reads", str(share)]
        cameras.append(them.start(f"camera-{camera.name}", arguments, may_end=args.reads is not None))
        journals.append(journal)
    return Running(page, cameras, journals)


def _until_told(them: Children, site: Running, progress: Progress) -> NoReturn:
    while True:
        them.check()
        progress.tell(f"cameras heard {len(site.stored())} stored; {site.page}")
        time.sleep(1.0)


def _until_arrived(them: Children, site: Running, reads: int, progress: Progress) -> Account:
    """Wait while anything still moves: for every event a verdict, and for every "stored" the read's arrival."""
    moved, last = time.monotonic(), (-1, -1)
    while True:
        them.check()
        done = all(camera.ended for camera in site.cameras)  # asked before the journals are read
        stored = site.stored()
        held = site.held()
        arrived = len(stored & held.keys())
        progress.tell(f"of {reads} reads {len(stored)} stored, {arrived} at the back office")
        if done and arrived == len(stored):
            break
        if (len(stored), arrived) != last:
            moved, last = time.monotonic(), (len(stored), arrived)
        if time.monotonic() - moved > STALL_LIMIT_S:
            progress.say(f"nothing has moved for {STALL_LIMIT_S:.0f} s")
            for camera in site.cameras:
                camera.stop()
            stored, held = site.stored(), site.held()
            break
        time.sleep(0.25)
    progress.say(f"of {reads} reads {len(stored)} stored, {arrived} at the back office")
    return _account(site, stored, held)


def _account(site: Running, stored: set[str], held: dict[str, int]) -> Account:
    figures = _get_json(site.page + "figures")
    captured = 0
    for camera in site.cameras:
        summary = camera.last_json()
        if summary is None:
            raise SiteFailed(f"{camera.name} gave no summary; logs are in {camera.log.parent}")
        captured += int(str(summary["captured"]))
    return Account(
        captured=captured,
        stored=len(stored),
        lost=len(stored - held.keys()),
        duplicates=sum(times > 1 for times in held.values()),
        over_cap=figures["over_cap"],
        unverified=figures["unverified"],
        p50_ms=figures["latency_ms"]["p50"],
        p99_ms=figures["latency_ms"]["p99"],
        page=site.page,
    )


def _healthy(port: int) -> bool | None:
    """True for an answer of 200; None for none yet, or another."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/healthz", timeout=2) as answer:
            return True if answer.status == 200 else None
    except (OSError, http.client.HTTPException):
        return None


def _get_json(url: str) -> Any:
    """Raises `SiteFailed` where the back office gives no answer, or none that can be read."""
    try:
        with urllib.request.urlopen(url, timeout=10) as answer:
            return json.loads(answer.read())
    except (OSError, http.client.HTTPException, ValueError) as problem:
        raise SiteFailed(f"the back office did not answer {url}: {problem}") from problem
