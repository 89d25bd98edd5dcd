"""The files for TLS are read and compared before anything is served."""

import asyncio
import contextlib
import re
import ssl
import warnings
from dataclasses import replace

import grpc
import pytest
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, load_pem_private_key
from cryptography.x509.oid import ExtendedKeyUsageOID

from coordinator.cli import main
from coordinator.errors import SettingError
from coordinator.grpc.server import Servers
from coordinator.grpc.tls import Tls
from fedau2.v1.device_pb2 import CheckInRequest
from fedau2.v1.device_pb2_grpc import DeviceServiceStub
from tests import certificates

KEY, CERTIFICATE = certificates.make()


@pytest.fixture
def tls(tmp_path):
    """Writes the files."""

    def write(key=KEY, certificate=CERTIFICATE):
        (tmp_path / "key.pem").write_bytes(key)
        (tmp_path / "certificate.pem").write_bytes(certificate)
        return Tls(tmp_path / "certificate.pem", tmp_path / "key.pem")

    return write


def test_files_that_belong_together_can_be_used(tls):
    tls().check()
    tls(certificate="Kommentar mit Ümlaut\n".encode() + CERTIFICATE).check()
    tls(certificate=CERTIFICATE + certificates.make()[1]).check()  # a chain


ENCRYPTED = certificates.pem(load_pem_private_key(KEY, None), BestAvailableEncryption(b"x"))
OTHER = certificates.make()


@pytest.mark.parametrize(
    ("key", "certificate", "message"),
    [
        (OTHER[0], CERTIFICATE, r"tls_key .*key\.pem is the key of another certificate than"),
        (KEY, OTHER[1] + CERTIFICATE, "is the key of another certificate than"),
        (ENCRYPTED, CERTIFICATE, r"tls_key .*key\.pem is encrypted"),
        (KEY, b"", r"tls_certificate .*certificate\.pem holds no certificate in PEM"),
        (KEY, b"\x30\x82\xff", "holds no certificate in PEM"),
        (CERTIFICATE, KEY, "holds no certificate in PEM"),
        (CERTIFICATE, CERTIFICATE, r"tls_key .*key\.pem holds no private key in PEM"),
        (b"", CERTIFICATE, "holds no private key in PEM"),
        (KEY[:-80], CERTIFICATE, "cannot be used"),
        (KEY, CERTIFICATE[:-80], "cannot be used"),
        (*certificates.make(since=-2, until=-1), r"certificate\.pem expired on .* GMT: renew it"),
        (*certificates.make(since=1, until=2), r"certificate\.pem is not valid before .* GMT"),
        (*certificates.make(names=[]), "names no host in its subjectAltName"),
    ],
)
def test_what_is_wrong_with_them_is_named(tls, key, certificate, message):
    with pytest.raises(SettingError, match=message):
        tls(key, certificate).check()


@pytest.mark.parametrize("name", ["key", "certificate"])
@pytest.mark.parametrize("spoil", [lambda path: path.unlink(), lambda path: (path.unlink(), path.mkdir())])
def test_a_file_that_cannot_be_read_is_named(tls, name, spoil):
    files = tls()
    spoil(getattr(files, name))
    with pytest.raises(SettingError, match=rf"tls_{name} .*{name}\.pem cannot be read"):
        files.check()


def test_the_check_of_settings_reads_them(tls, tmp_path, capsys):
    serve = ["serve", "--check", "--state", str(tmp_path / "state")]
    flags = ["--tls-certificate", str(tls().certificate), "--tls-key", str(tls().key)]
    assert main([*serve, *flags]) == 0
    tls(*OTHER[:1])
    assert main([*serve, *flags]) == 1
    assert "another certificate" in capsys.readouterr().err
    assert not (tmp_path / "state").exists()


def test_a_server_uses_them(tls):
    async def call():
        servers = await Servers.start("127.0.0.1:0", "127.0.0.1:0", tls())
        credentials = grpc.ssl_channel_credentials(CERTIFICATE)
        try:
            async with grpc.aio.secure_channel(servers.devices, credentials) as channel:
                with pytest.raises(grpc.aio.AioRpcError, match="the coordinator is starting"):
                    await DeviceServiceStub(channel).CheckIn(CheckInRequest(population="movies"))
        finally:
            await servers.stop()

    asyncio.run(call())


AUTHORITY = certificates.make()
DEVICE = certificates.make(authority=AUTHORITY, names=[], purpose=ExtendedKeyUsageOID.CLIENT_AUTH)


