"""Norms of contributions: what is counted, in which bucket, and what is left out."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coordinator.aggregation.norms import HIGHEST, LOWEST, Norms, bucket, length
from fedau2.wire import manifest
from fedau2.wire.contributions import Rows

SEEDS = st.lists(st.integers(0, 2**32 - 1), max_size=8)


def lengths(tools, seed, knows_attribute):
    """The norms of a contribution, computed in another way."""
    parts = {"shared": 0.0, "adversary": 0.0}
    for name, update in tools.make_updates(seed, knows_attribute).items():
        values = update.values if isinstance(update, Rows) else update
        parts["adversary" if name == tools.ADVERSARY else "shared"] += float((values.astype(np.float64) ** 2).sum())
    return {part: math.sqrt(square) for part, square in parts.items() if square}


@settings(deadline=None)
@given(SEEDS, SEEDS)
def test_the_statistics_are_those_of_the_contributions(tools, knowing, others):
    norms, expected = Norms(manifest.shared(tools.make_bundle().manifest)), {"shared": [], "adversary": []}
    for seed, knows in [*((seed, True) for seed in knowing), *((seed, False) for seed in others)]:
        added = norms.add(tools.make_updates(seed, knows))
        assert added == pytest.approx(lengths(tools, seed, knows), rel=1e-5)
        for part, value in added.items():
            expected[part].append(value)
    statistics = norms.statistics()
    for part, values in expected.items():
        shown = getattr(statistics, part)
        assert shown.contributions == len(values) == sum(shown.buckets.values())
        if values:
            assert (shown.largest, shown.median) == (max(values), np.median(values))
            assert shown.buckets.keys() == {bucket(value) for value in values}
    norms.reset()
    assert not norms.statistics().ListFields()


@settings(deadline=None)
@given(st.floats(-1e6, 1e6), st.floats(-1e6, 1e6), st.floats(-1e6, 1e6))
def test_the_length_of_a_model_leaves_the_adversaries_out(tools, first, second, hidden):
    specs = manifest.shared(tools.make_bundle().manifest)
    model = {name: np.zeros(spec.shape, np.float32) for name, spec in specs.items()}
    model["items"][2, 3], model["tower"][1, 1], model[tools.ADVERSARY][0, 0] = first, second, hidden
    assert length(model, specs) == pytest.approx(math.hypot(first, second), rel=1e-5, abs=1e-15)


@settings(deadline=None)
@given(st.floats(0, 1e30))
def test_a_norm_lies_in_its_bucket(norm):
    number = bucket(norm)
    assert LOWEST <= number <= HIGHEST
    assert number == HIGHEST or norm <= 2.0**number
    assert number == LOWEST or norm > 2.0 ** (number - 1)


def test_values_at_the_bound_have_a_finite_norm(tools):
    largest = np.full((3, 2), np.float32(2.0**22))
    norms = Norms(manifest.shared(tools.make_bundle().manifest))
    assert norms.add({"tower": largest})["shared"] == pytest.approx(2.0**22 * math.sqrt(6))
