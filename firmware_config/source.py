"""How a camera's reads reach the node, and where its frames come from when a read has no picture.

A password is never a setting: `login` names a file that holds it. Nothing here opens that file or calls a camera.
"""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from firmware_config.fields import AbsolutePath, FilePath, HostPort, Table, broken_rule

Kind = Literal["http_push", "http_pull", "tcp_stream", "ftp_drop", "serial_line", "mqtt_events"]

# Beside `kind`: what each way must be given, and what it may be.
_NEEDS: dict[str, frozenset[str]] = {
    "http_push": frozenset(),
    "http_pull": frozenset({"address", "recipe"}),
    "tcp_stream": frozenset({"framing"}),
    "ftp_drop": frozenset({"login"}),
    "serial_line": frozenset({"device", "framing"}),
    "mqtt_events": frozenset({"address", "topics"}),
}
_MAY: dict[str, frozenset[str]] = {
    "http_push": frozenset({"login", "scheme"}),
    "http_pull": frozenset({"login", "channel", "tls", "ca", "every_s", "quiet_s"}),
    "tcp_stream": frozenset({"address", "roots", "quiet_s"}),
    "ftp_drop": frozenset(),
    "serial_line": frozenset({"roots", "baud", "parity", "quiet_s"}),
    "mqtt_events": frozenset({"login", "tls", "ca", "protocol"}),
}


class Source(Table):
    """The way a camera's reads come. What must and may be set depends on `kind`."""

    kind: Kind = Field(default="http_push", description="the way its reads come")
    address: HostPort | None = Field(
        default=None, repr=False, description="`host:port` that the node calls: the camera's, or a broker's"
    )
    login: FilePath | None = Field(
        default=None,
        repr=False,
        description="file with a name on its first line and a password on its second: what the node gives the camera,"
        " or for `http_push` and `ftp_drop` the camera gives the node",
    )
    scheme: Literal["digest", "basic"] = Field(
        default="digest", description="how a camera that pushes gives its password"
    )
    recipe: str | None = Field(
        default=None,
        pattern=r"^[a-z0-9_]{1,32}$",
        description="what the node asks the camera, such as `hikvision_stream`; `cameras.md` lists them",
    )
    channel: int = Field(default=1, ge=1, le=256, description="which channel of the device is asked")
    every_s: float | None = Field(default=None, ge=0.5, le=3600, description="time between questions; the recipe's own")
    tls: Literal["off", "verify", "unverified"] = Field(
        default="off", description="`verify` the certificate, or encrypt towards whoever answers (`unverified`)"
    )
    ca: FilePath | None = Field(default=None, description="authority of its certificate; the system's where none")
    framing: Literal["closing_tag", "json", "line", "stx_etx", "nedap"] | None = Field(
        default=None, description="how one message ends and the next begins"
    )
    roots: Annotated[tuple[str, ...], Field(strict=False)] = Field(
        default=(), max_length=8, description="for `closing_tag`: the names of the elements that are messages"
    )
    quiet_s: float | None = Field(
        default=None, ge=1, le=86_400, description="silence after which the line is taken for dead and called anew"
    )
    device: AbsolutePath | None = Field(
        default=None, description="serial port, by a name that stays: /dev/serial/by-id/"
    )
    baud: int = Field(default=9600, ge=300, le=921_600, description="speed of the serial line")
    parity: Literal["none", "even", "odd"] = Field(default="none", description="parity of the serial line")
    topics: Annotated[tuple[str, ...], Field(strict=False)] = Field(
        default=(), max_length=16, repr=False, description="MQTT topic filters"
    )
    protocol: Literal[5, 3] = Field(default=3, description="MQTT 5, or 3 for 3.1.1, which cameras speak")

    @model_validator(mode="after")
    def _fits_its_kind(self) -> Self:
        given = self.model_fields_set - {"kind"}
        missing = sorted(name for name in _NEEDS[self.kind] if name not in given)
        if missing:
            raise broken_rule(f"is needed with kind {self.kind}", *((name,) for name in missing))
        strange = sorted(given - _NEEDS[self.kind] - _MAY[self.kind])
        if strange:
            raise broken_rule(f"is not for kind {self.kind}", *((name,) for name in strange))
        if bool(self.roots) != (self.framing == "closing_tag"):
            raise broken_rule("belongs to framing closing_tag, and is needed there", ("roots",))
        return self

    def called(self) -> bool:
        """Whether the node begins: then the camera needs no address to be known by."""
        return self.address is not None or self.kind == "serial_line"


class Grab(Table):
    """Where the node takes a frame itself, for reads that come without an overview."""

    kind: Literal["rtsp", "mjpeg", "snapshot"] = Field(description="how the camera gives frames")
    address: HostPort = Field(repr=False, description="`host:port` of the stream or snapshot")
    path: str = Field(
        pattern=r"^/\S*$", max_length=300, repr=False, description="path and query of the stream or snapshot"
    )
    login: FilePath | None = Field(
        default=None, repr=False, description="file with a name on its first line and a password on its second"
    )
    tls: Literal["off", "verify", "unverified"] = Field(
        default="off", description="as in `source.tls`; for `mjpeg` and `snapshot`"
    )
    ca: FilePath | None = Field(default=None, description="authority of its certificate; the system's where none")
    within_ms: int = Field(
        default=500, ge=50, le=3000, description="furthest a frame may be from the vehicle's moment to be its overview"
    )
