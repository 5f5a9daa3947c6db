"""Tattile Vega: XML on a connection that stays open; only the closing tag says where a message ends.

Pure. The clock's face has no zone. Shapes are its three roots: `root` and `message` write the time with hyphens and the
score as `093`, `msg` with colons and as `92.5`.
"""

from __future__ import annotations

from simulators.payloads import Event
from simulators.traffic import Direction
from simulators.vendors.telling import Message, Mount, Telling, b64, box_edges, plate_of, serial, truth

ROOTS = {"root": "root", "msg": "Msg", "message": "MESSAGE"}
WAYS = {Direction.TOWARD: "APPROACH", Direction.AWAY: "GOAWAY"}


def tcp(mount: Mount, what: Event) -> Telling:
    """The pictures of a plate that was not read are empty elements."""
    root, with_colons = ROOTS[mount.shape or "root"], mount.shape == "msg"
    at, plate = what.captured_at, plate_of(what)
    left, top, right, bottom = box_edges(what)
    time = at.strftime("%H:%M:%S") if with_colons else at.strftime("%H-%M-%S-") + f"{at.microsecond // 1000:03d}"
    score = f"{what.confidence - 0.5 if plate else 0.0}" if with_colons else f"{what.confidence:03d}"
    body = f"""<{root}>
  <PLATE_STRING>{plate or ""}</PLATE_STRING>
  <DATE>{at:%Y-%m-%d}</DATE>
  <TIME>{time}</TIME>
  <DEVICE_SN>{serial(mount.device)}</DEVICE_SN>
  <OCRSCORE>{score}</OCRSCORE>
  <DIRECTION>{WAYS[what.vehicle.direction]}</DIRECTION>
  <LANE_ID>{what.vehicle.lane}</LANE_ID>
  <ORIG_PLATE_MIN_X>{left}</ORIG_PLATE_MIN_X>
  <ORIG_PLATE_MIN_Y>{top}</ORIG_PLATE_MIN_Y>
  <ORIG_PLATE_MAX_X>{right}</ORIG_PLATE_MAX_X>
  <ORIG_PLATE_MAX_Y>{bottom}</ORIG_PLATE_MAX_Y>
  <PLATE_COUNTRY_CODE>GBR</PLATE_COUNTRY_CODE>
  <PLATE_COUNTRY>United Kingdom</PLATE_COUNTRY>
  <IMAGE_OCR>{b64(what.pictures.plate) if plate else ""}</IMAGE_OCR>
  <IMAGE_CTX>{b64(what.pictures.overview)}</IMAGE_CTX>
</{root}>"""
    told = truth(
        what,
        2 if plate else 1,
        within_ms=1000 if with_colons else 1,
        confidence=float(score) if plate else None,
    )
    return Telling(what.uuid, (Message(body.encode(), "text/xml"),), told)
