from dataclasses import replace

import numpy as np
import pytest
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

from simulator.evaluation.classifiers import discriminants
from tests.simulator.evaluation.classifiers.batches import accuracy, batch_of, radial


def balanced(classes):
    """A batch with as many users of each class, of different means."""
    batch, _ = batch_of(users=150)
    labels = np.tile(np.arange(150) % classes, (len(batch.labels), 1))
    return replace(batch, train=batch.train + labels[..., None], labels=labels, classes=classes)


@pytest.mark.parametrize("classes", [2, 3])
def test_linear_discriminants_are_those_of_scikit_learn(classes):
    batch = balanced(classes)
    outputs = discriminants.linear(batch)
    for fit, (x, y, test) in enumerate(zip(batch.train, batch.labels, batch.test, strict=True)):
        for number, share in enumerate(discriminants.LINEAR):
            equal = np.full(classes, 1 / classes)
            reference = LinearDiscriminantAnalysis(solver="lsqr", priors=equal, covariance_estimator=Shrunk(share))
            expected = reference.fit(x, y).decision_function(test)
            ours = outputs[number, fit]
            if classes == 2:
                assert ours[:, 0] == pytest.approx(expected, abs=1e-6)
            else:
                assert np.diff(ours, axis=1) == pytest.approx(np.diff(expected, axis=1), abs=1e-6)


class Shrunk:
    """Shrinks each class's covariance as the product shrinks the pooled one; that of all is their mean."""

    def __init__(self, share):
        self.share = share

    def fit(self, x):
        covariance = np.cov(x.T, bias=True)
        self.covariance_ = (1 - self.share) * covariance
        self.covariance_ += self.share * np.trace(covariance) / len(covariance) * np.eye(len(covariance))


def test_only_the_quadratic_discriminant_reads_a_difference_of_spreads():
    batch, expected = batch_of(radial, users=400, width=3)
    quadratic, flat = (kind(batch) for kind in (discriminants.quadratic, discriminants.linear))
    assert accuracy(batch.guesses(quadratic)[0], expected) > 0.85
    assert accuracy(batch.guesses(flat)[0], expected) < 0.65


def test_fewer_users_than_features_can_be_fitted():
    batch, _ = batch_of(users=12, width=30, classes=2)
    assert np.isfinite(discriminants.quadratic(batch)).all()
    assert np.isfinite(discriminants.linear(batch)).all()
