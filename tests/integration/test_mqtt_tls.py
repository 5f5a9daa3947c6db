"""TLS as it goes wrong in the field: dates, clocks, authorities and names, each told apart, each with what to do."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from edge.check import Level
from edge.errors import Misconfigured
from simulators.network import Relay
from tests.fixtures.brokers import ABSENT, MOSQUITTO, ROOT, Broker, address, linked, run, until, up
from uplink import checks
from uplink.mqtt import BrokerAddress, Tls
from uplink.transport import Message
from uplink.trouble import Trouble

pytestmark = [pytest.mark.mosquitto, pytest.mark.skipif(MOSQUITTO is None, reason=ABSENT)]

BOTH = pytest.mark.parametrize("protocol", [5, 4], ids=["mqtt5", "mqtt311"])


@pytest.fixture
def make_broker(tmp_path: Path) -> Iterator[Callable[..., Broker]]:
    made: list[Broker] = []

    def make(*lines: str) -> Broker:
        broker = Broker(tmp_path / f"broker-{len(made)}", ["allow_anonymous false", *lines])
        made.append(broker)
        broker.start()
        return broker

    yield make
    for broker in made:
        broker.stop()


class Authority:
    """A certificate authority of the test's own."""

    def __init__(self, name: str, days: tuple[int, int] = (-1, 30)) -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        basic = x509.BasicConstraints(ca=True, path_length=0)
        usage = x509.KeyUsage(False, False, False, False, False, True, True, False, False)
        self.certificate = (
            self._begin(self._name, self._key.public_key(), days)
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

    def issue(
        self,
        folder: Path,
        name: str,
        *,
        server: bool,
        days: tuple[int, int] = (-1, 30),
        names: tuple[str, ...] = ("localhost",),
    ) -> tuple[Path, Path]:
        """Certificate and key as files."""
        key = ec.generate_private_key(ec.SECP256R1())
        purpose = ExtendedKeyUsageOID.SERVER_AUTH if server else ExtendedKeyUsageOID.CLIENT_AUTH
        alternatives = [x509.DNSName(each) for each in names]
        builder = self._begin(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]), key.public_key(), days)
        builder = builder.add_extension(x509.ExtendedKeyUsage([purpose]), critical=False)
        if server:
            builder = builder.add_extension(x509.SubjectAlternativeName(alternatives), critical=False)
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
    def make(
        server_days: tuple[int, int] = (-1, 30),
        ca_days: tuple[int, int] = (-1, 30),
        server_names: tuple[str, ...] = ("localhost",),
    ) -> Secured:
        ca = Authority("test authority", ca_days)
        ca_file = ca.file(tmp_path / "ca.pem")
        certificate, key = ca.issue(tmp_path, "server", server=True, days=server_days, names=server_names)
        broker = make_broker(
            *(f"cafile {ca_file}", f"certfile {certificate}", f"keyfile {key}"),
            *("require_certificate true", "use_identity_as_username true"),
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


def trouble_with(to: BrokerAddress, **more: object) -> tuple[Trouble | None, str]:
    """What the link says of a broker that it must not come up with."""
    said: list[tuple[Trouble | None, str]] = []

    async def main() -> None:
        async with linked(to, **more) as link:
            await until(lambda: link.last_problem, 20)
            assert link.connects == 0
            said.append((link.trouble, link.last_problem))

    run(main())
    return said[0]


def found(to: BrokerAddress, *, by_mqtt: bool = False) -> str:
    """What `doctor` says of it, which is bad."""
    answers: list[str] = []

    async def main() -> None:
        finding = (
            await checks.mqtt(to.host, to.port, to.tls, to.protocol, to.client_id)
            if by_mqtt
            else await checks.tls(to.host, to.port, to.tls)
        )
        assert finding.level is Level.BAD
        assert finding.hint
        answers.append(f"{finding.sentence}; {finding.hint}")

    run(main())
    return answers[0]


def test_a_broker_of_another_authority_is_refused(secure: Callable[..., Secured]) -> None:
    world = secure()
    to = world.address(ca=Authority("another authority").file(world.folder / "other.pem"))
    trouble, words = trouble_with(to)
    assert trouble is Trouble.CERTIFICATE
    assert "not signed by the authority in uplink.ca" in words
    assert words == found(to)


def test_a_broker_with_an_expired_certificate_is_refused(secure: Callable[..., Secured]) -> None:
    to = secure((-30, -2)).address()
    trouble, words = trouble_with(to)
    assert trouble is Trouble.CLOCK
    assert "has expired" in words
    assert "if that date is right" in words
    assert datetime.now(UTC).date().isoformat() in words
    assert words == found(to)


def test_a_certificate_of_tomorrow_may_be_the_brokers_fault_or_the_clocks(secure: Callable[..., Secured]) -> None:
    """The node's own certificate lies in the past, so nothing proves the clock wrong."""
    to = secure((2, 30)).address()
    trouble, words = trouble_with(to)
    assert trouble is Trouble.CLOCK
    assert "not valid yet" in words
    assert "clock is behind" not in words
    assert words == found(to)


@pytest.mark.parametrize("years", [1, 7])
def test_a_node_whose_clock_is_years_behind_is_told_that_it_is_its_clock(
    secure: Callable[..., Secured], years: int
) -> None:
    """As seen from such a clock: everybody's certificates lie in the future, the node's own among them."""
    days = (years * 365, years * 365 + 90)
    world = secure(days, ca_days=(-1, 365 * 20))
    own = world.ca.issue(world.folder, "node-b", server=False, days=days)
    to = world.address(client=own)
    trouble, words = trouble_with(to)
    assert trouble is Trouble.CLOCK
    assert "this node's clock is behind" in words
    assert "chronyc" in words
    assert words == found(to)


def test_a_node_with_an_expired_certificate_is_told_so(secure: Callable[..., Secured]) -> None:
    world = secure()
    to = world.address(client=world.ca.issue(world.folder, "node-b", server=False, days=(-30, -2)))
    trouble, words = trouble_with(to)
    assert trouble is Trouble.CERTIFICATE
    assert "this node's own certificate ended on" in words
    assert words == found(to, by_mqtt=True)


def test_a_node_that_the_brokers_authority_did_not_sign_is_told_so(secure: Callable[..., Secured]) -> None:
    """TLS 1.3: the broker refuses it only after the handshake."""
    world = secure()
    to = world.address(client=Authority("another").issue(world.folder, "node-c", server=False))
    trouble, words = trouble_with(to)
    assert trouble is Trouble.CERTIFICATE
    assert "refuse this node's certificate" in words
    assert words == found(to, by_mqtt=True)


def test_a_broker_by_another_name_is_refused(secure: Callable[..., Secured]) -> None:
    to = secure(server_names=("broker.example",)).address()
    trouble, words = trouble_with(to)
    assert trouble is Trouble.CERTIFICATE
    assert "for another name" in words
    assert words == found(to)


def test_a_port_that_speaks_no_tls_is_told(tmp_path: Path) -> None:
    broker = Broker(tmp_path / "plain", ["allow_anonymous true"])
    broker.start()
    try:
        ca = Authority("test authority")
        tls = Tls(ca.file(tmp_path / "ca.pem"), *ca.issue(tmp_path, "node-a", server=False))
        trouble, words = trouble_with(address(broker, host="localhost", tls=tls))
    finally:
        broker.stop()
    assert trouble is not None
    assert words


def test_a_wrong_clock_that_is_put_right_is_all_it_takes(secure: Callable[..., Secured]) -> None:
    """No restart: the next attempt sees the certificate as valid. Here the certificate changes, not the clock."""
    world = secure((-30, -2))

    async def main() -> None:
        async with linked(world.address()) as link:
            await until(lambda: link.trouble is Trouble.CLOCK)
            world.broker.stop()
            world.ca.issue(world.folder, "server", server=True)
            world.broker.start()
            await up(link)
            assert link.trouble is None

    run(main())


def test_large_messages_through_tls_both_ways_and_slowly(secure: Callable[..., Secured]) -> None:
    """Bytes that TLS holds and no selector sees, and a socket that is full, must not stall the line."""
    world = secure()

    async def main() -> None:
        async with Relay("127.0.0.1", world.broker.port, delay_s=0.02) as relay:
            slow = BrokerAddress("localhost", relay.port, Tls(world.ca_file, *world.client), 4, 30, "node")
            got: list[int] = []

            class Into:
                def take(self, _topic: str, payload: bytes) -> None:
                    got.append(len(payload))

            async with linked(slow, Into(), f"{ROOT}/read") as link:  # type: ignore[arg-type]
                await up(link)
                sizes = [60_000 + n for n in range(80)]
                await asyncio.gather(*(link.publish(Message(f"{ROOT}/read", bytes(size))) for size in sizes))
                await until(lambda: len(got) == len(sizes))
                assert sorted(got) == sizes

    run(main())


def test_certificates_that_cannot_be_read_are_the_operators_to_mend(tmp_path: Path) -> None:
    ca = Authority("test authority")
    certificate, key = ca.issue(tmp_path, "node-a", server=False)
    with pytest.raises(Misconfigured):
        Tls(tmp_path / "absent.pem", certificate, key).context()
    _, other_key = ca.issue(tmp_path, "node-b", server=False)
    with pytest.raises(Misconfigured) as caught:
        Tls(ca.file(tmp_path / "ca.pem"), certificate, other_key).context()
    assert "PRIVATE" not in str(caught.value)
