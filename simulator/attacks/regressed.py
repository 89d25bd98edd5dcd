"""Estimates whole contributions from the opened sums of many rounds, by regressing them on who took part.

The server knows the members of each round. It reads the estimate of a client's contribution as it would read the
contribution itself. The law of `sums.law` holds for each number: as many rounds as clients show everything.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache, cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import RidgeCV

from client_sdk.kernel.training import Task
from coordinator.aggregation.secure_sum import SecureSum
from fedau2.wire.contributions import Update
from fedau2.wire.secure.layout import Layout
from fedau2.wire.secure.quantise import vector
from simulator.attacks.contract import Contribution
from simulator.attacks.recommenders.contract import Impossible
from simulator.attacks.recommenders.registry import attacks_on
from simulator.attacks.sums import ALPHAS
from simulator.engines import on_sums
from simulator.population.population import Members, Population

Reader = Callable[[Task, Contribution], NDArray[Any]]
"""Reads something of a client from a contribution."""

_COLUMNS = 256
"""Numbers of a tensor by which the strength of its ridge is chosen: those that vary most."""


def pulls(model: str) -> Reader | None:
    """Returns the reader of pulls on items, or None for a recommender whose contributions hide them."""
    reader = attacks_on(model).pulls
    return None if isinstance(reader, Impossible) else reader


def states(model: str) -> dict[str, Reader]:
    """Returns the readers of a recommender's protected states, by the state's name."""
    found = attacks_on(model).states.items()
    return {name: reader for name, reader in found if not isinstance(reader, Impossible)}


class OpenedRounds:
    """The opened sums of consecutive rounds, in which nothing is learned.

    Args:
        task: manifest, with a policy of secure sums, and checkpoint.
        population: the clients, who stay as they are.
        seed: of the run, from which the noise on sums is drawn.
        readers: the readers of what is estimated; tensors that none of them reads are not kept.
    """

    def __init__(self, task: Task, population: Population, seed: int, readers: list[Reader]) -> None:
        self._task, self._population, self._seed = task, population, seed
        self._layout = Layout.of(task.manifest)
        self._names = _read_by(readers, task, population.contribution(task, 0, 0))
        self._took_part: list[NDArray[np.float64]] = []
        self._sums: dict[str, list[NDArray[np.float32]]] = {name: [] for name in self._names}

    def add(self, number: int, members: Members) -> None:
        """Opens the sum of a round.

        Args:
            number: the round's.
            members: the clients that take part.
        """
        policy = self._task.manifest.secure_sums
        total = SecureSum(self._task.manifest)
        for contribution in self._population.contributions(self._task, number, members):
            total.add(vector(contribution, policy, self._layout))
        if policy.noise_multiplier:
            on_sums.open_noisy(total, self._layout, policy, self._seed, number)
        mean = total.mean()
        self._took_part.append(np.bincount(members, minlength=len(self._population)).astype(np.float64))
        for name, sums in self._sums.items():
            empty = np.zeros(self._layout.shapes[name])
            sums.append((len(members) * mean.get(name, empty)).astype(np.float32))

    def estimates(self) -> "Estimates":
        """Returns the estimates after the rounds so far."""
        return Estimates(np.array(self._took_part), {name: np.array(sums) for name, sums in self._sums.items()})


@dataclass(frozen=True, eq=False)
class Estimates:
    """Estimated contributions of all clients.

    Attributes:
        took_part: 1 where a client took part, (rounds, clients).
        sums: of tensors, (rounds, ...), by name.
    """

    took_part: NDArray[np.float64]
    sums: Mapping[str, NDArray[np.float32]]

    @cached_property
    def _centred(self) -> NDArray[np.float64]:
        return np.asarray(self.took_part - self.took_part.mean(0))

    @cached_property
    def _weights(self) -> Callable[[str], NDArray[np.float32]]:
        return cache(self._weights_of)

    def _weights_of(self, name: str) -> NDArray[np.float32]:
        """Weights of the rounds in each client's estimate of a tensor, (clients, rounds)."""
        flat = self.sums[name].reshape(len(self.took_part), -1)
        columns = flat[:, np.argsort(-flat.std(0))[:_COLUMNS]].astype(np.float64)
        strength = RidgeCV(alphas=ALPHAS).fit(self._centred, columns).alpha_
        products = self._centred @ self._centred.T
        weights = np.linalg.solve(products + strength * np.eye(len(products)), self._centred).T
        return np.asarray(weights, np.float32)

    def of(self, client: int) -> "Estimate":
        """Returns the estimate of one client's contribution."""
        return Estimate(self, client, common=1.0)

    def against_others(self, client: int) -> "Estimate":
        """Returns the same less the mean contribution, which says nothing about one client."""
        return Estimate(self, client, common=0.0)

    def tensor(self, name: str, client: int, common: float) -> NDArray[np.float32]:
        """Returns one tensor of a client's estimate, with a share of the mean contribution."""
        sums, members = self.sums[name], self.took_part[0].sum()
        own = np.tensordot(self._weights(name)[client], sums, axes=1)
        return np.asarray(own + np.float32(common / members) * sums.mean(0))


@dataclass(frozen=True, eq=False)
class Estimate(Mapping[str, Update]):
    """The estimate of one client's contribution. Tensors are computed when they are read."""

    estimates: Estimates
    client: int
    common: float

    def __getitem__(self, name: str) -> Update:
        return self.estimates.tensor(name, self.client, self.common)

    def __iter__(self) -> Iterator[str]:
        return iter(self.estimates.sums)

    def __len__(self) -> int:
        return len(self.estimates.sums)


class _Noting(dict[str, Update]):
    """A contribution that notes which of its tensors are read."""

    def __init__(self, contribution: Contribution) -> None:
        super().__init__(contribution)
        self.names: set[str] = set()

    def __getitem__(self, name: str) -> Update:
        self.names.add(name)
        return super().__getitem__(name)


def _read_by(readers: list[Reader], task: Task, contribution: Contribution) -> list[str]:
    noting = _Noting(contribution)
    for reader in readers:
        reader(task, noting)
    return sorted(noting.names)
