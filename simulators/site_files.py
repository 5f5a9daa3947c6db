"""The files of a site on loopback: the node's configuration, one file for each camera, and who has whose public key.

It writes below the state folder and nowhere else.
"""

from __future__ import annotations

import json
import shutil
import socket
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

NODE = "node-1"
ZONE = "Europe/London"
MOST_CAMERAS = 200


@dataclass(frozen=True, slots=True)
class Mounted:
    """One camera of the site: its name, its place on loopback, and the identity it sends."""

    name: str
    number: int
    address: str
    mac: str


@dataclass(frozen=True, slots=True)
class Folders:
    """Where everything lies below the state folder."""

    state: Path

    @property
    def config(self) -> Path:
        return self.state / "node" / "config"

    @property
    def store(self) -> Path:
        return self.state / "store"

    @property
    def store_keys(self) -> Path:
        return self.state / "store-keys"

    @property
    def nodes(self) -> Path:
        return self.state / "store-nodes"

    @property
    def journals(self) -> Path:
        return self.state / "cameras"

    @property
    def logs(self) -> Path:
        return self.state / "logs"

    def make(self) -> None:
        private = (self.state, self.config, self.config / "keys", self.config / "cameras.d", self.store_keys)
        shared = (self.state / "node" / "state", self.state / "node" / "run", self.store, self.nodes, self.journals)
        for folder in (*private, *shared):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)


def cameras(count: int) -> list[Mounted]:
    """`count` cameras at 127.0.0.11 and up. Raises `ValueError` beyond what one loopback network holds."""
    if not 1 <= count <= MOST_CAMERAS:
        raise ValueError(f"a site has 1 to {MOST_CAMERAS} cameras")
    return [Mounted(f"lane-{n}", n, f"127.0.0.{10 + n}", f"02:00:00:00:00:{n:02x}") for n in range(1, count + 1)]


def free_port() -> int:
    """A port of 127.0.0.1 that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def is_free(port: int) -> bool:
    """Whether nobody listens on this port of 127.0.0.1."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) != 0


def offset_now() -> str:
    """What the cameras' clocks are set to: the zone's offset today, as `+01:00`."""
    offset = datetime.now(ZoneInfo(ZONE)).strftime("%z")
    return f"{offset[:3]}:{offset[3:]}"


def write_node(folders: Folders, http_port: int, broker_port: int, protocol: int) -> None:
    """config.toml of the node."""
    (folders.config / "config.toml").write_text(f"""\
[node]
operator = "demo"
site = "loopback"
node = "{NODE}"

[paths]
state = {_text(folders.state / "node" / "state")}
runtime = {_text(folders.state / "node" / "run")}

[capture.http_push]
listen = "127.0.0.1:{http_port}"

[keys]
sign = "keys/sign.pem"
seal_to = "keys/store-seal.pub.pem"
receipts_from = "keys/store-receipt.pub.pem"

[uplink]
broker = "127.0.0.1:{broker_port}"
protocol = {protocol}
tls = false

[health]
heartbeat_s = 5
""")


def write_cameras(folders: Folders, mounted: list[Mounted]) -> None:
    """One file in cameras.d for each camera, authorised from yesterday to a year ahead."""
    today = datetime.now(ZoneInfo(ZONE)).date()
    for old in (folders.config / "cameras.d").glob("*.toml"):
        old.unlink()
    for camera in mounted:
        (folders.config / "cameras.d" / f"{camera.name}.toml").write_text(f"""\
id = "{camera.name}"
dialect = "hikvision"
addresses = ["{camera.address}"]
identity = "{camera.mac}"
lane = "{camera.number}"
zone = "{ZONE}"

[authorisation]
reference = "DEMO-{camera.number}"
first_day = {today - timedelta(days=1)}
last_day = {today + timedelta(days=365)}
""")


def give_store_keys_to_node(folders: Folders) -> None:
    """The node seals to one and believes receipts under the other."""
    for name in ("seal", "receipt"):
        shutil.copyfile(folders.store_keys / f"{name}.pub.pem", folders.config / "keys" / f"store-{name}.pub.pem")


def give_node_key_to_store(folders: Folders) -> None:
    """The store believes what this key signed."""
    shutil.copyfile(folders.config / "keys" / "sign.pub.pem", folders.nodes / f"{NODE}.pub.pem")


def _text(path: Path) -> str:
    return json.dumps(str(path.resolve()))
