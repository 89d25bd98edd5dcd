"""Linear erasure of attributes from user state, fitted from sums over users alone (LEACE, arXiv 2306.03819).

The affine map `x - strength * (x - mean) M` with strength 1 is the smallest change of x after which no linear attacker
reads the attribute from the users that it was fitted on. For others it overshoots where there are few users per
dimension: the classes of held-out users come out exchanged, which leaks as much. `auto` finds the strength between.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from operator import add
from typing import Self

import numpy as np
from numpy.typing import NDArray

from client_sdk.kernel import contract, fedvae
from fedau2.v1.task_pb2 import TaskManifest
from fedau2.wire import manifest
from fedau2.wire.blobs import Tensors
from simulator.columns import Column, block
from simulator.datasets import Attribute
from simulator.errors import ErasureError

Matrix = NDArray[np.float64]

Targets = NDArray[np.bool_]
"""Which classes users are of, those of all attributes side by side, (users, classes); no class leaves a user out."""

FOLDS = 5
"""Parts of the users that the probe behind `auto` compares."""

_RANK = 1e-9
"""Share of the largest singular value under which a direction counts as empty."""


@dataclass(frozen=True, eq=False)
class Moments:
    """Sums over some users; those of all users are the sum of those of its parts.

    Attributes:
        users: how many there are.
        total: sum of x, (width,).
        counts: users by class, (classes,).
        sums: sum of x by class, (classes, width).
        second: sum of the outer products of x, (width, width).
    """

    users: int
    total: Matrix
    counts: Matrix
    sums: Matrix
    second: Matrix

    @classmethod
    def of(cls, features: NDArray[np.floating], targets: Targets) -> Self:
        """From users' features, (users, width), and their classes."""
        known = targets.any(1)
        x, chosen = features[known].astype(np.float64), targets[known].astype(np.float64)
        return cls(len(x), x.sum(0), chosen.sum(0), chosen.T @ x, x.T @ x)

    def __add__(self, other: "Moments") -> "Moments":
        return Moments(
            self.users + other.users,
            self.total + other.total,
            self.counts + other.counts,
            self.sums + other.sums,
            self.second + other.second,
        )

    @property
    def mean(self) -> Matrix:
        """Mean of x, (width,)."""
        return np.asarray(self.total / self.users)

    @property
    def covariance(self) -> Matrix:
        """Covariance of x, (width, width)."""
        return np.asarray(self.second / self.users - np.outer(self.mean, self.mean))

    @property
    def gaps(self) -> Matrix:
        """Mean of x of each class, less the mean of all, (classes, width)."""
        return np.asarray(self.sums / self.counts[:, None] - self.mean)


@dataclass(frozen=True, eq=False)
class Eraser:
    """A fitted map.

    Attributes:
        mean: (width,).
        removed: M, (width, width): what is taken away of `x - mean`.
        strength: share of it that is taken away, 0 to 1.
    """

    mean: Matrix
    removed: Matrix
    strength: float

    def __call__(self, features: NDArray[np.float32]) -> NDArray[np.float32]:
        """Features (users, width) with the attribute erased."""
        x = features.astype(np.float64)
        return (x - self.strength * (x - self.mean) @ self.removed).astype(np.float32)


def fit(folds: Sequence[Moments], strength: float | None) -> Eraser:
    """Fits the map to all folds together.

    Args:
        folds: moments of parts of the users; at least two where the strength is to be found.
        strength: 0 to 1; None: where the class gaps of one fold tell nothing of another's.

    Raises:
        ErasureError: a class has no user in a fold, or there are no more users than dimensions: the map would then
            write the attribute instead of erasing it.
    """
    if any((fold.counts == 0).any() for fold in folds):
        raise ErasureError("erasure needs users of every class in every fold")
    whole = reduce(add, folds)
    expect_enough(whole.users, len(whole.mean))
    removed = _removed(whole)
    return Eraser(whole.mean, removed, _strength(folds, whole, removed) if strength is None else strength)


def expect_enough(users: int, width: int) -> None:
    """Checks that an attribute known of so many users can be erased from a state of this width.

    Raises:
        ErasureError: with no more users than dimensions it would be written instead.
    """
    if users <= width:
        raise ErasureError(
            f"erasing from {width} dimensions needs more users than that whose attribute is known, and there are "
            f"{users}: it would write the attribute instead. Run without erasure"
        )


