"""The next link of the chain: numbered, chained, signed, sealed. Pure but for the signer's key.

Nothing is durable here: the ledger writes the link and takes the new end over only once its transaction has committed.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field, replace

from edge import record, row
from edge.claim import Received
from edge.read import Captured, Kind
from edge.seal import Sealer
from edge.sign import RECORD_TYPE, Signer, encode, sign


@dataclass(frozen=True, slots=True)
class ChainEnd:
    """Where an epoch's chain stands."""

    node: str
    epoch: bytes = field(repr=False)
    seq: int
    head: bytes = field(repr=False)
    reads: int = 0
    overviews: int = 0
    acts: int = 0

    def counts(self) -> dict[str, int]:
        return {Kind.READ.value: self.reads, Kind.OVERVIEW.value: self.overviews, Kind.ACT.value: self.acts}


@dataclass(frozen=True, slots=True)
class Link:
    """One record ready to be written, and the chain's end after it."""

    kind: Kind
    received_ms: int
    digest: bytes = field(repr=False)
    data: bytes = field(repr=False)
    end: ChainEnd


def link(
    end: ChainEnd, kind: Kind, captured: Captured, received: Received, body: record.Body, signer: Signer, sealer: Sealer
) -> Link:
    """The record that follows `end`."""
    seq = end.seq + 1
    payload = record.payload(record.Place(end.node, end.epoch, seq, end.head), kind, captured, received, body)
    signed = sign(signer, RECORD_TYPE, encode(payload))
    digest = hashlib.sha256(signed).digest()
    data = row.wrap(end.epoch, seq, sealer.seal(end.epoch, seq, kind, signed))
    after = replace(
        end,
        seq=seq,
        head=record.head_after(end.head, digest),
        reads=end.reads + (kind is Kind.READ),
        overviews=end.overviews + (kind is Kind.OVERVIEW),
        acts=end.acts + (kind is Kind.ACT),
    )
    return Link(kind, received.utc_ms, digest, data, after)
