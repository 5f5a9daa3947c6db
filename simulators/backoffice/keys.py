"""The store's own keys, and the table of nodes' public keys that it trusts.

Private keys are made with mode 0600 and never overwritten; a node's key comes only from a file that a person put there.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from simulators.backoffice import shapes
from simulators.backoffice.cose import Alg, Verifier, key_id

_PUBLIC_SUFFIX = ".pub.pem"


class BadKey(ValueError):
    """A key file is not of the kind that its name promises."""


@dataclass(frozen=True, slots=True)
class StoreKeys:
    """What opens records and what signs receipts."""

    seal: X25519PrivateKey = field(repr=False)
    receipt: Ed25519PrivateKey = field(repr=False)

    @property
    def seal_kid(self) -> bytes:
        return key_id(self.seal.public_key())


def make_or_load(folder: Path) -> StoreKeys:
    """Load seal.pem and receipt.pem, making what is missing, and write their public halves. Raises BadKey, OSError."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    seal = _private(folder / "seal.pem", X25519PrivateKey.generate)
    receipt = _private(folder / "receipt.pem", Ed25519PrivateKey.generate)
    if not isinstance(seal, X25519PrivateKey) or not isinstance(receipt, Ed25519PrivateKey):
        raise BadKey("seal.pem must be an X25519 key and receipt.pem an Ed25519 key")
    return StoreKeys(seal=seal, receipt=receipt)


def _private(path: Path, make: Callable[[], X25519PrivateKey | Ed25519PrivateKey]) -> object:
    if not path.exists():
        pem = make().private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(pem)
    try:
        key = serialization.load_pem_private_key(path.read_bytes(), password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise BadKey(f"{path.name} is not an unencrypted PEM private key") from None
    public = key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    path.with_name(path.stem + _PUBLIC_SUFFIX).write_bytes(public)
    return key


class NodeKeys:
    """The verifiers by kid, read from `<node>.pub.pem` files, and read again when an unknown kid or node appears."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._seen: tuple[tuple[str, int, int], ...] = ()
        self._by_kid: dict[bytes, Verifier] = {}
        self._names: frozenset[str] = frozenset()
        self._refresh()

    def find(self, kid: bytes) -> Verifier | None:
        """Give the verifier that the folder holds for `kid`, or None."""
        if kid not in self._by_kid:
            self._refresh()
        return self._by_kid.get(kid)

    def knows(self, node: str) -> bool:
        """Say whether a key file of that name is there."""
        if node not in self._names:
            self._refresh()
        return node in self._names

    def _refresh(self) -> None:
        paths = sorted(self._folder.glob(f"*{_PUBLIC_SUFFIX}"))
        stats = [(path, path.stat()) for path in paths]
        seen = tuple((path.name, stat.st_mtime_ns, stat.st_size) for path, stat in stats)
        if seen == self._seen:
            return  # a stranger's unknown kids cost one listing each, not a parse
        table: dict[bytes, Verifier] = {}
        for path in paths:
            verifier = _verifier(path)
            if verifier is not None:
                table[key_id(verifier.key)] = verifier
        self._by_kid, self._seen = table, seen
        self._names = frozenset(verifier.signer for verifier in table.values())


def _verifier(path: Path) -> Verifier | None:
    node = path.name.removesuffix(_PUBLIC_SUFFIX)
    if not shapes.name(node):
        return None
    try:
        key = serialization.load_pem_public_key(path.read_bytes())
    except (ValueError, UnsupportedAlgorithm):
        return None  # half-written: its name and size change when it is whole
    if isinstance(key, Ed25519PublicKey):
        return Verifier(signer=node, alg=Alg.EDDSA, key=key)
    if isinstance(key, ec.EllipticCurvePublicKey) and isinstance(key.curve, ec.SECP256R1):
        return Verifier(signer=node, alg=Alg.ES256, key=key)
    return None
