"""The web address: what is printed can be called, TLS, and the end of the server."""

import asyncio
import signal
import socket
import ssl
import sys
from dataclasses import replace

import pytest

pytest.importorskip("connectrpc", reason="the extra web is not installed")

from coordinator.cli import main
from coordinator.errors import CoordinatorError, SettingError
from coordinator.grpc.tls import Tls
from coordinator.web.server import WebServer
from fedau2.v1 import device_pb2
from fedau2.wire.status import Status
from tests import certificates
from tests.coordinator.refusals import refused
from tests.coordinator.web.caller import OverWeb
from tests.coordinator.web.labs import open_web


@pytest.mark.parametrize("address", ["127.0.0.1:0", "localhost:0", "[::1]:0"])
def test_what_it_prints_can_be_called(tmp_path, address):
    async def run():
        async with open_web(tmp_path, address=address) as lab:
            assert lab.web.address.rpartition(":")[0] == address.rpartition(":")[0]
            assert (await lab.check_in()).HasField("rejection")

    asyncio.run(run())


def test_a_unix_socket_for_a_proxy(tmp_path):
    path = tmp_path / "web.sock"

    async def run():
        async with open_web(tmp_path / "state", address=f"unix:{path}") as lab:
            reader, writer = await asyncio.open_unix_connection(path)
            writer.write(b"POST /nowhere HTTP/1.1\r\nHost: x\r\nContent-Type: application/proto\r\n\r\n")
            assert (await reader.readline()).startswith(b"HTTP/1.1 404")
            writer.close()
            with pytest.raises(CoordinatorError, match="another process serves there"):
                await WebServer.start(lab.web.address, lambda: None)

    asyncio.run(run())
    assert not path.exists()


def test_a_port_in_use_is_refused(tmp_path):
    async def run():
        async with open_web(tmp_path) as lab:
            with pytest.raises(CoordinatorError, match=f"cannot serve the web on {lab.web.address}"):
                await WebServer.start(lab.web.address, lambda: None)

    asyncio.run(run())


@pytest.fixture
def tls(tmp_path):
    """Files for TLS that ask for devices' certificates or not, and the context of a caller."""

    def files(asked):
        authority = certificates.make(signs=True)
        for name, data in zip(("key", "certificate"), certificates.make(), strict=True):
            (tmp_path / f"{name}.pem").write_bytes(data)
        (tmp_path / "authority.pem").write_bytes(authority[1])
        context = ssl.create_default_context(cafile=tmp_path / "certificate.pem")
        names = (tmp_path / "certificate.pem", tmp_path / "key.pem")
        return Tls(*names, tmp_path / "authority.pem" if asked else None), context, authority

    return files


def test_it_serves_with_the_files_of_the_device_address(tmp_path, tls):
    files, context, _ = tls(asked=False)

    async def run():
        async with open_web(tmp_path / "state", tls=replace(files), context=context) as lab:
            assert (await lab.check_in()).HasField("rejection")
            with pytest.raises((ConnectionError, OSError)):
                await OverWeb(lab.web.address).check_in_call(device_pb2.CheckInRequest(population="movies"))

    asyncio.run(run())
    files.key.write_bytes(certificates.make()[0])
    with pytest.raises(SettingError, match="is the key of another certificate"):
        asyncio.run(run())


def test_it_asks_for_devices_certificates_if_they_are_required(tmp_path, tls):
    files, context, authority = tls(asked=True)
    key, certificate = certificates.make(authority=authority)
    (tmp_path / "device.pem").write_bytes(key + certificate)

    async def run():
        async with open_web(tmp_path / "state", tls=files, context=context) as lab:
            with pytest.raises((ssl.SSLError, ConnectionError)):
                await lab.check_in()
            context.load_cert_chain(tmp_path / "device.pem")
            assert (await lab.check_in()).HasField("rejection")

    asyncio.run(run())


