"""Names that plug-ins must not add: every figure of a run keeps its own."""

import pytest

from fedau2 import plugins
from simulator.evaluation.attackers import ATTACKERS, Attacker
from simulator.experiment import own_names, run
from simulator.experiment.own_metrics import Metric
from simulator.reporting import attacked
from tests.simulator.quiet import Quiet
from tests.simulator.runs import SMALL


@pytest.fixture(autouse=True)
def alone(monkeypatch):
    monkeypatch.setattr(plugins, "_used", {})
    monkeypatch.setenv(plugins.VARIABLE, "")


def add(**things):
    plugins.use(plugins.Plugin("mine", api=plugins.API, **things))


@pytest.fixture(scope="module")
def metrics(tmp_path_factory):
    return run.run(SMALL, tmp_path_factory.mktemp("plain"), None, Quiet(), attacks="none")


def test_no_metric_may_have_the_name_of_a_figure_of_a_run_of_a_setting_or_of_a_column(metrics):
    possible = [name for name in metrics if plugins._NAME.fullmatch(name)]
    assert {"users", "round", "ndcg@10", "mrr", "seconds", "groups"} <= set(possible)
    for name in [*possible, "ndcg@5", "hr@50", "epsilon", "bacc", "seed", "status", "data.dataset"]:
        add(metrics={name: Metric(lambda measurement: 0.0)})
        with pytest.raises(plugins.PluginError, match=f"'mine' adds metrics '{name}'"):
            own_names.expect_free(SMALL)


@pytest.mark.parametrize(
    "name", ["largest", "largest-margin", "uploads", "sum", "leak", "std", "linear", "top10", "top50", "scores"]
)
def test_no_attacker_may_have_the_name_of_another_attack_or_of_its_figures(name):
    add(attackers={name: Attacker(ATTACKERS["paper"].predict, 0.5)})
    with pytest.raises(plugins.PluginError, match=f"'mine' adds attackers '{name}'"):
        own_names.expect_free(SMALL)


def test_other_names_are_free_and_their_figures_are_those_of_their_attack():
    add(metrics={"first": Metric(lambda measurement: 0.0)}, attackers={"neighbours": ATTACKERS["paper"]})
    own_names.expect_free(SMALL)
    assert attacked.part_of("bacc_null_p95_neighbours_all") == "neighbours_all"


def test_a_name_is_refused_before_training(tmp_path):
    add(metrics={"round": Metric(lambda measurement: 7.0)})
    with pytest.raises(plugins.PluginError, match="rename it"):
        run.run(SMALL, tmp_path / "run", None, Quiet(), attacks="none")
    assert not (tmp_path / "run").exists()


def test_a_metric_that_is_no_number_is_refused(tmp_path):
    add(metrics={"odd": Metric(lambda measurement: float("nan"))})
    with pytest.raises(plugins.PluginError, match="the metric 'odd' of a plug-in is nan"):
        run.run(SMALL, tmp_path, None, Quiet(), attacks="none")
    assert not (tmp_path / "metrics.json").exists()
