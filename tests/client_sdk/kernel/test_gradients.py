"""The hand-written kernel against independent eager models differentiated by autograd."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from client_sdk import draws
from client_sdk.kernel import adversary, contract
from client_sdk.kernel.training import Cohort, CohortTraining, Task
from client_sdk.plan import AdversaryPlan
from client_sdk.protocol.values import PrivateState
from fedau2.v1 import task_pb2
from fedau2.v1.task_pb2 import Adversary, LocalUpdate, Optimizer, Plan, ServerStep, TaskManifest
from fedau2.wire import manifest
from fedau2.wire.contributions import Rows
from tests.client_sdk.kernel.eager import MODELS, gradients

ITEMS = 37
names = st.sampled_from(list(MODELS))


def make_task(
    name,
    head=task_pb2.HEAD_DSVAE,
    trigger=task_pb2.TRIGGER_SUT,
    steps=1,
    weights=(),
    protects=None,
    prior=(),
):
    model = MODELS[name]
    specs = model.module.tensors(ITEMS, model.widths)
    adversaries = []
    if head:
        adversaries = [
            Adversary(
                name="gender", attribute="gender", classes=["M", "F"], protects=protects or model.protects[0],
                head=head, trigger=trigger, variance=4, epsilon=40, pretrain_rounds=3, class_weights=weights,
                objective=task_pb2.OBJECTIVE_CONFUSION if prior else task_pb2.OBJECTIVE_REVERSAL, prior=prior,
            )
        ]  # fmt: skip
        specs += adversary.tensors(AdversaryPlan.of(adversaries[0]), contract.states(model.module, specs), ITEMS)
    local = LocalUpdate(
        steps=steps, negatives=4, chunk=16, private_learning_rate=0.1, shared_learning_rate=0.05,
    )  # fmt: skip
    adam = Optimizer(kind=task_pb2.OPTIMIZER_KIND_ADAM, learning_rate=0.01, beta1=0.9, beta2=0.999, epsilon=1e-8)
    plan = Plan(local=local, adversaries=adversaries, server=ServerStep(shared=adam, adversary=adam))
    plan.parameters.update(model.parameters)
    task = TaskManifest(format=2, model=name.split()[0], tensors=specs, plan=plan, items=ITEMS)
    values = draws.initial(manifest.shared(task).values(), bytes(16))
    # Far from the tiny initial values, so that every term matters.
    return Task.load(task, {name: model.tables * v if "item" in name else v + 0.05 for name, v in values.items()})


def make_cohort(task, clients, round_number=0, unknown=(), seed=0):
    scale = MODELS[task.manifest.model].scale
    rng = np.random.default_rng(seed)
    keys = [rng.bytes(16) for _ in range(clients)]
    interactions = [np.sort(rng.choice(ITEMS, rng.integers(2, 15), replace=False)) for _ in keys]
    values = [draws.initial(manifest.private(task.manifest), key) for key in keys]
    state = PrivateState.start({n: np.stack([scale * v[n] for v in values]) for n in values[0]}, clients)
    labels = {a.name: rng.integers(0, 2, clients) for a in task.manifest.plan.adversaries}
    for each in labels.values():
        each[list(unknown)] = -1
    return Cohort.draw(task.manifest, round_number, keys, interactions, labels, state)


def train(task, cohort, round_number=0, summed=False):
    """The cohort's own state stays as it is, to compare with."""
    own = replace(cohort, state=cohort.state.copy())
    return CohortTraining(task, round_number, own, summed=summed).run()


def dense(update, like):
    if isinstance(update, Rows):
        out = np.zeros(like.shape, np.float32)
        out[update.indices] = update.values
        return out
    return update


def assert_close(actual, expected, scale=1e-6):
    scale = max(np.abs(expected).max(), scale)
    assert np.abs(actual - expected).max() <= 1e-5 * scale  # both may be 0 throughout


