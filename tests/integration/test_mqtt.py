"""The real MQTT link against a real Mosquitto: acknowledgement, will, refusal, restart, frozen broker, TLS."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from edge.errors import Misconfigured
from uplink.mqtt import BrokerAddress, MqttLink, Tls
from uplink.transport import Disconnected, Message, NotTaken

_BESIDE = "/usr/sbin/mosquitto"
MOSQUITTO = shutil.which("mosquitto") or (_BESIDE if Path(_BESIDE).exists() else None)
pytestmark = [
    pytest.mark.mosquitto,
    pytest.mark.skipif(MOSQUITTO is None, reason="NO MOSQUITTO HERE: the MQTT link is not tested against a broker"),
]

ROOT = "anpr/v1/op/site/node-a"
WILL = Message(f"{ROOT}/state", b'{"session":7,"state":"lost"}', retain=True)
BOTH = pytest.mark.parametrize("protocol", [5, 4], ids=["mqtt5", "mqtt311"])


# a broker


@dataclass(slots=True)
class Broker:
    """A Mosquitto of the test's own, on a port the kernel chose, that can be stopped, started and frozen."""

    folder: Path
    lines: list[str]
    port: int = 0
    process: subprocess.Popen[bytes] | None = field(default=None, repr=False)

    def start(self) -> None:
        with socket.create_server(("127.0.0.1", self.port)) as probe:
            self.port = probe.getsockname()[1]
        (self.folder / "mosquitto.conf").write_text(
            "\n".join([f"listener {self.port} 127.0.0.1", "persistence false", *self.lines]) + "\n", "ascii"
        )
        assert MOSQUITTO is not None
        log = (self.folder / "mosquitto.log").open("ab")
        with log:
            self.process = subprocess.Popen(
                [MOSQUITTO, "-c", str(self.folder / "mosquitto.conf")], stdout=log, stderr=log
            )
        end = time.monotonic() + 10
        while not self._listens():
            assert self.process.poll() is None, (self.folder / "mosquitto.log").read_text()
            assert time.monotonic() < end, "the broker does not listen"
            time.sleep(0.02)

    def _listens(self) -> bool:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 1):
            return True
        return False

    def stop(self) -> None:
        if self.process is not None:
            self.process.send_signal(signal.SIGCONT)
            self.process.kill()
            self.process.wait(10)
            self.process = None

    def freeze(self) -> None:
        assert self.process is not None
        self.process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        assert self.process is not None
        self.process.send_signal(signal.SIGCONT)


@pytest.fixture
def make_broker(tmp_path: Path) -> Iterator[Callable[..., Broker]]:
    made: list[Broker] = []

    def make(*lines: str) -> Broker:
        if os.getuid() == 0:  # else Mosquitto drops to a user that may not read this folder
            lines = (*lines, "user root")
        broker = Broker(tmp_path, list(lines))
        broker.start()
        made.append(broker)
        return broker

    yield make
    for broker in made:
        broker.stop()


# a link


@dataclass(slots=True)
class Heard:
    messages: list[tuple[str, bytes]] = field(default_factory=list)

    def take(self, topic: str, payload: bytes) -> None:
        self.messages.append((topic, payload))

    def states(self) -> list[str]:
        return [json.loads(payload)["state"] for topic, payload in self.messages if topic.endswith("/state")]


def address(broker: Broker, protocol: int = 5, client: str = "node", **change: object) -> BrokerAddress:
    settings: dict[str, object] = {"host": "127.0.0.1", "port": broker.port, "tls": None, "keepalive_s": 30, **change}
    return BrokerAddress(protocol=protocol, client_id=client, **settings)  # type: ignore[arg-type]


@contextlib.asynccontextmanager
async def linked(
    to: BrokerAddress,
    heard: Heard | None = None,
    topic: str = f"{ROOT}/receipt",
    chance: Callable[[], float] = lambda: 0.02,
) -> AsyncIterator[MqttLink]:
    """A running link; its waits between attempts are as short as chance allows."""
    link = MqttLink(to, WILL, [topic], (heard or Heard()).take, chance)
    running = asyncio.ensure_future(link.run())
    try:
        yield link
        assert not running.done()
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


