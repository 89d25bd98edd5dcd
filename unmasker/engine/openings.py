"""Opens sums, one at a time, so that one vector at most is in memory."""

import asyncio
from collections.abc import AsyncIterator
from functools import partial

from fedau2.v1.unmasker_pb2 import OpenSumRequest, OpenSumResponse
from unmasker.engine import sum_request, summing
from unmasker.engine.room import Room
from unmasker.engine.sum_request import SumRequest
from unmasker.engine.turns import Turns
from unmasker.errors import BusyError

_MOST_CALLS = 64
"""Most calls that are read, or wait to open a sum. Others are refused as busy."""

_MOST_BYTES = 3 * 2**27
"""Most bytes of the requests of all these calls together. One of the most and largest members has 3/4 of them."""

_READING = 600.0
"""Most seconds in which a caller sends its members."""


class Openings:
    """Opens sums.

    Args:
        turns: does the work.
    """

    def __init__(self, turns: Turns) -> None:
        self._turns, self._unmasker = turns, turns.unmasker
        self._one, self._room = asyncio.Lock(), Room(_MOST_CALLS, _MOST_BYTES)

    async def open_sum(self, requests: AsyncIterator[OpenSumRequest]) -> AsyncIterator[OpenSumResponse]:
        """Reads a request, checks it, and answers it when what it opens is written down.

        A caller that sends slowly keeps no other from its turn.

        Raises:
            RefusalError: the request makes no sense, or the sum cannot be opened.
        """
        with self._room.place() as place:
            request = await _read(place.counted(requests))
            async with self._one:
                key = await self._turns.take(partial(self._unmasker.begin_sum, request))
                keys = self._unmasker.books.keys
                members = await self._turns.take_beside(partial(summing.open_members, request, key, keys))
                refused = await self._turns.take(partial(self._unmasker.claim_sum, request, members))
                if refused is not None:
                    yield OpenSumResponse(refused=refused)
                    return
                answer = await self._turns.take_beside(partial(summing.add_up, request, key, members))
                yield await self._turns.take(partial(self._unmasker.settle_sum, request, members, answer))
                for piece in answer.pieces() if answer is not None else ():
                    yield OpenSumResponse(masks=piece)


async def _read(requests: AsyncIterator[OpenSumRequest]) -> SumRequest:
    try:
        async with asyncio.timeout(_READING):
            return await sum_request.read(requests)
    except TimeoutError:
        raise BusyError(f"the members did not come within {_READING:.0f} seconds: call again") from None
