"""Devices: they check in and upload, so many at a time, each on a connection of its own."""

import asyncio
import statistics
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self, TypeVar

import grpc
import numpy as np

from coordinator.bench.processes import Server
from coordinator.bench.workload import Payload
from coordinator.errors import BenchError
from fedau2.v1.device_pb2 import CheckInRequest, CheckInResponse

IN_FLIGHT = 64
"""Calls that are under way at a time."""

_OWN_CONNECTION = (("grpc.use_local_subchannel_pool", 1),)

J = TypeVar("J")
R = TypeVar("R")


class Phone:
    """Calls of devices over one connection. Messages are serialised beforehand: the load is not what is measured."""

    def __init__(self, address: str) -> None:
        self._channel = grpc.aio.insecure_channel(address, options=_OWN_CONNECTION)
        self._check_in: Any = self._channel.unary_unary("/fedau2.v1.DeviceService/CheckIn", None, None)
        self._upload: Any = self._channel.stream_unary("/fedau2.v1.DeviceService/UploadContribution", None, None)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._channel.close(None)

    async def check_in(self, population: str) -> bytes:
        """The id of a new assignment.

        Raises:
            BenchError: there is none.
        """
        request = CheckInRequest(population=population).SerializeToString()
        response = CheckInResponse.FromString(await self._check_in(request))
        if not response.HasField("assignment"):
            raise BenchError("a check-in was turned away: the round has no place left")
        return response.assignment.assignment_id

    async def upload(self, assignment_id: bytes, payload: Payload, pause: float = 0) -> None:
        """Uploads a contribution and returns once it is acknowledged.

        Args:
            assignment_id: from a check-in.
            payload: of the assignment's population.
            pause: seconds after each message.
        """

        async def trickle() -> AsyncIterator[bytes]:
            for message in messages:
                yield message
                await asyncio.sleep(pause)

        messages = (payload.header(assignment_id), *payload.pieces)
        await self._upload(trickle() if pause else messages)


@dataclass(frozen=True)
class Turn:
    """Calls to a server, so many at a time.

    Attributes:
        cpu: microseconds of the server's CPU for one call, user and system.
        rate: calls in a second.
        median, p99: milliseconds from a call's start to its answer.
    """

    cpu: float
    rate: float
    median: float
    p99: float

    @classmethod
    def median_of(cls, turns: Iterable[Self]) -> Self:
        """Each figure's median over some turns."""
        return cls(*map(statistics.median, zip(*(vars(turn).values() for turn in turns), strict=True)))


class Crowd:
    """Devices that share out work.

    Args:
        server: that they call.
    """

    def __init__(self, server: Server) -> None:
        self._server = server
        self._phones = [Phone(server.devices) for _ in range(IN_FLIGHT)]

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await asyncio.gather(*(phone.__aexit__(kind, error, trace) for phone in self._phones))

    async def turn(self, jobs: Iterable[J], call: Callable[[Phone, J], Awaitable[R]]) -> tuple[Turn, list[R]]:
        """Makes one call for each job; every phone takes the next job as soon as it is done with one."""
        queue, seconds, results = iter(jobs), list[float](), list[R]()

        async def work(phone: Phone) -> None:
            for job in queue:
                begun = time.perf_counter()
                results.append(await call(phone, job))
                seconds.append(time.perf_counter() - begun)

        cpu, start = self._server.cpu(), time.perf_counter()
        await asyncio.gather(*map(work, self._phones))
        wall, cpu = time.perf_counter() - start, self._server.cpu() - cpu
        median, p99 = (float(each) * 1e3 for each in np.quantile(seconds, (0.5, 0.99)))
        return Turn(cpu / len(results) * 1e6, len(results) / wall, median, p99), results

    async def check_in(self, population: str, count: int) -> tuple[Turn, list[bytes]]:
        """Makes so many check-ins, and returns the assignments."""
        return await self.turn(range(count), lambda phone, _: phone.check_in(population))

    async def upload(self, jobs: Iterable[tuple[bytes, Payload]]) -> Turn:
        """Makes uploads: of each an assignment and what is uploaded for it."""
        turn, _ = await self.turn(jobs, lambda phone, job: phone.upload(*job))
        return turn
