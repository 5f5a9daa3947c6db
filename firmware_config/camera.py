"""What one file of `cameras.d/` says: which camera, on whose authority, and how far its clock is believed.

No password and no stream address has a place here; nothing here decides whether a read is admitted.
"""

import datetime
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from firmware_config.fields import (
    Address,
    DateFormat,
    HostPort,
    Id,
    Identity,
    JsonPath,
    MemberPattern,
    NamePattern,
    Table,
    TextPattern,
    Zone,
    broken_rule,
)
from firmware_config.source import Grab, Source


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
    """Where each field of a read lies in what a camera of the `generic` dialect sends, and how it is to be taken."""

    form: Literal["json", "xml", "text", "pairs", "fields", "form", "picture"] | None = Field(
        default=None,
        description="how the body is put: `json`, taken where none is given; "
        "`xml`, `text`, `pairs`, `fields`, `form`, `picture`",
    )
    document: str | None = Field(
        default=None, min_length=1, max_length=64, description="part or form member that holds the document"
    )
    encoding: Literal["utf-8", "latin-1", "gb18030", "cp1251"] | None = Field(
        default=None, description="of the text: `utf-8` (taken where none is given), `latin-1`, `gb18030` or `cp1251`"
    )
    delimiter: str | None = Field(
        default=None, min_length=1, max_length=1, description="between pairs or fields; a comma where none is given"
    )
    equals: str | None = Field(
        default=None, min_length=1, max_length=1, description="between key and value of a pair; `=` where none is given"
    )
    text_pattern: TextPattern | None = Field(
        default=None,
        description="regular expression with named groups, for `text`; see `cameras.md` for what it may hold",
    )
    name_pattern: NamePattern | None = Field(
        default=None, description="regular expression with named groups, for the file's name or the topic"
    )
    id: JsonPath | None = Field(default=None, description="path of the camera's own identity for the message")
    passage: JsonPath | None = Field(
        default=None, description="path of its identity for the passage, where several messages speak of one"
    )
    plate: JsonPath = Field(description="path of the plate text")
    unread: str | None = Field(
        default=None, max_length=200, description="words that mean no plate was read, with vertical bars between"
    )
    confidence: JsonPath | None = Field(default=None, description="path of the confidence")
    confidence_scale: Literal[1, 100, 255] = Field(default=100, description="the confidence that means certain")
    captured_at: JsonPath | None = Field(default=None, description="path of the time of capture")
    captured_on: JsonPath | None = Field(
        default=None, description="path of the date where it stands apart; it is put before the time, with a blank"
    )
    captured_at_unit: Literal["iso", "s", "ms", "us"] = Field(
        default="iso", description="the time as ISO 8601 text, or as seconds, ms or us since 1970, UTC"
    )
    captured_at_formats: Annotated[tuple[DateFormat, ...], Field(strict=False)] | None = Field(
        default=None,
        min_length=1,
        max_length=8,
        description="the time's forms in the letters of strptime, tried in order",
    )
    captured_at_utc: bool = Field(default=False, description="whether a time without a zone is UTC, not local")
    camera: JsonPath | None = Field(default=None, description="path of the camera's identity")
    lane: JsonPath | None = Field(default=None, description="path of the lane")
    direction: JsonPath | None = Field(default=None, description="path of the direction of travel")
    direction_toward: str = Field(
        default="toward", max_length=200, description="words that mean toward the camera, with vertical bars between"
    )
    direction_away: str = Field(
        default="away", max_length=200, description="words that mean away from it, with vertical bars between"
    )
    country: JsonPath | None = Field(default=None, description="path of the country")
    plate_patch: JsonPath | None = Field(
        default=None, description="path of the plate patch in base64; or `part:` and the part's name; or `body:`"
    )
    overview: JsonPath | None = Field(
        default=None, description="path of the overview in base64; or `part:` and the part's name; or `body:`"
    )
    box: Annotated[tuple[JsonPath, ...], Field(strict=False)] | None = Field(
        default=None,
        min_length=1,
        max_length=4,
        description="where the plate is in the overview: path of four numbers, or four paths",
    )
    box_corners: bool = Field(
        default=False, description="whether the third and fourth are right and bottom, not width and height"
    )
    box_scale: int | None = Field(
        default=None, ge=1, le=100_000, description="units that span the picture; pixels where none is given"
    )
    kind: JsonPath | None = Field(default=None, description="path of the kind of message")
    kind_read: str | None = Field(
        default=None, max_length=200, description="kinds that are a read, with vertical bars between; others are events"
    )
    heartbeat: JsonPath | None = Field(
        default=None, description="path of what tells a heartbeat; `kind` where none is given"
    )
    heartbeat_words: str | None = Field(
        default=None,
        max_length=200,
        description="what stands there in a heartbeat, with vertical bars between; `*`: anything",
    )
    patterns: (
        dict[
            Literal[
                "id",
                "passage",
                "plate",
                "confidence",
                "captured_at",
                "captured_on",
                "camera",
                "lane",
                "direction",
                "country",
                "kind",
                "heartbeat",
            ],
            MemberPattern,
        ]
        | None
    ) = Field(default=None, description="a table: for a member, the regular expression that cuts it out of its text")
    fixed: dict[Literal["lane", "direction", "country"], str] | None = Field(
        default=None, description="a table: what `lane`, `direction` or `country` is where the camera gives none"
    )

    @model_validator(mode="after")
    def _agrees(self) -> Self:
        if self.form == "text" and self.text_pattern is None:
            raise broken_rule("is needed where form is text", ("text_pattern",))
        if self.fixed is not None and self.fixed.get("direction", "away") not in ("toward", "away"):
            raise broken_rule("should be toward or away", ("fixed", "direction"))
        if self.box is not None and len(self.box) not in (1, 4):
            raise broken_rule("should be one path, or four", ("box",))
        if self.name_pattern is None and any(
            str(path).startswith("name:") for value in self.model_dump().values() for path in _each(value)
        ):
            raise broken_rule("is needed where a member is taken from the name", ("name_pattern",))
        return self

    def for_dialect(self) -> dict[str, str]:
        """What is set, by name, all as text: as the dialect takes it; of lists one on each line, of tables dotted."""
        found: dict[str, str] = {}
        for name, value in self.model_dump().items():
            if isinstance(value, dict):
                found |= {f"{name}.{key}": str(each) for key, each in value.items()}
            elif isinstance(value, tuple):
                found[name] = "\n".join(map(str, value))
            elif value is not None and value is not False:
                found[name] = str(value)
        return found


