import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import LogisticRegression

from client_sdk.kernel import fedvae
from simulator.datasets import Attribute
from simulator.errors import ErasureError
from simulator.unlearning.erasure import erase, erase_latent, fit
from simulator.unlearning.moments import FOLDS, Moments, joint


def users(seed, count=200, width=6, classes=2, gap=1.0):
    """Features with class means that differ, correlated dimensions and one that is empty."""
    rng = np.random.default_rng(seed)
    labels = rng.permutation(np.arange(count) % classes)
    mixed = rng.normal(size=(count, width)) @ rng.normal(size=(width, width))
    features = mixed + gap * rng.normal(size=(classes, width))[labels] + rng.normal(size=width)
    return np.append(features, np.full((count, 1), 3.0), 1).astype(np.float32), labels


def targets(labels, classes):
    return joint([Attribute(tuple(map(str, range(classes))), labels)])


def moments(features, labels, classes, parts=FOLDS):
    chosen = targets(labels, classes)
    return [Moments.of(features[k::parts], chosen[k::parts]) for k in range(parts)]


@given(seed=st.integers(0, 10**6), classes=st.integers(2, 4), parts=st.integers(1, 6))
@settings(max_examples=30, deadline=None)
def test_fully_erased_all_classes_have_one_mean_and_no_linear_attacker_learns(seed, classes, parts):
    features, labels = users(seed, classes=classes)
    erased = fit(moments(features, labels, classes, parts), 1.0)(features).astype(np.float64)
    means = np.stack([erased[labels == c].mean(0) for c in range(classes)])
    assert np.abs(means - means[0]).max() < 1e-4 * np.abs(features).max()
    model = LogisticRegression(C=1.0).fit(erased, labels)
    assert np.abs(model.coef_).max() < 1e-2


@given(seed=st.integers(0, 10**6), share=st.floats(0, 0.4))
@settings(max_examples=20, deadline=None)
def test_no_class_of_several_attributes_erased_together_keeps_a_gap(seed, share):
    """The attributes depend on each other, and some users lack one of them."""
    rng = np.random.default_rng(seed)
    features, gender = users(seed, count=300, classes=2)
    age = np.where(rng.random(300) < 0.5, gender, rng.permutation(np.arange(300) % 3))
    features[:, 1] += age
    gender = np.where(rng.random(300) < share, -1, gender)
    both = joint([Attribute(("M", "F"), gender), Attribute(("young", "middle", "old"), age)])
    assert both.sum(1).tolist() == np.where(gender < 0, 0, 2).tolist()
    erased, _ = erase({"a": features}, both, "1.0", seed=0)
    for column in both.T:
        gap = erased["a"][column].mean(0) - erased["a"][gender >= 0].mean(0)
        assert np.abs(gap).max() < 1e-4 * np.abs(features).max()


@given(seed=st.integers(0, 10**6), strength=st.floats(0, 1))
@settings(max_examples=30, deadline=None)
def test_the_gap_that_is_left_is_what_the_strength_leaves(seed, strength):
    features, labels = users(seed)
    before, after = features, fit(moments(features, labels, 2), strength)(features)
    gap = [x[labels == 1].mean(0) - x[labels == 0].mean(0) for x in (before, after)]
    np.testing.assert_allclose(gap[1], (1 - strength) * gap[0], atol=1e-4 * np.abs(before).max())
    np.testing.assert_allclose(after.mean(0), before.mean(0), atol=1e-4 * np.abs(before).max())


@given(seed=st.integers(0, 10**6), parts=st.integers(2, 9))
@settings(max_examples=20, deadline=None)
def test_sums_of_parts_are_all_that_it_needs(seed, parts):
    features, labels = users(seed)
    whole = fit(moments(features, labels, 2, 1), 0.7)(features)
    np.testing.assert_allclose(
        fit(moments(features, labels, 2, parts), 0.7)(features), whole, atol=1e-4 * np.abs(features).max()
    )


