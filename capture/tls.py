"""TLS towards cameras, both ways: what the node shows them, and whom it believes. The one place in this room for it."""

from __future__ import annotations

import ssl
from enum import Enum
from pathlib import Path

from edge.errors import Misconfigured


class Trust(Enum):
    """How a camera that the node calls proves itself."""

    OFF = "off"  # no TLS at all
    VERIFY = "verify"  # by a certificate of an authority that is configured, or of the system's
    UNVERIFIED = "unverified"  # encrypted, and anybody's: most cameras sign their own certificate


def server_context(certificate: Path, key: Path) -> ssl.SSLContext:
    """What cameras that push are shown. Raises `Misconfigured`."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        context.load_cert_chain(certificate, key)
    except (OSError, ssl.SSLError) as problem:
        raise Misconfigured(
            f"the certificate that cameras are shown cannot be used: {type(problem).__name__}",
            "capture.http_push.certificate and key: PEM, belonging together, readable by the service",
        ) from None
    return context


def client_context(trust: Trust, authority: Path | None) -> ssl.SSLContext | None:
    """For a camera that the node calls; None for no TLS. Raises `Misconfigured`."""
    if trust is Trust.OFF:
        return None
    try:
        context = ssl.create_default_context(cafile=authority)
    except (OSError, ssl.SSLError) as problem:
        raise Misconfigured(
            f"the authority of a camera's certificate cannot be read: {type(problem).__name__}", "source.ca: PEM"
        ) from None
    if trust is Trust.UNVERIFIED:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context