def _removed(moments: Moments) -> Matrix:
    """W^+ P W transposed, W the whitening and P the projection on the whitened class gaps (LEACE, theorem 4.3)."""
    variances, axes = np.linalg.eigh(moments.covariance)
    kept = variances > _RANK * variances.max()
    roots, axes = np.sqrt(variances[kept]), axes[:, kept]
    cross = moments.gaps * (moments.counts / moments.users)[:, None]  # covariance of x with each class's indicator
    directions, sizes, _ = np.linalg.svd((cross @ axes / roots).T, full_matrices=False)
    basis = directions[:, sizes > _RANK * sizes.max()]
    return np.asarray((axes / roots) @ basis @ basis.T @ (axes * roots).T)


def _strength(folds: Sequence[Moments], whole: Moments, removed: Matrix) -> float:
    """The first strength at which the inner products between folds' standardised class gaps add up to zero."""
    deviations = np.sqrt(np.diag(whole.covariance))
    scale = np.where(deviations > 0, deviations, np.inf)
    kept = [fold.gaps / scale for fold in folds]
    taken = [fold.gaps @ removed / scale for fold in folds]
    # Gaps are kept - strength * taken, so the sum over pairs of folds is a quadratic in the strength.
    products = (_products(taken, taken), -2 * _products(kept, taken), _products(kept, kept))
    if products[-1] <= 0:
        return 0.0  # nothing to read
    zeros = [root.real for root in np.roots(products) if abs(root.imag) < _RANK and 0 < root.real <= 1]
    return float(min(zeros, default=1.0))


def _products(left: Sequence[Matrix], right: Sequence[Matrix]) -> float:
    """Mean of the inner products of different folds' matrices, both ways."""
    whole = np.sum(left, axis=0) * np.sum(right, axis=0)
    same = [a * b for a, b in zip(left, right, strict=True)]
    return float(whole.sum() - np.sum(same)) / 2


def joint(attributes: Iterable[Attribute]) -> Targets:
    """What is erased together: all attributes, from users of whom all are known."""
    each = list(attributes)
    known = np.all([attribute.labels >= 0 for attribute in each], axis=0)
    chosen = [attribute.labels[:, None] == np.arange(len(attribute.classes)) for attribute in each]
    return np.asarray(np.concatenate(chosen, axis=1) & known[:, None])


def expect_erasable(task: TaskManifest, targets: Targets) -> None:
    """Checks before training that attributes known of such users can be erased from the task's model.

    Raises:
        ErasureError: as in `fit`.
    """
    width = sum(math.prod(spec.shape) for spec in manifest.private(task))
    expect_enough(int(targets.any(1).sum()), width or _latent_width(task))


def _latent_width(task: TaskManifest) -> int:
    if task.model != "fedvae":
        raise ErasureError(f"{task.model} has no private state to erase an attribute from. Run without erasure")
    return contract.states(fedvae, task.tensors)[fedvae.LATENT]


def erase(
    private: Mapping[str, Column], targets: Targets, strength: float | None, seed: int
) -> tuple[dict[str, NDArray[np.float32]], float]:
    """Erases attributes from all private tensors together.

    Args:
        private: tensors by name, (users, ...).
        targets: see `joint`; the state of users that it leaves out is changed as well.
        strength: as in `fit`.
        seed: of the division into folds.

    Returns:
        The changed tensors, and the strength.

    Raises:
        ErasureError: as in `fit`.
    """
    names = sorted(private)
    widths = [math.prod(private[name].shape[1:]) for name in names]
    flat = np.concatenate([block(private[name], 0, width) for name, width in zip(names, widths, strict=True)], axis=1)
    eraser = _fitted(flat, targets, strength, seed)
    parts = np.split(eraser(flat), np.cumsum(widths)[:-1], axis=1)
    erased = {name: part.reshape(private[name].shape) for name, part in zip(names, parts, strict=True)}
    return erased, eraser.strength


def erase_latent(
    shared: Tensors, latent: NDArray[np.float32], targets: Targets, strength: float | None, seed: int
) -> tuple[Tensors, float]:
    """Erases attributes from FedVAE's latent: the map becomes part of the encoder's last layer, so devices need none.

    Args:
        shared: the model's tensors.
        latent: the means that they give, (users, latent).
        targets: see `joint`; the latent of users that it leaves out is changed as well.
        strength: as in `fit`.
        seed: of the division into folds.

    Returns:
        The changed tensors, and the strength.

    Raises:
        ErasureError: as in `fit`.
    """
    eraser = _fitted(latent, targets, strength, seed)
    taken = eraser.strength * eraser.removed
    return fedvae.move_latent(shared, np.eye(len(taken)) - taken, eraser.mean @ taken), eraser.strength


def _fitted(features: NDArray[np.float32], targets: Targets, strength: float | None, seed: int) -> Eraser:
    fold = np.random.default_rng(seed).permutation(len(targets)) % FOLDS
    return fit([Moments.of(features[fold == k], targets[fold == k]) for k in range(FOLDS)], strength)
