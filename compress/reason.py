"""Why a picture does not travel: a closed set of stable words, and the sentence for each.

The words stand in signed records and in counters, so one is never renamed. Nothing of the picture stands in a sentence.
"""

from __future__ import annotations

from enum import Enum

from edge.errors import Refused


class Reason(Enum):
    NOT_SENT = "not_sent"  # nobody refused anything: the camera sent none
    UNSUPPORTED_IMAGE = "unsupported_image"
    TOO_MANY_BYTES = "too_many_bytes"
    TOO_MANY_PIXELS = "too_many_pixels"
    TOO_MANY_SCANS = "too_many_scans"
    UNDECODABLE = "undecodable"
    BOX_OUTSIDE = "box_outside"
    CANNOT_FIT = "cannot_fit"
    TOO_SLOW = "too_slow"  # the deadline passed first


_SAID = {
    Reason.NOT_SENT: ("The camera sent no such picture.", "Switch the picture on in the camera's upload settings."),
    Reason.UNSUPPORTED_IMAGE: (
        "The picture is of a kind that is not decoded here.",
        "Set the camera to send 8-bit baseline or progressive JPEG.",
    ),
    Reason.TOO_MANY_BYTES: ("The picture has too many bytes.", "Lower the camera's resolution or JPEG quality."),
    Reason.TOO_MANY_PIXELS: ("The picture has too many pixels.", "Lower the camera's resolution."),
    Reason.TOO_MANY_SCANS: ("The JPEG has too many scans.", "Set the camera to send baseline JPEG."),
    Reason.UNDECODABLE: ("The picture is damaged or incomplete.", "Look at the link between camera and node."),
    Reason.BOX_OUTSIDE: ("The plate's box lies outside the picture.", "Compare the camera's box and picture sizes."),
    Reason.TOO_SLOW: ("The picture took longer than its deadline.", "Lower the camera's resolution, or its rate."),
    Reason.CANNOT_FIT: ("The picture cannot be brought inside its cap.", "Look at the caps of the legal profile."),
}


def refused(reason: Reason) -> Refused:
    """The error for this reason, to be raised by the caller."""
    sentence, hint = _SAID[reason]
    return Refused(sentence, hint, reason=reason.value)
