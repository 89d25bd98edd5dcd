"""Ends uploads that devices do not finish in time, by the coordinator's clock."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


class Deadlines:
    """Blocks of code that must end in time. Used on one event loop. Its length is the number of running blocks."""

    def __init__(self) -> None:
        self._open: dict[asyncio.Timeout, float] = {}

    def __len__(self) -> int:
        return len(self._open)

    @asynccontextmanager
    async def until(self, deadline: float) -> AsyncIterator[asyncio.Timeout]:
        """Runs its block, until a `tick` finds that the deadline has been reached, or the yielded timeout is moved.

        Args:
            deadline: in seconds, by the clock of `tick`.

        Raises:
            TimeoutError: the block was cut off.
        """
        async with asyncio.timeout(None) as timeout:
            self._open[timeout] = deadline
            try:
                yield timeout
            finally:
                del self._open[timeout]

    def tick(self, now: float) -> None:
        """Cuts off the blocks whose deadlines have been reached at `now`, in seconds."""
        for timeout, deadline in self._open.items():
            if deadline <= now and not timeout.expired():
                timeout.reschedule(0)  # in the past of every loop's clock: as soon as the loop runs
