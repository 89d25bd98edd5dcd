"""The operations that the library computes, for the recommenders that it knows."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from client_sdk.kernel import batch
from client_sdk.kernel.batch import Batch, RowSlots
from client_sdk.kernel.contract import Gradients, Recommender, Step, Tensors, Unlearn
from client_sdk.kernel.native import cohorts, draws, fedncf, fedrap, private_adam
from client_sdk.kernel.operations import PrivateTensors, SampleLists
from client_sdk.plan import AdversaryPlan, TrainingPlan
from fedau2_native import Library

_GRADIENTS: dict[str, Callable[[Library, Tensors, Tensors, Step, Unlearn], Gradients]] = {
    "fedncf": fedncf.gradients,
    "fedrap": fedrap.gradients,
}

RECOMMENDERS: dict[str, Callable[..., SampleLists]] = {
    "fedncf": draws.contrasts,
    "fedrap": draws.contrasts,
    "fedvae": draws.whole,
}
"""The recommenders that the library knows, with their draws. FedVAE's gradients are products of large matrices, which
PyTorch computes."""


class NativeOperations:
    """The operations of `client_sdk.kernel.operations.Operations` by the library.

    Args:
        library: the variant for this processor.
        model: name of the recommender, which must be one of `RECOMMENDERS`.
    """

    in_place = True

    def __init__(self, library: Library, model: str) -> None:
        self.library, self._draw, self._gradients = library, RECOMMENDERS[model], _GRADIENTS.get(model)
        self._by_item = model == "fedncf"  # its work for a sample is on the item's row; FedRAP's is on the client's

    def samples(
        self,
        plan: TrainingPlan[Any],
        recommender: Recommender,
        keys: Sequence[bytes],
        round_number: int,
        interactions: Sequence[NDArray[np.int64]],
        weights: Sequence[NDArray[np.float32] | None] | None,
    ) -> SampleLists:
        """Draws the samples of clients."""
        return self._draw(self.library, plan, keys, round_number, interactions, weights)

    def noise(
        self, adversaries: Sequence[AdversaryPlan], steps: int, keys: Sequence[bytes], round_number: int
    ) -> Mapping[str, NDArray[np.float32]]:
        """Draws the noise of the adversaries' heads."""
        return draws.noise(self.library, adversaries, steps, keys, round_number)

    def layout(self, samples: SampleLists, items: int, *, summed: bool) -> tuple[RowSlots, list[Batch]]:
        """Lays out samples, for the library or for PyTorch."""
        if self._gradients is None:
            return batch.layout(samples, items, summed=summed)
        return cohorts.layout(self.library, samples, items, summed=summed, by_item=self._by_item)

    def gradients(
        self, recommender: Recommender, shared: Tensors, private: Tensors, step: Step, unlearn: Unlearn
    ) -> Gradients:
        """Computes the recommender's gradients."""
        if self._gradients is None:
            return recommender.gradients(shared, private, step, unlearn)
        return self._gradients(self.library, shared, private, step, unlearn)

    def adam(
        self, state: PrivateTensors, gradients: Gradients, steps: Tensor, learning_rate: float, members: Tensor | None
    ) -> None:
        """Takes a step of private Adam in place, see `client_sdk.kernel.adam.step`."""
        private_adam.step(self.library, state, gradients, steps, learning_rate, members)
