"""The two services on an event loop. All work is done in one thread, one call after the other."""

import asyncio
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TypeVar

from fedau2.v1.unmasker_pb2 import (
    CloseRoundRequest,
    CloseRoundResponse,
    EnrolRequest,
    EnrolResponse,
    LogRequest,
    LogResponse,
    OpenRoundRequest,
    OpenRoundResponse,
    StatusRequest,
    StatusResponse,
)
from unmasker.engine import reading
from unmasker.engine.unmasker import Unmasker
from unmasker.errors import BusyError

_WAITING = 512
"""Most calls that may wait for their turn. Others are refused as busy."""

_T = TypeVar("_T")


class Turns:
    """Does the unmasker's work in one thread.

    Args:
        unmasker: the unmasker; `close` does not close it.
    """

    def __init__(self, unmasker: Unmasker) -> None:
        self.unmasker = unmasker
        self._thread = ThreadPoolExecutor(1, "unmasker")
        self._waiting, self._closed = 0, False

    async def take(self, work: Callable[[], _T]) -> _T:
        """Does a piece of work to its end, even if the call that asked for it is cancelled.

        Raises:
            BusyError: too many wait, or the unmasker stops.
        """
        if self._closed or self._waiting >= _WAITING:
            raise BusyError("the unmasker stops, or too many calls wait: call again later")
        self._waiting += 1
        future = asyncio.get_running_loop().run_in_executor(self._thread, work)
        future.add_done_callback(self._done)
        return await asyncio.shield(future)

    def close(self) -> None:
        """Waits for the work under way, and takes no more."""
        self._closed = True
        self._thread.shutdown()

    def _done(self, future: "asyncio.Future[_T]") -> None:
        self._waiting -= 1
        if not future.cancelled():
            future.exception()  # or asyncio would complain where the call that asked is gone


class EnrolmentService:
    """The methods that devices and readers of the log call."""

    def __init__(self, turns: Turns) -> None:
        self._turns, self._unmasker, self._books = turns, turns.unmasker, turns.unmasker.books

    async def enrol(self, request: EnrolRequest) -> EnrolResponse:
        """As `Unmasker.enrol`."""
        return await self._turns.take(lambda: self._unmasker.enrol(request))

    async def log(self, request: LogRequest) -> AsyncIterator[LogResponse]:
        """As `reading.whole_log`, in turns of some hundred entries."""
        first = request.first
        begin = await self._turns.take(lambda: reading.log_begin(self._books, first))
        yield LogResponse(begin=begin)
        while first < begin.head.size:
            part = await self._turns.take(partial(reading.log_entries, self._books, first, begin.head.size))
            for response in part:
                yield response
            if not part:
                return  # the log was cut under our hands, as the reader sees
            first += len(part)


class UnmaskService:
    """The methods that coordinators call."""

    def __init__(self, turns: Turns) -> None:
        self._turns, self._unmasker = turns, turns.unmasker

    async def open_round(self, request: OpenRoundRequest) -> OpenRoundResponse:
        """As `Unmasker.open_round`."""
        return await self._turns.take(lambda: self._unmasker.open_round(request))

    async def close_round(self, request: CloseRoundRequest) -> CloseRoundResponse:
        """As `Unmasker.close_round`."""
        await self._turns.take(lambda: self._unmasker.close_round(request.task_id, request.round))
        return CloseRoundResponse()

    async def status(self, request: StatusRequest) -> StatusResponse:
        """As `reading.status`."""
        return await self._turns.take(lambda: reading.status(self._unmasker.books))
