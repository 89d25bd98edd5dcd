"""Erasure by transport: the state of each class is moved towards where all classes have one distribution.

LEACE is one map for all users, which leaves whatever shapes more than class means. Here every class has a map of its
own, which its members' devices choose by the attribute that they know. Along a direction it brings the class's
quantiles to the mean of all classes' quantiles: optimal transport to the Wasserstein barycentre, in one dimension
(Agueh and Carlier 2011, section 6). The directions are those, if there are any, along which the variances of two
classes differ by more than chance (the Marchenko-Pastur edge), and after them every feature. Fitted on sums alone:
moments of each class, then counts in a fixed grid of bins.

The whole way overshoots on finitely many users, who would be read by exclusion; `moments.strength` finds how much of it
to go. The same happens where more is matched than the users can tell apart from chance, as with whole covariances: a
Gaussian attacker then reads the classes exchanged, almost without error, of users that it did not learn from.
"""

from collections.abc import Sequence
from functools import reduce
from itertools import combinations
from operator import add

import numpy as np
from numpy.typing import NDArray

from simulator.errors import ErasureError
from simulator.unlearning import moments
from simulator.unlearning.moments import Matrix, Moments, Targets

FEWEST = 10
"""Users of each class, or of each combination of several attributes' classes, that a map is fitted on."""

EDGES = np.linspace(-6, 6, 481)
"""Bins of the counts, in standard deviations of all users."""

_SMALLEST = 1e-9
"""Share of the largest variance below which a direction counts as empty."""

Groups = Sequence[NDArray[np.intp]]
"""Rows of the users of each class."""


def transport(features: NDArray[np.float32], targets: Targets, seed: int) -> tuple[NDArray[np.float32], float]:
    """Moves users' features; those of users whose attributes are not known stay as they are.

    Args:
        features: (users, width).
        targets: see `moments.joint`; classes of several attributes are taken together, as combinations.
        seed: of the division into folds.

    Returns:
        The features, and the strength that was found.

    Raises:
        ErasureError: a class or a combination has too few users, or none in a fold, or there are no more users than
            features.
    """
    moments.expect_enough(int(targets.any(1).sum()), features.shape[1])
    groups = expect_enough(targets)
    x = features.astype(np.float64)
    white, coloured = _directions([Moments.of(x[group], targets[group]) for group in groups])
    known = np.concatenate(groups)
    whole = x.copy()
    if white.size:
        whole += _moves((x - x[known].mean(0)) @ white, groups) @ coloured
    whole += _moves(whole, groups)
    parts, taken = moments.folds(x, targets, seed), moments.folds(x - whole, targets, seed)
    moments.expect_every_class(parts)
    deviations = np.sqrt(np.diag(reduce(add, parts).covariance))
    strength = moments.strength([each.gaps for each in parts], [each.gaps for each in taken], deviations)
    return (x + strength * (whole - x)).astype(np.float32), strength


def expect_enough(targets: Targets) -> Groups:
    """Rows of the users of each class, or combination of classes.

    Raises:
        ErasureError: one has fewer than `FEWEST`.
    """
    kinds, member, sizes = np.unique(targets, axis=0, return_inverse=True, return_counts=True)
    known = kinds.any(1)
    if not known.any() or sizes[known].min() < FEWEST:
        fewest = int(sizes[known].min()) if known.any() else 0
        raise ErasureError(
            f"transport needs {FEWEST} users of every class, of several attributes of every combination, and there are "
            f"{fewest} of one: set erasure to auto"
        )
    return [np.flatnonzero(member.ravel() == number) for number in np.flatnonzero(known)]


def _directions(classes: Sequence[Moments]) -> tuple[Matrix, Matrix]:
    """Directions along which variances differ by more than chance: (width, number) and, back again, (number, width)."""
    users = np.array([each.users for each in classes], np.float64)
    pooled = np.tensordot(users / users.sum(), np.stack([each.covariance for each in classes]), 1)
    values, axes = np.linalg.eigh(pooled)
    kept = values > _SMALLEST * values.max()
    roots, axes = np.sqrt(values[kept]), axes[:, kept]
    white, coloured = axes / roots, (axes * roots).T
    found = [np.zeros((len(roots), 0))]
    for (one, other), (few, many) in zip(combinations(classes, 2), combinations(users, 2), strict=True):
        differences, vectors = np.linalg.eigh(white.T @ (one.covariance - other.covariance) @ white)
        ratio = len(roots) * (1 / few + 1 / many)
        found.append(vectors[:, np.abs(differences) > 2 * np.sqrt(ratio) + ratio])
    basis = np.linalg.qr(np.concatenate(found, axis=1))[0]  # of several pairs of classes; of one it is one already
    return np.asarray(white @ basis), np.asarray(basis.T @ coloured)


def _moves(features: Matrix, groups: Groups) -> Matrix:
    """What brings every feature's quantiles of each class to the mean of all classes', (users, width)."""
    known = features[np.concatenate(groups)]
    centre, scale = known.mean(0), known.std(0)
    scale[scale == 0] = 1
    standard = [(features[group] - centre) / scale for group in groups]
    moved = np.zeros_like(features)
    for group, z, table in zip(groups, standard, shifts([counts(each) for each in standard]), strict=True):
        for k, shift in enumerate(table):
            moved[group, k] = np.interp(z[:, k], EDGES, shift) * scale[k]
    return moved


def counts(standard: Matrix) -> NDArray[np.int64]:
    """Users in each bin, feature by feature, (width, bins); those beyond the edges are in the outermost."""
    bins = len(EDGES) - 1
    place = (np.searchsorted(EDGES, standard, side="right") - 1).clip(0, bins - 1)
    return np.stack([np.bincount(column, minlength=bins) for column in place.T])


def shifts(histograms: Sequence[NDArray[np.int64]]) -> Matrix:
    """What brings each class's quantiles to the mean of all classes', at every edge, (classes, width, edges)."""
    users = np.array([each[0].sum() for each in histograms], np.float64)
    shares = users / users.sum()
    # A little mass everywhere, so that every share of the users has one quantile.
    smooth = [each + 1e-6 for each in histograms]
    reached = [np.cumsum(np.pad(each, ((0, 0), (1, 0))), 1) / each.sum(1, keepdims=True) for each in smooth]
    return np.stack(
        [
            np.stack([_mean_quantile(own, [each[k] for each in reached], shares) - EDGES for k, own in enumerate(of)])
            for of in reached
        ]
    )


def _mean_quantile(shares_below: Matrix, reached: Sequence[Matrix], weights: Matrix) -> Matrix:
    quantiles = [np.interp(shares_below, each, EDGES) for each in reached]
    return np.asarray(np.average(quantiles, axis=0, weights=weights))
