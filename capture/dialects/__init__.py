"""One file per camera's way of saying it, and the table of them. A new vendor is a new file and a line here."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from capture.delivery import Delivery
from capture.dialects.axis import Axis
from capture.dialects.axxonsoft import AxxonSoft
from capture.dialects.dahua import Dahua
from capture.dialects.generic import Generic
from capture.dialects.genetec import Genetec
from capture.dialects.hikvision import Hikvision
from capture.dialects.lilin import Lilin
from capture.dialects.milesight import Milesight
from capture.dialects.nedap import Nedap
from capture.dialects.onvif import Onvif
from capture.dialects.platerecognizer import PlateRecognizer
from capture.dialects.rekor import Rekor
from capture.dialects.survision import Survision
from capture.dialects.tattile import Tattile
from capture.dialects.tvt import Tvt
from capture.dialects.uniview import Uniview
from capture.dialects.vaxtor import Vaxtor
from capture.dialects.verkada import Verkada
from capture.receive import Dialect
from edge.errors import Misconfigured

# `generic` last: it recognises whatever looks like JSON.
DIALECTS: Mapping[str, Callable[[], Dialect]] = {
    "hikvision": Hikvision,
    "dahua": Dahua,
    "axis": Axis,
    "tvt": Tvt,
    "milesight": Milesight,
    "rekor": Rekor,
    "platerecognizer": PlateRecognizer,
    "vaxtor": Vaxtor,
    "tattile": Tattile,
    "survision": Survision,
    "uniview": Uniview,
    "lilin": Lilin,
    "nedap": Nedap,
    "genetec": Genetec,
    "verkada": Verkada,
    "onvif": Onvif,
    "axxonsoft": AxxonSoft,
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
