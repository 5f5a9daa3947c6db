"""Key files: who may read them, that none is written over, and that no error quotes one."""

from __future__ import annotations

import base64
import stat
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa, x25519
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    KeySerializationEncryption,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from edge.errors import Misconfigured
from edge.keys import load_seal_key, load_signer, load_verifier, make_signing_key, public_path

Private = ed25519.Ed25519PrivateKey | ec.EllipticCurvePrivateKey | x25519.X25519PrivateKey | rsa.RSAPrivateKey


def write_private(path: Path, key: Private, how: KeySerializationEncryption | None = None) -> Path:
    path.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, how or NoEncryption()))
    path.chmod(0o600)
    return path


def write_public(path: Path, key: Private) -> Path:
    path.write_bytes(key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    return path


def said(problem: pytest.ExceptionInfo[Misconfigured]) -> str:
    """Everything of an error that may reach a log, its causes included."""
    texts, error = [], problem.value
    at: BaseException | None = error
    while at is not None:
        texts.append(f"{at!s} {at!r}")
        at = at.__cause__ or (None if at.__suppress_context__ else at.__context__)
    return " ".join([*texts, error.sentence, error.hint])


# made


def test_a_key_is_made_for_its_owner_alone_and_loads(tmp_path: Path) -> None:
    path = tmp_path / "keys" / "sign.pem"
    made = make_signing_key(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    loaded = load_signer(path)
    assert loaded.kid == made.kid == load_verifier(public_path(path)).kid
    assert load_verifier(public_path(path)).holds(b"text", loaded.sign(b"text"))
    assert b"PRIVATE" not in public_path(path).read_bytes()
    assert public_path(path).name == "sign.pub.pem"


def test_a_key_is_never_written_over(tmp_path: Path) -> None:
    path = tmp_path / "sign.pem"
    make_signing_key(path)
    before = path.read_bytes(), public_path(path).read_bytes()
    with pytest.raises(Misconfigured, match="already"):
        make_signing_key(path)
    assert (path.read_bytes(), public_path(path).read_bytes()) == before


def test_each_key_is_another(tmp_path: Path) -> None:
    assert make_signing_key(tmp_path / "a.pem").kid != make_signing_key(tmp_path / "b.pem").kid


# loaded


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o602, 0o610, 0o777])
def test_a_private_key_open_to_others_is_refused(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "sign.pem"
    make_signing_key(path)
    path.chmod(mode)
    with pytest.raises(Misconfigured, match="can be read by others") as problem:
        load_signer(path)
    assert "chmod 600" in problem.value.hint


@pytest.mark.parametrize("mode", [0o600, 0o400])
def test_a_private_key_of_its_owner_is_taken(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "sign.pem"
    made = make_signing_key(path)
    path.chmod(mode)
    assert load_signer(path).kid == made.kid


def test_a_p256_key_signs_too(tmp_path: Path) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    signer = load_signer(write_private(tmp_path / "sign.pem", key))
    assert load_verifier(write_public(tmp_path / "sign.pub.pem", key)).holds(b"text", signer.sign(b"text"))


def test_a_seal_key_loads(tmp_path: Path) -> None:
    key = x25519.X25519PrivateKey.generate()
    loaded = load_seal_key(write_public(tmp_path / "seal.pub.pem", key))
    assert loaded.public_bytes_raw() == key.public_key().public_bytes_raw()


OTHERS: dict[str, Callable[[], Private]] = {
    "x25519": x25519.X25519PrivateKey.generate,
    "p384": lambda: ec.generate_private_key(ec.SECP384R1()),
    "rsa": lambda: rsa.generate_private_key(65537, 2048),
}


@pytest.mark.parametrize("kind", list(OTHERS))
def test_a_signing_key_of_another_kind_is_misconfigured(tmp_path: Path, kind: str) -> None:
    with pytest.raises(Misconfigured):
        load_signer(write_private(tmp_path / "sign.pem", OTHERS[kind]()))


@pytest.mark.parametrize("kind", list(OTHERS))
def test_a_receipt_key_of_another_kind_is_misconfigured(tmp_path: Path, kind: str) -> None:
    with pytest.raises(Misconfigured):
        load_verifier(write_public(tmp_path / "receipt.pub.pem", OTHERS[kind]()))


def test_a_seal_key_of_another_kind_is_misconfigured(tmp_path: Path) -> None:
    with pytest.raises(Misconfigured, match="X25519"):
        load_seal_key(write_public(tmp_path / "seal.pub.pem", ed25519.Ed25519PrivateKey.generate()))


def test_a_missing_key_is_misconfigured(tmp_path: Path) -> None:
    for load in (load_signer, load_seal_key, load_verifier):
        with pytest.raises(Misconfigured, match="cannot be read"):
            load(tmp_path / "none.pem")


def test_no_error_quotes_the_key(tmp_path: Path) -> None:
    key = ed25519.Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
    path = write_private(tmp_path / "sign.pem", key)
    pem = path.read_bytes()
    body = pem.splitlines()[1].decode()
    secrets = [body, body[10:30], bytes(range(32)).hex(), base64.b64encode(bytes(range(32))).decode()[:20]]

    def broken(data: bytes, mode: int = 0o600) -> str:
        path.write_bytes(data)
        path.chmod(mode)
        with pytest.raises(Misconfigured) as problem:
            load_signer(path)
        return said(problem)

    for text in (
        broken(pem, 0o644),
        broken(pem[:-40]),
        broken(pem.replace(b"PRIVATE", b"PRIVAT")),
        broken(body.encode()),
        broken(pem.replace(body[-4:].encode(), b"!!!!")),
        broken(pem.replace(body[:8].encode(), b"AAAAAAAA")),
    ):
        assert not [secret for secret in secrets if secret in text]


def test_an_encrypted_key_is_misconfigured_and_its_phrase_is_not_asked_for(tmp_path: Path) -> None:
    key = ed25519.Ed25519PrivateKey.generate()
    with pytest.raises(Misconfigured):
        load_signer(write_private(tmp_path / "sign.pem", key, BestAvailableEncryption(b"phrase")))
