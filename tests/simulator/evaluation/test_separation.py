import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import balanced_accuracy_score, roc_auc_score

from simulator.evaluation import separation


@given(seed=st.integers(0, 2**31 - 1), classes=st.integers(2, 4), levels=st.sampled_from([2, 1000]))
@settings(max_examples=30, deadline=None)
def test_measures_are_those_of_scikit_learn(seed, classes, levels):
    rng = np.random.default_rng(seed)
    truth = rng.permutation(np.append(np.arange(classes), rng.integers(classes, size=30)))
    outputs = rng.integers(levels, size=(3, len(truth), 1 if classes == 2 else classes)).astype(float)
    guesses = (outputs[..., 0] > levels / 2).astype(int) if classes == 2 else outputs.argmax(-1)
    bacc, auc = separation.bacc(guesses, truth, classes), separation.auc(outputs, truth, classes)
    for ours, area, guess, output in zip(bacc, auc, guesses, outputs, strict=True):
        assert ours == pytest.approx(balanced_accuracy_score(truth, guess))
        if classes == 2:
            assert area == pytest.approx(roc_auc_score(truth, output[:, 0]))
        else:
            assert area == pytest.approx(np.mean([roc_auc_score(truth == c, output[:, c]) for c in range(classes)]))
