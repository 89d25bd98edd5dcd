from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import LogisticRegression

from simulator.evaluation.classifiers import regressions
from simulator.evaluation.classifiers.regressions import STRENGTHS, WHITENED
from tests.simulator.evaluation.classifiers.batches import batch_of


def reference(x, y, strength):
    fitted = LogisticRegression(C=strength, max_iter=10_000, tol=1e-10, solver="newton-cholesky").fit(x, y)
    return np.vstack([fitted.coef_.T, fitted.intercept_]).squeeze()


def whitening(x):
    """A whitening map by another way than the product's."""
    _, sizes, axes = np.linalg.svd(x - x.mean(0), full_matrices=False)
    return axes.T / (sizes / np.sqrt(len(x)))


@given(
    seed=st.integers(0, 2**31 - 1),
    users=st.integers(40, 150),
    width=st.integers(3, 30),
    noise=st.sampled_from([0.0, 0.3, 1.0]),
)
@settings(max_examples=15, deadline=None)
def test_all_regressions_of_a_batch_are_those_of_scikit_learn(seed, users, width, noise):
    batch, _ = batch_of(users=users, width=width, seed=seed, noise=noise)
    fitted = regressions.fit(batch)
    for fit, (x, y) in enumerate(zip(batch.train, batch.labels, strict=True)):
        for number, strength in enumerate(STRENGTHS):
            ours = np.append(fitted.coefficients[fit, :, number], fitted.intercepts[fit, 0, number])
            assert np.abs(ours - reference(x, y, strength)).max() < 1e-6
        white = whitening(x)
        *expected, intercept = reference(x @ white, y, WHITENED)
        assert np.abs(fitted.coefficients[fit, :, -1] - white @ expected).max() < 1e-6 * max(1, np.abs(white).max())
        assert fitted.intercepts[fit, 0, -1] == pytest.approx(intercept, abs=1e-6)


def test_regressions_of_more_classes_are_those_of_scikit_learn():
    batch, _ = batch_of(users=150, classes=3, noise=0.2)
    fitted = regressions.fit(batch)
    for fit, (x, y) in enumerate(zip(batch.train, batch.labels, strict=True)):
        for number, strength in enumerate(STRENGTHS):
            columns = slice(3 * number, 3 * number + 3)
            ours = np.vstack([fitted.coefficients[fit, :, columns], fitted.intercepts[fit, :, columns]])
            assert np.abs(ours - reference(x, y, strength)).max() < 1e-6


def mapped(x, rng):
    """Features after an invertible linear map and a shift; directions are shrunk by 1 to 100."""
    width = x.shape[-1]
    first, second = (np.linalg.qr(rng.normal(size=(width, width)))[0] for _ in range(2))
    return ((x - 5) @ first * np.geomspace(1, 0.01, width) @ second).astype(np.float32).astype(np.float64)


@given(seed=st.integers(0, 2**31 - 1))
@settings(max_examples=20, deadline=None)
def test_no_invertible_linear_map_changes_what_the_whitened_family_reads(seed):
    batch, _ = batch_of(users=300, width=12, seed=seed, noise=0.4)
    rng = np.random.default_rng(seed)
    both = mapped(np.concatenate([batch.train, batch.test], axis=1), rng)
    other = replace(batch, train=both[:, :300], test=both[:, 300:]).standardised()
    before, after = (regressions.predict(state)[-1] for state in (batch, other))
    assert (before == after).mean() >= 0.98


@pytest.mark.parametrize("width", [3, 6, 40])
def test_the_whitened_family_ignores_features_that_do_not_vary_or_repeat_others(width):
    batch, _ = batch_of(users=30, width=width)  # fewer users than the widest features

    def beside(x):
        return np.concatenate([x, x, np.full_like(x, 0.1)], axis=2)

    doubled = replace(batch, train=beside(batch.train), test=beside(batch.test)).standardised()
    assert np.array_equal(regressions.predict(batch)[-1], regressions.predict(doubled)[-1])
    constant = replace(batch, train=np.full_like(batch.train, 0.1), test=np.full_like(batch.test, 0.1)).standardised()
    assert all(len(set(guesses.tolist())) == 1 for guesses in regressions.predict(constant)[-1])
