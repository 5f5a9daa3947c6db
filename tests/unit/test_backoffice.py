"""The reference store, without a broker: what it opens, refuses, keeps, finds and receipts.

Records are made by a small signer of this file's own, so that a mistake of the store's is not made twice.
"""

from __future__ import annotations

import base64
import copy
import hashlib
import io
import json
import random
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cbor2
import pycddl
import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, utils
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.hpke import AEAD, KDF, KEM, Suite
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from simulators.backoffice import jpeg, strict_cbor
from simulators.backoffice.chain import (
    ZERO,
    Before,
    EpochReport,
    Join,
    Link,
    NodeChain,
    _both,
    _less,
    _merged,
    head_after,
)
from simulators.backoffice.chains import Chains
from simulators.backoffice.figures import Figures, ShownRead
from simulators.backoffice.intake import Intake
from simulators.backoffice.keys import NodeKeys, StoreKeys, make_or_load
from simulators.backoffice.opening import Code, Outside, Record, Refused, open_record, read_checkpoint, read_outside
from simulators.backoffice.page import render
from simulators.backoffice.receipts import Receipt, ranges
from simulators.backoffice.store import Store
from simulators.backoffice.topics import parse

NODE = "node-a"
ROOT = f"anpr/v1/op/site/{NODE}"
CDDL = (Path(__file__).resolve().parents[2] / "docs" / "wire" / "records.cddl").read_text("utf-8")
SUITE = Suite(KEM.X25519, KDF.HKDF_SHA256, AEAD.CHACHA20_POLY1305)
EPOCH = (1).to_bytes(4, "big") + b"12345678"
RECORD_TYPE = "application/anpr-record+cbor"
CHECKPOINT_TYPE = "application/anpr-checkpoint+cbor"

SignKey = Ed25519PrivateKey | ec.EllipticCurvePrivateKey


def dumps(value: object) -> bytes:
    return cbor2.dumps(value, canonical=True)


def kid_of(key: SignKey | X25519PrivateKey) -> bytes:
    public = key.public_key()
    if isinstance(public, ec.EllipticCurvePublicKey):
        raw = public.public_bytes(serialization.Encoding.X962, serialization.PublicFormat.UncompressedPoint)
    else:
        raw = public.public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
    return hashlib.sha256(raw).digest()[:8]


def sign(payload: bytes, key: SignKey, content: str = RECORD_TYPE, **change: Any) -> bytes:
    alg = -8 if isinstance(key, Ed25519PrivateKey) else -7
    protected = dumps({1: change.get("alg", alg), 3: content, 4: change.get("kid", kid_of(key))})
    signed = dumps(["Signature1", protected, b"", payload])
    if isinstance(key, Ed25519PrivateKey):
        signature = key.sign(signed)
    else:
        r, s = utils.decode_dss_signature(key.sign(signed, ec.ECDSA(hashes.SHA256())))
        signature = r.to_bytes(32, "big") + s.to_bytes(32, "big")
    return dumps(cbor2.CBORTag(18, [protected, change.get("unprotected", {}), payload, signature]))


def seal(signed: bytes, outer: dict[str, Any], store: X25519PrivateKey) -> bytes:
    kid = kid_of(store)
    info = dumps(["anpr-seal-v1", outer["node"], outer["epoch"], outer["seq"], outer["kind"], kid])
    names = {key: outer[key] for key in ("v", "node", "epoch", "seq", "kind")}
    return dumps({**names, "kid": kid, "ct": SUITE.encrypt(signed, store.public_key(), info=info)})


def picture(width: int, height: int, bytes_wanted: int | None = None, **options: Any) -> bytes:
    noise = random.Random(7).randbytes(width * height * 3)
    out = io.BytesIO()
    Image.frombytes("RGB", (width, height), noise).save(out, "JPEG", quality=5, **options)
    made = out.getvalue()
    # fill bytes before a marker are lawful: they make a file of any wished size
    return made if bytes_wanted is None else made[:-2] + b"\xff" * (bytes_wanted - len(made)) + made[-2:]


PATCH = picture(120, 60)
OVERVIEW = picture(320, 180)


def record(kind: str, seq: int, prev: bytes, body: dict[str, Any], epoch: bytes = EPOCH) -> dict[str, Any]:
    return {
        "v": 1,
        "node": NODE,
        "epoch": epoch,
        "seq": seq,
        "prev": prev,
        "kind": kind,
        "captured": {"utc_ms": 1_700_000_000_000, "bound_ms": 20, "source": "camera_offset", "heard": None},
        "received": {
            "utc_ms": 1_700_000_000_100,
            "bound_ms": None,
            "clock": "synchronised",
            "mono_ns": 2**60,
            "boot_id": "b",
        },
        "body": body,
    }


def started(before: dict[str, Any] | None = None) -> dict[str, Any]:
    return {"act": "started", "detail": {"before": before, "config": "sha256:00"}}


