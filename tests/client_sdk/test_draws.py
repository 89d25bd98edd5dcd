import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.random import Generator, Philox

from client_sdk import draws
from client_sdk.draws import Stream
from client_sdk.errors import NoDataError
from client_sdk.plan import AdversaryPlan, LocalPlan
from fedau2.v1 import task_pb2
from fedau2.v1.task_pb2 import Adversary
from fedau2.v1.tensors_pb2 import Initializer, TensorSpec

keys = st.binary(min_size=16, max_size=16)


@st.composite
def clients(draw):
    items = draw(st.integers(2, 60))
    taken = draw(st.sets(st.integers(0, items - 1), min_size=1, max_size=items - 1))
    local = LocalPlan(steps=draw(st.integers(1, 4)), negatives=draw(st.integers(1, 5)), chunk=draw(st.integers(1, 20)))
    return items, np.array(sorted(taken), np.int64), local


@given(clients(), keys)
def test_each_positive_once_and_negatives_from_outside(client, key):
    items, interactions, local = client
    steps = draws.samples(interactions, items, local, draws.generator(key, 3, Stream.SAMPLES))
    assert len(steps) == local.steps
    drawn = np.concatenate([step.items for step in steps])
    labels = np.concatenate([step.labels for step in steps])
    np.testing.assert_array_equal(np.sort(drawn[labels == 1]), interactions)
    negatives = drawn[labels == 0]
    assert len(negatives) == local.negatives * len(interactions)
    assert not np.isin(negatives, interactions).any()
    assert ((negatives >= 0) & (negatives < items)).all()


@given(clients(), keys)
def test_weights_make_the_sum_of_chunk_means(client, key):
    items, interactions, local = client
    for step in draws.samples(interactions, items, local, draws.generator(key, 0, Stream.SAMPLES)):
        values = np.arange(len(step.items), dtype=np.float64)
        chunks = [values[i : i + local.chunk].mean() for i in range(0, len(values), local.chunk)]
        np.testing.assert_allclose((step.weights * values).sum(), sum(chunks), rtol=1e-5)


def test_negatives_are_uniform_over_the_items_outside():
    interactions, local = np.array([0, 3, 4, 9]), LocalPlan(steps=1, negatives=50, chunk=128)
    counts = np.zeros(10)
    for round_number in range(300):
        step = draws.samples(interactions, 10, local, draws.generator(bytes(16), round_number, Stream.SAMPLES))[0]
        counts += np.bincount(step.items[step.labels == 0], minlength=10)
    outside = np.setdiff1d(np.arange(10), interactions)
    expected = counts.sum() / len(outside)
    assert (np.abs(counts[outside] - expected) < 5 * np.sqrt(expected)).all()


@given(keys, st.integers(0, 2**40), st.sampled_from(list(Stream)))
def test_a_stream_is_a_function_of_key_round_and_purpose(key, round_number, stream):
    first = draws.generator(key, round_number, stream).integers(0, 2**62, 4)
    np.testing.assert_array_equal(first, draws.generator(key, round_number, stream).integers(0, 2**62, 4))
    others = [
        draws.generator(bytes(b ^ 1 for b in key), round_number, stream),
        draws.generator(key, round_number + 1, stream),
        draws.generator(key, round_number, stream + 1),
    ]
    for other in others:
        assert (other.integers(0, 2**62, 4) != first).any()


@given(keys, st.integers(0, 2**63), st.sampled_from(Stream))
def test_a_stream_is_that_of_philox_with_the_key(key, round_number, stream):
    theirs = Generator(Philox(key=np.frombuffer(key, "<u8"), counter=[0, 0, round_number, stream]))
    assert draws.generator(key, round_number, stream).random() == theirs.random()


@given(keys, st.sampled_from([task_pb2.HEAD_MLP, task_pb2.HEAD_VAE]))
@settings(max_examples=20)
def test_only_dsvae_has_noise_on_the_mean_path(key, head):
    adversary = AdversaryPlan.of(Adversary(name="a", classes=["x", "y"], head=head))
    noise = draws.noise([adversary], 3, draws.generator(key, 0, Stream.NOISE))["a"]
    assert noise.shape == (3, 2, 2)
    assert (noise[:, 0] == 1).all()


def test_variance_is_the_variance_of_n1():
    adversary = AdversaryPlan.of(Adversary(name="a", classes=["x", "y"], head=task_pb2.HEAD_DSVAE, variance=4))
    noise = draws.noise([adversary], 20_000, draws.generator(bytes(16), 0, Stream.NOISE))["a"]
    assert noise[:, 0].mean() == pytest.approx(1, abs=0.05)
    assert noise[:, 0].var() == pytest.approx(4, rel=0.05)
    assert noise[:, 1].mean() == pytest.approx(0, abs=0.03)
    assert noise[:, 1].var() == pytest.approx(1, rel=0.05)


@pytest.mark.parametrize("interactions", [[], [0, 1, 2]])
def test_nothing_to_train_on_is_an_error(interactions):
    local = LocalPlan(steps=1, negatives=4, chunk=128)
    with pytest.raises(NoDataError):
        draws.samples(np.array(interactions, np.int64), 3, local, draws.generator(bytes(16), 0, Stream.SAMPLES))


def test_initial_values_follow_their_distribution():
    specs = [
        TensorSpec(name="zeros", shape=[5], initializer=Initializer(distribution=1)),
        TensorSpec(name="normal", shape=[200, 100], initializer=Initializer(distribution=2, scale=0.5)),
        TensorSpec(name="uniform", shape=[200, 100], initializer=Initializer(distribution=3, scale=0.5)),
    ]
    values = draws.initial(specs, bytes(16))
    assert not values["zeros"].any()
    assert values["normal"].std() == pytest.approx(0.5, rel=0.03)
    assert np.abs(values["uniform"]).max() <= 0.5
    assert values["uniform"].std() == pytest.approx(0.5 / np.sqrt(3), rel=0.03)
    assert all(value.dtype == np.float32 for value in values.values())
