"""A search for the class of a client under a prior that is fitted on public users; the search knows the defence.

The prior on a protected state is probabilistic PCA (Tipping and Bishop, 1999) fitted on users whose state and attribute
are known, with a mean for each class. For each class the attacker looks for the most probable latent, and the most
probable noise of the head, that explain the upload as it was defended: clipped, and with noise of known size added. The
class with the best explanation is taken; the costs of explanations are added up over rounds.
"""

import math
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from client_sdk.draws import head_variance
from client_sdk.kernel.contract import Tensors
from client_sdk.plan import AdversaryPlan
from fedau2.v1.task_pb2 import HEAD_MLP, Adversary
from simulator.attacks import dlg, optimize
from simulator.attacks.contract import Attack, Public, Seen, Setting
from simulator.attacks.uploads import Uploads, double_tensors
from simulator.population.population import Members

STEPS = 200
"""Steps of Adam for each class and start."""

STARTS = 3
"""Random starts of latent and noise for each class."""

LATENT = 32
"""Most dimensions of the prior."""

_MISFIT = 0.02
"""Relative size of the part of an upload without noise that a search may leave unexplained."""

_MOST = 3.0
"""Upper bound on what a round counts against a class, in nats."""


@dataclass(frozen=True, eq=False)
class Prior:
    """A state of class c is `means[c] + basis z` with z ~ N(0, 1).

    Attributes:
        means: (classes, width).
        basis: (width, latent).
    """

    means: Tensor
    basis: Tensor

    @classmethod
    def fit(cls, public: Public, classes: int) -> "Prior":
        """Computes class means, and the principal axes of the residuals, scaled by their standard deviations."""
        states = public.states.astype(np.float64)
        means = np.stack([states[public.labels == c].mean(0) for c in range(classes)])
        residuals = states - means[public.labels]
        _, lengths, axes = np.linalg.svd(residuals, full_matrices=False)
        size = min(LATENT, len(lengths))
        return cls(torch.from_numpy(means), torch.from_numpy((axes[:size].T * lengths[:size]) / math.sqrt(len(states))))

    def latents(self, states: Tensor, label: int) -> Tensor:
        """The latents that come nearest to some states of a class, (B, latent)."""
        solved: Tensor = torch.linalg.lstsq(self.basis, (states.double() - self.means[label]).T).solution
        return solved.T


class PriorSearch(Attack):
    """Searches for the best explanation of a client's uploads by each class."""

    def __init__(self, setting: Setting) -> None:
        if setting.public is None:
            raise ValueError("this attack fits a prior on public users, but there are no such users")
        self._adversary, self._public, self._seed = setting.target, setting.public, setting.seed
        self._fitted: tuple[NDArray[np.float32], Prior] | None = None
        self._costs = np.zeros((setting.clients, len(self._adversary.classes)))

    def see(self, seen: Seen) -> None:
        """Explains a round by each class."""
        tensors = double_tensors(seen.task, self._adversary)
        uploads, draw = seen.uploads[self._adversary.name], torch.Generator().manual_seed(self._seed + seen.round)
        labels, prior = range(self._costs.shape[1]), self._prior()
        costs = torch.stack([_explain(self._adversary, tensors, uploads, prior, c, draw) for c in labels], 1)
        # A search that failed must not outweigh the other rounds.
        behind = (costs - costs.amin(1, keepdim=True)).nan_to_num(_MOST).clamp(max=_MOST)
        self._costs[seen.clients] += behind.numpy()

    def guess(self, clients: Members) -> NDArray[np.int64]:
        """Class numbers."""
        return np.asarray(self._costs[clients].argmin(1))

    def _prior(self) -> Prior:
        """The prior, fitted on the public users' present states."""
        states = self._public.states
        if self._fitted is None or self._fitted[0] is not states:
            self._fitted = states, Prior.fit(self._public, len(self._adversary.classes))
        return self._fitted[1]


def _explain(
    adversary: Adversary, tensors: Tensors, uploads: Uploads, prior: Prior, label: int, draw: torch.Generator
) -> Tensor:
    """Minus the log-probability of the best explanation by a class, up to a constant, (B,)."""
    clients, classes, latent = len(uploads.recovered), len(adversary.classes), prior.basis.shape[1]
    many = torch.arange(clients).repeat(STARTS)
    target = dlg.Target(uploads.take(many), head=True)
    onehot = dlg.weighted(adversary, torch.full_like(many, label))
    z, centre = torch.zeros(clients, latent, dtype=torch.float64), prior.means[label].expand(clients, -1)
    if not adversary.noise_multiplier:  # the state is read exactly, so the search begins there
        z, read = prior.latents(uploads.recovered, label), uploads.recovered.double()
        centre = read - z @ prior.basis.T
    centre, z = centre[many], z[many]
    # The first layer on the latent instead of on the state.
    folded = {
        **tensors,
        "hidden.weight": tensors["hidden.weight"] @ prior.basis,
        "hidden.bias": tensors["hidden.bias"] + centre @ tensors["hidden.weight"].T,
    }
    weight = 1 / (2 * target.scale(adversary, _MISFIT) ** 2)

    def cost(point: Tensor) -> Tensor:
        z, noise = point[:, :latent], point[:, latent:].view(-1, 2, classes)
        grads = dlg.gradients(adversary, folded, z, onehot, noise)
        distance = target.distance(centre + z @ prior.basis.T, grads, clip_norm=adversary.clip_norm)
        # Without the second noise n1 is 1. Its draw explains nothing but has a cost, so it stays at 0.
        return distance * weight + (point**2).sum(1) / 2

    noise = torch.randn(clients * STARTS, 2 * classes, generator=draw, dtype=torch.float64)
    if not head_variance(AdversaryPlan.of(adversary)):
        noise[:, :classes] = 0
    best = optimize.adam(cost, torch.cat([z, noise], 1), STEPS, dlg.LEARNING_RATE)
    z, noise = best[:, :latent], best[:, latent:]
    room = _room(adversary, folded, z, centre + z @ prior.basis.T, onehot, noise, weight)
    with torch.no_grad():
        return (cost(best) + room).view(STARTS, clients).amin(0)


def _room(
    adversary: Adversary, tensors: Tensors, z: Tensor, state: Tensor, onehot: Tensor, noise: Tensor, weight: Tensor
) -> Tensor:
    """The cost of an explanation that leaves little room to the head's noise, (B,): Laplace's half log-determinant.

    Without it, an explanation by a tiny n1, which hardly any draw gives, looks as good as its density.
    """
    if adversary.head == HEAD_MLP:
        return torch.zeros(len(z), dtype=torch.float64)
    drawn = noise.clone().requires_grad_()
    unit = torch.nn.functional.normalize(torch.relu(z @ tensors["hidden.weight"].T + tensors["hidden.bias"]))
    grads = dlg.gradients(adversary, tensors, z, onehot, drawn.view(-1, 2, onehot.shape[1]))
    if adversary.clip_norm:
        grads = dlg.clipped(state, grads, adversary.clip_norm)
    seen = (grads["head.weight"] * unit[:, None]).sum(2)
    rows = [torch.autograd.grad(seen[:, n].sum(), drawn, retain_graph=True)[0] for n in range(seen.shape[1])]
    jacobian = torch.stack(rows, 1)
    precision = torch.eye(noise.shape[1]) + 2 * weight[:, None, None] * jacobian.transpose(1, 2) @ jacobian
    return torch.logdet(precision) / 2
