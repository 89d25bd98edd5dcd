"""DLG (Zhu et al., 2019): searches for a dummy input and label whose gradient matches an uploaded one.

All clients are attacked in one loop. Neither a client's distance nor the optimiser's step on it depends on the others,
so that each client has the result that it would have alone. The first layer's gradient of one sample is an outer
product, and the distance of two such gradients is computed from their factors.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from client_sdk.draws import head_variance
from client_sdk.kernel.adversary import LOG_SIGMA_MAX, per_class
from client_sdk.kernel.contract import Tensors
from client_sdk.plan import AdversaryPlan
from fedau2.v1.task_pb2 import HEAD_MLP, HEAD_SCALAR, Adversary
from simulator.attacks import optimize
from simulator.attacks.uploads import Uploads

STEPS = 300
LEARNING_RATE = 0.1
"""Adam's learning rate."""

MATCHED = 0.1
"""Relative distance below which a dummy's gradient is that of the client: the search has converged."""


@dataclass(frozen=True)
class Search:
    """The settings of a search for dummies.

    Attributes:
        optimizer: `adam`, `sign` (Adam on the gradient's signs) or `lbfgs`.
        steps: iterations.
        restarts: dummies for each client; the nearest at the end is taken.
        draws: draws of the head's noise in each step, over which the distance is averaged. L-BFGS draws once.
        head: True to match the head's gradient too.
    """

    optimizer: str = "adam"
    steps: int = STEPS
    restarts: int = 1
    draws: int = 1
    head: bool = True


@dataclass(frozen=True, eq=False)
class Found:
    """The result of a search.

    Attributes:
        labels: class numbers, (B,).
        matched: True where the dummy's gradient came near the client's, see `MATCHED`, bool (B,); False for a client
            whose gradient is 0.
    """

    labels: Tensor
    matched: Tensor


def find(adversary: Adversary, tensors: Tensors, uploads: Uploads, seed: int, search: Search | None = None) -> Found:
    """Searches for the labels by DLG.

    Dummies start at N(0, 1), whatever the upload shows. The dummy label enters the cross-entropy without a softmax. The
    attacker draws noise of its own for the head.

    Args:
        adversary: from the plan.
        tensors: the adversary's tensors as the server sent them, by name without the prefix.
        uploads: the clients' uploads.
        seed: of dummies and noise.
        search: settings; by default the paper's.
    """
    search = search or Search(steps=STEPS)
    draw = torch.Generator().manual_seed(seed)
    clients, width = uploads.recovered.shape
    target = Target(uploads.take(torch.arange(clients).repeat(search.restarts)), search.head)
    weights = {name: value.double() for name, value in tensors.items()}
    classes = len(adversary.classes)
    start = torch.cat([_normal(draw, clients * search.restarts, n) for n in (width, classes)], 1)

    def noise() -> list[Tensor]:
        return [_normal(draw, len(start), 2, classes) for _ in range(search.draws)]

    def distance(dummies: Tensor, drawn: list[Tensor]) -> Tensor:
        state, label = dummies[:, :width], dummies[:, width:]
        parts = [target.distance(state, gradients(adversary, weights, state, label, noise)) for noise in drawn]
        return torch.stack(parts).mean(0)

    fixed = noise() if search.optimizer == "lbfgs" else []
    if search.optimizer == "lbfgs":
        dummies = optimize.lbfgs(lambda dummies: distance(dummies, fixed), start, search.steps)
    else:
        objective = lambda dummies: distance(dummies, noise())  # noqa: E731
        dummies = optimize.adam(objective, start, search.steps, LEARNING_RATE, sign=search.optimizer == "sign")
    label = dummies[:, width:].view(search.restarts, clients, classes)
    with torch.no_grad():
        left, nearest = distance(dummies, fixed or noise()).view(search.restarts, clients).min(0)
    return Found(label[nearest, torch.arange(clients)].argmax(1), left < MATCHED**2 * target.squares()[:clients])


