"""Opens sums, one at a time, so that one vector at most is in memory."""

import asyncio
from collections.abc import AsyncIterator
from functools import partial

from fedau2.v1.unmasker_pb2 import OpenSumRequest, OpenSumResponse
from unmasker.engine import sum_request, summing
from unmasker.engine.sum_request import SumRequest
from unmasker.engine.turns import Turns
from unmasker.errors import BusyError

_WAITING = 64
"""Most calls that may wait to open a sum. Others are refused as busy."""

_READING = 600.0
"""Most seconds in which a caller sends its members. Others wait meanwhile."""


class Openings:
    """Opens sums.

    Args:
        turns: does the work.
    """

    def __init__(self, turns: Turns) -> None:
        self._turns, self._unmasker = turns, turns.unmasker
        self._one, self._waiting = asyncio.Lock(), 0

    async def open_sum(self, requests: AsyncIterator[OpenSumRequest]) -> AsyncIterator[OpenSumResponse]:
        """Reads a request, checks it, and answers it when what it opens is written down.

        Raises:
            RefusalError: the request makes no sense, or the sum cannot be opened.
        """
        await self._take_turn()
        try:
            request = await self._read(requests)
            key = await self._turns.take(partial(self._unmasker.begin_sum, request))
            keys = self._unmasker.books.keys
            summed = await self._turns.take_beside(partial(summing.add_up, request, key, keys))
            response = await self._turns.take(partial(self._unmasker.settle_sum, request, summed))
            yield response
            if response.HasField("opened") and summed.answer is not None:
                for piece in summed.answer.pieces():
                    yield OpenSumResponse(masks=piece)
        finally:
            self._one.release()

    async def _take_turn(self) -> None:
        if self._waiting >= _WAITING:
            raise BusyError("too many calls wait to open a sum: call again later")
        self._waiting += 1
        try:
            await self._one.acquire()
        finally:
            self._waiting -= 1

    async def _read(self, requests: AsyncIterator[OpenSumRequest]) -> SumRequest:
        try:
            async with asyncio.timeout(_READING):
                return await sum_request.read(requests)
        except TimeoutError:
            raise BusyError(f"the members did not come within {_READING:.0f} seconds: call again") from None
