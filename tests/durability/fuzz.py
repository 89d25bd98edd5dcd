"""Makes hostile calls to a live coordinator, while a well-behaved client calls too."""

import asyncio
import re
import time
from collections import Counter, defaultdict
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass, field

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from fedau2.v1 import device_pb2, device_pb2_grpc
from tests.durability.mutations import OURS, SERVICES, Case, Manner

_AT_ONCE = 32
"""Hostile calls at the same time."""

_PROMPT = 15.0
"""Seconds in which a call must be answered, on a machine that is busy with much else."""

_ENDLESS = 40
"""Messages of a stream that never ends, before its caller only waits."""

_CUT_OFF = re.compile(
    r"a newer call for the same assignment has ended this upload|the upload ended before its \d+ bytes"
)
"""What the coordinator rightly says to an upload that another hostile call displaced, or that was not whole."""


@dataclass
class Table:
    """What was answered.

    Attributes:
        statuses: per method, how often which status; calls that cannot even be parsed are shown apart.
        slowest: seconds that the well-behaved client waited for an answer at most.
        served: how often it was answered.
    """

    statuses: dict = field(default_factory=lambda: defaultdict(Counter))
    slowest: float = 0.0
    served: int = 0

    def add(self, case, status):
        self.statuses[case.method, case.readable][status] += 1

    def bad(self):
        """Calls that were answered as if the coordinator were at fault, or not at all."""
        faults = ("INTERNAL", "UNKNOWN", "DEADLINE_EXCEEDED", "UNAVAILABLE", "DATA_LOSS")
        return {
            (method, status): count
            for (method, _), counts in self.statuses.items()
            for status, count in counts.items()
            if status in faults
        }

    def __str__(self):
        names = sorted({status for counts in self.statuses.values() for status in counts})
        lines = [" " * 34 + " ".join(f"{name[:12]:>12}" for name in names)]
        for (method, readable), counts in sorted(self.statuses.items()):
            title = method if readable else f"{method}, unreadable"
            lines.append(f"{title:34}" + " ".join(f"{counts[name] or '':>12}" for name in names))
        return "\n".join(lines)


class Fuzzer:
    """Calls to one coordinator.

    Args:
        addresses: of DeviceService and AdminService.
        canary: the population and a blob's hash that the well-behaved client asks for.
    """

    def __init__(self, addresses, canary):
        devices, operators = addresses
        self._addresses = {service: operators if "Admin" in service else devices for service in SERVICES}
        self._population, self._sha256 = canary
        self.table = Table()

    async def run(self, cases):
        """Makes all the calls. An error of the well-behaved client ends it."""
        waiting = iter(cases)
        async with AsyncExitStack() as stack:
            channels = {
                service: await stack.enter_async_context(grpc.aio.insecure_channel(address))
                for service, address in self._addresses.items()
            }
            behaved = asyncio.create_task(self._behave(channels))
            await asyncio.gather(*(self._attack(channels, waiting) for _ in range(_AT_ONCE)))
            behaved.cancel()
            with suppress(asyncio.CancelledError):
                await behaved

    async def _attack(self, channels, waiting):
        for case in waiting:
            self.table.add(case, await _status(channels[case.service], case))

    async def _behave(self, channels):
        """A device that fetches and checks in, and an operator's look at the health, over and over."""
        device = device_pb2_grpc.DeviceServiceStub(channels[OURS[0]])
        while True:
            began = time.monotonic()
            fetched = device.FetchResource(device_pb2.FetchResourceRequest(sha256=self._sha256), timeout=_PROMPT)
            assert b"".join([response.data async for response in fetched])
            answer = await device.CheckIn(device_pb2.CheckInRequest(population=self._population), timeout=_PROMPT)
            assert answer.rejection.reason == device_pb2.REJECTION_REASON_ROUND_FULL
            for service in OURS:
                request = health_pb2.HealthCheckRequest(service=service)
                health = await health_pb2_grpc.HealthStub(channels[service]).Check(request, timeout=_PROMPT)
                assert health.status == health_pb2.HealthCheckResponse.SERVING
            self.table.slowest = max(self.table.slowest, time.monotonic() - began)
            self.table.served += 1
            await asyncio.sleep(0.05)


async def _status(channel, case: Case):
    """Makes one call, whatever its arity, and returns the name of its status."""
    # The coordinator waits for more, and may; for the message of a call that has none gRPC itself waits.
    hopeless = case.manner is Manner.ENDLESS or not case.messages
    timeout = 0.5 if hopeless else _PROMPT
    # At the level of HTTP/2 all calls are streams of messages both ways.
    call = channel.stream_stream(case.path)(timeout=timeout)
    try:
        for message in case.messages * (_ENDLESS if case.manner is Manner.ENDLESS else 1):
            await call.write(message)
        if case.manner is Manner.CANCEL:
            call.cancel()
            return "cancelled"
        if case.manner is Manner.WHOLE:
            await call.done_writing()
        if await call.read() is not grpc.aio.EOF:
            call.cancel()
            return "OK"
    except (grpc.aio.AioRpcError, grpc.aio.InternalError, asyncio.InvalidStateError):
        pass  # it was answered before everything was sent
    code = await call.code()
    details = await call.details() or ""
    if details == "Internal error from Core":
        return "lost here"  # by grpc.aio: the answer came while this side was still writing
    if code is grpc.StatusCode.UNAVAILABLE and _CUT_OFF.search(details):
        return "cut off"
    return "left waiting" if hopeless and code is grpc.StatusCode.DEADLINE_EXCEEDED else code.name
