"""The adversary behind the gradient reversal: hidden layer, heads and triggers (paper sections 3.2, 4.2 and 4.3).

Its own gradient is always computed and contributed; the trigger decides only whether the reversed gradient, scaled by
epsilon, reaches the protected state. The reversal is the gradient with respect to a second copy of the protected state,
so it needs no custom autograd function. The objective `confusion` replaces it by the gradient of
KL(prior || softmax(mu)), which does not depend on the label and so cannot write it into the protected state.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from client_sdk.kernel import grouped, specs
from client_sdk.kernel.contract import ITEM, Factors, Tensors
from client_sdk.plan import AdversaryPlan
from fedau2.v1.task_pb2 import (
    HEAD_MLP,
    HEAD_SCALAR,
    OBJECTIVE_CONFUSION,
    TRIGGER_GLOBAL,
    TRIGGER_OFF,
    TRIGGER_PRETRAIN,
)
from fedau2.v1.tensors_pb2 import TENSOR_SCOPE_ADVERSARY, ItemSpan, TensorSpec
from fedau2.wire import manifest

LOG_SIGMA_MAX = 4.0
"""The value at which s saturates in exp(s). The paper lets s grow; but the reversed gradient makes it grow without end
(noise is one way to confuse the adversary), until gradients overflow. The derivative stays exp(s) there, so that s can
come back."""


def tensors(adversary: AdversaryPlan, states: Mapping[str, int], items: int) -> list[TensorSpec]:
    """The adversary's tensors: Xavier-normal weights, biases N(0, 0.001^2).

    Args:
        adversary: from the plan.
        states: widths of the states that it may protect, see `contract.states`.
        items: length of the catalogue.
    """
    width, hidden = sum(states[name] for name in adversary.protects), adversary.width
    classes = adversary.classes
    outputs = classes if adversary.head in (HEAD_MLP, HEAD_SCALAR) else 2 * classes
    shapes = {"hidden.weight": [hidden, width], "hidden.bias": [hidden], "head.weight": [outputs, hidden]}
    if adversary.head == HEAD_MLP:
        shapes["head.bias"] = [outputs]
    if adversary.head == HEAD_SCALAR:
        shapes["head.log_sigma"] = [1]
    named = {name: _spec(f"{prefix(adversary)}{name}", shape) for name, shape in shapes.items()}
    if any(name.startswith(ITEM) for name in adversary.protects):
        spans = [_span(name, states[name], items) for name in adversary.protects]
        specs.along_items(named["hidden.weight"], spans, axis=1)
    return list(named.values())


def _span(state: str, width: int, items: int) -> ItemSpan:
    return ItemSpan(per_item=width // items) if state.startswith(ITEM) else ItemSpan(others=width)


def _spec(name: str, shape: list[int]) -> TensorSpec:
    deviation = math.sqrt(2 / sum(shape)) if len(shape) == 2 else 0.001
    return specs.dense(name, shape, specs.normal(deviation), TENSOR_SCOPE_ADVERSARY)


def prefix(adversary: AdversaryPlan) -> str:
    """The prefix of the names of the adversary's tensors."""
    return manifest.adversary_prefix(adversary.name)


@dataclass(frozen=True, eq=False)
class AdversaryGradients:
    """The gradients of one adversary for a cohort in one local step.

    Attributes:
        shared: gradients of the adversary's own tensors, (G, ...).
        factors: those of a factored step that are factors.
        push: addends to the gradients of the protected states, (B, ...).
        triggered: True where the push is not 0 by the trigger's decision, bool (B,).
        margin: logit of the true class less the best other's, (B,); NaN without a label.
    """

    shared: Tensors
    factors: dict[str, Factors]
    push: Tensors
    triggered: Tensor
    margin: Tensor


def gradients(
    adversary: AdversaryPlan,
    round_number: int | Tensor,
    shared: Tensors,
    states: Tensors,
    labels: Tensor,
    noise: Tensor,
    groups: int,
    *,
    factored: bool = False,
) -> AdversaryGradients:
    """Computes the gradients of the adversary's cross-entropy on the protected states, and the trigger's decision.

    Args:
        adversary: from the plan.
        round_number: for `TRIGGER_PRETRAIN`.
        shared: the adversary's tensors, (1 or G, ...), under their full names.
        states: protected states by name, (B, ...).
        labels: class numbers, int64 (B,); -1 where not known: such a client gives no gradient.
        noise: the head's n1 and n2, (B, 2, classes).
        groups: number of groups G.
        factored: leave the largest gradient as factors; there are as many groups as clients.
    """
    tensors = {name.removeprefix(prefix(adversary)): value for name, value in shared.items()}
    embedding = torch.cat([states[name].flatten(1) for name in adversary.protects], 1)
    hidden = grouped.linear(embedding, tensors["hidden.weight"], tensors["hidden.bias"]).relu_()
    head = _Head(adversary, tensors, hidden, noise)
    grads, grad = head.gradients(_cross_entropy_gradient(adversary, head.logits, labels), groups)
    grad = grouped.relu_gradient(grad, hidden)
    factors = {prefix(adversary) + "hidden.weight": Factors(grad, embedding)} if factored else {}
    if not factored:
        grads["hidden.weight"] = grouped.weight_gradient(grad, embedding, groups)
    grads["hidden.bias"] = grouped.bias_gradient(grad, groups)
    margin = _margin(head.logits, labels)
    if adversary.objective == OBJECTIVE_CONFUSION:
        triggered = labels >= 0
        grad = grouped.relu_gradient(head.confusion(), hidden)
    else:
        triggered = _triggered(adversary, round_number, margin)
        grad = -grad
    scale = triggered.float()[:, None] * adversary.epsilon
    push = scale * grouped.input_gradient(grad, tensors["hidden.weight"])
    named = {prefix(adversary) + name: value for name, value in grads.items()}
    return AdversaryGradients(named, factors, _split(adversary, push, states), triggered, margin)


