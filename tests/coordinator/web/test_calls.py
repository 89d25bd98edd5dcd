"""The calls of devices over HTTP: the same answers as over gRPC."""

import asyncio
import json
import logging

import pytest

pytest.importorskip("connectrpc", reason="the extra web is not installed")

from coordinator.errors import StoppedError
from coordinator.model import pace
from coordinator.web.server import WebServer
from fedau2.v1 import device_pb2
from fedau2.wire import blobs
from fedau2.wire.status import Status, StatusError
from tests.coordinator.refusals import refused
from tests.coordinator.web.caller import OverWeb
from tests.coordinator.web.labs import open_web


async def session(lab, data):
    """A device's session that uploads in parts, as a browser does."""
    lease = await lab.assignment()
    for resource in (lease.manifest, lease.checkpoint):
        assert blobs.resource(await lab.fetch(resource.sha256)) == resource
    offset = await lab.offset(lease, blobs.sha256(data))
    while not (answer := await lab.part(lease, data, offset, offset + 60)).HasField("done"):
        assert answer.offset == offset + 60
        offset = answer.offset
    assert answer.done.HasField("next_check_in")


async def books(lab, task_id):
    """The ledger's summaries of a task, without its id, which is drawn."""
    task, rounds = await lab.committed(task_id, 1), await lab.rounds(task_id)
    for each in (task, *rounds):
        each.ClearField("task_id")
    return task, rounds


def test_sessions_in_parts_end_in_the_same_books_as_streams_over_grpc(tools, tmp_path):
    async def over_web():
        async with open_web(tmp_path / "web") as lab:
            task_id = await lab.create()
            for seed in range(3):
                await session(lab, tools.make_contribution(seed))
            return await books(lab, task_id)

    async def over_grpc():
        async with tools.open_lab(tmp_path / "grpc", "grpc") as lab:
            task_id = await lab.create()
            await lab.contribute([0, 1, 2])
            return await books(lab, task_id)

    task, rounds = asyncio.run(over_web())
    assert (task, rounds) == asyncio.run(over_grpc())
    assert task.checkpoint.sha256 == tools.expected_checkpoint([[0, 1, 2]])


def test_every_other_method_answers_as_over_grpc(tools, tmp_path):
    async def run():
        async with open_web(tmp_path) as lab:
            task_id = await lab.create()
            rejected = await lab.check_in(without_place=True)
            assert rejected.rejection.reason == device_pb2.REJECTION_REASON_NO_PLACE_WANTED
            lease, data = await lab.assignment(), tools.make_contribution(0)
            await refused(
                lab.upload(lease, data[:9], sha256=blobs.sha256(data), size=len(data)), Status.UNAVAILABLE, "ended"
            )
            assert await lab.offset(lease, blobs.sha256(data)) == 9
            assert (await lab.upload(lease, data, offset=9)).HasField("next_check_in")
            assert (await lab.fail(await lab.assignment())).HasField("next_check_in")
            assert (await lab.task(task_id)).reported == 1
            whole = await lab.fetch((await lab.assignment()).checkpoint.sha256)
            assert await lab.fetch(blobs.sha256(whole), offset=5) == whole[5:]
            assert await lab.fetch(blobs.sha256(whole), offset=len(whole)) == b""

    asyncio.run(run())


def test_a_refusal_has_the_status_the_text_and_the_window(tools, tmp_path):
    async def run():
        async with open_web(tmp_path) as lab:
            await lab.create()
            lease, data = await lab.assignment(), tools.make_contribution(9)
            await lab.contribute([0, 1, 2])
            calls = [lambda: lab.part(lease, data), lambda: lab.upload(lease, data), lambda: lab.fail(lease)]
            for call in calls:
                closed = await refused(call(), Status.ABORTED, "the round has its contributions; check in for the next")
                assert closed.retry.delay_max.seconds > 0
            strange = await refused(lab.fetch(bytes(32)), Status.NOT_FOUND, "no blob 000000000000 is served")
            assert strange.retry is None
            await refused(lab.fetch(b"x"), Status.INVALID_ARGUMENT, "32 bytes")
            await refused(lab.check_in(population=""), Status.INVALID_ARGUMENT, "1 to 128 bytes")

    asyncio.run(run())


@pytest.mark.parametrize("method", ["part", "fetch", "upload"])
def test_a_fault_is_logged_and_not_told(tools, tmp_path, monkeypatch, caplog, method):
    def broken(*_):
        raise RuntimeError("secret")

    async def run():
        async with open_web(tmp_path) as lab:
            await lab.create()
            lease, data = await lab.assignment(), tools.make_contribution(0)
            monkeypatch.setattr(type(lab.coordinator.devices._durability), "check", broken)
            call = lab.fetch(bytes(32)) if method == "fetch" else getattr(lab, method)(lease, data)
            fault = await refused(call, Status.INTERNAL, "internal error; the coordinator's log says more")
            assert "secret" not in str(fault)

    with caplog.at_level(logging.ERROR):
        asyncio.run(run())
        monkeypatch.undo()
    assert "secret" in caplog.text


def test_a_call_ends_when_its_caller_says_and_no_part_is_lost(tools, tmp_path):
    async def run():
        async with open_web(tmp_path, upload_memory=1) as lab:
            await lab.create()
            lease, data, uploads = await lab.assignment(), tools.make_contribution(0), lab.coordinator.devices._uploads
            await lab.part(lease, data, 0, 9)
            header = device_pb2.UploadHeader(
                assignment_id=lease.assignment_id, size=len(data), sha256=blobs.sha256(data), offset=9
            )
            body = device_pb2.UploadPartRequest(header=header, data=data[9:]).SerializeToString()
            other = device_pb2.UploadHeader(assignment_id=b"other", size=2**20 - 9)
            async with uploads.body(other, 2**20 - 9, lab.coordinator._clock(), 2000.0):
                answer = await lab.link.post("/fedau2.v1.DeviceService/UploadPart", body, Connect_Timeout_Ms="1")
                assert (answer.status, json.loads(answer.body)["code"]) == (504, "deadline_exceeded")
                assert "trailer-fedau2-retry-window-bin" not in answer.headers
            assert await lab.offset(lease, blobs.sha256(data)) == 9
            assert (await lab.part(lease, data, 9)).HasField("done")

    asyncio.run(run())


def test_while_the_coordinator_starts_it_says_so():
    def starting():
        raise StoppedError("the coordinator is starting; try again later", pace.STARTING.message())

    async def run():
        web = await WebServer.start("127.0.0.1:0", starting)
        try:
            link = OverWeb(web.address)
            call = link.check_in_call(device_pb2.CheckInRequest(population="movies"))
            answer = await refused(call, Status.UNAVAILABLE, "is starting")
            assert answer.retry == pace.STARTING.message()
            with pytest.raises(StatusError, match="is starting"):
                async for _ in link.fetch_call(device_pb2.FetchResourceRequest()):
                    pass
        finally:
            await web.stop()

    asyncio.run(run())
