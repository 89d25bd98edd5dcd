from dataclasses import replace

import numpy as np
import pytest
from sklearn.svm import SVC

from simulator.evaluation.classifiers import support_vectors
from simulator.evaluation.classifiers.support_vectors import PENALTIES
from tests.simulator.evaluation.classifiers.batches import accuracy, batch_of, radial


@pytest.mark.parametrize("classes", [2, 3])
def test_machines_are_those_of_scikit_learn(classes):
    batch, _ = batch_of(radial, classes=classes, noise=0.2)
    for guesses, penalty in zip(batch.guesses(support_vectors.predict(batch)), PENALTIES, strict=True):
        for fit, expected in enumerate(guesses):
            theirs = SVC(C=penalty, break_ties=classes > 2).fit(batch.train[fit], batch.labels[fit])
            assert (theirs.predict(batch.test[fit]) == expected).mean() > 0.98


def test_a_machine_learns_from_as_many_users_as_it_may(monkeypatch):
    batch, _ = batch_of(users=90)
    beyond = np.arange(90) >= 50
    turned = replace(batch, labels=np.where(beyond, 1 - batch.labels, batch.labels), test=batch.train[:, :50])
    monkeypatch.setattr(support_vectors, "USERS", 50)  # those beyond the cap would turn it round
    assert accuracy(turned.guesses(support_vectors.predict(turned))[-1], batch.labels[:, :50]) > 0.9
