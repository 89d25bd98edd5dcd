"""The log of a coordinator as JSON: a device's attribute, items and token are in no line, whatever it sends."""

import asyncio
import json
import logging

import grpc
import pytest

from fedau2 import logs
from fedau2.v1 import device_pb2, device_pb2_grpc
from fedau2.wire import blobs, contributions
from fedau2.wire.status import StatusError

SECRET = "an-unmistakable-secret"
KEYS = {"time", "level", "logger", "message", "exception", "trace"}


def parsed(lines):
    return [json.loads(line) for line in lines if line.startswith("{")]


def test_a_coordinator_logs_objects_without_what_devices_send(tools, tmp_path):
    process = tools.Process(tmp_path / "state", "--log-format", "json", "--log-level", "DEBUG")

    async def devices():
        async with tools.connect(process.devices, process.admin) as lab:
            task_id = await lab.create()
            await lab.contribute([0, 1, 2])
            await lab.committed(task_id, 1)
            lease = await lab.assignment()
            updates = {**tools.make_updates(0), SECRET: tools.make_updates(0)["tower"]}
            for data in (SECRET.encode(), contributions.encode(updates)):
                with pytest.raises(StatusError):
                    await lab.upload(lease, data)
            with pytest.raises(StatusError):
                await lab.check_in(SECRET * 9)
            with pytest.raises(StatusError):
                await lab.fetch(SECRET.encode())
            with pytest.raises(StatusError):
                await lab.pause(SECRET)
            return lease.assignment_id

    assignment = asyncio.run(devices())
    asyncio.run(with_token(process.devices))
    code, log = process.end(process.child.terminate)
    assert code == 0
    lines = parsed(log.splitlines())
    assert len(lines) == len(log.splitlines()), log
    for line in lines:
        assert {"time", "level", "logger", "message"} <= line.keys() <= KEYS
    assert {"coordinator.engine.durability", "coordinator.grpc.status"} <= {line["logger"] for line in lines}
    for secret in (SECRET, assignment.hex(), "movie-0"):
        assert secret not in log


async def with_token(address):
    """Shows a token with a call that is answered and one that is refused."""
    token = (("authorization", f"Bearer {SECRET}"),)
    async with grpc.aio.insecure_channel(address) as channel:
        stub = device_pb2_grpc.DeviceServiceStub(channel)
        await stub.CheckIn(device_pb2.CheckInRequest(population="x"), metadata=token)
        with pytest.raises(grpc.aio.AioRpcError):
            await stub.CheckIn(device_pb2.CheckInRequest(), metadata=token)


def test_a_fault_that_quotes_a_device_is_logged_by_its_type(tools, tmp_path, monkeypatch, caplog):
    def broken(*_):
        raise RuntimeError(SECRET)

    async def run():
        async with tools.open_lab(tmp_path, "grpc") as lab:
            monkeypatch.setattr(type(lab.coordinator.devices._durability), "check", broken)
            with pytest.raises(StatusError):
                await lab.fetch(blobs.sha256(b""))
            monkeypatch.undo()

    monkeypatch.setattr(caplog.handler, "formatter", logs.JsonLines())
    with caplog.at_level(logging.ERROR):
        asyncio.run(run())
    (line,) = parsed(caplog.text.splitlines())
    assert (line["message"], line["exception"]) == ("a call failed", "builtins.RuntimeError")
    assert any("test_json_logs.py" in place and place.endswith(" broken") for place in line["trace"])
    assert SECRET not in caplog.text
