"""A load balancer in front of several coordinators: it passes connections on, and knows nothing of what they carry."""

import asyncio
import itertools
import threading
from contextlib import suppress

_CHUNK = 65536


class Balancer:
    """Passes each connection on to the next address that takes one. Runs on a thread of its own, as a context.

    Args:
        targets: `host:port` of each coordinator.

    Attributes:
        address: `host:port` of the balancer.
    """

    def __init__(self, targets):
        self._targets, self._turns = targets, itertools.count()
        self._loop, self._running = asyncio.new_event_loop(), threading.Event()
        self._thread = threading.Thread(target=self._loop.run_until_complete, args=(self._serve(),), daemon=True)
        self.address = ""

    def __enter__(self):
        self._thread.start()
        self._running.wait()
        return self

    def __exit__(self, *_):
        self._loop.call_soon_threadsafe(self._end.set)
        self._thread.join()
        self._loop.close()

    async def _serve(self):
        self._end, self._passing = asyncio.Event(), set()
        server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        host, port = server.sockets[0].getsockname()
        self.address = f"{host}:{port}"
        self._running.set()
        await self._end.wait()
        server.close()
        for task in self._passing:
            task.cancel()
        await asyncio.gather(*self._passing, return_exceptions=True)

    async def _accept(self, reader, writer):
        task = asyncio.current_task()
        self._passing.add(task)
        try:
            if (line := await self._connected()) is not None:
                await self._join((reader, writer), line)
        finally:
            self._passing.discard(task)
            writer.close()

    async def _connected(self):
        first = next(self._turns)
        for number in range(len(self._targets)):
            host, port = self._targets[(first + number) % len(self._targets)].split(":")
            with suppress(OSError):
                return await asyncio.open_connection(host, port)
        return None

    async def _join(self, near, far):
        ways = [asyncio.ensure_future(_pass(near[0], far[1])), asyncio.ensure_future(_pass(far[0], near[1]))]
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for way in ways:
                way.cancel()
            await asyncio.gather(*ways, return_exceptions=True)
            far[1].close()


async def _pass(source, target):
    with suppress(OSError):
        while data := await source.read(_CHUNK):
            target.write(data)
            await target.drain()
