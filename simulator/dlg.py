"""DLG (Zhu et al., 2019), as the paper runs it: a dummy input and label whose gradient is to match an uploaded one.

All clients are attacked in one loop: neither the distance of one nor Adam's step on it depends on the others, so each
has the result that it would have alone. The first layer's gradient of one sample is an outer product, and the distance
of two of them is had from their factors.
"""

import torch
from torch import Tensor

from client_sdk.kernel.adversary import LOG_SIGMA_MAX
from client_sdk.kernel.contract import Tensors
from fedau2.v1.task_pb2 import HEAD_DSVAE, HEAD_MLP, HEAD_SCALAR, Adversary
from simulator.uploads import Uploads

STEPS = 300
LEARNING_RATE = 0.1
"""Of Adam."""


def guess(adversary: Adversary, own: Tensors, uploads: Uploads, seed: int) -> Tensor:
    """Class numbers as DLG sees them, (B,).

    Dummies start at N(0, 1); the dummy label enters the cross-entropy without a softmax; in each step the attacker
    draws noise of its own for the head.

    Args:
        adversary: from the plan.
        own: the adversary's tensors as the server sent them, by name without the prefix.
        uploads: what the clients uploaded.
        seed: of dummies and noise.
    """
    draw = torch.Generator().manual_seed(seed)
    clients, width = uploads.recovered.shape
    weights = {name: value.double() for name, value in own.items()}
    target = uploads.recovered.double(), {name: value.double() for name, value in uploads.gradients.items()}
    state, label = (_normal(draw, clients, n).requires_grad_() for n in (width, len(adversary.classes)))
    adam = torch.optim.Adam([state, label], lr=LEARNING_RATE)
    for _ in range(STEPS):
        noise = _normal(draw, clients, 2, len(adversary.classes))
        distance = _distance(state, _gradients(adversary, weights, state, label, noise), *target)
        adam.zero_grad()
        torch.autograd.backward(distance.sum())
        adam.step()
    return label.detach().argmax(1)


def _normal(draw: torch.Generator, *shape: int) -> Tensor:
    return torch.randn(*shape, generator=draw, dtype=torch.float64)


def _gradients(adversary: Adversary, own: Tensors, state: Tensor, label: Tensor, noise: Tensor) -> Tensors:
    """Gradients of one sample each, as differentiable functions of state and label; without `hidden.weight`."""
    classes = len(adversary.classes)
    spread = adversary.variance**0.5 if adversary.head in (HEAD_DSVAE, HEAD_SCALAR) else 0.0
    n1, n2 = 1 + spread * noise[:, 0], noise[:, 1]
    hidden = torch.relu(state @ own["hidden.weight"].T + own["hidden.bias"])
    out = hidden @ own["head.weight"].T + own.get("head.bias", 0)
    grads: Tensors = {}
    if adversary.head == HEAD_MLP:
        by_out = grads["head.bias"] = _by_logit(out, label)
    else:
        sigma = torch.exp(own.get("head.log_sigma", out[:, classes:]).clamp(max=LOG_SIGMA_MAX))
        by_logit = _by_logit(out[:, :classes] * n1 + sigma * n2, label)
        by_out, by_sigma = by_logit * n1, by_logit * n2 * sigma
        if adversary.head == HEAD_SCALAR:
            grads["head.log_sigma"] = by_sigma.sum(1, keepdim=True)
        else:
            by_out = torch.cat([by_out, by_sigma], 1)
    grads["head.weight"] = by_out[:, :, None] * hidden[:, None]
    grads["hidden.bias"] = by_out @ own["head.weight"] * (hidden > 0)
    return grads


def _by_logit(logits: Tensor, label: Tensor) -> Tensor:
    """Gradient of -sum(label * log softmax), whatever the label sums to."""
    return torch.softmax(logits, 1) * label.sum(1, keepdim=True) - label


def _distance(state: Tensor, grads: Tensors, true_state: Tensor, true_grads: Tensors) -> Tensor:
    """Squared distance over all of the adversary's tensors, (B,)."""
    total = sum(((grads[name] - true) ** 2).flatten(1).sum(1) for name, true in true_grads.items())
    bias, true_bias = grads["hidden.bias"], true_grads["hidden.bias"]
    weight = (bias**2).sum(1) * (state**2).sum(1) + (true_bias**2).sum(1) * (true_state**2).sum(1)
    return total + weight - 2 * (bias * true_bias).sum(1) * (state * true_state).sum(1)