class Target:
    """The gradients to match.

    Args:
        uploads: of B clients.
        head: True to match the head's gradients too.
    """

    def __init__(self, uploads: Uploads, head: bool) -> None:
        self._state = uploads.recovered.double()
        matched = {name: value for name, value in uploads.gradients.items() if head or not name.startswith("head.")}
        self._grads = {name: value.double() for name, value in matched.items()}
        self._weight = uploads.weight
        self._bias = self._grads["hidden.bias"]
        if self._weight is None:
            self._square = (self._bias**2).sum(1) * (self._state**2).sum(1)
        else:
            self._square = (self._weight.double() ** 2).sum((1, 2))

    def distance(self, state: Tensor, grads: Tensors, clip_norm: float = 0.0) -> Tensor:
        """Squared distance over all of the adversary's tensors that are matched, (B,).

        Args:
            state: (B, width).
            grads: of dummies, from `gradients`.
            clip_norm: L2 norm to which the client would have scaled a longer gradient down; 0: never.
        """
        if clip_norm:
            grads = clipped(state, grads, clip_norm)
        total = sum(((grads[name] - true) ** 2).flatten(1).sum(1) for name, true in self._grads.items())
        bias = grads["hidden.bias"]
        if self._weight is None:
            product = (bias * self._bias).sum(1) * (state * self._state).sum(1)
        else:
            product = torch.einsum("bh,bhw,bw->b", bias.float(), self._weight, state.float()).double()
        return total + (bias**2).sum(1) * (state**2).sum(1) + self._square - 2 * product

    def scale(self, adversary: Adversary, misfit: float) -> Tensor:
        """Standard deviation of the difference of the right dummy and the target, (B,): the noise's, or a misfit.

        Args:
            adversary: from the plan, with the noise.
            misfit: relative size of a dummy's error where there is no noise.
        """
        if adversary.noise_multiplier:
            return torch.full_like(self._square, adversary.noise_multiplier * adversary.clip_norm)
        return misfit * torch.sqrt(self.squares()).clamp(min=1e-30)

    def squares(self) -> Tensor:
        """Squared norms of the gradients to match, (B,)."""
        return self._square + sum((value**2).flatten(1).sum(1) for value in self._grads.values())


def clipped(state: Tensor, grads: Tensors, clip_norm: float) -> Tensors:
    """Scales gradients from `gradients` that are longer than a norm down to it, as clients would."""
    factor = (clip_norm / torch.sqrt(squares(state, grads)).clamp(min=1e-30)).clamp(max=1)
    return {name: value * factor.view(-1, *[1] * (value.dim() - 1)) for name, value in grads.items()}


def weighted(adversary: Adversary, labels: Tensor) -> Tensor:
    """Class numbers (B,) as labels for `gradients`, (B, classes), which weigh the loss as the plan says."""
    classes = len(adversary.classes)
    weights = per_class(adversary.class_weights, classes).double()
    return torch.nn.functional.one_hot(labels, classes).double() * weights


def squares(state: Tensor, grads: Tensors) -> Tensor:
    """Squared norms of gradients, from `gradients`, over all tensors, (B,)."""
    total = sum((value**2).flatten(1).sum(1) for value in grads.values())
    return total + (grads["hidden.bias"] ** 2).sum(1) * (state**2).sum(1)


def _normal(draw: torch.Generator, *shape: int) -> Tensor:
    return torch.randn(*shape, generator=draw, dtype=torch.float64)


def gradients(adversary: Adversary, tensors: Tensors, state: Tensor, label: Tensor, noise: Tensor) -> Tensors:
    """Gradients of single samples, as differentiable functions of state and label, without `hidden.weight`."""
    classes = len(adversary.classes)
    spread = head_variance(AdversaryPlan.of(adversary)) ** 0.5
    n1, n2 = 1 + spread * noise[:, 0], noise[:, 1]
    hidden = torch.relu(state @ tensors["hidden.weight"].T + tensors["hidden.bias"])
    out = hidden @ tensors["head.weight"].T + tensors.get("head.bias", 0)
    grads: Tensors = {}
    if adversary.head == HEAD_MLP:
        by_out = grads["head.bias"] = _by_logit(out, label)
    else:
        sigma = torch.exp(tensors.get("head.log_sigma", out[:, classes:]).clamp(max=LOG_SIGMA_MAX))
        by_logit = _by_logit(out[:, :classes] * n1 + sigma * n2, label)
        by_out, by_sigma = by_logit * n1, by_logit * n2 * sigma
        if adversary.head == HEAD_SCALAR:
            grads["head.log_sigma"] = by_sigma.sum(1, keepdim=True)
        else:
            by_out = torch.cat([by_out, by_sigma], 1)
    grads["head.weight"] = by_out[:, :, None] * hidden[:, None]
    grads["hidden.bias"] = by_out @ tensors["head.weight"] * (hidden > 0)
    return grads


def _by_logit(logits: Tensor, label: Tensor) -> Tensor:
    """Gradient of -sum(label * log softmax). The label need not sum to 1."""
    return torch.softmax(logits, 1) * label.sum(1, keepdim=True) - label
