"""The hand-written kernel against an independent eager model differentiated by autograd."""

from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from client_sdk import draws
from client_sdk.kernel import adversary, fedncf
from client_sdk.kernel.training import Cohort, CohortTraining, Task
from client_sdk.state import PrivateState
from fedau2.v1 import task_pb2
from fedau2.v1.task_pb2 import Adversary, LocalUpdate, Optimizer, Plan, ServerStep, TaskManifest
from fedau2.wire import manifest
from fedau2.wire.contributions import Rows

ITEMS = 37
SMALL = fedncf.Widths(gmf=4, mlp=6, hidden=(7, 5))


class Reverse(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, scale):
        ctx.scale = scale
        return x.view_as(x)

    @staticmethod
    def backward(ctx, grad):
        return -ctx.scale[:, None] * grad, None


def make_task(
    head=task_pb2.HEAD_DSVAE, trigger=task_pb2.TRIGGER_SUT, steps=1, widths=SMALL, weights=(), protects=None, prior=None
):
    protects = protects or ["user_gmf"]
    adversaries = []
    if head:
        adversaries = [
            Adversary(
                name="gender", attribute="gender", classes=["M", "F"], protects=protects, head=head, trigger=trigger,
                variance=4, epsilon=40, pretrain_rounds=3, class_weights=weights, prior=prior or (),
                objective=task_pb2.OBJECTIVE_CONFUSION if prior else task_pb2.OBJECTIVE_REVERSAL,
            )
        ]  # fmt: skip
    local = LocalUpdate(steps=steps, negatives=4, chunk=16, private_learning_rate=0.1, shared_learning_rate=0.05)
    adam = Optimizer(kind=task_pb2.OPTIMIZER_KIND_ADAM, learning_rate=0.01, beta1=0.9, beta2=0.999, epsilon=1e-8)
    specs = fedncf.tensors(ITEMS, widths)
    private = [spec for spec in specs if spec.name.startswith("user_")]
    specs += [spec for each in adversaries for spec in adversary.tensors(each, private)]
    plan = Plan(local=local, adversaries=adversaries, server=ServerStep(shared=adam, adversary=adam))
    task = TaskManifest(format=1, model="fedncf", tensors=specs, plan=plan, items=ITEMS)
    values = draws.initial(manifest.shared(task).values(), bytes(16))
    # Far from the tiny initial values, so that every term matters.
    return Task.load(task, {name: 20 * v if "item" in name else v + 0.05 for name, v in values.items()})


def make_cohort(task, clients, round_number=0, unknown=(), seed=0):
    rng = np.random.default_rng(seed)
    keys = [rng.bytes(16) for _ in range(clients)]
    interactions = [np.sort(rng.choice(ITEMS, rng.integers(2, 15), replace=False)) for _ in keys]
    values = [draws.initial(manifest.private(task.manifest), key) for key in keys]
    state = PrivateState.start({n: np.stack([50 * v[n] for v in values]) for n in values[0]}, clients)
    labels = {a.name: rng.integers(0, 2, clients) for a in task.manifest.plan.adversaries}
    for each in labels.values():
        each[list(unknown)] = -1
    return Cohort.draw(task.manifest, round_number, keys, interactions, labels, state)


def train(task, cohort, round_number=0, summed=False):
    training = CohortTraining(task, round_number, cohort, summed=summed)
    for _ in range(training.steps):
        training.step()
    return training


