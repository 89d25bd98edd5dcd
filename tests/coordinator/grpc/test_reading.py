"""A request that does not come holds little, for a short time, and counts among the calls of its address."""

import asyncio

import grpc
import pytest
from grpc_health.v1.health_pb2 import HealthCheckRequest
from grpc_health.v1.health_pb2_grpc import HealthStub

from coordinator.bench.relay import relay
from coordinator.grpc import reading
from coordinator.model.limits import AddressLimits
from fedau2.v1.device_pb2 import CheckInRequest
from fedau2.v1.device_pb2_grpc import DeviceServiceStub
from fedau2.wire import methods
from fedau2.wire.status import RETRY_METADATA
from tests.coordinator import conftest as tools

ONE_REQUEST = [method for method in methods.DEVICE if not method.takes_stream]
CHECK_IN = next(method for method in ONE_REQUEST if method.name == "CheckIn")


async def nothing():
    await asyncio.Event().wait()
    yield b""


def stalled(channel, path=CHECK_IN.path):
    """Begins a call whose request does not come."""
    return channel.stream_stream(path)(nothing())


async def refused(call):
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        async for _ in call:
            pass
    assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
    return caught.value


@pytest.mark.parametrize("method", ONE_REQUEST, ids=lambda method: method.name)
def test_a_request_that_does_not_come_is_cut_off_and_its_device_asked_to_come_back(tmp_path, monkeypatch, method):
    monkeypatch.setattr(reading, "TIME", 0.01)

    async def run():
        async with (
            tools.open_lab(tmp_path, "grpc") as lab,
            grpc.aio.insecure_channel(lab.link.devices_address) as channel,
        ):
            error = await refused(stalled(channel, method.path))
            assert error.details() == "the request did not come in time; send it again"
            assert RETRY_METADATA in dict(iter(error.trailing_metadata()))

    asyncio.run(run())


def test_of_too_many_requests_on_their_way_the_oldest_are_cut_off_and_devices_are_answered(tmp_path, monkeypatch):
    monkeypatch.setattr(reading, "MOST", 3)
    monkeypatch.setattr(reading, "YOUNG", 0.0)

    async def run():
        async with (
            tools.open_lab(tmp_path, "grpc") as lab,
            grpc.aio.insecure_channel(lab.link.devices_address) as channel,
        ):
            await lab.create()
            calls = [stalled(channel) for _ in range(20)]
            ends = [asyncio.ensure_future(refused(call)) for call in calls]
            while sum(end.done() for end in ends) < 17:
                assert (await lab.check_in()).WhichOneof("result")
            assert (await lab.check_in()).WhichOneof("result")
            assert sum(end.done() for end in ends) <= 18
            for end in ends:
                end.cancel()

    asyncio.run(run())


async def under_way(limits, address, count):
    """Waits until so many calls of an address have come."""
    while (use := limits._known(address)) is None or use.calls < count:
        await asyncio.sleep(0)


@pytest.mark.parametrize("call", ["request", "health", "reflection"])
def test_a_call_that_waits_counts_before_it_has_a_request(tmp_path, call):
    async def begin(channel):
        if call == "health":
            watch = HealthStub(channel).Watch(HealthCheckRequest())
            await watch.read()
            return watch
        path = CHECK_IN.path if call == "request" else "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo"
        return stalled(channel, path)

    async def run():
        limits = AddressLimits(calls=2)
        async with tools.open_lab(tmp_path, "grpc", limits=limits) as lab:
            await lab.create()
            async with (
                relay(lab.link.devices_address, "127.0.0.2") as address,
                grpc.aio.insecure_channel(address) as channel,
            ):
                waiting = [await begin(channel) for _ in range(2)]
                await under_way(limits, "127.0.0.2", 2)
                with pytest.raises(grpc.aio.AioRpcError, match="too many calls of this network address"):
                    await DeviceServiceStub(channel).CheckIn(CheckInRequest(population="movies"), timeout=20)
                for each in waiting:
                    each.cancel()
                assert (await lab.check_in()).WhichOneof("result")

    asyncio.run(run())
