"""Attacks on the label through noise of a known size: they compare an upload with what each class would upload.

The attacker simulates, with the checkpoint that was sent, what a client would upload under the plan: every tensor of
the adversary, with weighted classes, over draws of the head's noise, clipped. Single numbers show next to nothing under
the noise, so the attacker uses all of them together. It simulates users whose state and attribute are known, or the
client itself with the state that the recommender's own tensors reveal (`shared_state`).
"""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from client_sdk.kernel.contract import Tensors
from client_sdk.kernel.training import Task
from fedau2.v1.task_pb2 import Adversary
from simulator.attacks import dlg, shared_state
from simulator.attacks.contract import Attack, Public, Seen, Setting
from simulator.attacks.uploads import Uploads, double_tensors
from simulator.population.population import Members

SAMPLES = 4000
"""About how many contributions of public users are simulated, if there are not more users."""

DRAWS = 64
"""Draws of the head's noise for each client and class."""

_NUMBERS = 2**24
"""Most numbers of simulated states that are held at a time."""


class MatchedFilter(Attack):
    """The mean contribution of each class of public users as a matched filter.

    The score of a class is the log-likelihood of the upload if it is the class's mean plus the noise. Scores of several
    rounds are added up. A round with another checkpoint has another filter.
    """

    def __init__(self, setting: Setting) -> None:
        if setting.public is None:
            raise ValueError("this attack simulates contributions of public users, but there are no such users")
        self._adversary, self._public, self._seed = setting.target, setting.public, setting.seed
        self._scores = np.zeros((setting.clients, len(self._adversary.classes)))
        self._made: tuple[Task, Tensors] | None = None

    def see(self, seen: Seen) -> None:
        """Adds a round."""
        if self._made is None or self._made[0] is not seen.task:
            self._made = (
                seen.task,
                means(self._adversary, double_tensors(seen.task, self._adversary), self._public, self._seed),
            )
        self._scores[seen.clients] += _scores(self._made[1], seen.uploads[self._adversary.name]).numpy()

    def guess(self, clients: Members) -> NDArray[np.int64]:
        """Class numbers."""
        return np.asarray(self._scores[clients].argmax(1))


def means(adversary: Adversary, tensors: Tensors, public: Public, seed: int) -> Tensors:
    """The mean contribution of each class's users, (classes, ...) by name of the adversary's tensor.

    Args:
        adversary: from the plan.
        tensors: its tensors as the server sent them, float64, by name without the prefix.
        public: users that the attacker knows of, some of every class.
        seed: of the head's noise.
    """
    users, width = public.states.shape
    many = torch.arange(users).repeat(max(1, min(SAMPLES // users, _NUMBERS // (users * width))))
    states, labels = torch.from_numpy(public.states).double(), torch.from_numpy(public.labels)[many]
    draw = torch.Generator().manual_seed(seed)
    sent = _simulated(adversary, tensors, states[many], labels, draw)
    members = torch.nn.functional.one_hot(labels, len(adversary.classes)).double()
    weights = (members / members.sum(0)).T
    # A gradient of the first layer is the product of its bias's gradient and the state, so it is added up by user.
    scaled = weights[:, :, None] * sent["hidden.bias"]
    by_user = scaled.new_zeros(len(scaled), users, scaled.shape[2]).index_add_(1, many, scaled)
    averages = {name: torch.tensordot(weights, value, 1) for name, value in sent.items()}
    return {**averages, "hidden.weight": by_user.transpose(1, 2) @ states}


def _scores(mean: Tensors, uploads: Uploads) -> Tensor:
    """Log-likelihoods of the classes under noise of size 1, up to a common constant, (B, classes)."""
    first = mean["hidden.weight"]
    if uploads.weight is None:
        bias, state = uploads.gradients["hidden.bias"].double(), uploads.recovered.double()
        total = torch.einsum("bh,chw,bw->bc", bias, first, state)
    else:
        total = uploads.weight.double().flatten(1) @ first.flatten(1).T
    for name, value in uploads.gradients.items():
        total = total + value.double().flatten(1) @ mean[name].flatten(1).T
    squares = torch.stack([(value**2).flatten(1).sum(1) for value in mean.values()]).sum(0)
    return total - squares / 2


class KnownState(Attack):
    """The likelihood of each class for a client whose state is known, over the head's noise.

    The plan has noise on the adversary's tensors, so that they do not show the state; the recommender's own tensors do.
    Log-likelihoods of several rounds are added up.
    """

    def __init__(self, setting: Setting) -> None:
        self._adversary, self._seed = setting.target, setting.seed
        self._scores = np.zeros((setting.clients, len(self._adversary.classes)))

    def see(self, seen: Seen) -> None:
        """Adds a round."""
        tensors, uploads = double_tensors(seen.task, self._adversary), seen.uploads[self._adversary.name]
        states = torch.from_numpy(shared_state.read(seen, self._adversary)).double()
        likelihoods = []
        for label in range(self._scores.shape[1]):
            draw = torch.Generator().manual_seed(self._seed + seen.round)  # the same noise for all classes
            likelihoods.append(_likelihood(self._adversary, tensors, uploads, states, label, draw))
        self._scores[seen.clients] += torch.stack(likelihoods, 1).numpy()

    def guess(self, clients: Members) -> NDArray[np.int64]:
        """Class numbers."""
        return np.asarray(self._scores[clients].argmax(1))


def _likelihood(
    adversary: Adversary, tensors: Tensors, uploads: Uploads, states: Tensor, label: int, draw: torch.Generator
) -> Tensor:
    """Log-likelihood of a class, up to a constant that all classes share, (B,)."""
    if uploads.weight is None:
        raise ValueError("likelihoods need gradients with noise")
    many = torch.arange(len(states)).repeat(DRAWS)
    sent = _simulated(adversary, tensors, states[many], torch.full_like(many, label), draw)
    first = torch.einsum("bhw,bw->bh", uploads.weight.double(), states)
    product = (first[many] * sent["hidden.bias"]).sum(1)
    for name, value in sent.items():
        product += (uploads.gradients[name][many].double() * value).flatten(1).sum(1)
    exponent = (product - dlg.squares(states[many], sent) / 2) / (adversary.noise_multiplier * adversary.clip_norm) ** 2
    return torch.logsumexp(exponent.view(DRAWS, len(states)), 0)


def _simulated(
    adversary: Adversary, tensors: Tensors, states: Tensor, labels: Tensor, draw: torch.Generator
) -> Tensors:
    """Contributions of users, without `hidden.weight`, as they are before noise."""
    noise = torch.randn(len(labels), 2, len(adversary.classes), generator=draw, dtype=torch.float64)
    sent = dlg.gradients(adversary, tensors, states, dlg.weighted(adversary, labels), noise)
    return dlg.clipped(states, sent, adversary.clip_norm) if adversary.clip_norm else sent
