"""A camera as the node knows it: where it sends from, what it calls itself, and until when the law lets it be heard.

Pure values. Built from the configuration by `firmware_config`; nothing here reads a file.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date
from enum import Enum
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from zoneinfo import ZoneInfo

from edge.claim import Arrival, Way


class TimePolicy(Enum):
    """Whose time a read carries (camera-formats: cameras are years out, zones are factory defaults)."""

    CAMERA_OFFSET = "camera_offset"  # the camera's time, with the zone it declares
    CAMERA_ZONE = "camera_zone"  # the camera's clock face, in the zone configured for it
    ARRIVAL = "arrival"  # the node's clock when the delivery arrived


class AuthorisationState(Enum):
    AUTHORISED = "authorised"
    NOT_YET = "not_yet"
    EXPIRED = "expired"


@dataclass(frozen=True, slots=True)
class Authorisation:
    """The reference under which a camera may be read, and its first and last day (UTC days, both included)."""

    reference: str
    first_day: date
    last_day: date

    def state(self, on: date) -> AuthorisationState:
        if on < self.first_day:
            return AuthorisationState.NOT_YET
        return AuthorisationState.EXPIRED if on > self.last_day else AuthorisationState.AUTHORISED

    def days_left(self, on: date) -> int:
        """Days from `on` to the last day; 0 on the last day, negative after it."""
        return (self.last_day - on).days


@dataclass(frozen=True, slots=True)
class Position:
    """Where the camera stands, in 1e-7 degrees: integers, because records hold no floats."""

    lat_e7: int
    lon_e7: int


@dataclass(frozen=True, slots=True)
class Camera:
    """One authorised camera. `way`, `networks`, `path` and `identity` say what a delivery must come from to be its.

    `gives_password`: it is known by nothing less. `same_passage_s`: reads of one plate this near to each other, that
    carry no identity, are one passage. `first_waits_ms`: how long the first message on a passage is held for those that
    follow; 0: each is a record.
    """

    id: str
    dialect: str
    networks: tuple[IPv4Network | IPv6Network, ...] = field(repr=False)
    identity: str | None = field(repr=False)
    path: str | None = field(repr=False)
    lane: str | None
    zone: ZoneInfo
    time: TimePolicy
    plausible_past_s: int
    plausible_future_s: int
    keep_unread: bool
    position: Position | None = field(repr=False)
    authorisation: Authorisation
    way: Way = Way.HTTP_PUSH
    gives_password: bool = False
    same_passage_s: int = 3
    first_waits_ms: int = 0

    def sends(self, arrival: Arrival) -> bool:
        """Whether a delivery that came so may be this camera's."""
        if arrival.way is not self.way:
            return False
        if arrival.camera is not None:
            return arrival.camera == self.id
        if self.gives_password:
            return False
        return (self.path is None or arrival.path == self.path) and self.stands_at(arrival.address)

    def stands_at(self, address: str) -> bool:
        """Whether it may speak from this address."""
        try:
            heard: IPv4Address | IPv6Address = ip_address(address)
        except ValueError:
            return False
        if isinstance(heard, IPv6Address) and heard.ipv4_mapped is not None:
            heard = heard.ipv4_mapped
        return any(heard.version == network.version and heard in network for network in self.networks)

    def is_called(self, identity: str | None) -> bool:
        """Whether this identity is the configured one. A camera configured without one is known by source alone."""
        return self.identity is None or (
            identity is not None and bare_identity(identity) == bare_identity(self.identity)
        )


def bare_identity(text: str) -> str:
    """A serial or MAC for comparison: lower case, without the separators that vendors disagree on."""
    return "".join(c for c in text.lower() if c not in ":-. ")
