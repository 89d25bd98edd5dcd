import numpy as np
import pytest

from simulator.evaluation.attacked_outputs import AXES, OUTPUTS, Outputs

USERS, ITEMS = 300, 90
RNG = np.random.default_rng(0)
SEEN = [np.unique(RNG.integers(ITEMS, size=12)) for _ in range(USERS)]
ALIKE = np.broadcast_to(np.linspace(1, 0, ITEMS, dtype=np.float32), (USERS, ITEMS))


def outputs(scores=ALIKE):
    return Outputs(lambda users: scores[users], np.arange(USERS), SEEN.__getitem__, SEEN, ITEMS)


@pytest.mark.parametrize("name", OUTPUTS)
def test_an_output_is_a_row_of_few_numbers_for_each_user(name):
    features = outputs(RNG.normal(size=(USERS, ITEMS)).astype(np.float32)).features(name)
    assert features.shape == (USERS, AXES)
    assert np.isfinite(features).all()


def test_where_all_users_have_the_same_scores_only_the_omission_of_seen_items_tells():
    spread = {name: float(np.ptp(outputs().features(name), axis=0).max()) for name in ("top10", "top10_seen", "scores")}
    assert spread["top10"] > 0.5
    assert max(spread["top10_seen"], spread["scores"]) < 1e-3


def test_seen_items_are_not_in_a_list_unless_they_are_left_in():
    made = outputs()
    users = np.arange(5)
    for unseen in (True, False):
        lists = made._lists(ALIKE[:5], users, 20, unseen=unseen)
        assert all(not np.isin(row, SEEN[user]).any() for user, row in enumerate(lists)) is unseen
