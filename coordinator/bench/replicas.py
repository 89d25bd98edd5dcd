"""`bench replicas`: measures durable uploads to one, two and three coordinators on a ledger in PostgreSQL.

One of the three leads. Devices call the leader alone, or it and one stand-by in turn, or all three. A coordinator with
its ledger in SQLite is measured beside them, turn by turn. The processor time of PostgreSQL is in no figure.
"""

import itertools
import tempfile
from contextlib import AsyncExitStack, ExitStack
from dataclasses import dataclass
from pathlib import Path

from coordinator.bench.load import IN_FLIGHT, Crowd, Turn
from coordinator.bench.processes import DISK, CoordinatorServer
from coordinator.bench.workload import PAPER, SMALL, Model
from coordinator.store.lease import Lease


@dataclass(frozen=True)
class Effort:
    """The amount that is measured.

    Attributes:
        turns: turns of each kind, after one that does not count.
        uploads: models, with the number of uploads in one turn.
    """

    turns: int
    uploads: tuple[tuple[Model, int], ...]


FULL = Effort(turns=9, uploads=((SMALL, 2000), (PAPER, 800)))
QUICK = Effort(turns=3, uploads=((SMALL, 500), (PAPER, 200)))


@dataclass(frozen=True)
class Report:
    """The results: for each contribution's size in bytes, the turns of each kind, in the order of turns."""

    uploads: dict[int, dict[str, list[Turn]]]


async def measure(effort: Effort, database: str, objects: str | None = None) -> Report:
    """Measures all kinds.

    Args:
        effort: the amount.
        database: URL of an empty database in PostgreSQL.
        objects: URL of an empty object store; None: the coordinators share a folder.

    Raises:
        BenchError: a server has ended, or has not counted the uploads that it acknowledged.
        LedgerError: the database cannot be used.
    """
    Lease(database, "", 10).close()  # the URL is checked before anything starts
    with ExitStack() as stack:
        alone = stack.enter_context(CoordinatorServer())
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="fedau2-bench-", dir=DISK)))
        shared: tuple[str, ...] = ("--database", database, "--replica", "127.0.0.1:0", "--replica-lease", "60")
        folders = [folder] * 3
        if objects is not None:
            shared = (*shared, "--objects", objects)
            folders = [folder / f"{number}" for number in range(3)]
        members = [stack.enter_context(CoordinatorServer(*shared, folder=place)) for place in folders]
        kinds = {"SQLite": [alone]} | {f"{count} on PostgreSQL": members[:count] for count in (1, 2, 3)}
        measured = [await _compare(model, count, effort.turns, kinds) for model, count in effort.uploads]
    return Report(dict(measured))


async def _compare(
    model: Model, count: int, turns: int, kinds: dict[str, list[CoordinatorServer]]
) -> tuple[int, dict[str, list[Turn]]]:
    payloads, results = model.payloads(), {name: list[Turn]() for name in kinds}
    tasks = {servers[0]: servers[0].create_task(model) for servers in kinds.values() if len(servers) == 1}
    async with AsyncExitStack() as stack:
        crowds = {name: await stack.enter_async_context(Crowd(*servers)) for name, servers in kinds.items()}
        for _ in range(1 + turns):
            for name, crowd in crowds.items():
                _, ids = await crowd.check_in(model.name, count)
                results[name].append(await crowd.upload(zip(ids, itertools.cycle(payloads), strict=False)))
    alone, leader = tasks
    alone.expect(tasks[alone], (1 + turns) * count)
    leader.expect(tasks[leader], (1 + turns) * count * (len(kinds) - 1))
    return payloads[0].size, {name: measured[1:] for name, measured in results.items()}


def table(report: Report) -> str:
    """Writes a report as a table."""
    lines = [f"{IN_FLIGHT} uploads in flight; medians (smallest-largest) over turns", ""]
    for size, kinds in report.uploads.items():
        lines.append(
            f"{f'{size / 1000:.0f} KB':18} {'CPU us/upload':>18} {'over SQLite':>18} {'uploads/s':>12} {'ms':>8}"
        )
        base = kinds["SQLite"]
        for name, turns in kinds.items():
            ratios = sorted(turn.cpu / other.cpu for turn, other in zip(turns, base, strict=True))
            middle = Turn.median_of(turns)
            spread = f"{ratios[len(ratios) // 2]:.2f} ({ratios[0]:.2f}-{ratios[-1]:.2f})"
            lines.append(f"{name:18} {middle.cpu:>18.0f} {spread:>18} {middle.rate:>12.0f} {middle.median:>8.1f}")
        lines.append("")
    return "\n".join(lines).rstrip()
