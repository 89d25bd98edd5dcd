"""Private Adam by the library, on rows of columns."""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from client_sdk.kernel import adam
from client_sdk.kernel.contract import Gradients
from client_sdk.kernel.operations import PrivateTensors
from fedau2_native import Library


@dataclass(frozen=True, eq=False, kw_only=True)
class Factored(Gradients):
    """Gradients of a private tensor of vectors, (B, n, w), that are not computed until Adam takes them.

    The gradient of a vector is `by_vector * direction + push + whole`.

    Attributes:
        name: of the private tensor.
        by_vector: (B, n).
        direction: (1 or B, w).
        push: the same for all numbers of a vector, (B, n); None: 0.
        whole: (B, n, w); None: 0.
    """

    name: str
    by_vector: Tensor
    direction: Tensor
    push: Tensor | None
    whole: Tensor | None


def step(
    library: Library,
    state: PrivateTensors,
    gradients: Gradients,
    steps: Tensor,
    learning_rate: float,
    members: Tensor | None,
) -> None:
    """Takes a step of the rows `members` of the state, see `client_sdk.kernel.adam.step`."""
    scale, shift = (number.numpy() for number in adam.corrections(steps, learning_rate))
    rows = np.arange(len(steps)) if members is None else members.numpy()
    for gradient in [gradients] if isinstance(gradients, Factored) else map(_factored, gradients.private.items()):
        clients, vectors = gradient.by_vector.shape
        direction, push, whole = gradient.direction.numpy(), _array(gradient.push), _array(gradient.whole)
        columns = (part[gradient.name].numpy() for part in (state.values, state.first, state.second))
        library.adam(
            clients, vectors, direction.shape[1], rows, len(direction), direction, gradient.by_vector.numpy(), push,
            whole, scale, shift, *columns,
        )  # fmt: skip


def _array(tensor: Tensor | None) -> NDArray[np.float32] | None:
    return None if tensor is None else tensor.contiguous().numpy()


def _factored(named: tuple[str, Tensor]) -> Factored:
    """A gradient without factors, as one vector for each client."""
    name, gradient = named
    whole = gradient.reshape(len(gradient), 1, -1)
    nothing = torch.zeros(len(gradient), 1), torch.zeros(1, whole.shape[2])
    return Factored(loss=nothing[0], name=name, by_vector=nothing[0], direction=nothing[1], push=None, whole=whole)
