import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulator.evaluation import nulls


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
