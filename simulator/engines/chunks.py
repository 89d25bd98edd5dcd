"""The training of one chunk of a cohort: a function of a task, a round and clients, which any executor may call."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

import torch

from client_sdk.kernel.training import CPU, CohortTraining, Task
from client_sdk.protocol import defences
from client_sdk.protocol.values import PrivateState, Report
from coordinator.aggregation import aggregators
from coordinator.aggregation.aggregators import Aggregator, Mean
from coordinator.aggregation.secure_sum import SecureSum
from fedau2.v1.task_pb2 import TaskManifest
from fedau2.wire.blobs import Tensors
from fedau2.wire.contributions import Update
from fedau2.wire.secure import quantise
from fedau2.wire.secure.layout import Layout
from simulator.engines.kernels import KernelName, choose
from simulator.population.clients import Clients
from simulator.unlearning.baselines import Noise

Sums = Aggregator | SecureSum
"""Exact sums of contributions on a grid of integers, which are merged in any order."""


class Job:
    """A task, and what trains it. It is pickled as names, so that another process chooses the same kernel.

    Args:
        manifest: checked.
        kernel: name of the kernel, see `kernels.choose`.
        device: where it trains.

    Raises:
        ConfigError: the kernel cannot be used here.
    """

    def __init__(self, manifest: TaskManifest, kernel: KernelName, device: torch.device = CPU) -> None:
        self.manifest, self.kernel, self.device = manifest, choose(kernel, manifest, device), device
        self.layout = Layout.of(manifest) if manifest.HasField("secure_sums") else None

    def __reduce__(self) -> tuple[type["Job"], tuple[TaskManifest, str, torch.device]]:
        return Job, (self.manifest, self.kernel.name, self.device)

    def task(self, checkpoint: Tensors) -> Task:
        """Returns the task with a round's checkpoint, on the device."""
        return Task.load(self.manifest, checkpoint, self.device)

    def sums(self, now: "Round") -> Sums:
        """Makes empty sums of a round."""
        if self.layout:
            return SecureSum(self.manifest)
        return now.noise.noisy(aggregators.of(self.manifest, now.norms), now.number)

    @property
    def factored(self) -> bool:
        """True if contributions become integers as they are trained, without being made for each client."""
        plan = self.manifest.plan
        changed = plan.local.steps > 1 or plan.matchings or plan.HasField("eraser") or defences.active(plan)
        return self.layout is not None and not changed

    def summed(self, sums: Sums) -> bool:
        """Returns whether sums take the total of a chunk; others take the contribution of each client."""
        return isinstance(sums, Mean) and not defences.active(self.manifest.plan)


def add(sums: Sums, contributions: Iterable[tuple[Any, ...]]) -> None:
    """Adds the contributions of a chunk to sums of its job."""
    for arguments in contributions:
        if isinstance(sums, SecureSum):
            sums.add_numbers(*arguments)
        else:
            sums.add(*arguments)


def merge(sums: Sums, other: Sums) -> None:
    """Adds sums of the same job, which are of the same kind, to others."""
    cast(Any, sums).merge(other)


@dataclass(frozen=True, eq=False)
class Round:
    """A round, as all of its chunks need it.

    Attributes:
        number: of the round.
        checkpoint: as clients get it.
        noise: that clients add.
        norms: the part of the server's state that bounds contributions, see `clip.kept`.
    """

    number: int
    checkpoint: Tensors
    noise: Noise
    norms: Tensors = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Chunk:
    """The result of a chunk.

    Attributes:
        contributions: the arguments of each call of the sums' `add`, or of `SecureSum.add_numbers`.
        state: new private state of its clients; None: it was changed in place.
        report: of its clients, in their order.
        steps: local steps that moved private state.
    """

    contributions: Iterable[tuple[Any, ...]]
    state: PrivateState | None
    report: Report
    steps: int


def train_chunk(job: Job, task: Task, round_number: int, clients: Clients, *, summed: bool) -> Chunk:
    """Trains the clients of a chunk. The result depends on nothing but the arguments.

    Args:
        job: the task with its kernel.
        task: the manifest with the round's checkpoint.
        round_number: of the round.
        clients: those of the chunk; their state is changed in place where they are rows of a larger one.
        summed: True for the total of the clients' contributions, False for the contribution of each.
    """
    operations = job.kernel.operations
    cohort = clients.cohort(job.manifest, round_number, operations)
    training = CohortTraining(
        task, round_number, cohort, summed=summed, operations=operations, factored=job.factored
    ).run()
    state, steps = None if training.in_place else training.state(), training.private_steps
    if summed:
        return Chunk([training.summed()], state, training.report(), steps)
    if job.factored:
        return Chunk([(training.numbers(), len(clients))], state, training.report(), steps)
    trained = zip(clients.keys, training.contributions(), strict=True)
    sent = [defences.defend(job.manifest, update, key, round_number) for key, update in trained]
    return Chunk([_arguments(job, update) for update in sent], state, training.report(), steps)


def _arguments(job: Job, update: Mapping[str, Update]) -> tuple[Any, ...]:
    return (quantise.numbers(update, job.layout), 1) if job.layout else (update,)


@dataclass(frozen=True, eq=False)
class Share:
    """The result of the chunks that one worker has trained.

    Attributes:
        sums: of their contributions.
        states: new private state of the clients of each chunk.
        reports: of each chunk.
    """

    sums: Sums
    states: Sequence[PrivateState | None]
    reports: Sequence[Report]
