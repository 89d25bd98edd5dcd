"""Devices: they check in and upload, so many at a time, each on a connection of its own."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from types import TracebackType
from typing import Any, Self, TypeVar

import grpc

from coordinator.bench.workload import Payload
from fedau2.v1.device_pb2 import CheckInRequest, CheckInResponse

IN_FLIGHT = 64
"""Calls that are under way at a time."""

_OWN_CONNECTION = (("grpc.use_local_subchannel_pool", 1),)

J = TypeVar("J")
R = TypeVar("R")


class Phone:
    """A device on a connection of its own. It sends serialised messages, because the load is not what is measured."""

    def __init__(self, address: str) -> None:
        self._channel = grpc.aio.insecure_channel(address, options=_OWN_CONNECTION)
        self._check_in: Any = self._channel.unary_unary("/fedau2.v1.DeviceService/CheckIn")
        self._upload: Any = self._channel.stream_unary("/fedau2.v1.DeviceService/UploadContribution")

    async def close(self) -> None:
        """Ends the connection."""
        await self._channel.close()

    async def check_in(self, population: str) -> bytes:
        """The id of a new assignment."""
        request = CheckInRequest(population=population).SerializeToString()
        response = CheckInResponse.FromString(await self._check_in(request))
        return response.assignment.assignment_id

    async def upload(self, assignment_id: bytes, payload: Payload) -> None:
        """Uploads a contribution and returns once it is acknowledged."""
        await self._upload((payload.header(assignment_id), *payload.pieces))


class Crowd:
    """Phones that share out work.

    Args:
        address: of a server for devices.
    """

    def __init__(self, address: str) -> None:
        self._phones = [Phone(address) for _ in range(IN_FLIGHT)]

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await asyncio.gather(*(phone.close() for phone in self._phones))

    async def share(self, jobs: Iterable[J], call: Callable[[Phone, J], Awaitable[R]]) -> list[R]:
        """Makes one call for each job; every phone takes the next job as soon as it is done with one."""
        queue, results = iter(jobs), list[R]()

        async def work(phone: Phone) -> None:
            for job in queue:
                results.append(await call(phone, job))

        await asyncio.gather(*map(work, self._phones))
        return results
