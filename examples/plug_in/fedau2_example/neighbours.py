"""The attacker `neighbours`: the commonest class of the users whose state is nearest."""

import numpy as np
from sklearn.neighbors import KNeighborsClassifier

from simulator.evaluation.attackers import Attacker
from simulator.evaluation.classifiers.batch import Batch, Guesses

NEAREST = 9


def predict(batch: Batch) -> Guesses:
    """Guesses the classes of a batch."""
    alike = batch.standardised()
    number = min(NEAREST, alike.train.shape[1])
    guesses = np.stack(
        [
            KNeighborsClassifier(number).fit(train, labels).predict(test)
            for train, labels, test in zip(alike.train, alike.labels, alike.test, strict=True)
        ]
    )
    return Guesses(guesses, (), guesses[None][:0])


NEIGHBOURS = Attacker(predict, train=0.8)
