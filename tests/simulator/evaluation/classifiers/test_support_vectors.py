from dataclasses import replace

import numpy as np
from sklearn.svm import SVC

from simulator.evaluation.classifiers import support_vectors
from tests.simulator.evaluation.classifiers.batches import accuracy, batch_of, radial


def test_machines_are_those_of_scikit_learn():
    batch, _ = batch_of(radial, noise=0.2)
    guesses = support_vectors.predict(batch)
    for fit, expected in enumerate(guesses):
        theirs = SVC().fit(batch.train[fit], batch.labels[fit])
        assert (theirs.predict(batch.test[fit]) == expected).mean() > 0.98


def test_a_machine_learns_from_as_many_users_as_it_may(monkeypatch):
    batch, _ = batch_of(users=90)
    beyond = np.arange(90) >= 50
    turned = replace(batch, labels=np.where(beyond, 1 - batch.labels, batch.labels), test=batch.train[:, :50])
    monkeypatch.setattr(support_vectors, "USERS", 50)  # those beyond the cap would turn it round
    assert accuracy(support_vectors.predict(turned), batch.labels[:, :50]) > 0.9
