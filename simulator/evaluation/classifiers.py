"""The classifiers that attackers train: the paper's network, and the best of several families."""

from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

SVM_USERS = 2000
"""Most users that the SVM learns from. Its time grows with the square of their number, above all on permuted labels,
which make every user a support vector. The other families learn from all users."""

EMPTY = 1e-6
"""Smallest spread of standardised features along a direction that the whitened family uses. States are float32, so a
smaller spread may be rounding."""


def paper(seed: int) -> MLPClassifier:
    """Makes the paper's attacker: one hidden layer of 100 units on raw features."""
    return MLPClassifier((100,), alpha=1.0, max_iter=500, learning_rate_init=0.1, random_state=seed)


def strong(seed: int) -> GridSearchCV:
    """Makes the strong attacker.

    It chooses the family and setting with the best 3-fold cross-validation on standardised features of the training
    part, and fits it again on the whole part.
    """
    steps = [("scale", StandardScaler()), ("classifier", None)]
    return GridSearchCV(Pipeline(steps), _grid(seed), scoring="accuracy", cv=3, error_score="raise")


def _grid(seed: int) -> list[dict[str, list[Any]]]:
    # Each family has few settings: a null of 20 permutations fits all of them hundreds of times (docs/attacks.md).
    boosting = HistGradientBoostingClassifier(
        max_iter=20, max_leaf_nodes=8, learning_rate=0.15, max_bins=32, max_features=0.25, random_state=seed
    )
    return [
        {"classifier": [LogisticRegression(max_iter=300)], "classifier__C": [0.003, 0.03, 0.3]},
        {"classifier": [MLPClassifier((32,), solver="lbfgs", alpha=10.0, max_iter=20, random_state=seed)]},
        {"classifier": [SupportVectors()]},
        {"classifier": [boosting.set_params(early_stopping=False)]},
        {"classifier": [WhitenedRegression()]},
    ]


def family(model: Any) -> str | None:  # noqa: ANN401 - scikit-learn has no types
    """Names the family that a fitted attacker chose; None if the attacker does not choose."""
    return FAMILIES[type(model.best_estimator_["classifier"])] if isinstance(model, GridSearchCV) else None


class SupportVectors(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """An RBF support vector machine that learns from the first `SVM_USERS` users; the users come in random order."""

    def fit(self, features: NDArray[np.float64], labels: NDArray[np.int64]) -> Self:
        """Fits on the first users."""
        self.machine_ = SVC().fit(features[:SVM_USERS], labels[:SVM_USERS])
        self.classes_ = self.machine_.classes_
        return self

    def predict(self, features: NDArray[np.float64]) -> NDArray[np.int64]:
        """Predicts class numbers."""
        predicted: NDArray[np.int64] = self.machine_.predict(features)
        return predicted


class WhitenedRegression(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """Logistic regression on whitened features.

    With more users than features, an invertible linear map of the features does not change what it reads. The other
    families are regularised in the scale of the features, so they miss an attribute along a direction that was shrunk.
    """

    def fit(self, features: NDArray[np.float64], labels: NDArray[np.int64]) -> Self:
        """Whitens the features, except along directions in which they do not vary, and fits the regression."""
        self.mean_ = features.mean(0)
        _, sizes, axes = np.linalg.svd(features - self.mean_, full_matrices=False)
        spreads = sizes / np.sqrt(len(features))
        self.whitening_ = axes.T * np.where(spreads > EMPTY, 1 / np.maximum(spreads, EMPTY), 0)
        self.regression_ = LogisticRegression(C=0.01, max_iter=300).fit(self._whitened(features), labels)
        self.classes_ = self.regression_.classes_
        return self

    def predict(self, features: NDArray[np.float64]) -> NDArray[np.int64]:
        """Predicts class numbers."""
        predicted: NDArray[np.int64] = self.regression_.predict(self._whitened(features))
        return predicted

    def _whitened(self, features: NDArray[np.float64]) -> NDArray[np.float64]:
        whitened: NDArray[np.float64] = (features - self.mean_) @ self.whitening_
        return whitened


FAMILIES = {
    LogisticRegression: "logistic_regression",
    MLPClassifier: "mlp",
    SupportVectors: "rbf_svm",
    HistGradientBoostingClassifier: "gradient_boosting",
    WhitenedRegression: "whitened_regression",
}
"""Names of the strong attacker's families."""
