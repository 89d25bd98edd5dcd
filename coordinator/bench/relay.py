"""Lets one machine call a coordinator from many network addresses: those of 127.0.0.0/8 (Linux)."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fedau2.wire import addresses


@asynccontextmanager
async def relay(target: str, source: str) -> AsyncIterator[str]:
    """Passes connections on to a target, which sees them come from another address of this machine.

    Args:
        target: `host:port`.
        source: for example "127.0.0.2".

    Yields:
        The address to call instead of the target.
    """
    host, port = addresses.served(target)

    async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while data := await reader.read(65536):
                writer.write(data)
                await writer.drain()
        except (ConnectionError, asyncio.CancelledError):
            pass
        finally:
            writer.close()

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection(host, port, local_addr=(source, 0))
        await asyncio.gather(pump(reader, back), pump(there, writer))

    server = await asyncio.start_server(connected, "127.0.0.1", 0, backlog=1024)
    try:
        yield f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()
