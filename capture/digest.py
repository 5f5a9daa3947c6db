"""Digest access authentication as a client (RFC 7616, and RFC 2617 and 2069 for older cameras). Pure.

Written for cameras that offer several challenges, refuse a nonce count that does not rise, and compare the signed
target with the one on the request line byte by byte. aiohttp's own (3.14) reads the first challenge only, prefers to
sign the body, and counts anew where a nonce comes back. What may not happen here: a count used twice with a nonce.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from capture.login import Login

_NONCES_KEPT = 8
_HASHES = {"SHA-256": "sha256", "SHA-512-256": "sha512_256", "MD5": "md5"}  # the best first
_CHALLENGE = re.compile(r'([A-Za-z][\w-]*)(?:\s*(=)\s*(?:"((?:[^"\\]|\\.)*)"?|([^\s,"]*)))?')


@dataclass(frozen=True, slots=True)
class Challenge:
    """What a camera asks to be signed. `algorithm` as it wrote it, empty where it wrote none (MD5)."""

    realm: str
    nonce: str = field(repr=False)
    opaque: str | None
    algorithm: str
    qop: str

    @property
    def hash_name(self) -> str:
        """For hashlib; empty where the algorithm is not known."""
        return _HASHES.get(self.algorithm.upper().removesuffix("-SESS") or "MD5", "")

    @property
    def is_session(self) -> bool:
        return self.algorithm.upper().endswith("-SESS")


class Digest:
    """The signatures of one login at one camera. `cnonce` makes a new random text each time."""

    def __init__(self, login: Login, cnonce: Callable[[], str]) -> None:
        self._login = login
        self._cnonce = cnonce
        self._challenge: Challenge | None = None
        self._counts: dict[str, int] = {}

    def learn(self, headers: Sequence[str]) -> bool:
        """Take the best challenge of a refusal's WWW-Authenticate headers; False where none can be answered."""
        offered = [each for header in headers for each in challenges(header) if each.hash_name and each.nonce]
        order = list(_HASHES.values())
        self._challenge = min(offered, key=lambda each: order.index(each.hash_name), default=None)
        return self._challenge is not None

    def authorization(self, method: str, target: str, body: bytes = b"") -> str | None:
        """The header's value for a request with exactly this target; None before a challenge was learnt."""
        challenge = self._challenge
        if challenge is None:
            return None
        count = self._counts.pop(challenge.nonce, 0) + 1
        self._counts[challenge.nonce] = count
        while len(self._counts) > _NONCES_KEPT:
            del self._counts[next(iter(self._counts))]
        return signed(challenge, self._login, method, target, body, count, self._cnonce())


def signed(challenge: Challenge, login: Login, method: str, target: str, body: bytes, count: int, cnonce: str) -> str:
    """The Authorization header's value. `algorithm`, `qop` and `nc` stand without quotes: some cameras insist."""

    def hashed(*texts: str) -> str:
        return hashlib.new(challenge.hash_name, ":".join(texts).encode(), usedforsecurity=False).hexdigest()

    secret = hashed(login.user, challenge.realm, login.password)
    if challenge.is_session:
        secret = hashed(secret, challenge.nonce, cnonce)
    asked = [method, target]
    if challenge.qop == "auth-int":
        asked.append(hashlib.new(challenge.hash_name, body, usedforsecurity=False).hexdigest())
    nc = f"{count:08x}"
    between = (nc, cnonce, challenge.qop) if challenge.qop else ()
    fields = {
        "username": _quoted(login.user),
        "realm": _quoted(challenge.realm),
        "nonce": _quoted(challenge.nonce),
        "uri": _quoted(target),
        "response": _quoted(hashed(secret, challenge.nonce, *between, hashed(*asked))),
    }
    if challenge.algorithm:
        fields["algorithm"] = challenge.algorithm
    if challenge.opaque is not None:
        fields["opaque"] = _quoted(challenge.opaque)
    if challenge.qop:
        fields |= {"qop": challenge.qop, "nc": nc}
    if challenge.qop or challenge.is_session:
        fields["cnonce"] = _quoted(cnonce)
    return "Digest " + ", ".join(f"{name}={value}" for name, value in fields.items())


def challenges(header: str) -> list[Challenge]:
    """Every Digest challenge in one WWW-Authenticate header, which may hold several, and other schemes."""
    found: list[dict[str, str]] = []
    scheme = ""
    for name, given, quoted, bare in _CHALLENGE.findall(header[:4096]):
        if not given:
            scheme = name.lower()
            if scheme == "digest":
                found.append({})
        elif scheme == "digest":
            found[-1].setdefault(name.lower(), re.sub(r"\\(.)", r"\1", quoted) or bare)
    return [_challenge(said) for said in found]


def _challenge(said: dict[str, str]) -> Challenge:
    offered = [each.strip().lower() for each in said.get("qop", "").split(",")]
    qop = next((each for each in ("auth", "auth-int") if each in offered), "")
    return Challenge(said.get("realm", ""), said.get("nonce", ""), said.get("opaque"), said.get("algorithm", ""), qop)


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
