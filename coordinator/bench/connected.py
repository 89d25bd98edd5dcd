"""A device's connection in a benchmark."""

from types import TracebackType
from typing import Self

import grpc

from fedau2.wire import addresses


class Connected:
    """A connection of a device's own, which ends with the block that it is used in.

    Args:
        address: of the coordinator's devices.
    """

    def __init__(self, address: str) -> None:
        self._channel = grpc.aio.insecure_channel(*addresses.channel(address))

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._channel.close(None)
