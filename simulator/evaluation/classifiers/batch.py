"""Many fits of one kind at once: the users that they learn from, and those whose classes they predict."""

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

Features = NDArray[np.floating]
Labels = NDArray[np.int64]

_ROUNDING = 1e-9
"""Smallest spread of a feature, relative to its mean, that is not rounding."""


@dataclass(frozen=True, eq=False)
class Batch:
    """The users of B fits. All fits have as many users and features.

    Attributes:
        train: features to learn from, (B, n, width).
        labels: class numbers of the same users, (B, n).
        test: features of the users whose classes are predicted, (B, m, width).
        seeds: a seed for each fit, (B,).
        classes: number of classes.
    """

    train: Features
    labels: Labels
    test: Features
    seeds: NDArray[np.int64]
    classes: int

    @property
    def columns(self) -> int:
        """Number of outputs of a fit: one for two classes, and else one for each class."""
        return 1 if self.classes == 2 else self.classes

    def targets(self) -> Features:
        """Returns the outputs that would be right, 0 or 1: (B, n, columns)."""
        right = np.array([1]) if self.classes == 2 else np.arange(self.classes)
        targets: Features = np.equal(self.labels[..., None], right).astype(self.train.dtype)
        return targets

    def guesses(self, outputs: Features) -> Labels:
        """Returns the class numbers that outputs mean, (..., columns) to (...): one output is the logit of class 1."""
        numbers = outputs[..., 0] > 0 if self.classes == 2 else outputs.argmax(-1)
        return numbers.astype(np.int64)

    def only(self, fits: NDArray[np.int64] | NDArray[np.bool_]) -> Self:
        """Returns some of the fits."""
        return type(self)(self.train[fits], self.labels[fits], self.test[fits], self.seeds[fits], self.classes)

    def centred(self) -> Self:
        """Returns the batch with features of mean 0 over each fit's `train`."""
        mean = self.train.mean(1, keepdims=True)
        return type(self)(self.train - mean, self.labels, self.test - mean, self.seeds, self.classes)

    def single(self) -> Self:
        """Returns the batch with features of single precision."""
        train, test = self.train.astype(np.float32), self.test.astype(np.float32)
        return type(self)(train, self.labels, test, self.seeds, self.classes)

    def standardised(self) -> Self:
        """Returns the batch with features of mean 0 and deviation 1 over each fit's `train`."""
        mean, spread = self.train.mean(1, keepdims=True), self.train.std(1, keepdims=True)
        spread[spread <= _ROUNDING * np.abs(mean)] = 1
        train, test = (self.train - mean) / spread, (self.test - mean) / spread
        return type(self)(train, self.labels, test, self.seeds, self.classes)


@dataclass(frozen=True, eq=False)
class Guesses:
    """The statements of an attacker on the test users of a batch.

    Attributes:
        outputs: of each of its families, (families, B, m, columns).
        chosen: the family that each fit goes by, (B,).
    """

    outputs: Features
    chosen: Labels


def likely(outputs: Features) -> Features:
    """Computes the probabilities that outputs mean, (..., columns): of class 1, or of each class."""
    if outputs.shape[-1] == 1:
        return np.asarray(0.5 + 0.5 * np.tanh(0.5 * outputs))
    powers = np.exp(outputs - outputs.max(-1, keepdims=True))
    return np.asarray(powers / powers.sum(-1, keepdims=True))
