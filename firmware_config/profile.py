"""The legal profile: numbers with their citations, and the caps that follow from them.

A setting may lower a cap, never raise it. No number of the standard is a literal in code: all are in `standards/`.
"""

import difflib
import tomllib
from dataclasses import dataclass
from importlib import resources
from typing import Literal

from pydantic import Field

from edge.errors import Misconfigured
from firmware_config.fields import Table
from firmware_config.model import LoweredCaps

Certainty = Literal["P", "P-toc", "S", "S-", "D", "X"]


class Limit(Table):
    """One number of a profile. `certainty`: P primary text seen, P-toc its heading only, S stated by others, S- weakly,
    D derived here, X looked for and not found (the value is the project's choice)."""

    value: int = Field(gt=0)
    source: str = Field(min_length=1)
    certainty: Certainty
    note: str = Field(min_length=1)


class _ProfileFile(Table):
    name: str
    reading: str = Field(min_length=1)
    patch_max_width_px: Limit
    patch_max_height_px: Limit
    patch_max_bytes: Limit
    overview_max_bytes: Limit
    overview_max_side_px: Limit
    buffer_max_age_days: Limit
    clock_warn_ms: Limit
    clock_fault_ms: Limit


@dataclass(frozen=True, slots=True)
class Profile:
    """A profile's numbers. `reading` says how far the standard itself was read; `cited` gives each number's source."""

    name: str
    reading: str
    patch_max_width_px: int
    patch_max_height_px: int
    patch_max_bytes: int
    overview_max_bytes: int
    overview_max_side_px: int
    buffer_max_age_days: int
    clock_warn_ms: int
    clock_fault_ms: int
    limits: tuple[tuple[str, Limit], ...]

    def cited(self, key: str) -> Limit:
        """The number called `key` with source, certainty and note. KeyError for an unknown name."""
        return dict(self.limits)[key]


@dataclass(frozen=True, slots=True)
class Caps:
    """What an image may measure to leave the node, all limits at once. Bytes are of the raw JPEG.

    `overview_max_side_px` is no law but the project's bound; None is no bound.
    """

    patch_max_width_px: int
    patch_max_height_px: int
    patch_max_bytes: int
    overview_max_bytes: int
    overview_max_side_px: int | None = None


@dataclass(frozen=True, slots=True)
class Raised:
    """A setting above the profile: which cap, what was asked, what is allowed."""

    cap: str
    asked: int
    allowed: int


def max_age_days(profile: Profile, asked: int | None) -> int:
    """The lawful age of what was not sent, in days: the profile's, or less where the settings ask; Misconfigured where
    they ask for more."""
    if asked is not None and asked > profile.buffer_max_age_days:
        raise Misconfigured(
            f"ledger.max_age_days is {asked}, above the maximum of {profile.name}, {profile.buffer_max_age_days}",
            "a setting may lower it, never raise it: remove the key or set it to the maximum or less",
        )
    return profile.buffer_max_age_days if asked is None else asked


def profile_names() -> tuple[str, ...]:
    """The profiles that come with the package."""
    folder = resources.files("firmware_config") / "standards"
    return tuple(sorted(file.name.removesuffix(".toml") for file in folder.iterdir() if file.name.endswith(".toml")))


def load_profile(name: str) -> Profile:
    """The packaged profile called `name`; Misconfigured where there is none."""
    names = profile_names()
    if name not in names:
        near = difflib.get_close_matches(name, names, 1, 0.4)
        raise Misconfigured(
            "compress.profile names no known profile" + (f"; the nearest is {near[0]}" if near else ""),
            f"choose one of: {', '.join(names)}",
        )
    text = (resources.files("firmware_config") / "standards" / f"{name}.toml").read_text("utf-8")
    file = _ProfileFile.model_validate(tomllib.loads(text))
    limits = {key: getattr(file, key) for key in _ProfileFile.model_fields if key not in ("name", "reading")}
    numbers: dict[str, int] = {key: limit.value for key, limit in limits.items()}
    return Profile(name=file.name, reading=file.reading, limits=tuple(limits.items()), **numbers)


def raised(profile: Profile, caps: LoweredCaps) -> tuple[Raised, ...]:
    """The caps that the settings would raise above the profile."""
    asked = {key: value for key, value in caps.model_dump().items() if value is not None}
    return tuple(
        Raised(key, value, profile.cited(key).value) for key, value in asked.items() if value > profile.cited(key).value
    )


def in_force(profile: Profile, caps: LoweredCaps) -> Caps:
    """The profile's caps, lowered where the settings ask; Misconfigured where they would raise one."""
    if above := raised(profile, caps):
        raise Misconfigured(
            "; ".join(
                f"compress.caps.{one.cap} is {one.asked}, above the maximum of {profile.name}, {one.allowed}"
                for one in above
            ),
            "a setting may lower a cap, never raise it: remove the key or set it to the maximum or less",
        )
    return Caps(
        **{key: profile.cited(key).value if value is None else value for key, value in caps.model_dump().items()}
    )
