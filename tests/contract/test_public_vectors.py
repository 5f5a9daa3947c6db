"""Published test vectors against the node's own CBOR, COSE and HPKE, and against the primitives beneath them.

The vectors lie beside the repository; where they do not, every test here is skipped and says so.
"""

from __future__ import annotations

import base64
import hmac
import json
from collections import Counter
from pathlib import Path
from typing import Any

import cbor2
import pytest
from cryptography.exceptions import InvalidSignature, InvalidTag
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, utils
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.hazmat.primitives.serialization import load_der_public_key

from edge.errors import Tampered
from edge.seal import SUITE
from edge.sign import Verifier, _parts, _to_be_signed, decode, encode, open_signed, verifier

# CBOR


def appendix_a(folder: Path) -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = json.loads((folder / "cbor-appendix-a/appendix_a.json").read_text(encoding="utf-8"))
    return items


def test_cbor_that_we_would_write_reads_as_published(vectors_folder: Path) -> None:
    agreed = refused = 0
    for item in appendix_a(vectors_folder):
        data = bytes.fromhex(item["hex"])
        try:
            value = decode(data)
        except Tampered:
            refused += 1
            continue
        agreed += 1
        assert encode(value) == data, item["hex"]
        assert item["roundtrip"], f"{item['hex']} is published as one that does not round trip"
        if "decoded" in item and not isinstance(value, dict):
            assert value == item["decoded"] or str(value) == str(item["decoded"]), item["hex"]
    print(f"appendix A: {agreed} read, {refused} refused")
    assert agreed >= 45


def test_cbor_of_the_contracts_own_types_is_never_refused(vectors_folder: Path) -> None:
    """Integers within 64 bits, text, lists, maps, truth and null: those in the published deterministic form."""
    seen = 0
    for item in appendix_a(vectors_folder):
        data = bytes.fromhex(item["hex"])
        if item["roundtrip"] and "decoded" in item and data[0] >> 5 < 6 and not holds_floats(item["decoded"]):
            assert decode(data) == item["decoded"] or data[0] >> 5 == 5, item["hex"]
            seen += 1
    assert seen >= 30


def holds_floats(value: Any) -> bool:
    if isinstance(value, dict):
        return any(map(holds_floats, value.values()))
    return any(map(holds_floats, value)) if isinstance(value, list) else isinstance(value, float)


def test_cbor_in_another_form_is_refused(vectors_folder: Path) -> None:
    """Indefinite lengths, and floats longer than needed."""
    others = [item for item in appendix_a(vectors_folder) if not item["roundtrip"]]
    assert len(others) >= 15
    for item in others:
        with pytest.raises(Tampered):
            decode(bytes.fromhex(item["hex"]))


def test_cbor_with_a_longer_head_is_refused(vectors_folder: Path) -> None:
    """Each published item that begins with a number or length below 24, its head put into the next longer form."""
    tried = 0
    for item in appendix_a(vectors_folder):
        data = bytes.fromhex(item["hex"])
        if item["roundtrip"] and data[0] >> 5 < 6 and data[0] & 0x1F < 24:
            longer = bytes((data[0] & 0xE0 | 24, data[0] & 0x1F)) + data[1:]
            cbor2.loads(longer)  # a lenient decoder takes it
            with pytest.raises(Tampered):
                decode(longer)
            tried += 1
    assert tried >= 20


# COSE


def cose_key(given: dict[str, Any]) -> Verifier:
    def number(name: str) -> int:
        if f"{name}_hex" in given:
            return int(given[f"{name}_hex"], 16)
        return int.from_bytes(base64.urlsafe_b64decode(given[name] + "=="), "big")

    if given["kty"] == "OKP":
        return verifier(ed25519.Ed25519PublicKey.from_public_bytes(bytes.fromhex(given["x_hex"])))
    return verifier(ec.EllipticCurvePublicNumbers(number("x"), number("y"), ec.SECP256R1()).public_key())


COSE_PASS = ("eddsa-examples/eddsa-sig-01", "ecdsa-examples/ecdsa-sig-01")
COSE_FAIL = tuple(f"sign1-tests/sign-fail-0{n}" for n in (1, 2, 3, 4, 6, 7))


def cose(folder: Path, name: str) -> tuple[dict[str, Any], bytes, Verifier]:
    example: dict[str, Any] = json.loads((folder / f"cose-examples/{name}.json").read_text(encoding="utf-8"))
    return example, bytes.fromhex(example["output"]["cbor"]), cose_key(example["input"]["sign0"]["key"])


