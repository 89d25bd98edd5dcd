"""Lists as an app wishes them: candidates, seen items, exclusions, boosts, diversity, scores and reasons."""

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from client_sdk import NoModelError, UsageError
from client_sdk.onnx import ranking

FILMS = [f"film-{row}" for row in range(12)]
sets = st.sets(st.sampled_from(FILMS))
shared = settings(
    max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)  # fmt: skip


def ids(recommendations):
    return [each.item for each in recommendations]


@pytest.fixture
def ranked(synced):
    """All films of a user who has recorded film-1 and film-4, best first."""
    return sorted(FILMS, key=synced.score(FILMS).__getitem__, reverse=True)


@shared
@given(sets, sets, st.booleans(), st.integers(1, 14), sets)
def test_a_list_is_the_best_of_what_may_be_recommended(synced, ranked, only, excluded, seen, k, tested):
    synced.include(FILMS)
    synced.exclude(excluded)
    assert synced.excluded() == tuple(sorted(excluded))
    where = (lambda item: item not in tested) if tested else None
    recommended = ids(synced.recommend(k, where, candidates=[*only, *only, "nobody's"], seen=seen))
    hidden = excluded | tested | (set() if seen else {"film-1", "film-4"})
    assert recommended == [item for item in ranked if item in only - hidden][:k]


def test_scores_are_those_of_the_list_and_recorded_items_have_one(synced):
    listed = {each.item: each.score for each in synced.recommend(12)}
    scores = synced.score([*FILMS, "film-3", "Film-3", "nobody's"])
    assert scores.keys() == set(FILMS)
    assert {item: scores[item] for item in listed} == listed
    assert synced.score("film-3") == {"film-3": scores["film-3"]}
    assert synced.score([]) == {}


def test_what_is_disliked_is_never_recommended_until_it_is_liked(synced):
    synced.record("film-7", kind="dislike")
    assert "film-7" not in ids(synced.recommend(12, seen=True))
    assert {"film-1", "film-4"} < set(ids(synced.recommend(12, seen=True)))
    synced.record("film-7", kind="like")
    assert "film-7" in ids(synced.recommend(12, seen=True))
    assert "film-7" not in ids(synced.recommend(12))


def test_exclusions_outlast_the_client_and_leave_no_trace(synced, open_client, tmp_path):
    synced.exclude("film-secret")
    synced.close()
    again = open_client()
    assert again.excluded() == ("film-secret",) == tuple(again.privacy.export_data()["excluded"])
    again.include(["film-secret", "film-2"])
    left = b"".join(path.read_bytes() for path in (tmp_path / "state").glob("state.db*"))
    assert again.excluded() == ()
    assert b"film-secret" not in left


def test_deleting_the_users_data_ends_exclusions(synced):
    synced.exclude(FILMS)
    synced.privacy.delete_data()
    assert synced.excluded() == ()
    assert len(synced.recommend(12)) == 12


@shared
@given(st.dictionaries(st.sampled_from(FILMS), st.floats(-5, 5, width=16)), st.integers(1, 12))
def test_a_boost_is_added_to_the_score(synced, boosts, k):
    scores = {item: score + boosts.get(item, 0.0) for item, score in synced.score(FILMS).items()}
    boosted = synced.recommend(k, boost=lambda item: boosts.get(item, 0.0))
    assert [each.score for each in boosted] == [scores[each.item] for each in boosted]
    unseen = sorted(scores[item] for item in FILMS if item not in ("film-1", "film-4"))
    np.testing.assert_allclose([each.score for each in boosted], unseen[::-1][:k])


def test_tags_spread_a_list(synced):
    tags = {item: ["even"] if int(item[5:]) % 2 == 0 else ["odd"] for item in FILMS}
    plain = synced.recommend(4)
    assert ids(synced.recommend(4, diversity=1e-9, tags=tags)) == ids(plain)
    first, second, *_ = synced.recommend(4, diversity=0.99, tags=tags)
    assert first == plain[0]
    assert tags[first.item] != tags[second.item]
    assert len({each.item for each in synced.recommend(12, diversity=0.5)}) == 10


@given(st.integers(0, 30), st.integers(1, 40), st.floats(0.001, 0.99), st.integers(0, 10**6))
def test_a_diverse_list_holds_only_what_is_allowed_and_begins_with_the_best(allowed, k, diversity, seed):
    rng = np.random.default_rng(seed)
    scores, marks = rng.standard_normal(40), np.arange(40) < allowed
    vectors = rng.standard_normal((40, 3)).astype(np.float32)
    rows = ranking.diverse(scores, marks, k, diversity, ranking.of_vectors(vectors))
    assert len(rows) == len(set(rows.tolist())) == min(k, allowed)
    assert (rows < allowed).all()
    if allowed:
        assert rows[0] == ranking.best(scores, marks, 1)[0]


