"""The settings of the way out. Without TLS, only for a broker on this machine or inside a private network."""

import re
from typing import Literal, Self

from pydantic import Field, model_validator

from firmware_config.fields import FilePath, HostPort, Table, Zone, broken_rule

_HOURS = re.compile(r"([01]\d|2[0-3]):[0-5]\d-([01]\d|2[0-3]):[0-5]\d")


def _hours(text: str) -> bool:
    return _HOURS.fullmatch(text) is not None and text[:5] != text[6:]


class Uplink(Table):
    """The way to the store. Without TLS, only for a broker on this machine or inside a private network."""

    broker: HostPort = Field(repr=False, description="`host:port` of the MQTT broker")
    other_brokers: tuple[HostPort, ...] | None = Field(
        default=None,
        strict=False,
        max_length=4,
        repr=False,
        description="brokers to go to, in this order, while `broker` is away; the node returns when it is back",
    )
    protocol: Literal[5, 3] = Field(default=5, description="MQTT 5, or 3 for MQTT 3.1.1")
    acknowledge: Literal["store", "broker"] = Field(
        default="store", description="whose word lets a record go: the store's receipt, or the broker's (MQTT 5 only)"
    )
    tls: bool = Field(default=True, description="whether the connection is TLS, both sides with certificates")
    ca: FilePath | None = Field(default=None, description="certificate authority of the broker; needed with `tls`")
    certificate: FilePath | None = Field(default=None, description="the node's certificate; needed with `tls`")
    key: FilePath | None = Field(
        default=None, description="the certificate's private key; needed with `tls`", repr=False
    )
    window_bytes: int = Field(
        default=524_288, ge=65_536, le=16_777_216, description="bytes sent and not yet acknowledged"
    )
    backlog_share_percent: int = Field(default=25, ge=1, le=99, description="share of the window kept for backlog")
    receipt_timeout_s: float = Field(
        default=30, gt=0, le=3600, description="a record without a receipt is sent again after this"
    )
    keepalive_s: int = Field(
        default=12, ge=1, le=3600, description="MQTT keep-alive; a frozen broker is found after twice this"
    )
    rate_bytes_per_s: int = Field(default=0, ge=0, le=1_000_000_000, description="most bytes a second; 0 is no limit")
    off_peak: str | None = Field(
        default=None,
        description="the line's cheap hours, such as `22:00-06:00`",
    )
    zone: Zone = Field(default="UTC", description="IANA time zone of `off_peak`")
    off_peak_rate_bytes_per_s: int = Field(
        default=0, ge=0, le=1_000_000_000, description="most bytes a second in `off_peak`; 0 is no limit"
    )
    overviews: Literal["always", "off_peak"] = Field(
        default="always", description="whether overviews wait for `off_peak`; reads never do"
    )

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        missing = [(name,) for name in ("ca", "certificate", "key") if getattr(self, name) is None]
        if self.tls and missing:
            raise broken_rule("is missing: it is needed while uplink.tls is true", *missing)
        if self.acknowledge == "broker" and self.protocol == 3:
            raise broken_rule(
                "may be broker only with protocol 5: a 3.1.1 broker acknowledges what it then drops", ("acknowledge",)
            )
        if self.overviews == "off_peak" and self.off_peak is None:
            raise broken_rule("is missing: it is needed while overviews wait for it", ("off_peak",))
        if self.off_peak is not None and not _hours(self.off_peak):
            raise broken_rule("should be hours such as 22:00-06:00, from one time to another", ("off_peak",))
        return self
