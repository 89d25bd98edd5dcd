"""The attacker `neighbours`: the commonest class of the users whose state is nearest."""

import numpy as np
from sklearn.neighbors import KNeighborsClassifier

from simulator.evaluation.attackers import Attacker
from simulator.evaluation.classifiers.batch import Batch, Guesses

NEAREST = 9


def predict(features: Batch, whitened: Batch) -> Guesses:
    """Guesses the classes of a batch from standardised features."""
    del whitened  # the neighbours of whitened features would be others
    alike = features.standardised()
    number = min(NEAREST, alike.train.shape[1])
    shares = np.stack(
        [
            KNeighborsClassifier(number).fit(train, labels).predict_proba(test)
            for train, labels, test in zip(alike.train, alike.labels, alike.test, strict=True)
        ]
    )
    outputs = shares[..., 1:] - 0.5 if alike.classes == 2 else shares
    return Guesses(outputs[None], np.zeros(len(alike.seeds), np.int64))


NEIGHBOURS = Attacker(predict, train=0.8)
