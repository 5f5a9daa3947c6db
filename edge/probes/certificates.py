"""How long the uplink's certificate lasts."""

from __future__ import annotations

from pathlib import Path

from cryptography import x509


def days_left(certificate: Path | None, now_ms: int) -> int | None:
    """Whole days until a PEM certificate ends, negative after it; None where there is none or it cannot be read."""
    if certificate is None:
        return None
    try:
        found = x509.load_pem_x509_certificate(certificate.read_bytes())
    except (OSError, ValueError):
        return None
    return int((found.not_valid_after_utc.timestamp() * 1000 - now_ms) // 86_400_000)
