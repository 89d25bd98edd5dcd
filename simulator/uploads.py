"""What a server without secure aggregation sees of single clients: an adversary's gradients, as devices upload them.

The checkpoint and the private state stay as they are, so that any number of rounds can be looked at.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
import torch
from torch import Tensor

from client_sdk.kernel import adversary
from client_sdk.kernel.batch import layout
from client_sdk.kernel.contract import Step, Tensors
from client_sdk.kernel.training import Cohort, Task
from fedau2.v1.task_pb2 import Adversary
from simulator.population import Members, Population

_CLIENTS = 96
"""Most clients whose gradients are held at a time."""

_NUMBERS = 2**24
"""Most numbers of first-layer gradients that are held at a time."""


@dataclass(frozen=True, eq=False)
class Uploads:
    """Contributions of some clients to one adversary, one round's. The server does not see the last two.

    Attributes:
        recovered: the protected state as the first layer's gradients give it, (B, width).
        gradients: of the adversary's tensors, (B, ...), by name without the prefix. `hidden.weight` is left out: a
            client's is the outer product of `hidden.bias` and `recovered`, and large.
        states: the protected state, (B, width).
        labels: class numbers, (B,).
    """

    recovered: Tensor
    gradients: Tensors
    states: Tensor
    labels: Tensor

    @classmethod
    def join(cls, parts: Sequence[Self]) -> Self:
        """Of consecutive clients."""
        names = parts[0].gradients
        return cls(
            torch.cat([each.recovered for each in parts]),
            {name: torch.cat([each.gradients[name] for each in parts]) for name in names},
            torch.cat([each.states for each in parts]),
            torch.cat([each.labels for each in parts]),
        )


def width(task: Task, adversaries: Sequence[Adversary]) -> int:
    """Of the widest protected state."""
    return max(task.adversary[f"{adversary.prefix(each)}hidden.weight"].shape[1] for each in adversaries)


def observe(
    task: Task, adversaries: Sequence[Adversary], population: Population, members: Members, round_number: int
) -> dict[str, Uploads]:
    """Uploads of one round, by adversary.

    Args:
        task: manifest and checkpoint; of one local step, which uploads the gradient.
        adversaries: those of the plan to look at.
        population: the clients.
        members: those that take part, who all know their attribute.
        round_number: for which samples and noise are drawn.
    """
    size = min(_CLIENTS, max(1, _NUMBERS // (adversary.HIDDEN * width(task, adversaries))))
    found: dict[str, list[Uploads]] = {each.name: [] for each in adversaries}
    for chunk in np.split(members, range(size, len(members), size)):
        cohort = population.cohort(task.manifest, round_number, chunk)
        states = _states(task, cohort, round_number)
        for each in adversaries:
            found[each.name].append(_upload(task, each, cohort, states, round_number))
    return {name: Uploads.join(parts) for name, parts in found.items()}


def _states(task: Task, cohort: Cohort, round_number: int) -> Tensors:
    """The states that adversaries see in the first local step, (B, ...)."""
    rows, batches = layout(cohort.samples, task.manifest.items, summed=True)
    shared = {
        name: value.index_select(0, rows.table) if name in task.tables else value[None]
        for name, value in task.shared.items()
    }
    private = {name: torch.from_numpy(value) for name, value in cohort.state.values.items()}
    seen: Tensors = {}

    def look(states: Tensors) -> Tensors:
        seen.update(states)
        return {}

    with torch.no_grad():
        step = Step(rows, batches[0], task.manifest.plan.local, round_number)
        task.recommender.gradients(shared, private, step, look)
    return seen


def _upload(task: Task, each: Adversary, cohort: Cohort, states: Tensors, round_number: int) -> Uploads:
    prefix, labels = adversary.prefix(each), torch.from_numpy(cohort.labels[each.name])
    own = {name: value[None] for name, value in task.adversary.items() if name.startswith(prefix)}
    noise = torch.from_numpy(cohort.noise[each.name][:, 0])
    with torch.no_grad():
        verdict = adversary.judge(each, round_number, own, states, labels, noise, len(labels))
    gradients = {name.removeprefix(prefix): value for name, value in verdict.shared.items()}
    recovered = recover(gradients.pop("hidden.weight"), gradients["hidden.bias"])
    return Uploads(recovered, gradients, torch.cat([states[name].flatten(1) for name in each.protects], 1), labels)


def recover(weight: Tensor, bias: Tensor) -> Tensor:
    """A layer's input from its gradients: a row of the weight's over the same entry of the bias's, (B, in).

    The row with the largest entry is taken; an input that moved no unit (all ReLUs off) comes out as 0.

    Args:
        weight: gradients by weight of one sample each, (B, out, in).
        bias: gradients by bias, (B, out).
    """
    unit = bias.abs().argmax(1)
    client = torch.arange(len(bias))
    divisor = bias[client, unit, None]
    return torch.where(divisor == 0, 0, weight[client, unit] / divisor.where(divisor != 0, torch.ones(())))
