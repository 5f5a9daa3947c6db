"""How a record lies in the file: what was written comes back, and nothing else does."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.errors import Tampered
from edge.row import MAGIC, unwrap, wrap

epochs = st.binary(min_size=12, max_size=12)
seqs = st.integers(1, 2**53 - 1)


@given(epochs, seqs, st.binary(max_size=500))
def test_what_is_wrapped_unwraps(epoch: bytes, seq: int, sealed: bytes) -> None:
    data = wrap(epoch, seq, sealed)
    assert data.startswith(MAGIC)
    assert unwrap(epoch, seq, data) == sealed


@given(epochs, seqs, st.binary(max_size=500), st.integers(0))
def test_any_single_flipped_bit_is_found(epoch: bytes, seq: int, sealed: bytes, bit: int) -> None:
    data = bytearray(wrap(epoch, seq, sealed))
    bit %= len(data) * 8
    data[bit // 8] ^= 1 << bit % 8
    with pytest.raises(Tampered):
        unwrap(epoch, seq, bytes(data))


def test_every_single_flipped_bit_of_one_row_is_found() -> None:
    whole = wrap(bytes(12), 9, bytes(range(100)))
    for bit in range(len(whole) * 8):
        data = bytearray(whole)
        data[bit // 8] ^= 1 << bit % 8
        with pytest.raises(Tampered):
            unwrap(bytes(12), 9, bytes(data))


@given(epochs, seqs, st.binary(max_size=100), st.binary(min_size=1, max_size=30), st.integers(1, 200))
def test_bytes_more_or_fewer_are_found(epoch: bytes, seq: int, sealed: bytes, more: bytes, fewer: int) -> None:
    data = wrap(epoch, seq, sealed)
    for changed in (data + more, more + data, data[: -min(fewer, len(data))]):
        with pytest.raises(Tampered):
            unwrap(epoch, seq, changed)


def test_a_row_under_another_number_is_found() -> None:
    data = wrap(bytes(12), 9, b"sealed")
    for epoch, seq in ((bytes(12), 10), (b"\x01" + bytes(11), 9)):
        with pytest.raises(Tampered, match=f"record {seq}"):
            unwrap(epoch, seq, data)


@pytest.mark.parametrize("data", [b"", b"ANR1", None, 5, "ANR1", 1.5], ids=repr)
def test_what_is_no_row_is_found(data: object) -> None:
    with pytest.raises(Tampered):
        unwrap(bytes(12), 9, data)
