"""Attacks on the trigger's gate: a server that sees it learns whether the adversary was right about a client."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from client_sdk.draws import head_variance
from client_sdk.kernel.adversary import per_class
from client_sdk.kernel.contract import Tensors
from client_sdk.plan import AdversaryPlan
from fedau2.v1.task_pb2 import Adversary
from simulator.attacks.contract import Attack, Seen, Setting
from simulator.attacks.recommenders.contract import Impossible
from simulator.attacks.recommenders.registry import attacks_on
from simulator.attacks.uploads import Uploads, adversary_tensors
from simulator.population.population import Members


class HeadGate(Attack):
    """From the size of the head's gradient: it is small where the prediction was right.

    A bias's gradient is the prediction's error p - y times the weight of the true class. Only the true class's entry is
    below 0, so the gradient gives the prediction itself. A head without a bias is read through the gradient of its
    rows, which n1, of mean square 1 + variance, scales: divided by the activations of the recovered state it estimates
    the error. The largest entry is below 1/2 where the true class won clearly, and above it where another class won.
    """

    def __init__(self, setting: Setting) -> None:
        self._adversary = setting.target
        self._open = np.zeros(setting.clients, np.bool_)

    def see(self, seen: Seen) -> None:
        """Looks at a round."""
        uploads = seen.uploads[self._adversary.name]
        if "head.bias" in uploads.gradients:
            right = _right(self._adversary, uploads.gradients["head.bias"])
        else:
            right = _errors(self._adversary, adversary_tensors(seen.task, self._adversary), uploads).amax(1) < 0.5
        self._open[seen.clients] = right.numpy()

    def guess(self, clients: Members) -> NDArray[np.bool_]:
        """True where the gate was open in the client's last round."""
        return self._open[clients]


def _right(adversary: Adversary, gradient: Tensor) -> Tensor:
    """True where the true class had the largest probability, bool (B,), from the gradient of a bias (B, classes)."""
    weights = per_class(adversary.class_weights, len(adversary.classes))
    label = gradient.argmin(1)
    predicted = gradient / weights[label, None] + torch.nn.functional.one_hot(label, gradient.shape[1])
    return predicted.argmax(1) == label


def _errors(adversary: Adversary, tensors: Tensors, uploads: Uploads) -> Tensor:
    """Absolute errors of the prediction of a head without a bias, (B, classes); estimates where it is stochastic."""
    weights = per_class(adversary.class_weights, len(adversary.classes))
    weight = tensors["hidden.weight"]
    hidden = torch.relu(uploads.recovered.to(weight.dtype) @ weight.T + tensors["hidden.bias"])
    rows = uploads.gradients["head.weight"][:, : len(adversary.classes)].sum(2)
    spread = (1 + head_variance(AdversaryPlan.of(adversary))) ** 0.5
    size = hidden.sum(1, keepdim=True).clamp(min=1e-12) * weights.max() * spread
    return rows.abs().div(size)


class EncoderGate(Attack):
    """From a shared encoder, through which the reversed gradient flows.

    The rest of the upload determines all of the protected state's gradient except the reversed gradient. The remainder
    is 0, or epsilon times the gradient of the adversary's hidden bias, taken back through its first layer.
    """

    def __init__(self, setting: Setting) -> None:
        self._adversary = setting.target
        if reason := impossible(setting.task.model, self._adversary):
            raise ValueError(f"the gate does not show in {setting.task.model}: {reason}")
        by_state = attacks_on(setting.task.model).reversed_gradient
        assert not isinstance(by_state, Impossible)
        self._reversed_gradient = by_state[self._adversary.protects[0]]
        self._open = np.zeros(setting.clients, np.bool_)

    def see(self, seen: Seen) -> None:
        """Looks at a round."""
        tensors = adversary_tensors(seen.task, self._adversary)
        uploads = seen.uploads[self._adversary.name]
        push = (uploads.gradients["hidden.bias"] @ tensors["hidden.weight"]).numpy() * -self._adversary.epsilon
        left = np.stack([self._reversed_gradient(seen.task, contribution) for contribution in seen.contributions()])
        norm = np.linalg.norm
        self._open[seen.clients] = norm(left - push, axis=1) < norm(left, axis=1)

    def guess(self, clients: Members) -> NDArray[np.bool_]:
        """True where the gate was open in the client's last round."""
        return self._open[clients]


def impossible(model: str, adversary: Adversary) -> str:
    """Says why `EncoderGate` cannot attack an adversary; empty where it can."""
    by_state = attacks_on(model).reversed_gradient
    if isinstance(by_state, Impossible):
        return by_state.reason
    if len(adversary.protects) > 1:
        return "the reversed gradients of several states cannot be separated"
    return "" if adversary.protects[0] in by_state else f"the gradient of {adversary.protects[0]!r} is not uploaded"
