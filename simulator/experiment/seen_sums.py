"""The sum of one round as the coordinator of secure sums sees it, and what can be read from it."""

from collections.abc import Sequence
from dataclasses import dataclass, fields

from client_sdk.kernel.training import Task
from fedau2.v1.task_pb2 import DRAW_WHOLE, TaskManifest
from fedau2.wire.secure.layout import Layout
from simulator.attacks import lone_rows
from simulator.attacks.lone_rows import Read, Sum
from simulator.attacks.recommenders.contract import Impossible
from simulator.attacks.recommenders.registry import attacks_on
from simulator.config.sections import EngineSettings
from simulator.engines import on_sums
from simulator.experiment import assembly
from simulator.population.population import Members, Population


@dataclass(frozen=True)
class SeenSums:
    """Makes the sums of a table that an attacker has of the round after the last.

    Attributes:
        task: manifest and checkpoint.
        population: the clients.
        settings: of the run.
        table: name of the table whose rows show devices.
    """

    task: Task
    population: Population
    settings: EngineSettings
    table: str

    def __call__(self, members: Members, exact: bool = False) -> Sum:
        """Returns the sum over some devices, with the round's noise unless it is exact. No row is closed."""
        number, task = self.settings.rounds, self.task.manifest
        total = Sum.of(self.task, self.population, members, number, self.table)
        if exact or not task.secure_sums.noise_multiplier:
            return total
        layout = Layout.of(task)
        noise = on_sums.drawn(layout, task.secure_sums, self.settings.seed, number)
        return total.noisy(noise[layout.tensors[self.table]])


def threshold(settings: EngineSettings, task: TaskManifest) -> int:
    """Returns the threshold below which rows stay closed: the policy's, or without one that of the settings."""
    return task.secure_sums.row_threshold if task.HasField("secure_sums") else settings.row_threshold


def read(parts: Sequence[Sum], population: Population, task: TaskManifest) -> Read:
    """Attacks each of some sums, and adds up what was read."""
    reads = []
    for part in parts:
        found = lone_rows.groups(part.total, draws=task.draw != DRAW_WHOLE)
        reads.append(lone_rows.judge(found, part.parts, [population.interactions[member] for member in part.members]))
    return Read(*(sum(getattr(read, field.name) for read in reads) for field in fields(Read)))


def table_of(task: TaskManifest) -> str:
    """Returns the table whose rows show devices in a sum; empty if no table does."""
    table = attacks_on(task.model).lone_rows
    return "" if isinstance(table, Impossible) or task.plan.local.steps > 1 else table


def read_round(task: Task, population: Population, settings: EngineSettings) -> dict[str, float]:
    """Attacks one sum of a whole cohort, as it is opened by the task's policy.

    Returns:
        The shares of the devices and of their recorded items that are read: `sum_devices` and `sum_items`.
    """
    members = assembly.cohort(settings, settings.rounds, len(population))
    total = SeenSums(task, population, settings, table_of(task.manifest))(members)
    if (least := threshold(settings, task.manifest)) > 1:
        total = total.closed(least)
    found = read([total], population, task.manifest)
    return {"sum_devices": found.read / found.devices, "sum_items": found.items / max(1, found.recorded)}
