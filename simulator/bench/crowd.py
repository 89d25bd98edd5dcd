"""`fedau2-sim bench --fleet N`: a round of N concurrent SDK instances over gRPC, all on this machine."""

import math
import os
import tempfile
import time
from collections.abc import AsyncGenerator, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from google.protobuf.message import Message
from rich.console import Console
from rich.table import Table

from client_sdk.protocol.interfaces import AsyncTransport
from export import sums
from export.bundle import Bundle, build
from export.plan.message import plan_of
from export.sums import Policy, TensorGrid
from fedau2.v1.device_pb2 import CheckInRequest, UploadContributionRequest
from fedau2.wire import manifest
from fedau2.wire.secure import policy as policies
from simulator.datasets import load
from simulator.datasets.split import leave_one_out
from simulator.engines.connections import GrpcConnection
from simulator.engines.coordinator_process import CoordinatorProcess
from simulator.engines.fleet import FleetEngine
from simulator.engines.membership import Members
from simulator.engines.server_process import peak_memory
from simulator.engines.unmasker_process import UnmaskerProcess
from simulator.population.population import Population

ITEMS = 1682
"""Number of items, as in MovieLens 100K."""


@dataclass(frozen=True)
class Crowd:
    """The cost of the round.

    Attributes:
        devices: number of SDK instances, each with one contribution.
        seconds: elapsed time from the first check-in to the commit.
        closing: elapsed time from the last acknowledgement to the commit.
        device_cpu: CPU seconds of the devices' process.
        coordinator_cpu: CPU seconds of the coordinator's process.
        check_in: seconds that the device with the slowest check-in waited for it.
        upload: seconds that the device with the slowest upload waited for it.
        device_memory: largest resident memory of the devices' process, in MB.
        coordinator_memory: largest resident memory of the coordinator's process, in MB.
        uploaded: bytes of all contributions.
        unmasker_cpu: CPU seconds of the unmasker's process, without enrolments; 0 in a plain task.
        unmasker_memory: largest resident memory of the unmasker's process, in MB; 0 in a plain task.
    """

    devices: int
    seconds: float
    closing: float
    device_cpu: float
    coordinator_cpu: float
    check_in: float
    upload: float
    device_memory: float
    coordinator_memory: float
    uploaded: int
    unmasker_cpu: float = 0.0
    unmasker_memory: float = 0.0


class _Stopwatch:
    """An `AsyncTransport` that measures the slowest call of each method, by the class of its request.

    Attributes:
        slowest: seconds of the slowest call, by the class of the request.
        last: time at which the last call ended.
    """

    def __init__(self, transport: AsyncTransport) -> None:
        self._transport = transport
        self.slowest: dict[type[Message], float] = {}
        self.last = 0.0

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
        self.last = time.perf_counter()
        self.slowest[kind] = max(self.slowest.get(kind, 0.0), self.last - start)


class _TimedConnection:
    """A `Connection` whose transport is timed."""

    def __init__(self, connection: GrpcConnection) -> None:
        self._connection = connection
        self.transport, self.admin = _Stopwatch(connection.transport), connection.admin

    async def close(self) -> None:
        await self._connection.close()


def measure(devices: int, secure: bool = False, items: int = ITEMS) -> Crowd:
    """Runs a round of FedNCF with the paper's plan, on synthetic interactions.

    Args:
        devices: SDK instances, at least 64 for secure sums.
        secure: the task has secure sums, with an unmasker of its own. Devices are enrolled before the clock starts.
        items: of the catalogue.
    """
    bundle, population = _population(devices, items)
    with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        folder, unmasker, members = Path(name), None, None
        if secure:
            unmasker = UnmaskerProcess(folder / "unmasker")
            stack.callback(unmasker.stop)
            members = Members(unmasker)
            bundle = sums.opened_by(sums.add(bundle, _policy(bundle, devices)), [unmasker.identity])
        process = CoordinatorProcess(folder / "coordinator", unmasker=unmasker)
        connections: list[_TimedConnection] = []

        async def connect() -> _TimedConnection:
            connections.append(_TimedConnection(await process.connect()))
            return connections[0]

        engine = FleetEngine.start(connect, bundle, population, devices, 1, members=members)
        stack.callback(engine.close)
        engine.enrol()
        processes = [process, *([unmasker] if unmasker else [])]
        start = time.perf_counter(), time.process_time(), *(server.cpu_seconds() for server in processes)
        engine.train_round(np.arange(devices))
        end = time.perf_counter(), time.process_time(), *(server.cpu_seconds() for server in processes)
        memory = [peak_memory(os.getpid()), *(server.peak_memory() for server in processes)]
    seconds, *cpu = (b - a for a, b in zip(start, end, strict=True))
    stopwatch = connections[0].transport
    return Crowd(
        devices,
        seconds,
        end[0] - stopwatch.last,
        cpu[0],
        cpu[1],
        stopwatch.slowest[CheckInRequest],
        stopwatch.slowest[UploadContributionRequest],
        memory[0],
        memory[1],
        engine.counts.uploaded,
        *(cpu[2:] + memory[2:]),
    )


def _policy(bundle: Bundle, devices: int) -> Policy:
    """Makes a policy that has room for all devices. Its grids are not measured, and so train nothing."""
    value_bits, numbers = 12, manifest.shared(bundle.manifest)
    largest = 2 ** (value_bits - 1) - 1
    grids = {
        name: TensorGrid(exponent=12, clip=min(2**16, math.isqrt(math.prod(spec.shape) * largest**2)))
        for name, spec in numbers.items()
    }
    return Policy(
        modulus_bits=policies.modulus_for(value_bits, devices),
        value_bits=value_bits,
        minimum=devices,
        row_threshold=10,
        max_participations=0,
        touched_rows=1.0,
        grids=grids,
    )


def _population(devices: int, items: int) -> tuple[Bundle, Population]:
    dataset = load("synthetic", users=devices, items=items)
    attribute = dataset.attributes["gender"]
    entry = {"attribute": "gender", "classes": list(attribute.classes)}
    plan = plan_of("fedncf", {"adversaries": [entry]})
    bundle = build("fedncf", dataset.items, plan, 0)
    values = [attribute.classes[label] for label in attribute.labels]
    return bundle, Population.create(bundle.manifest, 0, leave_one_out(dataset).train, {"gender": values})


def report(devices: int, secure: bool, items: int, console: Console) -> dict[str, Any]:
    """Measures the round, prints a table, and returns its figures for JSON; see `measure`."""
    crowd = measure(devices, secure, items)
    kind = "secure" if secure else "plain"
    title = f"{crowd.devices:,} SDK instances in one {kind} round over gRPC, {items:,} items"
    table = Table(title=title, title_justify="left")
    columns = [
        ("devices", crowd.device_cpu, crowd.device_memory),
        ("coordinator", crowd.coordinator_cpu, crowd.coordinator_memory),
        *([("unmasker", crowd.unmasker_cpu, crowd.unmasker_memory)] if secure else []),
    ]
    for name in ("", *(column[0] for column in columns)):
        table.add_column(name)
    table.add_row("CPU", *(f"{column[1]:.1f} s" for column in columns))
    table.add_row("most memory", *(f"{column[2]:.0f} MB" for column in columns))
    console.print(table)
    console.print(
        f"{crowd.seconds:.1f} s from the first check-in to the commit, {crowd.closing:.1f} s of them after the last "
        f"acknowledgement; {crowd.uploaded / 1e6:,.0f} MB uploaded; "
        f"slowest check-in {crowd.check_in:.1f} s, slowest upload {crowd.upload:.1f} s"
    )
    return asdict(crowd)
