"""No invertible linear map of the state hides an attribute from the suite."""

import numpy as np
import pytest

from simulator.evaluation import attackers
from simulator.evaluation.classifiers.strong import FAMILIES

EXACT = (
    "whitened_logistic_regression",
    "whitened_linear_discriminant",
    "whitened_quadratic_discriminant",
    "whitened_neighbours",
    "whitened_rbf_svm",
)
"""Families that read exactly the same of a state and of any rotation of it."""

USERS, WIDTH = 240, 12
LABELS = np.arange(USERS) % 2


def state_of(seed, radial):
    """A Gaussian state: the classes differ in the mean of one number, or in how much two of them vary."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(USERS, WIDTH))
    if radial:
        x[:, :2] *= np.where(LABELS, 0.4, 1.6)[:, None]
    else:
        x[:, 0] += 1.8 * LABELS
    return x


def mapped(x, seed, shrunk):
    """The state by another basis, after the number that tells most was shrunk."""
    rng = np.random.default_rng(seed)
    basis, other = (np.linalg.qr(rng.normal(size=(WIDTH, WIDTH)))[0] for _ in range(2))
    return (x * [shrunk, *[1.0] * (WIDTH - 1)]) @ basis * np.geomspace(1, 0.1, WIDTH) @ other + 3


@pytest.fixture(autouse=True)
def _fewer(monkeypatch):
    monkeypatch.setattr(attackers, "SHUFFLES", 1)
    monkeypatch.setattr(attackers, "NULL_SPLITS", 1)


@pytest.mark.parametrize(("radial", "seed"), [(False, 1), (True, 2)])
@pytest.mark.parametrize("shrunk", [1.0, 1e-2])
def test_no_invertible_linear_map_changes_what_is_read(radial, seed, shrunk):
    x = state_of(seed, radial)
    before, after = (
        attackers.attack(state.astype(np.float32), LABELS, "strong", splits=3, seed=seed)
        for state in (x, mapped(x, seed, shrunk))
    )
    noise = 2 * before.std  # of a split, since the splits share their users
    assert after.largest.bacc.value >= before.largest.bacc.value - noise
    for name in EXACT:
        assert after.largest.bacc_of[name] == pytest.approx(before.largest.bacc_of[name], abs=0.03)
        assert after.largest.auc_of[name] == pytest.approx(before.largest.auc_of[name], abs=0.02)


def test_every_family_has_a_whitened_one():
    kinds = {family.name.removeprefix("whitened_") for family in FAMILIES}
    assert {family.name.removeprefix("whitened_") for family in FAMILIES if family.whitened} == kinds
