"""Signed statements and deterministic CBOR: what is refused, and that nothing but `Tampered` comes of hostile bytes."""

from __future__ import annotations

from typing import Any

import cbor2
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.errors import Tampered
from edge.sign import (
    CHECKPOINT_TYPE,
    RECEIPT_TYPE,
    RECORD_TYPE,
    Algorithm,
    HeldSigner,
    Verifier,
    decode,
    encode,
    held_signer,
    open_signed,
    sign,
)

ED = held_signer(ed25519.Ed25519PrivateKey.from_private_bytes(bytes(32)))
EC = held_signer(ec.derive_private_key(7, ec.SECP256R1()))
SIGNERS = pytest.mark.parametrize("signer", [ED, EC], ids=["eddsa", "es256"])

contract_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.binary(max_size=40) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)


def table(*signers: HeldSigner) -> dict[bytes, Verifier]:
    return {s.kid: s.verifier for s in signers}


@SIGNERS
def test_what_is_signed_opens(signer: HeldSigner) -> None:
    payload = encode({"a": 1})
    opened, by = open_signed(sign(signer, RECORD_TYPE, payload), RECORD_TYPE, table(ED, EC))
    assert opened == payload
    assert by.kid == signer.kid


@SIGNERS
def test_every_flipped_bit_is_found(signer: HeldSigner) -> None:
    message = sign(signer, RECORD_TYPE, encode({"a": 1}))
    for bit in range(len(message) * 8):
        changed = bytearray(message)
        changed[bit // 8] ^= 1 << bit % 8
        with pytest.raises(Tampered):
            open_signed(bytes(changed), RECORD_TYPE, table(ED, EC))


@SIGNERS
@pytest.mark.parametrize("other", [RECEIPT_TYPE, CHECKPOINT_TYPE, "application/cbor"])
def test_one_statement_is_not_taken_for_another(signer: HeldSigner, other: str) -> None:
    with pytest.raises(Tampered, match="is not a"):
        open_signed(sign(signer, other, b"\xa0"), RECORD_TYPE, table(signer))


def test_an_unknown_key_is_refused() -> None:
    with pytest.raises(Tampered, match="not known"):
        open_signed(sign(ED, RECORD_TYPE, b"\xa0"), RECORD_TYPE, table(EC))
    with pytest.raises(Tampered, match="not known"):
        open_signed(sign(ED, RECORD_TYPE, b"\xa0"), RECORD_TYPE, {})


def test_the_key_in_the_table_decides_not_the_kid_in_the_message() -> None:
    with pytest.raises(Tampered):
        open_signed(sign(ED, RECORD_TYPE, b"\xa0"), RECORD_TYPE, {ED.kid: EC.verifier})
    stranger = held_signer(ed25519.Ed25519PrivateKey.from_private_bytes(b"\x01" * 32))
    with pytest.raises(Tampered, match="does not verify"):
        open_signed(sign(ED, RECORD_TYPE, b"\xa0"), RECORD_TYPE, {ED.kid: stranger.verifier})


@pytest.mark.parametrize(
    "header",
    [
        {},
        {1: -8, 3: RECORD_TYPE},
        {1: -8, 4: ED.kid},
        {3: RECORD_TYPE, 4: ED.kid},
        {1: -8, 3: RECORD_TYPE, 4: ED.kid, 2: [3]},
        {1: -7, 3: RECORD_TYPE, 4: ED.kid},
        {1: "EdDSA", 3: RECORD_TYPE, 4: ED.kid},
        {1: -8, 3: RECORD_TYPE, 4: ED.kid.hex()},
        {1: -8, 3: RECORD_TYPE, 4: [ED.kid]},
        {1: -8, 3: 0, 4: ED.kid},
        [1, 3, 4],
        None,
    ],
    ids=str,
)
def test_other_headers_are_refused_even_when_signed(header: Any) -> None:
    protected = encode(header)
    signature = ED.sign(encode(["Signature1", protected, b"", b"\xa0"]))
    with pytest.raises(Tampered):
        open_signed(encode(cbor2.CBORTag(18, [protected, {}, b"\xa0", signature])), RECORD_TYPE, table(ED))


@pytest.mark.parametrize(
    "parts",
    [
        [],
        [b"", {}, b""],
        [b"", {}, b"", b"", b""],
        ["", {}, b"", b""],
        [b"", {}, None, b""],
        [b"", [], b"", b""],
        {},
        1,
    ],
    ids=str,
)
def test_other_shapes_are_refused(parts: Any) -> None:
    with pytest.raises(Tampered):
        open_signed(encode(cbor2.CBORTag(18, parts)), RECORD_TYPE, table(ED))


@pytest.mark.parametrize("length", [0, 1, 63, 65, 72, 128])
@SIGNERS
def test_a_signature_of_another_length_does_not_hold(signer: HeldSigner, length: int) -> None:
    assert signer.verifier.holds(b"text", signer.sign(b"text"))
    assert not signer.verifier.holds(b"text", bytes(length))


def test_algorithms_and_kids() -> None:
    assert (ED.algorithm, EC.algorithm) == (Algorithm.EDDSA, Algorithm.ES256)
    assert len(ED.kid) == len(EC.kid) == 8
    with pytest.raises(ValueError, match="only P-256"):
        held_signer(ec.generate_private_key(ec.SECP384R1()))


def test_the_key_does_not_show_in_a_repr() -> None:
    shown = repr(ED) + repr(ED.verifier)
    assert bytes(32).hex() not in shown
    assert "Ed25519PublicKey" not in repr(ED.verifier)


# CBOR


@given(contract_values)
def test_what_is_encoded_decodes(value: Any) -> None:
    assert decode(encode(value)) == value


@given(contract_values, st.integers(0), st.integers(0, 7))
def test_any_other_bytes_are_refused_or_canonical(value: Any, at: int, bit: int) -> None:
    data = bytearray(encode(value))
    data[at % len(data)] ^= 1 << bit
    try:
        decoded = decode(bytes(data))
    except Tampered:
        return
    assert encode(decoded) == bytes(data)


@given(st.binary(max_size=200))
@settings(max_examples=1000)
def test_hostile_bytes_raise_nothing_but_tampered(data: bytes) -> None:
    for attempt in (data, b"\xd2\x84" + data):
        try:
            open_signed(attempt, RECORD_TYPE, table(ED))
        except Tampered:
            continue
        raise AssertionError("nothing unsigned may open")


# Tags that the CBOR library gives a meaning of its own before ours is asked.
HOSTILE = {
    "a decimal of an impossible exponent": cbor2.CBORTag(4, [2**60, 1]),
    "a bigfloat of an impossible exponent": cbor2.CBORTag(5, [2**60, 1]),
    "a bigfloat of a large exponent": cbor2.CBORTag(5, [10**7, 1]),
    "a fraction over nothing": cbor2.CBORTag(30, [1, 0]),
    "a broken expression": cbor2.CBORTag(35, "("),
    "a moment out of range": cbor2.CBORTag(1, 2**62),
    "a date that is none": cbor2.CBORTag(0, "2026-13-45T99:99:99Z"),
    "a reference to itself": cbor2.CBORTag(28, [cbor2.CBORTag(29, 0)]),
    "a reference to nothing": cbor2.CBORTag(29, 5),
    "an address that is none": cbor2.CBORTag(260, b"\xff"),
    "a mail that is none": cbor2.CBORTag(36, "\x00"),
    "an identity of the wrong length": cbor2.CBORTag(37, b"\x00"),
}


@pytest.mark.parametrize("name", list(HOSTILE))
def test_a_hostile_tag_is_tampered_and_nothing_else(name: str) -> None:
    data = cbor2.dumps(HOSTILE[name], canonical=True)
    for attempt in (data, b"\x81" + data, b"\xa1\x61v" + data):
        with pytest.raises(Tampered):
            decode(attempt)


@pytest.mark.parametrize(
    "data",
    ["5b7fffffffffffffff", "7bffffffffffffffff", "9b00000000ffffffff", "bbffffffffffffffff", "9bffffffffffffffff"],
)
def test_a_promised_length_costs_nothing(data: str) -> None:
    with pytest.raises(Tampered):
        decode(bytes.fromhex(data))


def test_deep_nesting_is_refused() -> None:
    with pytest.raises(Tampered):
        decode(b"\x81" * 100_000 + b"\x00")


def test_a_message_over_the_limit_is_refused_unread() -> None:
    data = encode(bytes(2000))
    assert decode(data, limit_bytes=len(data)) == bytes(2000)
    with pytest.raises(Tampered, match="over the limit"):
        decode(data, limit_bytes=len(data) - 1)
