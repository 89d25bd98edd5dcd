"""Gradient boosting, many fits at once: trees of three levels on features that are divided into bins."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from simulator.evaluation.classifiers.batch import Batch, Features, likely

ROUNDS, LEVELS, RATE = 20, 3, 0.15

BINS = 32
"""Bins of a feature. They hold equally many of the users to learn from."""

FEATURES = 0.25
"""Share of the features, drawn anew for each level of a tree, by which its nodes may be split."""

FEWEST = 20
"""Least number of users in a leaf."""

Codes = NDArray[np.uint8]
Numbers = NDArray[np.int64]


def predict(batch: Batch) -> Features:
    """Boosts trees for each fit; returns the outputs of the test users, (1, B, m, columns)."""
    train, test = _codes(batch)
    generators = [np.random.default_rng(seed) for seed in batch.seeds]
    targets = batch.targets()
    scores, outputs = np.zeros_like(targets), np.zeros((*test.shape[:2], batch.columns))
    for _ in range(ROUNDS):
        shares = likely(scores)
        for column in range(batch.columns):
            features = _drawn(generators, batch.train.shape[2])
            errors, curvature = targets - shares, shares * (1 - shares)
            grown, fallen = _grow(train, test, errors[..., column], features)
            values = _leaf_values(grown, errors[..., column], curvature[..., column])
            scores[..., column] += np.take_along_axis(values, grown, 1)
            outputs[..., column] += np.take_along_axis(values, fallen, 1)
    return outputs[None]


def _codes(batch: Batch) -> tuple[Codes, Codes]:
    """Replaces features by the numbers of their bins."""
    users = batch.train.shape[1]
    places = np.arange(1, BINS) * users // BINS
    edges = np.sort(batch.train, axis=1)[:, places]
    train, test = (np.zeros(part.shape, np.uint8) for part in (batch.train, batch.test))
    for number in range(len(places)):
        edge = edges[:, number, None]
        train += batch.train >= edge
        test += batch.test >= edge
    return train, test


def _drawn(generators: Sequence[np.random.Generator], width: int) -> Numbers:
    """Draws the features by which the levels of a tree may be split, (levels, B, f)."""
    size = max(1, round(FEATURES * width))
    return np.stack([rng.random((LEVELS, width)).argsort(1)[:, :size] for rng in generators], axis=1)


def _grow(train: Codes, test: Codes, errors: Features, features: Numbers) -> tuple[Numbers, Numbers]:
    """Grows a tree for each fit; returns the leaves of the users to learn from, (B, n), and of the others, (B, m)."""
    nodes, fallen = (np.zeros(part.shape[:2], np.int64) for part in (train, test))
    for level in range(LEVELS):
        chosen = features[level]
        feature, edge = _split(np.take_along_axis(train, chosen[:, None], 2), nodes, 2**level, errors)
        feature = np.take_along_axis(chosen, feature, 1)
        nodes, fallen = (_descend(*part, feature, edge) for part in ((train, nodes), (test, fallen)))
    return nodes, fallen


def _descend(codes: Codes, nodes: Numbers, feature: Numbers, edge: Numbers) -> Numbers:
    """Moves users to the child of their node: the second, if the node's feature is beyond its edge."""
    asked = np.take_along_axis(feature, nodes, 1)[..., None]
    beyond = np.take_along_axis(codes, asked, 2)[..., 0] > np.take_along_axis(edge, nodes, 1)
    return 2 * nodes + beyond


def _split(codes: Codes, nodes: Numbers, many: int, errors: Features) -> tuple[Numbers, Numbers]:
    """Finds the split of each node that explains most of the errors.

    Args:
        codes: of the features that may be used, (B, n, f).
        nodes: of the users, (B, n).
        many: number of nodes.
        errors: of the users, (B, n).

    Returns:
        Feature and last bin of the first child, both (B, many). If no split leaves enough users on both sides, the
        last bin is that of all users.
    """
    fits, _, width = codes.shape
    places = (nodes + many * np.arange(fits)[:, None])[..., None] * width + np.arange(width)
    places = (places * BINS + codes).ravel()
    shape = (fits, many, width, BINS)
    size = fits * many * width * BINS
    left = np.bincount(places, minlength=size).reshape(shape).cumsum(3)
    weights = np.repeat(errors.ravel(), width)
    left_errors = np.bincount(places, weights, minlength=size).reshape(shape).cumsum(3)
    right, right_errors = left[..., -1:] - left, left_errors[..., -1:] - left_errors
    gain = left_errors**2 / np.maximum(left, 1) + right_errors**2 / np.maximum(right, 1)
    gain[(left < FEWEST) | (right < FEWEST)] = -1
    gain[..., -1] = 0
    best = gain.reshape(fits, many, -1).argmax(2)
    return best // BINS, best % BINS


def _leaf_values(leaves: Numbers, errors: Features, curvature: Features) -> Features:
    """Computes the step of Newton's method in each leaf, times the rate: (B, leaves)."""
    fits, many = len(leaves), 2**LEVELS
    places = (leaves + many * np.arange(fits)[:, None]).ravel()
    above, below = (
        np.bincount(places, part.ravel(), minlength=fits * many).reshape(fits, many) for part in (errors, curvature)
    )
    values: Features = RATE * above / np.maximum(below, 1e-9)
    return values
