import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulator.evaluation import nulls
from simulator.evaluation.statistics import holm


def drawn(rng, between, splits, permutations=20):
    """Scores of permutations that differ by `between`, with as large differences between the splits of each."""
    scores = between * rng.normal(size=(permutations, 1)) + 0.04 * rng.normal(size=(permutations, splits))
    return 0.5 + scores[..., None]


def test_predictable_error_leaks_too():
    assert nulls.folded(np.array([0.2, 0.4]), 2) == pytest.approx(0.7)
    assert nulls.folded(np.array([0.2, 0.4]), 3) == pytest.approx(0.3)


@pytest.mark.parametrize("between", [0.0, 0.01, 0.03])
def test_fewer_splits_give_the_null_of_all_of_them(between):
    rng = np.random.default_rng(0)
    p95 = {
        splits: np.mean([np.percentile(nulls.chance(drawn(rng, between, splits), 40, 2), 95) for _ in range(300)])
        for splits in (10, 40)
    }
    uncorrected = np.mean([np.percentile(nulls.chance(drawn(rng, between, 10), 10, 2), 95) for _ in range(300)])
    assert abs(p95[10] - p95[40]) < 0.003
    assert between > 0.02 or abs(uncorrected - p95[40]) > 0.004


@given(seed=st.integers(0, 2**31 - 1), splits=st.integers(1, 10), permutations=st.integers(1, 20))
def test_as_many_splits_as_the_attack_has_are_not_corrected(seed, splits, permutations):
    scores = drawn(np.random.default_rng(seed), 0.02, splits, permutations)
    expected = [nulls.folded(of_permutation, 2) for of_permutation in scores]
    assert nulls.chance(scores, splits, 2)[:, 0].tolist() == pytest.approx(expected)


@given(seed=st.integers(0, 2**31 - 1), permutations=st.integers(1, 5), classes=st.integers(2, 3))
def test_a_correction_only_draws_the_permutations_together(seed, permutations, classes):
    scores = drawn(np.random.default_rng(seed), 0.01, 4, permutations)
    before, after = nulls.chance(scores, 4, 3), nulls.chance(scores, 40, 3)
    assert after.mean() == pytest.approx(before.mean())
    assert np.ptp(after) <= np.ptp(before) + 1e-12
    assert np.isfinite(nulls.chance(np.full((permutations, 4, 2), 0.5), 40, classes)).all()


def test_the_correction_is_the_same_for_all_classifiers():
    rng = np.random.default_rng(0)
    one, other = (drawn(rng, between, 6) for between in (0.0, 0.03))
    together = nulls.chance(np.concatenate([one, other], axis=2), 40, 3)
    shares = np.ptp(together, axis=0) / np.ptp(np.concatenate([one, other], axis=2).mean(1), axis=0)
    assert shares[0] == pytest.approx(shares[1])
    assert np.ptp(nulls.chance(one, 40, 3)) < np.ptp(together[:, 0])


@pytest.mark.parametrize("classes", [2, 3])
def test_one_of_several_attacks_that_read_nothing_is_called_a_leak_in_at_most_1_of_20_runs(classes):
    rng, wrong = np.random.default_rng(0), 0
    for _ in range(600):
        scores = 1 / classes + 0.02 * rng.standard_normal((21, 1, 15))
        chance = nulls.chance(scores[1:], 1, classes)
        means = np.array([nulls.folded(column, classes) for column in scores[0].T])
        wrong += min(holm(nulls.p_values(means, chance, classes).tolist())) < 0.05
    assert wrong / 600 < 0.08


@pytest.mark.parametrize("classes", [2, 3])
def test_a_p_value_falls_with_what_is_read_and_without_a_variance_is_0_or_1(classes):
    chance = 1 / classes + 0.02 * np.random.default_rng(0).standard_normal((20, 1))
    means = np.linspace(0.5, 1.0, 6)
    p = nulls.p_values(means, np.repeat(chance, 6, axis=1), classes)
    assert p.tolist() == sorted(p, reverse=True)
    assert p[-1] < 1e-9
    same = np.full((20, 2), 0.5)
    assert nulls.p_values(np.array([0.5, 0.6]), same, classes).tolist() == [(1.0, 0.5)[classes - 2], 0.0]


def test_many_permutations_are_counted():
    assert nulls.counted(0.7, np.array([0.5, 0.6, 0.7] * 100)) == pytest.approx(101 / 301)
    assert nulls.counted(0.9, np.zeros(200)) == pytest.approx(1 / 201)
