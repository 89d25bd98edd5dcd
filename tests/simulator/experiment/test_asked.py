"""Quick attacks cost less than full ones."""

from simulator.config.config import Config
from simulator.evaluation.attacked_users import MOST_USERS
from simulator.experiment.asked import QUICK, QUICK_USERS, Asked
from tests.simulator.settings import change


def test_quick_attacks_have_fewer_splits_and_users():
    config = Config.of({})
    full, quick = Asked.of(config, "full"), Asked.of(config, "quick")
    assert (full.splits, full.users) == (config.evaluation.attack_splits, MOST_USERS)
    assert (quick.splits, quick.users) == (QUICK, QUICK_USERS)
    assert quick.keywords(3)["most"] == QUICK_USERS


def test_quick_attacks_never_have_more_splits_than_are_asked_for():
    assert Asked.of(change(Config.of({}), attack_splits=1), "quick").splits == 1
