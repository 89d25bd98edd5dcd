"""The operations that a cohort's training consists of. PyTorch's are the reference; `native` has some in C++."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from client_sdk import draws
from client_sdk.draws import Samples, Stream
from client_sdk.kernel import adam, batch
from client_sdk.kernel.batch import Batch, RowSlots
from client_sdk.kernel.contract import Gradients, Recommender, Step, Tensors, Unlearn
from client_sdk.plan import AdversaryPlan, TrainingPlan
from client_sdk.weights import weighed

SampleLists = Sequence[Sequence[Samples]]
"""Samples by client, then local step."""


@dataclass(frozen=True, eq=False)
class PrivateTensors:
    """A `PrivateState` as tensors that share its memory: by name, (B, ...)."""

    values: Tensors
    first: Tensors
    second: Tensors


class Operations(Protocol):
    """The operations of a local update. All that implement it agree up to rounding, and draw the same numbers.

    Attributes:
        in_place: True if `gradients` and `adam` take columns of more clients than those that train.
    """

    in_place: bool

    def samples(
        self,
        plan: TrainingPlan[Any],
        recommender: Recommender,
        keys: Sequence[bytes],
        round_number: int,
        interactions: Sequence[NDArray[np.int64]],
        weights: Sequence[NDArray[np.float32] | None] | None,
    ) -> SampleLists:
        """Draws the samples of clients, each from its own key.

        Raises:
            NoDataError: a client has nothing to train on.
        """

    def noise(
        self, adversaries: Sequence[AdversaryPlan], steps: int, keys: Sequence[bytes], round_number: int
    ) -> Mapping[str, NDArray[np.float32]]:
        """Draws the noise of the adversaries' heads by name, each (B, steps, 2, classes)."""

    def layout(self, samples: SampleLists, items: int, *, summed: bool) -> tuple[RowSlots, list[Batch]]:
        """Lays out samples, see `batch.layout`."""

    def gradients(
        self, recommender: Recommender, shared: Tensors, private: Tensors, step: Step, unlearn: Unlearn
    ) -> Gradients:
        """Computes what `Recommender.gradients` does, on a step with a batch of `layout`."""

    def adam(
        self, state: PrivateTensors, gradients: Gradients, steps: Tensor, learning_rate: float, members: Tensor | None
    ) -> None:
        """Takes a step of private Adam in place, see `adam.step`; `members` are those of the step."""


class _TorchOperations:
    """The operations by NumPy and PyTorch."""

    in_place = False
    layout = staticmethod(batch.layout)

    def samples(
        self,
        plan: TrainingPlan[Any],
        recommender: Recommender,
        keys: Sequence[bytes],
        round_number: int,
        interactions: Sequence[NDArray[np.int64]],
        weights: Sequence[NDArray[np.float32] | None] | None,
    ) -> SampleLists:
        clients = zip(keys, interactions, weights or [None] * len(keys), strict=True)
        return [
            weighed(recommender.draw(plan, rows, key, round_number), plan.draw, rows, of_client)
            for key, rows, of_client in clients
        ]

    def noise(
        self, adversaries: Sequence[AdversaryPlan], steps: int, keys: Sequence[bytes], round_number: int
    ) -> Mapping[str, NDArray[np.float32]]:
        if not adversaries:
            return {}
        drawn = [draws.noise(adversaries, steps, draws.generator(key, round_number, Stream.NOISE)) for key in keys]
        return {adversary.name: np.stack([client[adversary.name] for client in drawn]) for adversary in adversaries}

    def gradients(
        self, recommender: Recommender, shared: Tensors, private: Tensors, step: Step, unlearn: Unlearn
    ) -> Gradients:
        return recommender.gradients(shared, private, step, unlearn)

    def adam(
        self, state: PrivateTensors, gradients: Gradients, steps: Tensor, learning_rate: float, members: Tensor | None
    ) -> None:
        adam.step(state.values, state.first, state.second, gradients.private, steps, learning_rate)


TORCH: Operations = _TorchOperations()
