"""The checks of this room: the configuration, the legal profile, and each camera's authorisation."""

from collections.abc import Collection, Sequence
from datetime import date
from pathlib import Path

from edge.camera import AuthorisationState, Camera
from edge.check import Finding, bad, good, poor
from edge.situation import AUTHORISATION_POOR_DAYS
from firmware_config.load import problems
from firmware_config.profile import Caps, Profile


def configuration(folder: Path, dialects: Collection[str]) -> Finding:
    found = problems(folder, dialects=dialects)
    if found:
        first = found[0]
        what = f"{first.key} {first.problem}".strip()
        return bad(f"{first.file}:{first.line}: {what}", "anpr-edge config check lists all")
    return good(f"{folder} is sound")


def profile(in_force: Profile, caps: Caps) -> Finding:
    """The caps in force. They can only be at or below the profile's: loading refuses anything else."""
    return good(
        f"{in_force.name}: plate patch {caps.patch_max_width_px}x{caps.patch_max_height_px} px and"
        f" {caps.patch_max_bytes} bytes, overview {caps.overview_max_bytes} bytes"
    )


def authorisations(cameras: Sequence[Camera], today: date) -> Finding:
    if not cameras:
        return bad("no camera is configured", "write one file for each in cameras.d: docs/configuration.md")
    out = [c for c in cameras if c.authorisation.state(today) is not AuthorisationState.AUTHORISED]
    if out:
        names = ", ".join(f"{c.id} ({c.authorisation.state(today).value.replace('_', ' ')})" for c in out)
        return bad(
            f"not authorised today: {names}", "nothing of them is kept; renew the authorisation, or check the clock"
        )
    soon = [c for c in cameras if c.authorisation.days_left(today) < AUTHORISATION_POOR_DAYS]
    if soon:
        names = ", ".join(f"{c.id} ({c.authorisation.days_left(today)} days)" for c in soon)
        return poor(f"ending soon: {names}", "have the authorisation renewed, or take the camera down on its last day")
    return good(f"{len(cameras)} cameras are authorised today")
