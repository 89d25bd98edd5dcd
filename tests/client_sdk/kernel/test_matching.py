"""Distribution matching: the push is the gradient of the loss, and the statistics are sums over clients."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from client_sdk.draws import Samples
from client_sdk.kernel import batch, fedvae, matching
from client_sdk.kernel.contract import Step
from client_sdk.kernel.fedvae_parameters import LATENT, Widths
from client_sdk.matching import NOBODY, Published, frequencies, whitening
from client_sdk.plan import MatchingPlan
from coordinator.aggregation import statistics
from fedau2.v1.task_pb2 import Matching, Plan, TaskManifest
from fedau2.wire import matchings

PLAN = MatchingPlan("m", 3, ("a", "b"), frequencies=8, bandwidth=1.0, weight=2.5, ridge=0.05, seed=3)
WIDTHS = {"a": 2, "b": 3}
USERS = 30


def states(seed=0):
    rng = np.random.default_rng(seed)
    return {
        name: torch.tensor(rng.standard_normal((USERS, width)), dtype=torch.float32) for name, width in WIDTHS.items()
    }


def rows(seed=0, labels=4):
    return torch.tensor(np.random.default_rng(seed).integers(0, labels, USERS))


def zeros():
    return {spec.name: np.zeros(tuple(spec.shape), np.float32) for spec in matching.tensors(PLAN, WIDTHS)}


def manifest_of():
    return TaskManifest(plan=Plan(matchings=[Matching(name="m", rate=1.0, minimum=1)]))


def published(values, members):
    """What a checkpoint publishes after three rounds of everybody: the scale, then moments, and then features too."""
    task, tensors = manifest_of(), zeros()
    for _ in range(3):
        matcher = matching.Matcher.of(PLAN, Published.of(PLAN, tensors))
        found = matching.match_one(matcher, values, members, 1).statistics
        mean = {name: value[0].double().numpy() / USERS for name, value in found.items()}
        tensors = dict(statistics.stepped(task, tensors, mean, {}, USERS))
    return tensors


def features_of(matcher, x):
    mapped = (x - matcher.centre) @ matcher.map
    linear, phases = mapped[:, : x.shape[1]], mapped[:, x.shape[1] :]
    return torch.cat([linear, phases.cos() / 8**0.5, phases.sin() / 8**0.5], 1)


def apart(features, members):
    """Share and difference from everybody's mean of each class that somebody has."""
    present = [members == row for row in range(4) if (members == row).any()]
    return [(of.float().mean(), features[of].mean(0) - features.mean(0)) for of in present]


def distance(matcher, values, members):
    """The squared MMD of the classes from everybody, weighted by their shares."""
    features = features_of(matcher, torch.cat([values["a"], values["b"]], 1))
    return float(sum(share * (witness**2).sum() for share, witness in apart(features, members)))


@pytest.mark.parametrize("labels", [4, 3, 2])
def test_the_push_is_the_gradient_of_the_loss_by_each_state(labels):
    values, members = states(), rows(labels=labels)
    matcher = matching.Matcher.of(PLAN, Published.of(PLAN, published(values, members)))
    push = matching.match_one(matcher, values, members, 1).push
    x = torch.cat([values["a"], values["b"]], 1)
    known = features_of(matcher, x)
    x.requires_grad_()
    told = features_of(matcher, x) - known.mean(0)
    loss = sum(share * (told @ witness) ** 2 / witness.norm() for share, witness in apart(known, members))
    loss = loss * x.detach().var(0, unbiased=False).mean()
    loss.sum().backward()
    actual = torch.cat([push["a"], push["b"]], 1)
    torch.testing.assert_close(actual, PLAN.weight * x.grad, rtol=1e-3, atol=1e-4)


def test_the_push_does_not_depend_on_the_clients_own_label():
    values = states()
    matcher = matching.Matcher.of(PLAN, Published.of(PLAN, published(values, rows())))
    pushes = [matching.match_one(matcher, values, torch.full((USERS,), row), 1).push for row in range(4)]
    for push in pushes[1:]:
        torch.testing.assert_close(push, pushes[0])


def test_a_class_that_everybody_has_moves_nobody():
    values, members = states(), rows(labels=1)
    matcher = matching.Matcher.of(PLAN, Published.of(PLAN, published(values, members)))
    push = matching.match_one(matcher, values, members, 1).push
    assert max(float(value.abs().max()) for value in push.values()) < 1e-4


def test_following_the_push_brings_the_distributions_together():
    values, members = states(), rows()
    values["a"][members == 1] += 1.5
    values["b"][members == 2] *= 3
    before = None
    for _ in range(400):
        matcher = matching.Matcher.of(PLAN, Published.of(PLAN, published(values, members)))
        before = before or distance(matcher, values, members)
        push = matching.match_one(matcher, values, members, 1).push
        values = {name: value - 0.3 * push[name] for name, value in values.items()}
    assert distance(matcher, values, members) < before / 4


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_the_statistics_of_a_sum_are_the_sum_of_the_clients(seed):
    values, members = states(seed), rows(seed)
    matcher = matching.Matcher.of(PLAN, Published.of(PLAN, published(values, members)))
    summed = matching.match_one(matcher, values, members, 1)
    separate = matching.match_one(matcher, values, members, USERS)
    for name, value in summed.statistics.items():
        torch.testing.assert_close(value[0], separate.statistics[name].sum(0), rtol=1e-4, atol=1e-4)
    for name, value in summed.push.items():
        torch.testing.assert_close(value, separate.push[name])


