"""Receipts as hostile bytes, and the JSON messages: their topics, their flags, and a heartbeat's size."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from edge.changes import Usage
from edge.claim import ClockState
from edge.clock import ClockQuality
from edge.errors import Tampered
from edge.read import Kind, Record
from edge.sign import CHECKPOINT_TYPE, RECEIPT_TYPE, RECORD_TYPE, encode, held_signer, sign
from edge.situation import Situation, heartbeat
from uplink.wire import (
    HEARTBEAT_MAX_BYTES,
    Address,
    cleared,
    heartbeat_message,
    json_message,
    read_receipt,
    record_message,
    state_message,
)

STORE = held_signer(Ed25519PrivateKey.from_private_bytes(b"\x05" * 32))
KEYS = {STORE.kid: STORE.verifier}
EPOCH = bytes(range(12))
ADDRESS = Address("op", "site", "node-a")
GOOD: dict[str, Any] = {
    "v": 1,
    "node": "node-a",
    "epoch": EPOCH,
    "got": [[1, 3], [5, 5]],
    "refused": [[4, "over_cap"]],
    "head": None,
    "at_ms": 1,
}


def receipt(content: Any, content_type: str = RECEIPT_TYPE) -> bytes:
    return sign(STORE, content_type, encode(content))


# receipts


def test_a_receipt_is_read() -> None:
    read = read_receipt(receipt(GOOD), "node-a", KEYS)
    assert (read.epoch, read.got, read.refused) == (EPOCH, ((1, 3), (5, 5)), ((4, "over_cap"),))


def test_members_that_are_not_known_are_passed_over() -> None:
    assert read_receipt(receipt(GOOD | {"more": [1]}), "node-a", KEYS).got == ((1, 3), (5, 5))


@pytest.mark.parametrize(
    "change",
    [
        {"node": "node-b"},
        {"node": None},
        {"v": 2},
        {"epoch": "00"},
        {"epoch": None},
        {"got": None},
        {"got": {}},
        {"got": [1, 3]},
        {"got": [[1]]},
        {"got": [[1, 2, 3]]},
        {"got": [[0, 1]]},
        {"got": [[3, 1]]},
        {"got": [[-1, 1]]},
        {"got": [[1, 2**53]]},
        {"got": [[1, 2**64 - 1]]},
        {"got": [[True, 1]]},
        {"got": [["1", "2"]]},
        {"got": [[1.0, 2.0]]},
        {"refused": None},
        {"refused": [[1]]},
        {"refused": [["over_cap", 1]]},
        {"refused": [[0, "over_cap"]]},
        {"refused": [[1, 5]]},
        {"refused": [[2**53, "over_cap"]]},
        {"refused": [[True, "over_cap"]]},
    ],
    ids=str,
)
def test_a_malformed_receipt_is_refused_whole_even_when_signed(change: dict[str, Any]) -> None:
    with pytest.raises(Tampered):
        read_receipt(receipt(GOOD | change), "node-a", KEYS)


@pytest.mark.parametrize("missing", ["v", "node", "epoch", "got", "refused"])
def test_a_receipt_without_a_member_is_refused(missing: str) -> None:
    with pytest.raises(Tampered):
        read_receipt(receipt({k: v for k, v in GOOD.items() if k != missing}), "node-a", KEYS)


@pytest.mark.parametrize("content", [[], 1, None, "receipt", b""], ids=repr)
def test_what_is_no_map_is_no_receipt(content: Any) -> None:
    with pytest.raises(Tampered):
        read_receipt(receipt(content), "node-a", KEYS)


def test_too_many_ranges_are_refused() -> None:
    most = [[n, n] for n in range(1, 10_001)]
    assert len(read_receipt(receipt(GOOD | {"got": most}), "node-a", KEYS).got) == 10_000
    for change in ({"got": [*most, [10_001, 10_001]]}, {"refused": [[n, "malformed"] for n in range(1, 10_002)]}):
        with pytest.raises(Tampered, match="too many"):
            read_receipt(receipt(GOOD | change), "node-a", KEYS)


def test_only_the_stores_key_and_only_a_receipt_count() -> None:
    stranger = held_signer(Ed25519PrivateKey.from_private_bytes(b"\x06" * 32))
    for message in (
        sign(stranger, RECEIPT_TYPE, encode(GOOD)),
        receipt(GOOD, CHECKPOINT_TYPE),
        receipt(GOOD, RECORD_TYPE),
        encode(GOOD),
        json.dumps({"node": "node-a"}).encode(),
        receipt(GOOD) + b"\x00",
        b"",
    ):
        with pytest.raises(Tampered):
            read_receipt(message, "node-a", KEYS)
    with pytest.raises(Tampered):
        read_receipt(receipt(GOOD), "node-a", {})


# messages


def test_a_record_travels_as_it_lies_on_the_topic_of_its_kind() -> None:
    for kind in Kind:
        message = record_message(ADDRESS, Record(1, EPOCH, 1, kind, 0, b"sealed"))
        assert message.topic == f"anpr/v1/op/site/node-a/{kind.value}"
        assert message.payload == b"sealed"
        assert (message.retain, message.expiry_s, message.content_type) == (False, None, "application/cbor")


def test_state_is_retained_and_a_lost_one_has_no_time() -> None:
    ready, lost = state_message(ADDRESS, "ready", 3, 9), state_message(ADDRESS, "lost", 3, None)
    assert json.loads(ready.payload) == {"state": "ready", "session": 3, "at_ms": 9}
    assert json.loads(lost.payload) == {"state": "lost", "session": 3}
    assert ready.retain
    assert ready.topic == lost.topic == "anpr/v1/op/site/node-a/state"


def test_what_no_longer_holds_is_cleared_by_an_empty_retained_message() -> None:
    message = cleared(ADDRESS, "alert/clock")
    assert (message.topic, message.payload, message.retain) == ("anpr/v1/op/site/node-a/alert/clock", b"", True)


def test_a_message_is_never_no_json() -> None:
    for number in (float("nan"), float("inf")):
        with pytest.raises(ValueError, match="JSON compliant"):
            json_message(ADDRESS, "health/clock", {"n": number})


def situation(**change: Any) -> Situation:
    """A node whose every number is as long as it can become in ten years."""
    given: dict[str, Any] = {
        "at_ms": 2_082_758_400_000,
        "session": 999_999,
        "uptime_s": 315_360_000,
        "boot_id": "6d1c2f5e-0b7a-4f1e-9a57-2f1f0c5b7e11",
        "version": "10.100.1000",
        "config_digest": "sha256:" + "5c" * 32,
        "clock": ClockQuality(ClockState.UNSYNCHRONISED, None),
        "usage": Usage(9_999_999, 99_999_999_999, 99_999, 99_999, 1, 99, 100, 1),
        "disk_free_bytes": 9_999_999_999_999,
        "certificate_days": -1000,
        "uplink_up": True,
        "uplink_problem": "",
        "uplink": {},
        "receipt_age_s": None,
        "acknowledge": "broker",
        "cameras": {},
        "camera_states": {"up": 999, "down": 999, "silent": 999},
        "authorisation_days": {},
    }
    return Situation(**(given | change))


def checkpoint(node: str) -> bytes:
    statement = {
        "v": 1,
        "node": node,
        "epoch": EPOCH,
        "seq": 99_999_999,
        "head": bytes(32),
        "counts": {"read": 99_999_999, "overview": 99_999_999, "act": 999_999},
        "shed": {},
        "oldest": [EPOCH, 99_999_999],
        "at_ms": 2_082_758_400_000,
    }
    return sign(STORE, CHECKPOINT_TYPE, encode(statement))


def test_a_heartbeat_carries_its_checkpoint_and_expires_after_two_intervals() -> None:
    signed = checkpoint("node-a")
    message = heartbeat_message(ADDRESS, {"seq": 1, "alerts": ["clock"]}, signed, 60)
    content = json.loads(message.payload)
    assert base64.b64decode(content["checkpoint"]) == signed
    assert content["alerts"] == ["clock"]
    assert (message.expiry_s, message.retain) == (120, False)


@pytest.mark.parametrize("alerts", [0, 1, 5, 12, 200])
def test_a_heartbeat_is_under_1000_bytes_however_long_the_list_of_alerts(alerts: int) -> None:
    content = {"seq": 1, "alerts": [f"refused-by-store-{n}" for n in range(alerts)]}
    message = heartbeat_message(ADDRESS, content, checkpoint("node-a"), 60)
    assert len(message.payload) < HEARTBEAT_MAX_BYTES
    told = json.loads(message.payload)["alerts"]
    if len(told) < alerts:
        assert told[-1] == "more"
        assert told[:-1] == content["alerts"][: len(told) - 1]  # type: ignore[index]
        assert len(message.payload) > 900
    else:
        assert told == content["alerts"]


def test_the_longest_heartbeat_of_a_real_node_is_under_1000_bytes() -> None:
    """With the longest name that a node may have, and every number grown."""
    content = heartbeat(situation(), 9_999_999, 86_400)
    assert len(content["alerts"]) >= 4
    message = heartbeat_message(Address("o" * 32, "s" * 32, "n" * 32), content, checkpoint("n" * 32), 86_400)
    assert len(message.payload) < HEARTBEAT_MAX_BYTES
