"""Calls that are reset or refused in any number: the log has few lines, which have the numbers."""

import asyncio
import logging

import grpc
import pytest

from coordinator.grpc import status
from fedau2.logs import MINUTE, Seldom
from fedau2.wire.methods import DEVICE
from tests.coordinator import conftest as tools

MANY = 100
REQUESTS = {"no request": [], "no message": [b"\xff\xff\xff"]}


async def waiting():
    """Requests that never come."""
    await asyncio.sleep(3600)
    yield b""


async def reset(address, many):
    """Begins many calls of each method, and resets them before they have a request."""
    async with grpc.aio.insecure_channel(address) as channel:
        for method in DEVICE:
            calls = [channel.stream_stream(method.path)(waiting()) for _ in range(many)]
            await asyncio.gather(*(call.wait_for_connection() for call in calls))
            for call in calls:
                call.cancel()
            await asyncio.gather(*(call.code() for call in calls))


async def refused(address, requests, many):
    """Makes many calls of each method that are refused; returns their statuses."""
    async with grpc.aio.insecure_channel(address) as channel:
        calls = [channel.stream_stream(method.path)(iter(requests)) for method in DEVICE for _ in range(many)]
        return {(await call.code()).name for call in calls}


@pytest.fixture
def said(caplog, monkeypatch):
    """The lines of the log from INFO on, and a clock for them."""
    now = [0.0]
    monkeypatch.setattr(status, "REFUSED", Seldom(lambda: now[0]))
    caplog.set_level(logging.INFO)

    def lines(later=0.0):
        now[0] += later
        texts = [record.getMessage() for record in caplog.records]
        caplog.clear()
        return texts

    return lines


def test_streams_that_are_reset_do_not_fill_the_log(tmp_path, said):
    async def run():
        async with tools.open_lab(tmp_path, "grpc") as lab:
            said()
            await reset(lab.link.devices_address, MANY)
            assert (await lab.check_in()).HasField("rejection"), "honest devices are answered"
            return said()

    assert asyncio.run(run()) in ([], ["refused: InvalidRequestError"])


@pytest.mark.parametrize("name", REQUESTS)
def test_the_number_of_refused_calls_is_said_once_a_minute(tmp_path, said, name):
    many = 20

    async def run():
        async with tools.open_lab(tmp_path, "grpc") as lab:
            said()
            address = lab.link.devices_address
            assert await refused(address, REQUESTS[name], many) == {"INVALID_ARGUMENT"}
            first = said(MINUTE)
            await refused(address, REQUESTS[name], 1)
            return first, said()

    calls = len([*DEVICE])
    first, later = asyncio.run(run())
    assert first == ["refused: InvalidRequestError"]
    assert later == [f"refused: InvalidRequestError, {many * calls} times since the last such line"]


def test_kinds_are_counted_apart():
    now = [0.0]
    seldom = Seldom(lambda: now[0])
    assert [seldom.count(kind) for kind in ("a", "a", "b", "a", "b")] == [1, 0, 1, 0, 0]
    now[0] = MINUTE
    assert [seldom.count(kind) for kind in ("b", "a", "a")] == [2, 3, 0]
