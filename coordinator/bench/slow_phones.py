"""`bench slow-phones`: measures check-ins while a thousand slow uploads are under way."""

import asyncio
import json
import time
from dataclasses import dataclass

import numpy as np

from coordinator.bench.load import Phone
from coordinator.bench.processes import Child, CoordinatorServer
from coordinator.bench.trickle import CONNECTIONS
from coordinator.bench.workload import SMALL
from coordinator.errors import BenchError


@dataclass(frozen=True)
class Effort:
    """The amount that is measured.

    Attributes:
        phones: slow uploads.
        piece: bytes of one message of a slow upload.
        pause: seconds between two messages of a slow upload.
        probes: check-ins that are timed, without and with the slow uploads.
        every: seconds between two of those check-ins.
    """

    phones: int
    piece: int
    pause: float
    probes: int
    every: float


FULL = Effort(phones=1000, piece=1000, pause=1, probes=800, every=0.02)
QUICK = Effort(phones=200, piece=4000, pause=1, probes=150, every=0.02)


@dataclass(frozen=True)
class Probe:
    """The figures of check-ins on their own connection.

    Attributes:
        median, p99, largest: milliseconds from call to answer.
        over: check-ins that took more than 100 ms.
        memory: largest resident memory of the coordinator meanwhile, in MiB.
        cpu: share of one core that the coordinator used meanwhile.
    """

    median: float
    p99: float
    largest: float
    over: int
    memory: float
    cpu: float


@dataclass(frozen=True)
class Report:
    """The results of `bench slow-phones`.

    Attributes:
        phones: slow uploads; all were acknowledged.
        quiet: check-ins before the slow uploads.
        busy: check-ins while all slow uploads were under way.
    """

    phones: int
    quiet: Probe
    busy: Probe


async def measure(effort: Effort) -> Report:
    """Times check-ins without and with slow uploads.

    Raises:
        BenchError: the server has ended, or not every upload was acknowledged and counted.
    """
    with CoordinatorServer() as server:
        task_id = server.create_task(SMALL)
        async with Phone(server.devices) as phone:
            await _probe(effort, server, phone)  # this one only warms up
            quiet = await _probe(effort, server, phone)
            load = json.dumps([server.devices, effort.phones, effort.piece, effort.pause])
            with Child("coordinator.bench.trickle", load) as phones:
                await asyncio.to_thread(phones.line)
                busy = await _probe(effort, server, phone)
                acknowledged = int(await asyncio.to_thread(phones.line))
        if acknowledged != effort.phones:
            raise BenchError(f"{acknowledged} of {effort.phones} slow uploads were acknowledged")
        server.expect(task_id, effort.phones)
    return Report(effort.phones, quiet, busy)


async def _probe(effort: Effort, server: CoordinatorServer, phone: Phone) -> Probe:
    seconds, memory = list[float](), list[float]()

    async def check_in() -> None:
        start = time.perf_counter()
        await phone.check_in(SMALL.name)
        seconds.append(time.perf_counter() - start)

    cpu, start = server.cpu(), time.perf_counter()
    async with asyncio.TaskGroup() as group:  # a slow answer does not delay the next check-in
        for number in range(effort.probes):
            await asyncio.sleep(max(0, start + number * effort.every - time.perf_counter()))
            group.create_task(check_in())
            memory.append(server.memory())
    share = (server.cpu() - cpu) / (time.perf_counter() - start)
    milliseconds = np.array(seconds) * 1e3
    median, p99 = (float(quantile) for quantile in np.quantile(milliseconds, (0.5, 0.99)))
    over = int((milliseconds > 100).sum())
    return Probe(median, p99, float(milliseconds.max()), over, max(memory), share)


def table(report: Report) -> str:
    """Writes a report as a table."""
    head = f"{'check-ins':24} {'ms median':>10} {'ms p99':>8} {'ms max':>8} {'>100 ms':>8} {'MiB':>6} {'CPU':>6}"
    busy = f"beside {report.phones:,} slow uploads"
    note = f"the slow uploads came over {CONNECTIONS} connections, the check-ins over another one"
    return "\n".join([head, _row("alone", report.quiet), _row(busy, report.busy), note])


def _row(name: str, probe: Probe) -> str:
    return (
        f"{name:24} {probe.median:>10.1f} {probe.p99:>8.1f} {probe.largest:>8.1f} {probe.over:>8} {probe.memory:>6.0f} "
        f"{probe.cpu:>6.0%}"
    )