def eager(task, cohort, client, round_number=0):
    """One client, one local step, by autograd: gradients by name and whether the trigger fired."""
    shared = {n: v.clone().requires_grad_() for n, v in (task.shared | task.adversary).items()}
    private = {n: torch.tensor(v[client]).requires_grad_() for n, v in cohort.state.values.items()}
    samples = cohort.samples[client][0]
    items, labels = torch.tensor(samples.items), torch.tensor(samples.labels)
    x = torch.cat([private["user_mlp"].expand(len(items), -1), shared["item_mlp"][items]], 1)
    layer = 0
    while f"mlp.{layer}.weight" in shared:
        x = F.relu(F.linear(x, shared[f"mlp.{layer}.weight"], shared[f"mlp.{layer}.bias"]))
        layer += 1
    if "user_gmf" in private:
        x = torch.cat([private["user_gmf"] * shared["item_gmf"][items], x], 1)
    logits = x @ shared["output.weight"] + shared["output.bias"]
    chunks = zip(logits.split(16), labels.split(16), strict=True)
    loss = sum(F.binary_cross_entropy_with_logits(z, y) for z, y in chunks)
    fired = None
    for each in task.manifest.plan.adversaries:
        label = int(cohort.labels[each.name][client])
        if label < 0:
            continue
        own = {n.split(".", 2)[2]: v for n, v in shared.items() if n.startswith("adversary")}
        e = torch.cat([private[n].flatten() for n in each.protects])

        def parts(e, each=each, own=own):
            out = F.linear(F.relu(F.linear(e, own["hidden.weight"], own["hidden.bias"])), own["head.weight"])
            match each.head:
                case task_pb2.HEAD_MLP:
                    return out + own["head.bias"], None
                case task_pb2.HEAD_SCALAR:
                    return out, own["head.log_sigma"]
            return out.chunk(2)

        def logits_of(e, each=each):
            mu, s = parts(e)
            n1, n2 = torch.tensor(cohort.noise[each.name][client, 0])
            return mu if s is None else mu * n1 + s.exp() * n2

        right = int(logits_of(e).argmax()) == label
        fired = {
            task_pb2.TRIGGER_SUT: right,
            task_pb2.TRIGGER_GLOBAL: True,
            task_pb2.TRIGGER_OFF: False,
            task_pb2.TRIGGER_PRETRAIN: round_number >= 3,
        }[each.trigger]
        if each.objective == task_pb2.OBJECTIVE_CONFUSION:
            fired, prior = True, torch.tensor(each.prior)
            frozen = {n: v.detach() for n, v in own.items()}
            kl = F.kl_div(F.log_softmax(parts(e, own=frozen)[0], 0), prior / prior.sum(), reduction="sum")
            loss = loss + each.epsilon * kl
            e = e.detach()
        reversed_ = Reverse.apply(e[None], torch.tensor([each.epsilon if fired else 0.0]))[0]
        weight = each.class_weights[label] if each.class_weights else 1.0
        loss = loss + weight * F.cross_entropy(logits_of(reversed_)[None], torch.tensor([label]))
    names = [*shared, *private]
    grads = torch.autograd.grad(loss, [*shared.values(), *private.values()], allow_unused=True)
    return {n: g for n, g in zip(names, grads, strict=True) if g is not None}, fired


def dense(update, like):
    if isinstance(update, Rows):
        out = np.zeros(like.shape, np.float32)
        out[update.indices] = update.values
        return out
    return update


def assert_close(actual, expected, scale=1e-6):
    scale = max(np.abs(expected).max(), scale)
    assert np.abs(actual - expected).max() / scale < 1e-5


HEADS = [0, task_pb2.HEAD_MLP, task_pb2.HEAD_VAE, task_pb2.HEAD_DSVAE, task_pb2.HEAD_SCALAR]
TRIGGERS = [task_pb2.TRIGGER_SUT, task_pb2.TRIGGER_GLOBAL, task_pb2.TRIGGER_OFF, task_pb2.TRIGGER_PRETRAIN]


@pytest.mark.parametrize("head", HEADS)
@pytest.mark.parametrize("trigger", TRIGGERS)
def test_separate_gradients_are_autograds(head, trigger):
    task = make_task(head, trigger, weights=(0.7, 1.8), protects=["user_mlp", "user_gmf"])
    cohort = make_cohort(task, 5, round_number=3, unknown=[2])
    training = train(task, cohort, round_number=3)
    for client, contribution in enumerate(training.contributions()):
        expected, fired = eager(task, cohort, client, round_number=3)
        assert set(contribution) == {n for n in expected if not n.startswith("user_")}
        for name, update in contribution.items():
            assert_close(dense(update, expected[name]), expected[name].numpy())
        if head:
            assert training.report().triggered["gender"][client, 0] == bool(fired)


@pytest.mark.parametrize("head", HEADS[1:])
def test_confusion_pushes_towards_the_prior_whatever_the_label(head):
    task = make_task(head, prior=(3.0, 1.0), protects=["user_mlp", "user_gmf"])
    cohort = make_cohort(task, 5, unknown=[2])
    other = replace(cohort, labels={"gender": np.where(cohort.labels["gender"] < 0, -1, 1 - cohort.labels["gender"])})
    training = train(task, cohort)
    assert training.report().triggered["gender"][:, 0].tolist() == [True, True, False, True, True]
    for client, contribution in enumerate(training.contributions()):
        expected, _ = eager(task, cohort, client)
        for name, update in contribution.items():
            assert_close(dense(update, expected[name]), expected[name].numpy())
        for name, first in training.state().first.items():
            assert_close(first[client] / 0.1, expected[name].numpy())
    for name, value in train(task, other).state().values.items():
        np.testing.assert_array_equal(value, training.state().values[name])


