"""Attacks on the label through noise of a known size: how much an upload looks like what each class would upload.

The attacker simulates, with the checkpoint that was sent, what a client would upload under the plan: every tensor of
the adversary, with weighted classes, over draws of the head's noise, clipped. Of numbers each of which tells next to
nothing under the noise it takes all together. What is simulated is a user whose state and attribute are known, or the
client itself, whose state the recommender's own tensors tell (`shared`).
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
from simulator.attacks.uploads import Uploads, doubles
from simulator.population.population import Members

SAMPLES = 4000
"""About how many contributions of public users are simulated, if there are not more users."""

DRAWS = 64
"""Of the head's noise, for each client and class."""

_NUMBERS = 2**24
"""Most numbers of simulated states that are held at a time."""


class MatchedFilter(Attack):
    """The mean contribution of each class of public users as a matched filter.

    The score of a class is the log-likelihood of an upload that is the class's mean under the noise. Those of several
    rounds are added up; each has a filter of its own where the checkpoint is another.
    """

    def __init__(self, setting: Setting) -> None:
        if setting.public is None:
            raise ValueError("contributions are simulated of public users, and none were given")
        self._adversary, self._public, self._seed = setting.target, setting.public, setting.seed
        self._scores = np.zeros((setting.clients, len(self._adversary.classes)))
        self._made: tuple[Task, Tensors] | None = None

    def see(self, seen: Seen) -> None:
        """Adds a round."""
        if self._made is None or self._made[0] is not seen.task:
            self._made = (
                seen.task,
                means(self._adversary, doubles(seen.task, self._adversary), self._public, self._seed),
            )
        self._scores[seen.clients] += _scores(self._made[1], seen.uploads[self._adversary.name]).numpy()

    def guess(self, clients: Members) -> NDArray[np.int64]:
        """Class numbers."""
        return np.asarray(self._scores[clients].argmax(1))


def means(adversary: Adversary, own: Tensors, public: Public, seed: int) -> Tensors:
    """What users of each class contribute on average, (classes, ...) by name of the adversary's tensor.

    Args:
        adversary: from the plan.
        own: its tensors as the server sent them, float64, by name without the prefix.
        public: what is known of other users, some of every class.
        seed: of the head's noise.
    """
    users, width = public.states.shape
    many = torch.arange(users).repeat(max(1, min(SAMPLES // users, _NUMBERS // (users * width))))
    states, labels = torch.from_numpy(public.states).double(), torch.from_numpy(public.labels)[many]
    draw = torch.Generator().manual_seed(seed)
    sent = _simulated(adversary, own, states[many], labels, draw)
    members = torch.nn.functional.one_hot(labels, len(adversary.classes)).double()
    weights = (members / members.sum(0)).T
    # A gradient of the first layer is the product of its bias's and the state: it is added up by user.
    scaled = weights[:, :, None] * sent["hidden.bias"]
    by_user = scaled.new_zeros(len(scaled), users, scaled.shape[2]).index_add_(1, many, scaled)
    found = {name: torch.tensordot(weights, value, 1) for name, value in sent.items()}
    return {**found, "hidden.weight": by_user.transpose(1, 2) @ states}


def _scores(mean: Tensors, uploads: Uploads) -> Tensor:
    """Log-likelihoods of the classes under noise of size 1, up to what is the same for all, (B, classes)."""
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

    The plan has noise on the adversary's tensors, which say nothing of the state, and the recommender is one whose own
    tensors do. Log-likelihoods of several rounds are added up.
    """

    def __init__(self, setting: Setting) -> None:
        self._adversary, self._seed = setting.target, setting.seed
        self._scores = np.zeros((setting.clients, len(self._adversary.classes)))

    def see(self, seen: Seen) -> None:
        """Adds a round."""
        own, uploads = doubles(seen.task, self._adversary), seen.uploads[self._adversary.name]
        states = torch.from_numpy(shared_state.read(seen, self._adversary)).double()
        found = []
        for label in range(self._scores.shape[1]):
            draw = torch.Generator().manual_seed(self._seed + seen.round)  # the classes differ by nothing but the class
            found.append(_likelihood(self._adversary, own, uploads, states, label, draw))
        self._scores[seen.clients] += torch.stack(found, 1).numpy()

    def guess(self, clients: Members) -> NDArray[np.int64]:
        """Class numbers."""
        return np.asarray(self._scores[clients].argmax(1))


def _likelihood(
    adversary: Adversary, own: Tensors, uploads: Uploads, states: Tensor, label: int, draw: torch.Generator
) -> Tensor:
    """Log-likelihood of a class, up to what is the same for all, (B,)."""
    if uploads.weight is None:
        raise ValueError("likelihoods are of noisy gradients")
    many = torch.arange(len(states)).repeat(DRAWS)
    sent = _simulated(adversary, own, states[many], torch.full_like(many, label), draw)
    first = torch.einsum("bhw,bw->bh", uploads.weight.double(), states)
    product = (first[many] * sent["hidden.bias"]).sum(1)
    for name, value in sent.items():
        product += (uploads.gradients[name][many].double() * value).flatten(1).sum(1)
    exponent = (product - dlg.squares(states[many], sent) / 2) / (adversary.noise_multiplier * adversary.clip_norm) ** 2
    return torch.logsumexp(exponent.view(DRAWS, len(states)), 0)


def _simulated(adversary: Adversary, own: Tensors, states: Tensor, labels: Tensor, draw: torch.Generator) -> Tensors:
    """Contributions of users, without `hidden.weight`, as they are before noise."""
    noise = torch.randn(len(labels), 2, len(adversary.classes), generator=draw, dtype=torch.float64)
    sent = dlg.gradients(adversary, own, states, dlg.weighted(adversary, labels), noise)
    return dlg.clipped(states, sent, adversary.clip_norm) if adversary.clip_norm else sent