@pytest.mark.parametrize(
    ("pair", "answer"), [(DEVICE, "the coordinator is starting"), ((None, None), "connect"), (OTHER, "connect")]
)
def test_devices_must_show_a_certificate_of_the_authorities(tls, tmp_path, pair, answer):
    (tmp_path / "devices.pem").write_bytes(OTHER[1] + AUTHORITY[1] if pair == DEVICE else AUTHORITY[1])
    files = replace(tls(), client_authorities=tmp_path / "devices.pem")

    async def call():
        servers = await Servers.start("127.0.0.1:0", "127.0.0.1:0", files)
        try:
            async with grpc.aio.secure_channel(
                servers.devices, grpc.ssl_channel_credentials(CERTIFICATE, *pair)
            ) as channel:
                with pytest.raises(grpc.aio.AioRpcError, match=answer):
                    await DeviceServiceStub(channel).CheckIn(CheckInRequest(population="movies"))
        finally:
            await servers.stop()

    asyncio.run(call())


@pytest.mark.parametrize(
    ("content", "message"),
    [(b"", "no certificate in PEM is in tls_client_ca"), (KEY, "no certificate in PEM"), (None, "cannot be read")],
)
def test_authorities_that_cannot_be_read_are_named(tls, tmp_path, content, message):
    path = tmp_path / "devices.pem"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(SettingError, match=message) as raised:
        replace(tls(), client_authorities=path).check()
    assert f"tls_client_ca {path}" in str(raised.value)


def test_certificates_of_devices_need_tls(tmp_path, capsys):
    assert main(["serve", "--check", "--state", str(tmp_path / "state"), "--tls-client-ca", "devices.pem"]) == 1
    assert "it needs tls_certificate and tls_key" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("newest", "spoken"), [(ssl.TLSVersion.MAXIMUM_SUPPORTED, "TLSv1.3"), (ssl.TLSVersion.TLSv1_1, None)]
)
def test_the_newest_tls_is_spoken_and_an_old_one_is_not(tls, newest, spoken):
    context = ssl.create_default_context(cadata=CERTIFICATE.decode())
    context.set_alpn_protocols(["h2"])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the old version
        context.minimum_version, context.maximum_version = ssl.TLSVersion.TLSv1, newest

    async def call():
        servers = await Servers.start("127.0.0.1:0", "127.0.0.1:0", tls())
        try:
            port = int(servers.devices.rpartition(":")[2])
            _, writer = await asyncio.open_connection("localhost", port, ssl=context)
            writer.close()
            return writer.get_extra_info("ssl_object").version()
        except (ssl.SSLError, ConnectionError):
            return None
        finally:
            await servers.stop()

    assert asyncio.run(call()) == spoken


def test_handshakes_that_fail_do_not_fill_the_log(tls, tools, tmp_path):
    """Without a certificate, with one of a stranger, and in plaintext."""
    (tmp_path / "devices.pem").write_bytes(AUTHORITY[1])
    files = tls()
    flags = (
        "--tls-certificate",
        files.certificate,
        "--tls-key",
        files.key,
        "--tls-client-ca",
        tmp_path / "devices.pem",
    )
    process = tools.Process(tmp_path / "state", "--log-level", "INFO", *map(str, flags))

    async def failing(pair):
        context = ssl.create_default_context(cadata=CERTIFICATE.decode())
        if pair is not None:
            (tmp_path / "pair.pem").write_bytes(pair[0] + pair[1])
            context.load_cert_chain(tmp_path / "pair.pem")
        for _ in range(20):
            _, port = process.devices.split(":")
            with contextlib.suppress(ssl.SSLError, ConnectionError):
                reader, writer = await asyncio.open_connection("localhost", int(port), ssl=context)
                await reader.read()  # in TLS 1.3 a client has done its part before it is refused
                writer.close()
        return await asyncio.open_connection("127.0.0.1", int(port))

    async def run():
        for pair in (None, OTHER):
            _, writer = await failing(pair)
            writer.write(b"no handshake")
            writer.close()

    asyncio.run(run())
    code, log = process.end(process.child.terminate)
    assert code == 0
    lines = [line for line in log.splitlines() if "gRPC: " in line or re.match(r"[IWEF]\d{4} ", line)]
    assert any("PEER_DID_NOT_RETURN_A_CERTIFICATE" in line for line in lines), log
    assert len(lines) <= 8, lines
    assert "127.0.0.1" not in "".join(lines)
