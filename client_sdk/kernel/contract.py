"""The contract of a recommender: one module with the functions that the kernel calls."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from client_sdk.draws import Samples
from client_sdk.kernel.batch import Batch, RowSlots
from client_sdk.plan import TrainingPlan
from fedau2.v1.tensors_pb2 import TENSOR_SCOPE_PRIVATE, TENSOR_SCOPE_SHARED, TensorSpec
from fedau2.wire.blobs import Tensors as Arrays

Tensors = dict[str, Tensor]

ITEM = "item_"
"""The prefix of the names of serving and user tensors over items."""

Unlearn = Callable[[Tensors], Tensors]
"""From protected states by name, (clients, ...), to addends to their gradients: the adversaries' gated, reversed
gradients."""


Match = Callable[[Tensors], Tensors]
"""From matched states by name, (clients, ...), to the gradients by them that matchings add."""


@dataclass(frozen=True, eq=False)
class Step:
    """The input of a local step besides tensors.

    Attributes:
        rows: the table rows that the cohort touches.
        batch: the samples.
        parameters: the recommender's own `Parameters`.
        round: the assignment's round; a tensor stands for it while a graph is made of the step.
        protected: names of the states that some adversary sees.
        members: rows of the private tensors that are the clients', int64 (B,); None: all rows, in order. A recommender
            itself always gets None.
        factored: True if gradients that are products may stay factors, client by client; see `Gradients.factors`.
    """

    rows: RowSlots
    batch: Batch
    parameters: Any
    round: int | Tensor
    protected: frozenset[str] = frozenset()
    members: Tensor | None = None
    factored: bool = False


class Factors(NamedTuple):
    """The gradient by a layer's weights of clients with one sample each: `column[b, i] * line[b, j]`.

    Attributes:
        column: gradient by the layer's output, (B, out); of a table, by its slot, (B, m).
        line: the layer's input, (B, in).
    """

    column: Tensor
    line: Tensor


@dataclass(frozen=True, eq=False)
class Gradients:
    """Gradients of a cohort's local step.

    Attributes:
        shared: tables by slot, (G * m, ...); dense tensors by group, (G, ...).
        private: by client, (B, ...).
        loss: recommendation loss per client, (B,).
        factors: of a factored step: those that are in no other mapping.
    """

    loss: Tensor
    shared: Tensors = field(default_factory=dict)
    private: Tensors = field(default_factory=dict)
    factors: dict[str, Factors] = field(default_factory=dict)


class Recommender(Protocol):
    """A module that implements a recommender.

    Its attribute `DRAW` may say which of the ways in `fedau2.v1.task_pb2.Draw` its `draw` is. Devices without PyTorch
    can draw only in these ways; without the attribute the recommender is trained by the kernel alone.
    """

    def tensors(self, items: int, widths: Any = None) -> list[TensorSpec]:  # noqa: ANN401 - each has widths of its own
        """The tensors of a model over `items`."""

    def draw(
        self, plan: TrainingPlan[Any], interactions: NDArray[np.int64], key: bytes, round_number: int
    ) -> list[Samples]:
        """Draws a client's samples for each local step, from nothing but the key; `draws.contrasts` for most.

        Args:
            plan: the task's, with the recommender's `Parameters`.
            interactions: catalogue rows, sorted and unique.
            key: the client's 16 secret bytes.
            round_number: the assignment's.

        Raises:
            NoDataError: there is nothing to train on.
        """

    def prepare(self, shared: Tensors) -> Tensors:
        """Computes the serving tensors, which scoring needs, once per checkpoint. It is exported as prepare.onnx.

        A tensor over items has the items on the last axis and a name that begins with `ITEM`, so that it can be cut.
        """

    def user(self, serving: Tensors, private: Tensors, history: Tensor) -> Tensors:
        """Computes all that scoring needs to know of one user, and all that adversaries may protect.

        The paper's embedding comes first. A private tensor that is passed on unchanged keeps its name; a computed
        tensor has another name. A tensor over items has the items on the last axis and a name that begins with `ITEM`.

        Args:
            serving: from `prepare`; only tensors that are not over items may be used.
            private: the user's tensors, without the axis of clients.
            history: rows of the user's interactions, int64 (h,); h may be 0.
        """

    def score(self, serving: Tensors, user: Tensors) -> Tensor:
        """Computes logits, (n,), of the n items of the tensors over items. With `user` it becomes recommend.onnx."""

    def gradients(self, shared: Tensors, private: Tensors, step: Step, unlearn: Unlearn) -> Gradients:
        """Computes the gradients of the recommendation loss, plus what `unlearn` adds to those of the protected states.

        Args:
            shared: tables as the rows in `rows`' slots, (G * m, ...); dense tensors (1 or G, ...).
            private: the clients' tensors, (B, ...).
            step: rows, samples and parameters.
            unlearn: must be called once with the states that adversaries may protect, under the names of `user`. Here
                a state over items has the items on the axis after the clients, so that an adversary's weights can
                follow the items to another catalogue.
        """


class Embedder(Protocol):
    """A recommender that says in training what a device would show: an eraser needs it of states that are computed."""

    def embed(self, shared: Tensors, private: Tensors, step: Step) -> Tensors:
        """Computes the states that `user` does not just pass on, from all interactions, by its names, (B, ...).

        Args:
            shared: as for `gradients`.
            private: the same.
            step: rows, samples and parameters.
        """


class Encoder(Embedder, Protocol):
    """A recommender that computes its embedding from interactions, by shared tensors.

    Erasure, noise and matchings change these tensors where there is no private tensor to change.

    Attributes:
        ENCODER_WEIGHTS, ENCODER_BIASES: names of the tensors that compute the embedding.
    """

    ENCODER_WEIGHTS: tuple[str, ...]
    ENCODER_BIASES: tuple[str, ...]

    def pull(self, shared: Tensors, step: Step, match: Match) -> Tensors:
        """Returns the gradients of what `match` asks of the embedding, by shared tensors, as in `Gradients`.

        The embedding is the one that `user` computes from all interactions, without dropout and noise.

        Args:
            shared: as for `gradients`.
            step: rows, samples and parameters.
            match: must be called once with the embedding under the name of `user`.
        """

    def move_latent(self, shared: Arrays, matrix: NDArray[np.floating], offset: NDArray[np.floating]) -> Arrays:
        """Returns the model whose embedding is `x @ matrix + offset` where it was x.

        Args:
            shared: the model's tensors.
            matrix: (width, width).
            offset: (width,).
        """


def encoder(recommender: Recommender) -> Encoder | None:
    """The recommender, if it is an `Encoder` too."""
    return cast(Encoder, recommender) if hasattr(recommender, "move_latent") else None


def logits(recommender: Recommender, serving: Tensors, private: Tensors, history: Tensor) -> Tensor:
    """Logits of all items for one user, (items,); the arguments are those of `Recommender.user`."""
    return recommender.score(serving, recommender.user(serving, private, history))


def states(recommender: Recommender, tensors: Sequence[TensorSpec]) -> dict[str, int]:
    """Width of each state that adversaries may protect, by name; the paper's embedding is the first."""
    zeros = {spec.name: torch.zeros(tuple(spec.shape)) for spec in tensors}
    scopes = {spec.name: spec.scope for spec in tensors}
    shared = {name: value for name, value in zeros.items() if scopes[name] == TENSOR_SCOPE_SHARED}
    private = {name: value for name, value in zeros.items() if scopes[name] == TENSOR_SCOPE_PRIVATE}
    user = recommender.user(recommender.prepare(shared), private, torch.zeros(0, dtype=torch.int64))
    return {name: value.numel() for name, value in user.items()}


def embedding(recommender: Recommender, tensors: Sequence[TensorSpec]) -> str:
    """Name of the paper's embedding, the first of `states`."""
    return next(iter(states(recommender, tensors)))
