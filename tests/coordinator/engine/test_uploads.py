"""The limits of uploads under way."""

import asyncio
from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coordinator.engine.uploads import HEADER, PATIENCE, STALL, Uploads
from coordinator.errors import BusyError, CutOffError
from fedau2.v1.device_pb2 import UploadHeader
from fedau2.wire.status import Status, StatusError


def header(key, size=1, offset=0, sha256=b"s" * 32):
    return UploadHeader(assignment_id=key, size=size, sha256=sha256, offset=offset)


async def turns(number=20):
    for _ in range(number):
        await asyncio.sleep(0)


def test_a_header_that_does_not_come_is_waited_for_no_longer_than_told():
    async def main():
        uploads = Uploads(100)

        async def wait():
            async with uploads.header(5.0):
                await asyncio.Event().wait()

        waiting = asyncio.create_task(wait())
        await turns()
        uploads.tick(5.0 + HEADER - 0.1)
        await turns()
        assert not waiting.done()
        assert len(uploads) == 0  # a drain does not wait for it
        uploads.tick(5.0 + HEADER)
        with pytest.raises(CutOffError, match="no header"):
            await waiting

    asyncio.run(main())


def test_a_body_ends_at_its_deadline():
    async def main():
        uploads = Uploads(100)

        async def wait():
            async with uploads.body(header(b"a"), 1, 0.0, 7.0):
                await asyncio.Event().wait()

        waiting = asyncio.create_task(wait())
        await turns()
        assert len(uploads) == 1
        uploads.tick(7.0)
        with pytest.raises(TimeoutError):
            await waiting
        assert len(uploads) == 0

    asyncio.run(main())


def test_an_upload_without_room_is_asked_to_come_back_and_leaves_the_queue():
    async def main():
        uploads, end = Uploads(10), asyncio.Event()

        async def upload(key, now):
            async with uploads.body(header(key), 10, now, 1000.0):
                await end.wait()

        first = asyncio.create_task(upload(b"a", 0.0))
        await turns()
        second, third = asyncio.create_task(upload(b"b", 0.0)), asyncio.create_task(upload(b"c", 5.0))
        await turns()
        uploads.tick(PATIENCE)
        with pytest.raises(BusyError, match="too many uploads") as refused:
            await second
        assert refused.value.retry.HasField("delay_max")
        assert not third.done()
        end.set()
        await asyncio.gather(first, third)
        uploads.tick(PATIENCE + 5.0)
        assert len(uploads) == 0

    asyncio.run(main())


@given(st.lists(st.sampled_from("abc"), min_size=1, max_size=12))
def test_of_the_uploads_of_an_assignment_only_the_newest_goes_on(names):
    async def main():
        uploads, end = Uploads(1000), asyncio.Event()

        async def upload(name):
            async with uploads.body(header(name.encode()), 1, 0.0, 1.0):
                await end.wait()

        tasks = []
        for name in names:
            tasks.append(asyncio.create_task(upload(name)))
            await turns()
            assert len(uploads) == len(set(names[: len(tasks)]))
        end.set()
        results = await asyncio.gather(*tasks, return_exceptions=True)
        for number, (name, result) in enumerate(zip(names, results, strict=True)):
            newest = name not in names[number + 1 :]
            assert result is None if newest else "newer call" in str(result) and isinstance(result, CutOffError)

    asyncio.run(main())


@settings(deadline=None)
@given(
    st.lists(st.tuples(st.integers(1, 60), st.booleans()), min_size=1, max_size=20),
    st.integers(1, 100),
    st.randoms(use_true_random=False),
)
def test_no_more_bytes_than_the_budget_are_under_way_and_everybody_has_a_turn(calls, budget, chance):
    """Each upload has a size; some are given up while they wait or go on."""

    async def main():
        uploads, going, most = Uploads(budget), {}, []
        may_end = {number: asyncio.Event() for number in range(len(calls))}

        async def upload(number, size):
            async with uploads.body(header(bytes([number]), size), size, 0.0, 1.0):
                going[number] = size
                most.append((len(going), sum(going.values())))
                try:
                    await may_end[number].wait()
                finally:
                    del going[number]

        tasks = [asyncio.create_task(upload(number, size)) for number, (size, _) in enumerate(calls)]
        await turns()
        order = list(range(len(calls)))
        chance.shuffle(order)
        for number in order:
            if calls[number][1]:
                tasks[number].cancel()
            may_end[number].set()
            await turns()
        for task in tasks:
            with suppress(asyncio.CancelledError):
                await task
        assert all(size <= budget or count == 1 for count, size in most)
        async with uploads.body(header(b"last", budget), budget, 0.0, 1.0):  # all of it has come back
            pass

    asyncio.run(main())


def test_a_declared_size_that_no_task_needs_keeps_nobody_waiting(tools, tmp_path):
    async def main():
        async with tools.open_lab(tmp_path, upload_memory=1) as lab:
            await lab.create()
            first, second, third = [await lab.assignment() for _ in range(3)]
            data, hold = tools.make_contribution(0), asyncio.Event()

            async def stalling():
                async for request in tools.upload_requests(first.assignment_id, data):
                    yield request
                    await hold.wait()

            upload = asyncio.create_task(lab.coordinator.devices.upload_contribution(stalling()))
            await turns()
            assert lab.coordinator.devices.receiving == 1
            with pytest.raises(StatusError, match="bytes declared") as refused:
                await lab.upload(second, data, size=2**40)
            assert refused.value.status == Status.RESOURCE_EXHAUSTED
            assert (await lab.upload(third, data)).HasField("next_check_in")
            hold.set()
            assert (await upload).HasField("next_check_in")

    asyncio.run(main())


def test_an_upload_that_stalls_is_cut_off_and_one_that_moves_is_not():
    async def main():
        uploads, pieces, now = Uploads(100), asyncio.Queue(), [0.0]

        async def requests():
            while True:
                yield await pieces.get()

        async def read():
            async for _ in uploads.moving(requests(), lambda: now[0]):
                pass

        reading = asyncio.create_task(read())
        for _ in range(5):
            await turns()
            now[0] += STALL - 1
            uploads.tick(now[0])
            await turns()
            assert not reading.done()
            pieces.put_nowait(b"piece")
        await turns()
        uploads.tick(now[0] + STALL)
        with pytest.raises(CutOffError, match="nothing of the upload came"):
            await reading

    asyncio.run(main())