def test_files_that_are_replaced_are_used_from_the_next_connection_on(tmp_path, tls):
    files, context, authority = tls(asked=True)
    shown, other = certificates.make(authority=authority), certificates.make(signs=True)

    async def seen(lab, trusted, device):
        (tmp_path / "trusted.pem").write_bytes(trusted)
        (tmp_path / "device.pem").write_bytes(b"".join(device))
        asking = ssl.create_default_context(cafile=tmp_path / "trusted.pem")
        asking.load_cert_chain(tmp_path / "device.pem")
        try:
            answer = await OverWeb(lab.web.address, context=asking).check_in_call(
                device_pb2.CheckInRequest(population="movies")
            )
        except (ssl.SSLError, ConnectionError, OSError):
            return False
        return answer.HasField("rejection")

    async def run():
        async with open_web(tmp_path / "state", tls=files, context=context) as lab:
            before = files.certificate.read_bytes()
            answers = [await seen(lab, before, shown)]
            key, certificate = certificates.make()
            files.certificate.write_bytes(certificate)  # its key is not there yet
            answers += [await seen(lab, before, shown), await seen(lab, certificate, shown)]
            files.key.write_bytes(key)
            files.client_authorities.write_bytes(other[1])
            answers += [await seen(lab, before, shown), await seen(lab, certificate, shown)]
            return [*answers, await seen(lab, certificate, certificates.make(authority=other))]

    assert asyncio.run(run()) == [True, True, False, False, False, True]


def test_a_drain_turns_check_ins_away_and_takes_contributions(tools, tmp_path):
    async def run():
        async with open_web(tmp_path) as lab:
            await lab.create()
            lease, data = await lab.assignment(), tools.make_contribution(0)
            await lab.part(lease, data, 0, 9)
            await lab.coordinator.drain()
            await refused(lab.check_in(), Status.UNAVAILABLE, "is shutting down")
            assert (await lab.part(lease, data, 9)).HasField("done")

    asyncio.run(run())


def test_a_call_under_way_is_answered_before_the_server_ends(tools, tmp_path):
    async def run():
        async with open_web(tmp_path, upload_memory=1) as lab:
            await lab.create()
            lease, data, uploads = await lab.assignment(), tools.make_contribution(0), lab.coordinator.devices._uploads
            idle = await asyncio.open_connection("127.0.0.1", int(lab.web.address.split(":")[1]))
            header = device_pb2.UploadHeader(assignment_id=b"other", size=2**20)
            async with uploads.body(header, 2**20, lab.coordinator._clock(), 2000.0):
                part = asyncio.create_task(lab.part(lease, data))
                while not uploads._waiting:
                    await asyncio.sleep(0.001)
                ending = asyncio.create_task(lab.web.stop())
                assert await idle[0].read() == b""
            assert (await part).HasField("done")
            await ending
            with pytest.raises(ConnectionError):
                await lab.check_in()
            idle[1].close()

    asyncio.run(run())


def test_without_the_packages_the_extra_is_named(tmp_path, monkeypatch, capsys):
    for name in list(sys.modules):
        if name.startswith(("coordinator.web", "connectrpc")):
            monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "connectrpc", None)
    arguments = ["serve", "--state", str(tmp_path / "state"), "--web", "127.0.0.1:0"]
    for more in ([], ["--check"]):
        assert main([*arguments, *more]) == 1
        said = capsys.readouterr()
        assert said.err == "fedau2-coordinator: connectrpc is not installed: it needs pip install 'fedau2[web]'\n"
        assert said.out == ""
    assert not (tmp_path / "state").exists()


def test_serve_prints_the_address_and_ends_on_a_signal(tools, tmp_path):
    process = tools.Process(tmp_path / "state", "--web", "127.0.0.1:0", "--web-origin", "*")
    web = process._address("web")

    async def run():
        answer = await OverWeb(web).check_in_call(device_pb2.CheckInRequest(population="movies"))
        assert answer.HasField("rejection")

    asyncio.run(run())
    with socket.create_connection(web.split(":")):  # it says nothing
        code, errors = process.end(lambda: process.child.send_signal(signal.SIGTERM))
    assert code == 0
    assert "Traceback" not in errors