HEADS = [0, task_pb2.HEAD_MLP, task_pb2.HEAD_VAE, task_pb2.HEAD_DSVAE, task_pb2.HEAD_SCALAR]
TRIGGERS = [task_pb2.TRIGGER_SUT, task_pb2.TRIGGER_GLOBAL, task_pb2.TRIGGER_OFF, task_pb2.TRIGGER_PRETRAIN]
PROTECTED = [(name, protects) for name, model in MODELS.items() for protects in model.protects]


@pytest.mark.parametrize("head", HEADS)
@pytest.mark.parametrize("trigger", TRIGGERS)
@pytest.mark.parametrize(("name", "protects"), PROTECTED, ids=lambda value: str(value))
def test_separate_gradients_are_autograds(name, protects, head, trigger):
    task = make_task(name, head, trigger, weights=(0.7, 1.8), protects=protects)
    cohort = make_cohort(task, 5, round_number=3, unknown=[2])
    training = train(task, cohort, round_number=3)
    for client, contribution in enumerate(training.contributions()):
        expected, fired = gradients(MODELS[name], task, cohort, client, round_number=3)
        assert set(contribution) == {n for n in expected if n not in cohort.state.values}
        for tensor, update in contribution.items():
            assert_close(dense(update, expected[tensor]), expected[tensor].numpy())
        if head:
            assert training.report().triggered["gender"][client, 0] == bool(fired)


@pytest.mark.parametrize("head", HEADS[1:])
@pytest.mark.parametrize(("name", "protects"), PROTECTED, ids=lambda value: str(value))
def test_confusion_pushes_towards_the_prior_whatever_the_label(name, protects, head):
    task = make_task(name, head, prior=(3.0, 1.0), protects=protects)
    cohort = make_cohort(task, 5, unknown=[2])
    other = replace(cohort, labels={"gender": np.where(cohort.labels["gender"] < 0, -1, 1 - cohort.labels["gender"])})
    training, turned = train(task, cohort), train(task, other)
    assert training.report().triggered["gender"][:, 0].tolist() == [True, True, False, True, True]
    for client, contribution in enumerate(training.contributions()):
        expected, _ = gradients(MODELS[name], task, cohort, client)
        for tensor, update in contribution.items():
            assert_close(dense(update, expected[tensor]), expected[tensor].numpy())
        for tensor, first in training.state().first.items():
            assert_close(first[client] / 0.1, expected[tensor].numpy())
        for tensor, update in turned.contributions()[client].items():
            if tensor in task.shared:
                np.testing.assert_array_equal(
                    dense(update, expected[tensor]), dense(contribution[tensor], expected[tensor])
                )
    for tensor, value in turned.state().values.items():
        np.testing.assert_array_equal(value, training.state().values[tensor])


@given(name=names, clients=st.integers(1, 6), seed=st.integers(0, 10**6), head=st.sampled_from(HEADS), data=st.data())
@settings(max_examples=40, deadline=None)
def test_private_state_takes_the_adam_step_of_torch(name, clients, seed, head, data):
    task = make_task(name, head, protects=data.draw(st.sampled_from(MODELS[name].protects)))
    cohort = make_cohort(task, clients, seed=seed)
    state = train(task, cohort, summed=True).state()
    for client in range(clients):
        grads, _ = gradients(MODELS[name], task, cohort, client)
        for tensor in state.values:
            value = torch.tensor(cohort.state.values[tensor][client]).requires_grad_()
            value.grad = grads[tensor]
            torch.optim.Adam([value], lr=0.1).step()
            assert_close(state.values[tensor][client], value.detach().numpy())
    assert (state.steps == 1).all()


