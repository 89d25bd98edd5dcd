"""The parts of erasures that the simulator and the coordinator share."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedau2.erasing import folds, kernel, leace

SEEDS = st.integers(0, 2**32 - 1)


def drawn(seed, users=60, width=4, classes=2):
    rng = np.random.default_rng(seed)
    labels = np.arange(users) % classes
    return rng.standard_normal((users, width)) + labels[:, None] * rng.standard_normal(width), labels


@given(SEEDS, st.integers(2, 4))
def test_leace_makes_the_classes_means_equal(seed, classes):
    x, labels = drawn(seed, classes=classes)
    gaps = np.stack([x[labels == number].mean(0) for number in range(classes)]) - x.mean(0)
    shares = np.bincount(labels) / len(labels)
    removed = leace.removed(np.cov(x.T, bias=True), gaps, shares)
    assert np.abs(gaps - gaps @ removed).max() < 1e-9 * max(1, np.abs(gaps).max())
    assert np.linalg.matrix_rank(removed, tol=1e-6) <= classes - 1


@given(SEEDS)
def test_folds_that_agree_have_a_strength_and_others_have_none(seed):
    gap = np.random.default_rng(seed).standard_normal((2, 3))
    assert folds.agreement([gap, gap]) > 0
    assert folds.strength([gap, gap], [gap, gap], np.ones(3)) == pytest.approx(1)
    assert folds.agreement([gap, -gap]) < 0
    assert folds.strength([gap, -gap], [gap, -gap], np.ones(3)) == 0


def test_everybody_draws_the_same_frequencies_and_each_step_others():
    first, again, other, seeded = (kernel.public(*at, 6, (3,)) for at in ((1, 0), (1, 0), (1, 1), (2, 0)))
    assert first.tobytes() == again.tobytes()
    assert not np.isin(first, other).any()
    assert not np.isin(first, seeded).any()


@given(SEEDS)
def test_the_usual_size_is_that_of_states_with_even_phases(seed):
    rng = np.random.default_rng(seed)
    width, count = 8, 32
    frequencies = rng.standard_normal((count, width))
    witness = rng.standard_normal((2, 2 * count))
    z = 50 * rng.standard_normal((4000, width))  # so wide that phases are spread evenly
    phases = z @ frequencies.T
    cosine, sine = np.cos(phases) / np.sqrt(count), np.sin(phases) / np.sqrt(count)
    by_cosine, by_sine = np.split(np.concatenate([cosine, sine], 1) @ witness.T @ witness, 2, 1)
    gradient = (cosine * by_sine - sine * by_cosine) @ frequencies
    assert kernel.usual_size(witness, frequencies) == pytest.approx(np.sqrt((gradient**2).mean()), rel=0.5)


@given(SEEDS, st.lists(st.integers(1, 5), min_size=1, max_size=4), st.integers(0, 9))
def test_a_step_sees_one_state_or_all_of_them(seed, widths, step):
    drawn = kernel.public(seed, step, 6, widths)
    assert drawn.shape == (6, sum(widths))
    seen, starts = kernel.turn(step, len(widths)), np.cumsum([0, *widths])
    moved = drawn.any(0)
    if seen == len(widths):
        assert moved.all()
    else:
        assert np.flatnonzero(moved).tolist() == list(range(starts[seen], starts[seen + 1]))


@given(st.integers(2, 6))
def test_every_state_has_its_turn_and_all_together_have_the_first(states):
    turns = [kernel.turn(step, states) for step in range(states + 1)]
    assert turns[0] == states
    assert sorted(turns) == list(range(states + 1))
    assert {kernel.turn(step, 1) for step in range(5)} == {1}
