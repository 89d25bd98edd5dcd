"""What the defences of the plan stop, and what they do not."""

import pytest

from tests.recommenders import LEAN


def test_noise_of_a_bounded_size_stops_what_the_adversary_tells_for_a_while(found):
    options = {"head": "mlp", "users": 160, "clients": 50, "adversary_clip_norm": 0.1, "noise_multiplier": 1.0}
    scores = found(["magnitude", "embedding", "pulls"], (1, 100), **options)
    assert scores["embedding", 1].success == 0.0
    assert scores["magnitude", 1].high < 0.9  # without noise it is 1 at once
    assert scores["magnitude", 100].success > scores["magnitude", 1].success  # but adds up
    assert scores["pulls", 1].success == 1.0  # and items are not its concern


@pytest.mark.parametrize("model", LEAN)
def test_cover_rows_hide_nothing_from_who_knows_the_recommender(found, model):
    names = ["rows", "rows-recurring", "pulls", "membership", "shared"]
    options = {"model": model, "head": "mlp", "clients": 20}
    bare, covered = (found(names, (1, 5), cover_rows=rows, **options) for rows in (0.0, 1.0))
    assert bare.keys() == covered.keys()
    for key, score in bare.items():
        # Of FedVAE a few interactions are not seen in the biases.
        assert covered[key].success >= score.success - (0.03 if model == "fedvae" else 0.0), key


def test_cover_rows_hide_what_was_touched_where_contributions_are_no_gradients(found):
    names, options = ["rows", "rows-recurring"], {"head": "mlp", "clients": 20, "steps": 2}
    bare, covered = (found(names, (1, 20), cover_rows=rows, **options) for rows in (0.0, 1.0))
    assert covered["rows", 1].success < bare["rows", 1].success
    assert covered["rows-recurring", 20].success < bare["rows-recurring", 20].success - 0.02
