"""Which of the recorded items training may take as positives, and with which weights."""

from contextlib import closing

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from client_sdk.interactions import DISLIKE, Kept
from client_sdk.store.sqlite_store import SqliteStore
from client_sdk.weights import Weights
from fedau2.wire import blobs

ITEMS = ["film-1", "film-2", "film-3"]
CATALOGUE = "\n".join(ITEMS).encode()
PLAN = Weights(view=0.0, like=1.0, purchase=3.0, rating=2.0, lowest_rating=3.0, full_rating=5.0, app_weights=True)

KEPT = st.one_of(
    st.builds(
        Kept,
        st.sampled_from([*ITEMS, "unlisted"]),
        st.integers(0, 4),
        st.sampled_from(["view", "like", "purchase", "dislike"]),
        st.sampled_from([0.5, 1.0, 2.0]),
    ),
    st.builds(Kept, st.sampled_from(ITEMS), st.integers(0, 4), st.just("rating"), st.just(1.0), st.floats(0, 6)),
)


def reference(interactions, weights):
    """What the page says, item by item."""
    counted = {}
    for row, item in enumerate(ITEMS):
        of_item = [kept for kept in interactions if kept.item == item]
        revoked = max((kept.time for kept in of_item if kept.kind == DISLIKE), default=-1)
        chosen = [kept for kept in of_item if kept.time > revoked]
        best = max((1.0 if weights is None else weights.of_interaction(kept) for kept in chosen), default=0.0)
        if best > 0:
            counted[row] = best
    return counted


@settings(max_examples=60, deadline=None)
@given(st.lists(KEPT, max_size=12), st.sampled_from([None, PLAN]))
def test_positives_are_what_the_page_says(tmp_path_factory, interactions, weights):
    with closing(SqliteStore(tmp_path_factory.mktemp("store") / "state")) as store:
        store.keep_blob(blobs.resource(CATALOGUE), CATALOGUE)
        store.record_many(interactions)
        positives = store.positives(blobs.resource(CATALOGUE), weights)
        recorded = store.interactions(blobs.resource(CATALOGUE)).tolist()
    expected = reference(interactions, weights)
    assert positives.rows.tolist() == sorted(expected)
    assert recorded == sorted({ITEMS.index(kept.item) for kept in interactions if kept.item in ITEMS})
    if weights is None:
        assert positives.weights is None
    else:
        np.testing.assert_array_equal(positives.weights, np.array([expected[r] for r in sorted(expected)], np.float32))
