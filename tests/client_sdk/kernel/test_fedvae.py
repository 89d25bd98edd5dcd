"""What is FedVAE's own."""

import dataclasses

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from client_sdk.errors import NoDataError
from client_sdk.kernel import fedvae
from client_sdk.kernel.fedvae import Parameters, Widths
from client_sdk.kernel.training import Cohort
from client_sdk.protocol.values import PrivateState
from fedau2.v1 import task_pb2
from tests.client_sdk.kernel.test_gradients import ITEMS, make_cohort, make_task, train


@given(key=st.binary(min_size=16, max_size=16), taken=st.sets(st.integers(0, ITEMS - 1), min_size=1))
def test_each_step_sees_all_interactions_and_drops_some_of_their_inputs(key, taken):
    plan = make_task("fedvae", steps=3).plan
    rows = np.array(sorted(taken))
    steps = fedvae.draw(plan, rows, key, 7)
    assert len(steps) == 3
    for step in steps:
        np.testing.assert_array_equal(step.items, rows)
        assert (step.labels == 1).all()
        whole = 1 / (1 - plan.parameters.dropout) / np.sqrt(len(rows))
        assert (np.isclose(step.weights, whole) | (step.weights == 0)).all()
        assert step.noise.shape == (4,)
    assert (steps[0].noise != steps[1].noise).all()
    other = fedvae.draw(plan, rows, bytes(byte ^ 1 for byte in key), 7)
    assert (other[0].noise != steps[0].noise).all()


def test_inputs_are_dropped_as_often_as_the_plan_says():
    plan = make_task("fedvae").plan
    rows = np.arange(ITEMS)
    kept = [fedvae.draw(plan, rows, bytes(16), number)[0].weights > 0 for number in range(300)]
    assert np.mean(kept) == pytest.approx(1 - plan.parameters.dropout, abs=0.02)


def test_without_interactions_there_is_nothing_to_train_on():
    with pytest.raises(NoDataError):
        fedvae.draw(make_task("fedvae").plan, np.zeros(0, np.int64), bytes(16), 0)


def test_a_user_who_knows_every_item_can_be_trained_on():
    task = make_task("fedvae")
    cohort = Cohort.draw(task.manifest, 0, [bytes(16)], [np.arange(ITEMS)], {"gender": np.array([0])},
                         PrivateState.start({}, 1))  # fmt: skip
    assert np.isfinite(train(task, cohort).report().loss).all()


def test_the_divergence_is_annealed_by_the_round():
    annealed = Parameters(kl_cap=0.25, kl_anneal_rounds=100)
    assert [fedvae.kl_weight(annealed, number) for number in (0, 10, 25, 1000)] == [0, 0.1, 0.25, 0.25]
    assert fedvae.kl_weight(Parameters(kl_cap=0.25, kl_anneal_rounds=0), 0) == 0.25


def test_the_reversed_gradient_flows_on_into_the_encoder_and_not_into_the_decoder():
    found = {}
    for trigger in (task_pb2.TRIGGER_GLOBAL, task_pb2.TRIGGER_OFF):
        task = make_task("fedvae", trigger=trigger)
        found[trigger] = train(task, make_cohort(task, 3), summed=True).summed()[0]
    one, other = found.values()
    for name in ("latent.weight", "encoder.bias"):
        assert np.abs(one[name] - other[name]).max() > 1e-3
    assert np.abs(one["item_encoder"].values - other["item_encoder"].values).max() > 1e-3
    for name in ("decoder.weight", "item_decoder", "item_bias"):
        np.testing.assert_array_equal(one[name], other[name])


def test_a_contribution_names_the_rows_of_the_interactions_and_all_of_the_last_layer():
    task = make_task("fedvae")
    cohort = make_cohort(task, 3)
    for client, contribution in enumerate(train(task, cohort).contributions()):
        np.testing.assert_array_equal(contribution["item_encoder"].indices, cohort.samples[client][0].items)
        assert contribution["item_decoder"].shape == (ITEMS, 7)


@given(seed=st.integers(0, 10**6), history=st.sets(st.integers(0, ITEMS - 1)))
def test_moving_the_latent_moves_every_users_mean_and_nothing_else(seed, history):
    rng = np.random.default_rng(seed)
    matrix, offset = rng.standard_normal((4, 4)), rng.standard_normal(4)
    shared = {name: value.numpy() for name, value in make_task("fedvae").shared.items()}
    moved = fedvae.move_latent(shared, matrix, offset)

    def latent(tensors):
        serving = fedvae.prepare({name: torch.tensor(value) for name, value in tensors.items()})
        return fedvae.user(serving, {}, torch.tensor(sorted(history), dtype=torch.int64))[fedvae.LATENT].numpy()

    np.testing.assert_allclose(latent(moved), latent(shared) @ matrix + offset, rtol=1e-4, atol=1e-4)
    for name, value in shared.items():
        rows = slice(4, None) if name.startswith("latent.") else slice(None)  # the log variances
        np.testing.assert_array_equal(moved[name][rows], value[rows])
        assert moved[name].dtype == np.float32


@pytest.mark.parametrize("field", [field.name for field in dataclasses.fields(Widths)])
def test_layers_of_no_unit_are_refused(field):
    with pytest.raises(ValueError, match="at least one unit"):
        Widths(**{field: 0})
