"""RBF support vector machines. The kernels of a batch are computed at once; the machines are fitted one by one."""

import numpy as np
from numpy.typing import NDArray
from sklearn.svm import SVC

from simulator.evaluation.classifiers.batch import Batch, Features

USERS = 2000
"""Most users that a machine learns from. Its time grows with the square of their number, above all on permuted labels,
which make every user a support vector. The other families learn from all users."""


def predict(batch: Batch) -> NDArray[np.int64]:
    """Fits a machine to the first users of each fit, who come in random order, and predicts: (B, m)."""
    return np.stack([_predict(*fit) for fit in zip(batch.train, batch.labels, batch.test, strict=True)])


def _predict(train: Features, labels: NDArray[np.int64], test: Features) -> NDArray[np.int64]:
    train, labels = train[:USERS], labels[:USERS]
    scale = 1 / (train.shape[1] * (train.var() or 1))
    machine = SVC(kernel="precomputed").fit(_kernel(train, train, scale), labels)
    predicted: NDArray[np.int64] = machine.predict(_kernel(test, train, scale))
    return predicted


def _kernel(left: Features, right: Features, scale: float) -> Features:
    distances = np.square(left).sum(1)[:, None] + np.square(right).sum(1) - 2 * (left @ right.T)
    kernel: Features = np.exp(-scale * distances)
    return kernel
