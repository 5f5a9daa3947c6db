"""The reference store as a process of its own, against a real broker: published records, receipts, kill and resume."""

from __future__ import annotations

import getpass
import hashlib
import json
import os
import queue
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import cbor2
import paho.mqtt.client as mqtt
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PublicKey
from cryptography.hazmat.primitives.hpke import AEAD, KDF, KEM, Suite
from cryptography.x509.oid import NameOID
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion

ROOT = Path(__file__).resolve().parents[2]
TOPIC = "anpr/v1/op/site/node-a"
SUITE = Suite(KEM.X25519, KDF.HKDF_SHA256, AEAD.CHACHA20_POLY1305)
DEADLINE_S = 30.0
RUN = "import argparse, sys; from simulators.backoffice.main import add_arguments, run; p = argparse.ArgumentParser();"
RUN += " add_arguments(p); sys.exit(run(p.parse_args()))"

Message = tuple[str, bytes]


def dumps(value: object) -> bytes:
    return cbor2.dumps(value, canonical=True)


def kid_of(key: Ed25519PublicKey | X25519PublicKey) -> bytes:
    raw = key.public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
    return hashlib.sha256(raw).digest()[:8]


class Node:
    """Makes sealed reads of one epoch, chained."""

    def __init__(self, key: Ed25519PrivateKey, store: X25519PublicKey, kid: bytes | None = None) -> None:
        self.kid = kid or kid_of(key.public_key())
        self.key, self.store, self.epoch = key, store, bytes([0, 0, 0, 1]) + os.urandom(8)
        self.seq, self.head = 0, bytes(32)

    def read(self) -> Message:
        self.seq += 1
        now_ms = time.time_ns() // 1_000_000
        who = {"v": 1, "node": "node-a", "epoch": self.epoch, "seq": self.seq, "kind": "read"}
        inner = {
            **who,
            "prev": self.head,
            "captured": {"utc_ms": now_ms, "bound_ms": None, "source": "arrival", "heard": None},
            "received": {"utc_ms": now_ms, "bound_ms": 9, "clock": "unknown", "mono_ns": 1, "boot_id": "b"},
            "body": _body(f"v-{self.seq}"),
        }
        protected = dumps({1: -8, 3: "application/anpr-record+cbor", 4: self.kid})
        signature = self.key.sign(dumps(["Signature1", protected, b"", dumps(inner)]))
        signed = dumps(cbor2.CBORTag(18, [protected, {}, dumps(inner), signature]))
        self.head = hashlib.sha256(b"anpr-chain-v1" + self.head + hashlib.sha256(signed).digest()).digest()
        kid = kid_of(self.store)
        info = dumps(["anpr-seal-v1", "node-a", self.epoch, self.seq, "read", kid])
        return f"{TOPIC}/read", dumps({**who, "kid": kid, "ct": SUITE.encrypt(signed, self.store, info=info)})


def _body(vendor_id: str) -> dict[str, Any]:
    text = dict.fromkeys(("lane", "direction", "vrm", "confidence", "country", "position", "clock_skew_ms"))
    return {
        **text,
        **{"camera": "cam-1", "vendor_id": vendor_id, "vrm_heard": "", "authorisation": "a", "originals": []},
        **{"patch": {"omitted": "none"}, "overview": {"omitted": "none"}, "altered": []},
        "dialect": {"name": "plain", "version": 1},
    }


class Client:
    """A node's end of the broker; what arrives waits in a queue."""

    def __init__(self, port: int, protocol: MQTTProtocolVersion) -> None:
        self.heard: queue.Queue[bytes] = queue.Queue()
        subscribed: queue.Queue[bool] = queue.Queue()
        self.client = mqtt.Client(CallbackAPIVersion.VERSION2, client_id="node-a", protocol=protocol)
        self.client.on_message = lambda client, data, message: self.heard.put(bytes(message.payload))
        self.client.on_subscribe = lambda *_: subscribed.put(True)
        self.client.connect("127.0.0.1", port)
        self.client.loop_start()
        self.client.subscribe(f"{TOPIC}/receipt", qos=1)
        assert subscribed.get(timeout=DEADLINE_S)

    def publish(self, *messages: Message) -> None:
        for topic, payload in messages:
            self.client.publish(topic, payload, qos=1).wait_for_publish(DEADLINE_S)

    def receipts_until(self, wanted: set[int], key: Ed25519PublicKey) -> list[dict[str, Any]]:
        """Every receipt, verified, until together they name all the wanted numbers."""
        said: list[dict[str, Any]] = []
        until = time.monotonic() + DEADLINE_S
        while not wanted <= {n for one in said for first, last in one["got"] for n in range(first, last + 1)}:
            said.append(_verified(self.heard.get(timeout=max(0.01, until - time.monotonic())), key))
        return said

    def close(self) -> None:
        self.client.disconnect()
        self.client.loop_stop()