def read(vendor_id: str | None = "v-1", patch: bytes = PATCH) -> dict[str, Any]:
    return {
        "camera": "cam-1",
        "vendor_id": vendor_id,
        "lane": "1",
        "direction": "toward",
        "vrm": "AB12CDE",
        "vrm_heard": "AB12 CDE",
        "confidence": 97,
        "country": "GB",
        "position": {"lat_e7": 515_000_000, "lon_e7": -1_000_000},
        "authorisation": "auth-1",
        "patch": {"jpeg": patch},
        "overview": {"sha256": hashlib.sha256(OVERVIEW).digest(), "bytes": len(OVERVIEW)},
        "originals": [{"role": "overview", "sha256": bytes(32), "bytes": 200_000}],
        "altered": [
            {"role": "overview", "actions": ["resized"], "from": [1920, 1080], "to": [320, 180], "quality": None}
        ],
        "clock_skew_ms": -40,
        "dialect": {"name": "plain", "version": 1},
    }


class Node:
    """A node's chain as the contract has it."""

    def __init__(self, store: X25519PrivateKey, epoch: bytes = EPOCH, prev: bytes = ZERO) -> None:
        self.key = Ed25519PrivateKey.generate()
        self.store, self.epoch, self.prev, self.seq = store, epoch, prev, 0

    def signed(self, kind: str, body: dict[str, Any]) -> tuple[dict[str, Any], bytes]:
        self.seq += 1
        inner = record(kind, self.seq, self.prev, body, self.epoch)
        signed = sign(dumps(inner), self.key)
        self.prev = hashlib.sha256(b"anpr-chain-v1" + self.prev + hashlib.sha256(signed).digest()).digest()
        return inner, signed

    def make(self, kind: str, body: dict[str, Any]) -> tuple[str, bytes]:
        inner, signed = self.signed(kind, body)
        return f"{ROOT}/{kind}", seal(signed, inner, self.store)

    def checkpoint(self, seq: int | None = None, head: bytes | None = None) -> bytes:
        counts = {"read": 1, "overview": 0, "act": 1}
        inner = {"v": 1, "node": NODE, "epoch": self.epoch, "seq": seq or self.seq, "head": head or self.prev}
        return sign(
            dumps({**inner, "counts": counts, "shed": {}, "oldest": None, "at_ms": 5}), self.key, CHECKPOINT_TYPE
        )

    def heartbeat(self, checkpoint: bytes) -> tuple[str, bytes]:
        return f"{ROOT}/heartbeat", json.dumps({"checkpoint": base64.b64encode(checkpoint).decode()}).encode()


class Office:
    """A store on disk with its worker, run in this thread until its queue is empty."""

    def __init__(self, folder: Path, node_key: SignKey | None = None) -> None:
        self.folder = folder
        self.keys: StoreKeys = make_or_load(folder / "keys")
        (folder / "nodes").mkdir(exist_ok=True)
        if node_key is not None:
            self.trust(NODE, node_key)
        self.sent: list[Receipt] = []
        self.on_send: Callable[[Receipt], None] = self.sent.append
        self.open()

    def trust(self, name: str, key: SignKey) -> None:
        pem = key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
        (self.folder / "nodes" / f"{name}.pub.pem").write_bytes(pem)

    def open(self) -> None:
        self.store = Store(self.folder / "state")
        self.chains = Chains(self.store)
        nodes = NodeKeys(self.folder / "nodes")
        self.intake = Intake(self.store, self.chains, self.keys, nodes, self._send)
        self.figures = Figures(self.store, self.chains, self.intake)

    def _send(self, receipt: Receipt) -> None:
        self.on_send(receipt)

    def restart(self) -> None:
        self.store.close()
        self.open()

    def work(self, *messages: tuple[str, bytes]) -> list[dict[str, Any]]:
        """Take the messages and give what the receipts of this call say, each verified."""
        self.sent.clear()
        for message in messages:
            self.intake.take(*message)
        self.intake.stop(alive=True)
        self.intake.run()
        self.intake._stopped = False
        return [read_receipt(receipt.payload, self.keys.receipt) for receipt in self.sent]


def read_receipt(payload: bytes, key: Ed25519PrivateKey) -> dict[str, Any]:
    tag = cbor2.loads(payload)
    protected, unprotected, inner, signature = tag.value
    assert (tag.tag, unprotected) == (18, {})
    assert cbor2.loads(protected) == {1: -8, 3: "application/anpr-receipt+cbor", 4: kid_of(key)}
    key.public_key().verify(signature, dumps(["Signature1", protected, b"", inner]))
    schema("receipt").validate_cbor(inner)
    said: dict[str, Any] = cbor2.loads(inner)
    return said


def schema(rule: str) -> pycddl.Schema:
    """The document's rule. The checker refuses a table of tables whatever it holds, so the inner one is left open here;
    the malformed cases below cover it."""
    text = CDDL.replace("{ * tstr => reasons }", "{ * tstr => any }")
    return pycddl.Schema(f"start = {rule}\n{text}")


@pytest.fixture
def office(tmp_path: Path) -> Iterator[Office]:
    made = Office(tmp_path)
    yield made
    made.store.close()


@pytest.fixture
def node(office: Office) -> Node:
    made = Node(office.keys.seal)
    office.trust(NODE, made.key)
    return made


def outcome(office: Office, message: tuple[str, bytes]) -> Record | Refused:
    topic = parse(message[0])
    assert topic is not None
    outside = read_outside(topic, message[1])
    if isinstance(outside, Refused):
        return outside
    assert isinstance(outside, Outside)
    return open_record(outside, office.keys.seal_kid, office.keys.seal, NodeKeys(office.folder / "nodes").find)


