"""Sealing to the store: HPKE (RFC 9180) base mode, so that the node keeps no key that opens what it buffers.

What may not happen here: a record leaving in the clear, or sealed without its place (node, epoch, seq, kind) bound in.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PublicKey
from cryptography.hazmat.primitives.hpke import AEAD, KDF, KEM, Suite

from edge.read import Kind
from edge.sign import encode, key_id

# ChaCha20-Poly1305: most Raspberry Pis have no AES instructions (security.md 2.2).
SUITE = Suite(KEM.X25519, KDF.HKDF_SHA256, AEAD.CHACHA20_POLY1305)
_LABEL = "anpr-seal-v1"


@dataclass(frozen=True, slots=True)
class Sealer:
    """The store's public key, and the node that seals to it."""

    node: str
    key: X25519PublicKey = field(repr=False)
    kid: bytes

    def seal(self, epoch: bytes, seq: int, kind: Kind, signed: bytes) -> bytes:
        """The sealed record of wire.md 4.3: 48 bytes of HPKE and about 80 of map around the signed bytes."""
        info = encode([_LABEL, self.node, epoch, seq, kind.value, self.kid])
        return encode(
            {
                "v": 1,
                "kid": self.kid,
                "node": self.node,
                "epoch": epoch,
                "seq": seq,
                "kind": kind.value,
                "ct": SUITE.encrypt(signed, self.key, info=info),
            }
        )


def sealer(node: str, key: X25519PublicKey) -> Sealer:
    return Sealer(node, key, key_id(key.public_bytes_raw()))
