"""What two trainings of the same cohort have in common, whoever computed them."""

import numpy as np

from fedau2.wire.contributions import Rows
from tests.client_sdk.kernel.test_gradients import dense


def close(actual, expected, tolerance, scale=1e-6):
    assert actual.shape == expected.shape
    assert np.abs(actual - expected).max(initial=0) <= tolerance * max(np.abs(expected).max(initial=0), scale)


def agree(task, actual, expected, tolerance, summed):
    """Compares all that training gives, from the same input."""
    close(actual.report().loss, expected.report().loss, tolerance)
    for name, margin in expected.report().margin.items():
        decided = ~(np.abs(margin) < tolerance)
        for of_both in ("triggered", "margin"):
            ours, theirs = (getattr(training.report(), of_both)[name] for training in (actual, expected))
            np.testing.assert_allclose(ours[decided], theirs[decided], tolerance, tolerance)
    for part in ("values", "first", "second"):
        for name, column in getattr(expected.state(), part).items():
            close(getattr(actual.state(), part)[name], column, tolerance)
    np.testing.assert_array_equal(actual.state().steps, expected.state().steps)
    if summed:
        (ours, counted), (theirs, expected_count) = actual.summed(), expected.summed()
        assert counted == expected_count
        updates_agree(task, ours, theirs, tolerance)
    else:
        for ours, theirs in zip(actual.contributions(), expected.contributions(), strict=True):
            updates_agree(task, ours, theirs, tolerance)


def updates_agree(task, ours, theirs, tolerance):
    assert ours.keys() == theirs.keys()
    for name, update in theirs.items():
        like = (task.shared | task.adversary)[name]
        if isinstance(update, Rows):
            np.testing.assert_array_equal(ours[name].indices, update.indices)
        close(dense(ours[name], like), dense(update, like), tolerance)
