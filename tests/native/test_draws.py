"""The native kernel draws the numbers of `client_sdk.draws`, bit for bit."""

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from client_sdk import draws
from client_sdk.errors import NoDataError
from client_sdk.kernel import fedncf, fedvae
from client_sdk.kernel.operations import TORCH
from client_sdk.plan import AdversaryPlan, LocalPlan, TrainingPlan
from fedau2.v1.task_pb2 import DRAW_CONTRASTS, DRAW_WHOLE, HEAD_DSVAE, HEAD_MLP, OBJECTIVE_REVERSAL, TRIGGER_SUT

CLIENTS, ITEMS = 3, 40
counts = st.lists(st.integers(1, ITEMS - 1), min_size=CLIENTS, max_size=CLIENTS)
function_fixture = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def plan_of(steps=1, negatives=4, chunk=16, adversaries=()):
    return TrainingPlan(ITEMS, {}, LocalPlan(steps, negatives, chunk), adversaries, None, DRAW_CONTRASTS, 0)


def drawn(operations, plan, keys, interactions, weights=None, round_number=0):
    return operations.samples(plan, fedncf, keys, round_number, interactions, weights)


@given(
    counts=counts,
    seed=st.integers(0, 10**6),
    steps=st.integers(1, 3),
    negatives=st.integers(0, 5),
    chunk=st.integers(1, 9),
    weighted=st.booleans(),
    round_number=st.integers(0, 2**31),
)
@function_fixture
def test_samples_are_the_same(operations, counts, seed, steps, negatives, chunk, weighted, round_number):
    plan = plan_of(steps, negatives, chunk)
    rng = np.random.default_rng(seed)
    keys = [rng.bytes(16) for _ in counts]
    interactions = [np.sort(rng.choice(ITEMS, count, replace=False)) for count in counts]
    weights = [rng.uniform(0.1, 3, count).astype(np.float32) for count in counts] if weighted else None
    both = operations("fedncf"), TORCH
    ours, theirs = (drawn(chosen, plan, keys, interactions, weights, round_number) for chosen in both)
    assert len(ours) == len(theirs)
    for client, expected in zip(ours, theirs, strict=True):
        for step, reference in zip(client, expected, strict=True):
            for name in ("items", "labels", "weights", "noise"):
                np.testing.assert_array_equal(getattr(step, name), getattr(reference, name))


@pytest.mark.parametrize("steps", [1, 2])
def test_noise_is_the_same(operations, steps):
    adversaries = [
        AdversaryPlan(name, classes, (), head, TRIGGER_SUT, OBJECTIVE_REVERSAL, variance=4.0)
        for name, classes, head in (("gender", 2, HEAD_MLP), ("age", 3, HEAD_DSVAE))
    ]
    keys = [bytes([number] * 16) for number in range(20)]
    ours, theirs = (chosen.noise(adversaries, steps, keys, 7) for chosen in (operations("fedncf"), TORCH))
    assert ours.keys() == theirs.keys() == {"gender", "age"}
    for name, expected in theirs.items():
        np.testing.assert_array_equal(ours[name], expected)
    assert operations("fedncf").noise((), steps, keys, 7) == {}


def test_normals_are_the_same_in_every_layer_and_in_the_tail(library):
    key, count = bytes(range(16)), 100_000
    normals = np.empty(count, np.float32)
    library.normals(1, key, 3, 2, count, normals)
    expected = draws.generator(key, 3, 2).standard_normal(count, np.float32)
    assert np.abs(expected).max() > 3.7  # the tail
    # Libraries of C differ in the last bit of the tail's logarithm.
    np.testing.assert_array_max_ulp(normals, expected, 1)
    assert (normals != expected).sum() <= 1


def test_uniforms_are_the_same(library):
    keys, counts = [bytes(16), bytes(range(16))], np.array([5, 3])
    uniforms = np.empty(8, np.float32)
    library.uniforms(2, b"".join(keys), 4, 1, counts, uniforms)
    expected = [draws.generator(key, 4, 1).random(n, np.float32) for key, n in zip(keys, counts, strict=True)]
    np.testing.assert_array_equal(uniforms, np.concatenate(expected))


@pytest.mark.parametrize(("interactions", "message"), [([], "nothing is recorded"), (range(ITEMS), "every item")])
def test_a_client_without_samples_is_refused_in_the_same_words(operations, interactions, message):
    rows = [np.arange(3), np.array(interactions, np.int64)]
    for chosen in (operations("fedncf"), TORCH):
        with pytest.raises(NoDataError, match=message):
            drawn(chosen, plan_of(), [bytes(16)] * 2, rows)


@given(counts=counts, seed=st.integers(0, 10**6), steps=st.integers(1, 3), weighted=st.booleans())
@function_fixture
def test_whole_users_are_the_same(operations, counts, seed, steps, weighted):
    local = LocalPlan(steps, 0, 1)
    shapes = {"decoder.weight": (8, 5)}
    plan = TrainingPlan(ITEMS, shapes, local, (), fedvae.Parameters(dropout=0.4), DRAW_WHOLE, 5)
    rng = np.random.default_rng(seed)
    keys = [rng.bytes(16) for _ in counts]
    interactions = [np.sort(rng.choice(ITEMS, count, replace=False)) for count in counts]
    weights = [rng.uniform(0.1, 3, count).astype(np.float32) for count in counts] if weighted else None
    both = operations("fedvae"), TORCH
    ours, theirs = (chosen.samples(plan, fedvae, keys, 9, interactions, weights) for chosen in both)
    for client, expected in zip(ours, theirs, strict=True):
        for step, reference in zip(client, expected, strict=True):
            for name in ("items", "labels", "weights", "noise"):
                np.testing.assert_array_equal(getattr(step, name), getattr(reference, name))
