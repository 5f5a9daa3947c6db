"""Whether a camera that has a password gives it: Basic and Digest as a server (RFC 7617, 7616). Pure.

A camera without a password is known by its address, and its path where one is set. What may not happen here: a name or
a password in a log or an answer; a comparison whose time tells how much of a guess was right; a nonce without an end.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum

from capture.login import Login

REALM = "anpr-edge"
NONCE_FOR_S = 300
"""A camera asks anew with `stale`, which costs it one request."""

_FIELD = re.compile(r'(\w+)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s,"]+))')
_HEADER_MAX_CHARACTERS = 4096
_HASHES = {"MD5": hashlib.md5, "SHA-256": hashlib.sha256}


class Scheme(Enum):
    BASIC = "basic"
    DIGEST = "digest"


@dataclass(frozen=True, slots=True)
class Asked:
    """A request as far as it matters here. `target`: as it stands on the request line."""

    method: str
    target: str = field(repr=False)
    authorization: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Gate:
    """The passwords by camera id, and a secret of this process from which nonces are made."""

    logins: Mapping[str, tuple[Login, Scheme]] = field(repr=False)
    secret: bytes = field(repr=False)

    def named(self, cameras: Sequence[str], asked: Asked, now_s: int) -> str | None:
        """Of the cameras that may send so, the one whose password this is; None where it is none's."""
        having = (camera for camera in cameras if camera in self.logins)
        return next((camera for camera in having if self._gives(*self.logins[camera], asked, now_s)), None)

    def asks(self, cameras: Sequence[str]) -> bool:
        """Whether all of these have a password, so that a request without one can be none's."""
        return bool(cameras) and all(camera in self.logins for camera in cameras)

    def challenges(self, cameras: Sequence[str], asked: Asked, now_s: int) -> list[str]:
        """The `WWW-Authenticate` values for these cameras, the stronger first. MD5 is what cameras can."""
        schemes = {self.logins[camera][1] for camera in cameras if camera in self.logins}
        said = []
        if Scheme.DIGEST in schemes:
            fields = _fields(asked.authorization, "digest")
            stale = ", stale=true" if fields and not self._fresh(fields.get("nonce", ""), now_s) else ""
            nonce = self._nonce(now_s)
            said = [
                f'Digest realm="{REALM}", qop="auth", algorithm={name}, nonce="{nonce}"{stale}'
                for name in ("SHA-256", "MD5")
            ]
        return [*said, *([f'Basic realm="{REALM}"'] if Scheme.BASIC in schemes else [])]

    def _gives(self, login: Login, scheme: Scheme, asked: Asked, now_s: int) -> bool:
        if scheme is Scheme.BASIC:
            return _basic(asked.authorization, login)
        fields = _fields(asked.authorization, "digest")
        return bool(fields) and self._fresh(fields.get("nonce", ""), now_s) and _digest(fields, login, asked)

    def _nonce(self, now_s: int) -> str:
        return f"{now_s:x}-{hmac.new(self.secret, str(now_s).encode(), 'sha256').hexdigest()[:32]}"

    def _fresh(self, nonce: str, now_s: int) -> bool:
        made = nonce.partition("-")[0]
        if not re.fullmatch(r"[0-9a-f]{1,12}", made) or not 0 <= now_s - int(made, 16) <= NONCE_FOR_S:
            return False
        return _same(nonce, self._nonce(int(made, 16)))


def _basic(header: str, login: Login) -> bool:
    scheme, _, coded = header.strip().partition(" ")
    if scheme.lower() != "basic" or len(header) > _HEADER_MAX_CHARACTERS:
        return False
    try:
        given = base64.b64decode(coded.strip(), validate=True)
    except (binascii.Error, ValueError):
        return False
    return hmac.compare_digest(given, f"{login.user}:{login.password}".encode())


def _digest(fields: Mapping[str, str], login: Login, asked: Asked) -> bool:
    """The target is compared as the camera wrote it: some leave out the query, none may name another path."""
    make = _HASHES.get(fields.get("algorithm", "MD5").upper())
    uri = fields.get("uri", "")
    if make is None or fields.get("realm") != REALM or uri.partition("?")[0] != asked.target.partition("?")[0]:
        return False

    def digest(*parts: str) -> str:
        return make(":".join(parts).encode("utf-8", "replace"), usedforsecurity=False).hexdigest()

    ha1, ha2 = digest(login.user, REALM, login.password), digest(asked.method, uri)
    if fields.get("qop") == "auth":
        expected = digest(ha1, fields["nonce"], fields.get("nc", ""), fields.get("cnonce", ""), "auth", ha2)
    elif "qop" not in fields:  # RFC 2069, as older cameras answer
        expected = digest(ha1, fields["nonce"], ha2)
    else:
        return False
    return _same(fields.get("username", ""), login.user) and _same(fields.get("response", "").lower(), expected)


def _fields(header: str, scheme: str) -> dict[str, str]:
    name, _, rest = header.strip().partition(" ")
    if name.lower() != scheme or len(header) > _HEADER_MAX_CHARACTERS:
        return {}
    found: dict[str, str] = {}
    for key, quoted, bare in _FIELD.findall(rest):
        found.setdefault(key.lower(), re.sub(r"\\(.)", r"\1", quoted) if quoted else bare)
    return found


def _same(one: str, other: str) -> bool:
    return hmac.compare_digest(one.encode("utf-8", "replace"), other.encode("utf-8", "replace"))
