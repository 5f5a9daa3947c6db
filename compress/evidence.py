"""A read becomes evidence: every picture inside its cap or named as omitted. The only maker of `Evidence`.

A picture that cannot be used never costs the read. What was received is hashed before anything looks at it.
"""

from __future__ import annotations

from collections.abc import Iterator
from hashlib import sha256

from compress.fit import fit
from compress.inspect import LIMITS, Limits
from compress.reason import Reason
from edge.errors import Refused
from edge.read import Box, Evidence, FittedImage, Omitted, Original, Read, Role
from firmware_config.profile import Caps


def evidence(read: Read, caps: Caps, limits: Limits = LIMITS) -> Evidence:
    """The read with its pictures fitted. Raises nothing for a bad picture; may be called from any thread."""
    originals = _originals(read)
    return Evidence(
        read,
        patch=_first_that_fits(read, Role.PLATE_PATCH, caps, limits),
        overview=_first_that_fits(read, Role.OVERVIEW, caps, limits),
        originals=originals,
    )


def without_pictures(read: Read, reason: Reason) -> Evidence:
    """The read alone, where its pictures could not be waited for: a read is never lost for a picture."""
    return Evidence(
        read,
        patch=Omitted(Role.PLATE_PATCH, reason.value),
        overview=Omitted(Role.OVERVIEW, reason.value),
        originals=_originals(read),
    )


def _originals(read: Read) -> tuple[Original, ...]:
    return tuple(Original(image.role, sha256(image.data).digest(), len(image.data)) for image in read.raw.images)


def _first_that_fits(read: Read, role: Role, caps: Caps, limits: Limits) -> FittedImage | Omitted:
    """The first picture that can fill this role; else why the first could not."""
    why: str | None = None
    for data, box in _candidates(read, role):
        try:
            return fit(data, role, caps, box, limits)
        except Refused as refusal:
            why = why or refusal.reason
    return Omitted(role, why or Reason.NOT_SENT.value)


def _candidates(read: Read, role: Role) -> Iterator[tuple[bytes, Box | None]]:
    """The camera's own pictures for the role, then, for the patch, what can be cut from an overview."""
    yield from ((image.data, None) for image in read.raw.images if image.role is role)
    if role is Role.PLATE_PATCH:
        for image in read.raw.images:
            if image.role is Role.OVERVIEW and image.plate_box is not None:
                yield image.data, image.plate_box
