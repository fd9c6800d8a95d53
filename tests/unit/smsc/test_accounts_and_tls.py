"""Several accounts that never meet, and listeners that speak TLS."""

import datetime
import ssl

import pytest
from console.smsc import SmscConfig
from console.smsc.config import read_config_file
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from pydantic import SecretStr, ValidationError
from unit.smsc.raw_esme import DELIVER_SM, SUBMIT_SM, RawEsme, message_id, receipt_field, submit_body

OTHER = {"system_id": "other", "password": SecretStr("word"), "max_binds": 1}


async def test_each_account_gets_its_own_receipts_and_inbound_messages(start_smsc):
    smsc = await start_smsc(accounts=[OTHER])
    async with await RawEsme.connect(smsc.port) as one, await RawEsme.connect(smsc.port) as other:
        assert (await one.bind(1)).status == 0
        assert (await other.bind(system_id="other", password="word")).status == 0
        answer = await other.ask(SUBMIT_SM, 2, submit_body())
        receipt = await other.read()
        assert receipt_field(receipt, "id") == message_id(answer)
        smsc.inject("33600000001", "36180", "for the first")
        smsc.inject("33600000001", "36180", "for the other", account="other")
        assert b"for the first" in (await one.read()).body
        assert b"for the other" in (await other.read()).body
        with pytest.raises(TimeoutError):
            await one.read(0.1)
    assert smsc.history.rows()[0].account == "other"


async def test_passwords_and_limits_belong_to_their_account(start_smsc):
    smsc = await start_smsc(accounts=[OTHER])
    async with await RawEsme.connect(smsc.port) as first, await RawEsme.connect(smsc.port) as second:
        assert (await first.bind(system_id="other", password="secret")).status == 0x0E
        assert (await first.bind(system_id="nobody", password="word")).status == 0x0F
        assert (await first.bind(system_id="other", password="word")).status == 0
        assert (await second.bind(system_id="other", password="word")).status == 0x0D
        assert (await second.bind()).status == 0


async def test_receipts_left_by_one_account_wait_for_it(start_smsc):
    smsc = await start_smsc(accounts=[OTHER])
    async with await RawEsme.connect(smsc.port) as one, await RawEsme.connect(smsc.port) as other:
        await one.bind()
        await other.bind(2, system_id="other", password="word")
        answer = await other.ask(SUBMIT_SM, 2, submit_body())
        assert smsc.waiting()["outbox"] <= 1
        with pytest.raises(TimeoutError):
            await one.read(0.15)
        assert smsc.waiting()["outbox"] == 1
    async with await RawEsme.connect(smsc.port) as other:
        await other.bind(1, system_id="other", password="word")
        assert receipt_field(await other.read(), "id") == message_id(answer)


async def test_an_unknown_account_and_a_name_given_twice_are_refused(start_smsc):
    smsc = await start_smsc()
    with pytest.raises(ValueError, match="account"):
        smsc.inject("33600000001", "36180", "x", account="nobody")
    with pytest.raises(ValidationError, match="same system_id"):
        await start_smsc(accounts=[{**OTHER, "system_id": "relais"}])


def test_a_file_names_where_the_password_of_an_account_is_and_never_holds_it(tmp_path, monkeypatch):
    path = tmp_path / "smsc.yaml"
    path.write_text("accounts: [{system_id: other, password_from: OTHER_PASSWORD}]\n")
    with pytest.raises(ValueError, match="OTHER_PASSWORD"):
        read_config_file(path)
    monkeypatch.setenv("OTHER_PASSWORD", "word")
    assert read_config_file(path)["accounts"] == [{"system_id": "other", "password": "word"}]
    path.write_text("accounts: [{system_id: other, password: word}]\n")
    with pytest.raises(ValueError, match="password_from"):
        read_config_file(path)


@pytest.fixture(scope="session")
def certificates(tmp_path_factory):
    """An authority (ca.pem), a server's certificate and a client's by it, and a stranger's by itself."""
    folder = tmp_path_factory.mktemp("certificates")
    authority = ec.generate_private_key(ec.SECP256R1())
    write(folder, "ca", authority, certify("authority", authority, "authority", authority))
    for name in ("server", "client"):
        key = ec.generate_private_key(ec.SECP256R1())
        write(folder, name, key, certify(name, key, "authority", authority))
    stranger = ec.generate_private_key(ec.SECP256R1())
    write(folder, "stranger", stranger, certify("stranger", stranger, "stranger", stranger))
    return folder


def certify(name, key, issuer, issuer_key):
    now = datetime.datetime.now(datetime.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]))
        .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, issuer)]))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=name == issuer, path_length=None), critical=True)
        .sign(issuer_key, hashes.SHA256())
    )


def write(folder, name, key, certificate):
    (folder / f"{name}.pem").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    (folder / f"{name}.key").write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )


def client(certificates, name=None):
    context = ssl.create_default_context(cafile=str(certificates / "ca.pem"))
    if name:
        context.load_cert_chain(certificates / f"{name}.pem", certificates / f"{name}.key")
    return {"ssl": context, "server_hostname": "localhost"}


def server(certificates, **more):
    return {"certificate": certificates / "server.pem", "key": certificates / "server.key", **more}


async def test_a_message_and_its_receipt_travel_through_tls(start_smsc, certificates):
    smsc = await start_smsc(tls=server(certificates))
    async with await RawEsme.connect(smsc.port, **client(certificates)) as esme:
        assert (await esme.bind()).status == 0
        assert (await esme.ask(SUBMIT_SM, 2, submit_body())).status == 0
        assert (await esme.read()).command == DELIVER_SM


async def test_a_plain_client_and_one_that_does_not_trust_the_authority_get_nowhere(start_smsc, certificates):
    smsc = await start_smsc(tls=server(certificates))
    with pytest.raises(ssl.SSLCertVerificationError):
        await RawEsme.connect(smsc.port, ssl=ssl.create_default_context(), server_hostname="localhost")
    async with await RawEsme.connect(smsc.port) as esme:
        with pytest.raises((EOFError, ConnectionError)):
            await esme.bind()
    assert smsc.counters.binds == 0


async def test_a_listener_with_a_client_authority_takes_only_its_clients(start_smsc, certificates):
    smsc = await start_smsc(tls=server(certificates, client_ca=certificates / "ca.pem"))
    async with await RawEsme.connect(smsc.port, **client(certificates, "client")) as esme:
        assert (await esme.bind()).status == 0
    for name in (None, "stranger"):
        with pytest.raises((EOFError, OSError)):  # in TLS 1.3 the refusal comes after the client's handshake
            async with await RawEsme.connect(smsc.port, **client(certificates, name)) as esme:
                await esme.bind()
    assert smsc.counters.binds == 1


async def test_a_link_dies_in_the_middle_of_a_response_through_tls_too(start_smsc, certificates):
    smsc = await start_smsc(tls=server(certificates), script="link_dies_in_a_response")
    async with await RawEsme.connect(smsc.port, **client(certificates)) as esme:
        await esme.bind(2)
        for sequence in range(2, 51):
            assert (await esme.ask(SUBMIT_SM, sequence, submit_body())).status == 0
        with pytest.raises((EOFError, ConnectionError)):
            await esme.ask(SUBMIT_SM, 51, submit_body())
    assert len(smsc.acts) == 1
    assert len(smsc.history) == 50


def test_a_missing_certificate_is_refused_before_anything_listens(certificates):
    with pytest.raises(ValidationError, match="certificate"):
        SmscConfig(system_id="x", password="x", tls={"certificate": "/nowhere.pem", "key": certificates / "ca.key"})
