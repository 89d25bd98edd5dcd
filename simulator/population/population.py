"""The simulated clients: their data, and their private state as columns (one array per tensor, rows = clients)."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from client_sdk import draws
from client_sdk.kernel.training import Cohort, CohortTraining, Task
from client_sdk.protocol.defences import defend
from client_sdk.protocol.values import PrivateState
from fedau2.v1.task_pb2 import TaskManifest
from fedau2.wire import manifest
from fedau2.wire.contributions import Update
from simulator.errors import ConfigError
from simulator.population.columns import State

Members = NDArray[np.int64]
"""Row numbers of clients."""


def client_key(seed: int, client: int) -> bytes:
    """The 16 bytes that stand for a simulated device's secret: a hash of run seed and client."""
    return hashlib.sha256(f"fedau2 client {seed} {client}".encode()).digest()[:16]


@dataclass(frozen=True, eq=False)
class Population:
    """Everything that the simulated devices keep to themselves.

    Attributes:
        keys: 16 bytes per client.
        interactions: per client, sorted catalogue rows.
        attributes: per attribute, each client's value or None.
        state: private state of all clients, changed in place as they train.
    """

    keys: Sequence[bytes]
    interactions: Sequence[NDArray[np.int64]]
    attributes: Mapping[str, Sequence[str | None]]
    state: State

    @classmethod
    def create(
        cls,
        task: TaskManifest,
        seed: int,
        interactions: Sequence[NDArray[np.int64]],
        attributes: Mapping[str, Sequence[str | None]],
        state: State | None = None,
    ) -> "Population":
        """A population before its first round, each client's private tensors drawn from its own key.

        Args:
            task: the manifest.
            seed: of the clients' keys.
            interactions: per client, sorted catalogue rows.
            attributes: per attribute, each client's value or None.
            state: private state that is there already, of which nothing is drawn; by default a new one in memory.

        Raises:
            ConfigError: the plan has an attribute that is not given here, or a client a value that no class has.
        """
        for each in task.plan.adversaries:
            _expect_classes(each.attribute, attributes, each.classes)
        keys = [client_key(seed, client) for client in range(len(interactions))]
        if state is not None:
            return cls(keys, interactions, attributes, state)
        zeros = {spec.name: np.zeros((len(keys), *spec.shape), np.float32) for spec in manifest.private(task)}
        population = cls(keys, interactions, attributes, PrivateState.start(zeros, len(keys)))
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
        """Copies of some clients' private state."""
        state = self.state
        parts = ({name: column[members] for name, column in part.items()} for part in _parts(state))
        return PrivateState(next(parts), next(parts), next(parts), state.steps[members])

    def put(self, members: Members, state: PrivateState) -> None:
        """Replaces some clients' private state."""
        for columns, part in zip(_parts(self.state), _parts(state), strict=True):
            for name, column in columns.items():
                column[members] = part[name]
        self.state.steps[members] = state.steps

    def cohort(self, task: TaskManifest, round_number: int, members: Members) -> Cohort:
        """Some clients as the kernel takes them, with what they draw for this round."""
        keys = [self.keys[m] for m in members]
        interactions = [self.interactions[m] for m in members]
        return Cohort.draw(task, round_number, keys, interactions, self.labels(task, members), self.take(members))

    def contribution(self, task: Task, round_number: int, member: int) -> dict[str, Update]:
        """What a client's device would upload in a round; its state stays as it is."""
        cohort = self.cohort(task.manifest, round_number, np.array([member]))
        trained = CohortTraining(task, round_number, cohort, summed=False).run().contributions()[0]
        return defend(task.manifest, trained, self.keys[member], round_number)

    def labels(self, task: TaskManifest, members: Members) -> dict[str, NDArray[np.int64]]:
        """Class numbers per adversary of the plan, -1 where a client's attribute is not known."""
        return {
            each.name: np.array([_label(self.attributes[each.attribute][m], list(each.classes)) for m in members])
            for each in task.plan.adversaries
        }


def _parts(state: State) -> tuple[Mapping[str, Any], ...]:
    return state.values, state.first, state.second


def _expect_classes(name: str, attributes: Mapping[str, Sequence[str | None]], classes: Sequence[str]) -> None:
    if name not in attributes:
        raise ConfigError(
            f"the plan unlearns {name!r}, which the clients do not have; they have {', '.join(attributes)}"
        )
    for client, value in enumerate(attributes[name]):
        if value is not None and value not in classes:
            raise ConfigError(f"client {client} has {name} {value!r}; the plan knows {', '.join(classes)}")


def _label(value: str | None, classes: Sequence[str]) -> int:
    return -1 if value is None else classes.index(value)
