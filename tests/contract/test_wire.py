"""The frozen vectors of the wire contract: made again bit for bit, opened, refused, and agreed on by three readers."""

from __future__ import annotations

import hashlib
import json
import re
import runpy
from pathlib import Path
from typing import Any

import pycddl
import pytest
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from cwt import COSE, COSEKey
from cwt.exceptions import CWTError

from edge import chain, row
from edge.camera import Camera
from edge.errors import Tampered
from edge.read import Kind
from edge.record import NO_HEAD, head_after
from edge.seal import SUITE, sealer
from edge.sign import (
    CHECKPOINT_TYPE,
    RECEIPT_TYPE,
    RECORD_TYPE,
    decode,
    encode,
    held_signer,
    key_id,
    open_signed,
    verifier,
)
from simulators.backoffice import cose as store_cose
from simulators.backoffice import opening, shapes, strict_cbor
from simulators.backoffice.topics import parse
from uplink.wire import read_receipt

ROOT = Path(__file__).resolve().parents[2]
VECTORS: dict[str, Any] = json.loads((ROOT / "docs/wire/vectors.json").read_text(encoding="utf-8"))
CDDL = (ROOT / "docs/wire/records.cddl").read_text(encoding="utf-8")
MAKER = runpy.run_path(str(ROOT / "scripts/make-wire-vectors"), run_name="make_wire_vectors")

NODE = VECTORS["node"]["name"]
SIGN_KEY = Ed25519PrivateKey.from_private_bytes(bytes.fromhex(VECTORS["node"]["sign_seed"]))
SIGNER = held_signer(SIGN_KEY)
KEYS = {SIGNER.kid: SIGNER.verifier}
SEAL_KEY = X25519PrivateKey.from_private_bytes(bytes.fromhex(VECTORS["store"]["seal_private"]))
RECEIPT_KEY = Ed25519PrivateKey.from_private_bytes(bytes.fromhex(VECTORS["store"]["receipt_seed"]))
RECORDS: list[dict[str, Any]] = VECTORS["records"]

every_record = pytest.mark.parametrize("vector", RECORDS, ids=[each["name"] for each in RECORDS])


def cases(name: str) -> pytest.MarkDecorator:
    return pytest.mark.parametrize(
        "message", [bytes.fromhex(c["bytes"]) for c in VECTORS[name]], ids=[c["name"] for c in VECTORS[name]]
    )


def for_the_checker(grammar: str) -> str:
    """The grammar, with what pycddl misreads of RFC 8610 put in forms that it reads; the meaning is the same."""
    group = re.search(r"^head-of-record = \((.*?)^\)", grammar, re.DOTALL | re.MULTILINE)
    assert group is not None
    # a group by its name: missing members are not seen
    text = grammar.replace(group[0], "").replace("head-of-record,", group[1])
    # an array or null, in place: its items are held against null
    text = text.replace('"oldest": [epoch, seq] / null', '("oldest": [epoch, seq] // "oldest": null)')
    # a table of tables is refused whatever it holds; `test_refusals_are_counted_in_numbers` looks at the inner one
    return text.replace("{ * tstr => reasons }", "{ * tstr => any }")


def matches(rule: str, data: bytes) -> bool:
    try:
        pycddl.Schema(f"start = {rule}\n{for_the_checker(CDDL)}").validate_cbor(data)
    except pycddl.ValidationError:
        return False
    return True


def unseal(sealed: bytes) -> bytes:
    outer = decode(sealed)
    info = encode(["anpr-seal-v1", outer["node"], outer["epoch"], outer["seq"], outer["kind"], outer["kid"]])
    if outer["kid"] != key_id(SEAL_KEY.public_key().public_bytes_raw()):
        raise InvalidTag
    return SUITE.decrypt(outer["ct"], SEAL_KEY, info=info)


# made again


def test_the_code_makes_the_frozen_file_bit_for_bit() -> None:
    assert MAKER["vectors"](VECTORS) == VECTORS


def test_only_pictures_and_seals_depend_on_the_file_that_is_there() -> None:
    anew = MAKER["vectors"]({"jpegs": VECTORS["jpegs"]})
    for made, frozen in zip(anew["records"], RECORDS, strict=True):
        assert made["sealed"] != frozen["sealed"]
        assert made | {"sealed": ""} == frozen | {"sealed": ""}
    assert anew["receipt"] == VECTORS["receipt"]
    assert anew["checkpoint"] == VECTORS["checkpoint"]


