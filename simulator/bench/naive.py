"""The naive loop for comparison: a round in PyTorch with autograd, one client after another.

Only `fedau2-sim bench` and the comparison with other frameworks (`benchmarks/`) use it. It is as fast as such a loop
can be: one forward pass, no copies of the model. With `copies` it works like typical research code: each client trains
a copy of every module with its own Adam optimizer.
"""

import copy
import itertools
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

Sample = tuple[Tensor, Tensor]
"""Items and labels of a local step."""


def sample(rng: np.random.Generator, positives: NDArray[np.int64], negatives: int, items: int) -> Sample:
    """Draws negatives for each positive of a client; items among the positives are rejected.

    Args:
        rng: draws them.
        positives: the client's items, (n,).
        negatives: number for each positive.
        items: length of the catalogue.
    """
    mask = np.zeros(items, bool)
    mask[positives] = True
    drawn = rng.integers(0, items, negatives * len(positives))
    while (clash := mask[drawn]).any():
        drawn[clash] = rng.integers(0, items, clash.sum())
    rows = torch.from_numpy(np.concatenate([positives, drawn]))
    return rows, torch.cat([torch.ones(len(positives)), torch.zeros(len(drawn))])


class _Reverse(torch.autograd.Function):
    """The identity, whose gradient is multiplied by minus the number that `gate` holds during the backward pass."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, gate: list[float]) -> Tensor:  # noqa: ANN401
        ctx.gate = gate
        return x.view_as(x)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:  # noqa: ANN401
        return -ctx.gate[0] * grad, None


class _Adversary(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.hidden, self.head = nn.Linear(width, 100), nn.Linear(100, 4, bias=False)

    def forward(self, embedding: Tensor) -> Tensor:
        mu, log_sigma = self.head(F.relu(self.hidden(embedding))).chunk(2, -1)
        logits: Tensor = mu * (1 + 2 * torch.randn_like(mu)) + log_sigma.exp() * torch.randn_like(mu)
        return logits


class Model(nn.Module):
    """A recommender.

    Attributes:
        width: width of the adversary's input.
        negatives: number of negatives drawn for each positive.
    """

    width: int
    negatives = 4

    def private(self) -> list[Tensor]:
        """Draws a client's private tensors before its first step."""
        return []

    def loss(self, private: Sequence[Tensor], items: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """Computes the loss on a client's samples, and the adversary's input, (1, width)."""
        raise NotImplementedError


class FedNCF(Model):
    """NeuMF. The loss is the mean loss of a chunk of samples, summed over the chunks.

    Args:
        items: length of the catalogue.
        gmf, mlp, hidden: widths; by default those of the paper.
        chunk: most samples of a chunk.
    """

    def __init__(
        self, items: int, gmf: int = 32, mlp: int = 128, hidden: Sequence[int] = (128, 64, 32), chunk: int = 128
    ) -> None:
        super().__init__()
        self.gmf = nn.Embedding(items, gmf) if gmf else None
        self.items = nn.Embedding(items, mlp)
        widths = [2 * mlp, *hidden]
        pairs = itertools.pairwise(widths)
        self.mlp = nn.Sequential(*(layer for a, b in pairs for layer in (nn.Linear(a, b), nn.ReLU())))
        self.out = nn.Linear(gmf + hidden[-1], 1)
        self.width, self._widths, self._chunk = gmf, [gmf, mlp] if gmf else [mlp], chunk

    def private(self) -> list[Tensor]:
        """Draws the vectors of both branches."""
        return [torch.randn(1, width) * 0.01 for width in self._widths]

    def loss(self, private: Sequence[Tensor], items: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """Computes the loss; the adversary's input is the vector of the first branch."""
        deep = self.mlp(torch.cat([private[-1].expand(len(items), -1), self.items(items)], -1))
        if self.gmf is not None:
            deep = torch.cat([private[0] * self.gmf(items), deep], -1)
        logits = self.out(deep).squeeze(-1)
        return F.binary_cross_entropy_with_logits(logits, labels) * -(-len(items) // self._chunk), private[0]


class FedRAP(Model):
    """A model with a common and a personal vector for every item."""

    def __init__(self, items: int, latent: int = 32) -> None:
        super().__init__()
        self.common, self.out = nn.Embedding(items, latent), nn.Linear(latent, 1)
        self.width = items

    def private(self) -> list[Tensor]:
        """Draws the personal vectors."""
        return [torch.randn_like(self.common.weight) * 0.01]

    def loss(self, private: Sequence[Tensor], items: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """Computes the loss; the adversary's input is the sum of each personal vector."""
        common = self.common(items)
        logits = self.out(common + F.embedding(items, private[0])).squeeze(-1)
        loss = F.binary_cross_entropy_with_logits(logits, labels) + 0.1 * common.abs().mean()
        return loss, private[0].sum(-1)[None]


class FedVAE(Model):
    """MultVAE. The samples are the interactions, without negatives."""

    negatives = 0

    def __init__(self, items: int, hidden: int = 600, latent: int = 200) -> None:
        super().__init__()
        self.encode = nn.Sequential(nn.Linear(items, hidden), nn.Tanh(), nn.Linear(hidden, 2 * latent))
        self.decode = nn.Sequential(nn.Linear(latent, hidden), nn.Tanh(), nn.Linear(hidden, items))
        self.width, self._items = latent, items

    def loss(self, private: Sequence[Tensor], items: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """Computes the loss; the adversary's input is the latent."""
        history = torch.zeros(1, self._items)
        history[0, items] = 1
        mean, log_variance = self.encode(F.dropout(F.normalize(history), 0.5)).chunk(2, -1)
        latent = mean + (0.5 * log_variance).exp() * torch.randn_like(mean)
        divergence = -0.5 * (1 + log_variance - mean**2 - log_variance.exp()).sum()
        return -(F.log_softmax(self.decode(latent), -1) * history).sum() + 0.1 * divergence, latent


class NaiveRound:
    """Sums the clients' contributions, client by client.

    Args:
        model: the recommender.
        items: length of the catalogue.
        labels: each client's class; by default there is no adversary.
        copies: true to train copies of all modules on each client.
    """

    def __init__(
        self, model: Model, items: int, labels: NDArray[np.int64] | None = None, *, copies: bool = False
    ) -> None:
        self._items, self._labels = items, None if labels is None else torch.from_numpy(labels)
        self._modules = nn.ModuleList([model] if labels is None else [model, _Adversary(model.width)])
        self._shared = list(self._modules.parameters())
        self._server = torch.optim.Adam(self._shared)
        self._clients: dict[int, tuple[list[Tensor], torch.optim.Optimizer | None]] = {}
        self._copies, self._rng = copies, np.random.default_rng(0)

    def sample(self, positives: NDArray[np.int64], negatives: int) -> Sample:
        """Draws negatives for each positive, see `sample`."""
        return sample(self._rng, positives, negatives, self._items)

    def run(self, members: NDArray[np.int64], interactions: Sequence[NDArray[np.int64]]) -> None:
        """Runs a round: `collect`, and the server's step on the mean."""
        for tensor, sum_ in zip(self._shared, self.collect(members, interactions), strict=True):
            tensor.grad = sum_ / len(members)
        self._server.step()

    def collect(self, members: NDArray[np.int64], interactions: Sequence[NDArray[np.int64]]) -> list[Tensor]:
        """Sums the clients' gradients after one local step on newly drawn samples."""
        total = [torch.zeros_like(tensor) for tensor in self._shared]
        for member in members:
            modules = copy.deepcopy(self._modules) if self._copies else self._modules
            tensors = list(modules.parameters())
            self._step(modules, int(member), self.sample(interactions[member], _recommender(modules).negatives))
            if self._copies:
                torch.optim.Adam(tensors).step()
            self._add(total, [tensor.grad for tensor in tensors])
        return total

    def run_steps(self, members: Iterable[int], samples: Sequence[Sequence[Sample]], rate: float) -> list[Tensor]:
        """Runs several local steps of SGD on given samples, and sums each client's start minus its end."""
        total = [torch.zeros_like(tensor) for tensor in self._shared]
        start = [tensor.detach().clone() for tensor in self._shared]
        optimizer = torch.optim.SGD(self._shared, lr=rate)
        for member in members:
            for sample in samples[member]:
                self._step(self._modules, int(member), sample)
                optimizer.step()
            with torch.no_grad():
                self._add(total, [a - b for a, b in zip(start, self._shared, strict=True)])
                for tensor, initial in zip(self._shared, start, strict=True):
                    tensor.copy_(initial)
        return total

    def _step(self, modules: nn.ModuleList, member: int, sample: Sample) -> None:
        private, optimizer = self._client(member)
        for tensor in [*modules.parameters(), *private]:
            tensor.grad = None
        loss, embedding = _recommender(modules).loss(private, *sample)
        if self._labels is not None:
            gate = [0.0]
            logits = modules[1](_Reverse.apply(embedding, gate))  # type: ignore[no-untyped-call]
            label = self._labels[member : member + 1]
            gate[0] = 400.0 if logits.argmax() == label else 0.0
            loss = loss + F.cross_entropy(logits, label)
        loss.backward()  # type: ignore[no-untyped-call]
        if optimizer is not None:
            optimizer.step()

    def private(self, member: int) -> list[Tensor]:
        """Returns a client's private tensors."""
        return self._client(member)[0]

    def _client(self, member: int) -> tuple[list[Tensor], torch.optim.Optimizer | None]:
        if member not in self._clients:
            private = [tensor.requires_grad_() for tensor in _recommender(self._modules).private()]
            self._clients[member] = private, torch.optim.Adam(private, lr=0.1) if private else None
        return self._clients[member]

    @staticmethod
    def _add(total: Sequence[Tensor], part: Sequence[Tensor | None]) -> None:
        for sum_, tensor in zip(total, part, strict=True):
            if tensor is not None:
                sum_ += tensor


def _recommender(modules: nn.ModuleList) -> Model:
    model = modules[0]
    assert isinstance(model, Model)
    return model
