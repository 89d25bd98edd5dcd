"""The two services on an event loop. The books are used in one thread, one call after the other."""

from collections.abc import AsyncIterator
from functools import partial

from fedau2.v1.unmasker_pb2 import (
    CloseRoundRequest,
    CloseRoundResponse,
    EnrolRequest,
    EnrolResponse,
    LogRequest,
    LogResponse,
    OpenRoundRequest,
    OpenRoundResponse,
    OpenSumRequest,
    OpenSumResponse,
    StatusRequest,
    StatusResponse,
)
from unmasker.engine import reading
from unmasker.engine.openings import Openings
from unmasker.engine.turns import Turns


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
        self._openings = Openings(turns)

    async def open_round(self, request: OpenRoundRequest) -> OpenRoundResponse:
        """As `Unmasker.open_round`."""
        return await self._turns.take(lambda: self._unmasker.open_round(request))

    def open_sum(self, requests: AsyncIterator[OpenSumRequest]) -> AsyncIterator[OpenSumResponse]:
        """As `Openings.open_sum`."""
        return self._openings.open_sum(requests)

    async def close_round(self, request: CloseRoundRequest) -> CloseRoundResponse:
        """As `Unmasker.close_round`."""
        await self._turns.take(lambda: self._unmasker.close_round(request.task_id, request.round))
        return CloseRoundResponse()

    async def status(self, request: StatusRequest) -> StatusResponse:
        """As `reading.status`."""
        return await self._turns.take(lambda: reading.status(self._unmasker.books))