def test_it_changes_less_than_any_other_map_that_equalises_the_means():
    """LEACE is the orthogonal projection in the metric of the covariance; projecting on the plain gap costs more."""
    features, labels = users(3, count=1000)
    x, erased = features.astype(np.float64), fit(moments(features, labels, 2), 1.0)(features)
    gap = x[labels == 1].mean(0) - x[labels == 0].mean(0)
    plain = x - np.outer((x - x.mean(0)) @ gap, gap) / (gap @ gap)
    inverse = np.linalg.pinv(np.cov(x.T))
    cost = [np.einsum("ni,ij,nj->", x - y, inverse, x - y) for y in (erased, plain)]
    assert cost[0] < cost[1]


def test_the_strength_found_is_near_one_for_many_users_and_smaller_for_few():
    strengths = {n: fit(moments(*users(5, count=n, width=30, gap=1.5), 2), None).strength for n in (120, 20_000)}
    assert 0.9 < strengths[20_000] <= 1
    assert strengths[120] < strengths[20_000]


def test_held_out_users_are_not_read_inverted_at_the_strength_found():
    features, labels = users(11, count=300, width=40, gap=0.4)

    def cross(strength):
        # The class gap of one half of the users, standardised, seen in the other half after erasure on all of them.
        erased = fit(moments(features, labels, 2), strength)(features)
        halves = []
        for half in (slice(0, None, 2), slice(1, None, 2)):
            x, y = erased[half] / features.std(0).clip(1e-6), labels[half]
            halves.append(x[y == 1].mean(0) - x[y == 0].mean(0))
        return halves[0] @ halves[1]

    assert cross(1.0) < 0 < cross(0.0)
    assert abs(cross(None)) < abs(cross(1.0))


def test_private_tensors_are_erased_together_and_unknown_users_too():
    features, labels = users(7, count=400)
    private = {"b": features[:, :4].reshape(-1, 2, 2), "a": features[:, 4:]}
    known = np.where(np.arange(400) % 5 == 0, -1, labels)
    erased, strength = erase(private, targets(known, 2), "1.0", seed=0)
    assert strength == 1.0
    assert {name: value.shape for name, value in erased.items()} == {"a": (400, 3), "b": (400, 2, 2)}
    joint = np.concatenate([erased["a"], erased["b"].reshape(400, -1)], 1)
    means = [joint[known == c].mean(0) for c in (0, 1)]
    np.testing.assert_allclose(means[0], means[1], atol=1e-3)
    assert (joint[known < 0] != np.concatenate([private["a"], private["b"].reshape(400, -1)], 1)[known < 0]).any()


@given(seed=st.integers(0, 10**6), strength=st.sampled_from(["auto", "0.6", "1.0"]))
@settings(max_examples=15, deadline=None)
def test_the_map_in_the_encoder_gives_the_latent_that_the_map_on_it_gives(seed, strength):
    rng = np.random.default_rng(seed)
    hidden = rng.normal(size=(150, 9)).astype(np.float32)
    shared = {
        "latent.weight": rng.normal(size=(8, 9)).astype(np.float32),
        "latent.bias": rng.normal(size=8).astype(np.float32),
    }

    def latent(tensors):
        return (hidden @ tensors["latent.weight"].T + tensors["latent.bias"])[:, :4]

    labels = (latent(shared)[:, 0] + rng.normal(size=150) > 0).astype(np.int64)
    labels[::7] = -1
    moved, latent_strength = erase_latent(fedvae, shared, latent(shared), targets(labels, 2), strength, seed=1)
    expected, state_strength = erase({"latent": latent(shared)}, targets(labels, 2), strength, seed=1)
    assert latent_strength == state_strength
    np.testing.assert_allclose(latent(moved), expected["latent"], atol=1e-4)


def test_what_would_write_the_attribute_is_refused():
    features, labels = users(0, count=30, width=40)
    with pytest.raises(ErasureError, match="41 dimensions"):
        erase({"a": features}, targets(labels, 2), "1.0", seed=0)
    with pytest.raises(ErasureError, match="every class"):
        erase({"a": features[:, :3]}, targets(np.zeros(30, np.int64), 2), "1.0", seed=0)
