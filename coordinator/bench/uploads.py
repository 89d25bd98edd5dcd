"""`bench uploads`: durable uploads beside a bare server that adds the same bytes, in alternation in one run."""

import asyncio
import itertools
import secrets
import statistics
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import grpc
import numpy as np

from coordinator.bench import workload
from coordinator.bench.load import Crowd, Phone
from coordinator.bench.processes import Server
from coordinator.bench.workload import Payload
from fedau2.v1.admin_pb2_grpc import AdminServiceStub

DISK = "/var/tmp"
"""Where state folders are made: the place for temporary files that survive a restart, so on a real disk."""

ROWS = (61, 853)
"""Rows of the two contributions: about 20 KB and 226 KB."""


@dataclass(frozen=True)
class Effort:
    """How much is measured.

    Attributes:
        alternations: how often each server has its turn.
        uploads: of one turn, for each contribution of `ROWS`.
        held: contributions in one round after which the memory is read.
    """

    alternations: int
    uploads: tuple[int, int]
    held: tuple[int, ...]


FULL = Effort(alternations=7, uploads=(2000, 500), held=(100, 1_000, 10_000))
QUICK = Effort(alternations=3, uploads=(500, 150), held=(100, 1_000))


@dataclass(frozen=True)
class Turn:
    """One server's turn.

    Attributes:
        cpu: microseconds of the server's CPU for one call.
        wall: calls in a second.
        median, p99: milliseconds from a call's start to its answer.
    """

    cpu: float
    wall: float
    median: float
    p99: float


async def _turn(server: Server, crowd: Crowd, jobs: Sequence[tuple[bytes, Payload]]) -> Turn:
    cpu, start = server.cpu(), time.perf_counter()
    seconds = await crowd.share(jobs, _timed_upload)
    wall, cpu = time.perf_counter() - start, server.cpu() - cpu
    median, p99 = np.quantile(seconds, (0.5, 0.99)) * 1e3
    return Turn(cpu / len(jobs) * 1e6, len(jobs) / wall, float(median), float(p99))


async def _timed_upload(phone: Phone, job: tuple[bytes, Payload]) -> float:
    start = time.perf_counter()
    await phone.upload(*job)
    return time.perf_counter() - start


async def main() -> None:
    effort = QUICK
    with tempfile.TemporaryDirectory(dir=DISK) as folder, Server.coordinator(Path(folder)) as ours, Server.bare() as bare:
        async with grpc.aio.insecure_channel(ours.admin) as admin, Crowd(ours.devices) as one, Crowd(bare.devices) as two:
            await AdminServiceStub(admin).CreateTask(workload.task(100_000))
            for rows, count in zip(ROWS, effort.uploads):
                pool = workload.payloads(rows)
                print(pool[0].size)
                for _ in range(effort.alternations):
                    cpu, start = ours.cpu(), time.perf_counter()
                    ids = await one.share(range(count), lambda phone, _: phone.check_in())
                    print("checkin", (ours.cpu()-cpu)/count*1e6, count/(time.perf_counter()-start))
                    jobs = list(zip(ids, itertools.cycle(pool)))
                    a = await _turn(ours, one, jobs)
                    b = await _turn(bare, two, jobs)
                    print(f"ours {a.cpu:.0f}us {a.wall:.0f}/s {a.median:.1f} {a.p99:.1f}  bare {b.cpu:.0f}us {b.wall:.0f}/s {b.median:.1f} {b.p99:.1f} ratio {b.cpu/a.cpu:.2f} rss {ours.memory():.0f} {bare.memory():.0f}", flush=True)

asyncio.run(main())
