"""Callers who open more than they use: the coordinator goes on, and loses nothing."""

import asyncio
import resource
import socket
from contextlib import aclosing
from pathlib import Path

import pytest

from coordinator.engine import blob_reader
from coordinator.grpc import writing
from fedau2.v1 import device_pb2
from fedau2.wire import addresses, blobs
from fedau2.wire.status import Status, StatusError

FILES = 64
"""Open files that the coordinator of a test may have."""


def open_files(process):
    return len(list(Path(f"/proc/{process.child.pid}/fd").iterdir()))


async def use_up(process):
    """Opens connections that say nothing, until the coordinator can open no further file."""
    idle = []
    while open_files(process) < FILES:
        if len(idle) < 2 * FILES:
            idle.append(socket.create_connection(addresses.served(process.devices)))
        await asyncio.sleep(0)
    return idle


def said(process, words):
    while words not in (line := process.child.stderr.readline()):
        assert line, "it has ended"


def test_an_upload_waits_for_idle_connections_to_end(tools, tmp_path):
    process = tools.Process(tmp_path / "state")

    async def run():
        async with tools.connect(process.devices, process.admin) as lab:
            task_id = await lab.create(tools.make_bundle(rounds=1, closing=tools.closing(1)))
            assignment = await lab.assignment()
            resource.prlimit(process.child.pid, resource.RLIMIT_NOFILE, (FILES, FILES))
            idle = await use_up(process)
            upload = asyncio.create_task(lab.upload(assignment, tools.make_contribution(0)))
            await asyncio.to_thread(said, process, "too many open files")
            assert not upload.done()
            for connection in idle:
                connection.close()
            assert (await upload).HasField("next_check_in")
            await lab.committed(task_id, 1)

    try:
        asyncio.run(run())
    finally:
        code, _ = process.end(process.child.terminate)
    assert code == 0


def test_fetches_that_nobody_reads_take_no_open_files_and_have_a_limit(tools, tmp_path, monkeypatch):
    monkeypatch.setattr(blob_reader, "MOST", 20)

    async def run():
        async with tools.open_lab(tmp_path) as lab:
            await lab.create(tools.make_bundle())
            request = device_pb2.FetchResourceRequest(sha256=(await lab.assignment()).checkpoint.sha256)
            descriptors = Path("/proc/self/fd")
            before, calls = len(list(descriptors.iterdir())), []
            for _ in range(20):
                calls.append(lab.coordinator.devices.fetch_resource(request))
                await anext(calls[-1])
            assert len(list(descriptors.iterdir())) == before + 1
            with pytest.raises(StatusError, match="too many fetches") as refused:
                await lab.fetch(request.sha256)
            assert (refused.value.status, bool(refused.value.retry)) == (Status.UNAVAILABLE, True)
            for call in calls:
                async with aclosing(call):
                    pass
            assert len(list(descriptors.iterdir())) == before
            assert blobs.sha256(await lab.fetch(request.sha256)) == request.sha256

    asyncio.run(run())


def test_more_calls_than_a_connection_may_have_at_a_time_are_all_answered(tools, tmp_path):
    async def run():
        async with tools.open_lab(tmp_path, "grpc") as lab:
            await lab.create()
            answers = await asyncio.gather(*(lab.check_in() for _ in range(1500)))  # each raises if it is refused
            assert {answer.WhichOneof("result") for answer in answers} == {"assignment", "rejection"}

    asyncio.run(run())


def test_a_fetch_that_nobody_reads_ends_and_frees_its_place(tools, tmp_path, monkeypatch):
    monkeypatch.setattr(writing, "SILENCE", 0.01)

    async def run():
        async with tools.open_lab(tmp_path, "grpc") as lab:
            served = lab.coordinator.devices._blobs
            digest = served._served.put(b"x" * 2**26).sha256  # more than any flow-control window
            call = lab.link.fetch_call(device_pb2.FetchResourceRequest(sha256=digest))
            await anext(call)
            while served._under_way:
                await asyncio.sleep(0.001)
            with pytest.raises(StatusError, match="nothing was read") as ended:
                async for _ in call:
                    pass
            assert (ended.value.status, bool(ended.value.retry)) == (Status.UNAVAILABLE, True)

    asyncio.run(run())
