"""The unit as systemd's own tools judge it, and the real node under a notify socket as systemd would hold it."""

from __future__ import annotations

import http.client
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import tomllib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

import pytest

from edge.errors import Misconfigured
from edge.node import LAST_WORDS_S
from simulators import site_files
from simulators.backoffice.keys import make_or_load
from simulators.site_files import Folders

ROOT = Path(__file__).resolve().parents[2]
UNIT = ROOT / "systemd" / "anpr-edge.service"
USERS = ROOT / "systemd" / "sysusers.d" / "anpr-edge.conf"
EXPOSURE_MOST = 15  # tenths: systemd-analyze prints 1.5
DEADLINE_S = 30.0
WATCHDOG_S = 3.0
PLATE = "ZZ99 QXJ"


def tool(name: str) -> str:
    """Where a tool of systemd's is; the test is skipped, and says so, where it is not."""
    found = shutil.which(name)
    if found is None:
        pytest.skip(f"{name} is not installed: apt install systemd")
    return found


def settings(text: str) -> dict[str, list[str]]:
    """The unit's settings, each with every value it is given, in order."""
    found: dict[str, list[str]] = {}
    for line in text.splitlines():
        if line and line[0] not in "#[":
            key, _, value = line.partition("=")
            found.setdefault(key, []).append(value)
    return found


# the unit


def test_the_unit_is_sound_to_systemd(tmp_path: Path) -> None:
    analyze = tool("systemd-analyze")
    text = UNIT.read_text("utf-8")
    lines = ["ExecStart=/bin/true" if line.startswith("ExecStart=") else line for line in text.splitlines()]
    changed = [before for before, after in zip(text.splitlines(), lines, strict=True) if before != after]
    assert changed == ["ExecStart=/opt/anpr-edge/bin/anpr-edge run --config /etc/anpr-edge"]
    copy = tmp_path / UNIT.name
    copy.write_text("\n".join(lines) + "\n", "utf-8")
    done = subprocess.run([analyze, "verify", "--man=no", str(copy)], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_verify_would_see_a_mistake(tmp_path: Path) -> None:
    """The control."""
    analyze = tool("systemd-analyze")
    copy = tmp_path / UNIT.name
    text = UNIT.read_text("utf-8").replace("ExecStart=/opt/anpr-edge/bin/anpr-edge", "ExecStart=/bin/true")
    copy.write_text(text.replace("ProtectSystem=strict", "ProtectSystems=strict"), "utf-8")
    done = subprocess.run([analyze, "verify", "--man=no", str(copy)], capture_output=True, text=True, check=False)
    assert "ProtectSystems" in done.stderr


def exposed(unit: Path) -> bool:
    """Whether systemd-analyze finds the unit more exposed than it may be."""
    arguments = ["security", "--offline=true", f"--threshold={EXPOSURE_MOST}", "--no-pager", str(unit)]
    done = subprocess.run([tool("systemd-analyze"), *arguments], capture_output=True, text=True, check=False)
    assert "Overall exposure level" in done.stdout, done.stderr
    return done.returncode != 0


def test_the_units_exposure_is_small(tmp_path: Path) -> None:
    assert not exposed(UNIT)
    bare = tmp_path / "bare.service"
    bare.write_text("[Service]\nExecStart=/bin/true\nUser=anpr-edge\n", "utf-8")
    assert exposed(bare), "a unit without a sandbox would pass too"


def test_the_user_can_be_made() -> None:
    done = subprocess.run(
        [tool("systemd-sysusers"), "--dry-run", str(USERS)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0
    assert USERS.read_text("utf-8").splitlines()[-1].split()[:2] == ["u", "anpr-edge"]
    assert settings(UNIT.read_text("utf-8"))["User"] == ["anpr-edge"]


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("Type", "notify"),
        ("WatchdogSec", "30"),
        ("Restart", "always"),
        ("RestartSec", "2"),
        ("StartLimitIntervalSec", "0"),
        ("RestartPreventExitStatus", str(Misconfigured.exit_code)),
        ("StateDirectoryMode", "0700"),
        ("UMask", "0077"),
        ("LimitCORE", "0"),  # a core dump holds plates
        ("MemorySwapMax", "0"),  # and so does swap
        ("CapabilityBoundingSet", ""),
        ("SystemCallErrorNumber", "EPERM"),
        ("ProtectSystem", "strict"),
        ("LoadCredential", "sign.pem:anpr-edge.sign.pem"),
    ],
)
def test_what_the_unit_promises(key: str, value: str) -> None:
    assert settings(UNIT.read_text("utf-8"))[key] == [value]


def test_the_units_folders_are_the_defaults_of_the_configuration() -> None:
    unit = settings(UNIT.read_text("utf-8"))
    defaults = tomllib.loads((ROOT / "firmware_config" / "defaults.toml").read_text("utf-8"))
    assert defaults["paths"]["state"] == f"/var/lib/{unit['StateDirectory'][0]}"
    assert defaults["paths"]["runtime"] == f"/run/{unit['RuntimeDirectory'][0]}"


def test_the_clock_may_be_asked_and_the_boot_is_handed_in() -> None:
    unit = settings(UNIT.read_text("utf-8"))
    assert "ProtectClock" not in unit
    assert "adjtimex clock_adjtime" in unit["SystemCallFilter"]
    assert unit["Environment"] == ["ANPR_EDGE_BOOT_ID=%b"]
    assert '"ANPR_EDGE_BOOT_ID"' in (ROOT / "edge" / "clock.py").read_text("utf-8")


def test_the_node_has_time_for_its_last_words() -> None:
    assert int(settings(UNIT.read_text("utf-8"))["TimeoutStopSec"][0]) > 2 * LAST_WORDS_S


# the node, held as systemd holds it


@dataclass(slots=True)
class Held:
    """A running node and what it told its notify socket."""

    process: subprocess.Popen[str]
    socket: socket.socket
    said: list[tuple[float, str]] = field(default_factory=list)

    def until(self, what: str, enough: Callable[[list[str]], bool]) -> None:
        """Listen until the node has said enough; an `AssertionError` with all it said at the deadline."""
        deadline = time.monotonic() + DEADLINE_S
        while not enough([line for _, line in self.said]):
            assert time.monotonic() < deadline, f"{what}: heard only {self.said}"
            self.listen()

    def listen(self) -> None:
        try:
            self.said.append((time.monotonic(), self.socket.recv(4096).decode()))
        except TimeoutError:
            assert self.process.poll() is None, self.process.communicate()[1]


def folders(tmp_path: Path) -> Folders:
    """A node's configuration with its keys, one camera on 127.0.0.1 and a broker that is not there."""
    made = Folders(tmp_path / "site")
    made.make()
    make_or_load(made.store_keys)
    site_files.give_store_keys_to_node(made)
    site_files.write_node(made, 0, site_files.free_port(), 5)
    site_files.write_cameras(made, site_files.cameras(1))
    camera = made.config / "cameras.d" / "lane-1.toml"
    text = camera.read_text("utf-8").replace('"hikvision"', '"generic"').replace("127.0.0.11", "127.0.0.1")
    camera.write_text("".join(x for x in text.splitlines(keepends=True) if not x.startswith("identity")), "utf-8")
    run("keys", "init", "--config", str(made.config)).check_returncode()
    return made


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "edge", *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=DEADLINE_S,
        check=False,
    )


