"""A site of real processes on loopback whose every part can be started, stopped and killed by a test.

Files and keys come from the simulators' own modules. A wait is a condition with a deadline, never a sleep.
"""

from __future__ import annotations

import http.client
import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self, TypeVar

from edge.keys import make_signing_key
from simulators import site_files
from simulators.backoffice.keys import make_or_load
from simulators.site_files import Folders, Mounted

ROOT = Path(__file__).resolve().parents[2]
DEADLINE_S = 60.0
POLL_S = 0.02
Answer = TypeVar("Answer")


def until(what: str, ask: Callable[[], Answer | None], limit_s: float = DEADLINE_S) -> Answer:
    """Ask until the answer is true; an `AssertionError` that names it at the limit."""
    deadline = time.monotonic() + limit_s
    while not (answer := ask()):
        assert time.monotonic() < deadline, f"{what}: not within {limit_s:.0f} s; last answer {answer!r}"
        time.sleep(POLL_S)
    return answer


class Process:
    """`python -m ARGUMENTS`; standard output goes to NAME.out, standard error to NAME.log."""

    def __init__(self, name: str, arguments: list[str], logs: Path, cwd: Path, env: dict[str, str]) -> None:
        self.out, self.log = logs / f"{name}.out", logs / f"{name}.log"
        with self.out.open("wb") as out, self.log.open("wb") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", *arguments],
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=log,
                cwd=cwd,
                env=env,
                start_new_session=True,  # so that a kill also reaches Mosquitto, a child of the broker
            )

    @property
    def ended(self) -> bool:
        return self._process.poll() is not None

    def last_json(self) -> dict[str, Any] | None:
        """The last whole line of its standard output, or None; an `AssertionError` where it ended without one."""
        whole, _, _ = self.out.read_text().rpartition("\n")
        if whole:
            found: dict[str, Any] = json.loads(whole.splitlines()[-1])
            return found
        assert not self.ended, f"{self.out.stem} ended: {self.log.read_text()[-2000:]}"
        return None

    def kill(self) -> None:
        """SIGKILL, to its own children too: nothing of it runs any more."""
        os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()

    def stop(self, limit_s: float = DEADLINE_S) -> int:
        """SIGTERM, and the exit code."""
        self._process.send_signal(signal.SIGTERM)
        return self.wait(limit_s)

    def wait(self, limit_s: float = DEADLINE_S) -> int:
        return self._process.wait(limit_s)


@dataclass(frozen=True, slots=True)
class CameraRun:
    """One camera's process and its journal."""

    mounted: Mounted
    process: Process
    journal: Path

    def heard(self) -> list[dict[str, Any]]:
        if not self.journal.exists():
            return []
        whole, _, _ = self.journal.read_text().rpartition("\n")
        return [json.loads(line) for line in whole.splitlines()]

    def stored(self) -> set[str]:
        """The vendor ids that it heard "stored" for."""
        return {line["uuid"] for line in self.heard() if line["verdict"] == "stored"}


