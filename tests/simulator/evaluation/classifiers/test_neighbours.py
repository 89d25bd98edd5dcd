import numpy as np
import pytest
from sklearn.neighbors import KNeighborsClassifier

from simulator.evaluation.classifiers import neighbours
from tests.simulator.evaluation.classifiers.batches import batch_of, radial


@pytest.mark.parametrize("classes", [2, 3])
def test_neighbours_are_those_of_scikit_learn(classes):
    batch, _ = batch_of(radial, users=100, classes=classes)
    outputs = neighbours.predict(batch)
    for fit, (x, y, test) in enumerate(zip(batch.train, batch.labels, batch.test, strict=True)):
        for number, k in enumerate(neighbours.NEIGHBOURS):
            shares = KNeighborsClassifier(k).fit(x, y).predict_proba(test)
            expected = shares[:, 1:] - 0.5 if classes == 2 else shares
            assert outputs[number, fit] == pytest.approx(expected)


def test_all_users_are_neighbours_if_there_are_fewer():
    batch, _ = batch_of(users=20)
    last = neighbours.predict(batch)[-1]
    assert np.ptp(last, axis=1) == pytest.approx(0)
