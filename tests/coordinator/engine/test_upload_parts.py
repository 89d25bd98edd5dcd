"""Uploads in parts: however a contribution is cut, it counts once, as if it had come in one stream."""

import asyncio
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coordinator.engine.streams import PART
from fedau2.v1.device_pb2 import UploadHeader, UploadPartRequest
from fedau2.wire import blobs
from fedau2.wire.status import Status
from tests.coordinator.refusals import refused, undisturbed


async def turns(number=20):
    for _ in range(number):
        await asyncio.sleep(0)


steps = st.one_of(
    st.tuples(st.just("next"), st.integers(1, 200), st.just(0)),
    st.tuples(st.just("again"), st.integers(0, 200), st.integers(1, 200)),
    st.tuples(st.just("beyond"), st.integers(1, 200), st.integers(1, 200)),
    st.tuples(st.just("stream"), st.integers(0, 200), st.just(0)),
    st.tuples(st.just("restart"), st.just(0), st.just(0)),
)


class Upload:
    """A contribution on its way in, and the number of bytes that the coordinator must hold of it."""

    def __init__(self, lab, lease, data):
        self.lab, self.lease, self.data, self.sha256 = lab, lease, data, blobs.sha256(data)
        self.held, self.done = 0, False

    async def part(self, start, length):
        end = min(start + length, len(self.data))
        call = self.lab.part(self.lease, self.data, start, end)
        if start > self.held and not self.done:
            await refused(call, Status.OUT_OF_RANGE, f"only {self.held} bytes .* begin at 0")
            return
        self.held = max(self.held, end)
        self.done |= self.held == len(self.data)
        answer = await call
        assert (answer.offset, answer.HasField("done")) == (len(self.data) if self.done else self.held, self.done)
        assert not self.done or answer.done.HasField("next_check_in")

    async def stream(self, length):
        """Streams from the bytes that are held on, and breaks off."""
        end = min(self.held + length, len(self.data) - 1)
        if not self.done:
            sizes = {"sha256": self.sha256, "size": len(self.data), "offset": self.held}
            await refused(self.lab.upload(self.lease, self.data[:end], **sizes), Status.UNAVAILABLE, "ended before")
            self.held = end

    async def take(self, step, first, second):
        if step == "next":
            await self.part(min(self.held, len(self.data) - 1), first)
        elif step == "again":
            await self.part(min(first, self.held, len(self.data) - 1), second)
        elif step == "beyond":
            await self.part(min(self.held + first, len(self.data) - 1), second)
        elif step == "stream":
            await self.stream(first)
        if not self.done:
            assert await self.lab.offset(self.lease, self.sha256) == self.held


@settings(deadline=None, max_examples=20)
@given(st.lists(steps, max_size=8))
def test_however_it_is_cut_a_contribution_counts_once(tools, steps):
    data, clock = tools.make_contribution(0), tools.Clock()

    async def run(folder):
        upload, waiting = None, [*steps, ("next", len(data), 0), ("next", len(data), 0)]
        while waiting:
            async with tools.open_lab(folder, clock=clock) as lab:
                if upload is None:
                    await lab.create()
                    upload = Upload(lab, await lab.assignment(), data)
                upload.lab, upload.held = lab, len(data) if upload.done else 0
                while waiting and (step := waiting.pop(0))[0] != "restart":
                    await upload.take(*step)
                if not waiting:
                    task = await lab.only_task()
                    assert (upload.done, task.reported) == (True, 1)
                    await lab.contribute([1, 2])
                    task = await lab.committed(task.task_id, 1)
                    assert task.checkpoint.sha256 == tools.expected_checkpoint([[0, 1, 2]])

    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(run(Path(folder)))


def test_parts_over_every_transport(tools, tmp_path, transport):
    async def run():
        async with tools.open_lab(tmp_path, transport) as lab:
            task_id = await lab.create()
            for seed in range(3):
                lease, data = await lab.assignment(), tools.make_contribution(seed)
                assert (await lab.part(lease, data, 0, 50)).offset == 50
                for start in (50, 50, 0):
                    answer = await lab.part(lease, data, start)
                    assert (answer.offset, answer.done.HasField("next_check_in")) == (len(data), True)
            task = await lab.committed(task_id, 1)
            assert task.checkpoint.sha256 == tools.expected_checkpoint([[0, 1, 2]])

    asyncio.run(run())


@pytest.mark.parametrize(
    ("header", "data", "match"),
    [
        ({}, b"", "1 to 1048576 bytes, not 0"),
        ({}, bytes(PART + 1), "not 1048577"),
        ({"sha256": b"x" * 31}, b"x", "32 bytes"),
        ({"size": 1}, b"xy", "more bytes than the declared 1"),
        ({"sha256": bytes(32)}, b"x", "damaged"),
        ({}, b"\xff", "not a Contribution"),
        ({"size": 0}, b"x", "damaged"),
    ],
)
def test_a_part_that_cannot_be_right_is_refused(tools, tmp_path, transport, header, data, match):
    async def run():
        async with undisturbed(tools, tmp_path, transport) as lab:
            await refused(lab.part(lab.lease, data, **header), Status.INVALID_ARGUMENT, match)
            await lab.unchanged()

    asyncio.run(run())