@given(
    name=names,
    clients=st.integers(1, 7),
    seed=st.integers(0, 10**6),
    head=st.sampled_from(HEADS),
    steps=st.integers(1, 3),
)
@settings(max_examples=60, deadline=None)
def test_summed_form_is_the_sum_of_separate_forms(name, clients, seed, head, steps):
    task = make_task(name, head, steps=steps)
    cohort = make_cohort(task, clients, unknown=[0] if clients > 1 else [], seed=seed)
    separate, summed = train(task, cohort), train(task, cohort, summed=True)
    total, weights = summed.summed()
    each = separate.contributions()
    for tensor, like in (task.shared | task.adversary).items():
        carried = [dense(c[tensor], like) for c in each if tensor in c]
        assert weights[tensor] == len(carried)
        if carried:
            # What cancels in the sum keeps the rounding of its parts.
            scale = np.sum(np.abs(carried), 0).max()
            assert_close(dense(total[tensor], like), np.sum(carried, 0, dtype=np.float64), scale)
    for tensor, value in separate.state().values.items():
        assert_close(summed.state().values[tensor], value)


@given(name=names, seed=st.integers(0, 10**6))
@settings(max_examples=15, deadline=None)
def test_the_reported_loss_is_the_one_that_is_differentiated(name, seed):
    task = make_task(name, 0)
    cohort = make_cohort(task, 3, seed=seed)
    for summed in (False, True):
        losses = train(task, cohort, 5, summed=summed).report().loss
        for client in range(3):
            private = {n: torch.tensor(v[client]) for n, v in cohort.state.values.items()}
            expected, _ = MODELS[name].loss(task.shared, private, cohort.samples[client][0], task.plan, 5)
            assert_close(losses[client], expected.numpy())


@pytest.mark.parametrize("name", MODELS)
def test_cohort_of_one_does_not_depend_on_its_neighbours(name):
    task = make_task(name, steps=2)
    cohort = make_cohort(task, 4)
    together = train(task, cohort).contributions()
    for client in range(4):
        one = Cohort(
            [cohort.samples[client]],
            {n: v[client : client + 1] for n, v in cohort.noise.items()},
            {n: v[client : client + 1] for n, v in cohort.labels.items()},
            PrivateState.start({n: v[client : client + 1] for n, v in cohort.state.values.items()}, 1),
        )
        alone = train(task, one).contributions()[0]
        for tensor, update in alone.items():
            like = task.shared.get(tensor)
            if isinstance(update, Rows):
                np.testing.assert_array_equal(update.indices, together[client][tensor].indices)
            assert_close(dense(update, like), dense(together[client][tensor], like))


@pytest.mark.parametrize("name", MODELS)
def test_several_steps_are_sgd_from_the_checkpoint(name):
    task = make_task(name, 0, steps=2)
    cohort = make_cohort(task, 1)
    contribution = train(task, cohort).contributions()[0]
    shared, state, total = dict(task.shared), cohort.state, {}
    for step in range(2):
        part = Cohort([[cohort.samples[0][step]]], {}, {}, state)
        current = replace(task, shared=shared)
        grads, _ = gradients(MODELS[name], current, part, 0)
        for tensor in shared:
            total[tensor] = total.get(tensor, 0) + 0.05 * grads[tensor]
        one_step = replace(task.plan, local=replace(task.plan.local, steps=1))
        state = train(replace(current, plan=one_step), part).state()
        shared = {tensor: task.shared[tensor] - total[tensor] for tensor in shared}
    for tensor, update in contribution.items():
        assert_close(dense(update, total[tensor]), total[tensor].numpy())


@pytest.mark.parametrize("name", MODELS)
def test_the_task_is_left_as_it_is(name):
    task = make_task(name, steps=2)
    before = {n: v.clone() for n, v in (task.shared | task.adversary).items()}
    train(task, make_cohort(task, 3))
    for tensor, value in (task.shared | task.adversary).items():
        assert torch.equal(value, before[tensor])


@pytest.mark.parametrize("name", MODELS)
def test_scores_are_the_logits_that_training_sees(name):
    task = make_task(name, 0)
    cohort = make_cohort(task, 1)
    private = {n: torch.tensor(v[0]) for n, v in cohort.state.values.items()}
    history = torch.tensor([1, 5, 30])
    scores = contract.logits(task.recommender, task.recommender.prepare(task.shared), private, history)
    expected = MODELS[name].logits(task.shared, private, torch.arange(ITEMS), history)
    assert_close(scores.numpy(), expected.numpy())
