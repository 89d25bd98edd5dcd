import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.discriminant_analysis import QuadraticDiscriminantAnalysis
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import balanced_accuracy_score
from sklearn.model_selection import cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from simulator.datasets import Attribute
from simulator.errors import ErasureError
from simulator.unlearning.moments import FOLDS, joint
from simulator.unlearning.optimal_transport import EDGES, counts, shifts, transport


def targets(*labels):
    return joint([Attribute(tuple(map(str, range(column.max() + 1))), column) for column in labels])


def read(features, labels, model):
    """Balanced accuracy on users that the attacker did not learn from."""
    attacker = make_pipeline(StandardScaler(), model)
    return balanced_accuracy_score(labels, cross_val_predict(attacker, features, labels, cv=5))


def users(seed, count, width, gap=0.0, spread=1.0):
    """Correlated features; class 1 lies `gap` off and is `spread` times as wide along two directions."""
    rng = np.random.default_rng(seed)
    labels = (np.arange(count) % 3 == 0).astype(np.int64)
    features = rng.normal(size=(count, width))
    features[labels == 1, :2] = spread * features[labels == 1, :2] + gap
    return (features @ rng.normal(size=(width, width))).astype(np.float32), labels


def test_neither_means_nor_variances_reveal_the_class_of_many_users():
    features, labels = users(0, 6000, 12, gap=0.7, spread=2.5)
    quadratic, linear = QuadraticDiscriminantAnalysis(), LogisticRegression()
    assert read(features, labels, linear) > 0.6
    assert read(features, labels, quadratic) > 0.75
    moved, strength = transport(features, targets(labels), seed=0)
    assert strength > 0.8
    assert abs(read(moved, labels, linear) - 0.5) < 0.03
    assert abs(read(moved, labels, quadratic) - 0.5) < 0.05


@given(seed=st.integers(0, 10**6))
@settings(max_examples=5, deadline=None)
def test_where_there_is_nothing_to_read_nothing_is_written(seed):
    """An attacker who is always wrong has read the attribute too."""
    features, labels = users(seed, 600, 40)
    moved, _ = transport(features, targets(labels), seed=0)
    assert read(moved, labels, LogisticRegression(C=0.1)) > 0.42
    assert read(moved, labels, QuadraticDiscriminantAnalysis(reg_param=0.1)) > 0.4


def test_users_without_a_known_class_stay_and_the_order_of_users_does_not_matter():
    features, labels = users(1, 500, 5, gap=1.0)
    labels[::5] = -1
    moved, _ = transport(features, targets(labels), seed=0)
    np.testing.assert_array_equal(moved[::5], features[::5])
    assert (moved[labels >= 0] != features[labels >= 0]).any(1).all()


def test_combinations_of_several_attributes_are_levelled():
    rng = np.random.default_rng(2)
    first, second = rng.integers(2, size=4000), rng.integers(3, size=4000)
    features = rng.normal(size=(4000, 3)).astype(np.float32)
    features[:, 0] += first * second  # neither alone explains it
    moved, strength = transport(features, targets(first, second), seed=0)
    assert strength > 0.9
    means = [moved[(first == a) & (second == b), 0].mean() for a in range(2) for b in range(3)]
    assert np.ptp(means) < 0.2  # of 2


@given(seed=st.integers(0, 10**6), sizes=st.lists(st.integers(200, 900), min_size=2, max_size=4))
@settings(max_examples=20, deadline=None)
def test_shifts_bring_every_class_to_one_distribution_whose_mean_is_that_of_all(seed, sizes):
    rng = np.random.default_rng(seed)
    classes = [np.sort(rng.normal(rng.normal(0, 0.5), rng.uniform(0.5, 1.5), (size, 1)), 0) for size in sizes]
    tables = shifts([counts(features) for features in classes])
    moved = [x + np.interp(x, EDGES, table[0]) for x, table in zip(classes, tables[:, :], strict=True)]
    mean = np.average([x.mean() for x in classes], weights=sizes)
    quantiles = [np.quantile(x, np.linspace(0.05, 0.95, 10)) for x in moved]
    assert np.ptp(quantiles, axis=0).max() < 0.1
    assert all(abs(x.mean() - mean) < 0.05 for x in moved)


@pytest.mark.parametrize("seed", range(8))
def test_a_class_that_a_fold_lacks_is_refused(seed):
    features, _ = users(0, 200, 4)
    rare = np.random.default_rng(seed).permutation(200) % FOLDS == 0  # as `folds` divides the users
    labels = np.zeros(200, np.int64)
    labels[np.flatnonzero(rare)[:10]] = 1
    with pytest.raises(ErasureError, match="every class in every fold"):
        transport(features, targets(labels), seed=seed)


def test_too_few_users_are_refused():
    features, labels = users(0, 60, 4)
    with pytest.raises(ErasureError, match="every class"):
        transport(features, targets(np.where(np.arange(60) < 9, 1, 0)), seed=0)
    with pytest.raises(ErasureError, match="dimensions"):
        transport(np.tile(features, 20), targets(labels), seed=0)
