"""A population of simulated clients: their data, and their private state with one column per tensor."""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, overload

import numpy as np
from numpy.typing import NDArray

from client_sdk import draws
from client_sdk.kernel.training import Cohort, CohortTraining, Task
from client_sdk.protocol.defences import defend
from client_sdk.protocol.values import PrivateState
from fedau2.v1.task_pb2 import TaskManifest
from fedau2.wire import manifest, matchings
from fedau2.wire.contributions import Update
from simulator.errors import ConfigError
from simulator.population.clients import Clients
from simulator.population.columns import State

Members = NDArray[np.int64]
"""Row numbers of clients."""

_AT_ONCE = 16
"""Most clients whose single contributions are held at a time."""


def client_key(seed: int, client: int) -> bytes:
    """Derives a simulated device's secret key, 16 bytes, from the run's seed and the client's number."""
    return hashlib.sha256(f"fedau2 client {seed} {client}".encode()).digest()[:16]


class ClientKeys(Sequence[bytes]):
    """The keys of a run's clients, each derived where it is asked for.

    Args:
        seed: the run's.
        clients: number of clients.
    """

    def __init__(self, seed: int, clients: int) -> None:
        self._seed, self._clients = seed, clients

    def __len__(self) -> int:
        return self._clients

    @overload
    def __getitem__(self, client: int) -> bytes: ...

    @overload
    def __getitem__(self, client: slice) -> Sequence[bytes]: ...

    def __getitem__(self, client: int | slice) -> bytes | Sequence[bytes]:
        """Returns the key of a client, or of several."""
        if isinstance(client, slice):
            return [self[number] for number in range(self._clients)[client]]
        return client_key(self._seed, range(self._clients)[client])


