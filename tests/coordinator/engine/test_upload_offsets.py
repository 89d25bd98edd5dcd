"""Uploads that go on where they broke off: the same contribution, counted once, and few bytes come twice."""

import asyncio
import tempfile
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fedau2.v1.device_pb2 import UploadContributionRequest
from fedau2.wire import blobs
from fedau2.wire.status import Status
from tests.coordinator.refusals import refused, undisturbed


async def cut(lab, assignment, data, end, offset=0):
    """Uploads a contribution up to some byte."""
    part = lab.upload(assignment, data[:end], sha256=blobs.sha256(data), size=len(data), offset=offset)
    await refused(part, Status.UNAVAILABLE, "ended before")


@asynccontextmanager
async def broken_off(tools, folder, transport="inproc", end=9):
    """A lab with an upload that broke off after some bytes."""
    async with tools.open_lab(folder, transport, clock := tools.Clock()) as lab:
        lab.clock, lab.data = clock, tools.make_contribution(0)
        lab.task_id, lab.sha256 = await lab.create(), blobs.sha256(lab.data)
        lab.lease = await lab.assignment()
        await cut(lab, lab.lease, lab.data, end)
        yield lab


def kept(lab):
    """Bytes that the coordinator still has in memory."""
    return lab.coordinator.devices._uploads._memory.offset(lab.lease.assignment_id, lab.sha256)


@settings(deadline=None, max_examples=20)
@given(lengths=st.lists(st.integers(0, 120), max_size=8))
def test_wherever_it_is_cut_a_contribution_counts_once_and_no_byte_comes_twice(tools, lengths):
    data, came = tools.make_contribution(0), 0

    async def main(folder):
        nonlocal came
        async with tools.open_lab(folder) as lab:
            task_id, assignment = await lab.create(), await lab.assignment()
            for length in lengths:
                assert await lab.offset(assignment, blobs.sha256(data)) == came
                end = min(came + length, len(data) - 1)
                await cut(lab, assignment, data, end, offset=came)
                came = end
            offset = await lab.offset(assignment, blobs.sha256(data))
            for _ in range(2):
                await lab.upload(assignment, data, offset=offset)
            assert offset == came
            assert (await lab.task(task_id)).reported == 1
            await lab.contribute([1, 2])
            task = await lab.committed(task_id, 1)
            assert task.checkpoint.sha256 == tools.expected_checkpoint([[0, 1, 2]])

    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(main(Path(folder)))


def test_an_upload_goes_on_where_it_broke_off(tools, tmp_path, transport):
    async def main():
        async with broken_off(tools, tmp_path, transport) as lab:
            offset = await lab.offset(lab.lease, lab.sha256)
            assert offset == 9
            await lab.upload(lab.lease, lab.data, offset=offset)
            await lab.contribute([1, 2])
            task = await lab.committed(lab.task_id, 1)
            assert task.checkpoint.sha256 == tools.expected_checkpoint([[0, 1, 2]])

    asyncio.run(main())


def test_an_upload_goes_on_while_its_broken_connection_seems_to_live(tools, tmp_path):
    async def main():
        async with tools.open_lab(tmp_path) as lab:
            await lab.create()
            assignment, data, reached = await lab.assignment(), tools.make_contribution(0), asyncio.Event()

            async def stalled():
                yield await anext(tools.upload_requests(assignment.assignment_id, data))
                yield UploadContributionRequest(data=data[:9])
                reached.set()
                await asyncio.Event().wait()

            older = asyncio.create_task(lab.link.upload_call(stalled()))
            await reached.wait()
            assert await lab.offset(assignment, blobs.sha256(data)) == 9
            await refused(older, Status.UNAVAILABLE, "newer call")
            assert (await lab.upload(assignment, data, offset=9)).HasField("next_check_in")

    asyncio.run(main())


@pytest.mark.parametrize("offset", [1, 8, 10, 10**6])
def test_an_upload_that_goes_on_elsewhere_is_refused_and_may_begin_again(tools, tmp_path, transport, offset):
    async def main():
        async with undisturbed(tools, tmp_path, transport) as lab:
            data = tools.make_contribution(1)
            await cut(lab, lab.lease, data, 9)
            await refused(lab.upload(lab.lease, data, offset=offset), Status.OUT_OF_RANGE, "begin at 0")

    asyncio.run(main())


def test_another_contribution_does_not_go_on_with_the_bytes_of_the_first(tools, tmp_path, transport):
    async def main():
        async with broken_off(tools, tmp_path, transport) as lab:
            other = tools.make_contribution(1)
            assert await lab.offset(lab.lease, blobs.sha256(other)) == 0
            await refused(lab.upload(lab.lease, other, offset=9), Status.OUT_OF_RANGE, "begin at 0")
            assert await lab.offset(lab.lease, lab.sha256) == 0
            await lab.upload(lab.lease, other)

    asyncio.run(main())


def test_bytes_that_turn_out_wrong_are_not_kept(tools, tmp_path):
    async def main():
        async with broken_off(tools, tmp_path) as lab:
            wrong = lab.upload(lab.lease, bytes(len(lab.data)), sha256=lab.sha256, offset=9)
            await refused(wrong, Status.INVALID_ARGUMENT, "damaged")
            assert await lab.offset(lab.lease, lab.sha256) == 0
            await lab.upload(lab.lease, lab.data)

    asyncio.run(main())


async def lease_over(lab):
    lab.clock.now += 100


async def given_back(lab):
    await lab.fail(lab.lease)


async def round_closed(lab):
    await lab.contribute([1, 2, 3])


async def task_stopped(lab):
    await lab.stop(lab.task_id)


@pytest.mark.parametrize("over", [lease_over, given_back, round_closed, task_stopped])
def test_what_can_count_no_more_is_not_kept(tools, tmp_path, over):
    async def main():
        async with broken_off(tools, tmp_path) as lab:
            assert kept(lab) == 9
            await over(lab)
            assert await lab.offset(lab.lease, lab.sha256) == 0
            lab.coordinator.devices.tick(lab.clock())
            assert kept(lab) == 0

    asyncio.run(main())


def test_a_coordinator_that_was_started_anew_takes_the_whole(tools, tmp_path):
    async def main():
        async with broken_off(tools, tmp_path) as lab:
            lease, data = lab.lease, lab.data
        async with tools.open_lab(tmp_path, clock=lab.clock) as lab:
            assert await lab.offset(lease, blobs.sha256(data)) == 0
            await refused(lab.upload(lease, data, offset=9), Status.OUT_OF_RANGE, "begin at 0")
            await lab.upload(lease, data)
            assert (await lab.only_task()).reported == 1

    asyncio.run(main())


def test_of_a_stranger_nothing_is_held(tools, tmp_path, transport):
    async def main():
        async with broken_off(tools, tmp_path, transport) as lab:
            stranger = type(lab.lease)(assignment_id=b"stranger")
            assert await lab.offset(stranger, lab.sha256) == 0

    asyncio.run(main())
