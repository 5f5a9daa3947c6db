"""Every setting of the node: its type, its default, its bounds and what it means.

No secret is a setting: keys and certificates are named by path. No file, clock or environment is read here.
"""

from itertools import combinations
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from firmware_config.camera import Authorisation, Camera, Mapping, Position
from firmware_config.fields import (
    AbsolutePath,
    FilePath,
    Id,
    IPv4,
    Listen,
    Table,
    broken_rule,
    comparison_key,
    host_port,
)
from firmware_config.uplink import Uplink

__all__ = [
    "Authorisation",
    "Camera",
    "Capture",
    "Compress",
    "FtpDoor",
    "Health",
    "HttpPush",
    "Keys",
    "Ledger",
    "LoweredCaps",
    "Mapping",
    "Node",
    "Paths",
    "Position",
    "Settings",
    "Surround",
    "TcpDoor",
    "Uplink",
    "comparison_key",
    "host_port",
]


class Node(Table):
    """Who this node is; the three names are the root of its topics (docs/wire.md, 1 and 2)."""

    operator: Id = Field(description="who runs the node")
    site: Id = Field(description="which site; opaque, for a location is sensitive")
    node: Id = Field(description="which node on the site")


class Paths(Table):
    state: AbsolutePath = Field(default=Path("/var/lib/anpr-edge"), description="folder of the ledger and keys")
    runtime: AbsolutePath = Field(default=Path("/run/anpr-edge"), description="folder of sockets and state")


class HttpPush(Table):
    """The door cameras push to."""

    listen: Listen = Field(repr=False, description="`host:port` on the cameras' network; port 0 takes any free one")
    max_delivery_bytes: int = Field(
        default=8_000_000, ge=10_000, le=16_000_000, description="largest body that is read"
    )
    connections_per_source: int = Field(default=8, ge=1, le=256, description="open connections from one address")
    connections: int = Field(default=64, ge=1, le=1024, description="open connections in all")
    header_s: float = Field(default=10, gt=0, le=60, description="longest wait for a request's header")
    total_s: float = Field(default=30, gt=0, le=300, description="longest time for one whole request")
    in_hand: int = Field(default=16, ge=1, le=64, description="reads held at once; the next is told to come later")
    listen_tls: Listen | None = Field(default=None, repr=False, description="`host:port` of a second door, with TLS")
    certificate: FilePath | None = Field(default=None, description="what that door shows; needed with `listen_tls`")
    key: FilePath | None = Field(
        default=None, repr=False, description="the certificate's private key; needed with `listen_tls`"
    )

    @model_validator(mode="after")
    def _parts_fit_the_whole(self) -> Self:
        if self.connections_per_source > self.connections:
            raise broken_rule("is more than connections, the number in all", ("connections_per_source",))
        if self.header_s > self.total_s:
            raise broken_rule("is longer than total_s, the time of the whole request", ("header_s",))
        missing = [(name,) for name in ("certificate", "key") if getattr(self, name) is None]
        if self.listen_tls is not None and missing:
            raise broken_rule("is missing: it is needed with listen_tls", *missing)
        return self


class TcpDoor(Table):
    """The door for cameras that open a line and keep it."""

    listen: Listen = Field(repr=False, description="`host:port` on the cameras' network; port 0 takes any free one")


class FtpDoor(Table):
    """The door for cameras that upload files."""

    listen: Listen = Field(repr=False, description="`host:port` on the cameras' network; port 0 takes any free one")
    passive_first: int | None = Field(default=None, ge=1024, le=65_535, description="first port for passive transfers")
    passive_last: int | None = Field(default=None, ge=1024, le=65_535, description="last port for passive transfers")
    masquerade: IPv4 | None = Field(
        default=None, repr=False, description="address that cameras are told instead, behind a router"
    )
    certificate: FilePath | None = Field(default=None, description="for FTP with TLS, which cameras may then use")
    key: FilePath | None = Field(default=None, repr=False, description="the certificate's private key")
    tls_required: bool | None = Field(default=None, description="whether a login without TLS is refused")

    @model_validator(mode="after")
    def _a_range(self) -> Self:
        if (self.passive_first is None) != (self.passive_last is None):
            raise broken_rule("needs its other end", ("passive_first",), ("passive_last",))
        if self.passive_first is not None and self.passive_last is not None and self.passive_last < self.passive_first:
            raise broken_rule("is below passive_first", ("passive_last",))
        if (self.certificate is None) != (self.key is None) or (self.tls_required and self.key is None):
            raise broken_rule("are needed together", ("certificate",), ("key",))
        return self


class Capture(Table):
    http_push: HttpPush = Field(description="the door cameras push to")
    tcp_stream: TcpDoor | None = Field(default=None, description="the door for cameras that keep a line open")
    ftp_drop: FtpDoor | None = Field(default=None, description="the door for cameras that upload files")
    of_one: int = Field(default=8, ge=1, le=64, description="of the deliveries held at once, most of one camera")
    per_s: float = Field(default=20, gt=0, le=1000, description="deliveries a second of one camera, lastingly")
    burst: int = Field(default=200, ge=1, le=100_000, description="deliveries of one camera at once after a silence")


