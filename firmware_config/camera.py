"""What one file of `cameras.d/` says: which camera, on whose authority, and how far its clock is believed.

No password and no stream address has a place here; nothing here decides whether a read is admitted.
"""

import datetime
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from firmware_config.fields import Address, HostPort, Id, Identity, JsonPath, Table, Zone, broken_rule


class Position(Table):
    """Where the camera stands, WGS 84. Sensitive: it goes into sealed records and nowhere else."""

    latitude: float = Field(ge=-90, le=90, description="degrees north", repr=False)
    longitude: float = Field(ge=-180, le=180, description="degrees east", repr=False)


class Authorisation(Table):
    """On what authority the camera reads plates. Days are UTC days, the last one included."""

    reference: str = Field(
        min_length=1,
        max_length=64,
        pattern=r"\S",
        description="the decision that allows this camera, as the owner files it",
    )
    first_day: datetime.date = Field(description="first UTC day on which its reads are admitted, a TOML date")
    last_day: datetime.date = Field(description="last UTC day on which its reads are admitted, a TOML date")

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.last_day < self.first_day:
            raise broken_rule("is before first_day", ("last_day",))
        return self


class Mapping(Table):
    """Where each field of a read lies in the JSON of the `generic` dialect: dotted paths from the root object."""

    id: JsonPath | None = Field(default=None, description="path of the camera's own identity for the passage")
    plate: JsonPath = Field(description="path of the plate text")
    confidence: JsonPath | None = Field(default=None, description="path of the confidence")
    confidence_scale: Literal[1, 100, 255] = Field(default=100, description="the confidence that means certain")
    captured_at: JsonPath | None = Field(default=None, description="path of the time of capture")
    captured_at_unit: Literal["iso", "s", "ms"] = Field(
        default="iso", description="the time as ISO 8601 text, or as seconds or milliseconds since 1970, UTC"
    )
    camera: JsonPath | None = Field(default=None, description="path of the camera's identity")
    lane: JsonPath | None = Field(default=None, description="path of the lane")
    direction: JsonPath | None = Field(default=None, description="path of the direction of travel")
    direction_toward: str = Field(default="toward", max_length=32, description="the word that means toward the camera")
    direction_away: str = Field(default="away", max_length=32, description="the word that means away from it")
    country: JsonPath | None = Field(default=None, description="path of the country")
    plate_patch: JsonPath | None = Field(default=None, description="path of the plate patch, base64")
    overview: JsonPath | None = Field(default=None, description="path of the overview, base64")

    def for_dialect(self) -> dict[str, str]:
        """What is set, by name, all as text: as the dialect takes it."""
        return {name: str(value) for name, value in self.model_dump().items() if value is not None}


class Camera(Table):
    """One camera that this node listens to."""

    id: Id = Field(description="the camera's name in records and topics; kept when the device is replaced")
    dialect: str = Field(pattern=r"^[a-z0-9_-]{1,32}$", description="how the camera puts a read, such as `hikvision`")
    addresses: Annotated[tuple[Address, ...], Field(strict=False)] = Field(
        min_length=1, max_length=32, repr=False, description="IP addresses or networks it may speak from"
    )
    identity: Identity | None = Field(
        default=None,
        repr=False,
        description="serial number or hardware address it must give; compared without case, `:`, `-` and `.`",
    )
    path: str | None = Field(
        default=None, pattern=r"^/[^\s?#]*$", max_length=200, repr=False, description="URL path it must push to"
    )
    lane: str | None = Field(
        default=None,
        pattern=r"^[A-Za-z0-9._-]{1,32}$",
        description="lane of its reads where the camera gives none, as text",
    )
    zone: Zone = Field(description="IANA time zone of the camera's clock, such as `Europe/London`")
    time: Literal["camera_offset", "camera_zone", "arrival"] = Field(
        default="camera_offset",
        description="whose time is believed: the camera's with its offset, its local time in `zone`, or arrival",
    )
    plausible_past_s: int = Field(default=604_800, ge=0, le=604_800, description="oldest capture time that is believed")
    plausible_future_s: int = Field(
        default=300, ge=0, le=86_400, description="furthest capture time ahead that is believed"
    )
    silent_after_s: int = Field(
        default=900, ge=10, le=604_800, description="quiet for this long, the camera is called silent"
    )
    keep_unread: bool = Field(default=True, description="whether a vehicle whose plate was not read becomes a record")
    position: Position | None = Field(default=None, repr=False, description="where it stands, in degrees")
    probe: HostPort | None = Field(
        default=None, repr=False, description="`host:port` that answers while the camera is up"
    )
    authorisation: Authorisation = Field(description="on what authority it reads plates")
    mapping: Mapping | None = Field(
        default=None, description="for the `generic` dialect: where each field lies in its JSON"
    )

    @model_validator(mode="after")
    def _mapping_is_for_generic(self) -> Self:
        if self.dialect != "generic" and self.mapping is not None:
            raise broken_rule("is for the generic dialect only", ("mapping",))
        return self
