"""Questions about past assignments: one read at a time, which begins after it was asked for."""

import asyncio

from hypothesis import given, settings
from hypothesis import strategies as st

from coordinator.engine.recall import Recall


@settings(deadline=None)
@given(st.lists(st.lists(st.integers(0, 9), min_size=1, max_size=20), max_size=6))
def test_everybody_is_answered_by_a_read_that_began_after_the_question(groups):
    async def run():
        under_way, begun, world = 0, 0, 0

        async def read(keys):
            nonlocal under_way, begun
            under_way, begun, seen = under_way + 1, begun + 1, world
            assert under_way == 1
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            under_way -= 1
            return {key: seen for key in keys if key[0] % 2}

        recall, asked = Recall(read), []

        async def ask(number, at):
            answer = await recall.assignment(bytes([number]) * 16)
            assert (answer is None) == (number % 2 == 0)
            assert answer is None or answer >= at

        for numbers in groups:
            world += 1
            asked += [asyncio.ensure_future(ask(number, world)) for number in numbers]
            await asyncio.sleep(0)
        await asyncio.gather(*asked)
        assert begun <= 2 * len(groups)
        before = begun
        assert await recall.assignment(b"short") is None
        assert begun == before

    asyncio.run(run())


def test_one_who_goes_away_takes_nobody_along():
    async def run():
        go = asyncio.Event()

        async def read(keys):
            await go.wait()
            return dict.fromkeys(keys, "there")

        recall = Recall(read)
        first, second = (asyncio.ensure_future(recall.assignment(bytes([n]) * 16)) for n in range(2))
        await asyncio.sleep(0)
        first.cancel()
        go.set()
        assert await second == "there"

    asyncio.run(run())