def code(office: Office, message: tuple[str, bytes]) -> Code | None:
    result = outcome(office, message)
    return result.code if isinstance(result, Refused) else None


def bodies() -> list[tuple[str, dict[str, Any]]]:
    before = {"epoch": EPOCH, "seq": 9, "head": bytes(32)}
    omitted = {**read(None), "patch": {"omitted": "none"}, "overview": {"omitted": "none"}, "vrm": None, "test": True}
    return [
        ("act", started()),
        ("act", started(before)),
        ("read", read()),
        ("read", omitted),
        ("overview", {"of": 2, "jpeg": OVERVIEW}),
        ("act", {"act": "refused", "detail": {"counts": {"cam-1": {"too_large": 2}}}}),
        ("act", {"act": "stopped", "detail": {}}),
    ]


# What opens


@pytest.mark.parametrize(("kind", "body"), bodies())
def test_every_kind_agrees_with_the_document_and_opens(
    office: Office, node: Node, kind: str, body: dict[str, Any]
) -> None:
    inner, signed = node.signed(kind, body)
    sealed = seal(signed, inner, office.keys.seal)
    schema("record").validate_cbor(dumps(inner))
    schema("sealed-record").validate_cbor(sealed)
    opened = outcome(office, (f"{ROOT}/{kind}", sealed))
    assert isinstance(opened, Record)
    assert (opened.node, opened.epoch, opened.seq, opened.kind) == (NODE, EPOCH, 1, kind)
    assert opened.body == body
    assert opened.link.head == node.prev


def test_a_checkpoint_agrees_with_the_document(office: Office, node: Node) -> None:
    node.make("act", started())
    signed = node.checkpoint()
    schema("signed").validate_cbor(signed)
    schema("checkpoint").validate_cbor(cbor2.loads(signed).value[2])
    find = NodeKeys(office.folder / "nodes").find
    found = read_checkpoint(signed, NODE, find)
    assert found is not None
    assert (found.seq, found.head) == (1, node.prev)
    assert read_checkpoint(signed, "node-b", find) is None
    _, as_record = node.signed("read", read())
    assert read_checkpoint(as_record, NODE, find) is None


def test_es256_is_accepted(office: Office) -> None:
    node = Node(office.keys.seal)
    key = ec.generate_private_key(ec.SECP256R1())
    office.trust(NODE, key)
    inner, _ = node.signed("read", read())
    sealed = seal(sign(dumps(inner), key), inner, office.keys.seal)
    assert code(office, (f"{ROOT}/read", sealed)) is None
    forged = seal(sign(dumps(inner), ec.generate_private_key(ec.SECP256R1()), kid=kid_of(key)), inner, office.keys.seal)
    assert code(office, (f"{ROOT}/read", forged)) is Code.UNVERIFIED


# What does not open


