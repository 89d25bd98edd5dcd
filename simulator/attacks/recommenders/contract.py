"""The attacks that only the author of a recommender can write: what its own shared tensors give away.

Contributions to the adversary look alike for all recommenders; those to a recommender's own tensors do not. For each
kind of attack a recommender either says how it is done or, explicitly, why it is impossible, which the audit reports.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from client_sdk.kernel.training import Task
from fedau2.wire.contributions import Rows, Update
from simulator.attacks.contract import Contribution
from simulator.attacks.uploads import recover

TrainedRows = Callable[[Task, Contribution], NDArray[np.int64]]
"""From a contribution to the catalogue rows in it that training changed, increasing; the others are cover."""

Pulls = Callable[[Task, Contribution], NDArray[np.float32]]
"""From a contribution to a number for each item: below 0 where it is pulled towards the user, 0 where not touched."""

ReadState = Callable[[Task, Contribution], NDArray[np.float32]]
"""From a contribution to a protected state, (width,)."""

ReversedGradient = Callable[[Task, Contribution], NDArray[np.float32]]
"""From a contribution to the protected state's gradient, less what the recommendation loss adds to it, (width,)."""


@dataclass(frozen=True)
class Impossible:
    """Says that a kind of attack cannot be made on a recommender.

    Attributes:
        reason: why; the audit's report prints it.
    """

    reason: str


@dataclass(frozen=True)
class RecommenderAttacks:
    """The attacks on a recommender's own tensors. All functions take contributions of one local step.

    Attributes:
        trained_rows: finds the rows of tables that training changed; the others are cover.
        pulls: finds the items that the user recorded.
        states: reads protected states, by name; every state that an adversary may protect has an entry.
        lone_rows: name of the table whose rows, in one contribution, are all multiples of one vector of the client's.
        reversed_gradient: shows whether the trigger let the reversed gradient through, by the state that it reaches.
    """

    trained_rows: TrainedRows | Impossible
    pulls: Pulls | Impossible
    states: Mapping[str, ReadState | Impossible]
    reversed_gradient: Mapping[str, ReversedGradient] | Impossible
    lone_rows: str | Impossible


def rows_of(contribution: Contribution, name: str) -> Rows:
    """A table's rows, in whichever form they were uploaded."""
    update = contribution[name]
    return update if isinstance(update, Rows) else Rows(np.arange(len(update)), update)


def over_items(task: Task, rows: Rows, numbers: NDArray[np.floating]) -> NDArray[np.float32]:
    """A number for each row as a number for each item, 0 where there is no row."""
    out = np.zeros(task.manifest.items, np.float32)
    out[rows.indices] = numbers
    return out


def layer_input(weight: Update, bias: Update) -> NDArray[np.float32]:
    """The input of a layer that has one sample per client, from the layer's gradients."""
    tensors = (torch.from_numpy(np.asarray(update))[None] for update in (weight, bias))
    return recover(*tensors)[0].numpy()
