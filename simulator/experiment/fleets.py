"""Opens the fleet of a run, with its coordinator."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from client_sdk import engines
from export.bundle import Bundle
from simulator.config.sections import EngineSettings
from simulator.engines.connections import GrpcConnection, InProcessConnection
from simulator.engines.coordinator_process import CoordinatorProcess
from simulator.engines.fleet import FleetEngine
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
    with tempfile.TemporaryDirectory(prefix="coordinator-", dir=folder) as name:
        state = Path(name)
        connect = partial(InProcessConnection.open if settings.transport == "inproc" else _start, state, audit)
        fleet = FleetEngine.start(connect, bundle, population, cohort, settings.rounds, engines.make(settings.trainer))
        try:
            yield fleet
        finally:
            fleet.close()


async def _start(state: Path, audit: Path | None) -> GrpcConnection:
    return await CoordinatorProcess(state, audit=audit).connect()
