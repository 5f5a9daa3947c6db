"""The kinds of value a setting can have, each refusing what it cannot mean.

No file, clock or socket is touched here, and no message repeats the text it refuses: it may be a key or an address.
"""

import difflib
import ipaddress
import re
import zoneinfo
from functools import partial
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field
from pydantic_core import PydanticCustomError

from edge.date_format import date_format_fault
from edge.pattern import MEMBER, NAME, TEXT, Bound, pattern_fault
from firmware_config.origins import KeyPath

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


class Table(BaseModel):
    """One table of settings: frozen, typed as TOML types it, and nothing in it that has no name."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


def broken_rule(sentence: str, *at: KeyPath) -> PydanticCustomError:
    """A rule between several keys is broken; `at` are the keys to mend, below the table that raises it."""
    return PydanticCustomError("rule", sentence.replace("{", "(").replace("}", ")"), {"at": at})


def host_port(text: str) -> tuple[str, int]:
    """Split `host:port`, `192.0.2.1:80` or `[2001:db8::1]:80` into host (no brackets) and port; else ValueError."""
    host, colon, port = text.rpartition(":")
    bracketed = host.startswith("[") and host.endswith("]")
    host = host[1:-1] if bracketed else host
    if not colon or not re.fullmatch(r"[0-9]{1,5}", port) or int(port) > 65535:
        raise ValueError("should be host:port")
    if bracketed:
        ipaddress.IPv6Address(host)
    elif not re.fullmatch(r"[A-Za-z0-9]([A-Za-z0-9._-]{0,252})", host):
        raise ValueError("should be host:port")
    return host, int(port)


def comparison_key(identity: str) -> str:
    """A serial number or hardware address as it is compared: lower case, without `:`, `-`, `.` and blanks."""
    return re.sub(r"[\s:.-]", "", identity).lower()


def _checked_host_port(text: str) -> str:
    try:
        port = host_port(text)[1]
    except ValueError:
        port = -1
    if port < 1:
        raise broken_rule("should be host:port, such as broker.example:8883 or [2001:db8::1]:8883")
    return text


def _checked_listen(text: str) -> str:
    try:
        host_port(text)
    except ValueError:
        raise broken_rule("should be host:port, such as 192.0.2.1:8080; port 0 takes any free one") from None
    return text


def _network(value: Any) -> Network:
    if isinstance(value, ipaddress.IPv4Network | ipaddress.IPv6Network):
        found: Network = value
    else:
        try:
            found = ipaddress.ip_network(value if isinstance(value, str) else "")
        except ValueError:
            raise broken_rule(
                "should be an IP address or a network such as 192.0.2.0/24, in quotes, with zeros after the prefix"
            ) from None
    if found.prefixlen == 0:
        raise broken_rule("names every address there is: name the camera's own")
    return found


def _ipv4(text: str) -> str:
    try:
        return str(ipaddress.IPv4Address(text))
    except ValueError:
        raise broken_rule("should be an IPv4 address") from None


def _zone(name: str) -> str:
    try:
        zoneinfo.ZoneInfo(name)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
        near = difflib.get_close_matches(name, zoneinfo.available_timezones(), 1)
        hint = f"; the nearest is {near[0]}" if near else ""
        raise broken_rule(f"should be an IANA time zone such as Europe/London{hint}") from None
    return name


def _absolute(path: Path) -> Path:
    if not path.is_absolute():
        raise broken_rule("should be an absolute path, beginning with /")
    return path


def _file_name(path: Path) -> Path:
    text = str(path)
    if "\n" in text or "-----" in text:
        raise broken_rule("is a key itself: put it in a file of its own and name that file here")
    if path == Path() or "\0" in text or len(text) > 1024:
        raise broken_rule("should be the path of a file")
    return path


def _identity(text: str) -> str:
    key = comparison_key(text)
    if not key or len(key) > 64 or not key.isprintable():
        raise broken_rule("should be the camera's serial number or hardware address, at most 64 characters")
    return key


def _safe_pattern(text: str, bound: Bound) -> str:
    fault = pattern_fault(text, bound)
    if fault is not None:
        raise broken_rule(fault)
    return text


def _date_format(text: str) -> str:
    fault = date_format_fault(text)
    if fault is not None:
        raise broken_rule(fault)
    return text


Id = Annotated[str, Field(pattern=r"^[a-z0-9-]{1,32}$")]
HostPort = Annotated[str, AfterValidator(_checked_host_port)]
Listen = Annotated[str, AfterValidator(_checked_listen)]
Address = Annotated[Network, BeforeValidator(_network)]
IPv4 = Annotated[str, AfterValidator(_ipv4)]
Zone = Annotated[str, AfterValidator(_zone)]
Identity = Annotated[str, AfterValidator(_identity)]
AbsolutePath = Annotated[Path, Field(strict=False), AfterValidator(_absolute)]
FilePath = Annotated[Path, Field(strict=False), AfterValidator(_file_name)]
JsonPath = Annotated[str, Field(pattern=r"^([^.\r\n]+[.])*[^.\r\n]+$", max_length=200)]
"""A place in a camera's message: dotted in JSON, with slashes in XML, a group or a key in a text; `docs/cameras.md`."""

TextPattern = Annotated[str, AfterValidator(partial(_safe_pattern, bound=TEXT))]
NamePattern = Annotated[str, AfterValidator(partial(_safe_pattern, bound=NAME))]
MemberPattern = Annotated[str, AfterValidator(partial(_safe_pattern, bound=MEMBER))]
DateFormat = Annotated[str, AfterValidator(_date_format)]