@contextmanager
def held(made: Folders, tmp_path: Path) -> Iterator[Held]:
    """The node under a notify socket, with a watchdog of `WATCHDOG_S`; ended with the test whatever happens."""
    address = tmp_path / "notify"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind(str(address))
        listening.settimeout(0.2)
        env = os.environ | {"NOTIFY_SOCKET": str(address), "WATCHDOG_USEC": str(int(WATCHDOG_S * 1e6))}
        process = subprocess.Popen(
            [sys.executable, "-m", "edge", "run", "--config", str(made.config)],
            cwd=ROOT,
            env=env,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        try:
            yield Held(process, listening)
        finally:
            process.kill()
            process.communicate()


def push(port: int, plate: str) -> str:
    """One read through the door; the node's verdict."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=DEADLINE_S)
    try:
        headers = {"Content-Type": "application/json"}
        connection.request("POST", "/", json.dumps({"id": "evt-1", "plate": plate, "confidence": 90}), headers)
        return str(json.loads(connection.getresponse().read())["verdict"])
    finally:
        connection.close()


def test_the_node_tells_systemd_how_it_is_and_never_a_plate(tmp_path: Path) -> None:
    made = folders(tmp_path)
    with held(made, tmp_path) as node:
        node.until("READY=1", lambda said: "READY=1" in said)
        status = json.loads((made.state / "node" / "run" / "status.json").read_text("utf-8"))
        assert push(status["ports"]["http_push"], PLATE) == "stored"
        before = len(node.said)
        node.until("a status after the read", lambda said: any(x.startswith("STATUS=") for x in said[before:]))
        node.until("four WATCHDOG=1", lambda said: said.count("WATCHDOG=1") >= 4)
        node.process.send_signal(signal.SIGTERM)
        node.until("STOPPING=1", lambda said: "STOPPING=1" in said)
        assert node.process.wait(DEADLINE_S) == 0
        log = node.process.stderr.read() if node.process.stderr else ""

    fed = [at for at, line in node.said if line == "WATCHDOG=1"]
    assert max(b - a for a, b in pairwise(fed)) < WATCHDOG_S
    lines = [line.removeprefix("STATUS=") for _, line in node.said if line.startswith("STATUS=")]
    assert lines
    assert all("buffer" in line and "uplink down" in line for line in lines)
    for text in (*lines, log):
        for secret in (PLATE, PLATE.replace(" ", ""), "127.0.0.1"):
            assert secret not in text
    said = [line for _, line in node.said if not line.startswith("STATUS=")]
    assert (said[0], said[-1]) == ("READY=1", "STOPPING=1")
    assert set(said) == {"READY=1", "WATCHDOG=1", "STOPPING=1"}


def test_a_broken_configuration_ends_with_78_and_its_place(tmp_path: Path) -> None:
    made = folders(tmp_path)
    config = made.config / "config.toml"
    config.write_text(config.read_text("utf-8") + "heartbeats_s = 5\n", "utf-8")
    done = run("run", "--config", str(made.config))
    assert done.returncode == Misconfigured.exit_code
    line = len(config.read_text("utf-8").splitlines())
    assert f"{config}:{line} health.heartbeats_s" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_port_in_use_ends_with_78_and_what_to_do(tmp_path: Path) -> None:
    made = folders(tmp_path)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        config = made.config / "config.toml"
        text = config.read_text("utf-8").replace("127.0.0.1:0", f"127.0.0.1:{taken.getsockname()[1]}")
        config.write_text(text, "utf-8")
        done = run("run", "--config", str(made.config))
    assert done.returncode == Misconfigured.exit_code, done.stderr
    assert "capture.http_push.listen" in done.stderr
    assert "Traceback" not in done.stderr
