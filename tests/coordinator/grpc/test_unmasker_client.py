"""Calls to an unmasker: over TLS with certificates of both, and what is made of wrong answers."""

import asyncio
from contextlib import closing
from dataclasses import replace

import pytest

from coordinator.engine.hidden_sum import Frozen
from coordinator.engine.unmasking import HiddenRound, Unmasker
from coordinator.errors import SettingError, UnmaskerError
from coordinator.grpc.unmasker_client import ClientTls, UnmaskerClient, identity
from fedau2.v1.unmasker_pb2 import SumMember
from tests import certificates
from tests.coordinator import hidden
from unmasker import Books, StateFolder
from unmasker import Unmasker as RealUnmasker
from unmasker.engine.turns import Turns
from unmasker.grpc.server import Servers, Tls

AUTHORITY = certificates.make(names=())


@pytest.fixture
def files(tmp_path):
    for name, pair in (("server", {}), ("client", {"names": (), "common": "coordinator"})):
        key, certificate = certificates.make(authority=AUTHORITY, **pair)
        (tmp_path / f"{name}.key").write_bytes(key)
        (tmp_path / f"{name}.pem").write_bytes(certificate)
    (tmp_path / "authority.pem").write_bytes(AUTHORITY[1])
    return tmp_path


@pytest.fixture
def real(tmp_path):
    folder = StateFolder(tmp_path / "unmasker")
    with closing(RealUnmasker(Books.make(folder, None, lambda: 1_800_000_000.0), hidden.RULES)) as made:
        made.key_file = folder.public_key
        yield made


def a_round(real):
    made = hidden.bundle(real.books.keys.public.identity)
    data = made.manifest.SerializeToString(deterministic=True)
    return HiddenRound(bytes(16), 3, data, made.manifest.checkpoint.sha256, made.manifest)


def calling(real, run, tls=None, client_tls=None):
    """Runs a function with a client of the served unmasker."""

    async def main():
        with closing(Turns(real)) as turns:
            servers = await Servers.start(turns, "127.0.0.1:0", "127.0.0.1:0", (None, tls))
            port = servers.coordinators.rpartition(":")[2]
            client = UnmaskerClient(f"localhost:{port}", client_tls)
            try:
                return await run(client)
            finally:
                await client.close()
                await servers.stop()

    return asyncio.run(main())


def test_both_ends_show_certificates(files, real):
    tls = Tls(files / "server.pem", files / "server.key", files / "authority.pem")
    shown = ClientTls(files / "authority.pem", files / "client.pem", files / "client.key")
    known = Unmasker(identity(real.key_file), None)

    async def opened(client):
        known._calls = client
        return await known.open_round(a_round(real), None)

    key, head = calling(real, opened, tls, shown)
    assert key.round == 3
    assert head.size > 0
    with pytest.raises(UnmaskerError, match="UNAVAILABLE"):
        calling(real, opened, tls, replace(shown, certificate=None, key=None))
    with pytest.raises(SettingError, match="cannot be read"):
        replace(shown, key=files / "nothing").read()
    with pytest.raises(SettingError, match="unmasker_tls_key"):
        replace(shown, key=files / "server.key").read()


def test_a_renewed_certificate_is_shown_without_a_restart(files, real):
    tls = Tls(files / "server.pem", files / "server.key", files / "authority.pem")
    shown = ClientTls(files / "authority.pem", files / "client.pem", files / "client.key")
    good = [path.read_bytes() for path in (shown.certificate, shown.key)]
    stranger = certificates.make(names=())

    def write(certificate, key):
        shown.certificate.write_bytes(certificate)
        shown.key.write_bytes(key)

    async def answers(client):
        for pair in (stranger[::-1], good):
            write(*pair)
            try:
                yield (await client.status()).keys.identity
            except UnmaskerError as error:
                yield error.code

    async def called(client):
        return [answer async for answer in answers(client)]

    assert calling(real, called, tls, shown) == ["UNAVAILABLE", real.books.keys.public.identity]


def test_another_unmaskers_word_is_not_taken(real):
    async def opened(client):
        return await Unmasker(bytes(32), client).open_round(a_round(real), None)

    with pytest.raises(UnmaskerError, match="signed by no unmasker"):
        calling(real, opened)


def test_what_is_refused_keeps_its_status(real):
    async def opened(client):
        known = Unmasker(real.books.keys.public.identity, client)
        key, _ = await known.open_round(a_round(real), None)
        members = tuple(SumMember(lease=bytes([n] * 16), digest=bytes(32), canary=b"c", sealed=b"s") for n in range(3))
        await known.open_sum(a_round(real), key, Frozen(members, b""))

    with pytest.raises(UnmaskerError, match="fewer than 64") as caught:
        calling(real, opened)
    assert caught.value.code == "FAILED_PRECONDITION"


def test_a_file_that_is_not_a_key_is_refused(tmp_path):
    (tmp_path / "key").write_text("no key")
    with pytest.raises(SettingError, match="unmasker_key"):
        identity(tmp_path / "key")
