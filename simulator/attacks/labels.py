"""Attacks on the attribute label through the gradient of the adversary's head, and on the state behind it.

A head's row i has the gradient (p_i - y_i) n1_i h, with hidden activations h that are not below 0. Only the entry of
the true class in p - y is below 0. Rows of the log variance show nothing.
"""

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from fedau2.v1.task_pb2 import Adversary
from simulator.attacks import dlg
from simulator.attacks.contract import Attack, Seen, Setting
from simulator.attacks.uploads import Uploads, adversary_tensors
from simulator.population.population import Members

Rule = Callable[[Uploads, int], Tensor]
"""From uploads and the number of classes to numbers (B, classes), lowest for the most probable label."""


def idlg(uploads: Uploads, classes: int) -> Tensor:
    """iDLG (Zhao et al., 2020): the sum of each class's row of the last layer."""
    return uploads.gradients["head.weight"][:, :classes].sum(2)


def rows(uploads: Uploads, classes: int) -> Tensor:
    """The bias's gradient, p - y, where there is one, else sums of rows."""
    return uploads.gradients["head.bias"] if "head.bias" in uploads.gradients else idlg(uploads, classes)


def magnitudes(uploads: Uploads, classes: int) -> Tensor:
    """The same, scaled to norm 1 so that no round outweighs the others, float64.

    An n1 below 0 makes the prediction wrong and so the gradient large. An adversary that is sure of the right class has
    a gradient of nearly 0, which shows the label all the same.
    """
    numbers = rows(uploads, classes).double()
    norm = torch.linalg.vector_norm(numbers, dim=1, keepdim=True)
    return numbers / torch.where(norm > 0, norm, 1.0)


def signs(uploads: Uploads, classes: int) -> Tensor:
    """Signs of the same numbers."""
    return magnitudes(uploads, classes).sign()


class Accumulated(Attack):
    """Adds a rule's numbers up over a client's rounds and takes the lowest.

    Args:
        setting: the setting.
        rule: the rule.
    """

    def __init__(self, setting: Setting, rule: Rule) -> None:
        self._adversary, self._rule = setting.target, rule
        self._sums = np.zeros((setting.clients, len(self._adversary.classes)))
        # Where all signs are alike the sums tie. Ties are broken by chance and not in favour of the first class.
        self._chance = np.random.default_rng(setting.seed).random(self._sums.shape)

    def see(self, seen: Seen) -> None:
        """Adds a round."""
        numbers = self._rule(seen.uploads[self._adversary.name], self._sums.shape[1])
        self._sums[seen.clients] += numbers.double().numpy()

    def guess(self, clients: Members) -> NDArray[np.int64]:
        """Class numbers."""
        return np.lexsort((self._chance[clients], self._sums[clients]))[:, 0]


class Dlg(Attack):
    """DLG in each round by itself, and the class that it found most often.

    Args:
        setting: the setting.
        search: settings of the search.
    """

    def __init__(self, setting: Setting, search: dlg.Search) -> None:
        self._matched = np.zeros(0, np.bool_)
        self._adversary, self._seed, self._search = setting.target, setting.seed, search
        self._votes = np.zeros((setting.clients, len(self._adversary.classes)))
        self._chance = np.random.default_rng(setting.seed).random(self._votes.shape) / 2

    def see(self, seen: Seen) -> None:
        """Searches for the clients of a round."""
        tensors, uploads = adversary_tensors(seen.task, self._adversary), seen.uploads[self._adversary.name]
        result = dlg.find(self._adversary, tensors, uploads, self._seed + seen.round, self._search)
        self._votes[seen.clients, result.labels.numpy()] += 1
        self._matched = np.append(self._matched, result.matched.numpy())

    def guess(self, clients: Members) -> NDArray[np.int64]:
        """Class numbers; ties are broken by chance."""
        return np.asarray((self._votes + self._chance)[clients].argmax(1))

    @property
    def converged(self) -> NDArray[np.bool_]:
        """True for the searches so far that matched the client's gradient, see `dlg.Found`."""
        return self._matched


Read = Callable[[Seen, Adversary], NDArray[np.float32]]
"""From a round to the states that an adversary protects, (n, width)."""


def first_layer(seen: Seen, adversary: Adversary) -> NDArray[np.float32]:
    """Reads the states from the gradients of the adversary's first layer."""
    read: NDArray[np.float32] = seen.uploads[adversary.name].recovered.numpy()
    return read


class Reading(Attack):
    """The protected state: the mean over a client's rounds.

    Args:
        setting: the setting.
        read: reads the states of a round.
        last: take the last round's states instead of the mean.
    """

    def __init__(self, setting: Setting, read: Read = first_layer, *, last: bool = False) -> None:
        self._adversary, self._read, self._last = setting.target, read, last
        self._clients = setting.clients
        self._sums: NDArray[np.float32] | None = None
        self._rounds = np.zeros(setting.clients)

    def see(self, seen: Seen) -> None:
        """Reads a round."""
        read = self._read(seen, self._adversary)
        if self._sums is None:
            self._sums = np.zeros((self._clients, read.shape[1]), np.float32)
        if self._last:
            self._sums[seen.clients], self._rounds[seen.clients] = read, 1
        else:
            self._sums[seen.clients] += read
            self._rounds[seen.clients] += 1

    def guess(self, clients: Members) -> NDArray[np.float32]:
        """States, (n, width)."""
        if self._sums is None:
            raise ValueError("no round has been seen yet")
        return np.asarray(self._sums[clients] / self._rounds[clients, None], np.float32)