def lower_parts(message: bytes) -> tuple[bytes, bytes, bytes]:
    """The parts of a message whose unprotected header holds a kid, which ours may not: it is emptied first."""
    tagged = decode(message)
    value = list(tagged.value)
    value[1] = {}
    return _parts(cbor2.CBORTag(tagged.tag, value))


@pytest.mark.parametrize("name", COSE_PASS)
def test_a_published_cose_signature_holds(vectors_folder: Path, name: str) -> None:
    """Beneath `open_signed`: the published messages carry their kid unprotected, which the contract does not allow."""
    example, message, key = cose(vectors_folder, name)
    protected, payload, signature = lower_parts(message)
    signed = _to_be_signed(protected, payload)
    assert signed.hex() == example["intermediates"]["ToBeSign_hex"].lower()
    assert payload == example["input"]["plaintext"].encode()
    assert key.holds(signed, signature)
    assert not key.holds(signed + b"\x00", signature)
    assert not key.holds(signed, signature[:-1] + bytes((signature[-1] ^ 1,)))


@pytest.mark.parametrize("name", COSE_FAIL)
def test_a_published_cose_failure_fails(vectors_folder: Path, name: str) -> None:
    example, message, key = cose(vectors_folder, name)
    assert example["fail"] is True
    with pytest.raises(Tampered):
        open_signed(message, "text/plain", {b"11": key})
    try:
        protected, payload, signature = lower_parts(message)
        header = decode(protected)
    except Tampered:
        return
    # An algorithm that is not the key's is refused before its signature is looked at.
    right_algorithm = header.get(1) == key.algorithm.value
    assert not (right_algorithm and key.holds(_to_be_signed(protected, payload), signature))


def test_a_published_signature_over_no_headers_holds(vectors_folder: Path) -> None:
    """An empty protected header is signed as no bytes (RFC 9052, 4.4). The contract's is never empty."""
    example, message, key = cose(vectors_folder, "sign1-tests/sign-pass-01")
    _, payload, signature = lower_parts(message)
    signed = _to_be_signed(b"", payload)
    assert signed.hex() == example["intermediates"]["ToBeSign_hex"].lower()
    assert key.holds(signed, signature)


def test_published_external_data_and_untagged_messages_are_not_the_contracts(vectors_folder: Path) -> None:
    _, with_external_data, key = cose(vectors_folder, "sign1-tests/sign-pass-02")
    protected, payload, signature = lower_parts(with_external_data)
    assert not key.holds(_to_be_signed(protected, payload), signature)
    external = bytes.fromhex("11aa22bb33cc44dd55006699")
    assert key.holds(encode(["Signature1", protected, external, payload]), signature)
    _, untagged, _ = cose(vectors_folder, "sign1-tests/sign-pass-03")
    with pytest.raises(Tampered):
        _parts(decode(untagged))


def test_published_keys_of_other_kinds_are_no_verifiers(vectors_folder: Path) -> None:
    text = (vectors_folder / "cose-examples/ecdsa-examples/ecdsa-sig-02.json").read_text(encoding="utf-8")
    given = json.loads(text)["input"]["sign0"]["key"]
    x, y = (int.from_bytes(base64.urlsafe_b64decode(given[name] + "=="), "big") for name in ("x", "y"))
    with pytest.raises(ValueError, match="only P-256"):
        verifier(ec.EllipticCurvePublicNumbers(x, y, ec.SECP384R1()).public_key())


# HPKE


