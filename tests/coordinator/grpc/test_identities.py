"""An identity that calls too often is turned away over real TLS, whichever coordinator it calls; others are not."""

import asyncio

import grpc
import pytest

from fedau2.v1.device_pb2 import CheckInRequest, FetchResourceRequest
from fedau2.v1.device_pb2_grpc import DeviceServiceStub
from fedau2.wire.status import RETRY_METADATA
from tests import certificates
from tests.coordinator import conftest as tools
from tests.coordinator.grpc import pairs

ANNA_AGAIN = certificates.make(authority=pairs.AUTHORITY, names=(), common="anna")


@pytest.fixture
def files(tmp_path):
    pairs.write(tmp_path)
    return tmp_path


async def answers(address, person, count, fetched=None):
    """Makes calls, and returns what each was answered."""
    said = []
    async with pairs.channel(address, person) as channel:
        stub = DeviceServiceStub(channel)
        for _ in range(count):
            try:
                if fetched is None:
                    await stub.CheckIn(CheckInRequest(population="movies"), timeout=20)
                else:
                    async for _ in stub.FetchResource(FetchResourceRequest(sha256=fetched), timeout=20):
                        pass
                said.append("OK")
            except grpc.aio.AioRpcError as error:
                said.append(error.details())
                if "too often" in error.details():
                    assert RETRY_METADATA in dict(iter(error.trailing_metadata()))  # noqa: PT017
    return said


def test_a_certificate_is_turned_away_by_its_subject_and_the_log_does_not_name_it(files, caplog):
    options = {"devices_tls": pairs.tls(files, "devices"), "clock": tools.Clock(), "identity_calls": 3}

    async def run():
        async with pairs.pair(files, **options) as pair:
            leader, other = pair.leader.devices, pair.stand_by.devices
            limited = "this identity checks in too often; try again later"
            assert await answers(leader, pairs.ANNA, 2) == ["OK"] * 2
            assert await answers(other, ANNA_AGAIN, 3) == ["OK", limited, limited]
            assert await answers(other, pairs.VERA, 3) == ["OK"] * 3
            fetches = await answers(leader, pairs.ANNA, 5, bytes(32))
            assert ["too often" in text for text in fetches] == [False] * 3 + [True] * 2
            options["clock"].now += 20.0
            assert await answers(leader, pairs.ANNA, 2) == ["OK", limited]
            sample = pair.coordinator.metrics.registry.get_sample_value
            counted = [sample("fedau2_limited_calls_total", {"limit": kind}) for kind in ("check_in", "fetch")]
            assert counted == [3, 2]

    asyncio.run(run())
    assert caplog.text.count("calls of an identity are turned away: limit check_in") == 1
    assert "anna" not in caplog.text


def test_devices_that_show_nothing_are_not_counted(files):
    async def run():
        async with tools.open_lab(files, "grpc", identity_calls=1) as lab:
            assert [(await lab.check_in()).WhichOneof("result") for _ in range(5)] == ["rejection"] * 5

    asyncio.run(run())
