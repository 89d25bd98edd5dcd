"""The strong attacker: the best of several families, chosen in each fit by cross-validation."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sklearn.model_selection import StratifiedKFold

from simulator.evaluation.classifiers import boosting, networks, regressions, support_vectors
from simulator.evaluation.classifiers.batch import Batch, Guesses

FOLDS = 3
"""Folds of the cross-validation."""

Numbers = NDArray[np.int64]


@dataclass(frozen=True)
class Family:
    """Classifiers that are computed together.

    Attributes:
        names: of the classifiers; several settings of one kind have one name.
        predict: predicts the classes of a standardised batch, (classifiers, B, m).
    """

    names: tuple[str, ...]
    predict: Callable[[Batch], Numbers]


def _one(predict: Callable[[Batch], Numbers]) -> Callable[[Batch], Numbers]:
    return lambda batch: predict(batch)[None]


FAMILIES = (
    Family(("logistic_regression",) * len(regressions.STRENGTHS) + ("whitened_regression",), regressions.predict),
    Family(("mlp",), _one(networks.SMALL.predict)),
    Family(("rbf_svm",), _one(support_vectors.predict)),
    Family(("gradient_boosting",), _one(boosting.predict)),
)

NAMES = tuple(name for family in FAMILIES for name in family.names)
"""Names of all classifiers, in order."""


def predict(batch: Batch) -> Guesses:
    """Guesses by the classifier that is right most often in cross-validation on `train`, fitted again on all of it."""
    chosen = _right(batch).argmax(0)
    of_all = _guesses(batch)
    return Guesses(of_all[chosen, np.arange(len(chosen))], [NAMES[number] for number in chosen], of_all)


def _guesses(batch: Batch) -> Numbers:
    """Fits all classifiers, and guesses: (classifiers, B, m)."""
    standardised = batch.standardised()
    return np.concatenate([family.predict(standardised) for family in FAMILIES])


def _right(batch: Batch) -> NDArray[np.float64]:
    """Computes the accuracy of each classifier in cross-validation: (classifiers, B), the mean over folds."""
    accuracy = np.zeros((len(NAMES), len(batch.seeds)))
    for fold in range(FOLDS):
        part, expected = _held_out(batch, fold)
        accuracy += (_guesses(part) == expected).mean(2) / FOLDS
    return accuracy


def _held_out(batch: Batch, fold: int) -> tuple[Batch, Numbers]:
    """Holds a fold out of each fit's `train`; returns the rest, to predict the fold, and the fold's classes."""
    folds = [list(StratifiedKFold(FOLDS).split(labels, labels))[fold] for labels in batch.labels]
    kept, held = (np.stack(rows) for rows in zip(*folds, strict=True))
    fits = np.arange(len(folds))[:, None]
    part = Batch(batch.train[fits, kept], batch.labels[fits, kept], batch.train[fits, held], batch.seeds, batch.classes)
    return part, batch.labels[fits, held]