def test_the_ledgers_link_makes_the_frozen_read() -> None:
    frozen = RECORDS[1]
    evidence = MAKER["read_one"]({name: bytes.fromhex(text) for name, text in VECTORS["jpegs"].items()})
    epoch = bytes.fromhex(frozen["epoch"])
    end = chain.ChainEnd(NODE, epoch, 1, bytes.fromhex(frozen["prev"]))
    body = MAKER["record"].read_body(evidence)
    link = chain.link(
        end,
        Kind.READ,
        evidence.read.captured,
        evidence.read.received,
        body,
        SIGNER,
        sealer(NODE, SEAL_KEY.public_key()),
    )
    assert link.digest.hex() == frozen["digest"]
    assert link.end.head.hex() == frozen["head"]
    assert unseal(row.unwrap(epoch, 2, link.data)).hex() == frozen["signed"]


def test_keys_and_their_names() -> None:
    node, store = VECTORS["node"], VECTORS["store"]
    for private, public, kid in (
        (SIGN_KEY, node["sign_public"], node["kid"]),
        (SEAL_KEY, store["seal_public"], store["seal_kid"]),
        (RECEIPT_KEY, store["receipt_public"], store["receipt_kid"]),
    ):
        assert private.public_key().public_bytes_raw().hex() == public
        assert hashlib.sha256(bytes.fromhex(public)).hexdigest()[:16] == kid


# opened


@every_record
def test_a_record_opens_and_verifies(vector: dict[str, Any]) -> None:
    signed = unseal(bytes.fromhex(vector["sealed"]))
    assert signed.hex() == vector["signed"]
    payload, by = open_signed(signed, RECORD_TYPE, KEYS)
    assert payload.hex() == vector["payload"]
    assert by.kid.hex() == VECTORS["node"]["kid"]
    assert MAKER["shown"](decode(payload)) == vector["shown"]


def test_the_chain_runs_through_all_records_and_into_the_next_epoch() -> None:
    head = NO_HEAD
    for vector in RECORDS:
        digest = hashlib.sha256(bytes.fromhex(vector["signed"])).digest()
        assert vector["prev"] == head.hex()
        assert vector["digest"] == digest.hex()
        head = hashlib.sha256(b"anpr-chain-v1" + head + digest).digest()
        assert head == head_after(bytes.fromhex(vector["prev"]), digest)
        assert vector["head"] == head.hex()
    last, again = RECORDS[-2], RECORDS[-1]
    assert again["shown"]["body"]["detail"]["before"] == {
        "epoch": {"hex": last["epoch"]},
        "seq": last["seq"],
        "head": {"hex": last["head"]},
    }


def test_an_overview_is_the_one_its_read_names() -> None:
    read, overview = (decode(bytes.fromhex(RECORDS[i]["payload"])) for i in (1, 2))
    jpeg = overview["body"]["jpeg"]
    assert overview["body"]["of"] == read["seq"]
    assert read["body"]["overview"] == {"sha256": hashlib.sha256(jpeg).digest(), "bytes": len(jpeg)}


def test_the_receipt_is_read_by_the_node() -> None:
    receipt = read_receipt(
        bytes.fromhex(VECTORS["receipt"]["signed"]),
        NODE,
        {key_id(RECEIPT_KEY.public_key().public_bytes_raw()): verifier(RECEIPT_KEY.public_key())},
    )
    assert receipt.epoch.hex() == RECORDS[0]["epoch"]
    assert receipt.got == ((1, 3), (5, 7))
    assert receipt.refused == ((4, "over_cap"),)


def test_a_record_signed_with_es256_verifies() -> None:
    given = VECTORS["es256"]
    key = ec.derive_private_key(int(given["private_number"], 16), ec.SECP256R1()).public_key()
    table = {verifier(key).kid: verifier(key)}
    assert verifier(key).kid.hex() == given["kid"]
    payload, _ = open_signed(bytes.fromhex(given["signed"]), RECORD_TYPE, table)
    assert payload.hex() == given["payload"]
    with pytest.raises(Tampered):
        open_signed(bytes.fromhex(given["signed"]), RECORD_TYPE, KEYS)