@contextlib.asynccontextmanager
async def listening(broker: Broker, topic: str = f"{ROOT}/#") -> AsyncIterator[Heard]:
    """Another client, that hears what the broker gives out."""
    heard = Heard()
    link = MqttLink(address(broker, client="listener"), Message("elsewhere", b""), [topic], heard.take)
    running = asyncio.ensure_future(link.run())
    try:
        await asyncio.wait_for(link.up.wait(), 10)
        yield heard
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


async def until(true: Callable[[], object], most_s: float = 10.0) -> None:
    end = time.monotonic() + most_s
    while not true():
        assert time.monotonic() < end, f"not so within {most_s} s"
        await asyncio.sleep(0.02)


async def up(link: MqttLink, most_s: float = 15.0) -> None:
    await asyncio.wait_for(link.up.wait(), most_s)


def run(main: Awaitable[None]) -> None:
    async def timed() -> None:
        await asyncio.wait_for(main, 60)

    asyncio.run(timed())


# acknowledgement


@BOTH
def test_a_publish_ends_with_its_acknowledgement(make_broker: Callable[..., Broker], protocol: int) -> None:
    async def main() -> None:
        broker = make_broker("allow_anonymous true")
        async with listening(broker) as heard, linked(address(broker, protocol)) as link:
            await up(link)
            payloads = [bytes([n]) * 20_000 for n in range(60)]  # more at once than the broker lets be in flight
            await asyncio.gather(*(link.publish(Message(f"{ROOT}/read", payload)) for payload in payloads))
            await until(lambda: len(heard.messages) == 60)
            assert {payload for _, payload in heard.messages} == set(payloads)

    run(main())


@BOTH
def test_what_the_store_says_is_received(make_broker: Callable[..., Broker], protocol: int) -> None:
    async def main() -> None:
        broker, heard = make_broker("allow_anonymous true"), Heard()
        async with linked(address(broker, protocol), heard) as link, linked(address(broker, 5, "store")) as store:
            await up(link)
            await up(store)

            async def receipted() -> None:  # the subscription may take effect a moment after the link is up
                while not heard.messages:
                    await store.publish(Message(f"{ROOT}/receipt", b"\xd2\x84"))
                    await asyncio.sleep(0.05)

            await asyncio.wait_for(receipted(), 10)
            assert heard.messages[0] == (f"{ROOT}/receipt", b"\xd2\x84")

    run(main())


def test_without_a_link_nothing_is_taken(make_broker: Callable[..., Broker]) -> None:
    async def main() -> None:
        broker = make_broker("allow_anonymous true")
        broker.stop()
        async with linked(address(broker)) as link:
            await until(lambda: link.last_problem)
            assert "refused" in link.last_problem.lower()
            with pytest.raises(Disconnected):
                await link.publish(Message(f"{ROOT}/read", b"x"))

    run(main())


def test_a_publish_that_the_rules_deny_is_said_to_be_not_taken(
    make_broker: Callable[..., Broker], tmp_path: Path
) -> None:
    async def main() -> None:
        rules = tmp_path / "rules"
        rules.write_text(f"topic readwrite {ROOT}/heartbeat\ntopic read {ROOT}/receipt\n", "ascii")
        rules.chmod(0o600)
        broker = make_broker("allow_anonymous true", f"acl_file {rules}")
        async with linked(address(broker)) as link:
            await up(link)
            with pytest.raises(NotTaken) as caught:
                await link.publish(Message(f"{ROOT}/read", b"x"))
            assert caught.value.code == 135
            await link.publish(Message(f"{ROOT}/heartbeat", b"x"))  # and the link stands

    run(main())


# the end of a connection