def _each(value: object) -> tuple[object, ...]:
    return value if isinstance(value, tuple) else (value,)


class Camera(Table):
    """One camera that this node listens to."""

    id: Id = Field(description="the camera's name in records and topics; kept when the device is replaced")
    dialect: str = Field(pattern=r"^[a-z0-9_-]{1,32}$", description="how the camera puts a read, such as `hikvision`")
    addresses: Annotated[tuple[Address, ...], Field(strict=False)] = Field(
        default=(),
        max_length=32,
        repr=False,
        description="IP addresses or networks it may speak from; needed unless the node calls it",
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
    same_passage_s: int = Field(
        default=3, ge=0, le=600, description="reads of one plate this near, without an identity, are one passage"
    )
    first_waits_ms: int = Field(
        default=0,
        ge=0,
        le=10_000,
        description="how long the first message on a passage waits for the others; 0: each is a record that names it",
    )
    source: Source = Field(default=Source(), description="the way its reads come")
    grab: Grab | None = Field(default=None, description="where a frame is taken for reads without an overview")
    position: Position | None = Field(default=None, repr=False, description="where it stands, in degrees")
    probe: HostPort | None = Field(
        default=None, repr=False, description="`host:port` that answers while the camera is up"
    )
    authorisation: Authorisation = Field(description="on what authority it reads plates")
    mapping: Mapping | None = Field(
        default=None, description="for the `generic` dialect: where each field lies in its JSON"
    )

    @model_validator(mode="after")
    def _is_known_by_something(self) -> Self:
        if not self.addresses and not self.source.called():
            raise broken_rule("is missing: it says where the camera may speak from", ("addresses",))
        if self.path is not None and self.source.kind != "http_push":
            raise broken_rule("is for cameras that push over HTTP", ("path",))
        return self

    @model_validator(mode="after")
    def _mapping_is_for_generic(self) -> Self:
        if self.dialect != "generic" and self.mapping is not None:
            raise broken_rule("is for the generic dialect only", ("mapping",))
        return self
