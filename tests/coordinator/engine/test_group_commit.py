"""The writer: order, groups, and what becomes of callers when it fails."""

import asyncio
import threading

import pytest

from coordinator.engine.writer import GROUP, Writer
from coordinator.errors import StoppedError


class Disk:
    """Remembers groups; holds the writing thread until it is let go; fails when told."""

    def __init__(self):
        self.groups, self.fail, self.threads = [], False, set()
        self.go = threading.Event()
        self.go.set()

    def __call__(self, group):
        self.go.wait(timeout=30)
        self.threads.add(threading.get_ident())
        if self.fail:
            raise OSError(28, "No space left on device")
        self.groups.append(group)


def test_writes_and_jobs_happen_in_order_on_one_thread():
    disk = Disk()

    async def main():
        writer = Writer(disk)
        futures = [writer.write(1), writer.write(2), writer.run(lambda: disk(["job"]) or "done"), writer.write(3)]
        assert await futures[2] == "done"
        await asyncio.gather(*futures)
        await writer.close()

    asyncio.run(main())
    assert disk.groups == [[1, 2], ["job"], [3]]
    assert len(disk.threads) == 1


def test_what_waits_together_is_committed_together_up_to_the_limit():
    disk = Disk()
    disk.go.clear()

    async def main():
        writer = Writer(disk)
        futures = [writer.write(number) for number in range(2 * GROUP + 1)]
        disk.go.set()
        await asyncio.gather(*futures)
        await writer.close()

    asyncio.run(main())
    assert [len(group) for group in disk.groups] == [GROUP, GROUP, 1]
    assert [number for group in disk.groups for number in group] == list(range(2 * GROUP + 1))


def test_nothing_is_acknowledged_before_it_is_committed():
    disk = Disk()
    disk.go.clear()

    async def main():
        writer = Writer(disk)
        future = writer.write(1)
        await asyncio.sleep(0.02)
        assert not future.done()
        disk.go.set()
        await future
        assert disk.groups == [[1]]
        await writer.close()

    asyncio.run(main())


def test_closing_finishes_what_is_queued():
    disk = Disk()

    async def main():
        writer = Writer(disk)
        futures = [writer.write(number) for number in range(GROUP + 1)]
        await writer.close()
        assert all(future.done() for future in futures)
        with pytest.raises(StoppedError, match="shutting down"):
            writer.write(0)

    asyncio.run(main())


def test_a_caller_that_goes_away_stops_nobody():
    disk = Disk()

    async def main():
        writer = Writer(disk)
        gone, stays = writer.write(1), writer.write(2)
        gone.cancel()
        await stays
        await writer.close()

    asyncio.run(main())
    assert disk.groups == [[1, 2]]


@pytest.mark.parametrize("in_job", [False, True])
def test_a_failure_fails_everything_that_waits_and_comes_after(in_job):
    disk = Disk()

    async def main():
        writer = Writer(disk)
        await writer.write(1)
        disk.fail = True
        futures = [
            writer.run(lambda: disk([])) if in_job else writer.write(2),
            writer.run(lambda: None),
            writer.write(3),
        ]
        results = await asyncio.gather(*futures, return_exceptions=True)
        assert {type(result) for result in results} == {StoppedError}
        assert all("No space left" in str(result) for result in results)
        disk.fail = False
        for call in (lambda: writer.write(4), lambda: writer.run(lambda: None), writer.check):
            with pytest.raises(StoppedError):
                call()
        assert writer.stopped.is_set()
        assert isinstance(writer.failure, OSError)
        await writer.close()

    asyncio.run(main())
    assert disk.groups == [[1]]
