import numpy as np
import pytest

from simulator.evaluation import ready_guesses
from simulator.unlearning import gaps
from simulator.unlearning.optimal_transport import transport


@pytest.mark.parametrize("apart", [1.0, 2.0])
def test_who_holds_the_maps_reads_the_class_from_state_that_was_moved(apart):
    """With the second class more varied, the map has a step along directions too."""
    rng = np.random.default_rng(0)
    labels = np.arange(600) % 2
    before = (rng.normal(size=(600, 30)) * np.where(labels, apart, 1)[:, None]).astype(np.float32)
    targets = labels[:, None] == np.arange(2)
    after, strength = transport(before, targets, 0)
    likelihoods, groups = gaps.likelihoods(before, after, targets, max(strength, 0.5))
    order = np.argsort([labels[group[0]] for group in groups])
    assert ready_guesses.measure(likelihoods[:, order], labels, 0)["auc"].value > 0.8
