"""Settings of matchings in a run: statistics by class are summed in the open only where that is said."""

import pytest

from client_sdk.errors import UnsupportedTaskError
from client_sdk.protocol.manifests import parse
from export.bundle import build
from export.errors import PlanError
from simulator.config.config import Config
from simulator.errors import ConfigError
from tests import plans


def test_matchings_are_refused_in_plain_sums_unless_a_simulation_is_meant():
    with pytest.raises(ConfigError, match="plain_statistics"):
        Config.of({"plan.matchings": "all"})
    assert Config.of({"plan.matchings": "all", "engine.plain_statistics": True}).plan.matchings is None
    assert Config.of({"plan.matchings": "all", "engine.sums": "grid"}).plan.matching.minimum == 10


@pytest.mark.parametrize("change", [{}, {"plan.matchings": "all", "engine.name": "fleet"}])
def test_plain_statistics_are_refused_without_statistics_and_in_a_fleet(change):
    with pytest.raises(ConfigError, match="plain_statistics"):
        Config.of({"engine.plain_statistics": True, **change})


def test_settings_of_matchings_without_matchings_are_refused():
    with pytest.raises(ConfigError, match=r"matching\.weight has no effect"):
        Config.of({"plan.matching.weight": 5.0})


def test_a_device_refuses_a_task_whose_sums_are_plain():
    plan = plans.make("fedvae", matchings=[plans.GENDER])
    bundle = build("fedvae", ["a", "b"], plan, 0, training=False, serving=False)
    with pytest.raises(UnsupportedTaskError, match="secure sums"):
        parse(bundle.manifest.SerializeToString())


@pytest.mark.parametrize(
    ("protects", "reason"), [("all", "numbers"), (["item_personal.sum"], "how its computed states are moved")]
)
def test_states_of_fedrap_cannot_be_matched(protects, reason):
    plan = plans.make("fedrap", matchings=[plans.GENDER], matching__protects=protects)
    with pytest.raises(PlanError, match=reason):
        build("fedrap", [str(item) for item in range(60)], plan, 0, training=False, serving=False)
