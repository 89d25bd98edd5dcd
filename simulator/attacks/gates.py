"""Was the trigger's gate open? A server that knows learns whether the adversary was right about a client."""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from client_sdk.draws import head_variance
from client_sdk.kernel.adversary import per_class
from client_sdk.kernel.contract import Tensors
from client_sdk.kernel.training import Task
from client_sdk.plan import AdversaryPlan
from fedau2.v1.task_pb2 import Adversary
from fedau2.wire.contributions import Update
from simulator.attacks.contract import Contribution, Seen, Setting
from simulator.attacks.uploads import Uploads, own_tensors
from simulator.population.population import Members


class HeadGate:
    """From the size of the head's gradient: it is small where the prediction was right; `contract.Attack`.

    A bias's gradient is the prediction's error p - y times the weight of the true class, in which alone it is below 0:
    it gives the prediction itself. Else the error is estimated from the gradient of the rows, which n1 of mean square
    1 + variance scales, over the activations that the recovered state gives; its largest entry is below 1/2 where the
    true class won clearly, and above it where another did.
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
            right = _errors(self._adversary, own_tensors(seen.task, self._adversary), uploads).amax(1) < 0.5
        self._open[seen.clients] = right.numpy()

    def guess(self, clients: Members) -> NDArray[np.bool_]:
        """Whether the gate was open in the client's last round."""
        return self._open[clients]


def _right(adversary: Adversary, gradient: Tensor) -> Tensor:
    """Whether the true class had the largest probability, bool (B,), from the gradient of a bias (B, classes)."""
    weights = per_class(adversary.class_weights, len(adversary.classes))
    label = gradient.argmin(1)
    predicted = gradient / weights[label, None] + torch.nn.functional.one_hot(label, gradient.shape[1])
    return predicted.argmax(1) == label


def _errors(adversary: Adversary, own: Tensors, uploads: Uploads) -> Tensor:
    """Absolute errors of the prediction of a head without a bias, (B, classes); estimates where it is stochastic."""
    weights = per_class(adversary.class_weights, len(adversary.classes))
    hidden = torch.relu(uploads.recovered.to(own["hidden.weight"].dtype) @ own["hidden.weight"].T + own["hidden.bias"])
    rows = uploads.gradients["head.weight"][:, : len(adversary.classes)].sum(2)
    spread = (1 + head_variance(AdversaryPlan.of(adversary))) ** 0.5
    size = hidden.sum(1, keepdim=True).clamp(min=1e-12) * weights.max() * spread
    return rows.abs().div(size)


class EncoderGate:
    """From FedVAE's shared encoder, through which the reversed gradient flows; `contract.Attack`.

    All but the reversed gradient in the gradient of the latent layer's bias follows from what else is uploaded: that of
    the decoder's bias, taken back through the decoder. What is left is nothing, or epsilon times the gradient of the
    adversary's hidden bias, taken back through its first layer.
    """

    def __init__(self, setting: Setting) -> None:
        self._adversary = setting.target
        self._open = np.zeros(setting.clients, np.bool_)

    def see(self, seen: Seen) -> None:
        """Looks at a round."""
        own = own_tensors(seen.task, self._adversary)
        uploads = seen.uploads[self._adversary.name]
        push = (uploads.gradients["hidden.bias"] @ own["hidden.weight"]).numpy() * -self._adversary.epsilon
        left = np.stack([_unexplained(seen.task, one) for one in seen.contributions()])
        norm = np.linalg.norm
        self._open[seen.clients] = norm(left - push, axis=1) < norm(left, axis=1)

    def guess(self, clients: Members) -> NDArray[np.bool_]:
        """Whether the gate was open in the client's last round."""
        return self._open[clients]


def _unexplained(task: Task, contribution: Contribution) -> NDArray[np.float32]:
    """The latent mean's gradient less what comes from the decoder, (latent,)."""
    decoder = task.shared["decoder.weight"].numpy()
    latent = decoder.shape[1]
    whole: NDArray[Any] = _dense(contribution["latent.bias"])[:latent]
    return np.asarray(whole - _dense(contribution["decoder.bias"]) @ decoder)


def _dense(update: Update) -> NDArray[np.float32]:
    return np.asarray(update)
