"""The maps of docs/wire/records.cddl, written as closed checks.

A value either has exactly the members and types that the document gives it or it does not: nothing is coerced, filled
in or ignored here.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Final

Check = Callable[[object], bool]

MOST_INT: Final = 2**53 - 1
"""The document's bound for `seq`, used for every other counted or timed number too (its CDDL leaves those open)."""
MOST_UINT64: Final = 2**64 - 1
_ID: Final = re.compile(r"[a-z0-9-]{1,32}")


def text(value: object) -> bool:
    return type(value) is str


def octets(length: int | None = None) -> Check:
    return lambda value: type(value) is bytes and (length is None or len(value) == length)


def integer(least: int = -MOST_INT, most: int = MOST_INT) -> Check:
    return lambda value: type(value) is int and least <= value <= most


def name(value: object) -> bool:
    return type(value) is str and _ID.fullmatch(value) is not None


def word(*allowed: str) -> Check:
    return lambda value: type(value) is str and value in allowed


def exactly(wanted: object) -> Check:
    return lambda value: type(value) is type(wanted) and value == wanted


def null(value: object) -> bool:
    return value is None


def either(*checks: Check) -> Check:
    return lambda value: any(check(value) for check in checks)


def array(check: Check) -> Check:
    return lambda value: type(value) is list and all(map(check, value))


def tuple_of(*checks: Check) -> Check:
    return lambda value: (
        type(value) is list and len(value) == len(checks) and all(c(v) for c, v in zip(checks, value, strict=True))
    )


def table(check: Check) -> Check:
    return lambda value: type(value) is dict and all(text(k) and check(v) for k, v in value.items())


def closed(members: Mapping[str, Check], optional: Mapping[str, Check] | None = None) -> Check:
    """A map with every one of `members`, any of `optional`, and no other key."""
    extra = dict(optional or {})

    def check(value: object) -> bool:
        if type(value) is not dict or not members.keys() <= value.keys():
            return False
        return all((members.get(key) or extra.get(key) or _never)(inner) for key, inner in value.items())

    return check


def _never(value: object) -> bool:
    return False


UINT: Final = integer(0)
SEQ: Final = integer(1)
EPOCH: Final = octets(12)
KID: Final = octets(8)
DIGEST: Final = octets(32)
KIND: Final = word("read", "overview", "act")
_NULL_TEXT: Final = either(text, null)
_NULL_UINT: Final = either(UINT, null)
_OMITTED: Final = closed({"omitted": text})
_ROLE: Final = word("plate_patch", "overview")
_SIZE: Final = tuple_of(UINT, UINT)

SEALED: Final = closed(
    {"v": exactly(1), "kid": KID, "node": name, "epoch": EPOCH, "seq": SEQ, "kind": KIND, "ct": octets()}
)

_CAPTURED: Final = closed(
    {
        "utc_ms": integer(),
        "bound_ms": _NULL_UINT,
        "source": word("camera_offset", "camera_zone", "arrival", "node"),
        "heard": _NULL_TEXT,
    }
)
_RECEIVED: Final = closed(
    {
        "utc_ms": integer(),
        "bound_ms": _NULL_UINT,
        "clock": word("synchronised", "unsynchronised", "unknown"),
        "mono_ns": integer(0, MOST_UINT64),
        "boot_id": text,
    }
)
_ORIGINAL: Final = closed({"role": _ROLE, "sha256": DIGEST, "bytes": UINT}, {"grabbed_ms": integer()})
_HEARD: Final = closed({}, {"confidence": text, "direction": text, "country": text, "plate_box": text})
_SURROUND: Final = closed(
    {
        "mode": word("soften", "mask"),
        "sigma_x100": UINT,
        "region": tuple_of(UINT, UINT, UINT, UINT),
        "box": word("camera", "proposed"),
    }
)
_ALTERED: Final = closed(
    {
        "role": _ROLE,
        "actions": array(word("kept", "stripped", "cropped", "resized", "recompressed", "softened", "masked")),
        "from": _SIZE,
        "to": _SIZE,
        "quality": either(integer(1, 100), null),
    },
    {"surround": _SURROUND},
)
_READ: Final = closed(
    {
        "camera": name,
        "vendor_id": _NULL_TEXT,
        "lane": _NULL_TEXT,
        "direction": either(word("toward", "away"), null),
        "vrm": _NULL_TEXT,
        "vrm_heard": text,
        "confidence": either(integer(0, 100), null),
        "country": _NULL_TEXT,
        "position": either(closed({"lat_e7": integer(), "lon_e7": integer()}), null),
        "authorisation": text,
        "patch": either(closed({"jpeg": octets()}), _OMITTED),
        "overview": either(closed({"sha256": DIGEST, "bytes": UINT}), _OMITTED),
        "originals": array(_ORIGINAL),
        "altered": array(_ALTERED),
        "clock_skew_ms": either(integer(), null),
        "dialect": closed({"name": text, "version": UINT}),
    },
    {"test": exactly(True), "heard": _HEARD, "revises": tuple_of(EPOCH, SEQ)},
)
_OVERVIEW: Final = closed({"of": SEQ, "jpeg": octets()})
_BEFORE: Final = closed({"epoch": EPOCH, "seq": SEQ, "head": DIGEST})
_QUARANTINED: Final = closed({"name": text, "reason": text, "bytes": UINT})
_STARTED: Final = closed({"before": either(_BEFORE, null), "config": text}, {"quarantined": _QUARANTINED})
_SHED: Final = closed(
    {
        "reason": word("room", "age"),
        "counts": closed({}, {"read": SEQ, "overview": SEQ}),
        "which": array(closed({"epoch": EPOCH, "ranges": array(tuple_of(SEQ, SEQ))})),
    }
)
_SALVAGED: Final = closed({"quarantine": text, "put_back": UINT, "damaged": UINT, "aged": UINT, "unplaced": UINT})
_STEP: Final = closed({"boot_id": text, "by_ms": integer(), "to_ms": integer(), "mono_ns": integer(0, MOST_UINT64)})


def _act(name: str, detail: Check) -> Check:
    return closed({"act": exactly(name), "detail": detail})


_ACT: Final = either(
    _act("started", _STARTED),
    _act("stopped", closed({})),
    _act("refused", closed({"counts": table(table(UINT))})),
    _act("shed", _SHED),
    _act("salvaged", _SALVAGED),
    _act("quarantine_erased", closed({"quarantine": text, "reason": word("age", "salvaged")})),
    _act("clock_step", _STEP),
)


def _record(kind: str, body: Check) -> Check:
    return closed(
        {
            "v": exactly(1),
            "node": name,
            "epoch": EPOCH,
            "seq": SEQ,
            "prev": DIGEST,
            "kind": exactly(kind),
            "captured": _CAPTURED,
            "received": _RECEIVED,
            "body": body,
        }
    )


RECORD: Final = either(_record("read", _READ), _record("overview", _OVERVIEW), _record("act", _ACT))

CHECKPOINT: Final = closed(
    {
        "v": exactly(1),
        "node": name,
        "epoch": EPOCH,
        "seq": UINT,
        "head": DIGEST,
        "counts": closed({"read": UINT, "overview": UINT, "act": UINT}),
        "shed": table(UINT),
        "oldest": either(tuple_of(EPOCH, SEQ), null),
        "at_ms": integer(),
    }
)
