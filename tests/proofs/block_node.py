"""The whole node on a recorded disk: its configuration, ledger, status and quarantine, and what its cameras heard."""

from __future__ import annotations

import contextlib
import http.client
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from random import Random
from typing import Any

import apsw
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from capture.quarantine import entries, opened
from edge import row, statusfile
from edge.errors import EdgeError
from edge.schema import FILE
from firmware_config.load import load
from simulators import payloads, site_files
from simulators.pictures import Road
from simulators.site_files import Folders, Mounted
from simulators.traffic import vehicles
from tests.proofs.block_ledger import Moment, Recording
from tests.proofs.fuse_disk import RecordedDisk
from tests.proofs.pieces import SEAL, SIGN
from tests.proofs.promises import Found, Promises

ROOT = Path(__file__).resolve().parents[2]
STARTS, PUSHES = 5, 40
READY_WITHIN_S = 60.0
_SEQ = (1 << 40) - 1


def record(folder: Path, disk: RecordedDisk, seed: int, control: str) -> Recording:
    """Some starts of the node, each but the last ended by SIGKILL, with reads and nonsense pushed to it meanwhile."""
    site = _Site(Folders(folder), Random(f"{seed} node"), disk)
    for start in range(STARTS):
        with site.node(signal.SIGTERM if start == STARTS - 1 else signal.SIGKILL):
            for _ in range(PUSHES):
                site.push()
            site.push_nonsense()
    held = _held(folder / "node" / "state")
    return Recording("node/state", site_files.NODE, list(site.moments(held)), _others, site.start)


class _Site:
    """One node and its cameras; the broker is away, so that every answered read stays in the ledger."""

    def __init__(self, folders: Folders, chance: Random, disk: RecordedDisk) -> None:
        self._folders = folders
        self._disk = disk
        self._chance = chance
        self._heard: list[tuple[int, str]] = []
        self._ready: list[int] = []
        self._cameras = site_files.cameras(2)
        self._road = Road(1, (640, 360))
        self._traffic = vehicles("proof", 1.0)
        self._port = site_files.free_port()
        folders.make()
        site_files.write_node(folders, self._port, site_files.free_port(), 5)
        site_files.write_cameras(folders, self._cameras)
        _write_keys(folders.config / "keys")
        config = folders.config / "config.toml"
        text = config.read_text().replace("[keys]\n", '[keys]\nquarantine_to = "keys/store-seal.pub.pem"\n')
        config.write_text(text)
        os.sync()  # the operator has let the installation settle before the first start
        self._installed = disk.moment()

    @contextlib.contextmanager
    def node(self, end: signal.Signals) -> Iterator[None]:
        """The service, from ready to its end."""
        log = self._folders.state.parent / "node.log"
        command = [sys.executable, "-m", "edge", "run", "--config", str(self._folders.config)]
        with log.open("ab") as file:
            process = subprocess.Popen(
                command, cwd=ROOT, stdout=file, stderr=file, env=os.environ | {"PYTHONPATH": str(ROOT)}
            )
        try:
            until = time.monotonic() + READY_WITHIN_S
            while not self._healthy():
                assert process.poll() is None, f"the node ended: {log.read_text()[-2000:]}"
                assert time.monotonic() < until, "the node is not ready"
                time.sleep(0.02)
            self._ready.append(self._disk.moment())
            yield
        finally:
            process.send_signal(end)
            process.wait()

    def _healthy(self) -> bool:
        with contextlib.suppress(OSError):
            return self._ask("GET", "/healthz", "127.0.0.1", b"", "")[0] == 200
        return False

    def _ask(self, method: str, path: str, source: str, body: bytes, kind: str) -> tuple[int, bytes]:
        asking = http.client.HTTPConnection("127.0.0.1", self._port, timeout=30, source_address=(source, 0))
        try:
            asking.request(method, path, body, {"Content-Type": kind} if kind else {})
            answer = asking.getresponse()
            return answer.status, answer.read()
        finally:
            asking.close()

    def start(self) -> None:
        """Until it is ready; an `AssertionError` where it ends or does not become so."""
        with self.node(signal.SIGKILL):
            pass

    def push(self) -> None:
        camera: Mounted = self._chance.choice(self._cameras)
        vehicle = next(self._traffic)
        event = payloads.event(self._chance, datetime.now(UTC), vehicle, self._road.take(vehicle))
        push = payloads.hikvision_push(payloads.Device(camera.mac, camera.address), event)
        status, _ = self._ask("POST", "/", camera.address, push.body, push.content_type)
        length = self._disk.moment()
        assert status == 200, status
        self._heard.append((length, event.uuid))

    def push_nonsense(self) -> None:
        """What nobody understands: refused, and kept for an engineer."""
        camera = self._chance.choice(self._cameras)
        status, _ = self._ask("POST", "/", camera.address, b"nobody understands this", "text/plain")
        assert status != 200, status

    def moments(self, held: dict[str, dict[int, bytes]]) -> Iterator[Moment]:
        """What had been heard stored at each moment, in rows of the ledger as it was in the end."""
        heard = Promises(loose=True)
        yield Moment(0, heard.copy())
        for length, name in self._heard:
            heard.records |= held[name]
            for at in held[name]:
                heard.ends[at >> 40] = max(heard.ends.get(at >> 40, 0), at & _SEQ)
            yield Moment(length, heard.copy(), frozenset({"installed"}))