def test_a_client_counts_in_its_own_row_and_a_changed_label_moves_it():
    matcher = matching.Matcher.of(PLAN, Published.of(PLAN, published(states(), rows())))
    for row in (0, 3):
        found = matching.match_one(matcher, states(), torch.full((USERS,), row), USERS)
        counts = found.statistics[matchings.means("m")][:, :, 0]
        assert (counts == torch.eye(4)[row]).all()


def test_without_a_label_the_row_is_the_last_and_nobody_has_none():
    assert matching.rows(PLAN, torch.tensor([-1, 0, 2])).tolist() == [3, 0, 2]
    matcher = matching.Matcher.of(PLAN, Published.of(PLAN, published(states(), rows())))
    found = matching.match_one(matcher, states(), torch.full((USERS,), NOBODY), 1)
    assert not any(value.any() for value in (*found.statistics.values(), *found.push.values()))


def test_nothing_is_pushed_before_there_are_statistics():
    matcher = matching.Matcher.of(PLAN, Published.of(PLAN, zeros()))
    found = matching.match_one(matcher, states(), rows(), 1)
    assert not any(value.any() for value in found.push.values())
    assert not found.statistics[matchings.means("m")].any()
    assert not found.statistics[matchings.moments("m")].any()
    assert found.statistics[matchings.scale("m")][0, 0] == USERS


@settings(max_examples=20, deadline=None)
@given(st.floats(-6, 4))
def test_moments_are_summed_in_the_unit_of_the_states_and_published_as_they_are(exponent):
    values = {name: value * 10**exponent for name, value in states().items()}
    tensors = published(values, rows())
    matcher = matching.Matcher.of(PLAN, Published.of(PLAN, tensors))
    summed = matching.match_one(matcher, values, rows(), 1).statistics[matchings.moments("m")][0] / USERS
    assert 0.3 < summed[1:, 1:].diagonal().mean() < 30
    x = torch.cat([torch.ones(USERS, 1), values["a"], values["b"]], 1).double().numpy()
    np.testing.assert_allclose(tensors[matchings.moments("m")], x.T @ x / USERS, rtol=1e-4, atol=1e-4 * 100**exponent)


def test_a_class_that_nobody_has_pushes_nobody_and_moves_nobody_else():
    values, members = states(), rows(labels=2)
    tensors = published(values, members)
    witness = Published.of(PLAN, tensors).witness
    assert not witness[2:].any()
    assert witness[:2].any(1).all()


def test_whitening_gives_every_direction_the_same_spread():
    rng = np.random.default_rng(0)
    x = rng.standard_normal((500, 4)) @ rng.standard_normal((4, 4))
    white = (x - x.mean(0)) @ whitening(np.cov(x.T), 1e-9)
    np.testing.assert_allclose(np.cov(white.T), np.eye(4), atol=1e-4)


def test_frequencies_depend_on_the_seed_alone():
    np.testing.assert_array_equal(frequencies(PLAN, 5), frequencies(PLAN, 5))
    other = MatchingPlan("m", 3, ("a", "b"), 8, bandwidth=1.0, seed=4)
    assert (frequencies(PLAN, 5) != frequencies(other, 5)).all()


def test_the_pull_on_fedvae_is_the_gradient_by_the_encoder():
    rng = np.random.default_rng(0)
    specs = fedvae.tensors(12, Widths(hidden=5, latent=3))
    shared = {s.name: torch.tensor(rng.standard_normal(tuple(s.shape)) * 0.3, dtype=torch.float32) for s in specs}
    histories = [np.array([1, 4, 7]), np.array([0, 2, 3, 11])]
    drawn = [
        [
            Samples(
                h, np.ones(len(h), np.float32), np.eye(len(h), dtype=np.float32)[0], rng.standard_normal(3, np.float32)
            )
        ]
        for h in histories
    ]
    slots, batches = batch.layout(drawn, 12, summed=True)
    step = Step(slots, batches[0], None, 0)
    wanted = torch.tensor(rng.standard_normal((2, 3)), dtype=torch.float32)
    seen = []

    def match(given_states):
        seen.append(given_states[LATENT])
        return {LATENT: wanted}

    given_shared = {n: v[slots.table] if n == "item_encoder" else v[None] for n, v in shared.items()}
    grads = fedvae.pull(given_shared, step, match)
    whole = {name: value.clone().requires_grad_() for name, value in shared.items()}
    serving = fedvae.prepare(whole)
    mu = torch.stack([fedvae.user(serving, {}, torch.from_numpy(h))[LATENT] for h in histories])
    torch.testing.assert_close(seen[0], mu.detach())
    (mu * wanted).sum().backward()
    assert grads.keys() == {"latent.weight", "latent.bias", "encoder.bias", "item_encoder"}
    for name, grad in grads.items():
        expected = whole[name].grad
        torch.testing.assert_close(grad, expected[slots.table] if name == "item_encoder" else expected[None])
