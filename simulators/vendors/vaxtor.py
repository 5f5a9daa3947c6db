"""Vaxtor: whatever text its owner wrote, with names between dollar signs filled in, by TCP or HTTP.

Pure. A name that the firmware does not know stays as it was written: `$cameraid$` and `$plateimagefile$` always, and
`$date$` in the share of messages that the mount says.
"""

from __future__ import annotations

import random
import re
from typing import Any

from simulators.payloads import Event
from simulators.traffic import Direction
from simulators.vendors.telling import Message, Mount, Telling, b64, box_edges, face, plate_of, truth

TEMPLATE = (
    '{"plate": "$plate$", "date": "$date$", "country": "$country$", "confidence": "$confidence$", '
    '"direction": "$direction$", "cameraid": "$cameraid$", "roiid": "$roiid$", '
    '"left": "$left$", "top": "$top$", "right": "$right$", "bottom": "$bottom$", '
    '"plateimagefile": "$plateimagefile$", "plateimage": "$plateimage$", "overviewimage": "$overviewimage$"}'
)
WAYS = {Direction.TOWARD: "1", Direction.AWAY: "2"}


def told(mount: Mount, what: Event) -> Telling:
    """One message from the template; the truth is what the template asks for and the firmware knows."""
    known = _values(what)
    if random.Random(f"unexpanded {what.uuid}").random() < mount.unexpanded:
        del known["date"]
    template = mount.template or TEMPLATE
    body = re.sub(r"\$(\w+)\$", lambda found: known.get(found[1], found[0]), template)
    asked = set(re.findall(r"\$(\w+)\$", template)) & known.keys()
    pictures = ("plateimage" in asked and what.vehicle.readable) + ("overviewimage" in asked)
    unsaid: dict[str, Any] = {}
    if "date" not in asked:
        unsaid["at_ms"] = None
    if "direction" not in asked:
        unsaid["direction"] = None
    if "confidence" not in asked:
        unsaid["confidence"] = None
    right = truth(what, pictures, **unsaid)
    return Telling(what.uuid, (Message(body.encode()),), right)


def _values(what: Event) -> dict[str, str]:
    left, top, right, bottom = box_edges(what)
    width, height = what.pictures.size_px
    plate = plate_of(what) or ""
    return {
        "date": face(what.captured_at).isoformat(timespec="milliseconds"),
        "plate": plate,
        "plateutf8": plate,
        "country": "GBR",
        "confidence": str(what.confidence),
        "direction": WAYS[what.vehicle.direction],
        "roiid": str(what.vehicle.lane),
        "multiplate": "3",
        "processingtime": "41",
        "left": str(left),
        "top": str(top),
        "right": str(right),
        "bottom": str(bottom),
        "width": str(width),
        "height": str(height),
        "plateimage": b64(what.pictures.plate) if what.vehicle.readable else "",
        "overviewimage": b64(what.pictures.overview),
    }