class SmallHpke:
    """RFC 9180 base mode with our three algorithms, written out from the RFC, for one message.

    `SUITE` takes no associated data and makes its own ephemeral key, so the published rows cannot be put to it. They
    are put to this, and this and `SUITE` open what the other sealed.
    """

    KEM = b"KEM" + (0x20).to_bytes(2, "big")
    HPKE = b"HPKE" + b"".join(n.to_bytes(2, "big") for n in (0x20, 1, 3))

    def __init__(self, shared_point: bytes, enc: bytes, public: bytes, info: bytes) -> None:
        prk = self._extract(self.KEM, b"", b"eae_prk", shared_point)
        self.shared_secret = self._expand(self.KEM, prk, b"shared_secret", enc + public, 32)
        psk_id = self._extract(self.HPKE, b"", b"psk_id_hash", b"")
        context = b"\x00" + psk_id + self._extract(self.HPKE, b"", b"info_hash", info)
        secret = self._extract(self.HPKE, self.shared_secret, b"secret", b"")
        self.key = self._expand(self.HPKE, secret, b"key", context, 32)
        self.nonce = self._expand(self.HPKE, secret, b"base_nonce", context, 12)

    @staticmethod
    def _extract(suite: bytes, salt: bytes, label: bytes, material: bytes) -> bytes:
        return hmac.digest(salt or bytes(32), b"HPKE-v1" + suite + label + material, "sha256")

    @staticmethod
    def _expand(suite: bytes, prk: bytes, label: bytes, info: bytes, length: int) -> bytes:
        labelled = length.to_bytes(2, "big") + b"HPKE-v1" + suite + label + info
        return hmac.digest(prk, labelled + b"\x01", "sha256")[:length]  # one block is enough for 32 bytes

    @classmethod
    def receiver(cls, enc: bytes, private: X25519PrivateKey, info: bytes) -> SmallHpke:
        shared = private.exchange(X25519PublicKey.from_public_bytes(enc))
        return cls(shared, enc, private.public_key().public_bytes_raw(), info)

    @classmethod
    def sender(cls, ephemeral: X25519PrivateKey, public: X25519PublicKey, info: bytes) -> SmallHpke:
        enc = ephemeral.public_key().public_bytes_raw()
        return cls(ephemeral.exchange(public), enc, public.public_bytes_raw(), info)

    def open(self, ciphertext: bytes, aad: bytes) -> bytes:
        return ChaCha20Poly1305(self.key).decrypt(self.nonce, ciphertext, aad)

    def seal(self, text: bytes, aad: bytes) -> bytes:
        return ChaCha20Poly1305(self.key).encrypt(self.nonce, text, aad)


def our_hpke_rows(folder: Path) -> list[dict[str, Any]]:
    rows = json.loads((folder / "hpke/rfc9180-base-p256-x25519.json").read_text(encoding="utf-8"))
    ours = [r for r in rows if (r["mode"], r["kem_id"], r["kdf_id"], r["aead_id"]) == (0, 0x20, 1, 3)]
    assert ours, "no published row of our suite"
    return ours


def test_hpke_written_out_agrees_with_the_published_rows(vectors_folder: Path) -> None:
    for vector in our_hpke_rows(vectors_folder):
        key, ephemeral = (X25519PrivateKey.from_private_bytes(bytes.fromhex(vector[k])) for k in ("skRm", "skEm"))
        enc, info = bytes.fromhex(vector["enc"]), bytes.fromhex(vector["info"])
        first = vector["encryptions"][0]
        for made in (SmallHpke.receiver(enc, key, info), SmallHpke.sender(ephemeral, key.public_key(), info)):
            assert made.shared_secret.hex() == vector["shared_secret"]
            assert made.key.hex() == vector["key"]
            assert made.nonce.hex() == vector["base_nonce"]
            assert made.open(bytes.fromhex(first["ct"]), bytes.fromhex(first["aad"])).hex() == first["pt"]


def test_our_suite_and_hpke_written_out_open_each_others(vectors_folder: Path) -> None:
    """With the keys, info and texts of the published rows."""
    for vector in our_hpke_rows(vectors_folder):
        key, ephemeral = (X25519PrivateKey.from_private_bytes(bytes.fromhex(vector[k])) for k in ("skRm", "skEm"))
        info, text = bytes.fromhex(vector["info"]), bytes.fromhex(vector["encryptions"][0]["pt"])
        sealed = SUITE.encrypt(text, key.public_key(), info=info)
        assert SmallHpke.receiver(sealed[:32], key, info).open(sealed[32:], b"") == text
        by_hand = bytes.fromhex(vector["enc"]) + SmallHpke.sender(ephemeral, key.public_key(), info).seal(text, b"")
        assert SUITE.decrypt(by_hand, key, info=info) == text
        for wrong in (info + b"\x00", b""):
            with pytest.raises(InvalidTag):
                SUITE.decrypt(by_hand, key, info=wrong)
        with pytest.raises(InvalidTag):
            SUITE.decrypt(bytes.fromhex(vector["enc"]) + bytes.fromhex(vector["encryptions"][0]["ct"]), key, info=info)


# Wycheproof


def wycheproof(folder: Path, name: str) -> list[tuple[dict[str, Any], dict[str, Any]]]:
    path = folder / f"wycheproof/testvectors_v1/{name}_test.json"
    if not path.exists():
        pytest.skip(f"no public vectors: {path.name} is absent")
    groups = json.loads(path.read_text(encoding="utf-8"))["testGroups"]
    return [(group, test) for group in groups for test in group["tests"]]


