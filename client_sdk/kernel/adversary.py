"""The adversary behind the gradient reversal: hidden layer, heads and triggers (paper sections 3.2, 4.2 and 4.3).

Its own gradient is always computed and contributed; the trigger decides only whether the reversed gradient, scaled by
epsilon, reaches the protected state. The reversal is the gradient with respect to a second copy of the protected state,
so it needs no custom autograd function.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from client_sdk.kernel import grouped, specs
from client_sdk.kernel.contract import Tensors
from fedau2.v1.task_pb2 import (
    HEAD_MLP,
    TRIGGER_GLOBAL,
    TRIGGER_OFF,
    TRIGGER_PRETRAIN,
    Adversary,
)
from fedau2.v1.tensors_pb2 import TENSOR_SCOPE_ADVERSARY, TensorSpec

HIDDEN = 100
"""Width of the hidden layer."""

LOG_SIGMA_MAX = 4.0
"""Where s saturates in exp(s). The paper lets it grow; but the reversed gradient makes s grow without end (noise is one
way to confuse the adversary), until gradients overflow. The derivative stays exp(s) there, so that s can come back."""


def tensors(adversary: Adversary, states: Mapping[str, int]) -> list[TensorSpec]:
    """The adversary's tensors: Xavier-normal weights, biases N(0, 0.001^2).

    Args:
        adversary: from the plan.
        states: widths of what it may protect, see `contract.states`.
    """
    width = sum(states[name] for name in adversary.protects)
    classes = len(adversary.classes)
    outputs = classes if adversary.head == HEAD_MLP else 2 * classes
    shapes = {"hidden.weight": [HIDDEN, width], "hidden.bias": [HIDDEN], "head.weight": [outputs, HIDDEN]}
    if adversary.head == HEAD_MLP:
        shapes["head.bias"] = [outputs]
    return [_spec(f"{prefix(adversary)}{name}", shape) for name, shape in shapes.items()]


def _spec(name: str, shape: list[int]) -> TensorSpec:
    deviation = math.sqrt(2 / sum(shape)) if len(shape) == 2 else 0.001
    return specs.dense(name, shape, specs.normal(deviation), TENSOR_SCOPE_ADVERSARY)


def prefix(adversary: Adversary) -> str:
    """What the names of the adversary's tensors begin with."""
    return f"adversary.{adversary.name}."


@dataclass(frozen=True, eq=False)
class Verdict:
    """What one adversary makes of a cohort in one local step.

    Attributes:
        shared: gradients of its own tensors, (G, ...).
        push: what to add to the gradients of the protected states, (B, ...).
        triggered: whether the push is let through, bool (B,).
        margin: true class's logit less the best other's, (B,); NaN without a label.
    """

    shared: Tensors
    push: Tensors
    triggered: Tensor
    margin: Tensor


def judge(
    adversary: Adversary,
    round_number: int,
    shared: Tensors,
    states: Tensors,
    labels: Tensor,
    noise: Tensor,
    groups: int,
) -> Verdict:
    """Cross-entropy of the adversary on the protected states, its gradients, and the trigger's decision.

    Args:
        adversary: from the plan.
        round_number: for `TRIGGER_PRETRAIN`.
        shared: the adversary's tensors, (1 or G, ...), under their full names.
        states: protected states by name, (B, ...).
        labels: class numbers, int64 (B,); -1 where not known, which takes the client out.
        noise: the head's n1 and n2, (B, 2, classes).
        groups: number of groups G.
    """
    own = {name.removeprefix(prefix(adversary)): value for name, value in shared.items()}
    embedding = torch.cat([states[name].flatten(1) for name in adversary.protects], 1)
    hidden = grouped.linear(embedding, own["hidden.weight"], own["hidden.bias"]).relu_()
    out = grouped.linear(hidden, own["head.weight"], own.get("head.bias"))
    classes = len(adversary.classes)
    mu, log_sigma = out[:, :classes], out[:, classes:]
    stochastic = adversary.head != HEAD_MLP
    sigma = torch.exp(log_sigma.clamp(max=LOG_SIGMA_MAX))
    logits = mu * noise[:, 0] + sigma * noise[:, 1] if stochastic else out
    grad = _cross_entropy_gradient(adversary, logits, labels)
    if stochastic:
        grad = torch.cat([grad * noise[:, 0], grad * noise[:, 1] * sigma], 1)
    grads = {"head.weight": grouped.weight_gradient(grad, hidden, groups)}
    if "head.bias" in own:
        grads["head.bias"] = grouped.bias_gradient(grad, groups)
    grad = grouped.relu_gradient(grouped.input_gradient(grad, own["head.weight"]), hidden)
    grads["hidden.weight"] = grouped.weight_gradient(grad, embedding, groups)
    grads["hidden.bias"] = grouped.bias_gradient(grad, groups)
    margin = _margin(logits, labels)
    triggered = _triggered(adversary, round_number, margin)
    reversal = triggered.float()[:, None] * -adversary.epsilon * grouped.input_gradient(grad, own["hidden.weight"])
    named = {prefix(adversary) + name: value for name, value in grads.items()}
    return Verdict(named, _split(adversary, reversal, states), triggered, margin)


def _cross_entropy_gradient(adversary: Adversary, logits: Tensor, labels: Tensor) -> Tensor:
    """Gradient of the weighted cross-entropy by logit, (B, classes); 0 where the label is not known."""
    weights = torch.tensor(list(adversary.class_weights) or [1.0] * len(adversary.classes))
    known = labels.clamp(min=0)
    scale = torch.where(labels >= 0, weights[known], 0.0)[:, None]
    # Hand-written, as everything that will be exported: softmax minus one-hot.
    target = (known[:, None] == torch.arange(logits.shape[1])).float()
    return (torch.softmax(logits, 1) - target) * scale


def _margin(logits: Tensor, labels: Tensor) -> Tensor:
    chosen = labels.clamp(min=0)[:, None]
    true = logits.gather(1, chosen).squeeze(1)
    best_other = logits.scatter(1, chosen, -torch.inf).amax(1)
    return torch.where(labels >= 0, true - best_other, torch.nan)


def _triggered(adversary: Adversary, round_number: int, margin: Tensor) -> Tensor:
    known = ~margin.isnan()
    if adversary.trigger == TRIGGER_OFF:
        return torch.zeros_like(known)
    if adversary.trigger == TRIGGER_GLOBAL:
        return known
    if adversary.trigger == TRIGGER_PRETRAIN:
        return known & (round_number >= adversary.pretrain_rounds)
    return margin > 0  # SUT: the noisy prediction is right


def _split(adversary: Adversary, gradient: Tensor, states: Tensors) -> Tensors:
    widths = [states[name].flatten(1).shape[1] for name in adversary.protects]
    parts = zip(adversary.protects, torch.split(gradient, widths, 1), strict=True)
    return {name: part.reshape(states[name].shape) for name, part in parts}
