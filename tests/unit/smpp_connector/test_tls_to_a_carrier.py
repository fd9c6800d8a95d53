"""TLS to a carrier on loopback: who is believed, what is asked for, what is refused."""

import asyncio
import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from console.smsc import Smsc, SmscConfig, Tls
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from shared.smpp import constants as c
from shared.smpp.pdu import DeliverSm
from smpp_connector.adapters.link import Account, Link, Timers
from smpp_connector.carriers_file import Carrier
from smpp_connector.connector import tls_context
from smpp_connector.domain.waiting_room import Waiting

NAME = "smsc.mercure.example"
TIMERS = Timers(5.0, 5.0, 5.0, 5.0)


class Owner:
    def __init__(self) -> None:
        self.bound = asyncio.Event()

    def link_bound(self, link: Link) -> None:
        self.bound.set()

    def link_closed(self, link: Link) -> None: ...

    def part_answered(
        self, record: Waiting, part: int, status: int, message_id: str | None, latency_s: float
    ) -> None: ...

    def delivered(self, link: Link, pdu: DeliverSm, frame: bytes) -> None: ...

    def writable(self) -> None: ...

    def congested(self, state: int) -> None: ...


class Authority:
    """Signs certificates; files in a directory."""

    def __init__(self, home: Path, name: str) -> None:
        self._home, self._key = home, ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        self.file = home / f"{name}.pem"
        self.file.write_bytes(_pem(self._signed(self._name, self._key.public_key(), authority=True)))

    def issue(self, name: str) -> tuple[Path, Path]:
        """Certificate and key of a host or client."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        certificate, private = self._home / f"{name}.pem", self._home / f"{name}.key"
        certificate.write_bytes(_pem(self._signed(subject, key.public_key(), name=name)))
        form = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        private.write_bytes(key.private_bytes(serialization.Encoding.PEM, *form))
        return certificate, private

    def _signed(self, subject: x509.Name, public: Any, *, name: str = "", authority: bool = False) -> x509.Certificate:
        now = datetime.now(UTC)
        made = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(public)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(hours=1))
            .not_valid_after(now + timedelta(hours=1))
            .add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
        )
        if name:
            made = made.add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        return made.sign(self._key, hashes.SHA256())


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("tls"), "authority")


@pytest.fixture(scope="module")
def server_files(authority: Authority) -> tuple[Path, Path]:
    return authority.issue(NAME)


def simulator(files: tuple[Path, Path], **more: Any) -> Smsc:
    certificate, key = files
    tls = Tls(certificate=certificate, key=key, **more)
    return Smsc(SmscConfig(system_id="relais", password="secret", port=0, control_port=None, tls=tls))  # type: ignore[arg-type]


def carrier(port: int, authority: Authority | None, **more: Any) -> Carrier:
    facts = {
        "id": "mercure",
        "host": "127.0.0.1",
        "port": port,
        "system_id": "relais",
        "password": "secret",
        "tls": True,
    }
    return Carrier(**{**facts, "tls_ca_file": authority.file if authority else None, "tls_server_name": NAME, **more})


async def bind(to: Carrier) -> Link:
    """Bound, or the error that the bind slot would see."""
    owner = Owner()
    account = Account(to.system_id, to.password.get_secret_value(), to.system_type, c.INTERFACE_VERSION_34)
    link = Link(owner, "transceiver", account, TIMERS, asyncio.get_running_loop().time)
    await link.open(
        to.host, to.port, tls_context(to), server_name=to.tls_server_name, from_address=to.from_address
    )  # fmt: skip
    await asyncio.wait(
        [asyncio.ensure_future(owner.bound.wait()), asyncio.ensure_future(link.closed())],
        timeout=5,
        return_when=asyncio.FIRST_COMPLETED,
    )
    return link


async def test_a_carrier_whose_certificate_and_name_verify_is_bound_to(
    authority: Authority, server_files: tuple[Path, Path]
) -> None:
    async with simulator(server_files) as smsc:
        link = await bind(carrier(smsc.port, authority))
        assert link.bound
        link.abort("the test ends")


async def test_another_authority_and_another_name_are_refused(
    authority: Authority, server_files: tuple[Path, Path], tmp_path: Path
) -> None:
    async with simulator(server_files) as smsc:
        for wrong in (
            carrier(smsc.port, Authority(tmp_path, "another")),
            carrier(smsc.port, None),
            carrier(smsc.port, authority, tls_server_name="smsc.iris.example"),
            carrier(smsc.port, authority, tls_server_name=""),
        ):
            with pytest.raises(ssl.SSLCertVerificationError):
                await bind(wrong)
        assert not smsc.sessions()


async def test_a_carrier_that_asks_for_our_certificate_gets_it_and_refuses_whoever_has_none(
    authority: Authority, server_files: tuple[Path, Path]
) -> None:
    certificate, key = authority.issue("relais")
    async with simulator(server_files, client_ca=authority.file) as smsc:
        link = await bind(carrier(smsc.port, authority, tls_certificate_file=certificate, tls_key_file=key))
        assert link.bound
        link.abort("the test ends")
        try:
            without = await bind(carrier(smsc.port, authority))
        except OSError:
            return
        assert not without.bound  # TLS 1.3 tells the refusal only after its handshake


async def _serve(context: ssl.SSLContext) -> asyncio.Server:
    def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.close()

    return await asyncio.start_server(hang_up, "127.0.0.1", 0, ssl=context)


async def test_the_name_is_asked_for_by_sni(authority: Authority, server_files: tuple[Path, Path]) -> None:
    asked: list[str | None] = []
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*server_files)
    context.sni_callback = lambda _, name, __: asked.append(name)
    async with await _serve(context) as server:
        link = await bind(carrier(server.sockets[0].getsockname()[1], authority))
        assert not link.bound
    assert asked == [NAME]


async def test_a_carrier_below_the_minimum_version_is_refused(
    authority: Authority, server_files: tuple[Path, Path]
) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*server_files)
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    async with await _serve(context) as server:
        port = server.sockets[0].getsockname()[1]
        await bind(carrier(port, authority))  # 1.2 is the default
        with pytest.raises((ssl.SSLError, ConnectionError)):  # its alert, or the reset that overtakes it
            await bind(carrier(port, authority, tls_minimum_version="1.3"))


async def test_connections_come_from_the_address_that_the_carrier_lets_in() -> None:
    peers: list[str] = []

    def see(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        peers.append(writer.get_extra_info("peername")[0])
        writer.close()

    async with await asyncio.start_server(see, "127.0.0.1", 0) as server:
        await bind(carrier(server.sockets[0].getsockname()[1], None, tls=False, from_address="127.0.0.9"))
    assert peers == ["127.0.0.9"]
