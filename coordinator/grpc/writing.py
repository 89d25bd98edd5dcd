"""Writes the responses of a call that has many of them."""

import asyncio

from coordinator.errors import BusyError
from coordinator.grpc.status import Context
from coordinator.model import pace

SILENCE = 60.0
"""Most seconds in which a caller reads nothing of a stream. Then the call is over, and what it holds is free."""


async def write(response: object, context: Context) -> None:
    """Writes a response.

    Raises:
        BusyError: the caller read nothing for too long.
    """
    try:
        async with asyncio.timeout(SILENCE):
            await context.write(response)
    except TimeoutError:
        text = f"nothing was read for {SILENCE:.0f} seconds, so the call has ended; call again for the rest"
        raise BusyError(text, pace.STARTING.message()) from None
