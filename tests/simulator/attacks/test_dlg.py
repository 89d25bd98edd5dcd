import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from client_sdk.kernel import adversary
from client_sdk.kernel.contract import Tensors
from client_sdk.plan import AdversaryPlan
from fedau2.v1.task_pb2 import HEAD_DSVAE, HEAD_MLP, HEAD_SCALAR, HEAD_VAE, Adversary
from simulator.attacks import dlg
from simulator.attacks.uploads import Uploads

HEADS = st.sampled_from([HEAD_MLP, HEAD_VAE, HEAD_DSVAE, HEAD_SCALAR])


def made(head, classes, seed, width=6):
    """An adversary with its tensors, in float64."""
    each = Adversary(
        name="a", classes=[str(c) for c in range(classes)], protects=["e"], head=head, variance=4.0, epsilon=1.0
    )
    draw = torch.Generator().manual_seed(seed)
    specs = adversary.tensors(AdversaryPlan.of(each), {"e": width}, items=1)
    own = {
        spec.name.removeprefix("adversary.a."): torch.randn(*spec.shape, generator=draw, dtype=torch.float64) / 3
        for spec in specs
    }
    return each, own, draw


def judged(each, own, state, labels, noise) -> Tensors:
    """The kernel's gradients of each client."""
    shared = {f"adversary.a.{name}": value[None] for name, value in own.items()}
    found = adversary.gradients(AdversaryPlan.of(each), 0, shared, {"e": state}, labels, noise, len(labels)).shared
    return {name.removeprefix("adversary.a."): value for name, value in found.items()}


@settings(deadline=None)
@given(head=HEADS, classes=st.integers(2, 4), seed=st.integers(0, 99))
def test_gradients_of_a_dummy_are_those_of_the_kernel(head, classes, seed):
    each, own, draw = made(head, classes, seed)
    state = torch.randn(5, 6, generator=draw, dtype=torch.float64)
    labels = torch.randint(classes, (5,), generator=draw)
    noise = torch.randn(5, 2, classes, generator=draw, dtype=torch.float64)
    onehot = torch.nn.functional.one_hot(labels, classes).double()
    drawn = noise.clone()
    drawn[:, 0] = 1 + (2.0 if head in (HEAD_DSVAE, HEAD_SCALAR) else 0.0) * noise[:, 0]
    expected = judged(each, own, state, labels, drawn)
    found = dlg.gradients(each, own, state, onehot, noise)
    found["hidden.weight"] = found["hidden.bias"][:, :, None] * state[:, None]
    assert set(found) == set(expected)
    for name, value in expected.items():
        torch.testing.assert_close(found[name], value)


@settings(deadline=None)
@given(head=HEADS, seed=st.integers(0, 99))
def test_distance_is_over_every_tensor(head, seed):
    each, own, draw = made(head, 2, seed)
    states = torch.randn(2, 5, 6, generator=draw, dtype=torch.float64)
    labels = torch.randn(2, 5, 2, generator=draw, dtype=torch.float64)
    noise = torch.randn(2, 5, 2, 2, generator=draw, dtype=torch.float64)
    ours, theirs = (dlg.gradients(each, own, *args) for args in zip(states, labels, noise, strict=True))
    expected = sum(((ours[name] - theirs[name]) ** 2).flatten(1).sum(1) for name in ours)
    outer = [g["hidden.bias"][:, :, None] * x[:, None] for g, x in zip((ours, theirs), states, strict=True)]
    expected += ((outer[0] - outer[1]) ** 2).flatten(1).sum(1)
    theirs.pop("hidden.weight", None)
    exact = Uploads(states[1], theirs)
    noisy = Uploads(states[1], theirs, outer[1].float())
    for uploads in (exact, noisy):
        found = dlg.Target(uploads, head=True).distance(states[0], ours)
        torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("head", [HEAD_MLP, HEAD_VAE])
