"""The leakage of single contributions: attacks on the adversary's uploaded gradient (paper section 4.3, Fig. 4a).

The server knows the plan, the weights that it sent and, without secure aggregation, every client's gradient.
`docs/attacks.md` explains the figures.
"""

import numpy as np
import torch
from torch import Tensor

from client_sdk.kernel.training import Task
from fedau2.v1.task_pb2 import Adversary
from simulator.attacks import dlg
from simulator.attacks.labels import magnitudes
from simulator.attacks.uploads import Observed, adversary_tensors, all_off, observe, width
from simulator.evaluation.attacked_users import balanced
from simulator.population.population import Population

PER_CLASS = 200
"""Most clients of each class that are attacked."""

ROUNDS = (1, 5, 20)
"""Participations over which the analytic attack adds up."""

_LESS_REVEALS_MORE = ("leak_embedding_error", "leak_all_off")

_NUMBERS = 2**21
"""Most numbers of all attacked clients' states; where states are wide, fewer clients are attacked."""


def leakage(task: Task, population: Population, attribute: str, round_number: int, seed: int) -> dict[str, float]:
    """Attacks the adversaries of an attribute, and reports the adversary that reveals most.

    All participations begin from the same checkpoint and private state; each has its own samples and noise.

    Args:
        task: manifest and checkpoint; of one local step, which uploads the gradient.
        population: the clients, with the private state that they train on.
        attribute: name.
        round_number: round of the first participation; the others are in the rounds that follow.
        seed: of the choice of clients and of DLG's dummies.

    Returns:
        The share of clients whose label is found, classes balanced: `leak_dlg`, `leak_analytic`, `leak_analytic_5` and
        `leak_analytic_20`. The median relative error of the recovered state: `leak_embedding_error`. The share of these
        clients for which all hidden units are off, so that the head's and the first layer's gradients are 0:
        `leak_all_off`. An empty mapping where the attribute has no adversary.
    """
    attacked = [adversary for adversary in task.manifest.plan.adversaries if adversary.attribute == attribute]
    if not attacked:
        return {}
    labels = population.labels(task.manifest, np.arange(len(population)))[attacked[0].name]
    most = min(PER_CLASS, _NUMBERS // (width(task, attacked) * len(attacked[0].classes)))
    members = balanced(labels, np.random.default_rng(seed), most)
    sums = {adversary.name: torch.zeros(len(members), len(adversary.classes)).double() for adversary in attacked}
    figures: dict[str, list[float]] = {}
    for taken in range(1, max(ROUNDS) + 1):
        seen = observe(task, attacked, population, members, round_number + taken - 1)
        for adversary in attacked:
            sums[adversary.name] += magnitudes(seen.uploads[adversary.name], len(adversary.classes))
        if taken == 1:
            figures["leak_dlg"] = [_dlg(task, adversary, seen, seed) for adversary in attacked]
            figures["leak_embedding_error"] = [_error(seen, adversary.name) for adversary in attacked]
            figures["leak_all_off"] = [
                _share(all_off(task, adversary, seen.secrets[adversary.name])) for adversary in attacked
            ]
        if taken in ROUNDS:
            name = f"leak_analytic_{taken}" if taken > 1 else "leak_analytic"
            figures[name] = [
                _accuracy(sums[adversary.name].argmin(1), seen.secrets[adversary.name].labels) for adversary in attacked
            ]
    return {name: (min if name in _LESS_REVEALS_MORE else max)(values) for name, values in figures.items()}


def _dlg(task: Task, adversary: Adversary, seen: Observed, seed: int) -> float:
    guessed = dlg.find(adversary, adversary_tensors(task, adversary), seen.uploads[adversary.name], seed).labels
    return _accuracy(guessed, seen.secrets[adversary.name].labels)


def _error(seen: Observed, name: str) -> float:
    return float(relative_errors(seen.uploads[name].recovered, seen.secrets[name].states).median())


def relative_errors(recovered: Tensor, states: Tensor) -> Tensor:
    """Norm of each client's error over that of its state, (B,)."""
    norm = torch.linalg.vector_norm
    errors: Tensor = norm(recovered - states, dim=1) / norm(states, dim=1)
    return errors


def _accuracy(guessed: Tensor, labels: Tensor) -> float:
    return _share(guessed == labels)


def _share(holds: Tensor) -> float:
    return float(holds.double().mean())
