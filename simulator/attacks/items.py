"""Attacks on interactions: they find the items that a device touched, and those among them that it recorded.

A sample adds to its item's row a number, (p - label) times the sample's weight, times a vector that is the same for all
of a client's rows. The number is below 0 for recorded items alone. Rows that are found to be cover are left out.
"""

import numpy as np
from numpy.typing import NDArray

from client_sdk.kernel.training import Task
from simulator.attacks.contract import Attack, Contribution, Seen, Setting
from simulator.attacks.cover_rows import uncovered
from simulator.attacks.recommenders.contract import Impossible, rows_of
from simulator.attacks.recommenders.registry import attacks_on
from simulator.population.population import Members


class Touched(Attack):
    """The rows that a device uploads."""

    def __init__(self, setting: Setting) -> None:
        self._touched = np.zeros((setting.clients, setting.task.items), np.bool_)

    def see(self, seen: Seen) -> None:
        """Looks at a round."""
        self._touched[seen.clients] = [_support(seen.task, uploaded) for uploaded in seen.contributions()]

    def guess(self, clients: Members) -> NDArray[np.bool_]:
        """True for the items whose row was in the client's last contribution, (n, items)."""
        return self._touched[clients]


class Recurring(Attack):
    """The rows that a device uploads whenever it takes part."""

    def __init__(self, setting: Setting) -> None:
        self._always = np.ones((setting.clients, setting.task.items), np.bool_)

    def see(self, seen: Seen) -> None:
        """Looks at a round."""
        self._always[seen.clients] &= [_support(seen.task, uploaded) for uploaded in seen.contributions()]

    def guess(self, clients: Members) -> NDArray[np.bool_]:
        """True for the items whose row was in all of the client's contributions, (n, items)."""
        return self._always[clients]


class Pulled(Attack):
    """The items that are pulled towards the user, by sign, over a client's rounds."""

    def __init__(self, setting: Setting) -> None:
        pulls = attacks_on(setting.task.model).pulls
        if isinstance(pulls, Impossible):
            raise ValueError(f"pulls on items do not show in {setting.task.model}: {pulls.reason}")
        self._pulls = pulls
        self._sums = np.zeros((setting.clients, setting.task.items), np.float32)

    def see(self, seen: Seen) -> None:
        """Adds a round, each contribution at norm 1."""
        for client, uploaded in zip(seen.clients, seen.contributions(), strict=True):
            pulls = self._pulls(seen.task, uncovered(seen.task, uploaded))
            self._sums[client] += pulls / max(float(np.linalg.norm(pulls)), 1e-30)

    def guess(self, clients: Members) -> NDArray[np.bool_]:
        """True for the items that are pulled, (n, items)."""
        return np.asarray(self._sums[clients] < 0)


def _support(task: Task, contribution: Contribution) -> NDArray[np.bool_]:
    """True for the items with an uploaded row, in any table, that is not found to be cover, (items,)."""
    support = np.zeros(task.manifest.items, np.bool_)
    trained = uncovered(task, contribution)
    for name in task.tables:
        support[rows_of(trained, name).indices] = True
    return support