def sever(link: MqttLink) -> None:
    """Break the connection as a dead line does: no DISCONNECT."""
    line = link._line
    assert line is not None
    sock = line.client.socket()
    assert sock is not None
    sock.shutdown(socket.SHUT_RDWR)


@BOTH
def test_the_will_is_published_when_the_socket_dies(
    make_broker: Callable[..., Broker], protocol: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("uplink.mqtt.WILL_DELAY_S", 2)

    async def main() -> None:
        broker = make_broker("allow_anonymous true")
        long_away = linked(address(broker, protocol), chance=lambda: 60.0)
        async with listening(broker) as heard, long_away as link:
            await up(link)
            began = time.monotonic()
            sever(link)
            await until(lambda: heard.states() == ["lost"])
            assert link.connects == 1
            took.append(time.monotonic() - began)

    took: list[float] = []
    run(main())
    assert took[0] < 8


def test_a_short_absence_is_no_loss_on_mqtt_5(
    make_broker: Callable[..., Broker], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("uplink.mqtt.WILL_DELAY_S", 2)

    async def main() -> None:
        broker = make_broker("allow_anonymous true")
        async with listening(broker) as heard, linked(address(broker)) as link:
            await up(link)
            sever(link)
            await until(lambda: link.connects == 2)
            await asyncio.sleep(4)  # twice the will's delay: that nothing comes cannot be waited for otherwise
            assert heard.states() == []

    run(main())


@BOTH
def test_a_clean_stop_leaves_no_will(make_broker: Callable[..., Broker], protocol: int) -> None:
    async def main() -> None:
        broker = make_broker("allow_anonymous true")
        async with listening(broker) as heard:
            async with linked(address(broker, protocol)) as link:
                await up(link)
                await link.publish(Message(f"{ROOT}/state", b'{"state":"stopped"}', retain=True))
            async with linked(address(broker, 5, "another")) as another:
                await up(another)
                await another.publish(Message(f"{ROOT}/state", b'{"state":"end"}'))
            await until(lambda: "end" in heard.states())
            assert heard.states() == ["stopped", "end"]

    run(main())


@BOTH
def test_a_publish_in_the_air_when_the_line_dies_is_disconnected(
    make_broker: Callable[..., Broker], protocol: int
) -> None:
    async def main() -> None:
        broker = make_broker("allow_anonymous true")
        async with linked(address(broker, protocol)) as link:
            await up(link)
            broker.freeze()
            in_air = [asyncio.ensure_future(link.publish(Message(f"{ROOT}/read", bytes(1000)))) for _ in range(50)]
            await asyncio.sleep(0)
            sever(link)
            ends = await asyncio.wait_for(asyncio.gather(*in_air, return_exceptions=True), 15)
            assert all(isinstance(end, Disconnected) for end in ends)
            broker.thaw()

    run(main())


@BOTH
def test_a_broker_that_comes_back_is_found_again(make_broker: Callable[..., Broker], protocol: int) -> None:
    async def main() -> None:
        broker = make_broker("allow_anonymous true")
        async with linked(address(broker, protocol)) as link:
            await up(link)
            broker.stop()
            await until(lambda: not link.up.is_set())
            assert link.went_down.is_set()
            await until(lambda: "refused" in link.last_problem.lower())
            broker.start()
            await up(link)
            assert not link.went_down.is_set()
            assert link.last_problem == ""
            await link.publish(Message(f"{ROOT}/read", b"after"))
            assert link.connects == 2

    run(main())


@BOTH
def test_a_frozen_broker_is_noticed(make_broker: Callable[..., Broker], protocol: int) -> None:
    """Its kernel still answers, so only the keepalive tells: within two of them, and paho's second of grace."""

    async def main() -> None:
        broker = make_broker("allow_anonymous true")
        async with linked(address(broker, protocol, keepalive_s=2)) as link:
            await up(link)
            broker.freeze()
            began = time.monotonic()
            hanging = asyncio.ensure_future(link.publish(Message(f"{ROOT}/read", b"x")))
            await asyncio.wait_for(link.went_down.wait(), 15)
            assert 1 < time.monotonic() - began < 7
            with pytest.raises(Disconnected):
                await hanging
            assert link.last_problem
            broker.thaw()
            await up(link, 30)
            await link.publish(Message(f"{ROOT}/read", b"after"))

    run(main())


def test_a_broker_that_takes_the_connection_and_says_nothing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """A port that accepts and stays silent: the attempt ends, and what is wrong is said."""
    monkeypatch.setattr("uplink.mqtt.CONNECT_TIMEOUT_S", 2.0)

    async def main() -> None:
        with socket.create_server(("127.0.0.1", 0)) as silent:
            port = silent.getsockname()[1]
            to = BrokerAddress("127.0.0.1", port, None, 5, 30, "node")
            async with linked(to) as link:
                await until(lambda: "no answer" in link.last_problem, 25)
                assert not link.up.is_set()

    run(main())


# TLS

# paho leaves the socket of a failed handshake to the garbage collector.
handshake_fails = pytest.mark.filterwarnings("ignore:.*SSLSocket:pytest.PytestUnraisableExceptionWarning")


class Authority:
    """A certificate authority of the test's own."""

    def __init__(self, name: str) -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        basic = x509.BasicConstraints(ca=True, path_length=0)
        usage = x509.KeyUsage(False, False, False, False, False, True, True, False, False)
        self.certificate = (
            self._begin(self._name, self._key.public_key())
            .add_extension(basic, critical=True)
            .add_extension(usage, critical=True)
            .sign(self._key, hashes.SHA256())
        )

    def _begin(
        self, subject: x509.Name, key: ec.EllipticCurvePublicKey, days: tuple[int, int] = (-1, 30)
    ) -> x509.CertificateBuilder:
        now = datetime.now(UTC)
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now + timedelta(days=days[0]))
            .not_valid_after(now + timedelta(days=days[1]))
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key()), critical=False)
        )

    def issue(self, folder: Path, name: str, *, server: bool, days: tuple[int, int] = (-1, 30)) -> tuple[Path, Path]:
        """Certificate and key as files."""
        key = ec.generate_private_key(ec.SECP256R1())
        purpose = ExtendedKeyUsageOID.SERVER_AUTH if server else ExtendedKeyUsageOID.CLIENT_AUTH
        names = [x509.DNSName("localhost"), x509.IPAddress(ip_address("127.0.0.1"))]
        builder = self._begin(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]), key.public_key(), days)
        builder = builder.add_extension(x509.ExtendedKeyUsage([purpose]), critical=False)
        if server:
            builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
        certificate, private = folder / f"{name}.pem", folder / f"{name}.key.pem"
        certificate.write_bytes(builder.sign(self._key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM))
        private.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
        )
        return certificate, private

    def file(self, path: Path) -> Path:
        path.write_bytes(self.certificate.public_bytes(serialization.Encoding.PEM))
        return path


