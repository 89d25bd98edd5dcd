"""Attacks on interactions: which items a device touched, and which of them it recorded.

What a sample adds to its item's row is a number, (p - label) times the sample's weight, times a vector that is the same
for all of a client's rows. The number is below 0 for recorded items alone. Rows that are told to be cover are left out.
"""

from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray

from client_sdk.kernel.training import Task
from fedau2.wire.contributions import Rows
from simulator.attacks.contract import Contribution, Seen, Setting
from simulator.attacks.cover_rows import along, rows_of, uncovered
from simulator.population.population import Members

Pulls = Callable[[Task, Contribution], NDArray[np.float32]]
"""From a contribution to a number for each item: below 0 where it is pulled towards the user, 0 where not touched."""


def fedncf(task: Task, contribution: Contribution) -> NDArray[np.float32]:
    """Rows of `item_gmf` lie on a line; the sum of their places on it has the sign of the output's bias."""
    rows = rows_of(contribution, "item_gmf")
    _, vectors = np.linalg.eigh(rows.values.T.astype(np.float64) @ rows.values)
    places = rows.values @ vectors[:, -1].astype(np.float32)
    forward = np.sign(places.sum()) * np.sign(np.asarray(contribution["output.bias"])[0])
    return _spread(task, rows, places * (forward or 1))


def fedrap(task: Task, contribution: Contribution) -> NDArray[np.float32]:
    """Rows of `item_common` are a number times the output's weights, and the penalty, in the direction of signs."""
    rows, weight = rows_of(contribution, "item_common"), task.shared["output.weight"].numpy()
    signs = np.sign(task.shared["item_common"].numpy()[rows.indices])
    return _spread(task, rows, along(rows.values, weight, signs)[0])


def fedvae(task: Task, contribution: Contribution) -> NDArray[np.float32]:
    """The gradient of the items' bias: a softmax times the number of interactions, less 1 at each of them."""
    return np.asarray(contribution["item_bias"])


PULLS: Mapping[str, Pulls] = {"fedncf": fedncf, "fedrap": fedrap, "fedvae": fedvae}
"""By recommender."""


class Touched:
    """The rows that a device uploads; `contract.Attack`."""

    def __init__(self, setting: Setting) -> None:
        self._there = np.zeros((setting.clients, setting.task.items), np.bool_)

    def see(self, seen: Seen) -> None:
        """Looks at a round."""
        self._there[seen.clients] = [_support(seen.task, one) for one in seen.contributions()]

    def guess(self, clients: Members) -> NDArray[np.bool_]:
        """Whether each item's row was in the client's last contribution, (n, items)."""
        return self._there[clients]


class Recurring:
    """The rows that a device uploads whenever it takes part; `contract.Attack`."""

    def __init__(self, setting: Setting) -> None:
        self._always = np.ones((setting.clients, setting.task.items), np.bool_)

    def see(self, seen: Seen) -> None:
        """Looks at a round."""
        self._always[seen.clients] &= [_support(seen.task, one) for one in seen.contributions()]

    def guess(self, clients: Members) -> NDArray[np.bool_]:
        """Whether each item's row was in all of the client's contributions, (n, items)."""
        return self._always[clients]


class Pulled:
    """The items that are pulled towards the user, by sign, over a client's rounds; `contract.Attack`."""

    def __init__(self, setting: Setting) -> None:
        self._pulls = PULLS[setting.task.model]
        self._sums = np.zeros((setting.clients, setting.task.items), np.float32)

    def see(self, seen: Seen) -> None:
        """Adds a round, each contribution at norm 1."""
        for client, one in zip(seen.clients, seen.contributions(), strict=True):
            pulls = self._pulls(seen.task, uncovered(seen.task, one))
            self._sums[client] += pulls / max(float(np.linalg.norm(pulls)), 1e-30)

    def guess(self, clients: Members) -> NDArray[np.bool_]:
        """Whether each item is pulled, (n, items)."""
        return np.asarray(self._sums[clients] < 0)


def _support(task: Task, contribution: Contribution) -> NDArray[np.bool_]:
    """Items of which any table's row is uploaded and not told to be cover."""
    there = np.zeros(task.manifest.items, np.bool_)
    own = uncovered(task, contribution)
    for name in task.tables:
        there[rows_of(own, name).indices] = True
    return there


def _spread(task: Task, rows: Rows, numbers: NDArray[np.floating]) -> NDArray[np.float32]:
    out = np.zeros(task.manifest.items, np.float32)
    out[rows.indices] = numbers
    return out
