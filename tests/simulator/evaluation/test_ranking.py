import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from sklearn.metrics import label_ranking_average_precision_score, ndcg_score, top_k_accuracy_score

from simulator.evaluation import ranking

values = st.sampled_from([-1.0, 0.0, 0.5, 0.5, 2.0, np.nan, np.inf])


def slow(row, positive, rivals):
    """HR and NDCG of one user, from the definition: the positive goes last among its equals."""
    if not math.isfinite(row[positive]):
        return 0.0, 0.0
    order = sorted([(-row[i] if row[i] == row[i] else -math.inf, 0) for i in rivals] + [(-row[positive], 1)])
    place = order.index((-row[positive], 1))
    return (1.0, 1 / math.log2(place + 2)) if place < 10 else (0.0, 0.0)


@given(
    st.integers(1, 4).flatmap(lambda users: hnp.arrays(np.float32, (users, 30), elements=values)), st.integers(0, 99)
)
def test_metrics_are_the_definition(scores, seed):
    rng = np.random.default_rng(seed)
    users = len(scores)
    orders = [rng.permutation(30) for _ in range(users)]
    positives = np.array([order[0] for order in orders])
    candidates = np.stack([order[1:13] for order in orders])
    masked = [order[13 : 13 + rng.integers(0, 6)] for order in orders]
    result = ranking.rank_all(lambda rows: scores[rows[0] : rows[-1] + 1], positives, candidates, masked).metrics()
    sampled = [slow(scores[u], positives[u], candidates[u]) for u in range(users)]
    everything = [
        slow(scores[u], positives[u], np.setdiff1d(np.arange(30), [positives[u], *masked[u]])) for u in range(users)
    ]
    expected = [*np.mean(sampled, axis=0), *np.mean(everything, axis=0)]
    assert list(result.values()) == pytest.approx(expected)
    assert list(result) == ["hr@10", "ndcg@10", "hr@10_full", "ndcg@10_full"]


def test_a_constant_model_hits_nothing():
    result = ranking.rank_all(
        lambda rows: np.zeros((len(rows), 50), np.float32),
        np.array([3]),
        np.arange(4, 24)[None],
        [np.array([], np.int64)],
    ).metrics()
    assert set(result.values()) == {0.0}


@given(
    users=st.integers(1, 6),
    items=st.integers(20, 40),
    seed=st.integers(0, 999),
    tied=st.booleans(),
)
def test_metrics_are_scikit_learns(users, items, seed, tied):
    rng = np.random.default_rng(seed)
    scores = rng.permuted(np.tile(np.arange(items, dtype=np.float32), (users, 1)), axis=1)
    if tied:
        scores = scores // 3  # several items of each score
    positives = rng.integers(items, size=users)
    everybody = np.arange(users)
    rivals = np.stack([np.setdiff1d(np.arange(items), [positive]) for positive in positives])
    metrics = ranking.rank_all(lambda rows: scores[rows], positives, rivals, [np.array([], np.int64)] * users).metrics()

    relevant = np.zeros((users, items))
    relevant[everybody, positives] = 1
    ordered = scores.astype(np.float64)
    ordered[everybody, positives] -= 0.5  # behind its equals, before all that is lower
    expected_ndcg = ndcg_score(relevant, ordered, k=10, ignore_ties=True)
    hits = [
        top_k_accuracy_score([positive], row[None], k=10, labels=np.arange(items))
        for positive, row in zip(positives, ordered, strict=True)
    ]
    places = label_ranking_average_precision_score(relevant, ordered)
    assert metrics["ndcg@10"] == metrics["ndcg@10_full"] == pytest.approx(expected_ndcg)
    assert metrics["hr@10"] == metrics["hr@10_full"] == pytest.approx(np.mean(hits))
    ranks = ranking.rank(scores[everybody, positives], scores[everybody[:, None], rivals])
    assert np.mean(1 / (ranks + 1)) == pytest.approx(places)