def test_labels_behind_a_head_without_the_second_noise_are_guessed(head):
    each, own, draw = made(head, 2, 3, width=8)
    state = torch.randn(200, 8, generator=draw, dtype=torch.float64)
    labels = torch.arange(200) % 2
    noise = torch.randn(200, 2, 2, generator=draw, dtype=torch.float64)
    noise[:, 0] = 1
    gradients = judged(each, own, state, labels, noise)
    gradients.pop("hidden.weight")
    how = dlg.Search(steps=300)
    guessed = dlg.find(each, own, Uploads(state, gradients), 0, how).labels
    assert (guessed == labels).double().mean() > 0.6
    assert (dlg.find(each, own, Uploads(state, gradients), 0, how).labels == guessed).all()


@pytest.mark.parametrize(
    "search",
    [
        dlg.Search(steps=40),
        dlg.Search("sign", steps=100),
        dlg.Search("lbfgs", steps=40),
        dlg.Search(steps=60, restarts=3),
        dlg.Search(steps=60, draws=2),
        dlg.Search(steps=60, head=False),
    ],
    ids=str,
)
def test_every_search_beats_guessing_behind_a_plain_head(search):
    each, own, draw = made(HEAD_MLP, 2, 3, width=8)
    state = torch.randn(200, 8, generator=draw, dtype=torch.float64)
    labels = torch.arange(200) % 2
    found = judged(each, own, state, labels, torch.ones(200, 2, 2, dtype=torch.float64))
    found.pop("hidden.weight")
    guessed = dlg.find(each, own, Uploads(state, found), 0, search).labels
    assert (guessed == labels).double().mean() > 0.57


@pytest.mark.parametrize("right", range(3))
def test_of_restarts_the_nearest_is_taken(monkeypatch, right):
    each, own, draw = made(HEAD_MLP, 2, 3, width=8)
    state = torch.randn(40, 8, generator=draw, dtype=torch.float64)
    labels = torch.arange(40) % 2
    found = judged(each, own, state, labels, torch.ones(40, 2, 2, dtype=torch.float64))
    found.pop("hidden.weight")
    wrong = torch.nn.functional.one_hot(1 - labels).double()
    ends = torch.cat([torch.randn(3, 40, 8, generator=draw, dtype=torch.float64), wrong.expand(3, -1, -1)], 2)
    ends[right] = torch.cat([state, 1 - wrong], 1)
    monkeypatch.setattr(dlg.optimize, "adam", lambda *_, **__: ends.view(120, 10))
    chosen = dlg.find(each, own, Uploads(state, found), 0, dlg.Search(restarts=3))
    assert torch.equal(chosen.labels, labels)
    assert chosen.matched.all()


def uploaded(head, clients=60, spread=1.0):
    """An adversary, its tensors, and gradients of some clients, the first of whom has no hidden unit on."""
    each, own, draw = made(head, 2, 3, width=8)
    state = spread * torch.randn(clients, 8, generator=draw, dtype=torch.float64)
    noise = torch.randn(clients, 2, 2, generator=draw, dtype=torch.float64)
    noise[:, 0] = 1 + 2 * noise[:, 0]
    found = judged(each, own, state, torch.arange(clients) % 2, noise)
    found.pop("hidden.weight")
    for value in found.values():
        value[0] = 0
    return each, own, Uploads(state, found)


def test_a_search_begins_without_knowing_the_upload():
    each, own, uploads = uploaded(HEAD_MLP)
    others = Uploads(uploads.recovered + 5, {name: -value for name, value in uploads.gradients.items()})
    one, other = (dlg.find(each, own, seen, 0, dlg.Search(steps=0)) for seen in (uploads, others))
    assert torch.equal(one.labels, other.labels)
    assert not one.matched.any()


def test_a_search_that_matched_the_gradient_is_told_from_one_that_did_not():
    each, own, uploads = uploaded(HEAD_MLP)
    early, late = (dlg.find(each, own, uploads, 0, dlg.Search("lbfgs", steps=n)) for n in (1, 200))
    assert not early.matched.any()
    assert late.matched.double().mean() > 0.2
    assert not late.matched[0]  # a gradient of 0 says nothing, and is matched by every dummy without a unit on
    right = (late.labels == torch.arange(60) % 2).double()
    assert right[late.matched].mean() > max(0.75, right[~late.matched].mean())


def test_fresh_noise_of_the_second_kind_keeps_a_search_from_matching():
    each, own, uploads = uploaded(HEAD_DSVAE)
    assert dlg.find(each, own, uploads, 0, dlg.Search(steps=200)).matched.double().mean() < 0.1
