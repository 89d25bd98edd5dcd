"""Networks with one hidden layer, many at once, trained as scikit-learn's `MLPClassifier` trains them by Adam."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from simulator.evaluation.classifiers.batch import Batch, Features, likely

_GAIN, _PATIENCE = 1e-4, 10
"""A network ends after more epochs than this in which its loss did not fall by the gain."""

_FADE, _FADE_OF_SQUARES, _TINY = 0.9, 0.999, 1e-8
"""Adam's constants."""


@dataclass(frozen=True)
class Network:
    """The settings of a network.

    Attributes:
        hidden: number of hidden units.
        decay: times the sum of squared weights, over twice the users of a step, it is added to the loss.
        rate: learning rate.
        epochs: most passes over the users.
        users: of a step; None: all of them.
    """

    hidden: int
    decay: float
    rate: float
    epochs: int
    users: int | None = None

    def predict(self, batch: Batch) -> Features:
        """Trains a network for each fit; returns the outputs of the test users, (1, B, m, columns)."""
        width = batch.train.shape[2]
        sizes = (width * self.hidden, self.hidden, self.hidden * batch.columns, batch.columns)
        generators = [np.random.RandomState(seed) for seed in batch.seeds]
        bounds = np.sqrt([6 / (width + self.hidden)] * 2 + [6 / (self.hidden + batch.columns)] * 2)
        weights = np.stack([_drawn(rng, bounds, sizes) for rng in generators]).astype(batch.train.dtype)
        self._train(weights, batch, generators)
        outputs, _ = self._forward(weights, batch.test)
        return outputs[None]

    def _train(self, weights: Features, batch: Batch, generators: list[np.random.RandomState]) -> None:
        """Changes the weights, (B, P)."""
        fits = np.arange(len(weights))  # that go on
        learner = _Adam(weights, self.rate)
        best, idle = np.full(len(fits), np.inf), np.zeros(len(fits), np.int64)
        train, targets = batch.train, batch.targets()
        for _ in range(self.epochs):
            loss = np.zeros(len(fits))
            for part in self._parts(train, targets, [generators[fit] for fit in fits]):
                lost, gradient = self._backward(learner.weights, *part)
                loss += lost * (part[0].shape[1] / train.shape[1])
                learner.step(gradient)
            idle = np.where(loss > best - _GAIN, idle + 1, 0)
            best = np.minimum(best, loss)
            if (done := idle > _PATIENCE).any():
                weights[fits[done]] = learner.weights[done]
                fits, best, idle = fits[~done], best[~done], idle[~done]
                train, targets = train[~done], targets[~done]
                learner.keep(~done)
            if not len(fits):
                return
        weights[fits] = learner.weights

    def _parts(
        self, train: Features, targets: Features, generators: list[np.random.RandomState]
    ) -> Iterator[tuple[Features, Features]]:
        """Divides the users of every fit at random: features and targets of each step of an epoch."""
        users = train.shape[1]
        size = self.users or users
        if users <= size:
            yield train, targets
            return
        order = np.stack([rng.permutation(users) for rng in generators])
        fits = np.arange(len(train))[:, None]
        for start in range(0, users, size):
            rows = order[:, start : start + size]
            yield train[fits, rows], targets[fits, rows]

    def _layers(self, weights: Features, width: int) -> tuple[Features, Features, Features, Features]:
        """Views of flat weights: those of the hidden layer, its biases, and the same of the outputs."""
        fits, hidden = len(weights), self.hidden
        ends = np.cumsum([width * hidden, hidden])
        columns = (weights.shape[1] - ends[1]) // (hidden + 1)
        first, biases, second, last = np.split(weights, [*ends, ends[1] + hidden * columns], axis=1)
        return first.reshape(fits, width, hidden), biases[:, None], second.reshape(fits, hidden, columns), last[:, None]

    def _forward(self, weights: Features, features: Features) -> tuple[Features, Features]:
        """Computes the outputs, (B, n, columns), and the hidden units, (B, n, hidden)."""
        first, biases, second, last = self._layers(weights, features.shape[2])
        units = features @ first
        units += biases
        np.maximum(units, 0, out=units)
        return units @ second + last, units

    def _backward(self, weights: Features, features: Features, targets: Features) -> tuple[Features, Features]:
        """Computes the loss of each fit, (B,), and its gradient, (B, P)."""
        users = features.shape[1]
        outputs, units = self._forward(weights, features)
        loss, errors = _cross_entropy(outputs, targets)
        errors /= users
        first, _, second, _ = self._layers(weights, features.shape[2])
        gradient = np.empty_like(weights)
        of_first, of_biases, of_second, of_last = self._layers(gradient, features.shape[2])
        at_units = errors @ second.mT
        at_units *= units > 0
        decay = self.decay / users
        of_first[...] = features.mT @ at_units
        of_first += decay * first
        of_second[...] = units.mT @ errors + decay * second
        of_biases[...], of_last[...] = at_units.sum(1, keepdims=True), errors.sum(1, keepdims=True)
        squares = np.square(first).sum((1, 2)) + np.square(second).sum((1, 2))
        return loss + decay / 2 * squares, gradient


class _Adam:
    """Adam's state for flat weights, (B, P), which it changes."""

    def __init__(self, weights: Features, rate: float) -> None:
        self.weights, self._rate, self._steps = weights.copy(), rate, 0
        self._mean, self._square = np.zeros_like(weights), np.zeros_like(weights)

    def step(self, gradient: Features) -> None:
        self._steps += 1
        self._mean *= _FADE
        self._mean += (1 - _FADE) * gradient
        self._square *= _FADE_OF_SQUARES
        gradient *= gradient
        gradient *= 1 - _FADE_OF_SQUARES
        self._square += gradient
        rate = self._rate * np.sqrt(1 - _FADE_OF_SQUARES**self._steps) / (1 - _FADE**self._steps)
        scale = np.sqrt(self._square, out=gradient)
        scale += _TINY
        np.divide(self._mean, scale, out=scale)
        scale *= rate
        self.weights -= scale

    def keep(self, fits: NDArray[np.bool_]) -> None:
        self.weights, self._mean, self._square = self.weights[fits], self._mean[fits], self._square[fits]


def _drawn(rng: np.random.RandomState, bounds: NDArray[np.float64], sizes: tuple[int, ...]) -> Features:
    return np.concatenate([rng.uniform(-bound, bound, size) for bound, size in zip(bounds, sizes, strict=True)])


def _cross_entropy(outputs: Features, targets: Features) -> tuple[Features, Features]:
    """Computes the mean loss over users, (B,), and the errors of the outputs, (B, n, columns)."""
    errors = likely(outputs) - targets
    if outputs.shape[2] == 1:
        return (np.logaddexp(0, outputs) - targets * outputs).mean((1, 2)), errors
    highest = outputs.max(2)
    total = highest + np.log(np.exp(outputs - highest[..., None]).sum(2))
    return (total - (targets * outputs).sum(2)).mean(1), errors


PAPER = Network(hidden=100, decay=1.0, rate=0.1, epochs=500, users=200)
"""The paper's attacker."""

SMALL = tuple(Network(hidden=32, decay=decay, rate=0.05, epochs=25) for decay in (10.0, 100.0))
"""The networks of the strong attacker."""


def tuned(batch: Batch) -> Features:
    """Trains all networks of `SMALL`; returns the outputs of the test users, (networks, B, m, columns)."""
    single = batch.single()  # twice as fast, and no network is as exact
    return np.concatenate([network.predict(single) for network in SMALL])
