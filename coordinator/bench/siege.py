"""`bench siege`: measures honest devices and the coordinator's memory beside callers who mean no good."""

import asyncio
import itertools
import json
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import numpy as np

from coordinator.bench.accounts import Accounts
from coordinator.bench.processes import Child, CoordinatorServer
from coordinator.bench.visitor import Visitor
from coordinator.bench.workload import PAPER, SMALL
from coordinator.errors import BenchError


@dataclass(frozen=True)
class Effort:
    """The amount that is measured.

    Attributes:
        idle: connections that make no call.
        stalled: uploads that stop before their end.
        wrong: calls a second with wrong credentials.
        addresses: network addresses of those callers, in turn.
        devices: honest devices in each phase, one after the other.
    """

    idle: int
    stalled: int
    wrong: int
    addresses: tuple[int, ...]
    devices: int


FULL = Effort(idle=10_000, stalled=1_000, wrong=200, addresses=(1, 25), devices=200)
QUICK = Effort(idle=1_000, stalled=100, wrong=50, addresses=(4,), devices=20)


@dataclass(frozen=True)
class Phase:
    """The honest devices of a phase, and the coordinator meanwhile.

    Attributes:
        name: of the phase.
        finished: devices whose contribution was acknowledged.
        failed: devices that got an error.
        median, p99: milliseconds that a device waited for the answers to its four calls.
        memory: largest resident memory of the coordinator, in MiB.
        files: open files of the coordinator at the end, nearly all of them connections.
    """

    name: str
    finished: int
    failed: int
    median: float
    p99: float
    memory: float
    files: int


@dataclass(frozen=True)
class Report:
    """The results of `bench siege`: its phases, in their order."""

    phases: list[Phase]


async def measure(effort: Effort) -> Report:
    """Lets honest devices take part before, during and after each kind of siege.

    Raises:
        BenchError: a process has ended, or a contribution was acknowledged and not counted.
    """
    with tempfile.TemporaryDirectory() as folder:
        accounts = Accounts(Path(folder, "jwks.json"))
        with CoordinatorServer(*accounts.settings) as server:
            return Report(await _Siege(effort, accounts, server).run())


class _Siege:
    def __init__(self, effort: Effort, accounts: Accounts, server: CoordinatorServer) -> None:
        self._effort, self._accounts, self._server = effort, accounts, server
        self._task = server.create_task(SMALL)
        server.create_task(PAPER)
        self._payloads, self._names = itertools.cycle(SMALL.payloads()), map(str, itertools.count())

    async def run(self) -> list[Phase]:
        await self._phase("")  # this one only warms up
        phases = [await self._phase("before")]
        loads = await self._loads()
        for count in self._effort.addresses:
            sources = [f"127.0.0.{2 + number}" for number in range(count)]
            text = "one address" if count == 1 else f"{count} addresses"
            for name, kind, load in loads:
                with self._besieged(kind, sources, load) as besiegers:
                    await asyncio.to_thread(besiegers.line)
                    phases.append(await self._phase(f"{name}, {text}"))
        phases.append(await self._phase("after"))
        self._server.expect(self._task, self._effort.devices + sum(phase.finished for phase in phases))
        return phases

    async def _loads(self) -> list[tuple[str, str, Any]]:
        effort = self._effort
        places = []
        for _ in range(effort.stalled):
            async with Visitor(self._server.devices, PAPER.name, self._token()) as thief:
                places.append((await thief.place()).hex())
        return [
            (f"{effort.idle:,} idle connections", "idle", effort.idle),
            (f"{effort.stalled:,} stalled uploads", "stalled", places),
            (f"{effort.wrong} wrong credentials/s", "wrong", effort.wrong),
        ]

    @contextmanager
    def _besieged(self, kind: str, sources: list[str], load: Any) -> Iterator[Child]:  # noqa: ANN401
        order = json.dumps([kind, self._server.devices, sources, load])
        with Child("coordinator.bench.besiegers", order) as besiegers:
            yield besiegers

    def _token(self) -> bytes:
        return self._accounts.token(next(self._names))

    async def _phase(self, name: str) -> Phase:
        seconds, memory, failed = list[float](), list[float](), 0

        for _ in range(self._effort.devices):
            async with Visitor(self._server.devices, SMALL.name, self._token()) as visitor:
                try:
                    await visitor.contribute(next(self._payloads))
                    seconds.append(visitor.seconds)
                except (BenchError, grpc.aio.AioRpcError):
                    failed += 1
            memory.append(self._server.memory())
        median, p99 = np.quantile(seconds or [np.nan], (0.5, 0.99)) * 1e3
        return Phase(name, len(seconds), failed, float(median), float(p99), max(memory), self._server.files())


def table(report: Report) -> str:
    """Writes a report as a table."""
    head = (
        f"{'honest devices':44} {'finished':>8} {'failed':>6} {'ms median':>10} {'ms p99':>8} {'MiB':>6} {'files':>6}"
    )
    return "\n".join([head, *map(_row, report.phases)])


def _row(phase: Phase) -> str:
    return (
        f"{phase.name:44} {phase.finished:>8} {phase.failed:>6} {phase.median:>9.1f} {phase.p99:>8.1f} "
        f"{phase.memory:>6.0f} {phase.files:>6}"
    )
