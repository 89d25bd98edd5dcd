"""The discrete Gaussian of opened sums: its probabilities are exact, and a key gives its numbers on every machine."""

import math
from decimal import Decimal, localcontext
from itertools import repeat

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from fedau2.wire.secure import noise
from fedau2.wire.secure import policy as policies
from fedau2.wire.secure.layout import Layout
from fedau2.wire.secure.noise import Gaussian
from tests import secure_tasks as make

KEYS = st.binary(min_size=32, max_size=32)
DEVIATIONS = st.one_of(st.floats(1, 9), st.floats(0, 30).map(lambda exponent: 2**exponent))
KEY = bytes(range(32))
ONES, ZEROS = 2**32 - 1, 0


def probabilities(deviation, edge):
    """Of -edge to edge, by the definition; what lies beyond is below 2^-60 for an edge of ten deviations."""
    weights = np.exp(-(np.arange(-edge, edge + 1) ** 2) / (2 * deviation**2))
    return weights / weights.sum()


@pytest.mark.parametrize("deviation", [1.0, 1.41, 1.999, 2.0, 3.3, 7.25])
def test_every_number_has_its_exact_probability(deviation):
    count, edge = 400_000, math.ceil(10 * deviation)
    drawn = Gaussian(KEY).draw(deviation, count)
    seen = np.bincount(drawn + edge, minlength=2 * edge + 1)
    expected = probabilities(deviation, edge) * count
    common = expected > 20
    rare = [seen[~common].sum()], [expected[~common].sum()]
    seen, expected = np.append(seen[common], rare[0]), np.append(expected[common], rare[1])
    statistic = float(((seen - expected) ** 2 / expected).sum())
    assert stats.chi2.sf(statistic, len(seen) - 1) > 1e-4


@pytest.mark.parametrize("deviation", [1.0, 40.5, 5000.0, 2.0**25 + 0.5, 2.0**30])
def test_mean_variance_and_tails(deviation):
    count = 400_000
    drawn = Gaussian(KEY).draw(deviation, count)
    assert abs(drawn.mean()) < 5 * deviation / math.sqrt(count)
    edge = np.arange(-12, 13)
    exact = (probabilities(1, 12) * edge**2).sum() if deviation == 1 else 1.0
    assert drawn.var() / deviation**2 == pytest.approx(exact, rel=0.01)
    for distance in (1.5, 3.5):  # between numbers, so that the smallest deviation has the share of its own law
        share = stats.norm.sf(distance) * 2 if deviation > 1 else probabilities(1, 12)[np.abs(edge) > distance].sum()
        expected = share * count
        assert abs((np.abs(drawn) > distance * deviation).sum() - expected) < 5 * math.sqrt(expected)
    assert np.abs(drawn).max() < 7 * deviation


@settings(max_examples=20)
@given(KEYS, DEVIATIONS, st.sampled_from([2.0**-10, 0.25, 1.0]))
def test_integers_decide_as_floats_do(key, deviation, margin):
    by_floats, by_integers = Gaussian(key), Gaussian(key, margin)
    for count in (50, 0, 7):
        assert (by_floats.draw(deviation, count) == by_integers.draw(deviation, count)).all()


@given(DEVIATIONS, st.integers(0, 40), st.integers(0, 10))
def test_a_chance_on_the_edge_of_a_probability_is_decided_by_further_bits(deviation, stair, step):
    staircase = noise._Staircase(deviation)
    size = stair * staircase.width + min(step, staircase.width - 1)
    exponent = size * size * staircase._scale + staircase._offset
    with localcontext(prec=80):
        bound = (-Decimal(exponent.numerator) / Decimal(exponent.denominator)).exp() * 2 ** (stair + 53)
    edge = int(bound)
    assert edge < 2**53  # so the probability is at most 1
    assert staircase.keeps(stair, size, edge, repeat(ZEROS))
    assert not staircase.keeps(stair, size, edge, repeat(ONES))
    assert not staircase.keeps(stair, size, edge + 1, iter(()))
    assert not edge or staircase.keeps(stair, size, edge - 1, iter(()))


def test_stairs_have_no_last_one():
    assert noise._continued(31, iter(())) == 31
    assert noise._continued(32, iter([0b0111])) == 35
    assert noise._continued(32, iter([ONES, ONES, 0b10])) == 96


@given(KEYS, KEYS)
def test_a_key_gives_its_noise_and_no_other(key, other):
    policy, layout = make.noisy(), Layout.of(make.task())
    drawn = noise.vector(layout, policy, key)
    assert drawn.dtype == np.int64
    assert drawn.shape == (layout.size,)
    assert not drawn[layout.head].any()
    assert (drawn == noise.vector(layout, policy, key)).all()
    assert key == other or (drawn != noise.vector(layout, policy, other)).any()


def test_these_numbers_never_change():
    policy, layout = make.noisy(), Layout.of(make.task())
    assert noise.vector(layout, policy, KEY)[-6:].tolist() == [-2802, 6683, 412, 1830, 1414, -1303]


def test_a_tensor_has_the_deviation_of_its_clip_and_share():
    policy = make.noisy()
    policy.noise_multiplier = 0.3
    for grid, (clip, share) in zip(policy.grids, [(4000, 0.8), (50, 0.36), (700, 0.48)], strict=True):
        grid.clip, grid.noise_share = clip, share
    assert policies.deviations(policy) == {
        grid.tensor: pytest.approx(0.3 * grid.clip / grid.noise_share) for grid in policy.grids
    }
    layout = Layout.of(make.task(policy))
    drawn = np.stack([noise.vector(layout, policy, number.to_bytes(32, "little")) for number in range(1500)])
    for name, place in layout.tensors.items():
        assert drawn[:, place].std() == pytest.approx(policies.deviations(policy)[name], rel=0.05)


@pytest.mark.parametrize("deviation", [0, 0.99, -1, math.nan, math.inf, 2.0**31])
def test_other_deviations_are_refused(deviation):
    with pytest.raises(ValueError, match="deviation"):
        Gaussian(KEY).draw(deviation, 1)
