"""COSE_Sign1 as the contract uses it: verified against the store's own table, signed with the store's own key.

The message never chooses its algorithm: it must name the one that the table holds for its key identity.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum, IntEnum
from typing import Any, Final, cast

import cbor2
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, utils
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PublicKey

from simulators.backoffice import shapes, strict_cbor

_COORDINATE_BYTES: Final = 32


class Alg(IntEnum):
    """COSE algorithm numbers (RFC 9053): the two that the contract accepts."""

    EDDSA = -8
    ES256 = -7


class Content(Enum):
    """Content types, so that one statement is never taken for another."""

    RECORD = "application/anpr-record+cbor"
    RECEIPT = "application/anpr-receipt+cbor"
    CHECKPOINT = "application/anpr-checkpoint+cbor"


@dataclass(frozen=True, slots=True)
class Verifier:
    """A key that the store trusts, for one algorithm and one signer's name."""

    signer: str
    alg: Alg
    key: Ed25519PublicKey | ec.EllipticCurvePublicKey = field(repr=False)


@dataclass(frozen=True, slots=True)
class Verified:
    signer: str
    payload: bytes = field(repr=False)


def key_id(key: Ed25519PublicKey | X25519PublicKey | ec.EllipticCurvePublicKey) -> bytes:
    """Give the 8-byte kid: SHA-256 over the raw key, or over the uncompressed point."""
    if isinstance(key, ec.EllipticCurvePublicKey):
        raw = key.public_bytes(serialization.Encoding.X962, serialization.PublicFormat.UncompressedPoint)
    else:
        raw = key.public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
    return hashlib.sha256(raw).digest()[:8]


def encode(value: object) -> bytes:
    """Encode deterministically. cbor2's canonical order equals RFC 8949's where keys are all text or all small ints."""
    return cbor2.dumps(value, canonical=True)


def verify(message: bytes, content: Content, find: Callable[[bytes], Verifier | None]) -> Verified | None:
    """Give signer and payload of a good signature, or None. Never raises for hostile bytes."""
    parts = _parts(message)
    if parts is None:
        return None
    header, protected, payload, signature = parts
    verifier = find(header[4])
    if verifier is None or header[1] != verifier.alg or header[3] != content.value:
        return None
    if not _holds(verifier, signature, _to_be_signed(protected, payload)):
        return None
    return Verified(signer=verifier.signer, payload=payload)


def names_unknown_key(message: bytes, find: Callable[[bytes], Verifier | None]) -> bool:
    """Whether a message is of the right form and only its key is not known here: it may be tomorrow."""
    parts = _parts(message)
    return parts is not None and find(parts[0][4]) is None


def _parts(message: bytes) -> tuple[dict[int, Any], bytes, bytes, bytes] | None:
    """Header, protected bytes, payload and signature of a message of the right form."""
    try:
        outer = strict_cbor.decode(message)
        if not isinstance(outer, strict_cbor.Sign1) or not _SIGN1(outer.value):
            return None
        protected, _, payload, signature = cast("tuple[bytes, object, bytes, bytes]", outer.value)
        header = strict_cbor.decode(protected)
    except strict_cbor.NotDeterministic:
        return None
    if not isinstance(header, dict) or header.keys() != {1, 3, 4} or not shapes.KID(header[4]):
        return None
    return header, protected, payload, signature


def sign(payload: bytes, content: Content, key: Ed25519PrivateKey) -> bytes:
    """Give a tagged COSE_Sign1 over `payload`, with EdDSA."""
    protected = encode({1: int(Alg.EDDSA), 3: content.value, 4: key_id(key.public_key())})
    signature = key.sign(_to_be_signed(protected, payload))
    return encode(cbor2.CBORTag(strict_cbor.COSE_SIGN1_TAG, [protected, {}, payload, signature]))


_SIGN1: Final = shapes.tuple_of(shapes.octets(), shapes.exactly({}), shapes.octets(), shapes.octets(64))


def _to_be_signed(protected: bytes, payload: bytes) -> bytes:
    return encode(["Signature1", protected, b"", payload])


def _holds(verifier: Verifier, signature: bytes, signed: bytes) -> bool:
    try:
        if isinstance(verifier.key, Ed25519PublicKey):
            verifier.key.verify(signature, signed)
        else:
            r = int.from_bytes(signature[:_COORDINATE_BYTES], "big")
            s = int.from_bytes(signature[_COORDINATE_BYTES:], "big")
            verifier.key.verify(utils.encode_dss_signature(r, s), signed, ec.ECDSA(hashes.SHA256()))
    except InvalidSignature:
        return False
    return True
