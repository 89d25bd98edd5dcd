"""All metrics against an independent library and against each other."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import label_ranking_average_precision_score, ndcg_score

from simulator.evaluation import lists, ranking
from simulator.evaluation.quality import Quality

CUTOFFS = (1, 5, 10, 20)


def measured(users, items, seed):
    """Scores without ties, the positives, and the metrics of ranking each positive among all items."""
    rng = np.random.default_rng(seed)
    scores = rng.permuted(np.tile(np.arange(items, dtype=np.float32), (users, 1)), axis=1)
    positives = rng.integers(items, size=users)
    rivals = np.stack([np.setdiff1d(np.arange(items), [positive]) for positive in positives])
    nothing = [np.array([], np.int64)] * users
    ranks = ranking.rank_all(lambda rows: scores[rows], positives, rivals, nothing, depth=max(CUTOFFS))
    train = [rng.choice(items, 5, replace=False) for _ in range(users)]
    return scores, positives, Quality.of(ranks, CUTOFFS, train, items)


runs = st.tuples(st.integers(1, 8), st.integers(21, 40), st.integers(0, 999))


@given(runs)
@settings(max_examples=25)
def test_metrics_are_scikit_learns_at_every_cutoff(run):
    scores, positives, quality = measured(*run)
    relevant = np.eye(scores.shape[1])[positives]
    metrics = quality.metrics()
    for k in CUTOFFS:
        assert metrics[f"ndcg@{k}"] == metrics[f"ndcg@{k}_full"] == pytest.approx(ndcg_score(relevant, scores, k=k))
    mrr = label_ranking_average_precision_score(relevant, scores)  # with one relevant item they are the same
    assert metrics["mrr"] == metrics["mrr_full"] == pytest.approx(mrr)


@given(runs)
@settings(max_examples=10)
def test_metrics_are_those_of_ir_measures(run):
    ir = pytest.importorskip("ir_measures")
    scores, positives, quality = measured(*run)
    wanted = {str(user): {str(item): 1} for user, item in enumerate(positives)}
    ranked = {str(user): {str(item): float(score) for item, score in enumerate(row)} for user, row in enumerate(scores)}
    metrics = quality.metrics()
    for k in CUTOFFS:
        # With one held-out item a hit is a recall of 1.
        oracle = ir.calc_aggregate([ir.R @ k, ir.Success @ k, ir.nDCG @ k, ir.RR], wanted, ranked)
        assert metrics[f"hr@{k}"] == pytest.approx(oracle[ir.R @ k]) == pytest.approx(oracle[ir.Success @ k])
        assert metrics[f"ndcg@{k}"] == pytest.approx(oracle[ir.nDCG @ k])
        assert metrics["mrr"] == pytest.approx(oracle[ir.RR])


@given(runs)
@settings(max_examples=10)
def test_the_held_out_item_is_in_the_list_of_those_that_it_is_ranked_among_the_first_of(run):
    _, positives, quality = measured(*run)
    for k in CUTOFFS:
        listed = (quality.ranks.lists[:, :k] == positives[:, None]).any(1)
        assert listed.tolist() == (quality.ranks.full < k).tolist()


@given(runs)
@settings(max_examples=10)
def test_longer_lists_cover_more_and_all_users_are_the_default(run):
    users, items, _ = run
    *_, quality = measured(*run)
    metrics = quality.metrics()
    covered = [metrics[f"coverage@{k}"] for k in CUTOFFS]
    assert covered == sorted(covered)
    assert covered[0] >= 1 / items
    assert quality.of_lists(np.arange(users)) == quality.of_lists()
    assert 0 <= metrics["novelty@10"] <= np.log2(users)


def test_lists_are_shorter_where_a_catalogue_is():
    ranks = ranking.rank_all(
        lambda rows: np.zeros((len(rows), 3), np.float32), np.array([0]), np.array([[1]]), [np.array([2])], depth=10
    )
    assert ranks.lists.tolist() == [[0, 1, lists.NOBODY]]
