"""The clients of a chunk, with all that their training needs: data, keys, labels and private state."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from client_sdk.kernel.operations import TORCH, Operations
from client_sdk.kernel.training import Cohort
from client_sdk.protocol.values import Columns, PrivateState
from fedau2.v1.task_pb2 import TaskManifest


@dataclass(frozen=True, eq=False)
class Clients:
    """Some clients, as one call of the kernel trains them. It can be pickled.

    Attributes:
        keys: secret keys, 16 bytes per client.
        interactions: each client's sorted catalogue rows.
        labels: for each adversary, class numbers int64 (n,); -1 where the attribute is unknown.
        state: private state.
        weights: weight of each client's interactions by the plan, float32; None: the plan has no weights.
        rows: the rows of `state` that are the clients'; training changes them in place. None: all rows, in order.
    """

    keys: Sequence[bytes]
    interactions: Sequence[NDArray[np.int64]]
    labels: Mapping[str, NDArray[np.int64]]
    state: PrivateState
    weights: Sequence[NDArray[np.float32]] | None = None
    rows: NDArray[np.int64] | None = None

    def __len__(self) -> int:
        return len(self.keys)

    def cohort(self, task: TaskManifest, round_number: int, operations: Operations = TORCH) -> Cohort:
        """Draws their random numbers for a round, and returns the kernel's input."""
        given = self.interactions, self.labels, self.state, self.weights
        return Cohort.draw(task, round_number, self.keys, *given, operations, self.rows)

    def alone(self, position: int) -> "Clients":
        """Copies one of the clients, where `state` has their rows only."""
        return Clients(
            [self.keys[position]],
            [self.interactions[position].copy()],
            {name: values[position : position + 1].copy() for name, values in self.labels.items()},
            rows_of(self.state, position),
            None if self.weights is None else [self.weights[position].copy()],
        )

    @classmethod
    def join(cls, parts: Sequence["Clients"]) -> Self:
        """Joins clients in the order of the parts. The state of a part has the rows of its clients only."""
        weights = [part.weights for part in parts if part.weights is not None]
        return cls(
            [key for part in parts for key in part.keys],
            [rows for part in parts for rows in part.interactions],
            {name: np.concatenate([part.labels[name] for part in parts]) for name in parts[0].labels},
            joined([part.state for part in parts]),
            [of_client for part in weights for of_client in part] if weights else None,
        )


def rows_of(state: PrivateState, position: int) -> PrivateState:
    """Copies the state of one client, by its position."""
    row = slice(position, position + 1)
    values, first, second = (
        {name: column[row].copy() for name, column in part.items()}
        for part in (state.values, state.first, state.second)
    )
    return PrivateState(values, first, second, state.steps[row].copy())


def joined(states: Sequence[PrivateState]) -> PrivateState:
    """Joins the states of clients in their order."""

    def columns(part: str) -> Columns:
        names = getattr(states[0], part)
        return {name: np.concatenate([getattr(state, part)[name] for state in states]) for name in names}

    return PrivateState(
        columns("values"), columns("first"), columns("second"), np.concatenate([state.steps for state in states])
    )
