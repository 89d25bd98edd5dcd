"""The addresses that a coordinator serves on: what it prints can be called, and what is in use is left alone."""

import asyncio
from contextlib import asynccontextmanager

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from coordinator.errors import CoordinatorError
from coordinator.grpc.server import Servers
from fedau2.wire import addresses


@asynccontextmanager
async def serving(devices, admin="127.0.0.1:0"):
    servers = await Servers.start(addresses.check_served(devices), addresses.check_served(admin))
    try:
        yield servers
    finally:
        await servers.stop()


async def answers(address):
    async with grpc.aio.insecure_channel(*addresses.channel(address)) as channel:
        response = await health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(), timeout=60)
        return response.status == health_pb2.HealthCheckResponse.UNKNOWN  # it starts


@pytest.mark.parametrize("address", ["127.0.0.1:0", "localhost:0", "[::1]:0", "unix:a.sock", "unix:o%41d ?#%2F.sock"])
def test_what_it_prints_can_be_called_from_anywhere(tmp_path, monkeypatch, address):
    async def run():
        async with serving(address, "unix:admin.sock") as servers:
            monkeypatch.chdir("/")
            assert await answers(servers.devices)
            assert await answers(servers.admin)

    monkeypatch.chdir(tmp_path)
    asyncio.run(run())
    assert list(tmp_path.iterdir()) == []  # its sockets are gone


def test_a_socket_in_use_is_left_to_its_coordinator(tmp_path):
    address = f"unix:{tmp_path}/d.sock"

    async def run():
        async with serving(address) as first:
            for devices, admin in ((address, "127.0.0.1:0"), ("127.0.0.1:0", address)):
                with pytest.raises(CoordinatorError, match="another process serves there"):
                    async with serving(devices, admin):
                        pass
            assert await answers(first.devices)
            assert (tmp_path / "d.sock").is_socket()

    asyncio.run(run())


def test_a_socket_that_a_killed_coordinator_left_is_replaced(tools, tmp_path):
    address = f"unix:{tmp_path}/d.sock"
    process = tools.Process(tmp_path / "state", "--listen", address)
    assert process.devices == address
    process.end(process.child.kill)
    assert (tmp_path / "d.sock").is_socket()

    async def run():
        async with serving(address) as servers:
            assert await answers(servers.devices)

    asyncio.run(run())


def test_a_port_in_use_is_refused():
    async def run():
        async with serving("127.0.0.1:0") as first:
            with pytest.raises(CoordinatorError, match=f"cannot serve on {first.devices}"):
                async with serving(first.devices):
                    pass

    asyncio.run(run())
