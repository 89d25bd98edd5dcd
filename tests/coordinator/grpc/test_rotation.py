"""Certificates that expire or are replaced in the middle of a round: what was begun is finished, nothing is lost."""

import asyncio
from contextlib import asynccontextmanager, nullcontext

import grpc
import pytest

from coordinator.engine.coordinator import Coordinator
from coordinator.grpc.server import Servers
from coordinator.grpc.tls import Tls
from fedau2.wire.status import StatusError
from tests import certificates
from tests.coordinator import conftest as tools

AUTHORITY, NEXT = certificates.make(names=()), certificates.make(names=())
EXPIRED = certificates.make(since=-2, until=-1, authority=AUTHORITY)


def write(folder, key, certificate):
    (folder / "key.pem").write_bytes(key)
    (folder / "certificate.pem").write_bytes(certificate)


@asynccontextmanager
async def device(servers, admin, authority):
    """A device on a connection of its own, which trusts an authority."""
    secured = grpc.ssl_channel_credentials(authority[1])
    address, options = f"localhost:{servers.devices.rpartition(':')[2]}", [("grpc.use_local_subchannel_pool", 1)]
    async with grpc.aio.secure_channel(address, secured, options) as channel:
        yield tools.Lab(tools.OverGrpc(channel, admin))


@pytest.mark.parametrize("between", [certificates.make(authority=NEXT), EXPIRED], ids=["other authority", "expired"])
def test_a_round_goes_on_over_a_certificate_that_is_replaced(tmp_path, between):
    write(tmp_path, *certificates.make(authority=AUTHORITY))
    tls = Tls(tmp_path / "certificate.pem", tmp_path / "key.pem")

    async def run():
        async with await Coordinator.open(tmp_path / "state", clock=tools.Clock()) as coordinator:
            servers = await Servers.start("127.0.0.1:0", "127.0.0.1:0", tls)
            try:
                await servers.serve(coordinator)
                async with grpc.aio.insecure_channel(servers.admin) as admin:
                    await take_part(servers, admin)
            finally:
                await servers.stop()

    async def take_part(servers, admin):
        async with device(servers, admin, AUTHORITY) as first, device(servers, admin, AUTHORITY) as second:
            task_id = await first.create(tools.make_bundle(rounds=1, closing=tools.closing(3)))
            places = [await first.assignment(), await second.assignment(), await second.assignment()]
            write(tmp_path, *between)
            await first.upload(places[0], tools.make_contribution(0))  # its connection goes on
            async with device(servers, admin, AUTHORITY) as new:
                # An expired certificate is not put in the place of a good one.
                with nullcontext() if between is EXPIRED else pytest.raises(StatusError):
                    await new.check_in()
            write(tmp_path, *certificates.make(authority=NEXT))
            async with device(servers, admin, NEXT) as new:  # the app trusts the next authority too
                await new.upload(places[1], tools.make_contribution(1))
            write(tmp_path, *certificates.make(authority=AUTHORITY))
            async with device(servers, admin, AUTHORITY) as new:
                await new.upload(places[2], tools.make_contribution(2))
            await first.committed(task_id, 1)

    asyncio.run(run())
