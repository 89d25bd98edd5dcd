"""An address that calls too much is turned away over gRPC, and others are not."""

import asyncio

import grpc
import pytest
from grpc.aio import insecure_channel as insecure
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from coordinator.bench.relay import relay
from coordinator.grpc.callers import _address
from coordinator.grpc.server import REFLECTIONS
from coordinator.model.limits import AddressLimits
from fedau2.v1.device_pb2 import CheckInRequest
from fedau2.v1.device_pb2_grpc import DeviceServiceStub
from fedau2.wire.status import RETRY_METADATA
from tests.coordinator import conftest as tools


async def check_ins(channel, count):
    stub, answers = DeviceServiceStub(channel), []
    for _ in range(count):
        try:
            await stub.CheckIn(CheckInRequest(population="movies"), timeout=20)
            answers.append("OK")
        except grpc.aio.AioRpcError as error:
            assert RETRY_METADATA in dict(iter(error.trailing_metadata())), error  # noqa: PT017
            answers.append(error.details())
    return answers


def test_one_address_is_turned_away_and_the_log_names_it_once(tmp_path, caplog):
    async def run():
        options = {"limits": AddressLimits(rate=1.0), "clock": tools.Clock()}
        async with tools.open_lab(tmp_path / "state", "grpc", **options) as lab:
            await lab.create()
            target = lab.link.devices_address
            async with relay(target, "127.0.0.2") as address, grpc.aio.insecure_channel(address) as one:
                answers = await check_ins(one, 14)
                assert answers[:10] == ["OK"] * 10
                assert answers[10:] == ["too many calls come from this network address; try again later"] * 4
            async with relay(target, "127.0.0.3") as address, grpc.aio.insecure_channel(address) as other:
                assert await check_ins(other, 3) == ["OK"] * 3
            assert (await lab.check_in()).WhichOneof("result")
            counted = lab.coordinator.metrics.registry.get_sample_value("fedau2_limited_calls_total", {"limit": "rate"})
            assert counted == 4

    asyncio.run(run())
    assert caplog.text.count("calls of 127.0.0.2 are turned away: limit rate") == 1


def test_calls_for_health_and_reflection_count_too(tmp_path):
    async def run():
        options = {"limits": AddressLimits(calls=3), "clock": tools.Clock()}
        async with (
            tools.open_lab(tmp_path / "state", "grpc", **options) as lab,
            relay(lab.link.devices_address, "127.0.0.2") as address,
            insecure(address) as channel,
        ):
            health = health_pb2_grpc.HealthStub(channel)
            watches = [health.Watch(health_pb2.HealthCheckRequest()) for _ in range(3)]
            assert [(await watch.read()).status for watch in watches] == [health_pb2.HealthCheckResponse.SERVING] * 3
            assert await ended(health.Watch(health_pb2.HealthCheckRequest())) == "UNAVAILABLE"
            reflection = reflection_pb2_grpc.ServerReflectionStub(channel)
            listing = reflection_pb2.ServerReflectionRequest(list_services="")
            assert await ended(reflection.ServerReflectionInfo(iter([listing]))) == "UNAVAILABLE"
            with pytest.raises(grpc.aio.AioRpcError, match="too many calls of this network address are under way"):
                await health.Check(health_pb2.HealthCheckRequest(), timeout=20)
            for watch in watches:
                watch.cancel()
            while await ended(reflection.ServerReflectionInfo(iter([listing]))) != "OK":
                await asyncio.sleep(0)

    asyncio.run(run())


def test_a_reflection_stream_ends_after_some_requests(tmp_path):
    async def run():
        async with tools.open_lab(tmp_path / "state", "grpc") as lab, insecure(lab.link.devices_address) as channel:
            listing = reflection_pb2.ServerReflectionRequest(list_services="")
            call = reflection_pb2_grpc.ServerReflectionStub(channel).ServerReflectionInfo()
            for _ in range(REFLECTIONS):
                await call.write(listing)
                assert (await call.read()).HasField("list_services_response")
            assert await call.read() is grpc.aio.EOF
            assert await call.code() is grpc.StatusCode.OK

    asyncio.run(run())


async def ended(call):
    """The name of the status with which a call ends."""
    try:
        async for _ in call:
            pass
    except grpc.aio.AioRpcError:
        pass
    return (await call.code()).name


@pytest.mark.parametrize(
    ("peer", "address"),
    [
        ("ipv4:192.0.2.1:4711", "192.0.2.1"),
        ("ipv6:%5B2001:db8::1%5D:4711", "2001:db8::1"),
        ("ipv6:[::1]:4711", "::1"),
        ("unix:", ""),
        ("unix:/run/x.sock", ""),
        ("", ""),
    ],
)
def test_peers_are_read_as_grpc_names_them(peer, address):
    assert _address(peer) == address