@dataclass(frozen=True, eq=False)
class Population:
    """The data and private state that the simulated devices do not share.

    Attributes:
        keys: secret keys, 16 bytes per client.
        interactions: each client's sorted catalogue rows.
        attributes: for each attribute, each client's value; None if it is unknown.
        state: private state of all clients, changed in place by training.
        weights: weight of each client's interactions by the plan, float32; None: the plan has no weights.
    """

    keys: Sequence[bytes]
    interactions: Sequence[NDArray[np.int64]]
    attributes: Mapping[str, Sequence[str | None]]
    state: State
    weights: Sequence[NDArray[np.float32]] | None = None

    @classmethod
    def create(
        cls,
        task: TaskManifest,
        seed: int,
        interactions: Sequence[NDArray[np.int64]],
        attributes: Mapping[str, Sequence[str | None]],
        state: State | None = None,
        weights: Sequence[NDArray[np.float32]] | None = None,
    ) -> "Population":
        """Makes a population before its first round; each client's private tensors are drawn from its own key.

        Args:
            task: the manifest.
            seed: the run's seed, from which the clients' keys are derived.
            interactions: each client's sorted catalogue rows.
            attributes: for each attribute, each client's value; None if it is unknown.
            state: existing private state, which is used as it is; by default a new state is drawn in memory.
            weights: weight of each client's interactions by the plan; None: the plan has no weights.

        Raises:
            ConfigError: `attributes` lacks an attribute of the plan, or a client's value is not one of its classes.
        """
        for part in matchings.labelled(task.plan):
            _expect_classes(part.attribute, attributes, part.classes)
        keys = ClientKeys(seed, len(interactions))
        if state is not None:
            return cls(keys, interactions, attributes, state, weights)
        zeros = {spec.name: np.zeros((len(keys), *spec.shape), np.float32) for spec in manifest.private(task)}
        population = cls(keys, interactions, attributes, PrivateState.start(zeros, len(keys)), weights)
        population.draw_initial(task)
        return population

    def draw_initial(self, task: TaskManifest) -> None:
        """Draws each client's private tensors from its own key."""
        specs = manifest.private(task)
        for client, key in enumerate(self.keys):
            for name, value in draws.initial(specs, key).items():
                self.state.values[name][client] = value

    def __len__(self) -> int:
        return len(self.keys)

    def take(self, members: Members) -> PrivateState:
        """Copies the private state of some clients."""
        state = self.state
        parts = ({name: column[members] for name, column in part.items()} for part in _parts(state))
        return PrivateState(next(parts), next(parts), next(parts), state.steps[members])

    def keep(self, members: Members, state: PrivateState | None, steps: int) -> None:
        """Keeps what the training of some clients has made of their private state.

        Args:
            members: the clients.
            state: their new state; None: it was changed in place.
            steps: local steps that were taken in place.
        """
        if state is None:
            self.state.steps[members] += steps
        else:
            self.put(members, state)

    def put(self, members: Members, state: PrivateState) -> None:
        """Replaces the private state of some clients."""
        for columns, part in zip(_parts(self.state), _parts(state), strict=True):
            for name, column in columns.items():
                column[members] = part[name]
        self.state.steps[members] = state.steps

    def clients(self, task: TaskManifest, members: Members, *, in_place: bool = False) -> Clients:
        """Collects some clients with a copy of their private state.

        Args:
            task: the manifest.
            members: the clients.
            in_place: True to have the population's own state in place of a copy, where it is in memory.
        """
        shared = in_place and isinstance(self.state, PrivateState)
        return Clients(
            [self.keys[member] for member in members],
            [self.interactions[member] for member in members],
            self.labels(task, members),
            self.state if shared and isinstance(self.state, PrivateState) else self.take(members),
            None if self.weights is None else [self.weights[member] for member in members],
            members if shared else None,
        )

    def cohort(self, task: TaskManifest, round_number: int, members: Members) -> Cohort:
        """Collects the kernel's input for some clients, with a copy of their state and their draws for a round."""
        return self.clients(task, members).cohort(task, round_number)

    def contribution(self, task: Task, round_number: int, member: int) -> dict[str, Update]:
        """Computes the contribution that a client's device would upload in a round; its state does not change."""
        return next(self.contributions(task, round_number, np.array([member])))

    def contributions(self, task: Task, round_number: int, members: Members) -> Iterator[dict[str, Update]]:
        """Computes the same for some clients, a few at a time: equal to `contribution` up to rounding."""
        for part in np.split(members, range(_AT_ONCE, len(members), _AT_ONCE)):
            cohort = self.cohort(task.manifest, round_number, part)
            trained = CohortTraining(task, round_number, cohort, summed=False).run().contributions()
            for member, contribution in zip(part, trained, strict=True):
                yield defend(task.manifest, contribution, self.keys[member], round_number)

    def recorded(self, task: TaskManifest, members: Members) -> NDArray[np.bool_]:
        """Returns True for the items among the interactions of some clients, (n, items)."""
        recorded = np.zeros((len(members), task.items), np.bool_)
        for row, member in zip(recorded, members, strict=True):
            row[self.interactions[member]] = True
        return recorded

    def labels(self, task: TaskManifest, members: Members) -> dict[str, NDArray[np.int64]]:
        """Gives class numbers for each part of the plan that takes a class; -1 if a client's attribute is unknown."""
        return {
            part.name: _labels(self.attributes[part.attribute], list(part.classes), members)
            for part in matchings.labelled(task.plan)
        }


def _parts(state: State) -> tuple[Mapping[str, Any], ...]:
    return state.values, state.first, state.second


def _expect_classes(name: str, attributes: Mapping[str, Sequence[str | None]], classes: Sequence[str]) -> None:
    if name not in attributes:
        raise ConfigError(
            f"the plan unlearns {name!r}, which is not an attribute of the clients; they have {', '.join(attributes)}"
        )
    for client, value in enumerate(attributes[name]):
        if value is not None and value not in classes:
            raise ConfigError(f"client {client} has {name} {value!r}; the plan's classes are {', '.join(classes)}")


def _labels(values: Sequence[str | None], classes: Sequence[str], members: Members) -> NDArray[np.int64]:
    return np.array([-1 if (value := values[member]) is None else classes.index(value) for member in members])
