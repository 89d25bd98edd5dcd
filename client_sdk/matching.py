"""Distribution matching: what a device computes from the statistics of a checkpoint, before it trains.

Features of a state x are `z / sqrt(width)` and `cos(p) / sqrt(D)`, `sin(p) / sqrt(D)`. z is x, whitened by the
published moments; p are D random frequencies times x, standardised. The kernel that they make (Rahimi and Recht, 2007)
sees a difference of means in every direction, however small, and other differences of the distributions besides.

The difference w of a class's mean features from everybody's is the direction that shows the class, its witness. A
device moves its state x so that no witness shows anything of it. The loss is

    v * sum over classes of share * (w . (features(x) - everybody's mean))^2 / |w|

v is the mean variance of the states, so that a weight means the same for small and for large states. Neither the loss
nor its gradient depends on the user's own class. So training cannot write the class into the state, and a user
without a known class is moved like everybody else. The users of a class are, on average, where its witness shows most,
so the classes' means come together, and the distance of the distributions (the squared MMD) shrinks.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from client_sdk.plan import MatchingPlan
from fedau2 import principal
from fedau2.wire import matchings

Array = NDArray[np.float32]

_BANDWIDTHS = (0.5, 1.0, 2.0)
"""Widths of the kernels that are added up, in the plan's bandwidth."""

NOBODY = -1
"""The class number of a client that takes no part in a run of the training graph."""


@dataclass(frozen=True, eq=False)
class Published:
    """The part of a checkpoint that one matching publishes.

    Attributes:
        centre: mean of everybody's states, (width,).
        map: from a state less the centre to its linear features and its phases, (width, width + frequencies).
        witness: by class, and then of users whose class is not known: w, of such length that the loss is half the sum
            of squared products with it, (classes + 1, width + 2 * frequencies). A class without users has 0.
        offset: products of the witnesses with everybody's mean features, (classes + 1,).
        live: 1 if there are moments, so that features can be computed, else 0.
        inverse: 1 over the unit in which moments are summed; 0 if it is not known yet, and then none are.
    """

    centre: Array
    map: Array
    witness: Array
    offset: Array
    live: np.float32
    inverse: np.float32

    @classmethod
    def of(cls, plan: MatchingPlan, tensors: Mapping[str, Array]) -> "Published":
        """Reads the tensors of a checkpoint."""
        moments = tensors[matchings.moments(plan.name)].astype(np.float64)
        means = tensors[matchings.means(plan.name)].astype(np.float64)
        width, unit = len(moments) - 1, matchings.unit(tensors[matchings.scale(plan.name)])
        inverse = np.float32(1 / unit if unit else 0)
        features = np.zeros((width, width + plan.frequencies), np.float32)
        if not moments[0, 0] > 0:
            empty = np.zeros(width, np.float32), features, np.zeros_like(means[:, 1:], np.float32)
            return cls(*empty, np.zeros(len(means), np.float32), np.float32(0), inverse)
        mean = moments[0, 1:] / moments[0, 0]
        covariance = moments[1:, 1:] / moments[0, 0] - np.outer(mean, mean)
        features[:, :width] = whitening(covariance, plan.ridge) / math.sqrt(width)
        spread = np.sqrt(np.maximum(np.diag(covariance), 0) + plan.ridge * _mean_variance(covariance))
        features[:, width:] = (frequencies(plan, width) / spread).T
        root = math.sqrt(_mean_variance(covariance))
        witness, offset = ((root * part).astype(np.float32) for part in _witness(means))
        return cls(mean.astype(np.float32), features, witness, offset, np.float32(1), inverse)


def whitening(covariance: NDArray[np.float64], ridge: float) -> NDArray[np.float64]:
    """Returns the symmetric matrix that whitens states, (width, width); `ridge` is in mean variances."""
    values, vectors = principal.axes(covariance)
    root = np.sqrt(np.maximum(values, 0) + ridge * _mean_variance(covariance))
    whitened: NDArray[np.float64] = (vectors / root) @ vectors.T
    return whitened


def _mean_variance(covariance: NDArray[np.float64]) -> float:
    return max(float(np.trace(covariance)) / len(covariance), 1e-12)


def frequencies(plan: MatchingPlan, width: int) -> NDArray[np.float64]:
    """Draws the public frequencies, (frequencies, width): normal, a third of them for each of the bandwidths."""
    rng = np.random.Generator(np.random.Philox(key=plan.seed))
    scales = plan.bandwidth * np.resize(_BANDWIDTHS, plan.frequencies) * math.sqrt(width)
    drawn: NDArray[np.float64] = rng.standard_normal((plan.frequencies, width)) / scales[:, None]
    return drawn


def _witness(means: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Returns witnesses and offsets; 0 for a class whose share is not above 0."""
    shares = np.maximum(means[:, :1], 0)
    total = float(shares.sum())
    if not total > 0:
        return np.zeros(means[:, 1:].shape), np.zeros(len(means))
    present = shares > 0
    everybody = np.where(present, means[:, 1:], 0).sum(0) / total
    apart = np.where(present, means[:, 1:] / np.where(present, shares, 1) - everybody, 0.0)
    length = np.maximum(np.linalg.norm(apart, axis=1, keepdims=True), 1e-12)
    witness = apart * np.sqrt(2 * shares / total / length)
    return witness, witness @ everybody
