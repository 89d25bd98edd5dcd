"""Certificates that expire or are replaced in the middle of a round: what was begun is finished, nothing is lost."""

import asyncio
import time
from contextlib import AsyncExitStack, asynccontextmanager, nullcontext, suppress

import grpc
import pytest

from coordinator.engine.coordinator import Coordinator
from coordinator.grpc.server import Servers
from coordinator.grpc.tls import Tls
from fedau2.wire.status import Status, StatusError
from tests import certificates
from tests.coordinator import conftest as tools

AUTHORITY, NEXT, DEVICES, DEVICES_NEXT = (certificates.make(names=()) for _ in range(4))
EXPIRED = certificates.make(since=-2, until=-1, authority=AUTHORITY)


def write(folder, key, certificate):
    (folder / "key.pem").write_bytes(key)
    (folder / "certificate.pem").write_bytes(certificate)


@asynccontextmanager
async def device(servers, admin, authority, shown=(None, None)):
    """A device on a connection of its own, which trusts an authority and may show a certificate."""
    secured = grpc.ssl_channel_credentials(authority[1], *shown)
    address, options = f"localhost:{servers.devices.rpartition(':')[2]}", [("grpc.use_local_subchannel_pool", 1)]
    async with grpc.aio.secure_channel(address, secured, options) as channel:
        yield tools.Lab(tools.OverGrpc(channel, admin))


@pytest.mark.parametrize("between", [certificates.make(authority=NEXT), EXPIRED], ids=["other authority", "expired"])
def test_a_round_goes_on_over_a_certificate_that_is_replaced(tmp_path, between):
    write(tmp_path, *certificates.make(authority=AUTHORITY))
    tls = Tls(tmp_path / "certificate.pem", tmp_path / "key.pem")

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

    asyncio.run(serving(tmp_path, tls, take_part))


def client(authority, seconds=1e5):
    return certificates.make(until=seconds / 86_400, authority=authority, names=())


async def brief(servers, admin, stack):
    """A device whose certificate ends soon after its check-in, and that end; a slow machine gets more time."""
    for seconds in (2, 4, 8, 16, 32):
        pair, end = client(DEVICES, seconds), time.time() + seconds
        lab = await stack.enter_async_context(device(servers, admin, AUTHORITY, pair))
        with suppress(StatusError):
            return lab, await lab.assignment(), pair, end
    raise AssertionError("no check-in within 32 seconds")


def test_a_devices_certificate_ends_between_its_check_in_and_its_upload(tmp_path):
    tls = mutual(tmp_path)

    async def take_part(servers, admin):
        async with AsyncExitStack() as stack:
            other = await stack.enter_async_context(device(servers, admin, AUTHORITY, client(DEVICES)))
            task_id = await other.create(tools.make_bundle(rounds=1, closing=tools.closing(2)))
            lab, place, expired, end = await brief(servers, admin, stack)
            while time.time() < end + 1:
                await asyncio.sleep(0.05)
            await lab.upload(place, tools.make_contribution(0))  # its connection goes on
            place = await other.assignment()
            async with device(servers, admin, AUTHORITY, expired) as new:
                with pytest.raises(StatusError) as refused:
                    await new.upload(place, tools.make_contribution(1))
                assert refused.value.status == Status.UNAVAILABLE
            async with device(servers, admin, AUTHORITY, client(DEVICES)) as renewed:
                await renewed.upload(place, tools.make_contribution(1))
            task = await other.committed(task_id, 1)
            assert task.checkpoint.sha256 == tools.expected_checkpoint([[0, 1]])

    asyncio.run(serving(tmp_path, tls, take_part))


def test_the_authority_of_devices_is_replaced_in_the_middle_of_a_round(tmp_path):
    tls = mutual(tmp_path)

    async def take_part(servers, admin):
        old, fresh = client(DEVICES), client(DEVICES_NEXT)
        async with device(servers, admin, AUTHORITY, old) as first:
            task_id = await first.create(tools.make_bundle(rounds=1, closing=tools.closing(2)))
            places = [await first.assignment(), await first.assignment()]
            tls.client_authorities.write_bytes(DEVICES_NEXT[1])
            await first.upload(places[0], tools.make_contribution(0))
            async with device(servers, admin, AUTHORITY, old) as late:
                with pytest.raises(StatusError):
                    await late.upload(places[1], tools.make_contribution(1))
            async with device(servers, admin, AUTHORITY, fresh) as new:
                await new.upload(places[1], tools.make_contribution(1))
            await first.committed(task_id, 1)

    asyncio.run(serving(tmp_path, tls, take_part))


def mutual(folder):
    write(folder, *certificates.make(authority=AUTHORITY))
    (folder / "devices.pem").write_bytes(DEVICES[1])
    return Tls(folder / "certificate.pem", folder / "key.pem", folder / "devices.pem")


async def serving(folder, tls, take_part):
    async with await Coordinator.open(folder / "state", clock=tools.Clock()) as coordinator:
        servers = await Servers.start("127.0.0.1:0", "127.0.0.1:0", tls)
        try:
            await servers.serve(coordinator)
            async with grpc.aio.insecure_channel(servers.admin) as admin:
                await take_part(servers, admin)
        finally:
            await servers.stop()
