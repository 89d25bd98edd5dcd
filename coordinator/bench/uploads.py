"""`bench uploads`: measures durable uploads, alternating with a bare server that adds the same bytes."""

import itertools
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from coordinator.bench.load import IN_FLIGHT, Crowd, Turn
from coordinator.bench.processes import CoordinatorServer, Server
from coordinator.bench.workload import PAPER, SMALL, Model


@dataclass(frozen=True)
class Effort:
    """The amount that is measured.

    Attributes:
        turns: turns of either server, after one that does not count.
        uploads: models, with the number of uploads in one turn.
        held: numbers of contributions in one round at which the memory is read.
    """

    turns: int
    uploads: Sequence[tuple[Model, int]]
    held: Sequence[int]


FULL = Effort(turns=9, uploads=((SMALL, 2000), (PAPER, 800)), held=(100, 1_000, 10_000, 30_000))
QUICK = Effort(turns=3, uploads=((SMALL, 500), (PAPER, 200)), held=(100, 1_000))


@dataclass(frozen=True)
class Comparison:
    """The cost of one kind of contribution.

    Attributes:
        model: name of the model.
        size: bytes of a contribution.
        check_ins: turns of durable check-ins at the coordinator.
        durable: turns of validated and durable uploads to the coordinator.
        bare: turns of uploads to the bare server, one after every turn of `durable`.
    """

    model: str
    size: int
    check_ins: list[Turn]
    durable: list[Turn]
    bare: list[Turn]

    def ratios(self) -> list[float]:
        """Returns uploads per CPU second, the coordinator's over the bare server's, for every pair of turns."""
        return [bare.cpu / durable.cpu for durable, bare in zip(self.durable, self.bare, strict=True)]


@dataclass(frozen=True)
class Report:
    """The results of `bench uploads`.

    Attributes:
        comparisons: a comparison for every kind of contribution.
        memory: resident memory of the coordinator in MiB, by the number of contributions in its open round.
    """

    comparisons: list[Comparison]
    memory: dict[int, float]


async def measure(effort: Effort) -> Report:
    """Measures both servers.

    Raises:
        BenchError: a server has ended, or has not counted the uploads that it acknowledged.
    """
    with CoordinatorServer() as ours, Server("coordinator.bench.bare") as bare:
        comparisons = [await _compare(model, count, effort.turns, ours, bare) for model, count in effort.uploads]
    return Report(comparisons, await _memory(effort.held))


async def _compare(model: Model, count: int, turns: int, ours: CoordinatorServer, bare: Server) -> Comparison:
    task_id, payloads = ours.create_task(model), model.payloads()
    result = Comparison(model.name, payloads[0].size, [], [], [])
    async with Crowd(ours) as crowd, Crowd(bare) as beside:
        for _ in range(1 + turns):
            check_ins, ids = await crowd.check_in(model.name, count)
            uploads = list(zip(ids, itertools.cycle(payloads), strict=False))
            result.check_ins.append(check_ins)
            result.durable.append(await crowd.upload(uploads))
            result.bare.append(await beside.upload(uploads))
    ours.expect(task_id, (1 + turns) * count)
    for turns_of_kind in (result.check_ins, result.durable, result.bare):
        del turns_of_kind[0]  # it only warmed up
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
    """Writes a report as a table."""
    lines = [
        f"{IN_FLIGHT} calls in flight; medians of {len(report.comparisons[0].durable)} turns (smallest-largest)",
        "",
    ]
    lines.append(f"{'':24} {'CPU us/call':>20} {'calls/CPU s':>11} {'calls/s':>20} {'ms median':>10} {'ms p99':>8}")
    for comparison in report.comparisons:
        kilobytes = f"{comparison.size / 1000:.0f} KB"
        lines.append(_row("check-in", comparison.check_ins))
        lines.append(_row(f"{kilobytes} durable upload", comparison.durable))
        lines.append(_row(f"{kilobytes} bare upload", comparison.bare))
        ratios = comparison.ratios()
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