def test_a_size_that_no_contribution_has_is_refused_before_anything_is_kept(tools, tmp_path):
    async def run():
        async with undisturbed(tools, tmp_path) as lab:
            await refused(lab.part(lab.lease, b"x", size=2**63), Status.RESOURCE_EXHAUSTED, "declared")
            assert lab.coordinator.devices.upload_memory == {"lent": 0, "kept": 0}

    asyncio.run(run())


def test_a_request_without_a_header_is_refused(tools, tmp_path, transport):
    async def run():
        async with undisturbed(tools, tmp_path, transport) as lab:
            await refused(lab.link.part_call(UploadPartRequest(data=b"x")), Status.INVALID_ARGUMENT, "32 bytes")

    asyncio.run(run())


async def lease_over(lab):
    lab.clock.now += 100
    return Status.DEADLINE_EXCEEDED, "lease is over"


async def given_back(lab):
    await lab.fail(lab.lease)
    return Status.FAILED_PRECONDITION, "given back"


async def round_closed(lab):
    await lab.contribute([1, 2, 3])
    return Status.ABORTED, "has its contributions"


async def task_stopped(lab):
    await lab.stop(lab.task_id)
    return Status.ABORTED, "was stopped"


async def reported(lab):
    await lab.upload(lab.lease, lab.other)
    return Status.ALREADY_EXISTS, "another contribution"


async def never_given(lab):
    lab.lease = type(lab.lease)(assignment_id=b"s" * 16)
    return Status.NOT_FOUND, "no such assignment"


@pytest.mark.parametrize("end", [lease_over, given_back, round_closed, task_stopped, reported, never_given])
def test_the_refusals_are_those_of_a_stream(tools, tmp_path, transport, end):
    async def run():
        async with tools.open_lab(tmp_path, transport, clock := tools.Clock()) as lab:
            lab.clock, lab.task_id, lab.other = clock, await lab.create(), tools.make_contribution(9)
            lab.lease, data = await lab.assignment(), tools.make_contribution(0)
            await lab.part(lab.lease, data, 0, 9)
            status, match = await end(lab)
            answers = [await refused(lab.part(lab.lease, data, start), status, match) for start in (0, 9, 20)]
            answers.append(await refused(lab.upload(lab.lease, data), status, match))
            assert all(answer.retry is not None for answer in answers)

    asyncio.run(run())


def test_another_contribution_begins_anew(tools, tmp_path):
    async def run():
        async with undisturbed(tools, tmp_path) as lab:
            first, second = tools.make_contribution(5), tools.make_contribution(6)
            await lab.part(lab.lease, first, 0, 9)
            await refused(lab.part(lab.lease, second, 9, 12), Status.OUT_OF_RANGE, "only 0 bytes")
            assert (await lab.part(lab.lease, second, 0, 7)).offset == 7
            await refused(lab.part(lab.lease, first, 9, 12), Status.OUT_OF_RANGE, "only 0 bytes")
            sized = lab.part(lab.lease, second, 7, 12, size=len(second) + 1)
            await refused(sized, Status.OUT_OF_RANGE, "begin at 0")

    asyncio.run(run())


def test_a_part_that_cannot_be_kept_is_not_said_to_be_held(tools, tmp_path):
    """The memory is lent to others as soon as the part has come."""

    async def run():
        async with undisturbed(tools, tmp_path, upload_memory=1) as lab:
            uploads, ends = lab.coordinator.devices._uploads, [asyncio.Event() for _ in range(3)]

            async def other(size, end):
                header = UploadHeader(assignment_id=bytes([ends.index(end)]), size=size)
                async with uploads.body(header, size, lab.coordinator._clock(), 2000.0):
                    await end.wait()

            calls = [
                other(2**20, ends[0]),
                other(2**19, ends[1]),
                lab.part(lab.lease, tools.make_contribution(1), 0, 9),
                other(2**19, ends[2]),
            ]
            tasks = []
            for call in calls:
                tasks.append(asyncio.create_task(call))
                await turns()  # it waits
            ends[0].set()
            refusal = await refused(tasks[2], Status.UNAVAILABLE, "no room to hold a part")
            assert refusal.retry is not None
            assert await lab.offset(lab.lease, blobs.sha256(tools.make_contribution(1))) == 0
            for end in ends:
                end.set()
            await asyncio.gather(*tasks[:2], tasks[3])

    asyncio.run(run())
