"""Signed statements: COSE_Sign1 (RFC 9052), tag 18, over deterministic CBOR.

The algorithm is bound to the key: a verifier takes both from its own table, never from the message. The content type
keeps one kind of statement from being taken for another.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from io import BytesIO
from typing import Any, Protocol

import cbor2
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, utils
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from edge.errors import Tampered

RECORD_TYPE = "application/anpr-record+cbor"
RECEIPT_TYPE = "application/anpr-receipt+cbor"
CHECKPOINT_TYPE = "application/anpr-checkpoint+cbor"

_TAG_SIGN1 = 18
_ALG, _CONTENT_TYPE, _KID = 1, 3, 4  # RFC 9052, 3.1
_MAX_SIGNED_BYTES = 1_000_000
_SIGNATURE_BYTES = 64  # both algorithms


class Algorithm(Enum):
    """IANA COSE algorithm numbers."""

    EDDSA = -8
    ES256 = -7


class Signer(Protocol):
    """A private key that signs and cannot be read out. Files today; credentials and TPMs have the same shape."""

    @property
    def kid(self) -> bytes: ...
    @property
    def algorithm(self) -> Algorithm: ...
    def sign(self, message: bytes) -> bytes: ...


PublicKey = ed25519.Ed25519PublicKey | ec.EllipticCurvePublicKey


@dataclass(frozen=True, slots=True)
class Verifier:
    """A public key with the one algorithm it may be used with."""

    kid: bytes
    algorithm: Algorithm
    key: PublicKey = field(repr=False)

    def holds(self, message: bytes, signature: bytes) -> bool:
        if len(signature) != _SIGNATURE_BYTES:
            return False
        try:
            if isinstance(self.key, ed25519.Ed25519PublicKey):
                self.key.verify(signature, message)
            else:
                r, s = int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:], "big")
                self.key.verify(utils.encode_dss_signature(r, s), message, ec.ECDSA(hashes.SHA256()))
        except InvalidSignature:
            return False
        return True


def verifier(key: PublicKey) -> Verifier:
    if isinstance(key, ed25519.Ed25519PublicKey):
        return Verifier(key_id(key.public_bytes_raw()), Algorithm.EDDSA, key)
    if not isinstance(key.curve, ec.SECP256R1):
        raise ValueError("only P-256 goes with ES256")
    return Verifier(
        key_id(key.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)),
        Algorithm.ES256,
        key,
    )


def key_id(public: bytes) -> bytes:
    """The first 8 bytes of SHA-256 over a raw public key (wire.md, 1)."""
    return hashlib.sha256(public).digest()[:8]


def encode(value: Any) -> bytes:
    """Deterministic CBOR (RFC 8949, 4.2). Our maps have text keys only, for which this order is the bytewise one."""
    return cbor2.dumps(value, canonical=True)


def decode(data: bytes, limit_bytes: int = _MAX_SIGNED_BYTES) -> Any:
    """One CBOR item that fills `data` exactly and is what `encode` would have written; `Tampered` otherwise.

    Encoding anew and comparing refuses in one stroke what a lenient decoder lets through: trailing bytes, indefinite
    lengths, long forms, unsorted or doubled keys.
    """
    if len(data) > limit_bytes:
        raise Tampered(f"a CBOR item of {len(data)} bytes is over the limit of {limit_bytes}")
    stream = BytesIO(data)
    try:
        value = cbor2.CBORDecoder(stream, tag_hook=_no_tags, max_depth=16).decode()
        same = stream.read(1) == b"" and encode(value) == data
    except (cbor2.CBORError, ValueError, TypeError, ArithmeticError, RecursionError, EOFError) as problem:
        raise Tampered("bytes that should be CBOR are not") from problem
    if not same:
        raise Tampered("a CBOR item is not in deterministic form")
    return value


def _no_tags(_decoder: Any, tag: cbor2.CBORTag) -> Any:
    if tag.tag != _TAG_SIGN1:
        raise ValueError("unexpected CBOR tag")
    return tag


def sign(signer: Signer, content_type: str, payload: bytes) -> bytes:
    """`payload` as a COSE_Sign1 of this content type; 64 + about 60 bytes more."""
    protected = encode({_ALG: signer.algorithm.value, _CONTENT_TYPE: content_type, _KID: signer.kid})
    signature = signer.sign(_to_be_signed(protected, payload))
    return encode(cbor2.CBORTag(_TAG_SIGN1, [protected, {}, payload, signature]))


def open_signed(message: bytes, content_type: str, keys: Mapping[bytes, Verifier]) -> tuple[bytes, Verifier]:
    """The payload of a COSE_Sign1 that one of `keys` (by kid) signed as this content type; `Tampered` otherwise."""
    protected, payload, signature = _parts(decode(message))
    header = decode(protected)
    if not isinstance(header, dict) or set(header) != {_ALG, _CONTENT_TYPE, _KID}:
        raise Tampered("a signed message has other headers than the contract allows")
    if header[_CONTENT_TYPE] != content_type:
        raise Tampered(f"a signed message is not a {content_type}")
    key = keys.get(header[_KID]) if isinstance(header[_KID], bytes) else None
    if key is None:
        raise Tampered("a message is signed by a key that is not known here", "compare: anpr-edge keys show")
    if header[_ALG] != key.algorithm.value:
        raise Tampered("a message names another algorithm than its key has")
    if not key.holds(_to_be_signed(protected, payload), signature):
        raise Tampered("a signature does not verify")
    return payload, key


def _parts(tagged: Any) -> tuple[bytes, bytes, bytes]:
    value = tagged.value if isinstance(tagged, cbor2.CBORTag) and tagged.tag == _TAG_SIGN1 else None
    if not isinstance(value, list) or len(value) != 4 or value[1] != {}:
        raise Tampered("a message is not a COSE_Sign1 of this contract")
    protected, _, payload, signature = value
    if not all(isinstance(part, bytes) for part in (protected, payload, signature)):
        raise Tampered("a message is not a COSE_Sign1 of this contract")
    return protected, payload, signature


def _to_be_signed(protected: bytes, payload: bytes) -> bytes:
    return encode(["Signature1", protected, b"", payload])  # RFC 9052, 4.4; external data empty


class HeldSigner:
    """A private key held in this process's memory."""

    def __init__(self, verifier: Verifier, sign_raw: Callable[[bytes], bytes]) -> None:
        self._verifier = verifier
        self._sign_raw = sign_raw

    @property
    def kid(self) -> bytes:
        return self._verifier.kid

    @property
    def algorithm(self) -> Algorithm:
        return self._verifier.algorithm

    @property
    def verifier(self) -> Verifier:
        return self._verifier

    def sign(self, message: bytes) -> bytes:
        return self._sign_raw(message)


def held_signer(key: ed25519.Ed25519PrivateKey | ec.EllipticCurvePrivateKey) -> HeldSigner:
    if isinstance(key, ed25519.Ed25519PrivateKey):
        return HeldSigner(verifier(key.public_key()), key.sign)
    private = key

    def es256(message: bytes) -> bytes:
        r, s = utils.decode_dss_signature(private.sign(message, ec.ECDSA(hashes.SHA256())))
        return r.to_bytes(32, "big") + s.to_bytes(32, "big")

    return HeldSigner(verifier(private.public_key()), es256)
