"""The uplink's proof in its short form: real ledger, link, relay, Mosquitto and store, broken at random.

The long form: `python -m tests.proofs uplink --messages 100000`.
"""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from tests.proofs.uplink import FAULTS, prove

pytestmark = pytest.mark.mosquitto


def test_exactly_once_at_the_store(tmp_path: Path) -> None:
    found = asyncio.run(prove(4000, 7, tmp_path, every_s=0.4, longest_s=1.0))
    print(found)
    assert found.sound(), found
    assert found.written >= 4000
    assert found.looks >= 3
    assert set(found.faults) <= set(FAULTS)
    assert sum(found.faults.values()) >= 3


def test_an_uplink_that_believes_the_broker_is_seen_to_lose(tmp_path: Path) -> None:
    found = asyncio.run(prove(1500, 7, tmp_path, control=True, longest_s=2.0))
    print(found)
    assert found.deleted_unstored > 100, found
    assert found.missing > 100, found
