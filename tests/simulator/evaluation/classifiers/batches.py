"""Batches of fits whose classes are a function of a few features, for tests of classifiers."""

import numpy as np

from simulator.evaluation.classifiers.batch import Batch


def linear(x):
    return x[..., 0] > x[..., 1]


def radial(x):
    return (x[..., :3] ** 2).sum(-1) > 2.4


def exclusive(x):
    return x[..., 0] * x[..., 1] > 0


def batch_of(signal=linear, *, fits=3, users=120, width=6, classes=2, seed=0, noise=0.0):
    """Makes a batch; a share `noise` of the users' classes is drawn at random."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(fits, users + 60, width))
    y = signal(x).astype(np.int64)
    y = y + (y > 0) * (x[..., 2] > 0) if classes > 2 else y
    y = np.where(rng.random(y.shape) < noise, rng.integers(0, classes, y.shape), y)
    batch = Batch(x[:, :users], y[:, :users], x[:, users:], rng.integers(2**31, size=fits), classes)
    return batch.standardised(), y[:, users:]


def accuracy(guesses, expected):
    return float((guesses == expected).mean())


def guesses_of(predict, batch):
    """The guesses of the first of a kind's settings, (B, m)."""
    return batch.guesses(predict(batch))[0]
