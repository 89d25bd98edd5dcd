"""The weights of late contributions, and the tasks that cannot have them."""

from fractions import Fraction
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedau2.v1.task_pb2 import BufferedRounds, TaskManifest
from fedau2.wire import fixed
from fedau2.wire.errors import ManifestError
from fedau2.wire.staleness import FEATURE, MOST, MOST_EXPONENT, check, weight

EXPONENTS = st.floats(0, MOST_EXPONENT, width=32)


@given(exponent=EXPONENTS)
def test_weights_fall_from_one_and_stay_above_zero(exponent):
    weights = [weight(staleness, exponent) for staleness in range(MOST + 1)]
    assert weights[0] == 1
    assert all(0 < later <= sooner <= 1 for sooner, later in pairwise(weights))


@given(staleness=st.integers(0, MOST), exponent=EXPONENTS, value=st.floats(-(2**20), 2**20, width=32))
def test_a_value_times_a_weight_is_exact_before_it_is_put_on_the_grid(staleness, exponent, value):
    factor = weight(staleness, exponent)
    assert Fraction(value * factor) == Fraction(value) * Fraction(factor)
    assert abs(factor - (1 + staleness) ** -exponent) <= 2**-16
    (integer,) = fixed.to_fixed(np.array([value], np.float32), factor).tolist()
    assert integer == round(Fraction(value) * Fraction(factor) * 2**40)


def test_without_an_exponent_all_count_alike():
    assert {weight(staleness, 0.0) for staleness in range(MOST + 1)} == {1.0}


@pytest.mark.parametrize(
    ("spoil", "why"),
    [
        (lambda task: task.required_features.clear(), "does not require"),
        (lambda task: task.secure_sums.SetInParent(), "secure sums"),
        (lambda task: task.plan.matchings.add(), "matchings"),
        (lambda task: setattr(task.plan.server.buffered, "most_stale", 0), "between 1 and 100"),
        (lambda task: setattr(task.plan.server.buffered, "staleness_exponent", 11), "between 0 and 10"),
    ],
)
def test_what_buffered_rounds_cannot_have_is_refused(spoil, why):
    task = TaskManifest(required_features=[FEATURE])
    task.plan.server.buffered.CopyFrom(BufferedRounds(staleness_exponent=0.5, most_stale=1))
    check(task)
    spoil(task)
    with pytest.raises(ManifestError, match=why):
        check(task)
