"""Keys as files: PEM, private ones with mode 0600. The only module that reads or writes them.

What may not happen here: a private key leaving the process, or being written over an existing one.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey, EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
    load_pem_public_key,
)

from edge.errors import Misconfigured
from edge.schema import sync_directory
from edge.sign import HeldSigner, Verifier, held_signer, verifier


def make_signing_key(path: Path) -> HeldSigner:
    """A new Ed25519 key at `path` (mode 0600) and its public half beside it as `.pub.pem`. Refuses to overwrite."""
    key = Ed25519PrivateKey.generate()
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError as problem:
        raise Misconfigured(
            f"there is a key at {path} already", "a node keeps its key; move it away yourself if it must go"
        ) from problem
    with os.fdopen(handle, "wb") as file:
        file.write(pem)
        file.flush()
        os.fsync(file.fileno())
    public_path(path).write_bytes(key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    sync_directory(path.parent)
    return held_signer(key)


def public_path(private: Path) -> Path:
    return private.with_name(private.name.removesuffix(".pem") + ".pub.pem")


def load_signer(path: Path) -> HeldSigner:
    """The node's signing key, Ed25519 or P-256; `Misconfigured` where it is open to others or is no such key."""
    pem = _read(path)
    if _open_to_others(path.stat()):
        raise Misconfigured(f"the private key {path} can be read by others", f"chmod 600 {path}")
    try:
        key = load_pem_private_key(pem, None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        # Without its cause: the parser's message may quote the file.
        raise _not_a_key(path) from None
    if not isinstance(key, Ed25519PrivateKey | EllipticCurvePrivateKey):
        raise _not_a_key(path)
    try:
        return held_signer(key)
    except ValueError:  # a curve other than P-256
        raise _not_a_key(path) from None


def _open_to_others(found: os.stat_result) -> bool:
    """Whether anyone but the service may read it.

    A systemd credential may be root's, with an access list for the service that shows as the group's right to read.
    """
    mode = stat.S_IMODE(found.st_mode)
    credential = found.st_uid == found.st_gid == 0 and os.geteuid() != 0
    return bool(mode & (0o037 if credential else 0o077))


def load_seal_key(path: Path) -> X25519PublicKey:
    key = _public(path)
    if not isinstance(key, X25519PublicKey):
        raise Misconfigured(f"{path} is not an X25519 public key", "ask the store for the key to seal to")
    return key


def load_unseal_key(path: Path) -> X25519PrivateKey:
    """The engineers' private key, which no node holds; `Misconfigured` where it is open to others or is no such key."""
    pem = _read(path)
    if _open_to_others(path.stat()):
        raise Misconfigured(f"the private key {path} can be read by others", f"chmod 600 {path}")
    try:
        key = load_pem_private_key(pem, None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise _not_a_key(path) from None
    if not isinstance(key, X25519PrivateKey):
        raise _not_a_key(path)
    return key


def load_login(path: Path) -> tuple[str, str]:
    """Name and password, the first two lines of a file of its own; `Misconfigured` where it is open to others."""
    content = _read(path)
    if _open_to_others(path.stat()):
        raise Misconfigured(f"the login {path} can be read by others", f"chmod 600 {path}")
    try:
        lines = content.decode().splitlines()
    except UnicodeDecodeError:
        lines = []
    if len(lines) < 2 or not lines[0] or any(line for line in lines[2:]):
        raise Misconfigured(f"{path} does not hold a login", "a name on its first line, a password on its second")
    return lines[0], lines[1]


def load_verifier(path: Path) -> Verifier:
    key = _public(path)
    if not isinstance(key, Ed25519PublicKey | EllipticCurvePublicKey):
        raise Misconfigured(f"{path} is not a public key that verifies", "ask the store for its receipt key")
    try:
        return verifier(key)
    except ValueError:  # a curve other than P-256
        raise _not_a_key(path) from None


def _public(path: Path) -> object:
    try:
        return load_pem_public_key(_read(path))
    except (ValueError, UnsupportedAlgorithm):
        raise _not_a_key(path) from None


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as problem:
        raise Misconfigured(
            f"the key {path} cannot be read: {problem.strerror}", "make it: anpr-edge keys init, or fix its owner"
        ) from None


def _not_a_key(path: Path) -> Misconfigured:
    return Misconfigured(
        f"{path} does not hold a key of the kind expected",
        "PEM: Ed25519 or P-256 to sign and verify, X25519 to seal; anpr-edge keys init makes the signing key",
    )
