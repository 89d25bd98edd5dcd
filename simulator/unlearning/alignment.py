"""Aligns the classes' distributions after training: moves every user's state until the classes' look alike.

This is the loss between distributions of "Making Users Indistinguishable" (Li et al., MM 2023, arXiv 2310.05847): the
squared maximum mean discrepancy (MMD) between the states of the classes, plus the squared distance from the trained
state. Each user's state is a variable of its own, so there is no map, and a new user is not aligned. The loss needs all
states in one place.

The widths of the kernel and the weight of the distance are this project's. The kernel is the mean of Gaussians whose
widths are multiples of the median distance. The weight was chosen on MovieLens 100K: with a tenth of it the classes of
held-out users are exchanged.
"""

from itertools import combinations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from simulator.unlearning import moments, optimal_transport
from simulator.unlearning.moments import Targets

WIDTHS = (0.25, 0.5, 1.0, 2.0, 4.0)
"""Squared widths of the Gaussians, in units of the median of the squared distances between two users."""

REGULARISATION = 0.01
"""Weight of the mean squared distance from the trained state, in units of its variance."""

STEPS, RATE = 200, 0.02
"""Steps of Adam, and its learning rate in standard deviations of the state."""


def align(features: NDArray[np.float32], targets: Targets) -> NDArray[np.float32]:
    """Moves users' features. Users whose attributes are unknown stay as they are.

    The work grows with the square of the users.

    Args:
        features: (users, width).
        targets: see `moments.joint`; the classes of several attributes are combined.

    Raises:
        ErasureError: a class or combination has too few users, or there are no more users than features.
    """
    moments.expect_enough(int(targets.any(1).sum()), features.shape[1])
    groups = optimal_transport.expect_enough(targets)
    known = np.concatenate(groups)
    ends = np.cumsum([len(group) for group in groups])
    classes = [slice(end - len(group), end) for end, group in zip(ends, groups, strict=True)]
    aligned = features.copy()
    aligned[known] = _descend(features[known], classes)
    return aligned


def _descend(features: NDArray[np.float32], classes: list[slice]) -> NDArray[np.float32]:
    start = torch.from_numpy(features)
    centre, scale = start.mean(0), start.std().clamp(min=torch.finfo().tiny)
    start = (start - centre) / scale
    widths = torch.pdist(start).square().median() * torch.tensor(WIDTHS)
    x = start.clone().requires_grad_()
    optimizer = torch.optim.Adam([x], RATE)
    for _ in range(STEPS):
        loss = discrepancy(x, classes, widths) + REGULARISATION * (x - start).square().sum(1).mean()
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    moved: NDArray[np.float32] = (x.detach() * scale + centre).numpy()
    return moved


def discrepancy(x: Tensor, classes: list[slice], widths: Tensor) -> Tensor:
    """The squared MMD of two classes, the mean over all pairs of classes.

    Args:
        x: states, (users, width).
        classes: the rows of each class.
        widths: squared widths of the kernel's Gaussians.
    """
    squares = x.square().sum(1)
    distances = (squares[:, None] + squares - 2 * x @ x.T).clamp(min=0)
    kernel = torch.stack([torch.exp(-distances / (2 * width)) for width in widths]).mean(0)
    means = {(a, b): kernel[classes[a], classes[b]].mean() for a in range(len(classes)) for b in range(len(classes))}
    pairs = list(combinations(range(len(classes)), 2))
    return torch.stack([means[a, a] + means[b, b] - 2 * means[a, b] for a, b in pairs]).mean()