class LoweredCaps(Table):
    """Caps below the profile's. A cap may be lowered, never raised; unset means the profile's own."""

    patch_max_width_px: int | None = Field(default=None, ge=16, description="widest plate patch")
    patch_max_height_px: int | None = Field(default=None, ge=8, description="highest plate patch")
    patch_max_bytes: int | None = Field(default=None, ge=500, description="largest plate patch, as a JPEG")
    overview_max_bytes: int | None = Field(default=None, ge=2_000, description="largest overview, as a JPEG")
    overview_max_side_px: int | None = Field(default=None, ge=160, description="longest side of an overview")


class Surround(Table):
    """Vehicle first: what lies round the vehicle gives its bytes to it. Alters the scene, so an operator chooses it."""

    mode: Literal["off", "soften", "mask"] = Field(
        default="off",
        description="`soften` blurs and `mask` greys what lies round the vehicle in the overview: this alters the"
        " scene, and the signed read says so",
    )
    sigma_px: float = Field(default=1.6, ge=0.5, le=8, description="blur of `soften`, in pixels of what travels")


class Compress(Table):
    profile: str = Field(
        default="nasple-2.4", pattern=r"^[a-z0-9][a-z0-9.-]{0,31}$", description="legal profile of the caps"
    )
    threads: int = Field(default=0, ge=0, le=64, description="image threads; 0 is one fewer than the cores")
    caps: LoweredCaps = Field(default=LoweredCaps(), description="caps lowered below the profile's")
    max_source_pixels: int = Field(
        default=50_000_000, ge=10_000, le=50_000_000, description="largest image that is decoded"
    )
    deadline_s: float = Field(default=10, gt=0, le=60, description="longest time spent on one image")
    surround: Surround = Field(default=Surround(), description="what is done to the scene round the vehicle")


class Ledger(Table):
    max_bytes: int = Field(
        default=1_000_000_000, ge=1_000_000, le=1_000_000_000_000, description="largest the ledger may grow"
    )
    group_commit_ms: int = Field(
        default=20, ge=0, le=1000, description="longest a read waits for others to share its commit"
    )
    group_commit_reads: int = Field(default=16, ge=1, le=256, description="most reads in one commit")
    max_age_days: int | None = Field(
        default=None,
        ge=1,
        description="after so many days what was not sent is erased; at most the profile's, which is also the default",
    )
    ballast_bytes: int = Field(
        default=16_777_216,
        ge=0,
        le=1_000_000_000,
        description="room held back on the disk, given up when it is full so that acts and deletions still fit",
    )


class Keys(Table):
    """Key files; a path is absolute or relative to the configuration folder."""

    sign: FilePath = Field(description="private key that signs records", repr=False)
    seal_to: FilePath = Field(description="public key of the store that records are sealed to")
    receipts_from: FilePath | None = Field(
        default=None,
        description="public key that the store's receipts verify under; needed while `uplink.acknowledge` is store",
    )
    quarantine_to: FilePath | None = Field(
        default=None,
        description="engineers' public key for what nobody understood; without it, that is counted and not kept",
    )


class Health(Table):
    heartbeat_s: int = Field(default=60, ge=5, le=3600, description="time between heartbeats")


class Settings(Table):
    """All settings in force."""

    node: Node = Field(description="who this node is")
    paths: Paths = Field(default=Paths(), description="where it keeps things")
    capture: Capture = Field(description="the ways in")
    compress: Compress = Field(default=Compress(), description="images and their caps")
    ledger: Ledger = Field(default=Ledger(), description="what is kept until the store has it")
    uplink: Uplink = Field(description="the way out")
    keys: Keys = Field(description="key files")
    health: Health = Field(default=Health(), description="heartbeat")
    cameras: Annotated[tuple[Camera, ...], Field(strict=False)] = Field(
        default=(), max_length=64, description="the cameras, one file each in `cameras.d/`"
    )

    @model_validator(mode="after")
    def _receipts_can_be_verified(self) -> Self:
        if self.uplink.acknowledge == "store" and self.keys.receipts_from is None:
            raise broken_rule("is missing: it is needed while uplink.acknowledge is store", ("keys", "receipts_from"))
        return self

    @model_validator(mode="after")
    def _every_camera_has_a_door(self) -> Self:
        for index, camera in enumerate(self.cameras):
            kind = camera.source.kind
            if kind == "ftp_drop" and self.capture.ftp_drop is None:
                raise broken_rule("has no door: set capture.ftp_drop.listen", ("cameras", index, "source", "kind"))
            if kind == "tcp_stream" and not camera.source.called() and self.capture.tcp_stream is None:
                raise broken_rule("has no door: set capture.tcp_stream.listen", ("cameras", index, "source", "kind"))
        return self

    @model_validator(mode="after")
    def _cameras_are_told_apart(self) -> Self:
        for (_, one), (index, other) in combinations(enumerate(self.cameras), 2):
            if one.id == other.id:
                raise broken_rule(f"is already the name of another camera, {one.id}", ("cameras", index, "id"))
            if _same_claim(one, other):
                raise broken_rule(
                    f"overlap those of camera {one.id} with the same identity and path: nothing tells the two apart",
                    ("cameras", index, "addresses"),
                )
        return self


def _same_claim(one: Camera, other: Camera) -> bool:
    if (one.identity, one.path, one.source.kind) != (other.identity, other.path, other.source.kind):
        return False
    if any(each.source.called() or each.source.login is not None for each in (one, other)):
        return False  # known by the line it comes on, or by its password
    return any(a.version == b.version and a.overlaps(b) for a in one.addresses for b in other.addresses)
