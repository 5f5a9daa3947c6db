"""The uplink's TLS: both sides show certificates, verification is never turned off, and a failure is put in words.

A certificate's dates and a wrong clock look the same to OpenSSL. The node's own certificate tells them apart: it was
made at a time that has certainly passed, so a clock that stands before it is behind.
"""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from cryptography import x509

from edge.errors import Misconfigured
from uplink.trouble import Ended, Trouble

# X509_V_ERR_* of OpenSSL
_NOT_YET_VALID, _EXPIRED = 9, 10
_UNKNOWN_AUTHORITY = frozenset({2, 18, 19, 20, 21})
_OTHER_NAME = frozenset({62, 64})
_WHOSE_CLOCK = "if that date is right, the broker's operator must act; if not, set the clock: anpr-edge doctor clock"
_ASK = "ask the broker's operator"


class _ClosedOnFailure(ssl.SSLSocket):
    """A socket whose handshake fails is closed there and then, not by the garbage collector."""

    def do_handshake(self, block: bool = False) -> None:
        try:
            super().do_handshake(block)
        except OSError:
            self.close()
            raise


@dataclass(frozen=True, slots=True)
class Tls:
    """Where the certificates lie."""

    ca: Path
    certificate: Path
    key: Path

    def context(self) -> ssl.SSLContext:
        try:
            context = ssl.create_default_context(cafile=str(self.ca))
            context.load_cert_chain(self.certificate, self.key)
        except (OSError, ssl.SSLError) as problem:
            raise Misconfigured(
                f"the uplink's certificates cannot be used: {type(problem).__name__}",
                "check uplink.ca, uplink.certificate and uplink.key: anpr-edge config check",
            ) from problem
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.sslsocket_class = _ClosedOnFailure
        return context


def why(problem: ssl.SSLError, own: Path, now_ms: int) -> Ended:
    """What is wrong where a handshake fails. `own`: the node's certificate; `now_ms`: what this node's clock says."""
    if not isinstance(problem, ssl.SSLCertVerificationError):
        return own_dates(own, now_ms) or _not_about_dates(problem)
    code = problem.verify_code
    if code == _NOT_YET_VALID:
        return _clock_is_behind(own, now_ms) or Ended(
            Trouble.CLOCK,
            f"the broker's certificate is not valid yet on {_day(now_ms)}, this node's date",
            _WHOSE_CLOCK,
        )
    if code == _EXPIRED:
        return Ended(
            Trouble.CLOCK, f"the broker's certificate has expired by {_day(now_ms)}, this node's date", _WHOSE_CLOCK
        )
    if code in _UNKNOWN_AUTHORITY:
        words = "the broker's certificate is not signed by the authority in uplink.ca"
        return Ended(Trouble.CERTIFICATE, words, "check uplink.ca; if it is right, this may be another's broker")
    if code in _OTHER_NAME:
        words = "the broker's certificate is for another name than the one in uplink.broker"
        return Ended(Trouble.CERTIFICATE, words, "check uplink.broker; a certificate must name what it says")
    return Ended(Trouble.CERTIFICATE, f"the broker's certificate does not verify: {problem.verify_message}")


def _not_about_dates(problem: ssl.SSLError) -> Ended:
    if "ALERT" in (problem.reason or ""):
        return Ended(Trouble.CERTIFICATE, "the broker refuses this node's certificate", _ASK)
    return Ended(Trouble.CERTIFICATE, "TLS does not come about", "is the port in uplink.broker the one for TLS?")


def hung_up_after(own: Path, now_ms: int) -> Ended:
    """Why the broker may hang up right after a handshake: TLS 1.3 lets it refuse the node's certificate only then."""
    words = "the broker hung up right after the handshake: it may refuse this node's certificate"
    return own_dates(own, now_ms) or Ended(Trouble.CERTIFICATE, words, _ASK)


def own_dates(own: Path, now_ms: int) -> Ended | None:
    """What is wrong with the dates of the node's own certificate; None where they hold, or it cannot be read."""
    dates = _dates(own)
    if dates is None or dates[0] <= now_ms <= dates[1]:
        return None
    words = f"this node's own certificate ended on {_day(dates[1])}, and its clock says {_day(now_ms)}"
    return _clock_is_behind(own, now_ms) or Ended(
        Trouble.CERTIFICATE, words, "renew it; or set the clock, if that date is wrong"
    )


def _clock_is_behind(own: Path, now_ms: int) -> Ended | None:
    dates = _dates(own)
    if dates is None or dates[0] <= now_ms:
        return None
    words = f"this node's clock is behind: it says {_day(now_ms)}, and its own certificate was made on {_day(dates[0])}"
    return Ended(Trouble.CLOCK, words, "set the clock: chronyc makestep; anpr-edge doctor clock")


def _dates(certificate: Path) -> tuple[int, int] | None:
    """When it begins and ends, ms; None where it cannot be read."""
    try:
        found = x509.load_pem_x509_certificate(certificate.read_bytes())
    except (OSError, ValueError):
        return None
    return _ms(found.not_valid_before_utc), _ms(found.not_valid_after_utc)


def _ms(at: datetime) -> int:
    return int(at.timestamp() * 1000)


def _day(at_ms: int) -> str:
    return datetime.fromtimestamp(at_ms / 1000, UTC).date().isoformat()
