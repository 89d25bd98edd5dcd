"""`bench uploads`: durable uploads beside a bare server that adds the same bytes, in alternation in one run."""

import itertools
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from coordinator.bench.load import IN_FLIGHT, Crowd, Turn
from coordinator.bench.processes import CoordinatorServer, Server
from coordinator.bench.workload import PAPER, SMALL, Model


@dataclass(frozen=True)
class Effort:
    """How much is measured.

    Attributes:
        turns: how often each server has its turn, after one that does not count.
        uploads: models, and how many uploads one turn has.
        held: contributions in one round at which the memory is read.
    """

    turns: int
    uploads: Sequence[tuple[Model, int]]
    held: Sequence[int]


FULL = Effort(turns=9, uploads=((SMALL, 2000), (PAPER, 800)), held=(100, 1_000, 10_000, 30_000))
QUICK = Effort(turns=3, uploads=((SMALL, 500), (PAPER, 200)), held=(100, 1_000))


@dataclass(frozen=True)
class Comparison:
    """What one kind of contribution costs.

    Attributes:
        model: whose contributions.
        size: of one, in bytes.
        check_ins: durable check-ins at the coordinator.
        durable: validated and durable uploads to the coordinator.
        bare: uploads to the bare server, one turn after each of `durable`.
    """

    model: str
    size: int
    check_ins: list[Turn]
    durable: list[Turn]
    bare: list[Turn]

    def ratios(self) -> list[float]:
        """Uploads per CPU second, the coordinator's over the bare server's, for each pair of turns."""
        return [bare.cpu / durable.cpu for durable, bare in zip(self.durable, self.bare, strict=True)]


@dataclass(frozen=True)
class Report:
    """What `bench uploads` has measured.

    Attributes:
        comparisons: one for each kind of contribution.
        memory: the coordinator's resident MiB, by the number of contributions that its open round holds.
    """

    comparisons: list[Comparison]
    memory: dict[int, float]


async def measure(effort: Effort) -> Report:
    """Measures both servers.

    Raises:
        BenchError: a server has ended, or has not counted what it acknowledged.
    """
    with CoordinatorServer() as ours, Server("coordinator.bench.bare") as bare:
        comparisons = [await _compare(*each, effort.turns, ours, bare) for each in effort.uploads]
    return Report(comparisons, await _memory(effort.held))


async def _compare(model: Model, count: int, turns: int, ours: CoordinatorServer, bare: Server) -> Comparison:
    task_id, payloads = ours.create_task(model), model.payloads()
    result = Comparison(model.name, payloads[0].size, [], [], [])
    async with Crowd(ours) as crowd, Crowd(bare) as beside:
        for _ in range(1 + turns):
            check_ins, ids = await crowd.check_in(model.name, count)
            jobs = list(zip(ids, itertools.cycle(payloads), strict=False))
            result.check_ins.append(check_ins)
            result.durable.append(await crowd.upload(jobs))
            result.bare.append(await beside.upload(jobs))
    ours.expect(task_id, (1 + turns) * count)
    for each in (result.check_ins, result.durable, result.bare):
        del each[0]  # nothing was warm yet
    return result


async def _memory(held: Sequence[int]) -> dict[int, float]:
    memory, payloads = {}, itertools.cycle(SMALL.payloads())
    with CoordinatorServer() as server:
        task_id = server.create_task(SMALL)
        async with Crowd(server) as crowd:
            for before, count in itertools.pairwise((0, *held)):
                _, ids = await crowd.check_in(SMALL.name, count - before)
                await crowd.upload(zip(ids, payloads, strict=False))
                memory[count] = server.memory()
        server.expect(task_id, held[-1])
    return memory


def table(report: Report) -> str:
    """A report for people."""
    lines = [
        f"{IN_FLIGHT} calls in flight; medians of {len(report.comparisons[0].durable)} turns (smallest-largest)",
        "",
    ]
    lines.append(f"{'':24} {'CPU us/call':>20} {'calls/CPU s':>11} {'calls/s':>20} {'ms median':>10} {'ms p99':>8}")
    for each in report.comparisons:
        kilobytes = f"{each.size / 1000:.0f} KB"
        lines.append(_row("check-in", each.check_ins))
        lines.append(_row(f"{kilobytes} durable upload", each.durable))
        lines.append(_row(f"{kilobytes} bare upload", each.bare))
        ratios = each.ratios()
        lines.append(f"{kilobytes}: uploads per CPU second, durable over bare: {_spread(ratios, '.2f')}")
        lines.append("")
    memory = ", ".join(f"{mebibytes:.0f} MiB with {count:,}" for count, mebibytes in report.memory.items())
    lines.append(f"memory, by contributions of {report.comparisons[0].size / 1000:.0f} KB in the open round: {memory}")
    return "\n".join(lines)


def _row(name: str, turns: Sequence[Turn]) -> str:
    middle = Turn.median_of(turns)
    cpu, rate = _spread([turn.cpu for turn in turns], ".0f"), _spread([turn.rate for turn in turns], ".0f")
    return f"{name:24} {cpu:>20} {1e6 / middle.cpu:>11.0f} {rate:>20} {middle.median:>10.1f} {middle.p99:>8.1f}"


def _spread(figures: Sequence[float], form: str) -> str:
    return f"{statistics.median(figures):{form}} ({min(figures):{form}}-{max(figures):{form}})"
