"""Opens the fleet of a run, with its coordinator and, for secure sums, its unmasker."""

import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path

from client_sdk import engines
from export import sums
from export.bundle import Bundle
from simulator.config.sections import EngineSettings
from simulator.engines import task_creation
from simulator.engines.asynchronous import AsynchronousFleet, Speeds
from simulator.engines.connections import GrpcConnection, InProcessConnection
from simulator.engines.coordinator_process import CoordinatorProcess
from simulator.engines.fleet import FleetEngine
from simulator.engines.membership import Members
from simulator.engines.unmasker_process import UnmaskerProcess
from simulator.population.population import Population


@contextmanager
def opened(
    settings: EngineSettings, bundle: Bundle, population: Population, cohort: int, folder: Path, audit: Path | None
) -> Iterator[FleetEngine]:
    """Opens a fleet, whose coordinator keeps its state under `folder` meanwhile.

    Args:
        settings: of the run.
        bundle: the task.
        population: the clients.
        cohort: clients of a round.
        folder: of the run.
        audit: where the coordinator keeps every contribution; None: nowhere.
    """
    with tempfile.TemporaryDirectory(prefix="coordinator-", dir=folder) as name, ExitStack() as stack:
        state, members, unmasker = Path(name), None, None
        if settings.sums == "secure":
            unmasker = UnmaskerProcess(state / "unmasker")
            stack.callback(unmasker.stop)
            bundle, members = sums.opened_by(bundle, [unmasker.identity]), Members(unmasker)
        start = InProcessConnection.open if settings.transport == "inproc" else _start
        connect = partial(start, state / "state", audit, unmasker)
        trainer = engines.make(settings.trainer)
        given = connect, bundle, population, cohort, settings.rounds, trainer, members
        if settings.buffer:
            rule = task_creation.closing(settings.buffer, cohort)
            speeds = Speeds(settings.seed, len(population), settings.slow)
            fleet: FleetEngine = AsynchronousFleet.start(*given, rule=rule, speeds=speeds)
        else:
            fleet = FleetEngine.start(*given)
        stack.callback(fleet.close)
        yield fleet


async def _start(state: Path, audit: Path | None, unmasker: UnmaskerProcess | None) -> GrpcConnection:
    return await CoordinatorProcess(state, audit=audit, unmasker=unmasker).connect()
