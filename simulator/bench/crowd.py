"""`fedau2-sim bench --fleet N`: one round in which N SDK instances come at once, over gRPC, on this machine."""

import resource
import tempfile
import time
from collections.abc import AsyncGenerator, AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

from client_sdk.protocol.interfaces import AsyncTransport
from export.bundle import Bundle, build
from export.plan.message import plan_of
from fedau2.v1 import admin_pb2, device_pb2
from simulator.datasets import load
from simulator.datasets.split import leave_one_out
from simulator.engines.fleet import FleetEngine
from simulator.engines.links import CoordinatorProcess, GrpcLink
from simulator.population.population import Population

_ITEMS = 1682
"""As many as MovieLens 100K has."""


@dataclass(frozen=True)
class Crowd:
    """What the round took.

    Attributes:
        devices: SDK instances, each with one contribution.
        seconds: by the clock, from the first check-in to the commit.
        device_cpu: CPU seconds of the devices' process.
        coordinator_cpu: CPU seconds of the coordinator's process.
        check_in: seconds of the slowest check-in, as its device waited.
        upload: seconds of the slowest upload, likewise.
        device_memory: most resident memory of the devices' process, in MB.
        coordinator_memory: most resident memory of the coordinator's process, in MB.
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
    """An `AsyncTransport` that keeps how long the slowest calls took."""

    def __init__(self, transport: AsyncTransport) -> None:
        self._transport = transport
        self.check_in_seconds = 0.0
        self.upload_seconds = 0.0

    async def check_in(self, request: device_pb2.CheckInRequest) -> device_pb2.CheckInResponse:
        start = time.perf_counter()
        response = await self._transport.check_in(request)
        self.check_in_seconds = max(self.check_in_seconds, time.perf_counter() - start)
        return response

    def fetch(self, request: device_pb2.FetchResourceRequest) -> AsyncGenerator[bytes, None]:
        return self._transport.fetch(request)

    async def upload(self, header: device_pb2.UploadHeader, data: bytes) -> device_pb2.UploadContributionResponse:
        start = time.perf_counter()
        response = await self._transport.upload(header, data)
        self.upload_seconds = max(self.upload_seconds, time.perf_counter() - start)
        return response

    async def report_failure(self, request: device_pb2.ReportFailureRequest) -> device_pb2.ReportFailureResponse:
        return await self._transport.report_failure(request)


class _TimedLink:
    """A `fleet.Link` whose transport is a stopwatch."""

    def __init__(self, link: GrpcLink) -> None:
        self._link = link
        self.transport = _Stopwatch(link.transport)

    async def create_task(self, requests: AsyncIterator[admin_pb2.CreateTaskRequest]) -> admin_pb2.Task:
        return await self._link.create_task(requests)

    async def get_task(self, request: admin_pb2.GetTaskRequest) -> admin_pb2.Task:
        return await self._link.get_task(request)

    async def close(self) -> None:
        await self._link.close()


def measure(devices: int) -> Crowd:
    """Runs one round of FedNCF as the paper has it, on synthetic interactions."""
    bundle, population = _population(devices)
    with tempfile.TemporaryDirectory() as folder:
        process = CoordinatorProcess(Path(folder) / "coordinator")
        links: list[_TimedLink] = []

        async def link() -> _TimedLink:
            links.append(_TimedLink(await process.link()))
            return links[0]

        engine = FleetEngine.start(link, bundle, population, devices, 1)
        try:
            start = time.perf_counter(), time.process_time(), process.cpu_seconds()
            engine.train_round(np.arange(devices))
            end = time.perf_counter(), time.process_time(), process.cpu_seconds()
            coordinator_memory = process.peak_memory()
        finally:
            engine.close()
    seconds, device_cpu, coordinator_cpu = (b - a for a, b in zip(start, end, strict=True))
    watch, own = links[0].transport, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000
    return Crowd(
        devices,
        seconds,
        device_cpu,
        coordinator_cpu,
        watch.check_in_seconds,
        watch.upload_seconds,
        own,
        coordinator_memory,
        engine.traffic.uploaded,
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
    """Measures and prints a table."""
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