# the grammar


@every_record
def test_a_record_matches_the_grammar(vector: dict[str, Any]) -> None:
    assert matches("record", bytes.fromhex(vector["payload"]))
    assert matches(f"{vector['kind']}-record", bytes.fromhex(vector["payload"]))
    assert matches("signed", bytes.fromhex(vector["signed"]))
    assert matches("sealed-record", bytes.fromhex(vector["sealed"]))


@pytest.mark.parametrize("name", ["receipt", "checkpoint"])
def test_a_statement_matches_the_grammar(name: str) -> None:
    assert matches(name, bytes.fromhex(VECTORS[name]["payload"]))
    assert matches("signed", bytes.fromhex(VECTORS[name]["signed"]))


def test_the_grammar_knows_what_oldest_may_be() -> None:
    content = decode(bytes.fromhex(VECTORS["checkpoint"]["payload"]))
    epoch = content["epoch"]
    for oldest, lawful in ((None, True), ([epoch, 1], True), ([epoch, 0], False), ([epoch], False), (4, False)):
        assert matches("checkpoint", encode(content | {"oldest": oldest})) is lawful, oldest


def test_refusals_are_counted_in_numbers() -> None:
    counts = next(r for r in RECORDS if r["name"] == "refused")["shown"]["body"]["detail"]["counts"]
    assert counts
    for reasons in counts.values():
        assert matches("reasons", encode(reasons))
        assert not matches("reasons", encode(dict.fromkeys(reasons, "one")))


@every_record
def test_the_grammar_refuses_a_record_with_a_member_less_or_more(vector: dict[str, Any]) -> None:
    content = decode(bytes.fromhex(vector["payload"]))
    for name in content:
        assert not matches("record", encode({k: v for k, v in content.items() if k != name})), name
    for name in content["body"].keys() - {"test", "heard", "revises"}:
        body = {k: v for k, v in content["body"].items() if k != name}
        assert not matches("record", encode(content | {"body": body})), name
    assert not matches("record", encode(content | {"more": 1}))
    assert not matches("record", encode(content | {"seq": 0}))


SURROUND = {"mode": "soften", "sigma_x100": 163, "region": [0, 40, 512, 300], "box": "proposed"}


@pytest.mark.parametrize(
    ("change", "lawful"),
    [
        ({}, True),
        ({"mode": "mask", "sigma_x100": 0, "box": "camera"}, True),
        ({"mode": "off"}, False),
        ({"sigma_x100": -1}, False),
        ({"region": [0, 40, 512]}, False),
        ({"region": [0, 40, 512, -300]}, False),
        ({"box": "guessed"}, False),
        ({"more": 1}, False),
    ],
)
def test_grammar_and_back_office_agree_on_an_altered_surround(change: dict[str, Any], lawful: bool) -> None:
    content = decode(bytes.fromhex(RECORDS[1]["payload"]))
    *others, last = content["body"]["altered"]
    last = last | {"actions": ["softened", *last["actions"]], "surround": SURROUND | change}
    changed = content | {"body": content["body"] | {"altered": [*others, last]}}
    assert matches("record", encode(changed)) is lawful
    assert shapes.RECORD(changed) is lawful


# refused


@cases("refuse_signed")
def test_a_message_that_must_be_refused_is(message: bytes) -> None:
    with pytest.raises(Tampered):
        open_signed(message, RECORD_TYPE, KEYS)


@cases("refuse_payloads")
def test_a_payload_that_is_not_deterministic_is_refused(message: bytes) -> None:
    with pytest.raises(Tampered):
        decode(message)
    with pytest.raises(strict_cbor.NotDeterministic):
        strict_cbor.decode(message)


@cases("refuse_sealed")
def test_a_seal_that_must_not_open_does_not(message: bytes) -> None:
    with pytest.raises((InvalidTag, ValueError)):
        unseal(message)


# cwt, another implementation of COSE


def cwt_key(private: Ed25519PrivateKey, kid: bytes) -> Any:
    pem = private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return COSEKey.from_pem(pem, kid=kid)