def _write_keys(folder: Path) -> None:
    """The proofs' own, so that what lies on the remains can be opened."""
    private = SIGN.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    (folder / "sign.pem").write_bytes(private)
    (folder / "sign.pem").chmod(0o600)
    public = Encoding.PEM, PublicFormat.SubjectPublicKeyInfo
    (folder / "sign.pub.pem").write_bytes(SIGN.public_key().public_bytes(*public))
    (folder / "store-seal.pub.pem").write_bytes(SEAL.public_key().public_bytes(*public))
    (folder / "store-receipt.pub.pem").write_bytes(SIGN.public_key().public_bytes(*public))


def _held(state: Path) -> dict[str, dict[int, bytes]]:
    """Each read's rows (its own, and its overview's) and sealed bytes, by the camera's name for it."""
    promises, held = Promises(), dict[str, dict[int, bytes]]()
    names: dict[int, str] = {}
    db = apsw.Connection(str(state / FILE), flags=apsw.SQLITE_OPEN_READONLY)
    try:
        question = "SELECT r.row, e.epoch, r.data FROM records r JOIN epochs e ON e.session = r.row >> 40 ORDER BY 1"
        for at, epoch, data in db.execute(question):
            sealed = row.unwrap(epoch, at & _SEQ, data)
            inner: dict[str, Any] = promises.unsealed(sealed).payload
            if inner["kind"] == "read":
                names[at] = inner["body"]["vendor_id"]
                held[names[at]] = {at: sealed}
            elif inner["kind"] == "overview":
                held[names[at & ~_SEQ | inner["body"]["of"]]][at] = sealed
    finally:
        db.close()
    return held


def _others(where: Path, moment: Moment, found: Found) -> None:
    """The configuration still loads, the status is whole or absent, and so is each quarantined delivery."""
    node = where / "node"
    if not moment.kept:
        return
    try:
        load(node / "config")
    except EdgeError as problem:
        found.besides.append(f"the configuration does not load: {type(problem).__name__}")
    status = node / "run" / statusfile.FILE
    if status.exists() and statusfile.read(node / "run") is None:
        found.besides.append("half a status")
    folder = node / "state" / "quarantine"
    for entry, path in entries(folder) if folder.exists() else ():
        try:
            opened(path, SEAL)
        except EdgeError:
            found.besides.append(f"a quarantined delivery does not open: {entry.reason}")