@given(clients=st.integers(1, 6), seed=st.integers(0, 10**6), head=st.sampled_from(HEADS))
@settings(max_examples=25, deadline=None)
def test_private_state_takes_the_adam_step_of_torch(clients, seed, head):
    task = make_task(head)
    cohort = make_cohort(task, clients, seed=seed)
    state = train(task, cohort, summed=True).state()
    for client in range(clients):
        grads, _ = eager(task, cohort, client)
        for name in state.values:
            value = torch.tensor(cohort.state.values[name][client]).requires_grad_()
            value.grad = grads[name]
            torch.optim.Adam([value], lr=0.1).step()
            assert_close(state.values[name][client], value.detach().numpy())
    assert (state.steps == 1).all()


@given(
    clients=st.integers(1, 7),
    seed=st.integers(0, 10**6),
    head=st.sampled_from(HEADS),
    steps=st.integers(1, 3),
    gmf=st.sampled_from([0, 4]),
)
@settings(max_examples=40, deadline=None)
def test_summed_form_is_the_sum_of_separate_forms(clients, seed, head, steps, gmf):
    protects = ["user_gmf"] if gmf else ["user_mlp"]
    task = make_task(head, steps=steps, widths=fedncf.Widths(gmf=gmf, mlp=6, hidden=(7, 5)), protects=protects)
    cohort = make_cohort(task, clients, unknown=[0] if clients > 1 else [], seed=seed)
    separate, summed = train(task, cohort), train(task, cohort, summed=True)
    total, weights = summed.summed()
    each = separate.contributions()
    for name, like in (task.shared | task.adversary).items():
        carried = [dense(c[name], like) for c in each if name in c]
        assert weights[name] == len(carried)
        if carried:
            # What cancels in the sum keeps the rounding of its parts.
            scale = np.sum(np.abs(carried), 0).max()
            assert_close(dense(total[name], like), np.sum(carried, 0, dtype=np.float64), scale)
    for name, value in separate.state().values.items():
        assert_close(summed.state().values[name], value)


def test_cohort_of_one_does_not_depend_on_its_neighbours():
    task = make_task(steps=2)
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
        for name, update in alone.items():
            if isinstance(update, Rows):
                np.testing.assert_array_equal(update.indices, together[client][name].indices)
            assert_close(dense(update, task.shared.get(name)), dense(together[client][name], task.shared.get(name)))


def test_several_steps_are_sgd_from_the_checkpoint():
    task = make_task(0, steps=2)
    cohort = make_cohort(task, 1)
    contribution = train(task, cohort).contributions()[0]
    shared, state, total = dict(task.shared), cohort.state, {}
    for step in range(2):
        part = Cohort([[cohort.samples[0][step]]], {}, {}, state)
        current = Task(task.manifest, task.recommender, shared, {}, task.tables)
        grads, _ = eager(current, part, 0)
        for name in shared:
            total[name] = total.get(name, 0) + 0.05 * grads[name]
            shared[name] = shared[name] - 0.05 * grads[name]
        one_step = make_task(0, steps=1).manifest
        state = train(Task(one_step, task.recommender, current.shared, {}, task.tables), part).state()
        shared = {name: task.shared[name] - total[name] for name in shared}
    for name, update in contribution.items():
        assert_close(dense(update, total[name]), total[name].numpy())


def test_the_arguments_are_left_as_they_are():
    task = make_task(steps=2)
    cohort = make_cohort(task, 3)
    before = {n: v.clone() for n, v in (task.shared | task.adversary).items()}
    values = {n: v.copy() for n, v in cohort.state.values.items()}
    train(task, cohort)
    for name, value in (task.shared | task.adversary).items():
        assert torch.equal(value, before[name])
    for name, value in cohort.state.values.items():
        np.testing.assert_array_equal(value, values[name])


def test_scores_are_the_logits_that_training_sees():
    task = make_task(0)
    cohort = make_cohort(task, 1)
    private = {n: torch.tensor(v[0]) for n, v in cohort.state.values.items()}
    scores = fedncf.score(fedncf.prepare(task.shared), private)
    shared = task.shared
    x = torch.cat([private["user_mlp"].expand(ITEMS, -1), shared["item_mlp"]], 1)
    for layer in range(2):
        x = F.relu(F.linear(x, shared[f"mlp.{layer}.weight"], shared[f"mlp.{layer}.bias"]))
    expected = torch.cat([private["user_gmf"] * shared["item_gmf"], x], 1) @ shared["output.weight"]
    assert_close(scores.numpy(), (expected + shared["output.bias"]).numpy())
