"""Linear erasure of attributes from user state, fitted from sums over users alone (LEACE, arXiv 2306.03819).

The affine map `x - strength * (x - mean) M` with strength 1 is the smallest change of x after which no linear attacker
reads the attribute from the users that it was fitted on. For others it overshoots where there are few users per
dimension: the classes of held-out users come out exchanged, which leaks as much. `auto` finds the strength between.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from operator import add

import numpy as np
from numpy.typing import NDArray

from client_sdk.kernel import contract
from client_sdk.kernel.contract import Encoder
from client_sdk.kernel.models import RECOMMENDERS
from fedau2.v1.task_pb2 import TaskManifest
from fedau2.wire import manifest
from fedau2.wire.blobs import Tensors
from simulator.errors import ErasureError
from simulator.population.columns import Column, block
from simulator.unlearning import moments, optimal_transport
from simulator.unlearning.moments import Matrix, Moments, Targets

TRANSPORT = "transport"
"""The kind of erasure that is not LEACE; see `simulator.unlearning.optimal_transport`."""

_RANK = 1e-9
"""Share of the largest singular value under which a direction counts as empty."""


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
    moments.expect_every_class(folds)
    whole = reduce(add, folds)
    moments.expect_enough(whole.users, len(whole.mean))
    removed = _removed(whole)
    if strength is None:
        gaps = [fold.gaps for fold in folds]
        strength = moments.strength(gaps, [each @ removed for each in gaps], np.sqrt(np.diag(whole.covariance)))
    return Eraser(whole.mean, removed, strength)


def _removed(moments: Moments) -> Matrix:
    """W^+ P W transposed, W the whitening and P the projection on the whitened class gaps (LEACE, theorem 4.3)."""
    variances, axes = np.linalg.eigh(moments.covariance)
    kept = variances > _RANK * variances.max()
    roots, axes = np.sqrt(variances[kept]), axes[:, kept]
    cross = moments.gaps * (moments.counts / moments.users)[:, None]  # covariance of x with each class's indicator
    directions, sizes, _ = np.linalg.svd((cross @ axes / roots).T, full_matrices=False)
    basis = directions[:, sizes > _RANK * sizes.max()]
    return np.asarray((axes / roots) @ basis @ basis.T @ (axes * roots).T)


def expect_erasable(task: TaskManifest, targets: Targets, kind: str) -> None:
    """Checks before training that attributes known of such users can be erased from the task's model.

    Args:
        task: the manifest.
        targets: see `moments.joint`.
        kind: as in `erase`.

    Raises:
        ErasureError: as in `erase`.
    """
    widths = [math.prod(spec.shape) for spec in manifest.private(task)]
    if kind == TRANSPORT and not widths:
        raise ErasureError(f"{task.model} keeps no private state that could be transported: set erasure to auto")
    width = max(widths) if kind == TRANSPORT else sum(widths)  # each tensor by itself, or all together
    moments.expect_enough(int(targets.any(1).sum()), width or _latent_width(task))
    if kind == TRANSPORT:
        optimal_transport.expect_enough(targets)


def _latent_width(task: TaskManifest) -> int:
    recommender = RECOMMENDERS[task.model].model
    if contract.encoder(recommender) is None:
        raise ErasureError(
            f"{task.model} has neither private state nor an encoder to erase an attribute from. Run without erasure"
        )
    return next(iter(contract.states(recommender, task.tensors).values()))


def erase(
    private: Mapping[str, Column], targets: Targets, kind: str, seed: int
) -> tuple[dict[str, NDArray[np.float32]], float]:
    """Erases attributes from all private tensors, together; with `transport` from each by itself.

    Args:
        private: tensors by name, (users, ...).
        targets: see `moments.joint`; the state of users that it leaves out is changed as well, but for `transport`.
        kind: `Config.erasure`: `transport`, or a strength of LEACE, or `auto`.
        seed: of the division into folds.

    Returns:
        The changed tensors, and the strength, of several the mean.

    Raises:
        ErasureError: a class has no user in a fold, or too few altogether, or there are no more users than dimensions:
            the map would then write the attribute instead of erasing it.
    """
    if kind == TRANSPORT:
        return _transported(private, targets, seed)
    names = sorted(private)
    widths = [math.prod(private[name].shape[1:]) for name in names]
    flat = np.concatenate([block(private[name], 0, width) for name, width in zip(names, widths, strict=True)], axis=1)
    eraser = fit(moments.folds(flat, targets, seed), _strength(kind))
    parts = np.split(eraser(flat), np.cumsum(widths)[:-1], axis=1)
    return {name: part.reshape(private[name].shape) for name, part in zip(names, parts, strict=True)}, eraser.strength


def _transported(
    private: Mapping[str, Column], targets: Targets, seed: int
) -> tuple[dict[str, NDArray[np.float32]], float]:
    """Each tensor by itself: of fewer features the same users tell more. The strength is the mean of theirs."""
    erased, strengths = {}, []
    for name, column in private.items():
        moved, strength = optimal_transport.transport(block(column, 0, math.prod(column.shape[1:])), targets, seed)
        erased[name] = moved.reshape(column.shape)
        strengths.append(strength)
    return erased, float(np.mean(strengths))


def erase_latent(
    encoder: Encoder, shared: Tensors, latent: NDArray[np.float32], targets: Targets, kind: str, seed: int
) -> tuple[Tensors, float]:
    """Erases attributes from what an encoder gives: the map becomes part of its last layer, so devices need none.

    Args:
        encoder: the recommender.
        shared: the model's tensors.
        latent: the embeddings that they give, (users, latent).
        targets: see `moments.joint`; the latent of users that it leaves out is changed as well.
        kind: as in `erase`, but not `transport`.
        seed: of the division into folds.

    Returns:
        The changed tensors, and the strength.

    Raises:
        ErasureError: as in `erase`.
    """
    eraser = fit(moments.folds(latent, targets, seed), _strength(kind))
    taken = eraser.strength * eraser.removed
    return encoder.move_latent(shared, np.eye(len(taken)) - taken, eraser.mean @ taken), eraser.strength


def _strength(kind: str) -> float | None:
    return None if kind == "auto" else float(kind)
