"""RBF support vector machines. The kernels of a batch are computed at once; the machines are fitted one by one."""

import numpy as np
from numpy.typing import NDArray
from sklearn.svm import SVC

from simulator.evaluation.classifiers.batch import Batch, Features

USERS = 2000
"""Most users that a machine learns from. Its time grows with the square of their number, above all on permuted labels,
which make every user a support vector. The other families learn from all users."""

PENALTIES = (0.3, 1.0, 3.0)
"""C of the machines."""


def predict(batch: Batch) -> Features:
    """Fits machines to the first users of each fit, who come in random order.

    Returns:
        The outputs of the test users, (machines, B, m, columns).
    """
    fits = [_outputs(*fit) for fit in zip(batch.train, batch.labels, batch.test, strict=True)]
    outputs = np.stack(fits, axis=1)
    return outputs[..., None] if outputs.ndim == 3 else outputs


def _outputs(train: Features, labels: NDArray[np.int64], test: Features) -> Features:
    """Fits the machines of one fit; returns the distances from their boundaries, (machines, m) or with classes last."""
    train, labels = train[:USERS], labels[:USERS]
    scale = 1 / (train.shape[1] * (train.var() or 1))
    kernel, between = _kernel(train, train, scale), _kernel(test, train, scale)
    machines = [SVC(C=penalty, kernel="precomputed").fit(kernel, labels) for penalty in PENALTIES]
    return np.stack([machine.decision_function(between) for machine in machines])


def _kernel(left: Features, right: Features, scale: float) -> Features:
    distances = np.square(left).sum(1)[:, None] + np.square(right).sum(1) - 2 * (left @ right.T)
    kernel: Features = np.exp(-scale * distances)
    return kernel
