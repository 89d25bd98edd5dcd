import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import stats

from simulator.evaluation import statistics

numbers = st.floats(-100, 100, allow_subnormal=False).map(lambda value: round(value, 3))
pairs = st.integers(2, 12).flatmap(lambda n: hnp.arrays(np.float64, (2, n), elements=numbers))


@given(pairs)
def test_over_seeds_is_scipys_paired_t_test_where_differences_vary(values):
    ours = statistics.over_seeds(*values)
    differences = values[0] - values[1]
    if np.ptp(differences) == 0:
        assert math.isnan(ours)
    elif differences.std() > 1e-6:
        assert ours == pytest.approx(stats.ttest_rel(*values).pvalue, abs=1e-9)


@given(pairs)
def test_over_seeds_is_symmetric_and_leaves_out_what_is_missing(values):
    missing = np.append(values, [[np.nan], [1.0]], axis=1)
    p, swapped, left_out = (statistics.over_seeds(*pair) for pair in (values, values[::-1], missing))
    assert p == pytest.approx(swapped, nan_ok=True)
    assert p == pytest.approx(left_out, nan_ok=True)


@given(pairs.filter(lambda values: abs(values[1].sum()) > 0.1))
def test_a_relative_change_is_of_the_pairs_that_are_whole(values):
    missing = np.append(values, [[np.nan, 7.0], [1.0, np.nan]], axis=1)
    expected = values[0].mean() / values[1].mean() - 1
    assert statistics.relative(*missing) == pytest.approx(expected, rel=1e-6, abs=1e-9)
    assert math.isnan(statistics.relative([np.nan], [1.0]))
    assert math.isnan(statistics.relative([1.0], [0.0]))


def test_one_seed_gives_no_p_value():
    assert math.isnan(statistics.over_seeds([0.3], [0.2]))
    assert statistics.mean_std([0.3, np.nan])[0] == 0.3
    assert math.isnan(statistics.mean_std([0.3])[1])
    assert all(map(math.isnan, statistics.mean_std([])))


@given(pairs)
def test_the_spread_is_that_of_a_sample(values):
    mean, std = statistics.mean_std(values[0])
    assert (mean, std) == (pytest.approx(np.mean(values[0])), pytest.approx(np.std(values[0], ddof=1)))


def test_the_interval_over_users_is_scipys_bootstrap():
    rng = np.random.default_rng(1)
    ours, theirs = rng.normal(0.1, 1, 400), rng.normal(0, 1, 400)
    comparison = statistics.over_users(ours, theirs, resamples=6000)
    interval = stats.bootstrap(
        (ours - theirs,), np.mean, n_resamples=6000, method="percentile", rng=np.random.default_rng(2)
    ).confidence_interval
    assert comparison.mean == pytest.approx((ours - theirs).mean())
    assert (comparison.low, comparison.high) == pytest.approx(tuple(interval), abs=0.01)
    assert comparison.p == pytest.approx(stats.wilcoxon(ours, theirs).pvalue, rel=1e-6)
    assert statistics.over_users(ours, theirs) == statistics.over_users(ours, theirs)


def test_equal_models_do_not_differ_and_unequal_ones_do():
    rng = np.random.default_rng(1)
    gains = rng.random(300)
    same = statistics.over_users(gains, gains)
    assert (same.mean, same.low, same.high, same.p) == (0, 0, 0, 1)
    better = statistics.over_users(gains + 0.1 + 0.01 * rng.random(300), gains)
    assert better.low > 0.1
    assert better.p < 1e-6


def test_the_tests_keep_their_level_where_nothing_differs():
    rng = np.random.default_rng(3)
    p_users = [statistics.over_users(*rng.normal(size=(2, 60)), resamples=2).p for _ in range(300)]
    p_seeds = [statistics.over_seeds(*rng.normal(size=(2, 3))) for _ in range(300)]
    for p in (p_users, p_seeds):
        assert 0.01 < np.mean(np.array(p) < 0.05) < 0.1


@given(st.lists(st.floats(0, 1), min_size=1, max_size=6))
def test_holm_is_the_closed_test_of_bonferroni(p):
    def closed(number):
        sets = (s for size in range(1, len(p) + 1) for s in itertools.combinations(range(len(p)), size) if number in s)
        return max(min(1, len(s) * min(p[i] for i in s)) for s in sets)

    assert statistics.holm(p) == pytest.approx([closed(number) for number in range(len(p))])


@given(st.lists(st.integers(-5, 5), min_size=2, max_size=9), st.lists(st.integers(-5, 5), min_size=2, max_size=9))
def test_welch_is_scipys(ours, theirs):
    if len(set(ours)) == len(set(theirs)) == 1:
        assert statistics.welch(ours, theirs) == (ours[0] == theirs[0])
    else:
        described = [
            figure for group in (ours, theirs) for figure in (np.mean(group), np.std(group, ddof=1), len(group))
        ]
        expected = stats.ttest_ind_from_stats(*described, equal_var=False).pvalue
        assert statistics.welch(ours, theirs) == pytest.approx(expected)