class Site:
    """Broker, back office, node and cameras below `state`. Only files are made until something is started."""

    def __init__(self, state: Path, *, kind: str = "amqtt", cameras: int = 2, settings: str = "") -> None:
        self.folders = Folders(state)
        self.folders.make()
        self.cwd, self.tmp = state / "cwd", state / "tmp"
        for folder in (self.cwd, self.tmp, self.folders.logs):
            folder.mkdir(exist_ok=True)
        self.kind, self.protocol = kind, 5 if kind == "mosquitto" else 3
        self.mounted = site_files.cameras(cameras)
        self.http_port, self.broker_port = site_files.free_port(), site_files.free_port()
        self.page = ""
        self._all: list[Process] = []
        self._count = 0
        self._configure(settings)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        for process in reversed(self._all):
            if not process.ended:
                process.kill()

    def _configure(self, settings: str) -> None:
        folders = self.folders
        site_files.write_node(folders, self.http_port, self.broker_port, self.protocol)
        site_files.write_cameras(folders, self.mounted)
        if settings:
            (folders.config / "conf.d").mkdir()
            (folders.config / "conf.d" / "50-test.toml").write_text(settings)
        make_or_load(folders.store_keys)
        make_signing_key(folders.config / "keys" / "sign.pem")
        site_files.give_store_keys_to_node(folders)
        site_files.give_node_key_to_store(folders)

    @property
    def node_state(self) -> Path:
        return self.folders.state / "node" / "state"

    @property
    def runtime(self) -> Path:
        return self.folders.state / "node" / "run"

    # processes

    def start(self, name: str, arguments: list[str], cwd: Path = ROOT, **env: str) -> Process:
        """Each start has its own log: NAME-NUMBER."""
        self._count += 1
        surroundings = os.environ | {"PYTHONPATH": str(ROOT)} | env
        process = Process(f"{name}-{self._count}", arguments, self.folders.logs, cwd, surroundings)
        self._all.append(process)
        return process

    def start_broker(self) -> Process:
        arguments = ["simulators", "broker", "--kind", self.kind, "--port", str(self.broker_port)]
        broker = self.start("broker", arguments, TMPDIR=str(self.folders.logs))  # a kill leaves its settings behind
        until("the broker", broker.last_json)
        return broker

    def start_backoffice(self) -> Process:
        arguments = ["simulators", "backoffice", "--broker", f"127.0.0.1:{self.broker_port}"]
        arguments += ["--mqtt", str(self.protocol)]
        arguments += ["--keys", str(self.folders.store_keys), "--nodes", str(self.folders.nodes)]
        arguments += ["--state", str(self.folders.store)]
        backoffice = self.start("backoffice", arguments)
        self.page = until("the back office", backoffice.last_json)["page"]
        return backoffice

    def start_node(self, *, ready: bool = True) -> Process:
        """In folders of its own for what it should not write: `cwd` and `tmp`."""
        arguments = ["edge", "run", "--config", str(self.folders.config)]
        node = self.start("node", arguments, self.cwd, TMPDIR=str(self.tmp))
        if ready:
            self.wait_ready(node)
        return node

    def wait_ready(self, node: Process) -> None:
        def answers() -> bool:
            assert not node.ended, f"the node ended: {node.log.read_text()[-2000:]}"
            return self.healthy()

        until("the node", answers)

    def healthy(self) -> bool:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.http_port}/healthz", timeout=5) as answer:
                return bool(answer.status == 200)
        except (OSError, http.client.HTTPException):
            return False

    def start_all(self) -> tuple[Process, Process, Process]:
        """Broker, back office, node."""
        return self.start_broker(), self.start_backoffice(), self.start_node()

    def start_camera(self, mounted: Mounted, *more: str, address: str = "", mac: str = "") -> CameraRun:
        """Small pictures; `address` and `mac` where they are not to be those it is configured with."""
        journal = self.folders.journals / f"{mounted.name}-{self._count + 1}.jsonl"
        arguments = ["simulators", "camera", "--to", f"http://127.0.0.1:{self.http_port}/"]
        arguments += ["--from", address or mounted.address]
        arguments += ["--mac", mac or mounted.mac, "--journal", str(journal), "--size", "640x360"]
        arguments += ["--tz-offset", site_files.offset_now(), *more]
        process = self.start(f"camera-{mounted.name}", arguments)
        return CameraRun(mounted, process, journal)

    def command(self, *arguments: str, verb_config: bool = True, **env: str) -> subprocess.CompletedProcess[str]:
        """`anpr-edge ARGUMENTS` to its end, with this site's configuration unless told otherwise."""
        config = ["--config", str(self.folders.config)] if verb_config else []
        return subprocess.run(
            [sys.executable, "-m", "edge", *arguments, *config],
            capture_output=True,
            text=True,
            cwd=self.cwd,
            env=os.environ | {"PYTHONPATH": str(ROOT)} | env,
            timeout=DEADLINE_S,
        )

    # questions

    def ask(self, path: str) -> Any:
        """`/figures`, `/missing` or `/vendor-ids` of the back office."""
        with urllib.request.urlopen(self.page + path.lstrip("/"), timeout=30) as answer:
            return json.loads(answer.read())

    def held(self) -> dict[str, int]:
        """Vendor ids at the back office, and how often it holds each."""
        return dict(self.ask("vendor-ids"))

    def store_rows(self, question: str, *values: Any) -> list[tuple[Any, ...]]:
        """What the back office's database answers."""
        return _rows(self.folders.store / "backoffice.sqlite", question, values)

    def ledger_rows(self, question: str, *values: Any) -> list[tuple[Any, ...]]:
        """What the node's ledger answers."""
        return _rows(self.node_state / "ledger.sqlite3", question, values)

    def status(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.command("status", "--json").stdout)
        return found


def _rows(path: Path, question: str, values: tuple[Any, ...]) -> list[tuple[Any, ...]]:
    db = sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=30)
    try:
        return db.execute(question, values).fetchall()
    finally:
        db.close()
