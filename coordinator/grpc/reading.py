"""Reads the request of a call that has one. gRPC would read it before anything of ours runs, and wait without end."""

import asyncio
from collections import OrderedDict
from contextlib import suppress
from typing import Any

import grpc

from coordinator.errors import CutOffError, InvalidRequestError
from coordinator.grpc.status import Context
from coordinator.model import pace

TIME = 120.0
"""Most seconds from the beginning of a call to its whole request."""

MOST = 256
"""Requests that may be on their way in for longer than `YOUNG`. Each may hold its 2 MiB in memory."""

YOUNG = 2.0
"""Seconds in which a request is not cut off, so that a crowd of devices is answered by a busy coordinator."""


class Reading:
    """The requests that are on their way in at one address of the coordinator.

    When there are too many, the oldest is cut off: honest requests are short, so it is one that has stalled.
    """

    def __init__(self) -> None:
        self._under_way = OrderedDict[asyncio.Timeout, float]()  # with the time when each began, oldest first

    async def one(self, context: Context) -> Any:  # noqa: ANN401
        """Returns the first request of a call.

        Raises:
            CutOffError: it did not come in time, or too many others are on their way.
            InvalidRequestError: the call has none.
        """
        now, timeout = asyncio.get_running_loop().time(), asyncio.timeout(TIME)
        try:
            async with timeout:
                self._under_way[timeout] = now
                self._cut_off(now)
                request = await context.read()  # an iterator that is not read to its end costs a task
        except TimeoutError:
            raise CutOffError("the request did not come in time; send it again", pace.STARTING.message()) from None
        finally:
            self._under_way.pop(timeout, None)
        if request is grpc.aio.EOF:  # type: ignore[attr-defined]
            raise InvalidRequestError("the call ended before it had a request")
        return request

    def _cut_off(self, now: float) -> None:
        while len(self._under_way) > MOST:
            oldest, began = next(iter(self._under_way.items()))
            if now - began < YOUNG:
                return
            del self._under_way[oldest]
            with suppress(RuntimeError):  # it is ending by itself
                oldest.reschedule(now)
