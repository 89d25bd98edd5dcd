"""Every RPC on every address: each address answers the calls of its own people, and knows no others."""

import asyncio

import grpc
import pytest

from coordinator.grpc.server import ADMIN
from fedau2.wire import methods
from tests.coordinator import conftest as tools
from tests.coordinator import statuses

EVERY = [*methods.DEVICE, *ADMIN]


async def code(address, method):
    async with grpc.aio.insecure_channel(address) as channel:
        return await statuses.of_call(channel, method)


@pytest.mark.parametrize("port", ["devices", "admin"])
def test_an_address_knows_the_calls_of_its_own_service_alone(tmp_path, port):
    async def run():
        async with await tools.Coordinator.open(tmp_path) as coordinator:
            servers = await tools.Servers.start("127.0.0.1:0", "127.0.0.1:0")
            try:
                await servers.serve(coordinator)
                return {method.path: await code(getattr(servers, port), method) for method in EVERY}
            finally:
                await servers.stop()

    answers = asyncio.run(run())
    known = {path for path, answer in answers.items() if answer is not grpc.StatusCode.UNIMPLEMENTED}
    assert known == {method.path for method in (methods.DEVICE if port == "devices" else ADMIN)}
    assert not {grpc.StatusCode.UNKNOWN, grpc.StatusCode.INTERNAL} & set(answers.values())
