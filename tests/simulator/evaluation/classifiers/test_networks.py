import numpy as np
import pytest
from sklearn.neural_network import MLPClassifier

from simulator.evaluation.classifiers.networks import PAPER, SMALL, tuned
from tests.simulator.evaluation.classifiers.batches import accuracy, batch_of, exclusive, guesses_of, linear


@pytest.mark.parametrize("classes", [2, 3])
def test_the_papers_network_predicts_what_scikit_learns_does(classes):
    batch, _ = batch_of(fits=4, classes=classes, noise=0.3)
    guesses = guesses_of(PAPER.predict, batch)
    for fit, seed in enumerate(batch.seeds):
        theirs = MLPClassifier((100,), alpha=1.0, max_iter=500, learning_rate_init=0.1, random_state=int(seed))
        theirs.fit(batch.train[fit], batch.labels[fit])
        assert (guesses[fit] == theirs.predict(batch.test[fit])).mean() > 0.98


def test_networks_take_steps_of_few_users():
    batch, expected = batch_of(exclusive, users=450)
    assert accuracy(guesses_of(PAPER.predict, batch), expected) > 0.85


@pytest.mark.parametrize("signal", [linear, exclusive])
def test_the_small_network_finds_what_is_not_linear(signal):
    batch, expected = batch_of(signal, users=400, width=4)
    assert accuracy(guesses_of(tuned, batch), expected) > 0.8
    assert len(tuned(batch)) == len(SMALL)


def test_fits_do_not_depend_on_the_others_of_their_batch():
    batch, _ = batch_of(fits=4, noise=0.3)
    together = PAPER.predict(batch)
    alone = [PAPER.predict(batch.only(np.array([fit])))[:, 0] for fit in range(4)]
    assert np.array_equal(together, np.stack(alone, axis=1))
