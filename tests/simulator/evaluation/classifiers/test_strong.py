from collections import Counter

import numpy as np
import pytest
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from simulator.evaluation.classifiers import regressions, strong
from tests.simulator.evaluation.classifiers.batches import accuracy, batch_of, exclusive, linear, radial


@pytest.mark.parametrize("signal", [linear, radial, exclusive])
def test_the_best_family_is_about_as_good_as_any(signal):
    batch, expected = batch_of(signal, users=400, width=4)
    guesses = strong.predict(batch)
    names = guesses.names
    alone = np.concatenate([family.predict(batch) for family in strong.FAMILIES])
    assert accuracy(guesses.chosen, expected) > max(accuracy(family, expected) for family in alone) - 0.05
    assert np.array_equal(guesses.of_all, alone)
    assert set(names) <= set(strong.NAMES)
    assert ("logistic_regression" in names) == (signal is linear)


def searched(x, y, seed):
    """The family that scikit-learn's search takes, of its own classifiers with the same settings."""
    boosting = HistGradientBoostingClassifier(
        max_iter=20, max_leaf_nodes=8, learning_rate=0.15, max_bins=32, max_features=0.25, random_state=seed
    )
    network = MLPClassifier((32,), solver="lbfgs", alpha=10.0, max_iter=20, random_state=seed)
    names = {
        LogisticRegression: "logistic_regression",
        MLPClassifier: "mlp",
        SVC: "rbf_svm",
        HistGradientBoostingClassifier: "gradient_boosting",
    }
    grid = [
        {"classifier": [LogisticRegression()], "classifier__C": regressions.STRENGTHS},
        *({"classifier": [classifier]} for classifier in (network, SVC(), boosting)),
    ]
    search = GridSearchCV(
        Pipeline([("scale", StandardScaler()), ("classifier", None)]), grid, scoring="accuracy", cv=strong.FOLDS
    )
    return names[type(search.fit(x, y).best_estimator_["classifier"])]


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("signal", [linear, radial, exclusive])
def test_the_chosen_families_are_those_of_scikit_learns_search(signal):
    batch, _ = batch_of(signal, fits=4, users=300, width=4)
    names = strong.predict(batch).names
    fits = zip(batch.train, batch.labels, batch.seeds, strict=True)
    theirs = [searched(x, y, int(seed)) for x, y, seed in fits]
    assert Counter(names).most_common(1)[0][0] == Counter(theirs).most_common(1)[0][0]


def test_a_familys_accuracy_is_that_of_scikit_learns_cross_validation():
    batch, _ = batch_of(radial, users=200, noise=0.2)
    ours = strong._right(batch)[strong.NAMES.index("rbf_svm")]
    theirs = [
        cross_val_score(make_pipeline(StandardScaler(), SVC()), x, y, cv=strong.FOLDS).mean()
        for x, y in zip(batch.train, batch.labels, strict=True)
    ]
    assert ours == pytest.approx(theirs, abs=0.006)


def test_the_test_users_have_no_influence_on_the_choice():
    batch, _ = batch_of(exclusive, fits=5, noise=0.6)
    names = strong.predict(batch).names
    other = type(batch)(batch.train, batch.labels, -batch.test, batch.seeds, batch.classes)
    assert strong.predict(other).names == names
