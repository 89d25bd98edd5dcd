"""Gaussian discriminants with shrunk covariances: the linear one, and the quadratic one.

Covariances are shrunk towards one that is the same in all directions. On whitened features this is the covariance of
all users, so no invertible linear map of the state changes what is read.
"""

from collections.abc import Sequence

import numpy as np

from simulator.evaluation.classifiers.batch import Batch, Features

LINEAR = (0.03, 0.3, 1.0)
"""Shares of the linear discriminants' covariance that are alike in all directions; with 1 only the means count."""

QUADRATIC = (0.3, 0.6, 0.9)
"""The same shares of the quadratic discriminants' covariances, one for each class."""


def linear(batch: Batch) -> Features:
    """Fits linear discriminants; returns the outputs of the test users, (shares, B, m, columns)."""
    means, centred = _classes(batch)
    covariance = sum(part.mT @ part for part in centred) / batch.train.shape[1]
    stacked = np.stack(means, axis=2)
    outputs = []
    for share in LINEAR:
        weights = np.linalg.solve(_shrunk(covariance, share), stacked)
        outputs.append(batch.test @ weights - (weights * stacked).sum(1, keepdims=True) / 2)
    return _columns(np.stack(outputs), batch)


def quadratic(batch: Batch) -> Features:
    """Fits quadratic discriminants; returns the outputs of the test users, (shares, B, m, columns)."""
    means, centred = _classes(batch)
    covariances = [part.mT @ part / part.shape[1] for part in centred]
    outputs = [
        np.stack([_likelihoods(batch.test - mean[:, None], _shrunk(covariance, share)) for mean, covariance in fitted])
        for share in QUADRATIC
        for fitted in [list(zip(means, covariances, strict=True))]
    ]
    return _columns(np.moveaxis(np.stack(outputs), 1, -1), batch)


def _likelihoods(apart: Features, covariance: Features) -> Features:
    """Computes log-likelihoods by distances from a mean, up to a constant, (B, m)."""
    roots = np.linalg.cholesky(covariance)
    squares = np.square(np.linalg.solve(roots, apart.mT)).sum(1)
    logarithms = np.log(np.diagonal(roots, axis1=1, axis2=2)).sum(1)
    likelihoods: Features = -squares / 2 - logarithms[:, None]
    return likelihoods


def _classes(batch: Batch) -> tuple[Sequence[Features], Sequence[Features]]:
    """Returns the mean of each class, (B, width), and its users' features less the mean, (B, users, width)."""
    order = np.argsort(batch.labels, axis=1, kind="stable")
    ordered = np.take_along_axis(batch.train, order[..., None], 1)
    ends = np.cumsum(np.bincount(batch.labels[0], minlength=batch.classes))[:-1]
    parts = np.split(ordered, ends, axis=1)
    means = [part.mean(1) for part in parts]
    return means, [part - mean[:, None] for part, mean in zip(parts, means, strict=True)]


def _shrunk(covariance: Features, share: float) -> Features:
    width = covariance.shape[-1]
    size = np.trace(covariance, axis1=1, axis2=2) / width
    size = np.maximum(size, np.finfo(np.float32).tiny)[:, None, None]
    shrunk: Features = (1 - share) * covariance + share * size * np.eye(width)
    return shrunk


def _columns(outputs: Features, batch: Batch) -> Features:
    """Returns the outputs that stand for those of all classes, (..., classes) to (..., columns)."""
    return outputs[..., 1:] - outputs[..., :1] if batch.columns == 1 else outputs
