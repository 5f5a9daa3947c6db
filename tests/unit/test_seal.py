"""Sealing: only the store opens, and only in the place it was sealed for."""

from __future__ import annotations

from typing import Any

import pytest
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from edge.read import Kind
from edge.seal import SUITE, Sealer, sealer
from edge.sign import decode, encode, key_id

STORE = X25519PrivateKey.from_private_bytes(b"\x07" * 32)
SEALER = sealer("node-a", STORE.public_key())
EPOCH = bytes(range(12))


def info(outer: dict[str, Any]) -> bytes:
    return encode(["anpr-seal-v1", *(outer[k] for k in ("node", "epoch", "seq", "kind", "kid"))])


def unseal(outer: dict[str, Any], key: X25519PrivateKey = STORE) -> bytes:
    return SUITE.decrypt(outer["ct"], key, info=info(outer))


@given(st.binary(max_size=300), st.integers(1, 2**53 - 1), st.sampled_from(Kind), st.binary(min_size=12, max_size=12))
def test_the_store_opens_what_was_sealed(signed: bytes, seq: int, kind: Kind, epoch: bytes) -> None:
    outer = decode(SEALER.seal(epoch, seq, kind, signed))
    assert set(outer) == {"v", "kid", "node", "epoch", "seq", "kind", "ct"}
    assert (outer["v"], outer["node"], outer["epoch"], outer["seq"]) == (1, "node-a", epoch, seq)
    assert outer["kind"] == kind.value
    assert outer["kid"] == SEALER.kid == key_id(STORE.public_key().public_bytes_raw())
    assert unseal(outer) == signed


@pytest.mark.parametrize(
    "change",
    [{"seq": 8}, {"kind": "overview"}, {"epoch": bytes(12)}, {"node": "node-b"}, {"kid": bytes(8)}],
    ids=str,
)
def test_moved_to_another_place_it_does_not_open(change: dict[str, Any]) -> None:
    outer = decode(SEALER.seal(EPOCH, 7, Kind.READ, b"signed"))
    assert unseal(outer) == b"signed"
    with pytest.raises(InvalidTag):
        unseal(outer | change)


def test_another_key_does_not_open_it() -> None:
    with pytest.raises(InvalidTag):
        unseal(decode(SEALER.seal(EPOCH, 7, Kind.READ, b"signed")), X25519PrivateKey.from_private_bytes(b"\x08" * 32))


def test_every_flipped_bit_of_the_ciphertext_is_found() -> None:
    outer = decode(SEALER.seal(EPOCH, 7, Kind.READ, b"signed"))
    opened = []
    for bit in range(len(outer["ct"]) * 8):
        changed = bytearray(outer["ct"])
        changed[bit // 8] ^= 1 << bit % 8
        try:
            opened.append((bit, unseal(outer | {"ct": bytes(changed)})))
        except (InvalidTag, ValueError):
            continue
    assert opened == []


def test_the_same_text_is_never_sealed_to_the_same_bytes_and_shows_nowhere() -> None:
    text = b"a text that is long enough to be found"
    sealed = {SEALER.seal(EPOCH, 7, Kind.READ, text) for _ in range(20)}
    assert len(sealed) == 20
    assert all(text[i : i + 6] not in each for each in sealed for i in range(len(text) - 6))


def test_sealing_costs_what_its_docstring_says() -> None:
    assert len(SEALER.seal(EPOCH, 7, Kind.READ, bytes(4000))) - 4000 <= 48 + 96


def test_the_key_does_not_show_in_a_repr() -> None:
    assert isinstance(SEALER, Sealer)
    assert "PublicKey" not in repr(SEALER)
