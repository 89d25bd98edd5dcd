"""The strong attacker: many families of classifiers, each on standardised features, on whitened ones or on both.

The setting of a family, and the family that the attacker goes by, are chosen in each fit by cross-validation among the
users to learn from.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sklearn.model_selection import StratifiedKFold

from simulator.evaluation.classifiers import (
    boosting,
    discriminants,
    neighbours,
    networks,
    regressions,
    support_vectors,
)
from simulator.evaluation.classifiers.batch import Batch, Features, Guesses

FOLDS = 3
"""Folds of the cross-validation."""

Numbers = NDArray[np.int64]


@dataclass(frozen=True)
class Family:
    """Classifiers of one kind with several settings.

    Attributes:
        name: of the family.
        whitened: True for whitened features, and False for standardised ones.
        predict: fits all settings to a batch; returns the outputs of its test users, (settings, B, m, columns).
    """

    name: str
    whitened: bool
    predict: Callable[[Batch], Features]


LINEAR = (
    Family("logistic_regression", False, regressions.predict),
    Family("whitened_logistic_regression", True, regressions.predict),
    Family("linear_discriminant", False, discriminants.linear),
    Family("whitened_linear_discriminant", True, discriminants.linear),
)
"""The families that cost least."""

FAMILIES = (
    *LINEAR,
    Family("whitened_quadratic_discriminant", True, discriminants.quadratic),
    Family("whitened_neighbours", True, neighbours.predict),
    Family("mlp", False, networks.tuned),
    Family("whitened_mlp", True, networks.tuned),
    Family("rbf_svm", False, support_vectors.predict),
    Family("whitened_rbf_svm", True, support_vectors.predict),
    Family("gradient_boosting", False, boosting.predict),
    Family("whitened_gradient_boosting", True, boosting.predict),
)
"""All families."""


@dataclass(frozen=True)
class Strong:
    """An attacker who has several families to choose from.

    Attributes:
        families: the families.
    """

    families: tuple[Family, ...] = FAMILIES

    def predict(self, features: Batch, whitened: Batch) -> Guesses:
        """Fits all families to `train`, each in the setting that says most in cross-validation.

        Args:
            features: the features, standardised or not.
            whitened: the whitened features of the same users.

        Returns:
            The outputs of all families, and for each fit the family that is right most often in cross-validation.
        """
        right = self._right(features, whitened)
        # A setting that is reliably wrong says as much as one that is right.
        said = [np.abs(part - 0.5) if features.classes == 2 else part for part in right]
        settings = [part.argmax(0) for part in said]
        fits = np.arange(len(features.seeds))
        outputs = [
            part[setting, fits] for part, setting in zip(self._outputs(features, whitened), settings, strict=True)
        ]
        reached = np.stack([part[setting, fits] for part, setting in zip(right, settings, strict=True)])
        return Guesses(np.stack(outputs), reached.argmax(0))

    def _outputs(self, features: Batch, whitened: Batch) -> list[Features]:
        """Fits all settings of all families: outputs of the test users, (settings, B, m, columns) of each family."""
        standardised = features.standardised()
        centred = whitened.centred()
        return [family.predict(centred if family.whitened else standardised) for family in self.families]

    def _right(self, features: Batch, whitened: Batch) -> list[NDArray[np.float64]]:
        """Computes the accuracy in cross-validation: (settings, B) of each family, the mean over folds."""
        folds = []
        for fold in range(FOLDS):
            parts, expected = zip(*(_held_out(batch, fold) for batch in (features, whitened)), strict=True)
            folds.append([(features.guesses(part) == expected[0]).mean(2) for part in self._outputs(*parts)])
        return [np.mean(parts, axis=0) for parts in zip(*folds, strict=True)]


def _held_out(batch: Batch, fold: int) -> tuple[Batch, Numbers]:
    """Holds a fold out of each fit's `train`; returns the rest, to predict the fold, and the fold's classes."""
    folds = [list(StratifiedKFold(FOLDS).split(labels, labels))[fold] for labels in batch.labels]
    kept, held = (np.stack(rows) for rows in zip(*folds, strict=True))
    fits = np.arange(len(folds))[:, None]
    part = Batch(batch.train[fits, kept], batch.labels[fits, kept], batch.train[fits, held], batch.seeds, batch.classes)
    return part, batch.labels[fits, held]
