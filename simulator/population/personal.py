"""Personal steps of many clients at once, by the kernel, as the SDK takes those of one device on ONNX Runtime."""

from collections.abc import Collection, Sequence
from dataclasses import replace

import numpy as np

from client_sdk import draws
from client_sdk.draws import Samples, Stream
from client_sdk.kernel.training import Cohort, CohortTraining, Task
from client_sdk.protocol.values import PrivateState
from client_sdk.weights import weighed
from fedau2.v1.task_pb2 import OBJECTIVE_CONFUSION, Objective
from simulator.population.clients import joined
from simulator.population.population import Members, Population

_CHUNK = 12
"""Clients of a call of the kernel: so few that their rows of FedRAP stay in the processor's cache."""

FOLLOWED = (OBJECTIVE_CONFUSION,)
"""The objectives that a device follows in personal steps, see `client_sdk.personalisation.steps.PersonalSteps`."""


def stepped(
    population: Population,
    task: Task,
    round_number: int,
    members: Members,
    numbers: Sequence[int],
    followed: Collection[Objective.ValueType] = FOLLOWED,
) -> PrivateState:
    """Returns the private state of some clients after personal steps. The population does not change.

    Args:
        population: the clients.
        task: the model.
        round_number: rounds that it has been trained for.
        members: the clients, at least one.
        numbers: of the steps; a device never uses a number twice.
        followed: objectives of the adversaries that the steps follow, where the attribute is known.
    """
    one = replace(task, plan=task.plan.personal())
    parts = []
    for start in range(0, len(members), _CHUNK):
        chunk = members[start : start + _CHUNK]
        state = population.take(chunk)
        for number in numbers:
            cohort = _cohort(population, one, chunk, number, followed, state)
            state = CohortTraining(one, round_number, cohort, summed=True).run().state()
        parts.append(state)
    return joined(parts)


def _cohort(
    population: Population,
    task: Task,
    members: Members,
    number: int,
    followed: Collection[Objective.ValueType],
    state: PrivateState,
) -> Cohort:
    adversaries = task.plan.adversaries
    drawn = [
        draws.noise(adversaries, 1, draws.generator(population.keys[member], number, Stream.PERSONAL + Stream.NOISE))
        for member in members
    ]
    noise = {each.name: np.stack([client[each.name] for client in drawn]) for each in adversaries}
    labels = population.labels(task.manifest, members)
    for each in adversaries:
        if each.objective not in followed:
            labels[each.name] = np.full(len(members), -1)
    return Cohort([_samples(population, task, member, number) for member in members], noise, labels, state)


def _samples(population: Population, task: Task, member: int, number: int) -> Sequence[Samples]:
    rows, key = population.interactions[member], population.keys[member]
    drawn = draws.drawn(task.plan, rows, key, number, family=Stream.PERSONAL)
    return weighed(drawn, task.plan.draw, rows, population.weights[member] if population.weights else None)
