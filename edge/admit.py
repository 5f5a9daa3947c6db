"""Whether a claim is accepted: camera known by source and identity, authorised now, plausible time. Pure.

What may not happen here: a read of an unknown, unauthorised or expired camera becoming a `Read`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from datetime import UTC, date, datetime

from edge.camera import AuthorisationState, Camera, TimePolicy
from edge.claim import Arrival, RawRead, Received
from edge.errors import Refused
from edge.read import Captured, Read, TimeSource
from edge.vrm import HEARD_MAX_CHARACTERS, normalise

_REPEAT_LABEL = b"anpr-repeat-v1"
_PASSAGE_LABEL = b"anpr-passage-v1"


def admit(raw: RawRead, arrival: Arrival, cameras: Sequence[Camera]) -> Read:
    """The read as the node accepts it, or `Refused` with a stable reason.

    Reasons: `unknown_source`, `unknown_identity`, `not_yet_authorised`, `authorisation_expired`, `vrm_too_long`.
    """
    camera = known_camera(raw, arrival, cameras)
    _authorised(camera, arrival.received)
    if len(raw.plate_heard) > HEARD_MAX_CHARACTERS:
        raise Refused(f"camera {camera.id} sent a plate text too long to be one", reason="vrm_too_long")
    captured, skew_ms = judge_time(raw, camera, arrival.received)
    vrm = normalise(raw.plate_heard)
    return Read(
        camera, raw, vrm, captured, arrival.received, skew_ms, repeat_key(raw, camera), passage_key(raw, camera)
    )


def known_camera(raw: RawRead, arrival: Arrival, cameras: Sequence[Camera]) -> Camera:
    """The configured camera that sends from this address and path and calls itself so."""
    here = [c for c in cameras if c.sends(arrival)]
    if not here:
        raise Refused(
            "a read came from an address no camera is configured with",
            "add the camera's address to its file in cameras.d, if it is authorised",
            reason="unknown_source",
        )
    named = [c for c in here if c.is_called(raw.camera_identity)]
    if not named:
        raise Refused(
            f"a read from the address of camera {here[0].id} calls itself something else",
            "if the camera was replaced, change its identity in cameras.d",
            reason="unknown_identity",
        )
    # The one with an identity is the more exact match where several share an address.
    return max(named, key=lambda c: c.identity is not None)


def _authorised(camera: Camera, received: Received) -> None:
    state = camera.authorisation.state(utc_day(received.utc_ms))
    if state is AuthorisationState.EXPIRED:
        raise Refused(
            f"the authorisation of camera {camera.id} ended on {camera.authorisation.last_day}",
            "nothing of it is kept until a new authorisation stands in cameras.d",
            reason="authorisation_expired",
        )
    if state is AuthorisationState.NOT_YET:
        raise Refused(
            f"the authorisation of camera {camera.id} begins on {camera.authorisation.first_day}",
            "if that day has come, look at the node's clock: anpr-edge doctor clock",
            reason="not_yet_authorised",
        )


def utc_day(utc_ms: int) -> date:
    return datetime.fromtimestamp(utc_ms / 1000, UTC).date()


def judge_time(raw: RawRead, camera: Camera, received: Received) -> tuple[Captured, int | None]:
    """When the vehicle passed, by the camera's policy, and the camera's clock less the node's at arrival (ms).

    A camera that gave no time, or one too far from the node's to be believed, is timed by arrival; what it said and
    how far it was out go into the record. A wrong clock in a camera is a fault to report, not a reason to lose reads.
    How long before its arrival the vehicle passed, nobody can say: no bound is given.
    """
    heard = camera_time(raw, camera)
    skew_ms = None if heard is None else _ms(heard[0]) - received.utc_ms
    by_arrival = Captured(received.utc_ms, None, TimeSource.ARRIVAL, raw.time_heard)
    if heard is None or skew_ms is None or camera.time is TimePolicy.ARRIVAL:
        return by_arrival, skew_ms
    if not -camera.plausible_past_s * 1000 <= skew_ms <= camera.plausible_future_s * 1000:
        return by_arrival, skew_ms
    return Captured(_ms(heard[0]), None, heard[1], raw.time_heard), skew_ms


def camera_time(raw: RawRead, camera: Camera) -> tuple[datetime, TimeSource] | None:
    """The camera's own time in UTC and how its zone is known, or None where it gave none that can be placed."""
    if raw.time is None:
        return None
    try:
        if raw.time.tzinfo is not None and camera.time is not TimePolicy.CAMERA_ZONE:
            return raw.time.astimezone(UTC), TimeSource.CAMERA_OFFSET
        return raw.time.replace(tzinfo=camera.zone).astimezone(UTC), TimeSource.CAMERA_ZONE
    except OverflowError:  # an unset clock in the year 1, or one in 9999, that UTC does not reach
        return None


def repeat_key(raw: RawRead, camera: Camera) -> bytes | None:
    """16 bytes by which the same passage is known when it is delivered again, also after a restart.

    It rests on the disk, so nothing from which a plate can be guessed may be its only secret: it is made from the
    camera's own identity for the passage, else from the pictures' bytes. A text without either has none.
    """
    digest = hashlib.sha256(_REPEAT_LABEL + camera.id.encode())
    if raw.vendor_id:
        digest.update(b"\x00id" + raw.vendor_id.encode())
    elif raw.images:
        for image in raw.images:
            digest.update(b"\x00image" + hashlib.sha256(image.data).digest())
        digest.update((raw.time_heard or "").encode())
    else:
        return None
    return digest.digest()[:16]


def passage_key(raw: RawRead, camera: Camera) -> bytes | None:
    """16 bytes by which all messages on one passage are known, where the camera names it. The same rule holds."""
    if not raw.passage:
        return None
    return hashlib.sha256(_PASSAGE_LABEL + camera.id.encode() + b"\x00" + raw.passage.encode()).digest()[:16]


def _ms(moment: datetime) -> int:
    return round(moment.timestamp() * 1000)
