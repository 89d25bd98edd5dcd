"""What a recommender is to the kernel: one module with these functions."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from torch import Tensor

from client_sdk.kernel.batch import Batch, Rows
from fedau2.v1.tensors_pb2 import TensorSpec

Tensors = dict[str, Tensor]

ITEM = "item_"
"""What the names of serving tensors over items begin with."""

Unlearn = Callable[[Tensors], Tensors]
"""From protected states by name, (clients, ...), to what to add to their gradients: the adversaries' gated, reversed
gradients."""


@dataclass(frozen=True, eq=False)
class Gradients:
    """Gradients of a cohort's local step.

    Attributes:
        shared: tables by slot, (G * m, ...); dense tensors by group, (G, ...).
        private: by client, (B, ...).
        loss: recommendation loss per client, (B,).
    """

    loss: Tensor
    shared: Tensors = field(default_factory=dict)
    private: Tensors = field(default_factory=dict)


class Recommender(Protocol):
    """A module that implements a recommender.

    Attributes:
        EMBEDDING: names of the private tensors that the paper protects.
    """

    EMBEDDING: Sequence[str]

    def tensors(self, items: int, widths: Any = None) -> list[TensorSpec]:  # noqa: ANN401 - each has widths of its own
        """The tensors of a model over `items`."""

    def prepare(self, shared: Tensors) -> Tensors:
        """Serving tensors: what scoring needs, computed once per checkpoint. Exported as prepare.onnx.

        Those over items have them on the last axis and a name that begins with `ITEM`, so that they can be cut.
        """

    def score(self, serving: Tensors, private: Tensors) -> Tensor:
        """Logits of the items that the serving tensors hold, (items,), for one user. Exported as recommend.onnx."""

    def gradients(self, shared: Tensors, private: Tensors, rows: Rows, batch: Batch, unlearn: Unlearn) -> Gradients:
        """Gradients of the recommendation loss, plus what `unlearn` adds to those of the protected states.

        Args:
            shared: tables as the rows in `rows`' slots, (G * m, ...); dense tensors (1 or G, ...).
            private: the clients' tensors, (B, ...).
            rows: the slots.
            batch: the samples.
            unlearn: to be called once with the protected states.
        """