def agree(name: str, verdicts: list[tuple[int, str, bool]]) -> None:
    """Print how the published verdicts and ours go together; none that is valid or invalid may differ."""
    counts = Counter((published, "accepted" if ours else "refused") for _, published, ours in verdicts)
    print(f"{name}: " + ", ".join(f"{p}/{o} {n}" for (p, o), n in sorted(counts.items())))
    wrong = [at for at, published, ours in verdicts if (published, ours) in (("valid", False), ("invalid", True))]
    assert not wrong, f"{name}: the verdict on {wrong} differs"
    assert counts["valid", "accepted"] > 0


def test_wycheproof_ed25519(vectors_folder: Path) -> None:
    verdicts = []
    for group, test in wycheproof(vectors_folder, "ed25519"):
        key = verifier(ed25519.Ed25519PublicKey.from_public_bytes(bytes.fromhex(group["publicKey"]["pk"])))
        held = key.holds(bytes.fromhex(test["msg"]), bytes.fromhex(test["sig"]))
        verdicts.append((test["tcId"], test["result"], held))
    agree("ed25519", verdicts)


def test_wycheproof_ecdsa_p256_as_cose_has_it(vectors_folder: Path) -> None:
    verdicts = []
    for group, test in wycheproof(vectors_folder, "ecdsa_secp256r1_sha256_p1363"):
        public = load_der_public_key(bytes.fromhex(group["publicKeyDer"]))
        assert isinstance(public, ec.EllipticCurvePublicKey)
        held = verifier(public).holds(bytes.fromhex(test["msg"]), bytes.fromhex(test["sig"]))
        verdicts.append((test["tcId"], test["result"], held))
    agree("ecdsa p1363", verdicts)


def test_wycheproof_ecdsa_p256_from_der(vectors_folder: Path) -> None:
    """Signatures in DER: one that does not parse, or whose numbers do not fit 32 bytes each, is none."""
    verdicts = []
    for group, test in wycheproof(vectors_folder, "ecdsa_secp256r1_sha256"):
        public = load_der_public_key(bytes.fromhex(group["publicKeyDer"]))
        assert isinstance(public, ec.EllipticCurvePublicKey)
        try:
            r, s = utils.decode_dss_signature(bytes.fromhex(test["sig"]))
            raw = r.to_bytes(32, "big") + s.to_bytes(32, "big")
        except (ValueError, OverflowError):
            raw = b""
        verdicts.append((test["tcId"], test["result"], verifier(public).holds(bytes.fromhex(test["msg"]), raw)))
    agree("ecdsa der", verdicts)


def test_wycheproof_x25519(vectors_folder: Path) -> None:
    """`acceptable` ones (twist and low-order points) may go either way: the all-zero secret is refused here."""
    verdicts = []
    for _, test in wycheproof(vectors_folder, "x25519"):
        private = X25519PrivateKey.from_private_bytes(bytes.fromhex(test["private"]))
        try:
            secret = private.exchange(X25519PublicKey.from_public_bytes(bytes.fromhex(test["public"])))
        except ValueError:
            secret = b""
        if not any(bytes.fromhex(test["shared"])):
            assert secret == b""
        verdicts.append((test["tcId"], test["result"], secret.hex() == test["shared"]))
    agree("x25519", verdicts)


def test_wycheproof_chacha20_poly1305(vectors_folder: Path) -> None:
    verdicts = []
    for _, test in wycheproof(vectors_folder, "chacha20_poly1305"):
        sealed = bytes.fromhex(test["ct"]) + bytes.fromhex(test["tag"])
        try:
            cipher = ChaCha20Poly1305(bytes.fromhex(test["key"]))
            opened = cipher.decrypt(bytes.fromhex(test["iv"]), sealed, bytes.fromhex(test["aad"]))
            held = opened.hex() == test["msg"]
        except (InvalidTag, ValueError):
            held = False
        verdicts.append((test["tcId"], test["result"], held))
    agree("chacha20-poly1305", verdicts)


def test_the_primitives_raise_what_holds_expects() -> None:
    """`Verifier.holds` swallows one exception only; this pins that it is the one that is raised."""
    with pytest.raises(InvalidSignature):
        ed25519.Ed25519PrivateKey.generate().public_key().verify(bytes(64), b"")
    public = ec.generate_private_key(ec.SECP256R1()).public_key()
    assert not verifier(public).holds(b"", bytes(64))