def _verified(payload: bytes, key: Ed25519PublicKey) -> dict[str, Any]:
    protected, unprotected, inner, signature = cbor2.loads(payload).value
    assert unprotected == {}
    assert cbor2.loads(protected) == {1: -8, 3: "application/anpr-receipt+cbor", 4: kid_of(key)}
    key.verify(signature, dumps(["Signature1", protected, b"", inner]))
    said: dict[str, Any] = cbor2.loads(inner)
    assert said["node"] == "node-a"
    return said


class Office:
    """The back office's process."""

    def __init__(self, folder: Path, port: int, version: int, *more: str) -> None:
        self.folder, self.page = folder, ""
        self.command = [sys.executable, "-c", RUN, "--keys", str(folder / "keys"), "--mqtt", str(version)]
        self.command += ["--state", str(folder / "state"), "--nodes", str(folder / "nodes")]
        self.command += ["--broker", f"127.0.0.1:{port}", "--http", "127.0.0.1:0", *more]

    def __enter__(self) -> Office:
        self.process = subprocess.Popen(self.command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
        assert self.process.stdout is not None
        ready = json.loads(self.process.stdout.readline())
        assert ready["ready"] is True
        self.page = ready["page"]
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait(DEADLINE_S)
        assert self.process.stdout is not None
        self.process.stdout.close()

    def end(self, how: signal.Signals) -> int:
        self.process.send_signal(how)
        return self.process.wait(DEADLINE_S)

    def get(self, path: str) -> bytes:
        with urllib.request.urlopen(self.page + path, timeout=DEADLINE_S) as answer:
            body: bytes = answer.read()
            return body

    def figures(self) -> dict[str, Any]:
        figures: dict[str, Any] = json.loads(self.get("figures"))
        return figures


def poll(condition: Callable[[], bool]) -> None:
    until = time.monotonic() + DEADLINE_S
    while not condition():
        assert time.monotonic() < until, "the condition was not met in time"
        time.sleep(0.02)


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


class Broker:
    """A Mosquitto on ports of the kernel's choosing: one plain, and one with TLS where `tls` lines are given."""

    def __init__(self, folder: Path, tls: str = "") -> None:
        binary = shutil.which("mosquitto", path=os.environ.get("PATH", "") + ":/usr/sbin")
        if binary is None:
            pytest.skip("no mosquitto on the PATH or in /usr/sbin")
        self.port, self.tls_port = _free_port(), _free_port()
        settings = folder / "mosquitto.conf"
        lines = f"listener {self.port} 127.0.0.1\nallow_anonymous true\npersistence false\nlog_type none\n"
        # started as root it would become another user, who cannot read the test's folder
        lines += f"user {getpass.getuser()}\n"
        settings.write_text(lines + (f"listener {self.tls_port} 127.0.0.1\n{tls}" if tls else ""))
        self.command = [binary, "-c", str(settings)]
        self.start()

    def start(self) -> None:
        self.process = subprocess.Popen(self.command, stderr=subprocess.DEVNULL)
        poll(lambda: self.process.poll() is not None or _listens(self.port))
        assert self.process.poll() is None, "mosquitto would not start"

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait(DEADLINE_S)


def _free_port() -> int:
    with socket.socket() as chosen:
        chosen.bind(("127.0.0.1", 0))
        port: int = chosen.getsockname()[1]
        return port


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Broker]:
    running = Broker(tmp_path)
    try:
        yield running
    finally:
        running.stop()


@pytest.fixture
def site(tmp_path: Path) -> tuple[Path, Node, Ed25519PublicKey]:
    """The store's keys, made by its own command, and a node that it trusts."""
    made = subprocess.run(
        [sys.executable, "-c", RUN, "--make-keys", "--keys", str(tmp_path / "keys")],
        cwd=ROOT, capture_output=True, timeout=DEADLINE_S, check=False,
    )  # fmt: skip
    assert (made.returncode, made.stdout) == (0, b"")
    load = serialization.load_pem_public_key
    seal, receipt = (load((tmp_path / "keys" / f"{name}.pub.pem").read_bytes()) for name in ("seal", "receipt"))
    assert isinstance(seal, X25519PublicKey)
    assert isinstance(receipt, Ed25519PublicKey)
    key = Ed25519PrivateKey.generate()
    (tmp_path / "nodes").mkdir()
    (tmp_path / "nodes" / "node-a.pub.pem").write_bytes(
        key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    )
    return tmp_path, Node(key, seal), receipt


