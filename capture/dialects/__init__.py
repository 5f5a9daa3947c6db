"""One file per camera's way of saying it, and the table of them. A new vendor is a new file and a line here."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from capture.delivery import Delivery
from capture.dialects.generic import Generic
from capture.dialects.hikvision import Hikvision
from capture.receive import Dialect
from edge.errors import Misconfigured

DIALECTS: Mapping[str, Callable[[], Dialect]] = {
    "hikvision": Hikvision,
    "generic": Generic,
}


def dialect_named(name: str, mapping: Mapping[str, str] | None = None) -> Dialect:
    """The dialect of that name; `mapping` only for `generic`. Raises `Misconfigured`."""
    if name not in DIALECTS:
        raise Misconfigured("a camera names a dialect that does not exist", f"write one of: {', '.join(DIALECTS)}")
    if mapping is None:
        return DIALECTS[name]()
    if name != "generic":
        raise Misconfigured(f"the dialect {name} takes no mapping", "remove the mapping or write generic")
    return Generic(dict(mapping))


def which(delivery: Delivery) -> list[str]:
    """The names of the dialects that recognise a delivery, in the order of the table."""
    return [name for name, make in DIALECTS.items() if make().recognises(delivery)]
