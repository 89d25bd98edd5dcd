"""Erases attributes from user state by a linear map that is fitted from sums over users (LEACE, arXiv 2306.03819).

The affine map `x - strength * (x - mean) M` with strength 1 is the smallest change of x after which no linear attacker
can read the attribute from the users that the map was fitted on. For other users it overshoots if there are few users
per dimension: it exchanges the classes of held-out users, which leaks as much. `auto` finds a strength in between.
A map of strength below 1 can be inverted, so it hides the attribute only from attackers who do not whiten.
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
from fedau2.erasing import folds as comparing
from fedau2.erasing import leace
from fedau2.v1.task_pb2 import TaskManifest
from fedau2.wire import manifest
from fedau2.wire.blobs import Tensors
from simulator.errors import ErasureError
from simulator.population.columns import Column, block
from simulator.unlearning import alignment, moments, optimal_transport
from simulator.unlearning.moments import Matrix, Moments, Targets

TRANSPORT = "transport"
"""The kind of erasure that is not LEACE; see `simulator.unlearning.optimal_transport`."""

ALIGNMENT = "alignment"
"""A kind of erasure without a map; see `simulator.unlearning.alignment`."""

MAPLESS = (ALIGNMENT, "d2d", "u2u")
"""The kinds that move each user by itself; the last two are of `simulator.unlearning.post_training`."""


@dataclass(frozen=True, eq=False)
class Eraser:
    """A fitted map.

    Attributes:
        mean: the users' mean, (width,).
        removed: the matrix M, (width, width), which gives the part of `x - mean` to remove.
        strength: share of that part that is removed, 0 to 1.
    """

    mean: Matrix
    removed: Matrix
    strength: float

    def __call__(self, features: NDArray[np.float32]) -> NDArray[np.float32]:
        """Erases the attribute from features (users, width)."""
        x = features.astype(np.float64)
        return (x - self.strength * (x - self.mean) @ self.removed).astype(np.float32)

    def inverted(self, features: NDArray[np.floating]) -> Matrix:
        """Returns the features before the map, as far as it can be undone."""
        undo = np.linalg.pinv(np.eye(len(self.mean)) - self.strength * self.removed)
        return np.asarray(self.mean + (features - self.mean) @ undo)


def fit(folds: Sequence[Moments], strength: float | None) -> Eraser:
    """Fits the map to all folds together.

    Args:
        folds: moments of parts of the users, at least two parts if no strength is given.
        strength: strength of the map, 0 to 1. By default the one at which the class gaps of a fold do not predict those
            of another fold.

    Raises:
        ErasureError: a class has no user in a fold, or there are no more users than dimensions, so that the map would
            write the attribute instead of erasing it.
    """
    moments.expect_every_class(folds)
    whole = reduce(add, folds)
    moments.expect_enough(whole.users, len(whole.mean))
    removed = leace.removed(whole.covariance, whole.gaps, whole.counts / whole.users)
    if strength is None:
        gaps = [fold.gaps for fold in folds]
        strength = comparing.strength(gaps, [gap @ removed for gap in gaps], np.sqrt(np.diag(whole.covariance)))
    return Eraser(whole.mean, removed, strength)


def expect_erasable(task: TaskManifest, targets: Targets, kind: str) -> None:
    """Checks before training that attributes can be erased from the task's model.

    Args:
        task: the manifest.
        targets: see `moments.joint`.
        kind: as in `erase`.

    Raises:
        ErasureError: as in `erase`.
    """
    widths = [math.prod(spec.shape) for spec in manifest.private(task)]
    moves_users = kind in (TRANSPORT, *MAPLESS)
    if moves_users and not widths:
        raise ErasureError(f"{task.model} has no private state that {kind} could move: set erasure to auto")
    # Transport fits each tensor by itself, the others all together.
    width = max(widths) if kind == TRANSPORT else sum(widths)
    moments.expect_enough(int(targets.any(1).sum()), width or _latent_width(task))
    if moves_users:
        optimal_transport.expect_enough(targets)


def _latent_width(task: TaskManifest) -> int:
    recommender = RECOMMENDERS[task.model].model
    if contract.encoder(recommender) is None:
        raise ErasureError(
            f"{task.model} has neither private state nor an encoder to erase an attribute from: set erasure to none"
        )
    return next(iter(contract.states(recommender, task.tensors).values()))


def erase(
    private: Mapping[str, Column], targets: Targets, kind: str, seed: int
) -> tuple[dict[str, NDArray[np.float32]], float]:
    """Erases attributes from the private tensors: from all together, or with `transport` from each by itself.

    Args:
        private: tensors by name, (users, ...).
        targets: see `moments.joint`. Users without a class are not fitted on. LEACE changes their state as well, and
            the others do not.
        kind: `transport`, `alignment`, a strength of LEACE, or `auto`, as in `Config.erasure`.
        seed: seed of the division into folds.

    Returns:
        The changed tensors, and the strength: the mean if there are several, and 1 for `alignment`, which has none.

    Raises:
        ErasureError: a class has too few users or none in a fold, or there are no more users than dimensions, so that
            the map would write the attribute instead of erasing it.
    """
    if kind == TRANSPORT:
        return _transported(private, targets, seed)
    if kind == ALIGNMENT:
        return separated(alignment.align(joined(private), targets), private), 1.0
    eraser = fit(moments.folds(joined(private), targets, seed), strength_of(kind))
    return separated(eraser(joined(private)), private), eraser.strength


def joined(private: Mapping[str, Column]) -> NDArray[np.float32]:
    """Puts all private tensors side by side, (users, width), in the order of their names."""
    return np.concatenate([block(private[name], 0, math.prod(private[name].shape[1:])) for name in sorted(private)], 1)


def separated(features: NDArray[np.float32], private: Mapping[str, Column]) -> dict[str, NDArray[np.float32]]:
    """Takes features that lie as in `joined` apart into tensors of the same names and shapes."""
    names = sorted(private)
    widths = [math.prod(private[name].shape[1:]) for name in names]
    parts = np.split(features, np.cumsum(widths)[:-1], axis=1)
    return {name: part.reshape(private[name].shape) for name, part in zip(names, parts, strict=True)}


def _transported(
    private: Mapping[str, Column], targets: Targets, seed: int
) -> tuple[dict[str, NDArray[np.float32]], float]:
    """Transports each tensor by itself, since the fit needs more users for more features."""
    erased, strengths = {}, []
    for name, column in private.items():
        moved, strength = optimal_transport.transport(block(column, 0, math.prod(column.shape[1:])), targets, seed)
        erased[name] = moved.reshape(column.shape)
        strengths.append(strength)
    return erased, float(np.mean(strengths))


def erase_latent(
    encoder: Encoder, shared: Tensors, latent: NDArray[np.float32], targets: Targets, kind: str, seed: int
) -> tuple[Tensors, float]:
    """Erases attributes from an encoder's latent: the map becomes part of the last layer, so devices change nothing.

    Args:
        encoder: the recommender.
        shared: the model's shared tensors.
        latent: the users' embeddings by these tensors, (users, latent).
        targets: see `moments.joint`; the latent of users without a class changes as well.
        kind: as in `erase`, but not `transport` or `alignment`.
        seed: seed of the division into folds.

    Returns:
        The changed tensors, and the strength.

    Raises:
        ErasureError: as in `erase`.
    """
    eraser = fit(moments.folds(latent, targets, seed), strength_of(kind))
    removed = eraser.strength * eraser.removed
    return encoder.move_latent(shared, np.eye(len(removed)) - removed, eraser.mean @ removed), eraser.strength


def strength_of(kind: str) -> float | None:
    """Returns the strength of LEACE that a kind names; None for `auto`."""
    return None if kind == "auto" else float(kind)
