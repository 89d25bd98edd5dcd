"""Simulated devices that check in and upload, a fixed number at a time, each on its own connection."""

import asyncio
import statistics
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from dataclasses import dataclass
from itertools import cycle, islice
from types import TracebackType
from typing import Any, Self, TypeVar

import numpy as np

from coordinator.bench.connected import Connected
from coordinator.bench.processes import Server
from coordinator.bench.workload import Payload
from coordinator.errors import BenchError
from fedau2.v1.device_pb2 import CheckInRequest, CheckInResponse

IN_FLIGHT = 64
"""Calls that are under way at the same time."""

T = TypeVar("T")
R = TypeVar("R")


class Phone(Connected):
    """A device's calls over one connection. Messages are serialised beforehand, which keeps the load itself cheap."""

    def __init__(self, address: str) -> None:
        super().__init__(address)
        self._check_in: Any = self._channel.unary_unary("/fedau2.v1.DeviceService/CheckIn", None, None)
        self._upload: Any = self._channel.stream_unary("/fedau2.v1.DeviceService/UploadContribution", None, None)

    async def check_in(self, population: str) -> bytes:
        """Checks in, and returns the id of the new assignment.

        Raises:
            BenchError: the check-in was turned away.
        """
        request = CheckInRequest(population=population).SerializeToString()
        response = CheckInResponse.FromString(await self._check_in(request))
        if not response.HasField("assignment"):
            raise BenchError("a check-in was turned away: the round has no place left")
        return response.assignment.assignment_id

    async def upload(self, assignment_id: bytes, payload: Payload, pause: float = 0) -> None:
        """Uploads a contribution, and returns when it is acknowledged.

        Args:
            assignment_id: from a check-in.
            payload: a contribution to the assignment's task.
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
    """The figures of one turn of calls to a server.

    Attributes:
        cpu: microseconds of the servers' CPU for one call, user and system.
        rate: calls per second.
        median, p99: milliseconds from a call's start to its answer.
    """

    cpu: float
    rate: float
    median: float
    p99: float

    @classmethod
    def median_of(cls, turns: Iterable[Self]) -> Self:
        """Returns the median of every figure over some turns."""
        return cls(*map(statistics.median, zip(*(vars(turn).values() for turn in turns), strict=True)))


class Crowd:
    """Devices that share work.

    Args:
        servers: the servers that they call, each device another one in turn.
    """

    def __init__(self, *servers: Server) -> None:
        self._servers = servers
        self._phones = [Phone(server.devices) for server in islice(cycle(servers), IN_FLIGHT)]

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await asyncio.gather(*(phone.__aexit__(kind, error, trace) for phone in self._phones))

    async def turn(self, items: Iterable[T], call: Callable[[Phone, T], Awaitable[R]]) -> tuple[Turn, list[R]]:
        """Makes one call for each item. A phone takes the next item as soon as it is done with one."""
        queue, seconds, results = iter(items), list[float](), list[R]()

        async def work(phone: Phone) -> None:
            for item in queue:
                begun = time.perf_counter()
                results.append(await call(phone, item))
                seconds.append(time.perf_counter() - begun)

        cpu, start = self._cpu(), time.perf_counter()
        await asyncio.gather(*map(work, self._phones))
        wall, cpu = time.perf_counter() - start, self._cpu() - cpu
        median, p99 = (float(quantile) * 1e3 for quantile in np.quantile(seconds, (0.5, 0.99)))
        return Turn(cpu / len(results) * 1e6, len(results) / wall, median, p99), results

    def _cpu(self) -> float:
        return sum(server.cpu() for server in self._servers)

    async def check_in(self, population: str, count: int) -> tuple[Turn, list[bytes]]:
        """Makes `count` check-ins, and returns the assignments."""
        return await self.turn(range(count), lambda phone, _: phone.check_in(population))

    async def upload(self, uploads: Iterable[tuple[bytes, Payload]]) -> Turn:
        """Makes uploads, given as pairs of an assignment and its payload."""
        turn, _ = await self.turn(uploads, lambda phone, upload: phone.upload(*upload))
        return turn
