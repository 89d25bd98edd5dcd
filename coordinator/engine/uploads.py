"""Uploads under way, and the limits that keep them from taking the coordinator's memory."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from weakref import WeakValueDictionary

from coordinator.engine.deadlines import Deadlines
from coordinator.engine.upload_memory import UploadMemory
from coordinator.errors import BusyError, CutOffError
from coordinator.model import pace
from fedau2.v1.device_pb2 import UploadContributionRequest, UploadHeader
from fedau2.wire.blobs import Assembler

HEADER = 30.0
"""Most seconds from the beginning of an upload to its header."""

STALL = 120.0
"""Most seconds from one piece of an upload to the next. Devices send 64 KiB at a time, so 550 bytes/s are enough."""

PATIENCE = 30.0
"""Most seconds that an upload waits for room. Devices take a minute without any movement for a link that is dead."""


class Uploads:
    """Uploads under way: in time, one for each assignment, and within a budget of bytes. Used on one event loop.

    Args:
        budget: bytes that all uploads under way may have declared. Others wait for `PATIENCE`; one that is larger waits
            for all. The rest of the budget keeps the bytes of uploads that broke off.
    """

    def __init__(self, budget: int) -> None:
        self._memory = UploadMemory(budget)
        self._headers = Deadlines()
        self._bodies = Deadlines()
        self._waiting = Deadlines()
        self._pieces = Deadlines()
        self._newest: dict[bytes, asyncio.Timeout] = {}
        self._turns = WeakValueDictionary[bytes, asyncio.Lock]()  # an older upload of an assignment ends before a newer

    def __len__(self) -> int:
        return len(self._bodies)

    @property
    def memory(self) -> dict[str, int]:
        """Bytes that are "lent" to uploads under way, and "kept" of those that broke off."""
        return self._memory.use

    def tick(self, now: float) -> None:
        """Cuts off the uploads whose time is over at `now`, in seconds."""
        for deadlines in (self._headers, self._bodies, self._waiting, self._pieces):
            deadlines.tick(now)

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
            text = f"the upload had no header after {HEADER:.0f} seconds; send it again"
            raise CutOffError(text, pace.STARTING.message()) from None

    @asynccontextmanager
    async def body(self, header: UploadHeader, size: int, now: float, deadline: float) -> AsyncIterator[Assembler]:
        """Runs its block, which reads the rest of an upload into the yielded assembler, once there is room for it.

        Args:
            header: of the upload. An older upload of its assignment is cut off: its device has begun again.
            size: bytes that the upload may take.
            now: in seconds, by the clock of `tick`.
            deadline: in seconds, by the same clock.

        Raises:
            TimeoutError: the deadline has been reached.
            BusyError: there was no room for it in time; its device keeps the contribution and comes back.
            CutOffError: the device has begun again meanwhile.
            WrongOffsetError: the bytes before the header's offset are not held.
        """
        key, newest = header.assignment_id, None
        self._cut_off(key)
        try:
            async with self._bodies.until(deadline) as newest:
                self._newest[key] = newest
                async with self._turn(key), self._room(header, size, now) as assembler:
                    yield assembler
        except TimeoutError:
            if self._newest.get(key) is newest:
                raise
            text = "a newer call for the same assignment has ended this upload"
            raise CutOffError(text, pace.STARTING.message()) from None
        finally:
            if self._newest.get(key) is newest:
                del self._newest[key]

    async def moving(
        self, requests: AsyncIterator[UploadContributionRequest], clock: Callable[[], float]
    ) -> AsyncIterator[UploadContributionRequest]:
        """Yields the requests of an upload, as long as they come.

        Raises:
            CutOffError: none came for `STALL` seconds.
        """
        while True:
            try:
                async with self._pieces.until(clock() + STALL):
                    request = await anext(requests, None)
            except TimeoutError:
                text = f"nothing of the upload came for {STALL:.0f} seconds; send the rest again"
                raise CutOffError(text, pace.STARTING.message()) from None
            if request is None:
                return
            yield request

    @asynccontextmanager
    async def _room(self, header: UploadHeader, size: int, now: float) -> AsyncIterator[Assembler]:
        async with AsyncExitStack() as stack:
            try:
                async with self._waiting.until(now + PATIENCE):
                    assembler = await stack.enter_async_context(self._memory.lend(header, size))
            except TimeoutError:
                raise BusyError("too many uploads are under way; try again later", pace.STARTING.message()) from None
            yield assembler

    async def offset(self, assignment_id: bytes, sha256: bytes) -> int:
        """Returns how many bytes of a contribution are held.

        An upload of the assignment that is under way is cut off: its device does not send it any more.
        """
        self._cut_off(assignment_id)
        async with self._turn(assignment_id):
            return self.held(assignment_id, sha256)

    def held(self, assignment_id: bytes, sha256: bytes) -> int:
        """Number of a contribution's first bytes that no upload under way holds."""
        return self._memory.offset(assignment_id, sha256)

    def keep_only(self, live: Callable[[bytes], bool]) -> None:
        """Forgets the bytes of uploads that broke off, of assignments for which `live` returns False."""
        self._memory.keep_only(live)

    def _cut_off(self, assignment_id: bytes) -> None:
        timeout = self._newest.pop(assignment_id, None)
        if timeout is not None and not timeout.expired():
            timeout.reschedule(0)  # as soon as the loop runs

    def _turn(self, assignment_id: bytes) -> asyncio.Lock:
        return self._turns.setdefault(assignment_id, asyncio.Lock())
