"""The slow uploads of `bench slow-phones`, as a separate process, so that they do not delay the check-ins.

It prints a line when every upload has begun, and the number of acknowledged uploads at the end.
"""

import asyncio
import itertools
import json
import sys
from contextlib import AsyncExitStack

from coordinator.bench.load import Phone
from coordinator.bench.workload import SMALL, Payload

CONNECTIONS = 50
"""Connections that the phones share, because a process may not open a thousand files."""


async def _trickle(address: str, phones: int, piece: int, pause: float) -> None:
    payload = Payload.of(SMALL.contribution(0), piece)
    async with AsyncExitStack() as stack:
        connections = [await stack.enter_async_context(Phone(address)) for _ in range(CONNECTIONS)]
        devices = list(itertools.islice(itertools.cycle(connections), phones))
        ids = [await device.check_in(SMALL.name) for device in devices]

        async def upload(number: int) -> None:
            await asyncio.sleep(pause * number / phones)
            if number == phones - 1:
                print("all have begun", flush=True)
            await devices[number].upload(ids[number], payload, pause)

        results = await asyncio.gather(*map(upload, range(phones)), return_exceptions=True)
    print(results.count(None), flush=True)


if __name__ == "__main__":
    asyncio.run(_trickle(*json.loads(sys.argv[1])))
