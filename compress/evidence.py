"""A read becomes evidence: every picture inside its cap or named as omitted. The only maker of `Evidence`.

A picture that cannot be used never costs the read. What was received is hashed before anything looks at it.
"""

from __future__ import annotations

from collections.abc import Iterator
from hashlib import sha256

from compress.fit import fit, fit_and_measure
from compress.inspect import LIMITS, Limits, inspect
from compress.reason import Reason
from compress.surround import Surround
from edge.claim import Box, RawImage, Role, ScaledBox
from edge.errors import Refused
from edge.read import Evidence, FittedImage, Omitted, Original, PictureMeasures, Read
from firmware_config.profile import Caps


def evidence(read: Read, caps: Caps, limits: Limits = LIMITS, surround: Surround | None = None) -> Evidence:
    """The read with its pictures fitted, and the overview measured as it came. `surround`: what an operator chose to
    have done round the vehicle in the overview. Raises nothing for a bad picture; may be called from any thread."""
    originals = _originals(read)
    overview, measures = _overview(read, caps, limits, surround)
    return Evidence(read, _patch(read, caps, limits), overview, originals, measures)


def without_pictures(read: Read, reason: Reason) -> Evidence:
    """The read alone, where its pictures could not be waited for: a read is never lost for a picture."""
    return Evidence(
        read,
        patch=Omitted(Role.PLATE_PATCH, reason.value),
        overview=Omitted(Role.OVERVIEW, reason.value),
        originals=_originals(read),
    )


def _originals(read: Read) -> tuple[Original, ...]:
    return tuple(
        Original(image.role, sha256(image.data).digest(), len(image.data), image.grabbed_ms)
        for image in read.raw.images
    )


def _patch(read: Read, caps: Caps, limits: Limits) -> FittedImage | Omitted:
    """The first picture that can be the patch; else why the first could not."""
    why: str | None = None
    for image in _patches(read):
        try:
            box = _box(image, limits) if image.role is Role.OVERVIEW else None
            return fit(image.data, Role.PLATE_PATCH, caps, box, limits)
        except Refused as refusal:
            why = why or refusal.reason
    return Omitted(Role.PLATE_PATCH, why or Reason.NOT_SENT.value)


def _patches(read: Read) -> Iterator[RawImage]:
    """The camera's own patches, then what one can be cut from."""
    yield from (image for image in read.raw.images if image.role is Role.PLATE_PATCH)
    yield from (image for image in read.raw.images if image.role is Role.OVERVIEW and image.plate_box is not None)


def _overview(
    read: Read, caps: Caps, limits: Limits, surround: Surround | None
) -> tuple[FittedImage | Omitted, PictureMeasures | None]:
    """The first picture that can be the overview, and its numbers; else why the first could not."""
    why: str | None = None
    for image in read.raw.images:
        if image.role is Role.OVERVIEW:
            try:
                return fit_and_measure(image.data, caps, _box(image, limits), limits, surround)
            except Refused as refusal:
                why = why or refusal.reason
    return Omitted(Role.OVERVIEW, why or Reason.NOT_SENT.value), None


def _box(image: RawImage, limits: Limits) -> Box | None:
    """Where the plate is in px of the picture as stored. Raises Refused where its size cannot be told."""
    if not isinstance(image.plate_box, ScaledBox):
        return image.plate_box
    header = inspect(image.data, limits)
    return image.plate_box.in_px(header.width_px, header.height_px)
