"""The cameras as the rules of `edge` know them: where each sends from, its name for itself, and until when it counts.

Pure. Whether a read is admitted is decided in `edge.admit`, on the day it arrives; nothing here knows what day it is.
"""

from zoneinfo import ZoneInfo

from edge import camera as edge
from edge.claim import Way
from firmware_config.camera import Authorisation, Camera, Position
from firmware_config.model import Settings


def cameras(settings: Settings) -> tuple[edge.Camera, ...]:
    """Every configured camera."""
    return tuple(camera(each) for each in settings.cameras)


def camera(camera: Camera) -> edge.Camera:
    """One of them."""
    return edge.Camera(
        id=camera.id,
        dialect=camera.dialect,
        networks=camera.addresses,
        identity=camera.identity,
        path=camera.path,
        lane=camera.lane,
        zone=ZoneInfo(camera.zone),
        time=edge.TimePolicy(camera.time),
        plausible_past_s=camera.plausible_past_s,
        plausible_future_s=camera.plausible_future_s,
        keep_unread=camera.keep_unread,
        position=_position(camera.position),
        authorisation=authorisation(camera.authorisation),
        way=Way(camera.source.kind),
        gives_password=camera.source.login is not None and camera.source.kind in ("http_push", "ftp_drop"),
        same_passage_s=camera.same_passage_s,
        first_waits_ms=camera.first_waits_ms,
    )


def authorisation(configured: Authorisation) -> edge.Authorisation:
    return edge.Authorisation(configured.reference, configured.first_day, configured.last_day)


def _position(configured: Position | None) -> edge.Position | None:
    """Degrees to 1e-7 degrees (about a centimetre): records hold no floats."""
    if configured is None:
        return None
    return edge.Position(round(configured.latitude * 1e7), round(configured.longitude * 1e7))
