"""The weights of a plan: what an interaction counts, and how that reaches the samples."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from client_sdk import draws
from client_sdk.draws import Stream
from client_sdk.errors import UnsupportedTaskError
from client_sdk.interactions import KINDS, Kept
from client_sdk.plan import LocalPlan
from client_sdk.weights import Weights, weighed
from fedau2.v1.task_pb2 import DRAW_CONTRASTS, DRAW_UNSPECIFIED, DRAW_WHOLE, InteractionWeights, Plan

PLAN = Weights(
    view=0.25, like=1.0, purchase=3.0, rating=2.0, lowest_rating=3.0, full_rating=5.0, app_weights=True
)  # fmt: skip

KEPT = st.builds(
    Kept, st.just("film"), st.just(0), st.sampled_from(KINDS), st.floats(0.001, 1e6), st.floats(0, 1e6)
)  # fmt: skip


def test_a_plan_without_weights_has_none():
    assert Weights.of(Plan()) is None
    assert Weights.of(Plan(interactions=InteractionWeights(like=2))).like == 2


@pytest.mark.parametrize(
    ("kept", "weight"),
    [
        (Kept("film", 0), 0.25),
        (Kept("film", 0, "like", 0.5), 0.5),
        (Kept("film", 0, "purchase"), 3.0),
        (Kept("film", 0, "dislike", 9.0), 0.0),
        (Kept("film", 0, "rating", value=2.9), 0.0),
        (Kept("film", 0, "rating", value=3.0), 1.2),
        (Kept("film", 0, "rating", value=5.0), 2.0),
        (Kept("film", 0, "rating", value=50.0), 2.0),
    ],
)
def test_kind_rating_and_the_apps_weight_make_the_weight(kept, weight):
    assert PLAN.of_interaction(kept) == pytest.approx(weight)


@given(KEPT, st.floats(0, 1e6), st.floats(0, 1e6), st.booleans())
def test_a_weight_is_a_number_of_float32_and_a_dislike_has_none(kept, lowest, full, app):
    weight = Weights(1e3, 1e3, 1e3, 1e3, lowest, full, app).of_interaction(kept)
    assert np.isfinite(np.float32(weight))
    assert weight >= 0
    assert weight == 0 or kept.kind != "dislike"


@st.composite
def clients(draw):
    items = draw(st.integers(2, 40))
    taken = draw(st.sets(st.integers(0, items - 1), min_size=1, max_size=items - 1))
    local = LocalPlan(steps=draw(st.integers(1, 4)), negatives=draw(st.integers(1, 3)), chunk=draw(st.integers(1, 20)))
    weights = draw(st.lists(st.floats(0.125, 8, width=32), min_size=len(taken), max_size=len(taken)))
    return items, np.array(sorted(taken), np.int64), local, np.array(weights, np.float32)


@given(clients())
def test_a_contrast_counts_as_much_as_its_positive(client):
    items, rows, local, weights = client
    plain = draws.samples(rows, items, local, draws.generator(bytes(16), 3, Stream.SAMPLES))
    of_row = dict(zip(rows.tolist(), weights, strict=True))
    for before, after in zip(plain, weighed(plain, DRAW_CONTRASTS, rows, weights), strict=True):
        np.testing.assert_array_equal(before.items, after.items)
        np.testing.assert_array_equal(before.labels, after.labels)
        for start in range(0, len(after.items), local.negatives + 1):
            group = slice(start, start + local.negatives + 1)
            expected = before.weights[group] * of_row[int(after.items[start])]
            np.testing.assert_array_equal(after.weights[group], expected)


@given(clients())
def test_of_a_user_as_a_whole_the_likelihood_is_weighted_and_the_input_is_not(client):
    _, rows, local, weights = client
    plain = draws.whole(local, rows, bytes(16), 3, dropout=0.5, noise=2)
    for before, after in zip(plain, weighed(plain, DRAW_WHOLE, rows, weights), strict=True):
        np.testing.assert_array_equal(after.labels, weights)
        np.testing.assert_array_equal(after.weights, before.weights)


@given(clients(), st.sampled_from([DRAW_CONTRASTS, DRAW_WHOLE]))
def test_weights_of_1_change_no_byte(client, draw):
    items, rows, local, _ = client
    plain = (
        draws.samples(rows, items, local, draws.generator(bytes(16), 3, Stream.SAMPLES))
        if draw == DRAW_CONTRASTS
        else draws.whole(local, rows, bytes(16), 3, dropout=0.5, noise=2)
    )
    assert weighed(plain, draw, rows, None) is plain
    for before, after in zip(plain, weighed(plain, draw, rows, np.ones(len(rows), np.float32)), strict=True):
        assert before.weights.tobytes() == after.weights.tobytes()
        assert before.labels.tobytes() == after.labels.tobytes()


def test_a_way_of_its_own_to_draw_knows_no_weights():
    with pytest.raises(UnsupportedTaskError, match="draws without"):
        weighed([], DRAW_UNSPECIFIED, np.zeros(0, np.int64), np.zeros(0, np.float32))
