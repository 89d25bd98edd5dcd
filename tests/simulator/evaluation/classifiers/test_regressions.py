import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import LogisticRegression

from simulator.evaluation.classifiers import regressions
from simulator.evaluation.classifiers.regressions import STRENGTHS
from tests.simulator.evaluation.classifiers.batches import batch_of


def reference(x, y, strength):
    fitted = LogisticRegression(C=strength, max_iter=10_000, tol=1e-10, solver="newton-cholesky").fit(x, y)
    return np.vstack([fitted.coef_.T, fitted.intercept_]).squeeze()


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


def test_regressions_of_more_classes_are_those_of_scikit_learn():
    batch, _ = batch_of(users=150, classes=3, noise=0.2)
    fitted = regressions.fit(batch)
    for fit, (x, y) in enumerate(zip(batch.train, batch.labels, strict=True)):
        for number, strength in enumerate(STRENGTHS):
            columns = slice(3 * number, 3 * number + 3)
            ours = np.vstack([fitted.coefficients[fit, :, columns], fitted.intercepts[fit, :, columns]])
            assert np.abs(ours - reference(x, y, strength)).max() < 1e-6
