"""Erases attributes by optimal transport: moves the state of each class towards a distribution common to all classes.

LEACE uses one map for all users, which leaves differences between classes other than their means. Here each class has
its own map, and a device chooses the map by the attribute that it knows. Along a direction the map moves the class's
quantiles to the mean of all classes' quantiles: one-dimensional optimal transport to the Wasserstein barycentre (Agueh
and Carlier 2011, section 6). The first directions are those along which the variances of two classes differ by more
than chance (the Marchenko-Pastur edge), if there are any; then every feature follows. The map is fitted from sums
alone: moments of each class, and then counts in a fixed grid of bins.

The full move overshoots if there are finitely many users: the classes of held-out users would be exchanged.
`fedau2.erasing.folds.strength` finds the share of the move to make. The same happens if more is matched than the users
can distinguish from chance, such as whole covariances: a Gaussian attacker then reads the classes of held-out users
exchanged, almost without error.
"""

from collections.abc import Sequence
from functools import reduce
from itertools import combinations
from operator import add

import numpy as np
from numpy.typing import NDArray

from fedau2 import principal
from fedau2.erasing import folds as comparing
from simulator.errors import ErasureError
from simulator.unlearning import moments
from simulator.unlearning.moments import Matrix, Moments, Targets

FEWEST = 10
"""Least number of users of each class, or of each combination of several attributes' classes."""

EDGES = np.linspace(-6, 6, 481)
"""Edges of the bins, in standard deviations of all users."""

_SMALLEST = 1e-9
"""Share of the largest variance below which a direction counts as empty."""

Groups = Sequence[NDArray[np.intp]]
"""Rows of the users of each class."""


def transport(features: NDArray[np.float32], targets: Targets, seed: int) -> tuple[NDArray[np.float32], float]:
    """Moves users' features. Users whose attributes are unknown stay as they are.

    Args:
        features: (users, width).
        targets: see `moments.joint`; the classes of several attributes are combined.
        seed: seed of the division into folds.

    Returns:
        The moved features, and the strength.

    Raises:
        ErasureError: a class or combination has too few users, or none in a fold, or there are no more users than
            features.
    """
    moments.expect_enough(int(targets.any(1).sum()), features.shape[1])
    groups = expect_enough(targets)
    x = features.astype(np.float64)
    white, coloured = directions([Moments.of(x[group], targets[group]) for group in groups])
    known = np.concatenate(groups)
    moved = x.copy()
    if white.size:
        moved += _moves((x - x[known].mean(0)) @ white, groups) @ coloured
    moved += _moves(moved, groups)
    before, removed = moments.folds(x, targets, seed), moments.folds(x - moved, targets, seed)
    moments.expect_every_class(before)
    deviations = np.sqrt(np.diag(reduce(add, before).covariance))
    strength = comparing.strength([part.gaps for part in before], [part.gaps for part in removed], deviations)
    return (x + strength * (moved - x)).astype(np.float32), strength


def expect_enough(targets: Targets) -> Groups:
    """Lists the rows of the users of each class, or of each combination of classes.

    Raises:
        ErasureError: a class or combination has fewer than `FEWEST` users.
    """
    kinds, member, sizes = np.unique(targets, axis=0, return_inverse=True, return_counts=True)
    known = kinds.any(1)
    if not known.any() or sizes[known].min() < FEWEST:
        fewest = int(sizes[known].min()) if known.any() else 0
        raise ErasureError(
            f"transport needs {FEWEST} users of every class, or of every combination of several attributes' classes, "
            f"and one has {fewest}: set erasure to auto"
        )
    return [np.flatnonzero(member.ravel() == number) for number in np.flatnonzero(known)]


def directions(classes: Sequence[Moments]) -> tuple[Matrix, Matrix]:
    """Finds directions along which variances differ by more than chance.

    Returns:
        The map to the directions, (width, number), and the map back, (number, width).
    """
    users = np.array([group.users for group in classes], np.float64)
    pooled = np.tensordot(users / users.sum(), np.stack([group.covariance for group in classes]), 1)
    values, axes = principal.axes(pooled)
    occupied = values > _SMALLEST * values.max()
    roots, axes = np.sqrt(values[occupied]), axes[:, occupied]
    white, coloured = axes / roots, (axes * roots).T
    directions = [np.zeros((len(roots), 0))]
    for (left, right), (left_users, right_users) in zip(combinations(classes, 2), combinations(users, 2), strict=True):
        differences, vectors = np.linalg.eigh(white.T @ (left.covariance - right.covariance) @ white)
        ratio = len(roots) * (1 / left_users + 1 / right_users)
        directions.append(vectors[:, np.abs(differences) > 2 * np.sqrt(ratio) + ratio])
    basis = np.linalg.qr(np.concatenate(directions, axis=1))[0]  # directions of different pairs are not orthogonal
    return np.asarray(white @ basis), np.asarray(basis.T @ coloured)


def _moves(features: Matrix, groups: Groups) -> Matrix:
    """Computes the moves that bring each class's quantiles of every feature to the mean quantiles, (users, width)."""
    known = features[np.concatenate(groups)]
    centre, scale = known.mean(0), known.std(0)
    scale[scale == 0] = 1
    standard = [(features[group] - centre) / scale for group in groups]
    moved = np.zeros_like(features)
    for group, z, table in zip(groups, standard, shifts([counts(z) for z in standard]), strict=True):
        for k, shift in enumerate(table):
            moved[group, k] = np.interp(z[:, k], EDGES, shift) * scale[k]
    return moved


def counts(standard: Matrix) -> NDArray[np.int64]:
    """Counts users in each bin of each feature, (width, bins). Users beyond the edges count in the outermost bins."""
    bins = len(EDGES) - 1
    place = (np.searchsorted(EDGES, standard, side="right") - 1).clip(0, bins - 1)
    return np.stack([np.bincount(column, minlength=bins) for column in place.T])


def shifts(histograms: Sequence[NDArray[np.int64]]) -> Matrix:
    """Computes each edge's shift, which brings a class's quantiles to the mean quantiles, (classes, width, edges)."""
    users = np.array([histogram[0].sum() for histogram in histograms], np.float64)
    weights = users / users.sum()
    # A little mass in every bin, so that every share of the users has one quantile.
    smooth = [histogram + 1e-6 for histogram in histograms]
    below = [np.cumsum(np.pad(mass, ((0, 0), (1, 0))), 1) / mass.sum(1, keepdims=True) for mass in smooth]
    return np.stack([_mean_quantiles(shares, below, weights) - EDGES for shares in below])


def _mean_quantiles(shares: Matrix, below: Sequence[Matrix], weights: Matrix) -> Matrix:
    """Averages all classes' quantiles at the shares of users that a class has below each edge, (width, edges)."""
    return np.stack(
        [
            np.average([np.interp(share, other[feature], EDGES) for other in below], axis=0, weights=weights)
            for feature, share in enumerate(shares)
        ]
    )