@pytest.mark.mosquitto
@pytest.mark.parametrize("version", [5, 3])
def test_records_are_receipted_and_survive_a_kill(
    broker: Broker, site: tuple[Path, Node, Ed25519PublicKey], version: int
) -> None:
    folder, node, key = site
    messages = [node.read() for _ in range(30)]
    client = Client(broker.port, MQTTProtocolVersion.MQTTv5 if version == 5 else MQTTProtocolVersion.MQTTv311)
    try:
        with Office(folder, broker.port, version) as office:
            client.publish(*messages[:20])
            said = client.receipts_until(set(range(1, 21)), key)
            assert all(one["epoch"] == node.epoch and one["refused"] == [] for one in said)
            assert office.end(signal.SIGKILL) == -signal.SIGKILL
        with Office(folder, broker.port, version) as office:
            client.publish(*messages)
            said = client.receipts_until(set(range(1, 31)), key)
            assert said[-1]["head"] == node.head
            figures = office.figures()
            assert (figures["reads"], figures["duplicates"], figures["gaps"]) == (30, 20, 0)
            assert (figures["refused"], figures["broken_links"]) == ({}, 0)
            assert json.loads(office.get("vendor-ids")) == [[f"v-{n}", 1] for n in sorted(range(1, 31), key=str)]
            assert json.loads(office.get("missing"))["node-a"][node.epoch.hex()]["missing"] == []
            assert b"no plate read" in office.get("")
            assert office.end(signal.SIGTERM) == 0
    finally:
        client.close()


@pytest.mark.mosquitto
def test_a_forged_record_is_refused_and_the_next_one_kept(
    broker: Broker, site: tuple[Path, Node, Ed25519PublicKey]
) -> None:
    folder, node, key = site
    stranger = Node(Ed25519PrivateKey.generate(), node.store, node.kid)
    stranger.epoch = node.epoch
    client = Client(broker.port, MQTTProtocolVersion.MQTTv5)
    try:
        with Office(folder, broker.port, 5) as office:
            client.publish(stranger.read(), node.read())
            said = client.receipts_until({1}, key)
            assert [[1, "unverified"]] in [one["refused"] for one in said]
            assert office.figures()["unverified"] == 1
            assert office.figures()["reads"] == 1
            assert office.end(signal.SIGINT) == 0
    finally:
        client.close()


@pytest.mark.mosquitto
def test_the_store_comes_back_after_the_broker_was_away(
    broker: Broker, site: tuple[Path, Node, Ed25519PublicKey]
) -> None:
    folder, node, key = site
    messages = [node.read() for _ in range(4)]
    with Office(folder, broker.port, 5) as office:
        broker.stop()
        broker.start()
        client = Client(broker.port, MQTTProtocolVersion.MQTTv5)
        try:

            def sent_and_answered() -> bool:
                client.publish(*messages)  # as a node does: again and again until there is a receipt
                return not client.heard.empty()

            poll(sent_and_answered)
            client.receipts_until({1, 2, 3, 4}, key)
            assert office.figures()["reads"] == 4
        finally:
            client.close()


@pytest.mark.mosquitto
def test_tls_with_a_client_certificate(tmp_path: Path, site: tuple[Path, Node, Ed25519PublicKey]) -> None:
    folder, node, key = site
    certificate(tmp_path, "ca", None)
    for name in ("server", "client"):
        certificate(tmp_path, name, "ca")
    files = {name: str(tmp_path / name) for name in ("ca.crt", "server.crt", "server.key", "client.crt", "client.key")}
    running = Broker(
        tmp_path,
        f"cafile {files['ca.crt']}\ncertfile {files['server.crt']}\nkeyfile {files['server.key']}\n"
        "require_certificate true\n",
    )
    client = Client(running.port, MQTTProtocolVersion.MQTTv5)
    more = ("--ca", files["ca.crt"], "--cert", files["client.crt"], "--key", files["client.key"])
    try:
        with Office(folder, running.tls_port, 5, *more) as office:
            client.publish(node.read())
            client.receipts_until({1}, key)
            assert office.end(signal.SIGTERM) == 0
    finally:
        client.close()
        running.stop()


def certificate(folder: Path, name: str, issuer: str | None) -> None:
    """Write a certificate for 127.0.0.1, signed by `issuer`, or an issuer's own."""
    key = ec.generate_private_key(ec.SECP256R1())
    signer = key
    if issuer is not None:
        loaded = serialization.load_pem_private_key((folder / f"{issuer}.key").read_bytes(), None)
        assert isinstance(loaded, ec.EllipticCurvePrivateKey)
        signer = loaded
    now = datetime.now(UTC)
    named, by = (x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)]) for text in (name, issuer or name))
    authority = issuer is None
    usage = x509.KeyUsage(not authority, False, False, False, False, authority, authority, False, False)
    loopback = x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))])
    made = (
        x509.CertificateBuilder(by, named, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=issuer is None, path_length=None), critical=True)
        .add_extension(loopback, critical=False)
        # Python 3.13 verifies strictly: RFC 5280 asks for these.
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()), critical=False)
        .add_extension(usage, critical=True)
        .sign(signer, hashes.SHA256())
    )
    (folder / f"{name}.crt").write_bytes(made.public_bytes(serialization.Encoding.PEM))
    (folder / f"{name}.key").write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
