"""Uploads under way, and the limits that keep them from taking the coordinator's memory."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from coordinator.engine.deadlines import Deadlines
from coordinator.errors import CutOffError

HEADER = 30.0
"""Most seconds from the beginning of an upload to its header."""

MEMORY = 1024
"""MiB of contributions that may be on their way in at the same time, unless an operator sets another limit."""


class Uploads:
    """Uploads under way: in time, one for each assignment, and within a budget of bytes. Used on one event loop.

    Args:
        budget: bytes that all uploads under way may have declared. Others wait; one that is larger waits for all.
    """

    def __init__(self, budget: int) -> None:
        self._budget = _Budget(budget)
        self._headers = Deadlines()
        self._bodies = Deadlines()
        self._newest: dict[bytes, asyncio.Timeout] = {}

    def __len__(self) -> int:
        return len(self._bodies)

    def tick(self, now: float) -> None:
        """Cuts off the uploads whose time is over at `now`, in seconds."""
        self._headers.tick(now)
        self._bodies.tick(now)

    @asynccontextmanager
    async def header(self, now: float) -> AsyncIterator[None]:
        """Runs its block, which reads the header of an upload that begins at `now`.

        Raises:
            CutOffError: it did not come in time.
        """
        try:
            async with self._headers.until(now + HEADER):
                yield
        except TimeoutError:
            raise CutOffError(f"the upload had no header after {HEADER:.0f} seconds; send it again") from None

    @asynccontextmanager
    async def body(self, assignment_id: bytes, size: int, deadline: float) -> AsyncIterator[None]:
        """Runs its block, which reads the rest of an upload, once there is room for it.

        Args:
            assignment_id: the assignment. An older upload of it is cut off: its device has begun again.
            size: its declared bytes.
            deadline: in seconds, by the clock of `tick`.

        Raises:
            TimeoutError: the deadline has been reached.
            CutOffError: a newer upload of the assignment has begun.
        """
        if (older := self._newest.get(assignment_id)) is not None and not older.expired():
            older.reschedule(0)  # as soon as the loop runs
        newest = None
        try:
            async with self._bodies.until(deadline) as newest:
                self._newest[assignment_id] = newest
                async with self._budget.take(size):
                    yield
        except TimeoutError:
            if self._newest.get(assignment_id) is newest:
                raise
            raise CutOffError("a newer upload of the same assignment has begun") from None
        finally:
            if self._newest.get(assignment_id) is newest:
                del self._newest[assignment_id]


class _Budget:
    """A number of bytes that are lent in the order of the requests."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._lent = 0
        self._waiting: deque[tuple[int, asyncio.Future[None]]] = deque()

    @asynccontextmanager
    async def take(self, size: int) -> AsyncIterator[None]:
        turn = asyncio.get_running_loop().create_future()
        self._waiting.append((size, turn))
        try:
            self._lend()
            await turn
            yield
        finally:
            if not turn.cancelled():
                self._lent -= size
            self._lend()

    def _lend(self) -> None:
        while self._waiting:
            size, turn = self._waiting[0]
            if not turn.cancelled():  # its upload has not been given up
                if self._lent and self._lent + size > self._size:
                    return
                self._lent += size
                turn.set_result(None)
            self._waiting.popleft()
