import numpy as np
import pytest

from simulator.evaluation import ready_guesses


@pytest.mark.parametrize("classes", [2, 3])
def test_likelihoods_are_measured_beside_those_of_other_users(classes):
    rng = np.random.default_rng(0)
    labels = np.append(rng.integers(classes, size=300), -1)
    telling = np.eye(classes)[labels] + 0.01 * rng.random((301, classes))
    for likelihoods, low, high in ((telling, 0.99, 1.0), (rng.random((301, classes)), 0.0, 0.65)):
        for name, figure in ready_guesses.measure(likelihoods, labels, 0).items():
            assert low <= figure.value <= high
            assert figure.null_mean == pytest.approx(1 / classes if name == "bacc" else 0.5, abs=0.03)
            assert figure.null_mean < figure.null_p95 < 0.65
