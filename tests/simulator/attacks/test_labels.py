"""However small a gradient is, its rows tell the label."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.attacks import labels
from simulator.attacks.uploads import Uploads

CLIENTS = 6
TRUE = np.arange(CLIENTS) % 3
exponents = st.lists(st.floats(-37, 3), min_size=CLIENTS, max_size=CLIENTS)


def seen(exponents, true=TRUE):
    """A round: the entry of the true class is below 0, the others share as much above it."""
    grad = np.full((CLIENTS, 3), 0.5)
    grad[np.arange(CLIENTS), true] = -1
    scaled = torch.from_numpy((grad * 10 ** np.array(exponents)[:, None]).astype(np.float32))
    weight = (scaled[:, :, None] / 4).expand(-1, -1, 4)
    uploads = Uploads(torch.zeros(CLIENTS, 2), {"head.bias": scaled, "head.weight": weight})
    return SimpleNamespace(uploads={"gender": uploads}, clients=np.arange(CLIENTS))


def attack(rule):
    target = SimpleNamespace(name="gender", classes=["a", "b", "c"])
    return labels.Accumulated(SimpleNamespace(target=target, clients=CLIENTS, seed=0), rule)


@given(exponents)
@settings(max_examples=50, deadline=None)
def test_rows_have_norm_1_whatever_their_size(sizes):
    found = labels.magnitudes(seen(sizes).uploads["gender"], 3)
    np.testing.assert_allclose(found.square().sum(1), 1, rtol=1e-5)


@pytest.mark.parametrize("rule", [labels.idlg, labels.magnitudes, labels.signs])
@given(sizes=exponents)
@settings(max_examples=30, deadline=None)
def test_one_round_is_enough(rule, sizes):
    attacker = attack(rule)
    attacker.see(seen(sizes))
    np.testing.assert_array_equal(attacker.guess(np.arange(CLIENTS)), TRUE)


@given(sizes=st.lists(exponents, min_size=3, max_size=3))
@settings(max_examples=30, deadline=None)
def test_no_round_drowns_the_others(sizes):
    attacker = attack(labels.magnitudes)
    for each, true in zip(sizes, (TRUE, (TRUE + 1) % 3, TRUE), strict=True):  # noise made the second one wrong
        attacker.see(seen(each, true))
    np.testing.assert_array_equal(attacker.guess(np.arange(CLIENTS)), TRUE)


def test_ties_are_broken_by_chance():
    attacker = labels.Accumulated(
        SimpleNamespace(target=SimpleNamespace(name="gender", classes=["a", "b"]), clients=400, seed=1), labels.signs
    )
    assert 0.4 < attacker.guess(np.arange(400)).mean() < 0.6