def total(pushes: Sequence[Tensors]) -> Tensors:
    """Adds up the pushes of several adversaries on the protected states, by name."""
    summed: Tensors = {}
    for push in pushes:
        for name, value in push.items():
            summed[name] = summed[name] + value if name in summed else value
    return summed


class _Head:
    """The last layer on hidden activations (B, width): `mu * n1 + exp(s) * n2`, or linear for `mlp`.

    Attributes:
        logits: (B, classes).
    """

    def __init__(self, adversary: AdversaryPlan, tensors: Tensors, hidden: Tensor, noise: Tensor) -> None:
        self._adversary, self._hidden, self._weight = adversary, hidden, tensors["head.weight"]
        out = grouped.linear(hidden, self._weight, tensors.get("head.bias"))
        classes = adversary.classes
        self._mu, log_sigma = out[:, :classes], tensors.get("head.log_sigma", out[:, classes:])
        self._n1, self._n2 = noise[:, 0], noise[:, 1]
        self._sigma = torch.exp(log_sigma.clamp(max=LOG_SIGMA_MAX))
        self.logits = out if adversary.head == HEAD_MLP else self._mu * self._n1 + self._sigma * self._n2

    def gradients(self, grad: Tensor, groups: int) -> tuple[Tensors, Tensor]:
        """Takes the gradient by logit back to the layer's own tensors, (G, ...), and to the activations."""
        by_tensor = {}
        if self._adversary.head == HEAD_MLP:
            by_tensor["head.bias"] = grouped.bias_gradient(grad, groups)
        else:
            by_sigma = grad * self._n2 * self._sigma
            grad = grad * self._n1
            if self._adversary.head == HEAD_SCALAR:
                by_tensor["head.log_sigma"] = grouped.bias_gradient(by_sigma.sum(1, keepdim=True), groups)
            else:
                grad = torch.cat([grad, by_sigma], 1)
        by_tensor["head.weight"] = grouped.weight_gradient(grad, self._hidden, groups)
        return by_tensor, grouped.input_gradient(grad, self._weight)

    def confusion(self) -> Tensor:
        """Gradient of KL(prior || softmax(mu)) by activation, without noise; the rows of s add nothing to it."""
        classes = self._adversary.classes
        prior = per_class(self._adversary.prior, classes, self._mu.device)
        grad = torch.softmax(self._mu, 1) - prior / prior.sum()
        return grouped.input_gradient(grad, self._weight[:, :classes])


def per_class(values: Sequence[float] | Tensor, classes: int, device: torch.device | None = None) -> Tensor:
    """Numbers of the plan as a tensor on a device, (classes,); all 1 where the plan gives none."""
    return values if isinstance(values, Tensor) else torch.tensor(list(values) or [1.0] * classes).to(device)


def _cross_entropy_gradient(adversary: AdversaryPlan, logits: Tensor, labels: Tensor) -> Tensor:
    """Gradient of the weighted cross-entropy by logit, (B, classes); 0 where the label is not known."""
    weights = per_class(adversary.class_weights, adversary.classes, logits.device)
    known = labels.clamp(min=0)
    scale = torch.where(labels >= 0, weights.index_select(0, known), 0.0)[:, None]
    # Softmax minus one-hot, written by hand because the step is exported as a graph.
    target = (known[:, None] == torch.arange(logits.shape[1], device=logits.device)).float()
    return (torch.softmax(logits, 1) - target) * scale


def _margin(logits: Tensor, labels: Tensor) -> Tensor:
    chosen = labels.clamp(min=0)[:, None]
    true = logits.gather(1, chosen).squeeze(1)
    best_other = logits.scatter(1, chosen, -torch.inf).amax(1)
    return torch.where(labels >= 0, true - best_other, torch.nan)


def _triggered(adversary: AdversaryPlan, round_number: int | Tensor, margin: Tensor) -> Tensor:
    known = ~margin.isnan()
    if adversary.trigger == TRIGGER_OFF:
        return torch.zeros_like(known)
    if adversary.trigger == TRIGGER_GLOBAL:
        return known
    if adversary.trigger == TRIGGER_PRETRAIN:
        return known & (round_number >= adversary.pretrain_rounds)
    return margin > 0  # SUT: the noisy prediction is right


def _split(adversary: AdversaryPlan, gradient: Tensor, states: Tensors) -> Tensors:
    widths = [states[name].flatten(1).shape[1] for name in adversary.protects]
    parts = zip(adversary.protects, torch.split(gradient, widths, 1), strict=True)
    return {name: part.reshape(states[name].shape) for name, part in parts}
