"""Moves users' state after training, as in "Making Users Indistinguishable" (Li et al., MM 2023, arXiv 2310.05847).

A loss of two parts is minimised over the states of all users whose class is known. The first part says how far the
classes are from each other: `d2d` by the distance of their distributions (MMD), `u2u` by the distances between users of
different classes. The second part keeps the order of what each user was recommended before (`orders`).

Losses, margin, steps and weight are those of the authors' public code (github.com/oktton/Attribute-wise-Unlearning),
written anew. docs/baselines.md says what differs.
"""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from simulator.population.columns import Column
from simulator.unlearning import erasure, moments, optimal_transport
from simulator.unlearning.moments import Targets
from simulator.unlearning.orders import Orders

STEPS, RATE = 500, 0.005
"""Steps of Adam, and its learning rate in standard deviations of the state."""

WEIGHT = 1e-6
"""Weight of the sum over users of what `Orders.loss` says."""

USERS = 16
"""Users whose order a step looks at, drawn anew for each step."""

_WIDTHS = (0.25, 0.5, 1.0, 2.0, 4.0)
"""Widths of the kernel's Gaussians, in units of the mean squared distance between two users."""

Classes = Sequence[slice]
"""The rows of the users of each class."""


def unlearn(
    private: Mapping[str, Column], targets: Targets, kind: str, orders: Orders, seed: int
) -> dict[str, NDArray[np.float32]]:
    """Moves the private tensors of users whose class is known; the others stay as they are.

    The work of a step grows with the square of the users.

    Args:
        private: tensors by name, (users, ...).
        targets: see `moments.joint`; the classes of several attributes are combined.
        kind: one of `KINDS`.
        orders: of the trained state.
        seed: of the users that a step looks at.

    Raises:
        ErasureError: a class or combination has too few users, or there are no more users than numbers in the state.
    """
    features = erasure.joined(private)
    moments.expect_enough(int(targets.any(1).sum()), features.shape[1])
    groups = optimal_transport.expect_enough(targets)
    known = np.concatenate(groups)
    ends = np.cumsum([len(group) for group in groups])
    classes = [slice(end - len(group), end) for end, group in zip(ends, groups, strict=True)]
    start, rng = torch.from_numpy(features[known]), np.random.default_rng(seed)
    scale = start.std().clamp(min=torch.finfo().tiny)
    x = (start / scale).requires_grad_()
    optimizer = torch.optim.Adam([x], RATE)
    for _ in range(STEPS):
        looked_at = rng.permutation(len(known))[:USERS]
        kept = [orders.loss(x[row] * scale, int(known[row])) for row in looked_at]
        loss = KINDS[kind](x, classes) + WEIGHT * len(known) * torch.stack(kept).mean()
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    features[known] = (x.detach() * scale).numpy()
    return erasure.separated(features, private)


def between_distributions(x: Tensor, classes: Classes) -> Tensor:
    """The squared MMD of each class from the first, summed up.

    Args:
        x: states, (users, width).
        classes: the rows of each class.
    """
    return torch.stack([_discrepancy(x[classes[0]], x[other]) for other in classes[1:]]).sum()


def between_users(x: Tensor, classes: Classes) -> Tensor:
    """The squared distances between two users of different classes, summed up over all pairs; see the other."""
    pairs = [(x[one], x[other]) for number, one in enumerate(classes) for other in classes[number + 1 :]]
    return torch.stack([_squared(a, b) for a, b in pairs]).sum()


KINDS: Mapping[str, Callable[[Tensor, Classes], Tensor]] = {"d2d": between_distributions, "u2u": between_users}
"""The first part of the loss, by the name of the erasure."""


def _discrepancy(a: Tensor, b: Tensor) -> Tensor:
    both = torch.cat([a, b])
    squares = both.square().sum(1)
    distances = (squares[:, None] + squares - 2 * both @ both.T).clamp(min=0)
    usual = distances.detach().sum() / (len(both) * (len(both) - 1))
    kernel = torch.stack([torch.exp(-distances / (width * usual)) for width in _WIDTHS]).sum(0)
    n = len(a)
    return kernel[:n, :n].mean() + kernel[n:, n:].mean() - 2 * kernel[:n, n:].mean()


def _squared(a: Tensor, b: Tensor) -> Tensor:
    """Without the matrix of all pairs, which would be as large as the square of the users."""
    return len(b) * a.square().sum() + len(a) * b.square().sum() - 2 * a.sum(0) @ b.sum(0)
