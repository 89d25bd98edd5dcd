"""What is kept of uploads that broke off, beside the loans of those that are under way."""

import asyncio
from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coordinator.engine.upload_memory import UploadMemory
from coordinator.errors import CutOffError, InvalidContributionError, WrongOffsetError
from fedau2.v1.device_pb2 import UploadHeader

BUDGET = 100
HASHES = [b"x" * 32, b"y" * 32]
BROKEN_OFF = (CutOffError, asyncio.CancelledError)
ENDS = [CutOffError("broke off"), asyncio.CancelledError(), InvalidContributionError("no contribution"), None]


def header(key, size, offset=0, sha256=HASHES[0]):
    return UploadHeader(assignment_id=key, size=size, sha256=sha256, offset=offset)


async def upload(memory, header, come, end):
    """Brings some bytes of an upload, and ends it by an error or, with None, as a whole one or a part of one ends."""
    async with memory.lend(header, header.size) as assembler:
        assert assembler.size == header.offset
        assembler.add(bytes(come))
        if end is not None:
            raise end


calls = st.tuples(
    st.sampled_from([b"a", b"b", b"c"]),
    st.integers(1, 60),
    st.floats(0, 1),
    st.sampled_from(HASHES),
    st.sampled_from(ENDS),
    st.booleans(),
)


@settings(deadline=None)
@given(st.lists(calls, max_size=20), st.integers(0, 40))
def test_what_is_kept_is_the_newest_that_the_budget_has_room_for(calls, busy):
    """One upload is under way all the time. Each of the others begins anew, or goes on with what is kept."""
    kept, sizes = {}, {}

    def room_for(lent):
        while sum(come for _, come in kept.values()) > BUDGET - busy - lent:
            del kept[next(iter(kept))]

    async def main():
        memory = UploadMemory(BUDGET)
        async with memory.lend(header(b"busy", busy), busy):
            for key, size, share, sha256, end, again in calls:
                offset = memory.offset(key, sha256)
                if offset and again:
                    size = sizes[key]
                else:
                    offset = 0
                sizes[key] = size
                come = int(share * (size - offset))
                with suppress(CutOffError, asyncio.CancelledError, InvalidContributionError):
                    await upload(memory, header(key, size, offset, sha256), come, end)
                kept.pop(key, None)
                room_for(size)
                if isinstance(end, BROKEN_OFF) or (end is None and offset + come < size):
                    kept[key] = sha256, offset + come
                    room_for(0)
                for name in (b"a", b"b", b"c"):
                    there = {hashed: memory.offset(name, hashed) for hashed in HASHES}
                    mine, number = kept.get(name, (HASHES[0], 0))
                    assert there == {hashed: number if hashed == mine else 0 for hashed in HASHES}

    asyncio.run(main())


@given(st.integers(1, 9), st.integers(0, 12), st.sampled_from(HASHES), st.sampled_from([10, 11]))
def test_an_upload_goes_on_only_where_the_same_contribution_broke_off(come, offset, sha256, size):
    async def main():
        memory = UploadMemory(BUDGET)
        with suppress(CutOffError):
            await upload(memory, header(b"a", 10), come, CutOffError("broke off"))
        fits = (offset, sha256, size) == (come, HASHES[0], 10)
        if fits or not offset:
            await upload(memory, header(b"a", size, offset, sha256), size - offset, None)
        else:
            with pytest.raises(WrongOffsetError, match="begin at 0"):
                await upload(memory, header(b"a", size, offset, sha256), 0, None)
        assert memory.offset(b"a", HASHES[0]) == 0
        async with memory.lend(header(b"b", BUDGET), BUDGET):  # nothing stays lent
            pass

    asyncio.run(main())


def test_what_an_upload_goes_on_with_is_not_dropped_for_it():
    async def main():
        memory = UploadMemory(BUDGET)
        for key, size in ((b"a", BUDGET), (b"b", BUDGET - 40)):
            with suppress(CutOffError):
                await upload(memory, header(key, size), 40, CutOffError("broke off"))
        assert memory.offset(b"b", HASHES[0]) == 40
        await upload(memory, header(b"a", BUDGET, 40), 60, None)
        assert memory.offset(b"b", HASHES[0]) == 0

    asyncio.run(main())


def test_what_nobody_can_go_on_with_is_forgotten():
    async def main():
        memory = UploadMemory(BUDGET)
        for key in (b"a", b"b"):
            with suppress(CutOffError):
                await upload(memory, header(key, 20), 10, CutOffError("broke off"))
        memory.keep_only(lambda key: key == b"b")
        assert [memory.offset(key, HASHES[0]) for key in (b"a", b"b")] == [0, 10]

    asyncio.run(main())
