"""The operations that the library computes, for the recommenders that it knows."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from client_sdk import draws
from client_sdk.draws import Stream
from client_sdk.errors import NoDataError
from client_sdk.kernel.batch import Batch, RowSlots
from client_sdk.kernel.contract import Gradients, Recommender, Step, Tensors, Unlearn
from client_sdk.kernel.native import cohorts, fedncf, fedrap, private_adam
from client_sdk.kernel.native.cohorts import Drawn, ends
from client_sdk.kernel.operations import PrivateTensors, SampleLists
from client_sdk.plan import AdversaryPlan, TrainingPlan
from fedau2_native import Library

RECOMMENDERS: dict[str, Callable[[Library, Tensors, Tensors, Step, Unlearn], Gradients]] = {
    "fedncf": fedncf.gradients,
    "fedrap": fedrap.gradients,
}
"""The recommenders that the library knows, by name, with their gradients."""


class NativeOperations:
    """The operations of `client_sdk.kernel.operations.Operations` by the library.

    Args:
        library: the variant for this processor.
        model: name of the recommender, which must be one of `RECOMMENDERS`.
    """

    in_place = True

    def __init__(self, library: Library, model: str) -> None:
        self._library, self._gradients = library, RECOMMENDERS[model]
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
        """Draws the samples of clients, number for number those of `client_sdk.draws.contrasts`."""
        lengths = np.array([len(rows) for rows in interactions])
        if not lengths.all():
            raise NoDataError("nothing is recorded to train on: call record() first")
        if lengths.max() >= plan.items:
            raise NoDataError("every item of the catalogue is recorded, so there is nothing to contrast them with")
        local, starts, line = plan.local, ends(lengths), 1 + plan.local.negatives
        size = int(starts[-1]) * line
        items, labels, importance = np.empty(size, np.int64), np.empty(size, np.float32), np.empty(size, np.float32)
        self._library.contrasts(
            len(keys), b"".join(keys), round_number, Stream.SAMPLES, plan.items, local.steps, local.negatives,
            local.chunk, starts, np.concatenate(interactions), _joined(weights), items, labels, importance,
        )  # fmt: skip
        least, longer = np.divmod(lengths[:, None], local.steps)
        lines = least + (np.arange(local.steps) < longer)
        noise = np.zeros((len(keys), local.steps, 0), np.float32)
        return Drawn(ends(line * lines.ravel()), local.steps, items, labels, importance, noise)

    def noise(
        self, adversaries: Sequence[AdversaryPlan], steps: int, keys: Sequence[bytes], round_number: int
    ) -> Mapping[str, NDArray[np.float32]]:
        """Draws the noise of the heads, number for number that of `client_sdk.draws.noise`."""
        if not adversaries:
            return {}
        classes = [adversary.classes for adversary in adversaries]
        normals = np.empty((len(keys), steps * 2 * sum(classes)), np.float32)
        self._library.normals(len(keys), b"".join(keys), round_number, Stream.NOISE, normals.shape[1], normals)
        parts = np.split(normals, np.cumsum([steps * 2 * count for count in classes])[:-1], 1)
        return {
            adversary.name: draws.head_noise(adversary, part.reshape(len(keys), steps, 2, -1))
            for adversary, part in zip(adversaries, parts, strict=True)
        }

    def layout(self, samples: SampleLists, items: int, *, summed: bool) -> tuple[RowSlots, list[Batch]]:
        """Lays out samples, see `cohorts.layout`."""
        return cohorts.layout(self._library, samples, items, summed=summed, by_item=self._by_item)

    def gradients(
        self, recommender: Recommender, shared: Tensors, private: Tensors, step: Step, unlearn: Unlearn
    ) -> Gradients:
        """Computes the recommender's gradients."""
        return self._gradients(self._library, shared, private, step, unlearn)

    def adam(
        self, state: PrivateTensors, gradients: Gradients, steps: Tensor, learning_rate: float, members: Tensor | None
    ) -> None:
        """Takes a step of private Adam in place, see `client_sdk.kernel.adam.step`."""
        private_adam.step(self._library, state, gradients, steps, learning_rate, members)


def _joined(weights: Sequence[NDArray[np.float32] | None] | None) -> NDArray[np.float32] | None:
    known = [of_client for of_client in weights or () if of_client is not None]
    if not known:
        return None
    if weights is None or len(known) < len(weights):
        raise ValueError("either all clients have weights of their interactions, or none has")
    return np.concatenate(known)