@every_record
def test_cwt_verifies_our_records(vector: dict[str, Any]) -> None:
    public = SIGN_KEY.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    key = COSEKey.from_pem(public, kid=SIGNER.kid)
    signed = bytes.fromhex(vector["signed"])
    assert COSE.new().decode(signed, key) == bytes.fromhex(vector["payload"])
    with pytest.raises(CWTError):
        COSE.new().decode(signed[:-1] + bytes((signed[-1] ^ 1,)), key)


@every_record
def test_cwt_signs_the_very_same_bytes(vector: dict[str, Any]) -> None:
    made = COSE.new().encode_and_sign(
        bytes.fromhex(vector["payload"]),
        cwt_key(SIGN_KEY, SIGNER.kid),
        protected={1: -8, 3: RECORD_TYPE, 4: SIGNER.kid},
        unprotected={},
    )
    assert isinstance(made, bytes)
    assert made.hex() == vector["signed"]
    assert open_signed(made, RECORD_TYPE, KEYS)[0].hex() == vector["payload"]


def test_we_verify_what_cwt_signed_for_the_store() -> None:
    kid = key_id(RECEIPT_KEY.public_key().public_bytes_raw())
    made = COSE.new().encode_and_sign(
        bytes.fromhex(VECTORS["receipt"]["payload"]),
        cwt_key(RECEIPT_KEY, kid),
        protected={1: -8, 3: RECEIPT_TYPE, 4: kid},
        unprotected={},
    )
    assert isinstance(made, bytes)
    assert read_receipt(made, NODE, {kid: verifier(RECEIPT_KEY.public_key())}).got == ((1, 3), (5, 7))


# the simulated back office


def find(kid: bytes) -> store_cose.Verifier | None:
    public = Ed25519PublicKey.from_public_bytes(bytes.fromhex(VECTORS["node"]["sign_public"]))
    table = {bytes.fromhex(VECTORS["node"]["kid"]): store_cose.Verifier(NODE, store_cose.Alg.EDDSA, public)}
    return table.get(kid)


def at_the_store(kind: str, sealed: bytes) -> opening.Record | opening.Refused:
    topic = parse(f"anpr/v1/op/site/{NODE}/{kind}")
    assert topic is not None
    outside = opening.read_outside(topic, sealed)
    if isinstance(outside, opening.Refused):
        return outside
    return opening.open_record(outside, bytes.fromhex(VECTORS["store"]["seal_kid"]), SEAL_KEY, find)


@every_record
def test_the_back_office_opens_every_record(vector: dict[str, Any]) -> None:
    opened = at_the_store(vector["kind"], bytes.fromhex(vector["sealed"]))
    assert isinstance(opened, opening.Record)
    assert opened.seq == vector["seq"]
    assert opened.digest.hex() == vector["digest"]
    assert opened.link.head.hex() == vector["head"]
    assert opened.signed.hex() == vector["signed"]


def test_the_back_office_reads_the_checkpoint() -> None:
    checkpoint = opening.read_checkpoint(bytes.fromhex(VECTORS["checkpoint"]["signed"]), NODE, find)
    assert checkpoint is not None
    assert checkpoint.seq == 7
    assert checkpoint.head.hex() == RECORDS[6]["head"]
    payload, _ = open_signed(bytes.fromhex(VECTORS["checkpoint"]["signed"]), CHECKPOINT_TYPE, KEYS)
    assert decode(payload)["oldest"] == [checkpoint.epoch, 4]


def test_the_back_office_makes_the_very_same_receipt() -> None:
    payload = bytes.fromhex(VECTORS["receipt"]["payload"])
    assert store_cose.sign(payload, store_cose.Content.RECEIPT, RECEIPT_KEY).hex() == VECTORS["receipt"]["signed"]


@cases("refuse_signed")
def test_the_back_office_refuses_the_same_messages(message: bytes) -> None:
    assert store_cose.verify(message, store_cose.Content.RECORD, find) is None


@cases("refuse_sealed")
def test_the_back_office_refuses_the_same_seals(message: bytes) -> None:
    assert isinstance(at_the_store("read", message), opening.Refused)


def test_the_vectors_read_is_of_a_camera_like_the_configured_ones() -> None:
    camera = MAKER["camera"]()
    assert isinstance(camera, Camera)
    assert decode(bytes.fromhex(RECORDS[1]["payload"]))["body"]["camera"] == camera.id
