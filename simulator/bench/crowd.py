"""`fedau2-sim bench --fleet N`: a round of N concurrent SDK instances over gRPC, all on this machine."""

import math
import os
import tempfile
import time
from collections.abc import AsyncGenerator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from google.protobuf.message import Message
from rich.console import Console
from rich.table import Table

from client_sdk.protocol.interfaces import AsyncTransport
from export.bundle import Bundle, build
from export.plan.message import plan_of
from fedau2.v1.device_pb2 import CheckInRequest, UploadContributionRequest
from simulator.datasets import load
from simulator.datasets.split import leave_one_out
from simulator.engines.connections import GrpcConnection
from simulator.engines.coordinator_process import CoordinatorProcess
from simulator.engines.fleet import FleetEngine
from simulator.engines.server_process import peak_memory
from simulator.population.population import Population

_ITEMS = 1682
"""Number of items, as in MovieLens 100K."""


@dataclass(frozen=True)
class Crowd:
    """The cost of the round.

    Attributes:
        devices: number of SDK instances, each with one contribution.
        seconds: elapsed time from the first check-in to the commit.
        device_cpu: CPU seconds of the devices' process.
        coordinator_cpu: CPU seconds of the coordinator's process.
        check_in: seconds that the device with the slowest check-in waited for it.
        upload: seconds that the device with the slowest upload waited for it.
        device_memory: largest resident memory of the devices' process, in MB.
        coordinator_memory: largest resident memory of the coordinator's process, in MB.
        uploaded: bytes of all contributions.
    """

    devices: int
    seconds: float
    device_cpu: float
    coordinator_cpu: float
    check_in: float
    upload: float
    device_memory: float
    coordinator_memory: float
    uploaded: int


class _Stopwatch:
    """An `AsyncTransport` that measures the slowest call of each method, by the class of its request."""

    def __init__(self, transport: AsyncTransport) -> None:
        self._transport = transport
        self.slowest: dict[type[Message], float] = {}

    async def call(self, request: Message, timeout: float = math.inf) -> Message:
        with self._timed(type(request)):
            return await self._transport.call(request, timeout)

    def receive(self, request: Message, timeout: float = math.inf) -> AsyncGenerator[Message, None]:
        return self._transport.receive(request, timeout)

    async def send(self, kind: type[Message], requests: Iterator[Message], timeout: float = math.inf) -> Message:
        with self._timed(kind):
            return await self._transport.send(kind, requests, timeout)

    @contextmanager
    def _timed(self, kind: type[Message]) -> Iterator[None]:
        start = time.perf_counter()
        yield
        self.slowest[kind] = max(self.slowest.get(kind, 0.0), time.perf_counter() - start)


class _TimedConnection:
    """A `Connection` whose transport is timed."""

    def __init__(self, connection: GrpcConnection) -> None:
        self._connection = connection
        self.transport, self.admin = _Stopwatch(connection.transport), connection.admin

    async def close(self) -> None:
        await self._connection.close()


def measure(devices: int) -> Crowd:
    """Runs a round of FedNCF with the paper's plan, on synthetic interactions."""
    bundle, population = _population(devices)
    with tempfile.TemporaryDirectory() as folder:
        process = CoordinatorProcess(Path(folder) / "coordinator")
        connections: list[_TimedConnection] = []

        async def connect() -> _TimedConnection:
            connections.append(_TimedConnection(await process.connect()))
            return connections[0]

        engine = FleetEngine.start(connect, bundle, population, devices, 1)
        try:
            start = time.perf_counter(), time.process_time(), process.cpu_seconds()
            engine.train_round(np.arange(devices))
            end = time.perf_counter(), time.process_time(), process.cpu_seconds()
            coordinator_memory = process.peak_memory()
        finally:
            engine.close()
    seconds, device_cpu, coordinator_cpu = (b - a for a, b in zip(start, end, strict=True))
    stopwatch, memory = connections[0].transport, peak_memory(os.getpid())
    return Crowd(
        devices,
        seconds,
        device_cpu,
        coordinator_cpu,
        stopwatch.slowest[CheckInRequest],
        stopwatch.slowest[UploadContributionRequest],
        memory,
        coordinator_memory,
        engine.counts.uploaded,
    )


def _population(devices: int) -> tuple[Bundle, Population]:
    dataset = load("synthetic", users=devices, items=_ITEMS)
    attribute = dataset.attributes["gender"]
    entry = {"attribute": "gender", "classes": list(attribute.classes)}
    plan = plan_of("fedncf", {"adversaries": [entry]})
    bundle = build("fedncf", dataset.items, plan, 0)
    values = [attribute.classes[label] for label in attribute.labels]
    return bundle, Population.create(bundle.manifest, 0, leave_one_out(dataset).train, {"gender": values})


def report(devices: int, console: Console) -> None:
    """Measures the round and prints a table."""
    crowd = measure(devices)
    table = Table(title=f"{crowd.devices:,} SDK instances in one round over gRPC", title_justify="left")
    for column in ("", "devices", "coordinator"):
        table.add_column(column)
    table.add_row("CPU", f"{crowd.device_cpu:.1f} s", f"{crowd.coordinator_cpu:.1f} s")
    table.add_row("most memory", f"{crowd.device_memory:.0f} MB", f"{crowd.coordinator_memory:.0f} MB")
    console.print(table)
    console.print(
        f"{crowd.seconds:.1f} s from the first check-in to the commit, {crowd.uploaded / 1e6:,.0f} MB uploaded; "
        f"slowest check-in {crowd.check_in:.1f} s, slowest upload {crowd.upload:.1f} s"
    )
