"""The uploads of single clients to an adversary, which a server without secure aggregation sees.

The checkpoint and the private state stay as they are, so that any number of rounds can be computed from them.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
import torch
from torch import Tensor

from client_sdk.kernel import adversary as kernel_adversary
from client_sdk.kernel.batch import layout
from client_sdk.kernel.contract import Step, Tensors
from client_sdk.kernel.training import Cohort, Task
from client_sdk.plan import WIDTH, AdversaryPlan
from client_sdk.protocol.defences import defend
from fedau2.v1.task_pb2 import Adversary
from fedau2.wire import manifest
from fedau2.wire.contributions import Update
from simulator.population.population import Members, Population

_CLIENTS = 96
"""Most clients whose gradients are held at a time."""

_NUMBERS = 2**24
"""Most numbers of first-layer gradients that are held at a time."""


@dataclass(frozen=True, eq=False)
class Uploads:
    """Contributions of some clients to one adversary in one round.

    Attributes:
        recovered: the protected state as the first layer's gradients give it, (B, width).
        gradients: of the adversary's tensors, (B, ...), by name without the prefix. `hidden.weight` is left out, since
            it is large, and the outer product of `hidden.bias` and `recovered`.
        weight: the gradient of `hidden.weight`, (B, hidden, width), where noise made it differ from that product.
    """

    recovered: Tensor
    gradients: Tensors
    weight: Tensor | None = None

    @classmethod
    def join(cls, parts: Sequence[Self]) -> Self:
        """Joins the parts of consecutive clients."""
        names, weights = parts[0].gradients, [part.weight for part in parts if part.weight is not None]
        return cls(
            torch.cat([part.recovered for part in parts]),
            {name: torch.cat([part.gradients[name] for part in parts]) for name in names},
            torch.cat(weights) if weights else None,
        )

    @classmethod
    def received(cls, adversary: Adversary, contributions: Sequence[Mapping[str, Update]]) -> Self:
        """Takes the uploads from whole contributions that carry the adversary's tensors.

        Args:
            adversary: the adversary.
            contributions: one per client.
        """
        prefix = manifest.adversary_prefix(adversary.name)
        names = [name for name in contributions[0] if name.startswith(prefix)]
        stacked = {
            name.removeprefix(prefix): torch.from_numpy(
                np.stack([np.asarray(uploaded[name]) for uploaded in contributions])
            )
            for name in names
        }
        return cls._of(stacked, exact=not adversary.noise_multiplier)

    @classmethod
    def _of(cls, gradients: Tensors, *, exact: bool) -> Self:
        weight = gradients.pop("hidden.weight")
        return cls(recover(weight, gradients["hidden.bias"]), gradients, None if exact else weight)

    def take(self, rows: Tensor) -> Self:
        """Selects clients by row, int64 (n,); rows may repeat."""
        return type(self)(
            self.recovered[rows],
            {name: value[rows] for name, value in self.gradients.items()},
            None if self.weight is None else self.weight[rows],
        )


@dataclass(frozen=True, eq=False)
class Secrets:
    """The secrets of the same clients, by which attacks are scored.

    Attributes:
        states: the protected state, (B, width).
        labels: class numbers, (B,).
        triggered: True where the gate was open, bool (B,).
        norms: L2 norm of the contribution to the adversary, before the device clips it and adds noise, (B,).
    """

    states: Tensor
    labels: Tensor
    triggered: Tensor
    norms: Tensor

    @classmethod
    def join(cls, parts: Sequence[Self]) -> Self:
        """Joins the parts of consecutive clients."""
        return cls(
            torch.cat([part.states for part in parts]),
            torch.cat([part.labels for part in parts]),
            torch.cat([part.triggered for part in parts]),
            torch.cat([part.norms for part in parts]),
        )


@dataclass(frozen=True, eq=False)
class Observed:
    """One round of some clients, by adversary: their uploads, and the secrets behind them."""

    uploads: dict[str, Uploads]
    secrets: dict[str, Secrets]


def adversary_tensors(task: Task, adversary: Adversary) -> Tensors:
    """An adversary's tensors as the server sent them, by name without the prefix."""
    prefix = manifest.adversary_prefix(adversary.name)
    return {name.removeprefix(prefix): value for name, value in task.adversary.items() if name.startswith(prefix)}


def double_tensors(task: Task, adversary: Adversary) -> Tensors:
    """The same in float64."""
    return {name: value.double() for name, value in adversary_tensors(task, adversary).items()}


def all_off(task: Task, adversary: Adversary, secrets: Secrets) -> Tensor:
    """True for clients for which all hidden units of the adversary are off, bool (B,): gradients by weights are 0."""
    tensors = adversary_tensors(task, adversary)
    units = secrets.states.to(tensors["hidden.weight"].dtype) @ tensors["hidden.weight"].T + tensors["hidden.bias"]
    return (units <= 0).all(1)


