import numpy as np
import pytest
from sklearn.model_selection import cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from simulator.evaluation.classifiers import strong, support_vectors, whitening
from simulator.evaluation.classifiers.batch import Batch
from simulator.evaluation.classifiers.strong import FAMILIES, Strong
from tests.simulator.evaluation.classifiers.batches import accuracy, batch_of, exclusive, linear, radial

NAMES = [family.name for family in FAMILIES]
LINEAR = {family.name for family in strong.LINEAR}


def whitened(batch):
    """Whitens each fit by all of its users."""
    users = batch.train.shape[1]
    both = np.stack([whitening.whitened(x) for x in np.concatenate([batch.train, batch.test], axis=1)])
    return Batch(both[:, :users], batch.labels, both[:, users:], batch.seeds, batch.classes)


def guessed(batch):
    guesses = Strong().predict(batch, whitened(batch))
    said = batch.guesses(guesses.outputs)
    return said, said[guesses.chosen, np.arange(len(batch.seeds))], [NAMES[number] for number in guesses.chosen]


@pytest.mark.parametrize("signal", [linear, radial, exclusive])
def test_the_best_family_is_about_as_good_as_any(signal):
    batch, expected = batch_of(signal, users=400, width=4)
    of_all, chosen, names = guessed(batch)
    assert len(of_all) == len(FAMILIES)
    assert accuracy(chosen, expected) > max(accuracy(family, expected) for family in of_all) - 0.05
    assert bool(LINEAR & set(names)) == (signal is linear)


def test_a_familys_accuracy_is_that_of_scikit_learns_cross_validation():
    batch, _ = batch_of(radial, users=200, noise=0.2)
    family = next(family for family in FAMILIES if family.name == "rbf_svm")
    (ours,) = Strong((family,))._right(batch, whitened(batch))
    for right, penalty in zip(ours, support_vectors.PENALTIES, strict=True):
        theirs = [
            cross_val_score(make_pipeline(StandardScaler(), SVC(C=penalty)), x, y, cv=strong.FOLDS).mean()
            for x, y in zip(batch.train, batch.labels, strict=True)
        ]
        assert right == pytest.approx(theirs, abs=0.006)


def test_the_setting_of_a_family_is_one_that_says_most_even_if_it_is_wrong():
    """Of three settings the second is always right in two fits, and the third always wrong in the others."""
    batch, expected = batch_of(fits=4, users=90)
    truths = [np.concatenate(pair) for pair in zip(batch.labels, expected, strict=True)]

    def settings(part):
        fits = [0, 1, 2, 3]
        known = {part.test[fit].tobytes(): fit for fit in fits}
        right = np.stack([_labels(batch, truths[known[part.test[fit].tobytes()]], part.test[fit], fit) for fit in fits])
        signs = np.array([[0, 0, 0, 0], [1, 1, 0, 0], [0, 0, -1, -1]])
        return (signs[..., None] * (2 * right - 1))[..., None].astype(float)

    guesses = Strong((strong.Family("of_signs", True, settings),)).predict(batch, batch.standardised())
    said = batch.guesses(guesses.outputs)[0] == expected
    assert said[:2].all()
    assert not said[2:].any()


def _labels(batch, truth, test, fit):
    """The classes of test users, found by their features."""
    everybody = np.concatenate([batch.train[fit], batch.test[fit]])
    apart = np.abs((everybody[:, None] - everybody.mean(0)) - (test - everybody.mean(0))).sum(2)
    return truth[apart.argmin(0)]


def test_the_test_users_have_no_influence_on_the_choice():
    batch, _ = batch_of(exclusive, fits=5, noise=0.6)
    other = type(batch)(batch.train, batch.labels, -batch.test, batch.seeds, batch.classes)
    chosen = [Strong().predict(part, part.standardised()).chosen.tolist() for part in (batch, other)]
    assert chosen[0] == chosen[1]