@dataclass(frozen=True, slots=True)
class Secured:
    broker: Broker
    ca: Authority
    ca_file: Path
    client: tuple[Path, Path]
    folder: Path

    def address(
        self, protocol: int = 5, ca: Path | None = None, client: tuple[Path, Path] | None = None
    ) -> BrokerAddress:
        tls = Tls(ca or self.ca_file, *(client or self.client))
        return address(self.broker, protocol, host="localhost", tls=tls)


@pytest.fixture
def secure(make_broker: Callable[..., Broker], tmp_path: Path) -> Callable[..., Secured]:
    def make(server_days: tuple[int, int] = (-1, 30)) -> Secured:
        ca = Authority("test authority")
        ca_file = ca.file(tmp_path / "ca.pem")
        certificate, key = ca.issue(tmp_path, "server", server=True, days=server_days)
        broker = make_broker(
            *(f"cafile {ca_file}", f"certfile {certificate}", f"keyfile {key}"),
            *("require_certificate true", "use_identity_as_username true", "allow_anonymous false"),
        )
        return Secured(broker, ca, ca_file, ca.issue(tmp_path, "node-a", server=False), tmp_path)

    return make


@BOTH
def test_certificates_on_both_sides(secure: Callable[..., Secured], protocol: int) -> None:
    async def main() -> None:
        async with linked(secure().address(protocol)) as link:
            await up(link)
            await link.publish(Message(f"{ROOT}/read", bytes(20_000)))

    run(main())