def test_beyond_the_pool_items_follow_by_score(monkeypatch):
    monkeypatch.setattr(ranking, "POOL", 3)
    scores = np.arange(9.0)
    rows = ranking.diverse(scores, np.ones(9, np.bool_), 6, 0.5, ranking.of_vectors(np.ones((9, 1), np.float32)))
    assert sorted(rows[:3].tolist()) == [6, 7, 8]
    assert rows[3:].tolist() == [5, 4, 3]


def test_a_reason_is_a_recorded_item_by_the_models_own_vectors(synced, bundle):
    from client_sdk.onnx.served_model import checkpoint

    tensors = checkpoint(synced._store, synced._store.model())
    table = np.concatenate([tensors["item_gmf"], tensors["item_mlp"]], axis=1).astype(np.float64)
    unit = table / np.linalg.norm(table, axis=1, keepdims=True)
    expected = sorted(((float(unit[3] @ unit[row]), f"film-{row}") for row in (1, 4)), reverse=True)
    reasons = synced.explain("film-3")
    assert [reason.item for reason in reasons] == [item for _, item in expected]
    np.testing.assert_allclose([reason.similarity for reason in reasons], [cosine for cosine, _ in expected], atol=1e-5)
    assert [reason.item for reason in synced.explain("film-1")] == ["film-4"]
    assert len(synced.explain("film-3", k=1)) == 1
    assert synced.explain("nobody's") == []
    synced.record("film-4", kind="dislike")
    assert [reason.item for reason in synced.explain("film-3")] == ["film-1"]


def test_reasons_are_of_the_newest_model(synced, remote, bundle):
    before = synced.explain("film-3")
    remote.bundle = bundle.with_checkpoint(9)
    remote.assignment = remote.bundle.assignment(1, 1)
    synced.sync()
    assert synced.explain("film-3") != before


@pytest.mark.parametrize(
    "act",
    [
        lambda c: c.recommend(3, candidates=5),
        lambda c: c.recommend(3, candidates=["film-1", 5]),
        lambda c: c.recommend(3, seen=1),
        lambda c: c.recommend(3, seen="yes"),
        lambda c: c.recommend(3, boost=5),
        lambda c: c.recommend(3, boost=lambda item: "much"),
        lambda c: c.recommend(3, boost=lambda item: float("nan")),
        lambda c: c.recommend(3, boost=lambda item: True),
        lambda c: c.recommend(3, diversity=1),
        lambda c: c.recommend(3, diversity=-0.1),
        lambda c: c.recommend(3, diversity=True),
        lambda c: c.recommend(3, diversity=float("nan")),
        lambda c: c.recommend(3, tags={}),
        lambda c: c.recommend(3, tags=["rock"], diversity=0.5),
        lambda c: c.score(None),
        lambda c: c.score(["film-1", None]),
        lambda c: c.score(b"film-1"),
        lambda c: c.explain(["film-1"]),
        lambda c: c.explain("film-1", k=0),
        lambda c: c.explain("film-1", k=True),
        lambda c: c.exclude(None),
        lambda c: c.exclude(["film-1", ""]),
        lambda c: c.exclude("film-1\nfilm-2"),
        lambda c: c.include(7),
    ],
)
def test_a_call_that_cannot_be_meant_is_told_and_changes_nothing(synced, act):
    with pytest.raises(UsageError):
        act(synced)
    assert synced.excluded() == ()


def test_more_exclusions_than_can_be_kept_are_refused_as_a_whole(client, monkeypatch):
    from client_sdk.errors import StoreError

    monkeypatch.setattr("client_sdk.store.exclusions.MOST", 3)
    client.exclude(["a", "b", "b"])
    with pytest.raises(StoreError, match="nothing was excluded"):
        client.exclude(["b", "c", "d"])
    assert client.excluded() == ("a", "b")


def test_without_a_model_there_is_no_score_and_no_reason(client):
    for call in (lambda: client.score("film-1"), lambda: client.explain("film-1")):
        with pytest.raises(NoModelError):
            call()


def test_a_hundred_thousand_ids_are_answered(synced):
    many = [f"film-{number}" for number in range(100_000)]
    assert set(synced.score(many)) == set(FILMS)
    synced.exclude(many)
    assert synced.recommend(12) == []
