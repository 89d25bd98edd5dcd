"""The yardstick: a FedNCF round as the obvious PyTorch loop does it, one client after another, by autograd.

Only `fedau2-sim bench` uses it. It is written for speed within that idea: one forward pass, no copies of the model.
"""

import itertools
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

Sample = tuple[Tensor, Tensor]
"""Items and labels of one local step."""


class _Reverse(torch.autograd.Function):
    """Identity; multiplies the gradient by minus the scale that `gate` holds at the time of the backward pass."""

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


class _Model(nn.Module):
    def __init__(self, items: int, gmf: int, mlp: int, hidden: Sequence[int]) -> None:
        super().__init__()
        self.gmf = nn.Embedding(items, gmf) if gmf else None
        self.items = nn.Embedding(items, mlp)
        widths = [2 * mlp, *hidden]
        pairs = itertools.pairwise(widths)
        self.mlp = nn.Sequential(*(layer for a, b in pairs for layer in (nn.Linear(a, b), nn.ReLU())))
        self.out = nn.Linear(gmf + hidden[-1], 1)

    def forward(self, private: Sequence[Tensor], items: Tensor) -> Tensor:
        deep = self.mlp(torch.cat([private[0].expand(len(items), -1), self.items(items)], -1))
        if self.gmf is not None:
            deep = torch.cat([private[1] * self.gmf(items), deep], -1)
        logits: Tensor = self.out(deep).squeeze(-1)
        return logits


class NaiveRound:
    """The sum of the clients' contributions, client by client.

    Args:
        items: length of the catalogue.
        gmf, mlp, hidden: the model's widths.
        labels: attribute per client; None: no adversary.
        steps: local steps; with more than one, start minus end is summed.
    """

    def __init__(
        self, items: int, gmf: int, mlp: int, hidden: Sequence[int], labels: NDArray[np.int64] | None, steps: int
    ) -> None:
        self._model, self._items, self._steps = _Model(items, gmf, mlp, hidden), items, steps
        self._widths = [mlp, gmf] if gmf else [mlp]
        self._labels = None if labels is None else torch.from_numpy(labels)
        self._adversary = None if labels is None else _Adversary(gmf)
        self._shared = [*self._model.parameters(), *(self._adversary.parameters() if self._adversary else ())]
        self._clients: dict[int, tuple[list[Tensor], torch.optim.Optimizer]] = {}
        self._rng = np.random.default_rng(0)

    def sample(self, positives: NDArray[np.int64]) -> Sample:
        """Positives and four negatives each, rejecting those among the positives."""
        mask = np.zeros(self._items, bool)
        mask[positives] = True
        negatives = self._rng.integers(0, self._items, 4 * len(positives))
        while (clash := mask[negatives]).any():
            negatives[clash] = self._rng.integers(0, self._items, clash.sum())
        items = torch.from_numpy(np.concatenate([positives, negatives]))
        return items, torch.cat([torch.ones(len(positives)), torch.zeros(len(negatives))])

    def run(self, members: Iterable[int], interactions: Sequence[NDArray[np.int64]]) -> list[Tensor]:
        """One round of one local step over freshly drawn samples."""
        total = [torch.zeros_like(tensor) for tensor in self._shared]
        for member in members:
            self._step(int(member), self.sample(interactions[member]), 128)
            self._add(total, [tensor.grad for tensor in self._shared])
        return total

    def run_steps(self, members: Iterable[int], samples: Sequence[Sequence[Sample]], rate: float) -> list[Tensor]:
        """One round of several local steps of SGD over given samples."""
        total = [torch.zeros_like(tensor) for tensor in self._shared]
        start = [tensor.detach().clone() for tensor in self._shared]
        optimizer = torch.optim.SGD(self._shared, lr=rate)
        for member in members:
            for sample in samples[member]:
                self._step(int(member), sample, len(sample[0]))
                optimizer.step()
            with torch.no_grad():
                self._add(total, [a - b for a, b in zip(start, self._shared, strict=True)])
                for tensor, initial in zip(self._shared, start, strict=True):
                    tensor.copy_(initial)
        return total

    def _step(self, member: int, sample: Sample, chunk: int) -> None:
        private, optimizer = self._client(member)
        for tensor in [*self._shared, *private]:
            tensor.grad = None
        items, labels = sample
        loss = F.binary_cross_entropy_with_logits(self._model(private, items), labels) * -(-len(items) // chunk)
        if self._adversary is not None and self._labels is not None:
            gate = [0.0]
            logits = self._adversary(_Reverse.apply(private[1], gate))  # type: ignore[no-untyped-call]
            label = self._labels[member : member + 1]
            gate[0] = 400.0 if logits.argmax() == label else 0.0
            loss = loss + F.cross_entropy(logits, label)
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()

    def _client(self, member: int) -> tuple[list[Tensor], torch.optim.Optimizer]:
        if member not in self._clients:
            private = [(torch.randn(1, width) * 0.01).requires_grad_() for width in self._widths]
            self._clients[member] = private, torch.optim.Adam(private, lr=0.1)
        return self._clients[member]

    @staticmethod
    def _add(total: Sequence[Tensor], part: Sequence[Tensor | None]) -> None:
        for sum_, tensor in zip(total, part, strict=True):
            if tensor is not None:
                sum_ += tensor