def problem_with(to: BrokerAddress) -> str:
    """What the link says of a broker that it must not come up with."""
    said: list[str] = []

    async def main() -> None:
        async with linked(to) as link:
            await until(lambda: link.last_problem, 20)
            assert link.connects == 0
            said.append(link.last_problem)

    run(main())
    return said[0].lower()


@handshake_fails
def test_a_broker_of_another_authority_is_refused(secure: Callable[..., Secured]) -> None:
    world = secure()
    other = Authority("another authority").file(world.folder / "other.pem")
    assert "certificate verify failed" in problem_with(world.address(ca=other))


@handshake_fails
def test_a_broker_with_an_expired_certificate_is_refused(secure: Callable[..., Secured]) -> None:
    assert "expired" in problem_with(secure((-30, -2)).address())


@handshake_fails
def test_a_node_with_an_expired_certificate_is_told_so(secure: Callable[..., Secured]) -> None:
    world = secure()
    expired = world.ca.issue(world.folder, "node-b", server=False, days=(-30, -2))
    assert "certificate" in problem_with(world.address(client=expired))


@handshake_fails
def test_a_broker_by_another_name_is_refused(secure: Callable[..., Secured]) -> None:
    world = secure()
    to = address(world.broker, host="127.0.0.2", tls=Tls(world.ca_file, *world.client))
    # The listener is on 127.0.0.1 alone, so a relay on the kernel's choice of port brings it there under another name.
    with relay(world.broker.port) as port:
        assert "mismatch" in problem_with(BrokerAddress("127.0.0.2", port, to.tls, 5, 30, "node"))


@contextlib.contextmanager
def relay(port: int) -> Iterator[int]:
    """Bytes from 127.0.0.2 on a port of the kernel's choosing to the broker and back, by a child process."""
    code = (
        "import asyncio,sys\n"
        "async def pump(r,w):\n"
        "    while d:=await r.read(65536):\n"
        "        w.write(d)\n"
        "    w.close()\n"
        "async def one(r,w):\n"
        f"    r2,w2=await asyncio.open_connection('127.0.0.1',{port})\n"
        "    await asyncio.gather(pump(r,w2),pump(r2,w),return_exceptions=True)\n"
        "async def main():\n"
        "    s=await asyncio.start_server(one,'127.0.0.2',0)\n"
        "    print(s.sockets[0].getsockname()[1],flush=True)\n"
        "    await s.serve_forever()\n"
        "asyncio.run(main())\n"
    )
    child = subprocess.Popen([shutil.which("python3") or "python3", "-c", code], stdout=subprocess.PIPE)
    try:
        assert child.stdout is not None
        with child.stdout:
            yield int(child.stdout.readline())
    finally:
        child.kill()
        child.wait(10)


def test_certificates_that_cannot_be_read_are_the_operators_to_mend(tmp_path: Path) -> None:
    ca = Authority("test authority")
    certificate, key = ca.issue(tmp_path, "node-a", server=False)
    with pytest.raises(Misconfigured):
        Tls(tmp_path / "absent.pem", certificate, key).context()
    _, other_key = ca.issue(tmp_path, "node-b", server=False)
    with pytest.raises(Misconfigured) as caught:
        Tls(ca.file(tmp_path / "ca.pem"), certificate, other_key).context()
    assert "PRIVATE" not in str(caught.value)