def test_a_flipped_bit_anywhere_is_refused(office: Office, node: Node) -> None:
    topic, sealed = node.make("act", started())
    assert code(office, (topic, sealed)) is None
    for at in range(len(sealed) * 8):
        flipped = bytearray(sealed)
        flipped[at // 8] ^= 1 << (at % 8)
        assert code(office, (topic, bytes(flipped))) is not None, f"bit {at}"


def test_a_cut_or_lengthened_message_is_refused(office: Office, node: Node) -> None:
    topic, sealed = node.make("act", started())
    for end in range(len(sealed)):
        assert code(office, (topic, sealed[:end])) is Code.MALFORMED
    assert code(office, (topic, sealed + b"\0")) is Code.MALFORMED
    assert code(office, (topic, sealed + bytes(70_000))) is Code.MALFORMED


SIGNATURES: dict[str, Callable[[bytes, Node], bytes]] = {
    "another key": lambda inner, node: sign(inner, Ed25519PrivateKey.generate()),
    "another key under this kid": lambda inner, node: sign(inner, Ed25519PrivateKey.generate(), kid=kid_of(node.key)),
    "algorithm swapped": lambda inner, node: sign(inner, node.key, alg=-7),
    "algorithm of nothing": lambda inner, node: sign(inner, node.key, alg=0),
    "content type of a receipt": lambda inner, node: sign(inner, node.key, "application/anpr-receipt+cbor"),
    "unprotected header": lambda inner, node: sign(inner, node.key, unprotected={4: b"x"}),
    "untagged": lambda inner, node: dumps(cbor2.loads(sign(inner, node.key)).value),
    "byte left over": lambda inner, node: sign(inner, node.key) + b"\0",
    "indefinite length": lambda inner, node: sign(inner, node.key).replace(b"\xd2\x84", b"\xd2\x9f", 1) + b"\xff",
    "no signature at all": lambda inner, node: inner,
}


@pytest.mark.parametrize("how", SIGNATURES)
def test_a_signature_that_is_not_the_nodes_is_refused(office: Office, node: Node, how: str) -> None:
    inner, good = node.signed("read", read())
    assert code(office, (f"{ROOT}/read", seal(good, inner, office.keys.seal))) is None
    signed = SIGNATURES[how](dumps(inner), node)
    expected = Code.UNKNOWN_KEY if how == "another key" else Code.UNVERIFIED
    assert code(office, (f"{ROOT}/read", seal(signed, inner, office.keys.seal))) is expected


def test_one_node_cannot_speak_for_another(office: Office, node: Node) -> None:
    other = Ed25519PrivateKey.generate()
    office.trust("node-b", other)
    inner, _ = node.signed("read", read())
    sealed = seal(sign(dumps(inner), other), inner, office.keys.seal)
    assert code(office, (f"{ROOT}/read", sealed)) is Code.UNVERIFIED


def test_outside_inside_and_topic_must_agree(office: Office, node: Node) -> None:
    inner, signed = node.signed("read", read())
    for key, value in {"seq": 2, "epoch": bytes(12), "kind": "overview"}.items():
        outer = {**inner, key: value}
        sealed = seal(signed, outer, office.keys.seal)
        assert code(office, (f"{ROOT}/{outer['kind']}", sealed)) is Code.MISMATCHED, key
    sealed = seal(signed, inner, office.keys.seal)
    assert code(office, (f"{ROOT}/overview", sealed)) is Code.MISMATCHED
    assert code(office, ("anpr/v1/op/site/node-b/read", sealed)) is Code.MISMATCHED


def test_sealed_to_another_store_is_not_ours_to_refuse(office: Office, node: Node) -> None:
    inner, signed = node.signed("read", read())
    sealed = seal(signed, inner, X25519PrivateKey.generate())
    assert code(office, (f"{ROOT}/read", sealed)) is Code.UNKNOWN_KEY
    relabelled = dumps({**cbor2.loads(sealed), "kid": office.keys.seal_kid})
    assert code(office, (f"{ROOT}/read", relabelled)) is Code.UNOPENED


CHANGES: dict[str, tuple[tuple[str, ...], object]] = {
    "unknown member": (("body", "colour"), "red"),
    "float": (("body", "confidence"), 97.0),
    "confidence over 100": (("body", "confidence"), 101),
    "true for a number": (("v",), True),
    "short prev": (("prev",), bytes(31)),
    "camera's name": (("body", "camera"), "Cam 1"),
    "test false": (("body", "test"), False),
    "enormous time": (("received", "utc_ms"), 2**63),
    "unknown source": (("captured", "source"), "guess"),
}


@pytest.mark.parametrize("counts", [{"cam-1": 2}, {"cam-1": {"too_large": -1}}, {"cam-1": {3: 1}}, []])
def test_refused_counts_of_another_shape_are_malformed(office: Office, node: Node, counts: object) -> None:
    message = node.make("act", {"act": "refused", "detail": {"counts": counts}})
    assert code(office, message) is Code.MALFORMED


@pytest.mark.parametrize("what", CHANGES)
def test_another_shape_is_malformed(office: Office, node: Node, what: str) -> None:
    (*path, last), value = CHANGES[what]
    inner = copy.deepcopy(record("read", 1, ZERO, read()))
    place = inner
    for step in path:
        place = place[step]
    place[last] = value
    sealed = seal(sign(dumps(inner), node.key), inner, office.keys.seal)
    assert code(office, (f"{ROOT}/read", sealed)) is Code.MALFORMED


def test_an_encoding_that_is_not_deterministic_is_malformed(office: Office, node: Node) -> None:
    inner = record("read", 1, ZERO, read())
    unsorted = cbor2.dumps(dict(sorted(inner.items(), reverse=True)))
    sealed = seal(sign(unsorted, node.key), inner, office.keys.seal)
    assert code(office, (f"{ROOT}/read", sealed)) is Code.MALFORMED


def test_a_start_that_is_not_first_is_malformed(office: Office, node: Node) -> None:
    node.make("read", read())
    assert code(office, node.make("act", started())) is Code.MALFORMED


# Caps

COMMENT = b"\xff\xfe\x00\x04hi"
EXIF = b"\xff\xe1\x00\x08Exif\0\0"
PATCHES = {
    "at every limit": (picture(120, 60, 3_000), None),
    "one byte too many": (picture(120, 60, 3_001), Code.OVER_CAP),
    "one pixel too wide": (picture(121, 60), Code.OVER_CAP),
    "one pixel too high": (picture(120, 61), Code.OVER_CAP),
    "Exif": (PATCH[:2] + EXIF + PATCH[2:], Code.OVER_CAP),
    "comment": (PATCH[:2] + COMMENT + PATCH[2:], Code.OVER_CAP),
    "JFIF longer than its thumbnail": (
        PATCH.replace(b"\xff\xe0\x00\x10", b"\xff\xe0\x00\x13", 1).replace(b"\xff\xdb", b"abc\xff\xdb", 1),
        Code.OVER_CAP,
    ),
    "comment after the scan": (PATCH[:-2] + COMMENT + PATCH[-2:], Code.OVER_CAP),
    "a byte after the end": (PATCH + b"\0", Code.OVER_CAP),
    "a second picture after the end": (picture(16, 16) + picture(16, 16), Code.OVER_CAP),
    "no end": (PATCH[:-2], Code.OVER_CAP),
    "no JPEG": (b"GIF89a", Code.OVER_CAP),
    "nothing": (b"", Code.OVER_CAP),
    "progressive": (picture(120, 60, progressive=True), None),
}


@pytest.mark.parametrize("what", PATCHES)
def test_patch_caps(office: Office, node: Node, what: str) -> None:
    patch, expected = PATCHES[what]
    assert code(office, node.make("read", read(patch=patch))) is expected


def test_overview_caps(office: Office, node: Node) -> None:
    for size, expected in ((25_000, None), (25_001, Code.OVER_CAP)):
        message = node.make("overview", {"of": 1, "jpeg": picture(320, 180, size)})
        assert code(office, message) is expected, size
    with_icc = picture(320, 180, icc_profile=b"x" * 40)
    assert code(office, node.make("overview", {"of": 1, "jpeg": with_icc})) is Code.OVER_CAP


@given(st.binary(max_size=60), st.integers(0, len(PATCH) - 1))
@settings(max_examples=300, deadline=None, derandomize=True)
def test_hostile_jpegs_end_in_a_size_or_a_refusal(junk: bytes, at: int) -> None:
    for data in (junk, PATCH[:at] + junk, PATCH[:at] + junk + PATCH[at:]):
        try:
            size = jpeg.measure(data)
        except jpeg.NotLawful:
            continue
        assert size.width_px > 0
        assert data.endswith(b"\xff\xd9")


# Decoding

VALUES = st.recursive(
    st.one_of(st.integers(-(2**64), 2**64 - 1), st.binary(max_size=40), st.text(max_size=40), st.booleans(), st.none()),
    lambda inner: st.one_of(st.lists(inner, max_size=5), st.dictionaries(st.text(max_size=30), inner, max_size=5)),
    max_leaves=12,
)


def depth(value: object) -> int:
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return 1 + max(map(depth, inner), default=0)


@given(VALUES)
@settings(max_examples=300, deadline=None, derandomize=True)
def test_what_is_deterministic_decodes_to_itself(value: object) -> None:
    if depth(value) <= strict_cbor.MOST_DEPTH:
        assert strict_cbor.decode(dumps(value)) == value


@given(st.binary(max_size=24))
@settings(max_examples=2_000, deadline=None, derandomize=True)
def test_what_decodes_encodes_to_the_same_bytes(data: bytes) -> None:
    try:
        value = strict_cbor.decode(data)
    except strict_cbor.NotDeterministic:
        return
    if "Sign1" not in repr(value) and not _has_number_keys(value):
        assert dumps(value) == data


def _has_number_keys(value: object) -> bool:
    if isinstance(value, dict):
        return any(not isinstance(k, str) or _has_number_keys(v) for k, v in value.items())
    return isinstance(value, list) and any(map(_has_number_keys, value))


@pytest.mark.parametrize(
    "data",
    [
        "1817",  # 23 in two bytes
        "190017",  # 23 in three bytes
        "1a0000ffff",  # 65535 in five bytes
        "9fff",  # indefinite array
        "5fff",  # indefinite bytes
        "f90000",  # half float
        "f7",  # undefined
        "f814",  # false, the long way
        "c249010000000000000000",  # big number
        "d81c80",  # shared reference
        "a2616101616102",  # repeated key
        "a2616201616102",  # unsorted keys
        "a1f501",  # a key that is true
        "61ff",  # not UTF-8
        "9bffffffffffffffff",  # an array that cannot be there
        "5b7fffffffffffffff",  # bytes that cannot be there
        "0000",  # a byte left over
        "",
        "81" * 30 + "00",  # deep
    ],
)
def test_other_encodings_are_refused(data: str) -> None:
    with pytest.raises(strict_cbor.NotDeterministic):
        strict_cbor.decode(bytes.fromhex(data))


# Chains


def links(number: int, prev: bytes = ZERO, salt: bytes = b"", before: Before | None = None) -> list[Link]:
    made = []
    for seq in range(1, number + 1):
        head = head_after(prev, hashlib.sha256(salt + bytes([seq])).digest())
        made.append(Link(prev=prev, head=head, before=before if seq == 1 else None))
        prev = head
    return made


def epoch_named(counter: int, rest: bytes = b"abcdefgh") -> bytes:
    return counter.to_bytes(4, "big") + rest


def chain_of(*epochs: tuple[bytes, list[Link]]) -> NodeChain:
    chain = NodeChain()
    for epoch, held in epochs:
        for seq, link in enumerate(held, 1):
            chain.add(epoch, seq, link)
    return chain


def report_of(chain: NodeChain, epoch: bytes) -> EpochReport:
    return next(report for report in chain.report() if report.epoch == epoch)


def test_any_order_of_arrival_gives_the_same_report() -> None:
    made = list(enumerate(links(12), 1))
    expected = chain_of((EPOCH, [link for _, link in made])).report()
    assert expected[0].run_head == made[-1][1].head
    for seed in range(20):
        random.Random(seed).shuffle(made)
        chain = NodeChain()
        for seq, link in made:
            chain.add(EPOCH, seq, link)
        assert chain.report() == expected, f"seed {seed}"


def test_gaps_and_the_run_before_them_are_found() -> None:
    made = links(10)
    chain = NodeChain()
    for seq in (1, 2, 5, 6, 9):
        chain.add(EPOCH, seq, made[seq - 1])
    chain.claim(EPOCH, 10, made[9].head)
    report = report_of(chain, EPOCH)
    assert report.missing == ((3, 4), (7, 8))
    assert report.tail_missing == ((10, 10),)
    assert (report.highest, report.run_to, report.run_head) == (9, 2, made[1].head)
    assert report.broken == report.head_differs == ()


def test_a_number_far_above_costs_no_count() -> None:
    chain = NodeChain()
    chain.add(EPOCH, 2**53 - 1, links(1)[0])
    assert report_of(chain, EPOCH).missing == ((1, 2**53 - 2),)


def test_a_rewritten_record_breaks_the_chain() -> None:
    made, other = links(6), links(6, salt=b"other")
    rewritten = [*made[:3], Link(prev=made[2].head, head=other[3].head), *made[4:]]
    report = report_of(chain_of((EPOCH, rewritten)), EPOCH)
    assert report.broken == (5,)
    assert (report.run_to, report.run_head) == (4, other[3].head)
    assert report.missing == ()


def test_a_whole_rewritten_tail_differs_from_the_checkpoint() -> None:
    made, other = links(6), links(6, salt=b"other")
    chain = chain_of((EPOCH, other))
    chain.claim(EPOCH, 6, made[5].head)
    assert report_of(chain, EPOCH).head_differs == (6,)
    honest = NodeChain()
    honest.claim(EPOCH, 6, made[5].head)  # the checkpoint may come first
    for seq, link in enumerate(made, 1):
        honest.add(EPOCH, seq, link)
    assert report_of(honest, EPOCH).head_differs == ()


def test_epochs_join_roll_back_and_contradict() -> None:
    one, two, three = epoch_named(1), epoch_named(2), epoch_named(3)
    first = links(5)
    chain = chain_of((one, first), (two, links(2, first[4].head, b"2")))
    assert [report.join for report in chain.report()] == [Join.FIRST, Join.JOINED]
    rolled = chain_of((one, first), (two, links(2, first[2].head, b"2")))
    assert report_of(rolled, two).join is Join.ROLLED_BACK
    forked = chain_of((one, first), (two, links(2, first[4].head, b"2")), (three, links(2, first[4].head, b"3")))
    assert report_of(forked, three).join is Join.ROLLED_BACK
    wiped = chain_of((one, first), (epoch_named(1, b"zzzzzzzz"), links(2, ZERO, b"2")))
    assert [report.join for report in wiped.report()] == [Join.FIRST, Join.ROLLED_BACK]
    forged = Before(epoch=one, seq=5, head=bytes([9]) * 32)
    broken = chain_of((one, first), (two, links(2, forged.head, b"2", forged)))
    assert report_of(broken, two).join is Join.BROKEN


def test_a_join_waits_for_the_end_of_the_epoch_before_and_names_what_is_missing() -> None:
    one, two = epoch_named(1), epoch_named(2)
    first = links(5)
    before = Before(epoch=one, seq=5, head=first[4].head)
    chain = chain_of((one, first[:3]), (two, links(2, first[4].head, b"2", before)))
    assert report_of(chain, two).join is Join.WAITING
    assert report_of(chain, one).tail_missing == ((4, 5),)
    chain.add(one, 5, first[4])
    chain.add(one, 4, first[3])
    assert report_of(chain, two).join is Join.JOINED
    assert report_of(chain, one).tail_missing == ()


def act(name: str, **detail: Any) -> dict[str, Any]:
    return {"act": name, "detail": detail}


def shed(*ranges: tuple[int, int], epoch: bytes = EPOCH) -> dict[str, Any]:
    which = [{"epoch": epoch, "ranges": [list(each) for each in ranges]}]
    return act("shed", reason="room", counts={"overview": 1}, which=which)


def test_what_a_signed_act_gave_up_is_not_missing(office: Office, node: Node) -> None:
    messages = [node.make("act", started()), *(node.make("read", read(f"v-{n}")) for n in range(9))]  # 1 to 10
    office.work(*messages[:2], messages[5], messages[7], node.heartbeat(node.checkpoint()))
    figures = office.figures.figures()
    assert (figures["gaps"], figures["tail_missing"], figures["shed"]) == (4, 2, 0)
    said = node.make("act", shed((3, 4), (9, 10), (6, 6)))  # number 6 is held all the same: it came before
    office.work(said, node.heartbeat(node.checkpoint()))
    for _ in range(2):
        figures = office.figures.figures()
        assert (figures["gaps"], figures["tail_missing"], figures["shed"]) == (2, 0, 4)
        assert figures["broken_links"] == figures["head_differs"] == 0
        assert office.figures.missing()[NODE][EPOCH.hex()]["missing"] == ((5, 5), (7, 7))
        office.restart()
    office.work(messages[6], messages[3])  # one that was given up comes after all, from a link that was slow
    figures = office.figures.figures()
    assert (figures["gaps"], figures["shed"]) == (1, 3)


def test_any_act_of_a_nodes_care_is_taken_and_no_other(office: Office, node: Node) -> None:
    good = [
        act("salvaged", quarantine="1-corrupt", put_back=3, damaged=0, aged=0, unplaced=0),
        act("quarantine_erased", quarantine="1-corrupt", reason="age"),
        act("clock_step", boot_id="b", by_ms=-5000, to_ms=1_767_225_600_000, mono_ns=2**62),
        shed((1, 1)),
    ]
    bad = [
        act("salvaged", quarantine="1-corrupt"),
        act("quarantine_erased", quarantine="1-corrupt", reason="whim"),
        act("clock_step", boot_id="b", by_ms=1),
        act("shed", reason="room", counts={"act": 1}, which=[]),
        shed((0, 1)),
    ]
    said = office.work(node.make("act", started()), *(node.make("act", body) for body in (*good, *bad)))
    assert said[0]["got"] == [[1, 5]]
    assert [seq for seq, _ in said[0]["refused"]] == [6, 7, 8, 9, 10]


def test_a_start_that_says_its_ledger_was_set_aside_is_no_roll_back(office: Office, node: Node) -> None:
    office.work(node.make("act", started()), node.make("read", read()))
    anew = Node(office.keys.seal)
    anew.key, anew.epoch = node.key, epoch_named(2)
    body = started()
    body["detail"]["quarantined"] = {"name": "1-corrupt", "reason": "corrupt", "bytes": 9}
    office.work(anew.make("act", body))
    for _ in range(2):
        figures = office.figures.figures()
        assert (figures["rollbacks"], figures["set_aside"]) == (0, 1)
        office.restart()


def test_ranges_are_taken_from_ranges() -> None:
    rng = random.Random(11)
    for _ in range(300):
        one, other = ({rng.randint(1, 40) for _ in range(rng.randint(0, 30))} for _ in range(2))
        a, b = (_merged((n, n) for n in each) for each in (one, other))
        assert {n for f, t in _less(a, b) for n in range(f, t + 1)} == one - other
        assert {n for f, t in _both(a, b) for n in range(f, t + 1)} == one & other


# Keeping and answering


def test_receipts_name_ranges_and_the_head(office: Office, node: Node) -> None:
    messages = [node.make("act", started()), *(node.make("read", read(f"v-{n}")) for n in range(5))]
    head = node.prev
    said = office.work(*messages[:2], *messages[3:])
    assert [one["got"] for one in said] == [[[1, 2], [4, 6]]]
    assert said[0]["node"] == NODE
    assert office.sent[0].topic == f"{ROOT}/receipt"
    said = office.work(messages[2])
    assert (said[0]["got"], said[0]["refused"], said[0]["head"]) == ([[3, 3]], [], head)
    assert ranges([]) == []


def test_a_receipt_leaves_only_after_its_records_are_durable(office: Office, node: Node) -> None:
    seen: list[int] = []

    def look(receipt: Receipt) -> None:
        other = sqlite3.connect(office.store.path)
        seen.append(other.execute("SELECT count(*) FROM records").fetchone()[0])
        other.close()

    office.on_send = look
    office.work(node.make("act", started()), node.make("read", read()))
    assert seen == [2]
    assert office.store._db.execute("PRAGMA synchronous").fetchone() == (2,)
    assert office.store._db.execute("PRAGMA journal_mode").fetchone() == ("wal",)


def test_a_duplicate_is_counted_once_stored_once_and_receipted_again(office: Office, node: Node) -> None:
    message = node.make("read", read())
    assert office.work(message, message)[0]["got"] == [[1, 1]]
    assert office.work(message)[0]["got"] == [[1, 1]]
    office.restart()
    assert office.work(message)[0]["got"] == [[1, 1]]
    figures = office.figures.figures()
    assert (figures["reads"], figures["duplicates"]) == (1, 3)
    assert office.figures.vendor_ids() == [["v-1", 1]]


def test_the_same_numbers_with_other_bytes_keep_the_first(office: Office, node: Node) -> None:
    first = node.make("read", read("first"))
    twin = Node(office.keys.seal)
    twin.key = node.key
    second = twin.make("read", read("second"))
    office.work(first)
    said = office.work(second)
    assert (said[0]["got"], said[0]["refused"]) == ([], [[1, "mismatched"]])
    assert office.figures.vendor_ids() == [["first", 1]]
    assert office.figures.figures()["refused"] == {"mismatched": 1}


def test_a_refused_record_is_told_and_does_not_hold_back_its_neighbours(office: Office, node: Node) -> None:
    messages = [
        node.make("act", started()),
        node.make("read", read(patch=picture(121, 60))),
        node.make("read", read()),
    ]
    said = office.work(*messages)
    assert (said[0]["got"], said[0]["refused"]) == ([[1, 1], [3, 3]], [[2, "over_cap"]])
    office.work(messages[1])
    figures = office.figures.figures()
    assert (figures["over_cap"], figures["refused"], figures["gaps"]) == (1, {"over_cap": 1}, 1)


def test_unreadable_bytes_are_counted_and_cannot_be_answered(office: Office, node: Node) -> None:
    assert office.work((f"{ROOT}/read", b"\xff\x00"), ("anpr/v1/op/site/Node A/read", b"x")) == []
    assert office.figures.figures()["refused"] == {"malformed": 1}


def test_a_key_that_comes_later_is_found(office: Office) -> None:
    node = Node(office.keys.seal)
    first = node.make("act", started())
    assert office.work(first) == []  # no answer: a refusal would have the node set its evidence aside
    office.trust(NODE, node.key)
    assert office.work(first, node.make("read", read()))[0]["got"] == [[1, 2]]
    assert office.figures.figures()["unverified"] == 1


def test_checkpoints_find_a_cut_tail_and_another_head(office: Office, node: Node) -> None:
    messages = [node.make("act", started()), node.make("read", read())]
    head = node.prev
    kept_back = node.make("read", read("v-2"))
    office.work(*messages, node.heartbeat(node.checkpoint()))
    assert office.figures.figures()["tail_missing"] == 1
    assert office.figures.missing()[NODE][EPOCH.hex()]["tail_missing"] == ((3, 3),)
    stranger = Node(office.keys.seal)
    office.work(node.heartbeat(stranger.checkpoint(seq=9)))
    assert office.figures.figures()["tail_missing"] == 1
    office.restart()
    assert office.figures.figures()["tail_missing"] == 1
    office.work(kept_back)
    assert [office.figures.figures()[key] for key in ("tail_missing", "head_differs")] == [0, 0]
    assert node.prev != head
    office.work(node.heartbeat(node.checkpoint(seq=2, head=bytes([1]) * 32)))
    assert office.figures.figures()["head_differs"] == 1


def test_a_rewrite_under_new_numbers_survives_a_restart_as_a_finding(office: Office, node: Node) -> None:
    messages = [node.make("act", started()), node.make("read", read("v-2"))]
    node.prev = bytes([3]) * 32
    messages.append(node.make("read", read("v-3")))
    office.work(*messages)
    assert office.figures.figures()["broken_links"] == 1
    office.restart()
    assert office.figures.figures()["broken_links"] == 1
    assert office.work(node.make("read", read("v-4")))[0]["head"] == office.chains.run_head(NODE, EPOCH)


def note(topic: str, **members: object) -> tuple[str, bytes]:
    return f"{ROOT}/{topic}", json.dumps(members).encode()


def test_lost_of_an_older_session_is_ignored_and_lost_makes_cameras_unknown(office: Office, node: Node) -> None:
    birth = note("birth", session=5, cameras=[{"id": "cam-1"}, {"id": "cam-2"}])
    up = note("health/camera/cam-1", state="up")

    def condition() -> dict[str, Any]:
        shown: dict[str, Any] = office.figures.figures()["nodes"][NODE]
        return shown

    office.work(note("state", state="lost", session=4), birth, up)
    assert condition()["state"] == "unknown"
    office.work(note("state", state="ready", session=5), note("state", state="lost", session=4))
    assert (condition()["state"], condition()["session"]) == ("ready", 5)
    assert condition()["cameras"] == {"cam-1": "up", "cam-2": "unknown"}
    office.work(note("state", state="lost", session=5))
    assert condition()["state"] == "lost"
    assert condition()["cameras"] == {"cam-1": "unknown", "cam-2": "unknown"}


def test_alerts_come_and_go_and_odd_notices_do_no_harm(office: Office, node: Node) -> None:
    office.work(note("alert/disk_low", level="bad"))
    assert office.figures.figures()["nodes"][NODE]["alerts"] == ["disk_low"]
    odd = [(f"{ROOT}/alert/disk_low", b""), (f"{ROOT}/state", b"[" * 100_000), (f"{ROOT}/state", b"\xff")]
    odd += [note("birth", session="x", cameras=7), (f"{ROOT}/state", b'{"state": "\\ud800"}')]
    odd += [(f"{ROOT}/heartbeat", b'{"checkpoint": "\\u00e9"}'), (f"{ROOT}/heartbeat", b'{"checkpoint": 7}')]
    office.work(*odd)
    shown = office.figures.figures()["nodes"][NODE]
    assert (shown["alerts"], shown["session"]) == ([], None)
    json.dumps(office.figures.figures())


def test_latency_is_counted_for_new_records_only(office: Office, node: Node) -> None:
    assert office.figures.figures()["latency_ms"] == {"p50": None, "p99": None}
    message = node.make("read", read())
    office.work(message, message)
    assert len(office.intake.latencies_ms()) == 1
    assert office.figures.figures()["latency_ms"]["p99"] > 0


# Keys and page


def test_keys_are_private_and_stay(tmp_path: Path) -> None:
    made = make_or_load(tmp_path / "k")
    for name in ("seal.pem", "receipt.pem"):
        assert (tmp_path / "k" / name).stat().st_mode & 0o777 == 0o600
    assert make_or_load(tmp_path / "k").seal_kid == made.seal_kid == kid_of(made.seal)
    public = serialization.load_pem_public_key((tmp_path / "k" / "seal.pub.pem").read_bytes())
    assert public == made.seal.public_key()
    assert "PrivateKey" not in repr(made)


def test_the_page_escapes_what_came_over_the_wire(office: Office, node: Node) -> None:
    from string import Template

    hostile = '<script>alert("x")</script>'
    office.work(note("state", state=hostile), note("birth", session=1, cameras=[{"id": hostile}]))
    office.work(note(f"alert/{hostile}", level="bad"))
    shown = ShownRead(
        node=NODE, camera="cam-1", lane=hostile, vrm=hostile, captured_ms=2**53, test=1, patch=1, overview=None
    )
    text = render(Template("$at $totals $nodes $reads"), [shown], office.figures.figures())
    assert "<script" not in text
    assert 'alert("x")' not in text
    assert text.count("&lt;script&gt;") >= 5
    assert "AB12CDE" not in repr(ShownRead(NODE, "cam-1", None, "AB12CDE", 0, 0, None, None))