def width(task: Task, adversaries: Sequence[Adversary]) -> int:
    """The width of the widest protected state."""
    return max(
        task.adversary[f"{manifest.adversary_prefix(adversary.name)}hidden.weight"].shape[1]
        for adversary in adversaries
    )


def observe(
    task: Task, adversaries: Sequence[Adversary], population: Population, members: Members, round_number: int
) -> Observed:
    """Computes one round, in which nothing is learned.

    Args:
        task: manifest and checkpoint; of one local step, which uploads the gradient.
        adversaries: adversaries of the plan.
        population: the clients.
        members: the clients that take part; all of them know their attribute.
        round_number: the round for which samples and noise are drawn.
    """
    if not adversaries:
        return Observed({}, {})
    widest = max(adversary.width or WIDTH for adversary in adversaries)
    size = min(_CLIENTS, max(1, _NUMBERS // (widest * width(task, adversaries))))
    uploads: dict[str, list[Uploads]] = {adversary.name: [] for adversary in adversaries}
    secrets: dict[str, list[Secrets]] = {adversary.name: [] for adversary in adversaries}
    for chunk in np.split(members, range(size, len(members), size)):
        cohort = population.cohort(task.manifest, round_number, chunk)
        states = _states(task, adversaries, cohort, round_number)
        keys = [population.keys[member] for member in chunk]
        for adversary in adversaries:
            uploaded, secret = _upload(task, adversary, cohort, states, keys, round_number)
            uploads[adversary.name].append(uploaded)
            secrets[adversary.name].append(secret)
    return Observed(
        {name: Uploads.join(parts) for name, parts in uploads.items()},
        {name: Secrets.join(parts) for name, parts in secrets.items()},
    )


def _states(task: Task, adversaries: Sequence[Adversary], cohort: Cohort, round_number: int) -> Tensors:
    """The states that adversaries see in the first local step, (B, ...)."""
    private = {name: torch.from_numpy(value) for name, value in cohort.state.values.items()}
    if {name for adversary in adversaries for name in adversary.protects} <= private.keys():
        return private
    rows, batches = layout(cohort.samples, task.manifest.items, summed=True)
    shared = {
        name: value.index_select(0, rows.table) if name in task.tables else value[None]
        for name, value in task.shared.items()
    }
    seen: Tensors = {}

    def look(states: Tensors) -> Tensors:
        seen.update(states)
        return {}

    with torch.no_grad():
        step = Step(rows, batches[0], task.plan.parameters, round_number)
        task.recommender.gradients(shared, private, step, look)
    return seen


def _upload(
    task: Task, adversary: Adversary, cohort: Cohort, states: Tensors, keys: Sequence[bytes], round_number: int
) -> tuple[Uploads, Secrets]:
    prefix, labels = manifest.adversary_prefix(adversary.name), torch.from_numpy(cohort.labels[adversary.name])
    tensors = {name: value[None] for name, value in task.adversary.items() if name.startswith(prefix)}
    noise = torch.from_numpy(cohort.noise[adversary.name][:, 0])
    with torch.no_grad():
        part = kernel_adversary.gradients(
            AdversaryPlan.of(adversary), round_number, tensors, states, labels, noise, len(labels)
        )
    norms = torch.stack([torch.linalg.vector_norm(value.flatten(1), dim=1) for value in part.shared.values()])
    protected = torch.cat([states[name].flatten(1) for name in adversary.protects], 1)
    secrets = Secrets(protected, labels, part.triggered, torch.linalg.vector_norm(norms, dim=0))
    if adversary.clip_norm:
        rows = [{name: value[n].numpy() for name, value in part.shared.items()} for n in range(len(labels))]
        sent = [defend(task.manifest, row, key, round_number) for row, key in zip(rows, keys, strict=True)]
        return Uploads.received(adversary, sent), secrets
    gradients = {name.removeprefix(prefix): value for name, value in part.shared.items()}
    return Uploads._of(gradients, exact=True), secrets


def recover(weight: Tensor, bias: Tensor) -> Tensor:
    """A layer's input from its gradients: a row of the weight's over the same entry of the bias's, (B, in).

    The row with the largest entry is taken. An input that moved no unit (all ReLUs off) comes out as 0.

    Args:
        weight: gradients by weight of single samples, (B, out, in).
        bias: gradients by bias, (B, out).
    """
    unit = bias.abs().argmax(1)
    client = torch.arange(len(bias))
    divisor = bias[client, unit, None]
    return torch.where(divisor == 0, 0, weight[client, unit] / divisor.where(divisor != 0, torch.ones(())))
