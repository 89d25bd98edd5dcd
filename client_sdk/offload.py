"""Carries the blocking client's work to threads, for the asyncio client."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import TypeVar

from client_sdk.scheduling.syncing import Syncs
from client_sdk.scheduling.timeout import Timeout
from client_sdk.transport.offloading import to_its_end

_Result = TypeVar("_Result")
_PAUSE = 0.05
"""Seconds between two checks for the end of a sync in the background."""
_ANY_TIME = Timeout(None)


@asynccontextmanager
async def alone(syncs: Syncs, limit: Timeout = _ANY_TIME) -> AsyncIterator[None]:
    """`Syncs.alone` without a thread that waits, because the sync under way needs the threads of the pool."""
    while True:
        with syncs.alone(0) as alone:
            if alone:
                yield
                return
        if not limit.left():
            limit.judge(None)
        await asyncio.sleep(_PAUSE)


async def ended(note: Callable[[], _Result]) -> _Result:
    """Notes the end of a sync in a thread, because callbacks of its events run there."""
    result = await to_its_end(note)
    await asyncio.sleep(0)  # raises a cancellation that came meanwhile
    return result
