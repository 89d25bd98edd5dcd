"""The attack `popular-rows`: of the rows that a device uploads, it guesses that the popular ones are its user's.

Samples without an interaction are drawn evenly from the catalogue, and interactions are not.
"""

import numpy as np
from numpy.typing import NDArray

from fedau2.v1.task_pb2 import Adversary, TaskManifest
from simulator.attacks.aims import Learns
from simulator.attacks.contract import Attack, Contribution, Seen, Setting, Spec
from simulator.attacks.recommenders.contract import rows_of
from simulator.population.population import Members


class PopularRows(Attack):
    """Counts in how many contributions each item's row is."""

    def __init__(self, setting: Setting) -> None:
        self._counts = np.zeros((setting.clients, setting.task.items), np.int64)

    def see(self, seen: Seen) -> None:
        """Counts the rows of a round."""
        for client, contribution in zip(seen.clients, seen.contributions(), strict=True):
            self._counts[client, _rows(seen, contribution)] += 1

    def guess(self, clients: Members) -> NDArray[np.bool_]:
        """True for the items of a client that more contributions touch than the mean of its items, (n, items)."""
        touched, popular = self._counts[clients] > 0, self._counts.sum(0)
        mean = (touched * popular).sum(1) / np.maximum(touched.sum(1), 1)
        guesses: NDArray[np.bool_] = touched & (popular > mean[:, None])
        return guesses


def _rows(seen: Seen, contribution: Contribution) -> NDArray[np.int64]:
    return rows_of(contribution, min(seen.task.tables)).indices


def _never_hindered(task: TaskManifest, adversary: Adversary | None) -> str:
    return ""


SPEC = Spec(
    "popular-rows",
    Learns.RECORDED,
    "the popular ones of the uploaded rows",
    PopularRows,
    participations=20,
    hindrance=_never_hindered,
    gradients=False,
)
