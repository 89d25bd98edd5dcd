"""What single contributions tell: attacks on the adversary's uploaded gradient (paper section 4.3, Fig. 4a).

The server knows the plan, the weights that it sent, and, without secure aggregation, each client's gradient.
`docs/attacks.md` says what each figure means.
"""

import numpy as np
import torch
from torch import Tensor

from client_sdk.kernel.training import Task
from fedau2.v1.task_pb2 import Adversary
from simulator.attacks import dlg
from simulator.attacks.labels import magnitudes
from simulator.attacks.uploads import Observed, all_off, observe, own_tensors, width
from simulator.evaluation.attackers import balanced
from simulator.population.population import Population

PER_CLASS = 200
"""Most clients of each class that are attacked."""

ROUNDS = (1, 5, 20)
"""Participations over which the analytic attack adds up."""

_LESS_TELLS_MORE = ("leak_embedding_error", "leak_all_off")

_NUMBERS = 2**21
"""Most numbers of all attacked clients' states; of wide states fewer clients are attacked."""


def leakage(task: Task, population: Population, attribute: str, round_number: int, seed: int) -> dict[str, float]:
    """What the attacks on the adversaries of an attribute reach; of several adversaries the one that tells most.

    Every participation is on the checkpoint and private state given, with samples and noise of its own.

    Args:
        task: manifest and checkpoint; of one local step, which uploads the gradient.
        population: the clients, with the private state that they train on.
        attribute: name.
        round_number: of the first participation; the others are in the rounds that follow.
        seed: of the choice of clients and of DLG's dummies.

    Returns:
        Share of clients whose label is found, classes balanced: `leak_dlg`, `leak_analytic`, `leak_analytic_5` and
        `leak_analytic_20`; `leak_embedding_error`, the median relative error of the recovered state; and
        `leak_all_off`, the share of these clients none of whose hidden units is on, of whom the head's and the first
        layer's gradients are 0. Nothing where the attribute has no adversary.
    """
    attacked = [each for each in task.manifest.plan.adversaries if each.attribute == attribute]
    if not attacked:
        return {}
    labels = population.labels(task.manifest, np.arange(len(population)))[attacked[0].name]
    most = min(PER_CLASS, _NUMBERS // (width(task, attacked) * len(attacked[0].classes)))
    members = balanced(labels, np.random.default_rng(seed), most)
    sums = {each.name: torch.zeros(len(members), len(each.classes)).double() for each in attacked}
    found: dict[str, list[float]] = {}
    for taken in range(1, max(ROUNDS) + 1):
        seen = observe(task, attacked, population, members, round_number + taken - 1)
        for each in attacked:
            sums[each.name] += magnitudes(seen.uploads[each.name], len(each.classes))
        if taken == 1:
            found["leak_dlg"] = [_dlg(task, each, seen, seed) for each in attacked]
            found["leak_embedding_error"] = [_error(seen, each.name) for each in attacked]
            found["leak_all_off"] = [_share(all_off(task, each, seen.secrets[each.name])) for each in attacked]
        if taken in ROUNDS:
            name = f"leak_analytic_{taken}" if taken > 1 else "leak_analytic"
            found[name] = [_accuracy(sums[each.name].argmin(1), seen.secrets[each.name].labels) for each in attacked]
    return {name: (min if name in _LESS_TELLS_MORE else max)(values) for name, values in found.items()}


def _dlg(task: Task, each: Adversary, seen: Observed, seed: int) -> float:
    guessed = dlg.find(each, own_tensors(task, each), seen.uploads[each.name], seed).labels
    return _accuracy(guessed, seen.secrets[each.name].labels)


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
