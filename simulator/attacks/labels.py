"""Attacks on the attribute label through the gradient of the adversary's head, and on the state behind it.

A head's row i has the gradient (p_i - y_i) n1_i h, with hidden activations h that are not below 0; of p - y only the
entry of the true class is below 0. Rows of the log variance say nothing.
"""

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from fedau2.v1.task_pb2 import Adversary
from simulator.attacks import dlg
from simulator.attacks.contract import Attack, Seen, Setting
from simulator.attacks.uploads import Uploads, own_tensors
from simulator.population.population import Members

Rule = Callable[[Uploads, int], Tensor]
"""From uploads and the number of classes to numbers (B, classes), lowest where the label probably is."""


def idlg(uploads: Uploads, classes: int) -> Tensor:
    """iDLG (Zhao et al., 2020): sums of the last layer's rows, one a class, and nothing else."""
    return uploads.gradients["head.weight"][:, :classes].sum(2)


def rows(uploads: Uploads, classes: int) -> Tensor:
    """The bias's gradient, p - y, where there is one, else sums of rows."""
    return uploads.gradients["head.bias"] if "head.bias" in uploads.gradients else idlg(uploads, classes)


def magnitudes(uploads: Uploads, classes: int) -> Tensor:
    """The same, of norm 1, so that no round drowns the others, float64.

    An n1 below 0 makes the prediction wrong and so the gradient large. That of an adversary that is sure of the right
    class is as good as 0 and tells the label all the same.
    """
    found = rows(uploads, classes).double()
    norm = torch.linalg.vector_norm(found, dim=1, keepdim=True)
    return found / torch.where(norm > 0, norm, 1.0)


def signs(uploads: Uploads, classes: int) -> Tensor:
    """Signs of the same numbers."""
    return magnitudes(uploads, classes).sign()


class Accumulated(Attack):
    """Adds a rule's numbers up over a client's rounds and takes the lowest.

    Args:
        setting: what for.
        rule: the rule.
    """

    def __init__(self, setting: Setting, rule: Rule) -> None:
        self._adversary, self._rule = setting.target, rule
        self._sums = np.zeros((setting.clients, len(self._adversary.classes)))
        # Where signs are all alike the sums tie; a tie is broken by chance and not in favour of the first class.
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
        setting: what for.
        search: how dummies are searched for.
    """

    def __init__(self, setting: Setting, search: dlg.Search) -> None:
        self._matched = np.zeros(0, np.bool_)
        self._adversary, self._seed, self._search = setting.target, setting.seed, search
        self._votes = np.zeros((setting.clients, len(self._adversary.classes)))
        self._chance = np.random.default_rng(setting.seed).random(self._votes.shape) / 2

    def see(self, seen: Seen) -> None:
        """Searches for the clients of a round."""
        own, uploads = own_tensors(seen.task, self._adversary), seen.uploads[self._adversary.name]
        found = dlg.find(self._adversary, own, uploads, self._seed + seen.round, self._search)
        self._votes[seen.clients, found.labels.numpy()] += 1
        self._matched = np.append(self._matched, found.matched.numpy())

    def guess(self, clients: Members) -> NDArray[np.int64]:
        """Class numbers; of classes found equally often any."""
        return np.asarray((self._votes + self._chance)[clients].argmax(1))

    @property
    def converged(self) -> NDArray[np.bool_]:
        """Whether each search so far matched the client's gradient, see `dlg.Found`."""
        return self._matched


Read = Callable[[Seen, Adversary], NDArray[np.float32]]
"""From a round to the states that an adversary protects, (n, width)."""


def first_layer(seen: Seen, adversary: Adversary) -> NDArray[np.float32]:
    """What the gradients of the adversary's first layer give."""
    read: NDArray[np.float32] = seen.uploads[adversary.name].recovered.numpy()
    return read


class Reading(Attack):
    """The protected state: the mean over a client's rounds.

    Args:
        setting: what for.
        read: how it is read of a round.
        last: take the last round's instead of the mean.
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
            raise ValueError("nothing has been seen yet")
        return np.asarray(self._sums[clients] / self._rounds[clients, None], np.float32)
