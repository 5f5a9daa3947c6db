"""The check of this room: that a picture comes out under its cap, with the libraries installed here."""

from __future__ import annotations

import io

from PIL import Image

from compress.fit import fit
from edge.check import Finding, good
from edge.claim import Role
from firmware_config.profile import Caps


def pictures(caps: Caps) -> Finding:
    """Fit a drawn, noisy picture for both roles."""
    drawn = Image.effect_noise((1280, 720), 60).convert("RGB")
    file = io.BytesIO()
    drawn.save(file, "JPEG", quality=95)
    patch = fit(file.getvalue(), Role.PLATE_PATCH, caps)
    overview = fit(file.getvalue(), Role.OVERVIEW, caps)
    return good(
        f"a test picture of {len(file.getvalue()) // 1000} kB fits: patch {len(patch.jpeg)} bytes,"
        f" overview {len(overview.jpeg)} bytes"
    )
