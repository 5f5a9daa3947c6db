"""Whether a picture is the whole frame that Plate Recognizer read in, or its crop round the vehicle. Pure.

Stream sends the crop unless it is told otherwise (`webhook_image_type`), its boxes are always of the frame, and nothing
in the message says which was sent. What may not happen here: a guess.
"""

from __future__ import annotations

from capture.dialects.boxes import Corners
from capture.dialects.pictures import size_px

_CROP_MARGIN = 1.3
"""A crop may be a little larger than the vehicle's box; a picture within this of it may be a crop."""


def is_whole_frame(picture: bytes, seen: Corners, vehicle: Corners) -> bool:
    """Whether a picture can only be the frame: it holds both boxes and is much larger than the vehicle."""
    size = size_px(picture)
    if size is None:
        return False
    width_px, height_px = size
    holds = max(seen.right, vehicle.right) <= width_px and max(seen.bottom, vehicle.bottom) <= height_px
    return holds and (width_px > vehicle.width * _CROP_MARGIN or height_px > vehicle.height * _CROP_MARGIN)
